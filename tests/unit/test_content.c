#include "fs/content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/db.h"
#include "net/log.h"
#include "tests/unit/alloc.h"
#include "tests/unit/content_rig.h"

#define MIB (UINT64_C(1) << 20)

static struct crig rig;

/* ---- writing and reading ----------------------------------------------- */

static void test_write_read(void)
{
	struct content *c, *again;
	uint64_t ino;

	crig_open(&rig);
	ino = crig_add_file(&rig, "a", &c);
	CHECK_EQ(content_size(c), 0);
	CHECK_EQ(content_is_whole(c), 1);
	CHECK(!crig_has_file(&rig, content_cid(c), ""));
	crig_expect(c, 0, 0, 1);
	crig_write(c, 0, 10, 1);
	crig_write(c, CHUNK_SIZE - 3, 7, 1);
	crig_write(c, 5 * CHUNK_SIZE, 2 * CHUNK_SIZE + 1, 1);
	CHECK_EQ(content_size(c), 7 * CHUNK_SIZE + 1);
	crig_expect(c, 0, 10, 1);
	crig_expect(c, 10, 100, 0);
	crig_expect(c, CHUNK_SIZE - 3, 7, 1);
	crig_expect(c, 5 * CHUNK_SIZE, 2 * CHUNK_SIZE + 1, 1);
	CHECK_EQ(content_gen(c), 1);
	CHECK_EQ(content_get(rig.cs, content_cid(c), false, &again), 0);
	CHECK(again == c);
	content_put(again);
	content_put(c);

	c = crig_get(&rig, ino);
	CHECK(content_is_soft(c));
	CHECK_EQ(content_size(c), 7 * CHUNK_SIZE + 1);
	crig_expect(c, CHUNK_SIZE - 3, 7, 1);
	CHECK_EQ(content_gen(c), 1);
	crig_write(c, 0, 5, 2); /* after a load, who knows who pinned it */
	CHECK_EQ(content_gen(c), 2);
	crig_write(c, 5, 5, 2);
	CHECK_EQ(content_gen(c), 2);
	CHECK_EQ(crig_node(&rig, ino).gen, 2);
	content_put(c);
	crig_close(&rig);
}

static void test_spans(void)
{
	static const struct {
		uint64_t off;
		size_t len, want;
	} cases[] = {
		{ 0, 10, 10 }, { 0, 0, 0 },           { 90, 20, 10 },
		{ 100, 1, 0 }, { 5000000000, 10, 0 }, { 0, SIZE_MAX / 2, 100 },
		{ 99, 1, 1 },
	};
	struct content_span span;
	struct content *c;

	crig_open(&rig);
	crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 100, 1);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		check_row("%zu", i);
		CHECK_EQ(content_read(c, cases[i].off, cases[i].len, &span), 0);
		CHECK_EQ(span.len, cases[i].want);
		CHECK_EQ(span.off, cases[i].off);
		CHECK((span.fd >= 0) == (span.len > 0));
	}
	content_put(c);
	crig_close(&rig);
}

/* As a splice that stops early, or fails. */
static void test_short_write(void)
{
	struct content *c;
	uint8_t buf[100];
	int fd;

	crig_open(&rig);
	crig_add_file(&rig, "a", &c);
	crig_pattern(buf, 100, 0, 1);
	CHECK_EQ(content_write_begin(c, 0, 100, &fd), 0);
	CHECK_EQ(pwrite(fd, buf, 100, 0), 100);
	CHECK_EQ(content_write_end(c, 0, 60), 0);
	CHECK_EQ(content_size(c), 60);
	CHECK_EQ(content_write_begin(c, 60, 40, &fd), 0);
	CHECK_EQ(pwrite(fd, buf, 40, 60), 40);
	CHECK_EQ(content_write_end(c, 60, -ENOSPC), -ENOSPC);
	CHECK_EQ(content_size(c), 60);
	CHECK_EQ(content_truncate(c, 200), 0);
	crig_expect(c, 0, 60, 1);
	crig_expect(c, 60, 140, 0); /* nothing of what failed */
	content_put(c);
	crig_close(&rig);
}

