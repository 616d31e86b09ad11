#include "fs/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/db.h"
#include "fs/node.h"
#include "net/clock.h"
#include "net/crashpoint.h"
#include "net/log.h"

/* Keys of the table `meta`:
 *   schema            version of what follows
 *   incarnation       as in the file beside the database
 *   boot              the kernel's boot id when content was last recovered
 *   clean             1 after an orderly end, 0 while running
 *   starting          how far the file has to follow, 0 once it has
 *   rolled_back       1 until what an older copy must not do is dropped
 * and those the engine keeps (fs/engine.c): drive, folder, links, rounds. */
#define BOND                                                                   \
	"CREATE TABLE bond("                                                   \
	" id TEXT PRIMARY KEY, file_id BLOB NOT NULL,"                         \
	" version INTEGER NOT NULL, mac BLOB NOT NULL) WITHOUT ROWID;"

/* What was unlinked here and lies there under some name. */
#define LEFT                                                                   \
	"CREATE INDEX node_left ON node(s_parent, name)"                       \
	" WHERE parent IS NULL AND s_id IS NOT NULL;"

/* Items in our folders that are not shown (fs/hidden.h). */
#define HIDDEN                                                                 \
	"CREATE TABLE hidden("                                                 \
	" id TEXT PRIMARY KEY, parent_id TEXT NOT NULL) WITHOUT ROWID;"        \
	"CREATE INDEX hidden_parent ON hidden(parent_id);"

/* What was harmed of late (fs/hold.h): rows of one direction have consecutive
 * numbers, and their times grow. */
#define HARM                                                                   \
	"CREATE TABLE harm("                                                   \
	" dir INTEGER, n INTEGER, at INTEGER NOT NULL, real INTEGER NOT NULL," \
	" id TEXT NOT NULL, ino INTEGER, mark INTEGER, PRIMARY KEY(dir, n))"   \
	" WITHOUT ROWID;"                                                      \
	"CREATE UNIQUE INDEX harm_id ON harm(dir, id);"                        \
	"CREATE INDEX harm_at ON harm(dir, at);"

/* Renames and new folders under way (fs/errand.h). */
#define ERRAND                                                                 \
	"CREATE TABLE errand(ino INTEGER PRIMARY KEY, parent_id TEXT NOT "     \
	"NULL, name TEXT NOT NULL);"                                           \
	"CREATE INDEX errand_place ON errand(parent_id, name);"

