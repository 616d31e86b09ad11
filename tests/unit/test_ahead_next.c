#include "fs/ahead_next.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/db.h"
#include "fs/store.h"
#include "tests/unit/check.h"

/* A tree by ino; names are in another order than the listing. */
static const struct {
	uint64_t ino, parent;
	const char *name;
	bool dir;
	uint64_t size;
	uint32_t flags;
	bool changed; /* here, since the server had it */
} rows[] = {
	{ 20, NODE_ROOT, "z-first", true, 0, 0, false },
	{ 21, NODE_ROOT, "a-second", true, 0, 0, false },
	{ 22, NODE_ROOT, "m-unlisted", true, 0, NODE_UNLISTED, false },
	{ 30, 20, "f9", false, 100, 0, false },
	{ 31, 20, "f8", false, 100, 0, false },
	{ 32, 20, "empty", false, 0, 0, false },
	{ 33, 20, "big", false, 5000, 0, false },
	{ 34, 20, "dirty", false, 100, NODE_DIRTY, false },
	{ 35, 20, "changed", false, 100, 0, true },
	{ 36, 20, "malware", false, 100, NODE_MALWARE, false },
	{ 37, 20, "notebook", false, 100, NODE_FOREIGN, false },
	{ 38, 20, "sub", true, 0, 0, false },
	{ 39, 20, "f1", false, 1000, 0, false },
	{ 40, 21, "g2", false, 100, 0, false },
	{ 41, 21, "g1", false, 100, 0, false },
	{ 50, 38, "deep", false, 100, 0, false },
	{ 51, NODE_ROOT, "top", false, 100, 0, false },
};

static struct store *store;
static struct db *db;

static void insert(size_t i)
{
	struct node *n = calloc(1, sizeof(*n));

	n->ino = rows[i].ino;
	n->parent = rows[i].parent;
	n->mode = rows[i].dir ? 0040755 : 0100644;
	n->size = rows[i].size;
	n->flags = rows[i].flags;
	n->gen = rows[i].dir ? 0 : 2;
	n->s_gen = rows[i].changed ? 1 : n->gen;
	n->s_parent = n->parent;
	strcpy(n->name, rows[i].name);
	strcpy(n->s_name, rows[i].name);
	snprintf(n->s_id, sizeof(n->s_id), "ID%u", (unsigned)n->ino);
	CHECK_EQ(node_insert(db, n, NULL), 0);
	free(n);
}

static void set_up(void)
{
	struct store_found found;

	CHECK_EQ(store_open(NULL, &store, &found), 0);
	CHECK_EQ(store_begin(store, &db), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		insert(i);
	CHECK_EQ(store_commit(store), 0);
	CHECK_EQ(store_reader(store, &db), 0);
}

static void tear_down(void)
{
	store_reader_done(store, db);
	store_close(store, true);
}

static const struct {
	const char *what;
	enum ahead_order order;
	uint64_t from;
	uint64_t want[8];
} nexts[] = {
	{ "listed, on into the next folder",
	  AHEAD_LISTED,
	  30,
	  { 31, 39, 40, 41 } },
	{ "what is large, empty, changed, foreign is left out",
	  AHEAD_LISTED,
	  31,
	  { 39, 40, 41 } },
	{ "named, the first folder is the last by name",
	  AHEAD_NAMED,
	  39,
	  { 31, 30 } },
	{ "named, on into the next folder, the unlisted ends it",
	  AHEAD_NAMED,
	  41,
	  { 40 } },
	{ "nothing is left", AHEAD_LISTED, 50, { 0 } },
	{ "the root has none beside it", AHEAD_LISTED, 51, { 0 } },
};

static void test_next(void)
{
	set_up();
	for (size_t i = 0; i < ARRAY_LEN(nexts); i++) {
		struct ahead_place at;
		struct ahead_file got[8];
		size_t n, want = 0;

		check_row("%s", nexts[i].what);
		while (nexts[i].want[want])
			want++;
		CHECK_EQ(ahead_place_of(db, nexts[i].from, &at), 0);
		CHECK_EQ(ahead_next(db, nexts[i].order, 1000, &at, got, 8, &n),
		         0);
		CHECK_EQ(n, want);
		for (size_t k = 0; k < n && k < want; k++)
			CHECK_EQ(got[k].ino, nexts[i].want[k]);
	}
	tear_down();
}

/* In small bites it comes to the same. */
static void test_goes_on(void)
{
	static const uint64_t want[] = { 31, 39, 40, 41 };
	struct ahead_place at;
	struct ahead_file got;
	size_t n;

	set_up();
	CHECK_EQ(ahead_place_of(db, 30, &at), 0);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		CHECK_EQ(ahead_next(db, AHEAD_LISTED, 1000, &at, &got, 1, &n),
		         0);
		CHECK_EQ(n, 1);
		CHECK_EQ(got.ino, want[i]);
	}
	CHECK_EQ(ahead_next(db, AHEAD_LISTED, 1000, &at, &got, 1, &n), 0);
	CHECK_EQ(n, 0);
	tear_down();
}

static const struct {
	uint64_t from, to;
	bool listed, named;
} follows[] = {
	{ 30, 31, true, false },
	{ 31, 30, false, true },
	{ 30, 30, false, false },
	{ 30, 39, true, false } /* the eighth left out is 38 */,
	{ 31, 39, true, false },
	{ 39, 31, false, true },
	{ 30, 40, false, false }, /* another folder */
	{ 40, 41, true, false },
};

static void test_follows(void)
{
	struct ahead_place from, to;

	set_up();
	for (size_t i = 0; i < ARRAY_LEN(follows); i++) {
		check_row("%d to %d", (int)follows[i].from, (int)follows[i].to);
		CHECK_EQ(ahead_place_of(db, follows[i].from, &from), 0);
		CHECK_EQ(ahead_place_of(db, follows[i].to, &to), 0);
		CHECK_EQ(ahead_follows(db, AHEAD_LISTED, &from, &to),
		         follows[i].listed);
		CHECK_EQ(ahead_follows(db, AHEAD_NAMED, &from, &to),
		         follows[i].named);
	}
	CHECK_EQ(ahead_place_of(db, 99, &from), -ENOENT);
	CHECK_EQ(ahead_place_of(db, NODE_ROOT, &from), -ENOENT);
	tear_down();
}

int main(void)
{
	RUN(test_next);
	RUN(test_goes_on);
	RUN(test_follows);
	return check_report();
}
