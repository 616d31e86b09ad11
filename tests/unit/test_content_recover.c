#include "fs/content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/attempt.h"
#include "fs/db.h"
#include "net/log.h"
#include "tests/unit/content_rig.h"

static struct crig rig;
static struct content *c;

/* The node's content after the program died. */
static void kill_and_get(uint64_t ino, bool rebooted)
{
	crig_kill(&rig, c, rebooted);
	c = crig_get(&rig, ino);
}

static ssize_t read_byte(struct content *of, uint64_t off)
{
	uint8_t byte;

	return content_pread(of, &byte, 1, off);
}

/* ---- the program died -------------------------------------------------- */

static void test_kill_before_close(void)
{
	uint64_t ino;

	crig_open(&rig);
	ino = crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 100000, 1);
	kill_and_get(ino, false);
	CHECK_EQ(rig.found.resized, 1);
	CHECK_EQ(rig.found.lost, 0);
	CHECK_EQ(content_size(c), 100000);
	CHECK_EQ(crig_node(&rig, ino).size, 100000);
	crig_expect(c, 0, 100000, 1);

	crig_settle(c);
	crig_write(c, 50, 10, 2); /* in place, then again no close */
	CHECK_EQ(content_truncate(c, 70000), 0);
	kill_and_get(ino, false);
	CHECK_EQ(content_size(c), 70000);
	crig_expect(c, 50, 10, 2);
	crig_expect(c, 60, 69940, 1);
	crig_settle(c);
	content_put(c);
	crig_close(&rig);
}

static void test_kill_after_close(void)
{
	uint64_t ino;

	crig_open(&rig);
	ino = crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 100000, 1);
	CHECK_EQ(content_transact(c, NULL, NULL), 0);
	for (int i = 0; i < 3; i++) { /* recovery changes nothing */
		kill_and_get(ino, false);
		CHECK_EQ(rig.found.resized, 0);
		CHECK(content_is_soft(c));
		crig_expect(c, 0, 100000, 1);
	}
	content_put(c);
	crig_close(&rig);
}

/* What arrived or was written since the last save is forgotten, not mixed. */
static void test_kill_partial(void)
{
	uint64_t ino;

	crig_open(&rig);
	ino = crig_add_remote(&rig, "a", 4 * CHUNK_SIZE, &c);
	crig_arrive(c, 0, 1);
	crig_write(c, CHUNK_SIZE + 5, 10, 2);
	CHECK_EQ(content_transact(c, NULL, NULL), 0);
	crig_write(c, CHUNK_SIZE + 50, 10, 2);
	crig_arrive(c, 2, 1);
	kill_and_get(ino, false);
	CHECK_EQ(content_size(c), 4 * CHUNK_SIZE);
	crig_expect(c, 0, CHUNK_SIZE, 1);
	CHECK_EQ(read_byte(c, 2 * CHUNK_SIZE), -EAGAIN);
	for (uint64_t idx = 1; idx < 4; idx++)
		crig_arrive(c, idx, 1);
	crig_expect(c, CHUNK_SIZE, 5, 1);
	crig_expect(c, CHUNK_SIZE + 5, 10, 2);
	crig_expect(c, CHUNK_SIZE + 15, 3 * CHUNK_SIZE - 15, 1);
	crig_settle(c);
	content_put(c);
	crig_close(&rig);
}

/* ---- the machine died -------------------------------------------------- */

static int64_t count_attempts(void)
{
	struct db *db;
	int64_t n = -1;

	CHECK_EQ(store_reader(rig.store, &db), 0);
	CHECK_EQ(attempt_count(db, &n), 0);
	store_reader_done(rig.store, db);
	return n;
}

