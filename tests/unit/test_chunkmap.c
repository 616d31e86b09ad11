#include "fs/chunkmap.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/db.h"
#include "fs/store.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

#define CID 5

static struct store *store;

static void set_up(void)
{
	struct store_found found;

	CHECK_EQ(store_open(NULL, &store, &found), 0);
}

static void tear_down(void)
{
	store_close(store, true);
}

static void init(struct chunkmap *m, uint64_t base_len, bool whole)
{
	struct cfile row = { .cid = CID,
		             .flags = whole ? CFILE_WHOLE : 0,
		             .base_len = base_len };

	CHECK_EQ(chunkmap_init(m, store, &row), 0);
}

static int save(struct chunkmap *m)
{
	struct db *db;
	int rc = store_begin(store, &db);

	if (rc == 0)
		rc = chunkmap_save(m, db);
	rc = store_end(store, rc);
	if (rc == 0)
		chunkmap_saved(m);
	return rc;
}

/* Saves, and reads back into a new map. */
static void reload(struct chunkmap *m)
{
	uint64_t base_len = m->base_len;
	bool whole = m->whole;

	CHECK_EQ(save(m), 0);
	chunkmap_done(m);
	init(m, base_len, whole);
}

static uint64_t sum_of(struct chunkmap *m, uint64_t idx)
{
	uint64_t sum = 99;

	CHECK_EQ(chunkmap_get_sum(m, idx, &sum), 0);
	return sum;
}

static uint64_t absent_in(struct chunkmap *m, uint64_t first, uint64_t last)
{
	uint64_t idx = 99;

	CHECK_EQ(chunkmap_next_absent(m, first, last, &idx), 0);
	return idx;
}

static uint64_t unsummed_in(struct chunkmap *m, uint64_t first, uint64_t last)
{
	uint64_t idx = 99;

	CHECK_EQ(chunkmap_next_unsummed(m, first, last, &idx), 0);
	return idx;
}

/* ---- presence ---------------------------------------------------------- */

static void test_arrive(void)
{
	struct chunkmap m;

	set_up();
	init(&m, 3 * CHUNK_SIZE + 1, false);
	CHECK_EQ(absent_in(&m, 0, 9), 0);
	CHECK_EQ(chunkmap_present(&m, 3), 0);
	CHECK_EQ(chunkmap_present(&m, 4), 1); /* behind the base */
	CHECK_EQ(chunkmap_set(&m, 0, 11), 0);
	CHECK_EQ(chunkmap_set(&m, 1, 12), 0);
	CHECK_EQ(chunkmap_set(&m, 3, 14), 0);
	CHECK_EQ(absent_in(&m, 0, 9), 2);
	CHECK_EQ(absent_in(&m, 0, 1), 2);
	CHECK_EQ(absent_in(&m, 3, 9), 10);
	CHECK_EQ(chunkmap_is_whole(&m, 3 * CHUNK_SIZE + 1), 0);
	CHECK_EQ(chunkmap_is_whole(&m, 2 * CHUNK_SIZE), 1);
	reload(&m);
	CHECK_EQ(absent_in(&m, 0, 9), 2);
	CHECK_EQ(sum_of(&m, 1), 12);
	CHECK_EQ(sum_of(&m, 3), 14);
	CHECK_EQ(chunkmap_set(&m, 2, 13), 0);
	CHECK_EQ(chunkmap_unset(&m, 1), 0);
	CHECK_EQ(sum_of(&m, 1), 0);
	reload(&m);
	CHECK_EQ(absent_in(&m, 0, 9), 1);
	CHECK_EQ(chunkmap_set(&m, 1, 12), 0);
	CHECK_EQ(chunkmap_is_whole(&m, 3 * CHUNK_SIZE + 1), 1);
	chunkmap_done(&m);
	tear_down();
}

