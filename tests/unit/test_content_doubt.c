/* After a power cut: content that had come from the server, of which not all
 * had reached the disk. What is missing is fetched again, whatever has become
 * of the file since; it never passes for what was there. */
#include "fs/content.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/attempt.h"
#include "fs/db.h"
#include "net/log.h"
#include "tests/unit/content_rig.h"

#define SIZE (3 * CHUNK_SIZE)

static struct crig rig;
static struct content *c;

/* A file of the server, all of it read here, and nobody has it open. */
static uint64_t add_read(const char *name)
{
	uint64_t ino = crig_add_remote(&rig, name, SIZE, &c);

	for (uint64_t idx = 0; idx < SIZE / CHUNK_SIZE; idx++)
		crig_arrive(c, idx, 1);
	content_put(c);
	return ino;
}

/* What the disk had of the chunk was not its bytes. */
static void cut(uint64_t cid, uint64_t damaged)
{
	crig_flip(&rig, cid, "", damaged * CHUNK_SIZE + 100);
	crig_kill(&rig, c, true);
}

static void expect_absent(uint64_t idx)
{
	uint8_t byte;

	CHECK_EQ(content_pread(c, &byte, 1, idx * CHUNK_SIZE), -EAGAIN);
	CHECK_EQ(content_is_whole(c), 0);
}

static uint32_t flags_now(void)
{
	struct cfile row;

	content_get_row(c, &row);
	return row.flags;
}

static void finish(void)
{
	content_put(c);
	crig_close(&rig);
}

/* ---- what is gone back to ------------------------------------------------ */

/* Written anew, that had begun to be sent: the file goes back to what it was,
 * as a change of its own, and that is not all here. */
static void test_gone_back_to(void)
{
	uint64_t ino, cid;
	struct node n;

	crig_open(&rig);
	ino = add_read("a");
	cid = crig_node(&rig, ino).cid;
	c = crig_replace(&rig, ino);
	crig_write(c, 0, 50, 2);
	crig_add_attempt(&rig, ino, 2);
	cut(cid, 1);
	n = crig_node(&rig, ino);
	CHECK_EQ(n.cid, cid);
	CHECK_EQ(n.gen, 3);
	c = crig_get(&rig, ino);
	CHECK(!(flags_now() & CFILE_CLEAN));
	crig_expect(c, 0, CHUNK_SIZE, 1);
	expect_absent(1);
	crig_arrive(c, 1, 1);
	crig_expect(c, 0, SIZE, 1);
	finish();
}

/* The same, and not even its name had reached the disk. */
static void test_gone_back_to_no_file(void)
{
	uint64_t ino, cid;
	char path[128];

	crig_open(&rig);
	ino = add_read("a");
	cid = crig_node(&rig, ino).cid;
	c = crig_replace(&rig, ino);
	crig_write(c, 0, 50, 2);
	crig_add_attempt(&rig, ino, 2);
	crig_path(&rig, cid, "", path);
	CHECK_EQ(unlink(path), 0);
	crig_kill(&rig, c, true);
	CHECK_EQ(rig.found.lost, 0);
	c = crig_get(&rig, ino);
	for (uint64_t idx = 0; idx < SIZE / CHUNK_SIZE; idx++) {
		expect_absent(idx);
		crig_arrive(c, idx, 1);
	}
	crig_expect(c, 0, SIZE, 1);
	finish();
}

/* A new file was renamed over it, nothing of that had reached the disk. */
static void test_renamed_over(void)
{
	uint64_t a, b, b_cid;
	struct cfile row;
	struct db *db;

	crig_open(&rig);
	b = add_read("b");
	b_cid = crig_node(&rig, b).cid;
	a = crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 50, 2);
	CHECK_EQ(store_begin(rig.store, &db), 0);
	CHECK_EQ(node_delete(db, b), 0);
	CHECK_EQ(node_set_place(db, a, NODE_ROOT, "b", NULL), 0);
	CHECK_EQ(cfile_get(db, content_cid(c), &row), 0);
	row.prev = b_cid;
	CHECK_EQ(cfile_update(db, &row), 0);
	CHECK_EQ(store_commit(rig.store), 0);
	cut(b_cid, 0);
	CHECK_EQ(crig_node(&rig, a).cid, b_cid);
	c = crig_get(&rig, a);
	expect_absent(0);
	crig_arrive(c, 0, 1);
	crig_expect(c, 0, SIZE, 1);
	finish();
}