/* What it had begun to send goes with it: nobody would ask for that again. */
static void test_reboot_new_file(void)
{
	uint64_t ino, settled;

	crig_open(&rig);
	settled = crig_add_file(&rig, "b", &c);
	crig_write(c, 0, 100, 1);
	crig_settle(c);
	content_put(c);
	ino = crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 100, 1);
	crig_add_attempt(&rig, ino, 1);
	crig_kill(&rig, c, true);
	CHECK_EQ(rig.found.reverted, 1);
	CHECK_EQ(rig.found.quarantined, 1);
	CHECK_EQ(crig_node(&rig, ino).ino, 0);
	CHECK_EQ(count_attempts(), 0);
	CHECK_EQ(crig_count_quarantined(&rig), 1);
	c = crig_get(&rig, settled);
	crig_expect(c, 0, 100, 1);
	content_put(c);
	crig_close(&rig);
}

/* The disk noted that a file grew within its last block, and not the bytes:
 * it is as it was durable. Zeros that take a block of their own are a hole. */
static void test_reboot_grown_without_bytes(void)
{
	static const struct {
		size_t old, grown;
		bool bytes;
		size_t want;
	} rows[] = {
		{ 100, 300, false, 100 },    { 100, 300, true, 300 },
		{ 100, 4096, false, 100 },   { 100, 4097, false, 4097 },
		{ 4096, 4200, false, 4200 }, { 5000, 7000, false, 5000 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t ino, cid;
		char path[128];

		check_row("%zu", i);
		crig_open(&rig);
		ino = crig_add_file(&rig, "a", &c);
		cid = content_cid(c);
		crig_write(c, 0, rows[i].old, 1);
		crig_settle(c);
		crig_write(c, rows[i].old, rows[i].grown - rows[i].old, 2);
		if (!rows[i].bytes) {
			crig_path(&rig, cid, "", path);
			CHECK_EQ(truncate(path, (off_t)rows[i].old), 0);
			CHECK_EQ(truncate(path, (off_t)rows[i].grown), 0);
		}
		crig_kill(&rig, c, true);
		CHECK_EQ(crig_node(&rig, ino).size, rows[i].want);
		c = crig_get(&rig, ino);
		CHECK_EQ(content_size(c), rows[i].want);
		crig_expect(c, 0, rows[i].old, 1);
		content_put(c);
		crig_close(&rig);
	}
}

/* Changed in place and not flushed: blocks may be old. */
static void edit_unflushed(uint64_t *out_ino)
{
	crig_open(&rig);
	*out_ino = crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 100, 1);
	crig_upload(&rig, c);
	content_freeze(c);
	crig_write(c, 0, 50, 2);
	CHECK_EQ(content_gen(c), 2);
}

/* An upload of it that arrived does not make the bytes here what arrived. */
static void test_reboot_edit_under_way(void)
{
	struct cfile row;
	uint64_t ino;

	edit_unflushed(&ino);
	crig_add_attempt(&rig, ino, 2);
	crig_kill(&rig, c, true);
	CHECK_EQ(crig_node(&rig, ino).gen, 3);
	CHECK(crig_node(&rig, ino).flags & NODE_DIRTY);
	c = crig_get(&rig, ino);
	content_get_row(c, &row);
	CHECK_EQ(row.gen, 3);
	CHECK(!(row.flags & CFILE_CLEAN));
	content_put(c);
	crig_close(&rig);
}

static void test_reboot_edit_that_arrived(void)
{
	struct node n;
	struct db *db;
	uint64_t ino;

	edit_unflushed(&ino);
	CHECK_EQ(store_begin(rig.store, &db), 0);
	CHECK_EQ(node_get(db, ino, &n), 0);
	n.s_gen = 2;
	n.s_len = 100;
	CHECK_EQ(node_update(db, &n), 0);
	CHECK_EQ(store_end(rig.store, 0), 0);
	crig_kill(&rig, c, true);
	n = crig_node(&rig, ino);
	CHECK_EQ(n.cid, 0);
	CHECK_EQ(n.gen, 2);
	CHECK_EQ(n.size, 100);
	CHECK_EQ(crig_count_quarantined(&rig), 1);
	crig_close(&rig);
}