static void test_truncate(void)
{
	struct content *c;
	uint64_t ino;

	crig_open(&rig);
	ino = crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 3 * CHUNK_SIZE, 1);
	crig_settle(c);
	CHECK_EQ(content_truncate(c, CHUNK_SIZE + 10), 0);
	crig_settle(c);
	CHECK_EQ(content_truncate(c, 4 * CHUNK_SIZE + 1), 0);
	crig_expect(c, 0, CHUNK_SIZE + 10, 1);
	crig_expect(c, CHUNK_SIZE + 10, 3 * CHUNK_SIZE - 9, 0);
	crig_settle(c);
	content_put(c);
	c = crig_get(&rig, ino);
	crig_expect(c, 0, CHUNK_SIZE + 10, 1); /* checksums hold */
	crig_expect(c, CHUNK_SIZE + 10, 3 * CHUNK_SIZE - 9, 0);
	content_put(c);
	crig_close(&rig);
}

/* The last chunk's checksum covers what was there: growth by any way must
 * renew it. */
static void test_growth_renews_last_sum(void)
{
	for (int way = 0; way < 4; way++) {
		struct content *c;
		uint64_t cid;
		int rc = 0;

		check_row("way %d", way);
		crig_open(&rig);
		crig_add_file(&rig, "a", &c);
		crig_write(c, 0, 1000, 1);
		crig_settle(c);
		if (way == 0)
			crig_write(c, 1000, 10, 1);
		else if (way == 1)
			crig_write(c, 3 * CHUNK_SIZE, 10, 1);
		else if (way == 2)
			rc = content_truncate(c, 5000);
		else
			rc = content_fallocate(c, 0, 0, 5000);
		CHECK_EQ(rc, 0);
		crig_settle(c);
		cid = content_cid(c);
		content_put(c);
		CHECK_EQ(content_get(rig.cs, cid, false, &c), 0);
		crig_expect(c, 0, 1000, 1);
		if (way)
			crig_expect(c, 1000, 4000, 0);
		content_put(c);
		crig_close(&rig);
	}
}

static void test_fallocate(void)
{
	static const struct {
		const char *name;
		int mode, rc;
		uint64_t off, len, size;
		bool zeros;
	} cases[] = {
		{ "grow", 0, 0, 0, 20000, 20000, false },
		{ "inside", 0, 0, 0, 5000, 10000, false },
		{ "keep size", FALLOC_FL_KEEP_SIZE, 0, 0, 20000, 10000, false },
		{ "behind, keep", FALLOC_FL_KEEP_SIZE, 0, 10000, 5, 10000,
		  false },
		{ "punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 100,
		  5000, 10000, true },
		{ "punch over the end",
		  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 100, 50000,
		  10000, true },
		{ "collapse", FALLOC_FL_COLLAPSE_RANGE, -EOPNOTSUPP, 0, 4096,
		  10000, false },
	};
	struct content *c;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t zero_end = cases[i].off + cases[i].len;

		check_row("%s", cases[i].name);
		crig_open(&rig);
		crig_add_file(&rig, "a", &c);
		crig_write(c, 0, 10000, 1);
		crig_settle(c);
		CHECK_EQ(content_fallocate(c, cases[i].mode, cases[i].off,
		                           cases[i].len),
		         cases[i].rc);
		CHECK_EQ(content_size(c), cases[i].size);
		if (zero_end > 10000)
			zero_end = 10000;
		if (cases[i].zeros) {
			crig_expect(c, 0, cases[i].off, 1);
			crig_expect(c, cases[i].off, zero_end - cases[i].off,
			            0);
			crig_expect(c, zero_end, 10000 - zero_end, 1);
		} else {
			crig_expect(c, 0, 10000, 1);
			crig_expect(c, 10000, cases[i].size - 10000, 0);
		}
		CHECK_EQ(content_settle(c), 0);
		content_put(c);
		crig_close(&rig);
	}
}

