#include "fs/extents.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/cfile.h"
#include "fs/db.h"
#include "fs/store.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

struct pair {
	uint32_t from, to;
};

static const struct {
	const char *name;
	struct pair add[6]; /* to 0 ends */
	struct pair want[4];
	uint32_t covers; /* the longest [0, n) they cover */
} adds[] = {
	{ "one", { { 5, 9 } }, { { 5, 9 } }, 0 },
	{ "at the start", { { 0, 9 } }, { { 0, 9 } }, 9 },
	{ "apart",
	  { { 20, 30 }, { 0, 5 }, { 10, 12 } },
	  { { 0, 5 }, { 10, 12 }, { 20, 30 } },
	  5 },
	{ "touching", { { 0, 5 }, { 10, 15 }, { 5, 10 } }, { { 0, 15 } }, 15 },
	{ "inside", { { 0, 50 }, { 10, 20 } }, { { 0, 50 } }, 50 },
	{ "around",
	  { { 10, 12 }, { 20, 22 }, { 30, 32 }, { 5, 40 } },
	  { { 5, 40 } },
	  0 },
	{ "over two",
	  { { 0, 10 }, { 20, 30 }, { 40, 50 }, { 8, 25 } },
	  { { 0, 30 }, { 40, 50 } },
	  30 },
	{ "again", { { 3, 4 }, { 3, 4 } }, { { 3, 4 } }, 0 },
	{ "whole chunk",
	  { { 65535, CHUNK_SIZE }, { 0, 65535 } },
	  { { 0, CHUNK_SIZE } },
	  CHUNK_SIZE },
};

static void check_list(const struct extents *e, uint64_t idx,
                       const struct pair *want)
{
	const struct extent *r;
	size_t n = extents_get(e, idx, &r);

	for (size_t i = 0; i < n; i++) {
		CHECK_EQ(r[i].from, want[i].from);
		CHECK_EQ(r[i].to, want[i].to);
	}
	CHECK_EQ(want[n].to, 0);
}

static void test_add(void)
{
	for (size_t i = 0; i < ARRAY_LEN(adds); i++) {
		struct extents e = EXTENTS_INIT;

		check_row("%s", adds[i].name);
		for (const struct pair *p = adds[i].add; p->to; p++)
			CHECK_EQ(extents_add(&e, 7, p->from, p->to), 0);
		check_list(&e, 7, adds[i].want);
		CHECK(extents_cover(&e, 7, adds[i].covers) || !adds[i].covers);
		CHECK(!extents_cover(&e, 7, adds[i].covers + 1));
		extents_done(&e);
	}
}

static const struct {
	const char *name;
	uint64_t size;
	struct pair want[4][4]; /* of chunks 0, 1, 2, 9 */
} cuts[] = {
	{ "nothing",
	  10 * CHUNK_SIZE,
	  { { { 0, 10 }, { 20, 30 } },
	    { { 5, 9 } },
	    { { 0, 1 } },
	    { { 8, 9 } } } },
	{ "behind a range",
	  CHUNK_SIZE + 9,
	  { { { 0, 10 }, { 20, 30 } }, { { 5, 9 } } } },
	{ "inside a range",
	  CHUNK_SIZE + 6,
	  { { { 0, 10 }, { 20, 30 } }, { { 5, 6 } } } },
	{ "at its start", CHUNK_SIZE + 5, { { { 0, 10 }, { 20, 30 } } } },
	{ "at a chunk's end", CHUNK_SIZE, { { { 0, 10 }, { 20, 30 } } } },
	{ "between ranges", 15, { { { 0, 10 } } } },
	{ "all", 0, { { { 0, 0 } } } },
};

static void test_cut(void)
{
	static const uint64_t idx[] = { 0, 1, 2, 9 };

	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		struct extents e = EXTENTS_INIT;

		check_row("%s", cuts[i].name);
		extents_add(&e, 9, 8, 9);
		extents_add(&e, 0, 20, 30);
		extents_add(&e, 0, 0, 10);
		extents_add(&e, 2, 0, 1);
		extents_add(&e, 1, 5, 9);
		extents_cut(&e, cuts[i].size);
		for (size_t k = 0; k < ARRAY_LEN(idx); k++)
			check_list(&e, idx[k], cuts[i].want[k]);
		extents_done(&e);
	}
}

