#include "tests/unit/content_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/attempt.h"
#include "fs/db.h"

static void run(const char *const argv[])
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void make_dir(const char *base, char dir[64])
{
	snprintf(dir, 64, "%s/nmb-content-XXXXXX", base);
	CHECK(mkdtemp(dir) != NULL);
}

void crig_start(struct crig *r)
{
	struct store_found found;

	CHECK_EQ(store_open(r->dir, &r->store, &found), 0);
	CHECK_EQ(contents_new(r->dir, r->store, &r->cs), 0);
}

static void stop(struct crig *r)
{
	contents_free(r->cs);
	store_close(r->store, false);
	run((const char *const[]){ "rm", "-rf", r->dir, NULL });
}

void crig_open_in(struct crig *r, const char *base)
{
	memset(r, 0, sizeof(*r));
	make_dir(base, r->dir);
	crig_start(r);
}

void crig_open(struct crig *r)
{
	crig_open_in(r, "/tmp");
}

void crig_close(struct crig *r)
{
	stop(r);
}

void crig_make_dir(char dir[64])
{
	make_dir("/tmp", dir);
}

void crig_move(struct crig *r, const char *dir, bool rebooted)
{
	stop(r);
	strcpy(r->dir, dir);
	crig_start(r);
	CHECK_EQ(contents_recover(r->cs, rebooted, &r->found), 0);
}

void crig_copy(struct crig *r, const char *to)
{
	char from[80];

	snprintf(from, sizeof(from), "%s/.", r->dir);
	run((const char *const[]){ "cp", "-a", from, to, NULL });
}

void crig_kill(struct crig *r, struct content *live, bool rebooted)
{
	char to[64];

	crig_make_dir(to);
	crig_copy(r, to);
	content_put(live);
	crig_move(r, to, rebooted);
}

/* ---- nodes ------------------------------------------------------------- */

static struct node make_node(struct crig *r, const char *name)
{
	struct node n = { .ino = store_next_ino(r->store),
		          .mode = 0100644,
		          .parent = NODE_ROOT,
		          .gen = 1,
		          .flags = NODE_DIRTY };

	snprintf(n.name, sizeof(n.name), "%s", name);
	return n;
}

static void insert(struct crig *r, struct node *n, struct cfile *remote)
{
	struct db *db;
	int rc = store_begin(r->store, &db);

	if (rc == 0 && remote)
		rc = content_add_absent(r->cs, db, remote);
	else if (rc == 0)
		rc = content_add_empty(r->cs, db, n->ino, n->gen, 0, &n->cid);
	if (remote)
		n->cid = remote->cid;
	if (rc == 0)
		rc = node_insert(db, n, NULL);
	CHECK_EQ(store_end(r->store, rc), 0);
}

uint64_t crig_add_file(struct crig *r, const char *name, struct content **out_c)
{
	struct node n = make_node(r, name);

	insert(r, &n, NULL);
	CHECK_EQ(content_get(r->cs, n.cid, true, out_c), 0);
	return n.ino;
}

uint64_t crig_add_remote(struct crig *r, const char *name, uint64_t size,
                         struct content **out_c)
{
	struct node n = make_node(r, name);
	struct cfile row = { .ino = n.ino,
		             .size = size,
		             .gen = 1,
		             .base_id = "ID",
		             .base_etag = "E1",
		             .base_size = size };

	snprintf(n.s_id, sizeof(n.s_id), "%s", name);
	n.s_gen = 1;
	n.size = n.s_len = n.s_size = size;
	insert(r, &n, &row);
	CHECK_EQ(content_get(r->cs, row.cid, false, out_c), 0);
	return n.ino;
}

struct node crig_node(struct crig *r, uint64_t ino)
{
	struct node n = { 0 };
	struct db *db;

	CHECK_EQ(store_reader(r->store, &db), 0);
	if (node_get(db, ino, &n) < 0)
		n.ino = 0;
	store_reader_done(r->store, db);
	return n;
}

void crig_update(struct crig *r, const struct node *n)
{
	struct db *db;
	int rc = store_begin(r->store, &db);

	if (rc == 0)
		rc = node_update(db, n);
	CHECK_EQ(store_end(r->store, rc), 0);
}

struct content *crig_get(struct crig *r, uint64_t ino)
{
	struct content *c = NULL;

	CHECK_EQ(content_get(r->cs, crig_node(r, ino).cid, false, &c), 0);
	return c;
}