static void test_seek(void)
{
	struct content *c;
	uint64_t at = 0;

	crig_open(&rig);
	crig_add_file(&rig, "a", &c);
	crig_write(c, 0, CHUNK_SIZE, 1);
	crig_write(c, 8 * MIB, CHUNK_SIZE, 1);
	CHECK_EQ(content_truncate(c, 16 * MIB), 0);
	CHECK_EQ(content_seek(c, 5, SEEK_DATA, &at), 0);
	CHECK_EQ(at, 5);
	CHECK_EQ(content_seek(c, 0, SEEK_HOLE, &at), 0);
	CHECK(at >= CHUNK_SIZE && at <= 8 * MIB);
	CHECK_EQ(content_seek(c, 2 * MIB, SEEK_DATA, &at), 0);
	CHECK(at > 2 * MIB && at <= 8 * MIB);
	CHECK_EQ(content_seek(c, 16 * MIB, SEEK_HOLE, &at), -ENXIO);
	content_put(c);

	crig_add_remote(&rig, "b", MIB, &c);
	CHECK_EQ(content_seek(c, 7, SEEK_DATA, &at), 0);
	CHECK_EQ(at, 7); /* absent: may be anything */
	CHECK_EQ(content_seek(c, 7, SEEK_HOLE, &at), 0);
	CHECK_EQ(at, MIB);
	content_put(c);
	crig_close(&rig);
}

/* ---- chunks that arrive ------------------------------------------------ */

static void test_arrive(void)
{
	struct content_span span;
	struct content *c;
	uint8_t buf[CHUNK_SIZE];
	uint64_t ino, idx;

	crig_open(&rig);
	ino = crig_add_remote(&rig, "a", 3 * CHUNK_SIZE + 9, &c);
	CHECK_EQ(content_read(c, 0, 5, &span), -EAGAIN);
	CHECK_EQ(span.absent, 0);
	CHECK_EQ(content_store_chunk(c, "E0", 0, buf, CHUNK_SIZE), -ESTALE);
	CHECK_EQ(content_store_chunk(c, "E1", 0, buf, CHUNK_SIZE - 1), -EIO);
	CHECK_EQ(content_store_chunk(c, "E1", 3, buf, 8), -EIO);
	crig_arrive(c, 0, 1);
	crig_arrive(c, 3, 1);
	CHECK_EQ(content_read(c, 0, 4 * CHUNK_SIZE, &span), -EAGAIN);
	CHECK_EQ(span.absent, 1);
	CHECK_EQ(content_next_absent(c, 1, 3, &idx), 0);
	CHECK_EQ(idx, 1);
	crig_expect(c, 3 * CHUNK_SIZE, 9, 1);
	content_put(c);

	c = crig_get(&rig, ino);
	crig_expect(c, 0, CHUNK_SIZE, 1);
	crig_arrive(c, 0, 2); /* is here already: stays */
	crig_arrive(c, 1, 1);
	crig_arrive(c, 2, 1);
	CHECK_EQ(content_is_whole(c), 1);
	crig_expect(c, 0, 3 * CHUNK_SIZE + 9, 1);
	CHECK_EQ(content_gen(c), 1);
	content_put(c);
	crig_close(&rig);
}