static const char schema_sql[] =
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	"CREATE TABLE node("
	" ino INTEGER PRIMARY KEY, flags INTEGER NOT NULL,"
	" mode INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL,"
	" rdev INTEGER, parent INTEGER, name BLOB, fold BLOB,"
	" mtime INTEGER, ctime INTEGER, atime INTEGER, size INTEGER,"
	" cid INTEGER, gen INTEGER,"
	" s_id TEXT, s_parent INTEGER, s_name TEXT, s_etag TEXT,"
	" s_gen INTEGER, s_size INTEGER, s_len INTEGER, s_hash BLOB, s_mtime "
	"INTEGER,"
	" s_created INTEGER, gone_round INTEGER, replaced_by INTEGER);"
	"CREATE UNIQUE INDEX node_name ON node(parent, name)"
	" WHERE parent IS NOT NULL;"
	"CREATE INDEX node_children ON node(parent) WHERE parent IS NOT NULL;"
	"CREATE INDEX node_twin ON node(parent, fold) WHERE fold IS NOT NULL;"
	"CREATE UNIQUE INDEX node_item ON node(s_id) WHERE s_id IS NOT NULL;"
	"CREATE INDEX node_there ON node(s_parent) WHERE s_id IS NOT NULL;"
	"CREATE INDEX node_dirty ON node(ino) WHERE flags & 1;"
	"CREATE INDEX node_place ON node(s_parent, s_name)"
	" WHERE flags & 1 AND s_id IS NOT NULL;"
	"CREATE INDEX node_gone ON node(ino) WHERE parent IS NULL;" LEFT
	"CREATE INDEX node_alias ON node(ino) WHERE flags & 2;"
	"CREATE INDEX node_unlisted ON node(ino) WHERE flags & 4;"
	"CREATE TABLE target(ino INTEGER PRIMARY KEY, target BLOB NOT NULL);"
	"CREATE TABLE blocked(ino INTEGER PRIMARY KEY, rc INTEGER NOT NULL,"
	" reason TEXT NOT NULL);"
	"CREATE TABLE cfile("
	" cid INTEGER PRIMARY KEY, ino INTEGER NOT NULL, size INTEGER NOT NULL,"
	" flags INTEGER NOT NULL, gen INTEGER NOT NULL, prev INTEGER,"
	" base_id TEXT, base_etag TEXT, base_size INTEGER, base_len INTEGER,"
	" used INTEGER, blocks INTEGER, header BLOB, base_hash BLOB,"
	" hard INTEGER);"
	"CREATE INDEX cfile_ino ON cfile(ino);"
	"CREATE INDEX cfile_evict ON cfile(used) WHERE flags & 1;"
	"CREATE INDEX cfile_soft ON cfile(cid) WHERE flags & 2;"
	"CREATE TABLE chunk(cid INTEGER, grp INTEGER, present BLOB, sums BLOB,"
	" PRIMARY KEY(cid, grp)) WITHOUT ROWID;"
	"CREATE TABLE partial(cid INTEGER, idx INTEGER, extents BLOB,"
	" PRIMARY KEY(cid, idx)) WITHOUT ROWID;"
	"CREATE TABLE attempt("
	" aid INTEGER PRIMARY KEY, ino INTEGER NOT NULL, op INTEGER NOT NULL,"
	" state INTEGER NOT NULL, cid INTEGER, gen INTEGER, parent INTEGER,"
	" parent_id TEXT, name TEXT, item_id TEXT, etag TEXT, mtime INTEGER,"
	" size INTEGER, plain_size INTEGER, hash BLOB, url TEXT, next INTEGER,"
	" started INTEGER, header BLOB, secret BLOB, hash_state BLOB,"
	" bond BLOB);"
	"CREATE INDEX attempt_ino ON attempt(ino);"
	"CREATE INDEX attempt_place ON attempt(parent_id, name);"
	"CREATE TABLE attempt_chunk(aid INTEGER, grp INTEGER, sums BLOB,"
	" tags BLOB, PRIMARY KEY(aid, grp)) WITHOUT ROWID;"
	"CREATE TABLE seen("
	" id TEXT PRIMARY KEY, parent_id TEXT, name TEXT, kind INTEGER,"
	" etag TEXT, size INTEGER, hash BLOB, mtime INTEGER, created INTEGER,"
	" deleted INTEGER, children INTEGER, round INTEGER, parked INTEGER,"
	" flags INTEGER) WITHOUT ROWID;"
	"CREATE INDEX seen_parent ON seen(parent_id);"
	"CREATE TABLE listed(id TEXT PRIMARY KEY, round INTEGER) WITHOUT ROWID;"
	"CREATE TABLE ledger("
	" seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, what INTEGER NOT "
	"NULL,"
	" id TEXT NOT NULL, path BLOB, etag TEXT, size INTEGER,"
	" plain_size INTEGER, hash BLOB, plain_hash BLOB, parent_id TEXT,"
	" mode INTEGER, mtime INTEGER, target BLOB);"
	"CREATE INDEX ledger_id ON ledger(id, seq);"
	"CREATE INDEX ledger_deleted ON ledger(seq) WHERE what=4;" BOND HIDDEN
		HARM ERRAND;

/* From the version before to that one. */
static const char *const upgrade_sql[STORE_SCHEMA + 1] = {
	/* 1 had no vaults */
	[2] = "ALTER TABLE attempt ADD COLUMN bond BLOB;" BOND,
	/* 2 did not look for the base of a file among versions */
	[3] = "ALTER TABLE cfile ADD COLUMN base_hash BLOB;",
	[4] = LEFT,
	[5] = HIDDEN,
	/* 5 held nothing back */
	[6] = HARM,
	/* 6 knew its own renames no more after a crash */
	[7] = ERRAND,
	/* 7 took zeros behind the durable end for bytes, after a power cut */
	[8] = "ALTER TABLE cfile ADD COLUMN hard INTEGER;",
	/* 8 could not tell what a tree had been like */
	[9] = "ALTER TABLE ledger ADD COLUMN parent_id TEXT;"
	      "ALTER TABLE ledger ADD COLUMN mode INTEGER;"
	      "ALTER TABLE ledger ADD COLUMN mtime INTEGER;"
	      "ALTER TABLE ledger ADD COLUMN target BLOB;",
};

static int bring_up(struct db *db, int64_t version)
{
	int rc = 0;

	if (!version)
		return db_script(db, schema_sql);
	while (rc == 0 && version < STORE_SCHEMA)
		rc = db_script(db, upgrade_sql[++version]);
	return rc;
}