/* It had taken over the item of a file that was unlinked here: the item is to
 * be deleted on the server, so the row stays, without a place. */
static void test_reboot_new_file_of_an_old_item(void)
{
	struct node n;
	struct db *db;
	uint64_t ino;
	int rc;

	crig_open(&rig);
	ino = crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 100, 1);
	rc = store_begin(rig.store, &db);
	if (rc == 0)
		rc = node_get(db, ino, &n);
	snprintf(n.s_id, sizeof(n.s_id), "1!2");
	n.s_gen = 0;
	if (rc == 0)
		rc = node_update(db, &n);
	CHECK_EQ(store_end(rig.store, rc), 0);
	crig_kill(&rig, c, true);
	n = crig_node(&rig, ino);
	CHECK_EQ(n.ino, ino);
	CHECK_EQ(n.parent, 0);
	CHECK_EQ(n.cid, 0);
	CHECK(n.flags & NODE_DIRTY);
	CHECK_STR(n.s_id, "1!2");
	CHECK_EQ(crig_count_quarantined(&rig), 1);
	crig_close(&rig);
}

/* Back over any number of replaced versions to the last durable one. */
static void test_reboot_replaced(void)
{
	for (unsigned times = 1; times < 4; times++) {
		uint64_t ino;

		check_row("%u times", times);
		crig_open(&rig);
		ino = crig_add_file(&rig, "a", &c);
		crig_write(c, 0, 100000, 1);
		crig_settle(c);
		for (unsigned i = 0; i < times; i++) {
			content_put(c);
			c = crig_replace(&rig, ino);
			crig_write(c, 0, 50, 2);
		}
		CHECK_EQ(contents_tidy(rig.cs), 0);
		kill_and_get(ino, true);
		CHECK_EQ(rig.found.reverted, 1);
		CHECK_EQ(rig.found.quarantined, times);
		CHECK_EQ(crig_node(&rig, ino).size, 100000);
		CHECK_EQ(crig_node(&rig, ino).gen, content_gen(c));
		crig_expect(c, 0, 100000, 1);
		kill_and_get(ino, true); /* again */
		CHECK_EQ(rig.found.reverted, 0);
		crig_expect(c, 0, 100000, 1);
		content_put(c);
		crig_close(&rig);
	}
}

/* No reboot: what replaced it stays. */
static void test_kill_replaced(void)
{
	uint64_t ino;

	crig_open(&rig);
	ino = crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 100000, 1);
	crig_settle(c);
	content_put(c);
	c = crig_replace(&rig, ino);
	crig_write(c, 0, 50, 2);
	kill_and_get(ino, false);
	CHECK_EQ(content_size(c), 50);
	crig_expect(c, 0, 50, 2);
	crig_settle(c);
	content_put(c);
	crig_close(&rig);
}

static void test_reboot_server_has_it(void)
{
	uint64_t ino, old;
	struct node n;

	crig_open(&rig);
	ino = crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 100, 1);
	crig_upload(&rig, c);
	old = content_cid(c);
	content_put(c);
	CHECK_EQ(content_evict(rig.cs, old), 0);
	c = crig_replace(&rig, ino);
	crig_write(c, 0, 50, 2);
	crig_kill(&rig, c, true);
	n = crig_node(&rig, ino);
	CHECK_EQ(n.cid, 0);
	CHECK_EQ(n.gen, n.s_gen);
	CHECK_EQ(n.size, 100);
	CHECK(n.flags & NODE_DIRTY);
	crig_close(&rig);
}

/* The server has just what was lost here: it is taken from there. */
static void test_reboot_server_has_the_same(void)
{
	uint64_t ino;
	struct node n;

	crig_open(&rig);
	ino = crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 100, 1);
	crig_upload(&rig, c);
	content_put(c);
	c = crig_replace(&rig, ino);
	crig_write(c, 0, 50, 2);
	n = crig_node(&rig, ino);
	n.s_gen = n.gen; /* sent before the disk had it */
	n.s_len = 50;
	crig_update(&rig, &n);
	crig_kill(&rig, c, true);
	n = crig_node(&rig, ino);
	CHECK_EQ(n.cid, 0);
	CHECK_EQ(n.gen, n.s_gen);
	CHECK_EQ(n.size, 50);
	crig_close(&rig);
}