struct content *crig_replace(struct crig *r, uint64_t ino)
{
	struct node n = crig_node(r, ino);
	struct content *c = NULL;
	struct db *db;
	int rc = store_begin(r->store, &db);

	n.gen++;
	n.size = 0;
	if (rc == 0)
		rc = content_add_empty(r->cs, db, ino, n.gen, n.cid, &n.cid);
	if (rc == 0)
		rc = node_update(db, &n);
	CHECK_EQ(store_end(r->store, rc), 0);
	CHECK_EQ(content_get(r->cs, n.cid, true, &c), 0);
	return c;
}

/* ---- contents ---------------------------------------------------------- */

void crig_add_attempt(struct crig *r, uint64_t ino, uint64_t gen)
{
	struct attempt *a = attempt_alloc();
	struct db *db;
	int rc;

	a->ino = ino;
	a->gen = gen;
	rc = store_begin(r->store, &db);
	if (rc == 0)
		rc = attempt_insert(db, a);
	CHECK_EQ(store_end(r->store, rc), 0);
	attempt_free(a);
}

void crig_settle(struct content *c)
{
	CHECK_EQ(content_settle(c), 0);
	CHECK(!content_is_soft(c));
}

static int edit_uploaded(void *arg, struct db *db, struct cfile *row)
{
	struct node n;
	int rc = node_get(db, row->ino, &n);

	(void)arg;
	row->flags |= CFILE_CLEAN;
	strcpy(row->base_id, "ID");
	strcpy(row->base_etag, "E2");
	row->base_size = row->size;
	n.s_gen = row->gen;
	n.s_len = n.size = row->size;
	strcpy(n.s_id, n.name);
	return rc < 0 ? rc : node_update(db, &n);
}

void crig_upload(struct crig *r, struct content *c)
{
	crig_settle(c);
	CHECK_EQ(content_transact(c, edit_uploaded, NULL), 0);
	CHECK_EQ(store_sync(r->store), 0);
}

void crig_pattern(void *buf, size_t len, uint64_t off, unsigned version)
{
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++) {
		uint64_t at = off + i;

		p[i] = version ? (uint8_t)((at + at / 251 + at / CHUNK_SIZE +
		                            version * 97) %
		                                   255 +
		                           1)
		               : 0;
	}
}

void crig_write(struct content *c, uint64_t off, size_t len, unsigned version)
{
	void *buf = malloc(len);

	crig_pattern(buf, len, off, version);
	CHECK_EQ(content_write(c, buf, len, off), 0);
	free(buf);
}

void crig_arrive(struct content *c, uint64_t idx, unsigned version)
{
	uint8_t buf[CHUNK_SIZE];

	crig_pattern(buf, CHUNK_SIZE, idx * CHUNK_SIZE, version);
	CHECK_EQ(content_store_chunk(c, NULL, idx, buf, CHUNK_SIZE), 0);
}

void crig_expect(struct content *c, uint64_t off, size_t len, unsigned version)
{
	void *want = malloc(len + 1), *got = malloc(len + 1);

	memset(got, 0, len + 1);
	crig_pattern(want, len, off, version);
	CHECK_EQ(content_pread(c, got, len, off), len);
	CHECK_MEM(got, want, len);
	free(want);
	free(got);
}

/* ---- the disk ---------------------------------------------------------- */

void crig_path(struct crig *r, uint64_t cid, const char *suffix, char out[128])
{
	snprintf(out, 128, "%s/content/%02x/%016" PRIx64 "%s", r->dir,
	         (unsigned)(cid & 0xff), cid, suffix);
}

void crig_flip(struct crig *r, uint64_t cid, const char *suffix, uint64_t off)
{
	char path[128];
	uint8_t byte = 0;
	int fd;

	crig_path(r, cid, suffix, path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK_EQ(pread(fd, &byte, 1, (off_t)off), 1);
	byte ^= 0x40;
	CHECK_EQ(pwrite(fd, &byte, 1, (off_t)off), 1);
	close(fd);
}

bool crig_has_file(struct crig *r, uint64_t cid, const char *suffix)
{
	char path[128];

	crig_path(r, cid, suffix, path);
	return access(path, F_OK) == 0;
}

unsigned crig_count_quarantined(struct crig *r)
{
	char path[128];
	struct dirent *e;
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/quarantine", r->dir);
	dir = opendir(path);
	CHECK(dir != NULL);
	while (dir && (e = readdir(dir)))
		n += e->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}