static int migrate(struct store *s, struct store_found *found)
{
	struct db *db;
	int64_t have, version = 0;
	int rc;

	rc = db_query_int(s->writer, "SELECT count(*) FROM sqlite_master",
	                  DB_NONE, 0, &have);
	if (rc == 0 && have)
		rc = store_get_int(s->writer, "schema", 0, &version);
	if (rc < 0)
		return rc;
	if (version > STORE_SCHEMA)
		return -ENOTSUP;
	if (version == STORE_SCHEMA)
		return 0;
	if (have && version <= 0) /* what is there is not ours, or not whole */
		return -EUCLEAN;
	found->created = !version;
	rc = store_begin(s, &db);
	if (rc < 0)
		return rc;
	rc = bring_up(db, version);
	if (rc == 0)
		rc = store_set_int(db, "schema", STORE_SCHEMA);
	CRASH_POINT("migrated");
	return store_end(s, rc);
}

void store_get_boot_id(char *out, size_t size)
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	out[0] = '\0';
	if (!f)
		return;
	if (!fgets(out, (int)size, f))
		out[0] = '\0';
	fclose(f);
	out[strcspn(out, "\n")] = '\0';
}

int store_note_boot(struct db *db)
{
	char boot[64];

	store_get_boot_id(boot, sizeof(boot));
	return store_set_text(db, "boot", boot);
}

int store_note_rollback(struct db *db)
{
	return store_set_int(db, "rolled_back", 0);
}

/* The number in `dir`/incarnation; 0 if there is none. */
static uint64_t read_incarnation(const char *dir)
{
	char path[PATH_MAX];
	uint64_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/incarnation", dir);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%" SCNu64, &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

static int write_incarnation(const char *dir, uint64_t n)
{
	char path[PATH_MAX], tmp[PATH_MAX];
	int fd, dirfd, rc = 0;

	snprintf(path, sizeof(path), "%s/incarnation", dir);
	snprintf(tmp, sizeof(tmp), "%s/incarnation.new", dir);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (dprintf(fd, "%" PRIu64 "\n", n) < 0 || fsync(fd) < 0)
		rc = -EIO;
	close(fd);
	CRASH_POINT("incarnation-written");
	if (rc == 0 && rename(tmp, path) < 0)
		rc = -errno;
	CRASH_POINT("incarnation-renamed");
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd >= 0) {
		fsync(dirfd);
		close(dirfd);
	}
	return rc;
}

/* Both lost, but perhaps not the content files: numbers given out before must
 * not come again. Minutes since 1970 grow faster than one per start. */
static uint64_t first_incarnation(void)
{
	int64_t minutes = clock_real_ns() / NS_PER_SEC / 60;

	return minutes > 0 ? (uint64_t)minutes & UINT32_MAX : 1;
}

/* What the last run left, in the database and beside it. */
struct last_run {
	char boot[64];
	int64_t incarnation, clean, starting, rolled_back, max_ino;
	uint64_t beside;
};

static int read_last_run(struct db *db, const char *dir, struct last_run *l)
{
	int rc = store_get_int(db, "incarnation", 0, &l->incarnation);

	if (rc == 0)
		rc = store_get_int(db, "clean", 0, &l->clean);
	if (rc == 0)
		rc = store_get_int(db, "starting", 0, &l->starting);
	if (rc == 0)
		rc = store_get_int(db, "rolled_back", 0, &l->rolled_back);
	if (rc == 0)
		rc = store_get_text(db, "boot", l->boot, sizeof(l->boot));
	if (rc == 0)
		rc = db_query_int(db, "SELECT max(ino) FROM node", DB_NONE, 0,
		                  &l->max_ino);
	l->beside = dir ? read_incarnation(dir) : (uint64_t)l->incarnation;
	return rc;
}

bool store_numbers_fit(int64_t inside, uint64_t beside, int64_t starting)
{
	return (uint64_t)inside == beside + (uint64_t)starting ||
	       (uint64_t)inside == beside;
}

static bool is_rolled_back(const struct last_run *l)
{
	if (l->rolled_back)
		return true; /* and nobody has acted on it yet */
	return !store_numbers_fit(l->incarnation, l->beside, l->starting);
}

static void judge(struct store *s, const struct last_run *l, const char *boot,
                  struct store_found *found)
{
	uint64_t inside = (uint64_t)l->incarnation;

	found->rolled_back = !found->created && is_rolled_back(l);
	found->clean = l->clean && !found->rolled_back;
	found->rebooted = !boot[0] || strcmp(boot, l->boot) != 0;
	s->incarnation = (inside > l->beside ? inside : l->beside) + 1;
	if (found->created && !l->beside)
		s->incarnation = first_incarnation();
	atomic_store(&s->next_cid, s->incarnation << 32 | 1);
	atomic_store(&s->next_ino, l->max_ino < NODE_FIRST
	                                   ? NODE_FIRST
	                                   : (uint64_t)l->max_ino + 1);
}