static enum attempt_state get_attempt_state(uint64_t ino)
{
	struct attempt *a = attempt_alloc();
	enum attempt_state state;
	struct db *db;

	CHECK_EQ(store_reader(rig.store, &db), 0);
	CHECK_EQ(attempt_get_by_ino(db, ino, a), 0);
	state = a->state;
	store_reader_done(rig.store, db);
	attempt_free(a);
	return state;
}

/* It may turn out that generation 2, lost here, is on the server: nothing
 * written after the power cut may bear that number, nor what came back. */
static void test_reboot_with_attempt(void)
{
	for (int evicted = 0; evicted < 2; evicted++) {
		uint64_t ino, cid;
		struct cfile row;
		struct node n;

		check_row("evicted %d", evicted);
		crig_open(&rig);
		ino = crig_add_file(&rig, "a", &c);
		cid = content_cid(c);
		crig_write(c, 0, 100, 1);
		crig_upload(&rig, c);
		content_put(c);
		if (evicted)
			CHECK_EQ(content_evict(rig.cs, cid), 0);
		c = crig_replace(&rig, ino);
		crig_write(c, 0, 50, 2);
		CHECK_EQ(content_gen(c), 2);
		crig_add_attempt(&rig, ino, 2);
		crig_kill(&rig, c, true);
		n = crig_node(&rig, ino);
		CHECK_EQ(get_attempt_state(ino), ATTEMPT_LOOK);
		CHECK_EQ(n.size, 100);
		CHECK_EQ(n.gen, 3);
		CHECK_EQ(n.cid, evicted ? 0 : cid);
		CHECK_EQ(n.s_gen, evicted ? 3 : 1);
		if (!evicted) {
			c = crig_get(&rig, ino);
			content_get_row(c, &row);
			CHECK_EQ(row.gen, 3);
			CHECK(!(row.flags & CFILE_CLEAN));
			crig_expect(c, 0, 100, 1);
			content_put(c);
		}
		crig_close(&rig);
	}
}

/* a was just written and renamed over b: a power cut leaves b's bytes under
 * the name, as a change of node a. */
static void test_reboot_renamed_over(void)
{
	uint64_t a, b, b_cid;
	struct content *cb;
	struct cfile row;
	struct node n;
	struct db *db;

	crig_open(&rig);
	b = crig_add_file(&rig, "b", &cb);
	crig_write(cb, 0, 200, 1);
	crig_upload(&rig, cb);
	b_cid = content_cid(cb);
	content_put(cb);
	a = crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 50, 2);
	CHECK_EQ(store_begin(rig.store, &db), 0);
	CHECK_EQ(node_delete(db, b), 0);
	CHECK_EQ(node_set_place(db, a, NODE_ROOT, "b", NULL), 0);
	CHECK_EQ(cfile_get(db, content_cid(c), &row), 0);
	row.prev = b_cid;
	CHECK_EQ(cfile_update(db, &row), 0);
	CHECK_EQ(store_commit(rig.store), 0);
	content_collect(rig.cs, b_cid);
	CHECK_EQ(contents_tidy(rig.cs), 0);

	crig_kill(&rig, c, true);
	n = crig_node(&rig, a);
	CHECK_EQ(n.cid, b_cid);
	CHECK(n.gen > 1 && n.gen != n.s_gen);
	c = crig_get(&rig, a);
	CHECK_EQ(content_ino(c), a);
	content_get_row(c, &row);
	CHECK(!(row.flags & CFILE_CLEAN)); /* not of this node's item */
	crig_expect(c, 0, 200, 1);
	crig_write(c, 0, 1, 3);
	CHECK_EQ(crig_node(&rig, a).gen, content_gen(c));
	content_put(c);
	crig_close(&rig);
}

