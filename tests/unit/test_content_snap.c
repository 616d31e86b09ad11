#include "fs/content.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/db.h"
#include "net/log.h"
#include "tests/unit/content_rig.h"

#define MIB (UINT64_C(1) << 20)

static struct crig rig;
static struct content *c;
static uint64_t *sums;

static void begin(uint64_t size)
{
	size_t n;

	crig_open(&rig);
	crig_add_file(&rig, "a", &c);
	if (size)
		crig_write(c, 0, size, 1);
	content_freeze(c);
	crig_settle(c);
	CHECK_EQ(content_get_sums(c, &sums, &n), 0);
	CHECK_EQ(content_snapshot_begin(c, size, sums, false), 0);
}

static void end(void)
{
	content_put(c);
	free(sums);
	crig_close(&rig);
}

static void expect_snapshot(uint64_t off, size_t len, unsigned version)
{
	uint8_t *got = malloc(len + 1), *want = malloc(len + 1);

	crig_pattern(want, len, off, version);
	CHECK_EQ(content_snapshot_read(c, got, len, off), len);
	CHECK_MEM(got, want, len);
	free(got);
	free(want);
}

static void test_costs_what_changes(void)
{
	char path[128];
	struct stat st;
	const uint64_t size = 8 * MIB + 5;

	begin(size);
	CHECK_EQ(content_snapshot_cost(c), 0);
	crig_write(c, 3 * MIB + 100, 4096, 2);
	CHECK_EQ(content_snapshot_cost(c), CHUNK_SIZE);
	crig_write(c, 3 * MIB + 100, 4096, 3); /* again: free */
	crig_write(c, 3 * MIB, CHUNK_SIZE, 3);
	CHECK_EQ(content_snapshot_cost(c), CHUNK_SIZE);
	crig_write(c, size - 1, 1000, 2); /* the short last one */
	CHECK_EQ(content_snapshot_cost(c), 2 * CHUNK_SIZE);
	crig_write(c, size + MIB, 10, 2); /* behind it: nothing to keep */
	CHECK_EQ(content_snapshot_cost(c), 2 * CHUNK_SIZE);
	crig_path(&rig, content_cid(c), ".snap", path);
	CHECK_EQ(stat(path, &st), 0);
	CHECK(st.st_blocks * 512 <= 3 * (int64_t)CHUNK_SIZE);
	expect_snapshot(0, size, 1);
	crig_expect(c, 3 * MIB, CHUNK_SIZE, 3);
	content_snapshot_end(c);
	CHECK(!crig_has_file(&rig, content_cid(c), ".snap"));
	CHECK_EQ(content_snapshot_cost(c), 0);
	end();
}

static void test_every_way_to_change(void)
{
	const uint64_t size = 4 * CHUNK_SIZE + 100;

	for (int way = 0; way < 5; way++) {
		check_row("way %d", way);
		begin(size);
		if (way == 0)
			CHECK_EQ(content_truncate(c, CHUNK_SIZE + 1), 0);
		else if (way == 1)
			CHECK_EQ(content_truncate(c, 9 * CHUNK_SIZE), 0);
		else if (way == 2)
			CHECK_EQ(content_fallocate(c, 3, CHUNK_SIZE - 1, 2), 0);
		else if (way == 3)
			crig_write(c, CHUNK_SIZE, 2 * CHUNK_SIZE, 2);
		else
			CHECK_EQ(content_fallocate(c, 0, 0, 9 * CHUNK_SIZE), 0);
		CHECK_EQ(content_settle(c), 0);
		expect_snapshot(0, size, 1);
		expect_snapshot(CHUNK_SIZE - 1, 3, 1);
		expect_snapshot(size - 1, 1, 1);
		CHECK_EQ(content_gen(c), 2);
		content_snapshot_end(c);
		end();
	}
}

