#include "fs/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/attempt.h"
#include "fs/bond.h"
#include "fs/cfile.h"
#include "fs/db.h"
#include "fs/node.h"
#include "net/log.h"
#include "tests/unit/check.h"

/* Before schema 9. */
#define OLD_LEDGER                                                             \
	"ALTER TABLE ledger DROP COLUMN parent_id;"                            \
	"ALTER TABLE ledger DROP COLUMN mode;"                                 \
	"ALTER TABLE ledger DROP COLUMN mtime;"                                \
	"ALTER TABLE ledger DROP COLUMN target;"

static char dir[64];

static void make_dir(void)
{
	strcpy(dir, "/tmp/nmb-store-XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
}

static void remove_dir(void)
{
	static const char *const names[] = {
		"state.db",    "state.db-wal", "state.db-shm",
		"incarnation", "old.db",       "incarnation.new"
	};
	char path[128];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	CHECK_EQ(rmdir(dir), 0);
}

static struct node make_node(uint64_t ino, uint64_t parent, const char *name)
{
	struct node n = { .ino = ino,
		          .mode = 0100644,
		          .parent = parent,
		          .mtime = 5,
		          .size = 12,
		          .gen = 1,
		          .flags = NODE_DIRTY };

	strcpy(n.name, name);
	return n;
}

static int add(struct store *s, struct node n, const char *fold)
{
	struct db *db;
	int rc = store_begin(s, &db);

	if (rc == 0)
		rc = node_insert(db, &n, fold);
	return store_end(s, rc);
}

static void test_rows(void)
{
	struct store_found found;
	struct node n = make_node(20, NODE_ROOT, "a"), got;
	char path[64];
	struct store *s;
	struct db *db;

	CHECK_EQ(store_open(NULL, &s, &found), 0);
	CHECK(found.created);
	strcpy(n.s_id, "ID1");
	n.s_parent = NODE_ROOT;
	strcpy(n.s_name, "a");
	memset(n.s_hash, 7, sizeof(n.s_hash));
	CHECK_EQ(add(s, n, NULL), 0);
	CHECK_EQ(add(s, make_node(21, NODE_ROOT, "a"), NULL), -EEXIST);
	CHECK_EQ(add(s, make_node(22, NODE_ROOT, "B"), "b"), 0);
	CHECK_EQ(add(s, make_node(23, 20, "x\xff"), NULL), 0);

	CHECK_EQ(store_reader(s, &db), 0);
	CHECK_EQ(node_get_child(db, NODE_ROOT, "a", &got), 0);
	CHECK_MEM(&got, &n, sizeof(n));
	CHECK_EQ(node_get_by_id(db, "ID1", &got), 0);
	CHECK_EQ(got.ino, 20);
	CHECK_EQ(node_get_by_id(db, "id1", &got), -ENOENT);
	CHECK_EQ(node_get_twin(db, NODE_ROOT, "b", &got), 0);
	CHECK_EQ(got.ino, 22);
	CHECK_EQ(node_get_twin(db, NODE_ROOT, "a", &got), 0);
	CHECK_EQ(node_get_occupant(db, NODE_ROOT, "a", &got), 0);
	CHECK_EQ(node_path(db, 23, path, sizeof(path)), 0);
	CHECK_STR(path, "/a/x\xff");
	CHECK_EQ(node_path(db, 23, path, 4), -ENAMETOOLONG);
	CHECK_EQ(node_path(db, NODE_ROOT, path, sizeof(path)), 0);
	CHECK_STR(path, "/");
	CHECK_EQ(node_is_below(db, 23, 20), 1);
	CHECK_EQ(node_is_below(db, 20, 23), 0);
	store_reader_done(s, db);
	store_close(s, true);
}

static int count(void *arg, const struct node *n)
{
	int *seen = arg;

	(void)n;
	return ++*seen == 3;
}

static void test_each_stops_and_goes_on(void)
{
	struct store_found found;
	struct store *s;
	struct db *db;
	int seen = 0;

	CHECK_EQ(store_open(NULL, &s, &found), 0);
	for (uint64_t i = 0; i < 10; i++) {
		char name[8];

		snprintf(name, sizeof(name), "%u", (unsigned)i);
		CHECK_EQ(add(s, make_node(100 + i, NODE_ROOT, name), NULL), 0);
	}
	store_reader(s, &db);
	CHECK_EQ(node_each_child(db, NODE_ROOT, 0, count, &seen), 0);
	CHECK_EQ(seen, 3);
	CHECK_EQ(node_each_child(db, NODE_ROOT, 102, count, &seen), 0);
	CHECK_EQ(seen, 10);
	store_reader_done(s, db);
	store_close(s, true);
}

static void test_incarnations(void)
{
	struct store_found found;
	char cmd[256];
	struct store *s;
	uint64_t cid;

	make_dir();
	CHECK_EQ(store_open(dir, &s, &found), 0);
	CHECK(found.created && !found.rolled_back);
	cid = store_next_cid(s);
	store_close(s, true);
	snprintf(cmd, sizeof(cmd), "cp %s/state.db %s/old.db", dir, dir);
	CHECK_EQ(system(cmd), 0);

	CHECK_EQ(store_open(dir, &s, &found), 0);
	CHECK(!found.created && found.clean && !found.rebooted &&
	      !found.rolled_back);
	CHECK(store_next_cid(s) > cid);
	cid = store_next_cid(s);
	store_close(s, false);

	CHECK_EQ(store_open(dir, &s, &found), 0);
	CHECK(!found.clean);
	cid = store_next_cid(s);
	store_close(s, true);

	/* last week's copy of the database */
	snprintf(cmd, sizeof(cmd), "cp %s/old.db %s/state.db", dir, dir);
	CHECK_EQ(system(cmd), 0);
	CHECK_EQ(store_open(dir, &s, &found), 0);
	CHECK(found.rolled_back);
	CHECK(store_next_cid(s) > cid);
	CHECK_EQ(store_check(s), 0);
	store_close(s, true);
	remove_dir();
}

/* As if the machine had started again since. */
static void forget_boot(struct store *s)
{
	struct db *db;
	int rc = store_begin(s, &db);

	if (rc == 0)
		rc = store_set_text(db, "boot", "another one");
	CHECK_EQ(store_end(s, rc), 0);
}

/* A start that dies in its recovery leaves it to the next one; an orderly end
 * leaves nothing to recover. */
static void test_reboots(void)
{
	struct store_found found;
	struct store *s;
	struct db *db;

	make_dir();
	CHECK_EQ(store_open(dir, &s, &found), 0);
	forget_boot(s);
	store_close(s, false);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(store_open(dir, &s, &found), 0);
		CHECK(found.rebooted && !found.clean);
		store_close(s, false);
	}
	CHECK_EQ(store_open(dir, &s, &found), 0);
	CHECK_EQ(store_begin(s, &db), 0);
	CHECK_EQ(store_note_boot(db), 0);
	CHECK_EQ(store_commit(s), 0);
	store_close(s, false);
	CHECK_EQ(store_open(dir, &s, &found), 0);
	CHECK(!found.rebooted && !found.clean);
	forget_boot(s);
	store_close(s, true);
	CHECK_EQ(store_open(dir, &s, &found), 0);
	CHECK(found.clean);
	store_close(s, false);
	CHECK_EQ(store_open(dir, &s, &found), 0);
	CHECK(!found.rebooted); /* since the orderly end */
	store_close(s, true);
	remove_dir();
}