/* ---- damage ------------------------------------------------------------ */

/* fault 18, 51 */
static void test_flipped_clean(void)
{
	uint64_t ino, cid;

	crig_open(&rig);
	ino = crig_add_file(&rig, "a", &c);
	cid = content_cid(c);
	crig_write(c, 0, 3 * CHUNK_SIZE + 10, 1);
	crig_upload(&rig, c);
	content_put(c);
	crig_flip(&rig, cid, "", CHUNK_SIZE + 9);
	c = crig_get(&rig, ino);
	crig_expect(c, 0, CHUNK_SIZE, 1);
	CHECK_EQ(read_byte(c, CHUNK_SIZE), -EAGAIN); /* asked for again */
	CHECK_EQ(read_byte(c, CHUNK_SIZE), -EAGAIN);
	content_put(c);
	c = crig_get(&rig, ino);
	CHECK_EQ(content_is_whole(c), 0);
	crig_expect(c, 2 * CHUNK_SIZE, CHUNK_SIZE + 10, 1);
	crig_arrive(c, 1, 1);
	CHECK_EQ(content_is_whole(c), 1);
	crig_expect(c, 0, 3 * CHUNK_SIZE + 10, 1);
	content_put(c);
	crig_close(&rig);
}

/* fault 18 */
static void test_flipped_dirty(void)
{
	uint64_t ino, cid;
	struct stat st;
	char path[128];

	crig_open(&rig);
	ino = crig_add_file(&rig, "a", &c);
	cid = content_cid(c);
	crig_write(c, 0, 3 * CHUNK_SIZE, 1);
	crig_settle(c);
	content_put(c);
	crig_flip(&rig, cid, "", 2 * CHUNK_SIZE);
	c = crig_get(&rig, ino);
	CHECK_EQ(read_byte(c, 2 * CHUNK_SIZE), -EIO);
	CHECK_EQ(read_byte(c, 2 * CHUNK_SIZE), -EIO);
	crig_expect(c, 0, 2 * CHUNK_SIZE, 1);
	crig_path(&rig, cid, "", path);
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_size, 3 * CHUNK_SIZE);         /* kept */
	crig_write(c, 2 * CHUNK_SIZE, CHUNK_SIZE, 2); /* the way out */
	crig_expect(c, 2 * CHUNK_SIZE, CHUNK_SIZE, 2);
	content_put(c);
	crig_close(&rig);
}

/* The file is gone, cut, or something else. */
enum harm { REMOVE, CUT, FOLDER, SHARD };

static void do_harm(uint64_t cid, enum harm harm)
{
	char path[128];

	crig_path(&rig, cid, "", path);
	if (harm == CUT) {
		CHECK_EQ(truncate(path, CHUNK_SIZE + 1), 0);
		return;
	}
	CHECK_EQ(unlink(path), 0);
	if (harm == FOLDER)
		CHECK_EQ(mkdir(path, 0700), 0);
	if (harm == SHARD) {
		*strrchr(path, '/') = '\0';
		CHECK_EQ(rmdir(path), 0);
	}
}

static void test_harmed_clean(void)
{
	for (int harm = REMOVE; harm <= SHARD; harm++) {
		uint64_t ino, cid;

		check_row("harm %d", harm);
		crig_open(&rig);
		ino = crig_add_file(&rig, "a", &c);
		cid = content_cid(c);
		crig_write(c, 0, 3 * CHUNK_SIZE, 1);
		crig_upload(&rig, c);
		content_put(c);
		do_harm(cid, (enum harm)harm);
		c = crig_get(&rig, ino);
		CHECK_EQ(read_byte(c, CHUNK_SIZE), -EAGAIN);
		for (uint64_t idx = 0; idx < 3; idx++)
			crig_arrive(c, idx, 1);
		if (harm == CUT) /* not looked at yet */
			CHECK_EQ(read_byte(c, 2 * CHUNK_SIZE), -EAGAIN);
		crig_arrive(c, 2, 1);
		crig_expect(c, 0, 3 * CHUNK_SIZE, 1);
		crig_write(c, 0, 10, 2);
		crig_settle(c);
		content_put(c);
		crig_close(&rig);
	}
}