/* Borders of words and groups; `gap` is the only absent chunk. */
static void test_next_absent(void)
{
	static const uint64_t gaps[] = { 0,    1,    63,   64,   65,  1022,
		                         1023, 1024, 1087, 2047, 2050 };
	const uint64_t n = 2051;

	for (size_t i = 0; i < ARRAY_LEN(gaps); i++) {
		struct chunkmap m;
		uint64_t gap = gaps[i];

		check_row("gap %" PRIu64, gap);
		set_up();
		init(&m, n * CHUNK_SIZE, false);
		for (uint64_t idx = 0; idx < n; idx++) {
			if (idx != gap)
				CHECK_EQ(chunkmap_set(&m, idx, idx + 1), 0);
		}
		reload(&m);
		CHECK_EQ(absent_in(&m, 0, n - 1), gap);
		CHECK_EQ(absent_in(&m, gap, gap), gap);
		CHECK_EQ(absent_in(&m, gap + 1, n + 5), n + 6);
		if (gap)
			CHECK_EQ(absent_in(&m, 0, gap - 1), gap);
		CHECK_EQ(chunkmap_is_whole(&m, n * CHUNK_SIZE), 0);
		CHECK_EQ(chunkmap_set(&m, gap, 1), 0);
		CHECK_EQ(chunkmap_is_whole(&m, n * CHUNK_SIZE), 1);
		chunkmap_done(&m);
		tear_down();
	}
}

static void test_whole(void)
{
	struct chunkmap m;

	set_up();
	init(&m, 0, true);
	CHECK_EQ(absent_in(&m, 0, 5000), 5001);
	CHECK_EQ(chunkmap_is_whole(&m, UINT64_C(1) << 50), 1);
	CHECK_EQ(chunkmap_set(&m, 0, 7), 0);
	CHECK_EQ(unsummed_in(&m, 0, 5), 1);
	CHECK_EQ(chunkmap_set_parts(&m, 2 * CHUNK_SIZE + 5), 0);
	CHECK_EQ(sum_of(&m, 0), 7);
	CHECK(!chunkmap_is_verified(&m, 1));
	CHECK_EQ(chunkmap_unset(&m, 1), 0);
	reload(&m);
	CHECK_EQ(absent_in(&m, 0, 9), 1);
	CHECK_EQ(absent_in(&m, 2, 9), 10);
	chunkmap_reset(&m, 2 * CHUNK_SIZE + 5);
	CHECK_EQ(absent_in(&m, 0, 9), 0);
	CHECK_EQ(absent_in(&m, 2, 9), 2);
	reload(&m);
	CHECK_EQ(absent_in(&m, 2, 9), 2);
	CHECK_EQ(sum_of(&m, 0), 0);
	chunkmap_set_whole(&m);
	CHECK_EQ(absent_in(&m, 2, 9), 10);
	chunkmap_done(&m);
	tear_down();
}

/* ---- checksums --------------------------------------------------------- */

static void test_sums(void)
{
	struct chunkmap m;

	set_up();
	init(&m, 4 * CHUNK_SIZE, false);
	CHECK_EQ(unsummed_in(&m, 0, 3), 4); /* absent ones don't count */
	CHECK_EQ(unsummed_in(&m, 0, 4), 4); /* behind the base */
	CHECK_EQ(chunkmap_set(&m, 1, 0), 0);
	CHECK(!chunkmap_is_verified(&m, 1));
	CHECK_EQ(unsummed_in(&m, 0, 3), 1);
	CHECK_EQ(chunkmap_set(&m, 1, 5), 0);
	CHECK(chunkmap_is_verified(&m, 1));
	CHECK_EQ(unsummed_in(&m, 0, 3), 4);
	reload(&m);
	CHECK(!chunkmap_is_verified(&m, 1));
	chunkmap_set_verified(&m, 1);
	CHECK(chunkmap_is_verified(&m, 1));
	CHECK_EQ(chunkmap_forget_sum(&m, 1), 0);
	CHECK(!chunkmap_is_verified(&m, 1));
	CHECK_EQ(chunkmap_present(&m, 1), 1);
	CHECK_EQ(unsummed_in(&m, 0, 3), 1);
	chunkmap_done(&m);
	tear_down();
}