static void test_refusals(void)
{
	uint8_t buf[10];

	begin(2 * CHUNK_SIZE);
	CHECK_EQ(content_snapshot_begin(c, 2 * CHUNK_SIZE, sums, false),
	         -EBUSY);
	CHECK_EQ(content_snapshot_read(c, buf, 10, 2 * CHUNK_SIZE), 0);
	CHECK_EQ(content_snapshot_read(c, buf, 10, 2 * CHUNK_SIZE - 4), 4);
	content_snapshot_end(c);
	content_snapshot_end(c);
	CHECK_EQ(content_snapshot_read(c, buf, 10, 0), -ESTALE);
	CHECK_EQ(content_snapshot_begin(c, 2 * CHUNK_SIZE - 1, sums, false),
	         -ESTALE);
	crig_write(c, 0, 1, 2);
	CHECK_EQ(content_snapshot_begin(c, 2 * CHUNK_SIZE, sums, false),
	         -ESTALE); /* soft */
	end();
	begin(0);
	CHECK_EQ(content_snapshot_read(c, buf, 10, 0), 0);
	content_snapshot_end(c);
	end();
}

/* A sum that no longer fits is never read as the snapshot. */
static void test_damage(void)
{
	uint8_t buf[10];

	begin(3 * CHUNK_SIZE);
	log_set_level(LOG_LEVEL_ERROR);
	crig_flip(&rig, content_cid(c), "", CHUNK_SIZE + 5);
	CHECK_EQ(content_snapshot_read(c, buf, 10, 0), 10);
	CHECK_EQ(content_snapshot_read(c, buf, 10, CHUNK_SIZE), -ESTALE);
	crig_write(c, 2 * CHUNK_SIZE, 10, 2);
	crig_flip(&rig, content_cid(c), ".snap", 2 * CHUNK_SIZE + 5);
	CHECK_EQ(content_snapshot_read(c, buf, 10, 2 * CHUNK_SIZE), -ESTALE);
	/* What can't be set aside gives the snapshot up, not the write. */
	crig_write(c, CHUNK_SIZE, 10, 2);
	CHECK_EQ(content_snapshot_read(c, buf, 10, 0), -ESTALE);
	log_set_level(LOG_LEVEL_INFO);
	end();
}

static void reload(uint64_t ino)
{
	crig_kill(&rig, c, false);
	c = crig_get(&rig, ino);
}

/* The program dies, the upload goes on. */
static void test_resume(void)
{
	const uint64_t size = 5 * CHUNK_SIZE + 9;
	uint64_t ino;
	uint8_t buf[1];

	begin(size);
	ino = content_ino(c);
	crig_write(c, CHUNK_SIZE + 5, 10, 2);
	crig_write(c, 5 * CHUNK_SIZE, 100, 2);
	reload(ino);
	CHECK(content_is_soft(c));
	CHECK_EQ(content_gen(c), 2);
	CHECK_EQ(content_snapshot_begin(c, size, sums, true), 0);
	CHECK_EQ(content_snapshot_cost(c), 2 * CHUNK_SIZE);
	expect_snapshot(0, size, 1);
	crig_write(c, 0, 5, 3);
	CHECK_EQ(content_snapshot_cost(c), 3 * CHUNK_SIZE);

	/* A copy cut short by the kill, or damaged, is no copy. */
	reload(ino);
	crig_flip(&rig, content_cid(c), ".snap", CHUNK_SIZE);
	CHECK_EQ(content_snapshot_begin(c, size, sums, true), 0);
	CHECK_EQ(content_snapshot_cost(c), 2 * CHUNK_SIZE);
	CHECK_EQ(content_snapshot_read(c, buf, 1, CHUNK_SIZE), -ESTALE);
	expect_snapshot(0, 5, 1);

	/* Dropping the reference keeps it, a new snapshot does not. */
	content_put(c);
	c = crig_get(&rig, ino);
	CHECK(crig_has_file(&rig, content_cid(c), ".snap"));
	crig_settle(c);
	CHECK_EQ(content_snapshot_begin(c, content_size(c), sums, false), 0);
	CHECK(!crig_has_file(&rig, content_cid(c), ".snap"));
	end();
}

static void test_resume_of_nothing(void)
{
	uint64_t ino;

	begin(3 * CHUNK_SIZE);
	ino = content_ino(c);
	reload(ino);
	CHECK_EQ(content_snapshot_begin(c, 3 * CHUNK_SIZE, sums, true), 0);
	expect_snapshot(0, 3 * CHUNK_SIZE, 1);
	content_snapshot_end(c);
	end();
}

int main(void)
{
	RUN(test_costs_what_changes);
	RUN(test_every_way_to_change);
	RUN(test_refusals);
	RUN(test_damage);
	RUN(test_resume);
	RUN(test_resume_of_nothing);
	return check_report();
}