static void test_harmed_dirty(void)
{
	for (int i = REMOVE; i <= 2 * SHARD + 1; i++) {
		enum harm harm = (enum harm)(i / 2);
		bool soft = i % 2;
		uint64_t ino, cid;

		check_row("harm %d soft %d", harm, soft);
		if (soft && harm == CUT)
			continue; /* the file's size counts then */
		crig_open(&rig);
		ino = crig_add_file(&rig, "a", &c);
		cid = content_cid(c);
		crig_write(c, 0, 3 * CHUNK_SIZE, 1);
		if (!soft)
			crig_settle(c);
		content_put(c);
		c = NULL;
		do_harm(cid, harm);
		if (soft) {
			crig_kill(&rig, NULL, false);
			CHECK_EQ(rig.found.lost, 1);
		}
		c = crig_get(&rig, ino);
		CHECK_EQ(content_size(c), 3 * CHUNK_SIZE); /* not empty */
		CHECK_EQ(read_byte(c, 2 * CHUNK_SIZE), -EIO);
		if (harm != CUT) {
			CHECK_EQ(content_settle(c), -EIO);
			CHECK_EQ(content_write(c, "x", 1, 0), -EIO);
		}
		content_put(c);
		crig_close(&rig);
	}
}

/* A torn block in a chunk that a crash left without a checksum can't be told;
 * in one that was settled before, and not touched since, it must. */
static void test_crash_keeps_no_old_sums(void)
{
	uint64_t ino;

	crig_open(&rig);
	ino = crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 2 * CHUNK_SIZE, 1);
	crig_settle(c);
	crig_write(c, 5, 10, 2);
	kill_and_get(ino, true);
	CHECK_EQ(rig.found.reverted, 0); /* was durable: edited in place */
	crig_expect(c, 5, 10, 2);        /* not held against the old sum */
	crig_expect(c, CHUNK_SIZE, CHUNK_SIZE, 1);
	content_put(c);
	crig_close(&rig);
}

/* ---- scan -------------------------------------------------------------- */

static void put_file(const char *name)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/content/%s", rig.dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, "x", 1), 1);
	close(fd);
}

static void test_scan(void)
{
	struct content_scan found;
	char path[128];
	uint64_t ino, cid, gone;
	struct content *other;
	struct node n;

	crig_open(&rig);
	ino = crig_add_file(&rig, "a", &c);
	cid = content_cid(c);
	crig_write(c, 0, 100, 1);
	crig_settle(c);
	CHECK_EQ(contents_scan(rig.cs, &found), 0);
	CHECK_EQ(found.moved + found.collected + found.lost, 0);

	/* A row that lost its use when the program died. */
	n = crig_node(&rig, crig_add_file(&rig, "b", &other));
	gone = content_cid(other);
	crig_write(other, 0, 100, 1);
	content_put(other);
	n.cid = 0;
	crig_update(&rig, &n);

	snprintf(path, sizeof(path), "%s/content/ee", rig.dir);
	CHECK_EQ(mkdir(path, 0700), 0);
	put_file("ee/00000000000000ee");      /* no row */
	put_file("ee/00000000000000ed");      /* not its shard */
	put_file("ee/00000000000000ee.snap"); /* no row: no worth either */
	put_file("ee/what");
	put_file("what");
	put_file("fff");
	put_file("0f"); /* in place of a shard */
	snprintf(path, sizeof(path), "%s/content/ee/dir", rig.dir);
	CHECK_EQ(mkdir(path, 0700), 0);
	CHECK_EQ(contents_scan(rig.cs, &found), 0);
	CHECK_EQ(found.moved, 7);
	CHECK_EQ(found.collected, 1);
	CHECK_EQ(found.lost, 0);
	CHECK_EQ(crig_count_quarantined(&rig), 7); /* two are called "what" */
	CHECK(!crig_has_file(&rig, gone, ""));
	CHECK(!crig_has_file(&rig, 0xee, ".snap"));
	crig_expect(c, 0, 100, 1);
	content_put(c);

	do_harm(cid, REMOVE);
	CHECK_EQ(contents_scan(rig.cs, &found), 0);
	CHECK_EQ(found.lost, 1);
	CHECK_EQ(crig_node(&rig, ino).cid, cid);
	crig_close(&rig);
}