static int save(struct store *s, struct extents *e)
{
	struct db *db;
	int rc = store_begin(s, &db);

	if (rc == 0)
		rc = extents_save(e, db, 5);
	rc = store_end(s, rc);
	if (rc == 0)
		extents_saved(e);
	return rc;
}

/* More ranges than any fixed buffer, and back from the store. */
static void test_store(void)
{
	struct extents e = EXTENTS_INIT, back = EXTENTS_INIT;
	const struct extent *r;
	struct store_found found;
	struct store *s;
	struct db *db;

	CHECK_EQ(store_open(NULL, &s, &found), 0);
	for (uint32_t i = 0; i < CHUNK_SIZE; i += 2)
		CHECK_EQ(extents_add(&e, 3, i, i + 1), 0);
	for (uint64_t idx = 100; idx > 50; idx--)
		CHECK_EQ(extents_add(&e, idx, 1, 2), 0);
	CHECK_EQ(save(s, &e), 0);
	extents_drop(&e, 60);
	extents_drop(&e, 1000);
	CHECK_EQ(save(s, &e), 0);
	CHECK_EQ(store_reader(s, &db), 0);
	CHECK_EQ(extents_load(&back, db, 5), 0);
	CHECK_EQ(back.n, 50);
	CHECK_EQ(extents_get(&back, 3, &r), CHUNK_SIZE / 2);
	CHECK_EQ(r[CHUNK_SIZE / 2 - 1].from, CHUNK_SIZE - 2);
	CHECK_EQ(extents_get(&back, 60, &r), 0);
	CHECK_EQ(extents_get(&back, 61, &r), 1);
	extents_done(&back);
	extents_done(&e);
	store_reader_done(s, db);
	store_close(s, true);
}

static const struct {
	const char *name;
	uint32_t words[4];
	size_t len; /* bytes */
	int rc;
} rows[] = {
	{ "sound", { 0, 5, 6, 7 }, 16, 0 },
	{ "odd length", { 0, 5, 6, 7 }, 15, -EUCLEAN },
	{ "empty range", { 5, 5 }, 8, -EUCLEAN },
	{ "backwards", { 6, 5 }, 8, -EUCLEAN },
	{ "overlap", { 0, 5, 4, 7 }, 16, -EUCLEAN },
	{ "touching", { 0, 5, 5, 7 }, 16, -EUCLEAN },
	{ "too long", { 0, CHUNK_SIZE + 1 }, 8, -EUCLEAN },
};

static void test_damaged_rows(void)
{
	struct store_found found;
	struct store *s;
	struct db *db;

	CHECK_EQ(store_open(NULL, &s, &found), 0);
	CHECK_EQ(store_reader(s, &db), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct extents e = EXTENTS_INIT;

		check_row("%s", rows[i].name);
		CHECK_EQ(
			cfile_set_partial(db, i, 0, rows[i].words, rows[i].len),
			0);
		CHECK_EQ(extents_load(&e, db, i), rows[i].rc);
		extents_done(&e);
	}
	store_reader_done(s, db);
	store_close(s, true);
}

static void test_no_memory(void)
{
	static const struct pair want[] = { { 1, 2 }, { 0, 0 } };
	unsigned rounds = 0;

	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct extents e = EXTENTS_INIT;
		int rc = extents_add(&e, 4, 1, 2);

		if (rc == 0)
			check_list(&e, 4, want);
		else
			CHECK_EQ(rc, -ENOMEM);
		if (rc < 0) { /* only one fails: as if nothing had been */
			CHECK_EQ(extents_add(&e, 4, 1, 2), 0);
			check_list(&e, 4, want);
		}
		extents_done(&e);
		rounds = n;
	}
	CHECK(rounds > 2);
}

int main(void)
{
	RUN(test_add);
	RUN(test_cut);
	RUN(test_store);
	RUN(test_damaged_rows);
	RUN(test_no_memory);
	return check_report();
}