/* Who sends it learns that it is not all here; then it is sent as it was. */
static void test_sent_again(void)
{
	uint64_t ino, cid, *sums;
	size_t n;

	crig_open(&rig);
	ino = add_read("a");
	cid = crig_node(&rig, ino).cid;
	c = crig_replace(&rig, ino);
	crig_write(c, 0, 50, 2);
	crig_add_attempt(&rig, ino, 2);
	cut(cid, 2);
	c = crig_get(&rig, ino);
	CHECK_EQ(content_get_sums(c, &sums, &n), -EAGAIN);
	CHECK_EQ(content_is_whole(c), 0);
	crig_arrive(c, 2, 1);
	CHECK_EQ(content_get_sums(c, &sums, &n), 0);
	CHECK_EQ(n, SIZE / CHUNK_SIZE);
	CHECK_EQ(content_snapshot_begin(c, SIZE, sums, false), 0);
	content_snapshot_end(c);
	free(sums);
	crig_upload(&rig, c);
	CHECK(flags_now() & CFILE_CLEAN);
	crig_expect(c, 0, SIZE, 1);
	finish();
}

/* ---- what is edited ------------------------------------------------------ */

/* Nobody has read it since: a page is written into a chunk that is not what it
 * should be, or beside it. */
static void test_edited(void)
{
	for (unsigned damaged = 0; damaged < 2; damaged++) {
		uint64_t ino;

		check_row("chunk %u", damaged);
		crig_open(&rig);
		ino = add_read("a");
		c = NULL;
		cut(crig_node(&rig, ino).cid, damaged);
		c = crig_get(&rig, ino);
		CHECK(flags_now() & CFILE_DOUBT);
		crig_write(c, 8192, 4096, 2);
		CHECK_EQ(flags_now() & (CFILE_DOUBT | CFILE_CLEAN), 0);
		expect_absent(damaged);
		crig_arrive(c, damaged, 1);
		crig_expect(c, 0, 8192, 1);
		crig_expect(c, 8192, 4096, 2);
		crig_expect(c, 12288, SIZE - 12288, 1);
		crig_settle(c);
		finish();
	}
}

static void test_cut_off(void)
{
	uint64_t ino;

	crig_open(&rig);
	ino = add_read("a");
	c = NULL;
	cut(crig_node(&rig, ino).cid, 0);
	c = crig_get(&rig, ino);
	CHECK_EQ(content_truncate(c, 10000), 0);
	expect_absent(0);
	crig_arrive(c, 0, 1);
	crig_expect(c, 0, 10000, 1);
	finish();
}

/* ---- what is not in doubt ------------------------------------------------ */

static void test_not_in_doubt(void)
{
	uint64_t here, there;

	crig_open(&rig);
	there = add_read("there");
	here = crig_add_file(&rig, "here", &c);
	crig_write(c, 0, SIZE, 1);
	crig_upload(&rig, c);
	content_put(c);
	crig_kill(&rig, NULL, false); /* the kernel had it all */
	c = crig_get(&rig, there);
	CHECK(!(flags_now() & CFILE_DOUBT));
	crig_kill(&rig, c, true);
	c = crig_get(&rig, here); /* had been flushed */
	CHECK(!(flags_now() & CFILE_DOUBT));
	content_put(c);
	c = crig_get(&rig, there);
	CHECK(flags_now() & CFILE_DOUBT);
	finish();
}

static void drop_line(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

int main(void)
{
	log_set_sink(drop_line, NULL);
	RUN(test_gone_back_to);
	RUN(test_gone_back_to_no_file);
	RUN(test_renamed_over);
	RUN(test_sent_again);
	RUN(test_edited);
	RUN(test_cut_off);
	RUN(test_not_in_doubt);
	return check_report();
}