/* The database is lost, the content is not: it is kept where a person finds
 * it, and no number comes again. */
static void test_scan_after_rebuild(void)
{
	struct content_scan found;
	char path[128];
	uint64_t cid, fresh;
	int fd;

	crig_open(&rig);
	crig_add_file(&rig, "a", &c);
	cid = content_cid(c);
	crig_write(c, 0, 100, 1);
	crig_settle(c);
	content_put(c);
	contents_free(rig.cs);
	store_close(rig.store, false);
	snprintf(path, sizeof(path), "%s/state.db", rig.dir);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	CHECK_EQ(write(fd, "this is no database any more", 28), 28);
	close(fd);
	CHECK_EQ(store_set_aside(rig.dir), 0);
	crig_start(&rig);
	crig_add_file(&rig, "b", &c);
	fresh = content_cid(c);
	CHECK(fresh != cid);
	crig_write(c, 0, 100, 2);
	CHECK_EQ(contents_scan(rig.cs, &found), 0);
	CHECK_EQ(found.moved, 1);
	CHECK(!crig_has_file(&rig, cid, ""));
	CHECK(crig_has_file(&rig, fresh, ""));
	crig_expect(c, 0, 100, 2);
	content_put(c);
	crig_close(&rig);
}

/* Evicted when the program died: the file goes, to nowhere. */
static void test_scan_evicted(void)
{
	struct content_scan found;
	uint64_t cid;

	crig_open(&rig);
	crig_add_file(&rig, "a", &c);
	cid = content_cid(c);
	crig_write(c, 0, 100, 1);
	crig_upload(&rig, c);
	content_put(c);
	CHECK_EQ(content_evict(rig.cs, cid), 0);
	crig_kill(&rig, NULL, false);
	CHECK(crig_has_file(&rig, cid, ""));
	CHECK_EQ(contents_scan(rig.cs, &found), 0);
	CHECK_EQ(found.collected, 1);
	CHECK_EQ(found.moved, 0);
	CHECK(!crig_has_file(&rig, cid, ""));
	CHECK_EQ(crig_count_quarantined(&rig), 0);
	crig_close(&rig);
}

/* Damage is what these tests make: its log lines are no news. */
static void drop_line(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

int main(void)
{
	log_set_sink(drop_line, NULL);
	RUN(test_kill_before_close);
	RUN(test_kill_after_close);
	RUN(test_kill_partial);
	RUN(test_reboot_new_file);
	RUN(test_reboot_new_file_of_an_old_item);
	RUN(test_reboot_grown_without_bytes);
	RUN(test_reboot_edit_under_way);
	RUN(test_reboot_edit_that_arrived);
	RUN(test_reboot_replaced);
	RUN(test_kill_replaced);
	RUN(test_reboot_server_has_it);
	RUN(test_reboot_server_has_the_same);
	RUN(test_reboot_with_attempt);
	RUN(test_reboot_renamed_over);
	RUN(test_flipped_clean);
	RUN(test_flipped_dirty);
	RUN(test_harmed_clean);
	RUN(test_harmed_dirty);
	RUN(test_crash_keeps_no_old_sums);
	RUN(test_scan);
	RUN(test_scan_evicted);
	RUN(test_scan_after_rebuild);
	return check_report();
}