static void set_beside(uint64_t n)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/incarnation", dir);
	f = fopen(path, "w");
	CHECK(f != NULL);
	fprintf(f, "%" PRIu64 "\n", n);
	fclose(f);
}

/* The number inside and the one beside, as several accidents leave them. */
static void test_two_numbers(void)
{
	static const struct {
		const char *name;
		int64_t starting;
		int64_t off; /* beside, from the one inside */
		bool rolled_back;
	} cases[] = {
		{ "in order", 0, 0, false },
		{ "died before the file followed", 1, -1, false },
		{ "died after that", 1, 0, false },
		{ "died so three times in a row", 3, -3, false },
		{ "older copy", 0, 3, true },
		{ "older copy of a start", 1, 3, true },
		{ "another machine's", 0, -1, true },
		{ "another machine's start", 1, -2, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct store_found found;
		int64_t inside;
		struct store *s;
		struct db *db;
		uint64_t cid;

		check_row("%s", cases[i].name);
		make_dir();
		CHECK_EQ(store_open(dir, &s, &found), 0);
		CHECK_EQ(store_begin(s, &db), 0);
		CHECK_EQ(store_get_int(db, "incarnation", 0, &inside), 0);
		CHECK_EQ(store_set_int(db, "starting", cases[i].starting), 0);
		CHECK_EQ(store_commit(s), 0);
		cid = store_next_cid(s);
		store_close(s, true);
		set_beside((uint64_t)(inside + cases[i].off));
		CHECK_EQ(store_open(dir, &s, &found), 0);
		CHECK_EQ(found.rolled_back, cases[i].rolled_back);
		/* Such a database knows not what its files are. */
		CHECK_EQ(found.clean, !cases[i].rolled_back);
		CHECK(store_next_cid(s) > cid);
		store_close(s, true);
		/* Not forgotten before somebody has acted on it. */
		CHECK_EQ(store_open(dir, &s, &found), 0);
		CHECK_EQ(found.rolled_back, cases[i].rolled_back);
		CHECK_EQ(store_begin(s, &db), 0);
		CHECK_EQ(store_note_rollback(db), 0);
		CHECK_EQ(store_commit(s), 0);
		store_close(s, true);
		CHECK_EQ(store_open(dir, &s, &found), 0);
		CHECK(!found.rolled_back && found.clean);
		store_close(s, true);
		remove_dir();
	}
}

/* The file can't follow, start after start: that makes no older copy of it. */
static void test_starts_that_fail(void)
{
	struct store_found found;
	char blocker[128];
	struct store *s;

	make_dir();
	snprintf(blocker, sizeof(blocker), "%s/incarnation.new", dir);
	CHECK_EQ(store_open(dir, &s, &found), 0);
	store_close(s, true);
	CHECK_EQ(mkdir(blocker, 0700), 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(store_open(dir, &s, &found), -EISDIR);
	CHECK_EQ(rmdir(blocker), 0);
	CHECK_EQ(store_open(dir, &s, &found), 0);
	CHECK(!found.rolled_back);
	store_close(s, true);
	remove_dir();
}

/* Database and number lost, content files not. */
static void test_numbers_after_loss(void)
{
	struct store_found found;
	char path[128];
	struct store *s;
	uint64_t cid;

	make_dir();
	CHECK_EQ(store_open(dir, &s, &found), 0);
	cid = store_next_cid(s);
	store_close(s, true);
	snprintf(path, sizeof(path), "%s/state.db", dir);
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(store_open(dir, &s, &found), 0);
	CHECK(found.created && !found.rolled_back);
	CHECK(store_next_cid(s) > cid);
	CHECK(cid >> 32 > 1000000); /* minutes since 1970, not 1 */
	store_close(s, true);
	remove_dir();
}

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
}

static void test_damaged(void)
{
	struct store_found found;
	char junk[5000], path[128];
	struct store *s = NULL;

	make_dir();
	memset(junk, 'x', sizeof(junk) - 1);
	junk[sizeof(junk) - 1] = '\0';
	write_file("state.db", junk);
	CHECK_EQ(store_open(dir, &s, &found), -EUCLEAN);
	snprintf(path, sizeof(path), "%s/state.db", dir);
	CHECK_EQ(access(path, F_OK), 0); /* left as it was */
	remove_dir();
}

static unsigned count_aside(const char *end)
{
	char cmd[256];
	unsigned n = 0;
	FILE *f;

	snprintf(cmd, sizeof(cmd), "ls %s/quarantine | grep -c '%s$'", dir,
	         end);
	f = popen(cmd, "r");
	CHECK(f != NULL);
	CHECK_EQ(fscanf(f, "%u", &n), 1);
	pclose(f);
	return n;
}

static void remove_aside(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -r %s/quarantine", dir);
	CHECK_EQ(system(cmd), 0);
}

/* A new one takes its place, and gives out no number again. */
static void test_set_aside(void)
{
	struct store_found found;
	char junk[5000];
	struct store *s;
	uint64_t cid;

	make_dir();
	CHECK_EQ(store_open(dir, &s, &found), 0);
	cid = store_next_cid(s);
	store_close(s, false);
	memset(junk, 'x', sizeof(junk) - 1);
	junk[sizeof(junk) - 1] = '\0';
	write_file("state.db", junk);
	CHECK_EQ(store_open(dir, &s, &found), -EUCLEAN);
	CHECK_EQ(store_set_aside(dir), 0);
	CHECK_EQ(store_open(dir, &s, &found), 0);
	CHECK(found.created && !found.clean && !found.rolled_back);
	CHECK(store_next_cid(s) > cid);
	store_close(s, true);
	CHECK_EQ(store_set_aside(dir), 0); /* never over an older one */
	CHECK_EQ(count_aside("state.db"), 2);
	CHECK_EQ(store_set_aside(dir), 0); /* nothing there */
	remove_aside();
	remove_dir();
}

/* Damage that opening does not meet is found by the check, and not forgotten
 * by the next start. */
static void test_check_marks(void)
{
	struct store_found found;
	struct store *s;
	char zeros[4096] = { 0 }, path[128];
	int fd;

	make_dir();
	CHECK_EQ(store_open(dir, &s, &found), 0);
	for (uint64_t i = 0; i < 500; i++) {
		char name[65];

		snprintf(name, sizeof(name), "%064" PRIu64, i);
		CHECK_EQ(add(s, make_node(100 + i, NODE_ROOT, name), NULL), 0);
	}
	CHECK_EQ(store_check(s), 0);
	store_close(s, true);
	CHECK_EQ(store_open(dir, &s, &found), 0);
	store_close(s, true);

	snprintf(path, sizeof(path), "%s/state.db", dir);
	fd = open(path, O_WRONLY);
	CHECK(lseek(fd, 0, SEEK_END) > 40 * 4096);
	CHECK_EQ(pwrite(fd, zeros, sizeof(zeros), 35 * 4096), sizeof(zeros));
	close(fd);
	CHECK_EQ(store_open(dir, &s, &found), 0);
	CHECK_EQ(store_check(s), -EUCLEAN);
	store_close(s, true);
	CHECK_EQ(store_open(dir, &s, &found), -EUCLEAN);
	CHECK_EQ(store_set_aside(dir), 0);
	CHECK_EQ(store_open(dir, &s, &found), 0);
	CHECK_EQ(store_check(s), 0);
	store_close(s, true);
	remove_aside();
	remove_dir();
}

static bool has_child(struct store *s, const char *kind, int i)
{
	struct node n;
	struct db *db;
	char name[16];
	int rc;

	snprintf(name, sizeof(name), "%s%d", kind, i);
	CHECK_EQ(store_reader(s, &db), 0);
	rc = node_get_child(db, NODE_ROOT, name, &n);
	store_reader_done(s, db);
	CHECK(rc == 0 || rc == -ENOENT);
	return rc == 0;
}

#define PAIRS 12

/* The log as a cut leaves it: ended anywhere, or with bytes that never came.
 * Each transaction is there whole or not at all, in order. */
static unsigned open_torn(const char *from, off_t at, bool cut)
{
	struct store_found found;
	unsigned whole = 0;
	char path[160], cmd[512], junk[512];
	struct store *s;
	int fd;

	snprintf(cmd, sizeof(cmd), "cp %s/state.db* %s/incarnation %s", from,
	         from, dir);
	CHECK_EQ(system(cmd), 0);
	snprintf(path, sizeof(path), "%s/state.db-wal", dir);
	fd = open(path, O_RDWR);
	CHECK(fd >= 0);
	memset(junk, 0xa5, sizeof(junk));
	if (cut)
		CHECK_EQ(ftruncate(fd, at), 0);
	else
		CHECK_EQ(pwrite(fd, junk, sizeof(junk), at), sizeof(junk));
	close(fd);
	snprintf(path, sizeof(path), "%s/state.db-shm", dir);
	unlink(path);
	CHECK_EQ(store_open(dir, &s, &found), 0);
	CHECK_EQ(store_check(s), 0);
	for (int i = 0; i < PAIRS; i++) {
		CHECK_EQ(has_child(s, "a", i), has_child(s, "b", i));
		if (has_child(s, "a", i))
			CHECK_EQ(whole++, i);
	}
	store_close(s, true);
	return whole;
}

/* fault 15 */
static void test_torn_log(void)
{
	struct store_found found;
	char from[64], path[128], cmd[128];
	unsigned lost = 0;
	struct stat st;
	struct store *s;
	struct db *db;

	make_dir();
	strcpy(from, dir);
	CHECK_EQ(store_open(dir, &s, &found), 0);
	store_close(s, true); /* the schema is in the database */
	CHECK_EQ(store_open(dir, &s, &found), 0);
	for (int i = 0; i < PAIRS; i++) {
		char a[16], b[16];
		struct node one, two;

		snprintf(a, sizeof(a), "a%d", i);
		snprintf(b, sizeof(b), "b%d", i);
		one = make_node(100 + 2 * i, NODE_ROOT, a);
		two = make_node(101 + 2 * i, NODE_ROOT, b);
		CHECK_EQ(store_begin(s, &db), 0);
		CHECK_EQ(node_insert(db, &one, NULL), 0);
		CHECK_EQ(node_insert(db, &two, NULL), 0);
		CHECK_EQ(store_commit(s), 0);
	}
	snprintf(path, sizeof(path), "%s/state.db-wal", from);
	CHECK_EQ(stat(path, &st), 0);
	for (off_t at = 0; at + 512 <= st.st_size; at += st.st_size / 11) {
		check_row("at %ld", (long)at);
		make_dir();
		lost += open_torn(from, at, true) < PAIRS;
		lost += open_torn(from, at, false) < PAIRS;
		remove_dir();
	}
	CHECK(lost > 10);
	strcpy(dir, from);
	store_close(s, false);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", from);
	CHECK_EQ(system(cmd), 0);
}

/* fault 59 */
static void test_newer_schema(void)
{
	struct store_found found;
	struct store *s;
	struct db *db;

	make_dir();
	CHECK_EQ(store_open(dir, &s, &found), 0);
	CHECK_EQ(store_begin(s, &db), 0);
	CHECK_EQ(store_set_int(db, "schema", STORE_SCHEMA + 1), 0);
	CHECK_EQ(store_commit(s), 0);
	store_close(s, true);
	CHECK_EQ(store_open(dir, &s, &found), -ENOTSUP);
	remove_dir();
}

/* What a program wrote that had no vaults. */
static void test_older_schema(void)
{
	static const uint8_t id[CODEC_FILE_ID] = { 1 };
	struct codec_bond b = { .known = true, .version = 7 };
	struct attempt *a = attempt_alloc();
	struct store_found found;
	struct store *s;
	struct db *db;

	make_dir();
	CHECK_EQ(store_open(dir, &s, &found), 0);
	CHECK_EQ(store_begin(s, &db), 0);
	CHECK_EQ(db_script(db, "DROP TABLE bond;"
	                       "ALTER TABLE attempt DROP COLUMN bond;"
	                       "ALTER TABLE cfile DROP COLUMN base_hash;"
	                       "ALTER TABLE cfile DROP COLUMN hard;"
	                       "DROP INDEX node_left;"
	                       "DROP TABLE hidden;"
	                       "DROP TABLE harm;"
	                       "DROP TABLE errand;" OLD_LEDGER),
	         0);
	CHECK_EQ(store_set_int(db, "schema", 1), 0);
	CHECK_EQ(store_set_int(db, "k", 5), 0);
	CHECK_EQ(store_commit(s), 0);
	store_close(s, true);

	memcpy(b.file_id, id, sizeof(id));
	CHECK_EQ(store_open(dir, &s, &found), 0);
	CHECK(!found.created);
	CHECK_EQ(store_begin(s, &db), 0);
	a->seed.bond = b;
	CHECK_EQ(attempt_insert(db, a), 0);
	CHECK_EQ(attempt_get(db, a->aid, a), 0);
	CHECK_EQ(a->seed.bond.version, 7);
	CHECK_EQ(bond_put(db, "ID", &b), 0);
	memset(&b, 0, sizeof(b));
	CHECK_EQ(bond_get(db, "ID", &b), 0);
	CHECK(b.known && b.version == 7 && !memcmp(b.file_id, id, sizeof(id)));
	CHECK_EQ(bond_forget(db, "ID"), 0);
	CHECK_EQ(bond_get(db, "ID", &b), 0);
	CHECK(!b.known);
	CHECK_EQ(store_commit(s), 0);
	store_close(s, true);
	attempt_free(a);
	remove_dir();
}

/* What did not know by which hash a base is found. */
static void test_schema_2(void)
{
	struct cfile f = { .cid = 1,
		           .ino = 16,
		           .base_hashed = true,
		           .hard = 9 },
		     got;
	struct store_found found;
	struct store *s;
	struct db *db;

	memset(f.base_hash, 7, sizeof(f.base_hash));
	make_dir();
	CHECK_EQ(store_open(dir, &s, &found), 0);
	CHECK_EQ(store_begin(s, &db), 0);
	CHECK_EQ(db_script(db, "ALTER TABLE cfile DROP COLUMN base_hash;"
	                       "ALTER TABLE cfile DROP COLUMN hard;"
	                       "DROP INDEX node_left;"
	                       "DROP TABLE hidden;"
	                       "DROP TABLE harm;"
	                       "DROP TABLE errand;" OLD_LEDGER),
	         0);
	CHECK_EQ(store_set_int(db, "schema", 2), 0);
	CHECK_EQ(store_commit(s), 0);
	store_close(s, true);
	CHECK_EQ(store_open(dir, &s, &found), 0);
	CHECK(!found.created && found.clean);
	CHECK_EQ(store_begin(s, &db), 0);
	CHECK_EQ(cfile_insert(db, &f), 0);
	CHECK_EQ(cfile_get(db, 1, &got), 0);
	CHECK(got.base_hashed && !memcmp(got.base_hash, f.base_hash, 20));
	CHECK_EQ(got.hard, 9);
	f.base_hashed = false;
	CHECK_EQ(cfile_update(db, &f), 0);
	CHECK_EQ(cfile_get(db, 1, &got), 0);
	CHECK(!got.base_hashed);
	CHECK_EQ(store_commit(s), 0);
	store_close(s, true);
	remove_dir();
}

static void test_readers_see_commits_only(void)
{
	struct store_found found;
	struct store *s;
	struct db *writer, *reader;
	int64_t n;

	make_dir();
	CHECK_EQ(store_open(dir, &s, &found), 0);
	CHECK_EQ(store_begin(s, &writer), 0);
	CHECK_EQ(store_set_int(writer, "k", 7), 0);
	CHECK_EQ(store_reader(s, &reader), 0);
	CHECK_EQ(store_get_int(reader, "k", -1, &n), 0);
	CHECK_EQ(n, -1);
	CHECK_EQ(store_commit(s), 0);
	CHECK_EQ(store_get_int(reader, "k", -1, &n), 0);
	CHECK_EQ(n, 7);
	store_reader_done(s, reader);
	CHECK_EQ(store_begin(s, &writer), 0);
	CHECK_EQ(store_set_int(writer, "k", 8), 0);
	CHECK_EQ(store_rollback(s, -EIO), -EIO);
	CHECK_EQ(store_reader(s, &reader), 0);
	CHECK_EQ(store_get_int(reader, "k", -1, &n), 0);
	CHECK_EQ(n, 7);
	store_reader_done(s, reader);
	CHECK_EQ(store_sync(s), 0);
	store_close(s, true);
	remove_dir();
}

static void quiet(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

int main(void)
{
	log_set_sink(quiet, NULL);
	RUN(test_rows);
	RUN(test_each_stops_and_goes_on);
	RUN(test_incarnations);
	RUN(test_reboots);
	RUN(test_two_numbers);
	RUN(test_starts_that_fail);
	RUN(test_numbers_after_loss);
	RUN(test_damaged);
	RUN(test_set_aside);
	RUN(test_check_marks);
	RUN(test_torn_log);
	RUN(test_newer_schema);
	RUN(test_older_schema);
	RUN(test_schema_2);
	RUN(test_readers_see_commits_only);
	return check_report();
}