/* What programs wrote wins over what arrives, wherever it lies. */
static void test_write_before_arrival(void)
{
	static const struct {
		const char *name;
		uint64_t off;
		size_t len;
	} cases[] = {
		{ "start", 0, 100 },
		{ "middle", 500, 3 },
		{ "over a border", CHUNK_SIZE - 10, 20 },
		{ "a whole chunk", CHUNK_SIZE, CHUNK_SIZE },
		{ "the end", 2 * CHUNK_SIZE + 90, 10 },
		{ "over the end", 2 * CHUNK_SIZE + 90, 100 },
		{ "behind the end", 2 * CHUNK_SIZE + 200, 100 },
		{ "far behind", 5 * CHUNK_SIZE, 10 },
	};
	const uint64_t size = 2 * CHUNK_SIZE + 100;

	for (size_t i = 0; i < ARRAY_LEN(cases) * 2; i++) {
		uint64_t off = cases[i / 2].off, len = cases[i / 2].len;
		struct content *c;
		uint64_t ino;

		check_row("%s %zu", cases[i / 2].name, i % 2);
		crig_open(&rig);
		ino = crig_add_remote(&rig, "a", size, &c);
		crig_write(c, off, len, 2);
		CHECK_EQ(content_is_whole(c), 0);
		if (i % 2) { /* the map goes through the store */
			content_put(c);
			c = crig_get(&rig, ino);
		}
		for (uint64_t idx = 0; idx < 3; idx++)
			crig_arrive(c, idx, 1);
		CHECK_EQ(content_is_whole(c), 1);
		if (off > size)
			crig_expect(c, size, off - size, 0);
		crig_expect(c, 0, off < size ? off : size, 1);
		crig_expect(c, off, len, 2);
		if (off + len < size)
			crig_expect(c, off + len, size - off - len, 1);
		CHECK_EQ(crig_node(&rig, ino).gen, 2);
		crig_settle(c);
		content_put(c);
		c = crig_get(&rig, ino);
		crig_expect(c, off, len, 2);
		content_put(c);
		crig_close(&rig);
	}
}

static void test_truncate_absent(void)
{
	struct content *c;

	crig_open(&rig);
	crig_add_remote(&rig, "a", 4 * CHUNK_SIZE, &c);
	CHECK_EQ(content_truncate(c, 2 * CHUNK_SIZE + 10), 0);
	CHECK_EQ(content_truncate(c, 4 * CHUNK_SIZE), 0);
	CHECK_EQ(content_fallocate(c,
	                           FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	                           CHUNK_SIZE - 5, 10),
	         0);
	for (uint64_t idx = 0; idx < 4; idx++)
		crig_arrive(c, idx, 1);
	CHECK_EQ(content_is_whole(c), 1);
	crig_expect(c, 0, CHUNK_SIZE - 5, 1);
	crig_expect(c, CHUNK_SIZE - 5, 10, 0);
	crig_expect(c, CHUNK_SIZE + 5, CHUNK_SIZE + 5, 1);
	crig_expect(c, 2 * CHUNK_SIZE + 10, 2 * CHUNK_SIZE - 10, 0);
	crig_settle(c);
	content_put(c);
	crig_close(&rig);
}

static void test_base_size(void)
{
	static const uint64_t sizes[] = { 0,
		                          1,
		                          100,
		                          CHUNK_SIZE - 1,
		                          CHUNK_SIZE,
		                          CHUNK_SIZE + 1,
		                          3 * CHUNK_SIZE - 98,
		                          3 * CHUNK_SIZE,
		                          5 * CHUNK_SIZE + 7 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct content *c;
		uint64_t ino, n = (sizes[i] + CHUNK_SIZE - 1) / CHUNK_SIZE;

		check_row("%" PRIu64, sizes[i]);
		crig_open(&rig);
		ino = crig_add_remote(&rig, "a", 2 * CHUNK_SIZE + 98, &c);
		crig_arrive(c, 0, 1);
		crig_arrive(c, 2, 1);
		CHECK_EQ(content_set_base_size(c, sizes[i]), 0);
		CHECK_EQ(content_size(c), sizes[i]);
		content_put(c);
		c = crig_get(&rig, ino);
		CHECK_EQ(content_size(c), sizes[i]);
		for (uint64_t idx = 0; idx < n; idx++)
			crig_arrive(c, idx, 1);
		CHECK_EQ(content_is_whole(c), 1);
		crig_expect(c, 0, sizes[i], 1);
		if (sizes[i]) {
			crig_write(c, 0, 1, 2);
			CHECK_EQ(content_set_base_size(c, 5), -EBUSY);
		}
		content_put(c);
		crig_close(&rig);
	}
}