/* ---- writing into absent chunks ---------------------------------------- */

static const struct {
	const char *name;
	struct extent w[4];
	int present; /* chunk 1 of a base that ends in it at 1000 */
	size_t extents;
} writes[] = {
	{ "middle", { { 10, 20 } }, 0, 1 },
	{ "all of the base", { { 0, 1000 } }, 1, 0 },
	{ "more than the base", { { 0, CHUNK_SIZE } }, 1, 0 },
	{ "one byte short", { { 0, 999 } }, 0, 1 },
	{ "the end only", { { 1, CHUNK_SIZE } }, 0, 1 },
	{ "in two parts", { { 500, 1200 }, { 0, 500 } }, 1, 0 },
	{ "behind the base", { { 1000, 2000 } }, 0, 1 },
	{ "a gap", { { 0, 400 }, { 401, 1000 } }, 0, 2 },
};

static void test_written(void)
{
	for (size_t i = 0; i < ARRAY_LEN(writes); i++) {
		struct chunkmap m;
		const struct extent *r;

		check_row("%s", writes[i].name);
		set_up();
		init(&m, CHUNK_SIZE + 1000, false);
		for (const struct extent *w = writes[i].w; w->to; w++)
			CHECK_EQ(chunkmap_written(&m, 1, w->from, w->to), 0);
		reload(&m);
		CHECK_EQ(chunkmap_present(&m, 1), writes[i].present);
		CHECK_EQ(chunkmap_extents(&m, 1, &r), writes[i].extents);
		CHECK_EQ(chunkmap_set(&m, 1, 3), 0);
		CHECK_EQ(chunkmap_extents(&m, 1, &r), 0);
		reload(&m);
		CHECK_EQ(chunkmap_extents(&m, 1, &r), 0);
		chunkmap_done(&m);
		tear_down();
	}
}

/* ---- truncation -------------------------------------------------------- */

/* Base of 2,000 chunks, all here but number 3, where [100, 200) is written. */
static const struct {
	const char *name;
	uint64_t size;
	uint64_t base_len;
	uint64_t absent;   /* first, of 2,000; 2000: none */
	uint64_t unsummed; /* first, of the new size; that: none */
} truncs[] = {
	{ "longer", 2001 * CHUNK_SIZE, 2000 * CHUNK_SIZE, 3, 2000 },
	{ "chunk border", 1999 * CHUNK_SIZE, 1999 * CHUNK_SIZE, 3, 1999 },
	{ "inside a chunk", 1999 * CHUNK_SIZE - 1, 1999 * CHUNK_SIZE - 1, 3,
	  1998 },
	{ "group border", 1024 * CHUNK_SIZE, 1024 * CHUNK_SIZE, 3, 1024 },
	{ "one less", 1024 * CHUNK_SIZE - 1, 1024 * CHUNK_SIZE - 1, 3, 1023 },
	{ "one more", 1024 * CHUNK_SIZE + 1, 1024 * CHUNK_SIZE + 1, 3, 1024 },
	{ "into the absent one", 3 * CHUNK_SIZE + 300, 3 * CHUNK_SIZE + 300, 3,
	  4 },
	{ "at the absent one", 3 * CHUNK_SIZE, 3 * CHUNK_SIZE, 2000, 3 },
	{ "nothing", 0, 0, 2000, 0 },
};

static void fill(struct chunkmap *m)
{
	for (uint64_t idx = 0; idx < 2000; idx++) {
		if (idx != 3)
			CHECK_EQ(chunkmap_set(m, idx, idx + 1), 0);
	}
	CHECK_EQ(chunkmap_written(m, 3, 100, 200), 0);
	CHECK_EQ(save(m), 0);
}