static int note_run(struct store *s, struct db *db, const struct last_run *l,
                    const char *boot, const struct store_found *found)
{
	int rc = store_set_int(db, "incarnation", (int64_t)s->incarnation);

	if (rc == 0)
		rc = store_set_int(db, "clean", 0);
	if (rc == 0)
		rc = store_set_int(db, "starting",
		                   (int64_t)(s->incarnation - l->beside));
	if (rc == 0 && found->rolled_back)
		rc = store_set_int(db, "rolled_back", 1);
	if (rc == 0 && (found->created || found->clean)) /* all recovered */
		rc = store_set_text(db, "boot", boot);
	return rc;
}

/* The number beside the database follows the one inside. */
static int note_beside(struct store *s, const char *dir)
{
	struct db *db;
	int rc = store_sync(s);

	if (rc == 0)
		rc = write_incarnation(dir, s->incarnation);
	if (rc == 0)
		rc = store_begin(s, &db);
	if (rc < 0)
		return rc;
	rc = store_set_int(db, "starting", 0);
	return store_end(s, rc);
}

/* Notes the new run in the database and beside it, and compares with what the
 * last run left there. */
static int start_run(struct store *s, const char *dir,
                     struct store_found *found)
{
	struct last_run last;
	char boot[64];
	struct db *db;
	int rc = store_begin(s, &db);

	if (rc < 0)
		return rc;
	store_get_boot_id(boot, sizeof(boot));
	rc = read_last_run(db, dir, &last);
	if (rc == 0) {
		judge(s, &last, boot, found);
		rc = note_run(s, db, &last, boot, found);
	}
	rc = store_end(s, rc);
	CRASH_POINT("run-noted");
	return rc == 0 && dir ? note_beside(s, dir) : rc;
}

static int set_up(struct store *s, const char *dir, struct store_found *found)
{
	/* NORMAL: a commit is in the log, not yet on the disk; store_sync()
	 * does that. Checkpoints sync by themselves. */
	int rc = db_script(s->writer, "PRAGMA journal_mode=WAL;"
	                              "PRAGMA synchronous=NORMAL;"
	                              "PRAGMA cache_size=-8192;"
	                              "PRAGMA mmap_size=0;"
	                              "PRAGMA journal_size_limit=67108864;"
	                              "PRAGMA wal_autocheckpoint=4000;"
	                              "PRAGMA foreign_keys=0;");

	if (rc == 0)
		rc = migrate(s, found);
	return rc < 0 ? rc : start_run(s, dir, found);
}

/* A log without its database: SQLite would take it for left over and delete
 * it, with all that was committed to it and not yet copied. */
static bool lost_its_base(const char *path)
{
	char wal[PATH_MAX];
	struct stat st;

	if (stat(path, &st) == 0 && st.st_size)
		return false;
	snprintf(wal, sizeof(wal), "%s-wal", path);
	return stat(wal, &st) == 0 && st.st_size;
}

static void note_damage(void *arg)
{
	store_note_damage(arg);
}

int store_open(const char *dir, struct store **out_s,
               struct store_found *out_found)
{
	struct store_found found = { false };
	struct store *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->wal_fd = -1;
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->reader_lock, NULL);
	pthread_cond_init(&s->reader_free, NULL);
	if (dir && asprintf(&s->path, "%s/state.db", dir) < 0) {
		s->path = NULL;
		rc = -ENOMEM;
		goto err_free;
	}
	if (dir && store_is_marked(dir)) {
		rc = -EUCLEAN;
		goto err_free;
	}
	if (dir && lost_its_base(s->path)) {
		log_error("state.db is gone, its log is not");
		rc = -EUCLEAN;
		goto err_free;
	}
	rc = db_open(dir ? s->path : ":memory:", true, &s->writer);
	if (rc < 0)
		goto err_free;
	db_on_damage(s->writer, note_damage, s);
	rc = set_up(s, dir, &found);
	if (rc < 0)
		goto err_free;
	*out_s = s;
	*out_found = found;
	return 0;

err_free:
	db_close(s->writer);
	s->writer = NULL;
	store_close(s, false);
	return rc;
}

void store_close(struct store *s, bool clean)
{
	struct db *db;

	if (!s)
		return;
	for (int i = 0; i < MAX_READERS; i++)
		db_close(s->readers[i]);
	if (clean && s->writer && store_begin(s, &db) == 0) {
		int rc = store_set_int(db, "clean", 1);

		rc = store_end(s, rc);
		CRASH_POINT("clean-end-noted");
		if (rc == 0)
			store_sync(s);
	}
	db_close(s->writer);
	if (s->wal_fd >= 0)
		close(s->wal_fd);
	pthread_cond_destroy(&s->reader_free);
	pthread_mutex_destroy(&s->reader_lock);
	pthread_mutex_destroy(&s->lock);
	free(s->path);
	free(s);
}