/* ---- settling ---------------------------------------------------------- */

static unsigned nchanged;

static void count_changed(void *arg, uint64_t ino)
{
	CHECK(arg == &nchanged);
	CHECK(ino > 0);
	nchanged++;
}

static void test_generations(void)
{
	struct content *c;
	uint64_t gen;

	crig_open(&rig);
	contents_set_changed(rig.cs, count_changed, &nchanged);
	nchanged = 0;
	crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 10, 1);
	CHECK_EQ(nchanged, 0); /* the creator knows */
	crig_settle(c);
	crig_write(c, 0, 10, 2); /* nobody pinned generation 1 */
	CHECK(content_is_soft(c));
	CHECK_EQ(content_gen(c), 1);
	gen = content_freeze(c);
	CHECK_EQ(gen, 1);
	crig_settle(c);
	CHECK_EQ(content_gen(c), gen);
	crig_write(c, 0, 10, 3);
	crig_write(c, 0, 10, 4);
	CHECK_EQ(content_gen(c), 2);
	CHECK_EQ(nchanged, 1);
	content_freeze(c);
	CHECK_EQ(content_truncate(c, 10), 0); /* no change */
	CHECK_EQ(content_gen(c), 2);
	CHECK_EQ(content_truncate(c, 5), 0);
	CHECK_EQ(content_gen(c), 3);
	content_freeze(c);
	CHECK_EQ(content_fallocate(c, 0, 0, 5), 0); /* no byte changes */
	CHECK_EQ(content_gen(c), 3);
	CHECK_EQ(content_fallocate(c, 0, 0, 6), 0);
	CHECK_EQ(content_gen(c), 4);
	content_put(c);
	crig_close(&rig);
}

static void test_sums(void)
{
	struct content *c;
	uint64_t *sums;
	uint8_t buf[CHUNK_SIZE];
	size_t n;

	crig_open(&rig);
	crig_add_file(&rig, "a", &c);
	crig_write(c, 0, CHUNK_SIZE + 5, 1);
	crig_write(c, 40 * CHUNK_SIZE + 7, 1, 1);
	crig_settle(c);
	CHECK_EQ(content_get_sums(c, &sums, &n), 0);
	CHECK_EQ(n, 41);
	crig_pattern(buf, CHUNK_SIZE, 0, 1);
	CHECK(sums[0] == content_sum(buf, CHUNK_SIZE));
	memset(buf, 0, sizeof(buf));
	for (size_t i = 2; i < 40; i++)
		CHECK(sums[i] == content_sum(buf, CHUNK_SIZE));
	CHECK(sums[40] != content_sum(buf, 8));
	free(sums);
	content_put(c);
	crig_close(&rig);
}

static int edit_clean(void *arg, struct db *db, struct cfile *row)
{
	(void)db;
	row->flags |= CFILE_CLEAN;
	row->gen += 100;
	return *(int *)arg;
}

/* A failing edit leaves row and map as they were; so does an untrue one. */
static void test_transact(void)
{
	struct content *c;
	struct cfile row;
	int rc = -EPERM;

	crig_open(&rig);
	crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 10, 1);
	CHECK_EQ(content_transact(c, edit_clean, &rc), -EPERM);
	rc = 0;
	CHECK_EQ(content_transact(c, edit_clean, &rc), -EINVAL); /* SOFT */
	crig_settle(c);
	content_get_row(c, &row);
	CHECK_EQ(row.gen, 1);
	CHECK_EQ(row.flags, CFILE_WHOLE);
	CHECK_EQ(content_transact(c, edit_clean, &rc), 0);
	content_get_row(c, &row);
	CHECK_EQ(row.gen, 101);
	CHECK_EQ(row.flags, CFILE_WHOLE | CFILE_CLEAN);
	CHECK_EQ(row.base_len, 10);
	content_put(c);

	crig_add_remote(&rig, "b", 3 * CHUNK_SIZE, &c);
	crig_write(c, 0, 10, 1);
	crig_settle(c);
	CHECK_EQ(content_transact(c, edit_clean, &rc), -EINVAL); /* absent */
	content_put(c);
	crig_close(&rig);
}