static void test_truncate(void)
{
	for (size_t i = 0; i < ARRAY_LEN(truncs); i++) {
		uint64_t n = (truncs[i].size + CHUNK_SIZE - 1) / CHUNK_SIZE;
		struct chunkmap m;

		check_row("%s", truncs[i].name);
		set_up();
		init(&m, 2000 * CHUNK_SIZE, false);
		fill(&m);
		CHECK_EQ(chunkmap_truncate(&m, truncs[i].size), 0);
		for (int round = 0; round < 2; round++) {
			CHECK_EQ(m.base_len, truncs[i].base_len);
			CHECK_EQ(absent_in(&m, 0, 1999), truncs[i].absent);
			if (n)
				CHECK_EQ(unsummed_in(&m, 0, n - 1),
				         truncs[i].unsummed);
			/* What comes there later starts from nothing. */
			CHECK_EQ(sum_of(&m, n), 0);
			CHECK_EQ(sum_of(&m, n + 1500), 0);
			reload(&m);
		}
		chunkmap_done(&m);
		tear_down();
	}
}

/* A cut can make written extents all that is left to wait for. */
static void test_truncate_completes(void)
{
	struct chunkmap m;
	const struct extent *r;

	set_up();
	init(&m, 2 * CHUNK_SIZE, false);
	CHECK_EQ(chunkmap_written(&m, 1, 0, 500), 0);
	CHECK_EQ(chunkmap_truncate(&m, CHUNK_SIZE + 501), 0);
	CHECK_EQ(chunkmap_present(&m, 1), 0);
	CHECK_EQ(chunkmap_truncate(&m, CHUNK_SIZE + 400), 0);
	CHECK_EQ(chunkmap_present(&m, 1), 1);
	CHECK_EQ(chunkmap_extents(&m, 1, &r), 0);
	chunkmap_done(&m);
	tear_down();
}

static void test_rollback_saves_again(void)
{
	struct chunkmap m;
	struct db *db;

	set_up();
	init(&m, 4 * CHUNK_SIZE, false);
	CHECK_EQ(chunkmap_set(&m, 2, 5), 0);
	CHECK_EQ(save(&m), 0);
	CHECK_EQ(chunkmap_set(&m, 1, 4), 0);
	CHECK_EQ(chunkmap_written(&m, 0, 5, 6), 0);
	CHECK_EQ(chunkmap_truncate(&m, 2 * CHUNK_SIZE), 0);
	CHECK_EQ(store_begin(store, &db), 0);
	CHECK_EQ(chunkmap_save(&m, db), 0);
	CHECK_EQ(store_rollback(store, -EIO), -EIO);
	reload(&m);
	CHECK_EQ(sum_of(&m, 1), 4);
	CHECK_EQ(sum_of(&m, 2), 0);
	CHECK_EQ(m.extents.n, 1);
	chunkmap_done(&m);
	tear_down();
}

/* ---- memory ------------------------------------------------------------ */

static int use_all(struct chunkmap *m)
{
	uint64_t sum;
	int rc = chunkmap_get_sum(m, 1500, &sum);

	if (rc == 0)
		rc = chunkmap_set(m, 1100, 8);
	if (rc == 0)
		rc = chunkmap_written(m, 3, 7, 9);
	if (rc == 0)
		rc = chunkmap_truncate(m, 1200 * CHUNK_SIZE + 1);
	return rc;
}

static void test_no_memory(void)
{
	unsigned rounds = 0;

	set_up();
	for (unsigned n = 1; alloc_fail_at(n); n++, rounds++) {
		struct cfile row = { .cid = CID,
			             .base_len = 2000 * CHUNK_SIZE };
		struct chunkmap m;
		int rc = chunkmap_init(&m, store, &row);

		if (rc == 0)
			rc = use_all(&m);
		CHECK(rc == 0 || rc == -ENOMEM);
		chunkmap_done(&m);
	}
	CHECK(rounds > 5);
	tear_down();
}

int main(void)
{
	RUN(test_arrive);
	RUN(test_next_absent);
	RUN(test_whole);
	RUN(test_sums);
	RUN(test_written);
	RUN(test_truncate);
	RUN(test_truncate_completes);
	RUN(test_rollback_saves_again);
	RUN(test_no_memory);
	return check_report();
}