/* ---- disposal ---------------------------------------------------------- */

static unsigned nuntidy;

static void count_untidy(void *arg)
{
	CHECK(arg == &nuntidy);
	nuntidy++;
}

static void test_usage_and_evict(void)
{
	struct content *c, *late;
	uint64_t ino, cid, all, clean;
	struct node n;

	crig_open(&rig);
	ino = crig_add_file(&rig, "a", &c);
	cid = content_cid(c);
	crig_write(c, 0, 2 * MIB, 1);
	crig_settle(c);
	contents_get_usage(rig.cs, &all, &clean);
	CHECK(all >= 2 * MIB && all < 3 * MIB);
	CHECK_EQ(clean, 0);
	content_put(c);
	CHECK_EQ(content_evict(rig.cs, cid), -EBUSY); /* dirty */
	c = crig_get(&rig, ino);
	crig_upload(&rig, c);
	contents_get_usage(rig.cs, &all, &clean);
	CHECK_EQ(clean, all);
	CHECK_EQ(content_evict(rig.cs, cid), -EBUSY); /* open */
	content_put(c);
	n = crig_node(&rig, ino);
	n.gen++;
	crig_update(&rig, &n);
	CHECK_EQ(content_evict(rig.cs, cid), -EBUSY); /* the node says dirty */
	n.gen--;
	crig_update(&rig, &n);
	contents_set_untidy(rig.cs, count_untidy, &nuntidy);
	CHECK_EQ(content_evict(rig.cs, cid), 0);
	CHECK_EQ(nuntidy, 1);
	CHECK_EQ(crig_node(&rig, ino).cid, 0);
	CHECK_EQ(content_get(rig.cs, cid, false, &late), -ENOENT);
	CHECK(crig_has_file(&rig, cid, "")); /* until that is durable */
	contents_get_usage(rig.cs, &all, &clean);
	CHECK_EQ(all, 0);
	CHECK_EQ(clean, 0);
	CHECK_EQ(contents_tidy(rig.cs), 0);
	CHECK(!crig_has_file(&rig, cid, ""));
	contents_get_usage(rig.cs, &all, &clean);
	CHECK_EQ(all, 0);
	CHECK_EQ(clean, 0);
	CHECK_EQ(content_evict(rig.cs, cid), -ENOENT);
	crig_close(&rig);
}

static void test_replace_keeps_until_settled(void)
{
	struct content *c, *old;
	uint64_t ino, cid, old_cid;

	crig_open(&rig);
	ino = crig_add_file(&rig, "a", &old);
	old_cid = content_cid(old);
	crig_write(old, 0, 100, 1);
	crig_settle(old);
	c = crig_replace(&rig, ino);
	cid = content_cid(c);
	CHECK(cid != old_cid);
	content_collect(rig.cs, old_cid);
	CHECK_EQ(contents_tidy(rig.cs), 0);
	crig_expect(old, 0, 100, 1); /* open, and needed as fallback */
	content_put(old);
	CHECK_EQ(contents_tidy(rig.cs), 0);
	CHECK(crig_has_file(&rig, old_cid, ""));
	crig_write(c, 0, 50, 2);
	crig_settle(c);
	CHECK(crig_has_file(&rig, old_cid, ""));
	CHECK_EQ(contents_tidy(rig.cs), 0);
	CHECK(!crig_has_file(&rig, old_cid, ""));
	CHECK(crig_has_file(&rig, cid, ""));
	content_put(c);
	crig_close(&rig);
}

/* Open when its last use went: stays readable to the last put. */
static void test_collect_open(void)
{
	struct content *c;
	uint64_t ino, cid;
	struct node n;

	crig_open(&rig);
	ino = crig_add_file(&rig, "a", &c);
	cid = content_cid(c);
	crig_write(c, 0, 100, 1);
	n = crig_node(&rig, ino);
	n.cid = 0;
	crig_update(&rig, &n);
	content_collect(rig.cs, cid);
	CHECK_EQ(contents_tidy(rig.cs), 0);
	crig_write(c, 100, 100, 1);
	crig_expect(c, 0, 200, 1);
	content_put(c);
	CHECK_EQ(contents_tidy(rig.cs), 0);
	CHECK(!crig_has_file(&rig, cid, ""));
	CHECK_EQ(content_get(rig.cs, cid, false, &c), -ENOENT);
	crig_close(&rig);
}

/* ---- memory ------------------------------------------------------------ */

static int play(struct crig *r, struct content *c)
{
	uint64_t sum, *sums = &sum;
	uint8_t buf[100] = { 1 };
	size_t n;
	int rc = content_write(c, buf, 100, 3 * CHUNK_SIZE - 50);

	if (rc == 0)
		rc = content_write(c, buf, 10, 100 * CHUNK_SIZE);
	if (rc == 0)
		rc = content_truncate(c, 2 * CHUNK_SIZE + 50);
	for (uint64_t idx = 0; idx < 3 && rc == 0; idx++) {
		uint8_t chunk[CHUNK_SIZE] = { 7 };

		rc = content_store_chunk(c, "E1", idx, chunk, CHUNK_SIZE);
	}
	if (rc == 0)
		rc = content_settle(c);
	if (rc == 0)
		rc = content_get_sums(c, &sums, &n);
	if (rc == 0) {
		rc = content_snapshot_begin(c, content_size(c), sums, false);
		if (rc == 0)
			rc = content_write(c, buf, 1, 0);
		if (rc == 0) {
			ssize_t got = content_snapshot_read(c, buf, 100, 0);

			/* Given up for want of memory. */
			CHECK(got == 100 || got == -ESTALE);
			rc = got == 100 ? 0 : -ENOMEM;
		}
		content_snapshot_end(c);
		free(sums);
	}
	content_collect(r->cs, content_cid(c));
	return rc;
}

static void test_no_memory(void)
{
	uint64_t cids[100];
	unsigned rounds = 0;
	struct content *c;
	bool done = false;

	crig_open(&rig);
	for (size_t i = 0; i < ARRAY_LEN(cids); i++) {
		char name[8];

		snprintf(name, sizeof(name), "%zu", i);
		crig_add_remote(&rig, name, 4 * CHUNK_SIZE, &c);
		cids[i] = content_cid(c);
		content_put(c);
	}
	log_set_level(LOG_LEVEL_ERROR);
	for (unsigned n = 1; alloc_fail_at(n); n++, rounds++) {
		int rc = content_get(rig.cs, cids[n], false, &c);

		CHECK(!done && n + 1 < ARRAY_LEN(cids));
		if (rc == 0) {
			rc = play(&rig, c);
			content_put(c);
		}
		CHECK(rc == 0 || rc == -ENOMEM);
		done = rc == 0;
	}
	CHECK(done && rounds > 8);
	log_set_level(LOG_LEVEL_INFO);
	crig_close(&rig);
}

int main(void)
{
	RUN(test_write_read);
	RUN(test_spans);
	RUN(test_short_write);
	RUN(test_truncate);
	RUN(test_growth_renews_last_sum);
	RUN(test_fallocate);
	RUN(test_seek);
	RUN(test_arrive);
	RUN(test_write_before_arrival);
	RUN(test_truncate_absent);
	RUN(test_base_size);
	RUN(test_generations);
	RUN(test_sums);
	RUN(test_transact);
	RUN(test_usage_and_evict);
	RUN(test_replace_keeps_until_settled);
	RUN(test_collect_open);
	RUN(test_no_memory);
	return check_report();
}
