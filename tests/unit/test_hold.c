#include "fs/hold.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/db.h"
#include "fs/node.h"
#include "fs/store.h"
#include "net/clock.h"
#include "tests/unit/check.h"

/* ---- the rule ------------------------------------------------------------ */

static const struct {
	const char *text;
	int rc;
	struct hold_limits want;
} texts[] = {
	{ "off", 0, { 0 } },
	{ HOLD_DEFAULT, 0, { 2, { { 20, 50 }, { 1000, 30 } }, 600000 } },
	{ "50", 0, { 1, { { 50, 0 } }, 600000 } },
	{ "1:0%", 0, { 1, { { 1, 0 } }, 600000 } },
	{ "7:100%/90s", 0, { 1, { { 7, 100 } }, 90000 } },
	{ "2h/5", 0, { 1, { { 5, 0 } }, 7200000 } },
	{ "1/2/3/4",
	  0,
	  { 4, { { 1, 0 }, { 2, 0 }, { 3, 0 }, { 4, 0 } }, 600000 } },
	{ "1/2/3/4/5", -EINVAL, { 0 } },
	{ "", -EINVAL, { 0 } },
	{ "10m", -EINVAL, { 0 } },
	{ "5/", -EINVAL, { 0 } },
	{ "/5", -EINVAL, { 0 } },
	{ "5/10m/10m", -EINVAL, { 0 } },
	{ "0", -EINVAL, { 0 } },
	{ "-5", -EINVAL, { 0 } },
	{ "+5", -EINVAL, { 0 } },
	{ " 5", -EINVAL, { 0 } },
	{ "5:", -EINVAL, { 0 } },
	{ "5:%", -EINVAL, { 0 } },
	{ "5:50", -EINVAL, { 0 } },
	{ "5:101%", -EINVAL, { 0 } },
	{ "5:-1%", -EINVAL, { 0 } },
	{ "5:50%x", -EINVAL, { 0 } },
	{ "50%", -EINVAL, { 0 } },
	{ "0m/5", -EINVAL, { 0 } },
	{ "99999999999999999999", -EINVAL, { 0 } },
	{ "5:99999999999999999999%", -EINVAL, { 0 } },
	{ "Off", -EINVAL, { 0 } },
	{ "off/5", -EINVAL, { 0 } },
};

static void test_parse(void)
{
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct hold_limits got = { 0 };

		check_row("%s", texts[i].text);
		CHECK_EQ(hold_parse(texts[i].text, &got), texts[i].rc);
		CHECK_EQ(got.n, texts[i].want.n);
		CHECK_EQ(got.window_ms, texts[i].want.window_ms);
		for (unsigned k = 0; k < HOLD_CLAUSES; k++) {
			CHECK_EQ(got.clause[k].items,
			         texts[i].want.clause[k].items);
			CHECK_EQ(got.clause[k].percent,
			         texts[i].want.clause[k].percent);
		}
	}
}

static const struct {
	const char *limits;
	struct hold_counts c;
	int64_t room; /* 0: held */
} rules[] = {
	/* more than half, and at least 20 */
	{ HOLD_DEFAULT, { 0, 100, 0, 100 }, 51 },
	{ HOLD_DEFAULT, { 50, 100, 50, 100 }, 1 },
	{ HOLD_DEFAULT, { 51, 100, 51, 100 }, 0 },
	{ HOLD_DEFAULT, { 50, 99, 50, 99 }, 0 },
	{ HOLD_DEFAULT, { 19, 19, 19, 19 }, 1 },
	{ HOLD_DEFAULT, { 20, 20, 20, 20 }, 0 },
	{ HOLD_DEFAULT, { 20, 39, 20, 39 }, 0 },
	{ HOLD_DEFAULT, { 20, 40, 20, 40 }, 1 },
	/* 1,000, and more than 30 % */
	{ HOLD_DEFAULT, { 999, 3000, 999, 3000 }, 1 },
	{ HOLD_DEFAULT, { 1000, 3000, 1000, 3000 }, 0 },
	{ HOLD_DEFAULT, { 1000, 3334, 1000, 3334 }, 1 },
	{ HOLD_DEFAULT, { 30000, 100000, 30000, 100000 }, 1 },
	{ HOLD_DEFAULT, { 30001, 100000, 30001, 100000 }, 0 },
	/* what is new is no way round */
	{ HOLD_DEFAULT, { 51, 151, 51, 100 }, 0 },
	{ HOLD_DEFAULT, { 50, 150, 50, 100 }, 1 },
	/* nor does an old remnant call 25 of 10,000 new ones too many */
	{ HOLD_DEFAULT, { 25, 10000, 1, 1 }, 19 },
	{ HOLD_DEFAULT, { 0, 0, 0, 0 }, 20 },
	{ "50", { 49, 1000000, 49, 1000000 }, 1 },
	{ "50", { 50, 1000000, 0, 0 }, 0 },
	{ "1:100%", { 10, 10, 10, 10 }, 1 },
	{ "off", { 1000, 1000, 1000, 1000 }, INT64_MAX },
};

static void test_judge(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		struct hold_limits l;

		check_row("%zu", i);
		CHECK_EQ(hold_parse(rules[i].limits, &l), 0);
		CHECK_EQ(hold_room(&l, &rules[i].c), rules[i].room);
		CHECK_EQ(hold_judge(&l, &rules[i].c), !rules[i].room);
	}
}

/* ---- rows ---------------------------------------------------------------- */

static struct store *store;
static struct db *db;
static struct hold hold;

static void set_up(const char *limits)
{
	struct store_found found;

	CHECK_EQ(store_open(NULL, &store, &found), 0);
	CHECK_EQ(store_begin(store, &db), 0);
	hold = (struct hold){ 0 };
	CHECK_EQ(hold_parse(limits, &hold.limits), 0);
	CHECK_EQ(hold_start(db, &hold.limits), 0);
}

static void tear_down(void)
{
	CHECK_EQ(store_commit(store), 0);
	store_close(store, true);
}

static struct node *node_of(uint64_t ino)
{
	static struct node n;

	n = (struct node){ .ino = ino,
		           .mode = 0100644,
		           .parent = NODE_ROOT,
		           .gen = 1,
		           .s_parent = NODE_ROOT,
		           .s_gen = 1 };
	snprintf(n.name, sizeof(n.name), "n%" PRIu64, ino);
	snprintf(n.s_id, sizeof(n.s_id), "I%" PRIu64, ino);
	return &n;
}

/* On the server: [from, from + n). */
static void add(uint64_t from, uint64_t n)
{
	for (uint64_t i = from; i < from + n; i++)
		CHECK_EQ(node_insert(db, node_of(i), NULL), 0);
}

static void harm(uint64_t from, uint64_t n)
{
	for (uint64_t i = from; i < from + n; i++)
		CHECK_EQ(hold_note(db, HOLD_OUT, node_of(i)->s_id, i, 0), 0);
}

static void pass(int64_t ms)
{
	int64_t offset;

	CHECK_EQ(store_get_int(db, "hold_offset", 0, &offset), 0);
	CHECK_EQ(store_set_int(db, "hold_offset", offset + ms), 0);
}

static struct hold_counts counts(void)
{
	struct hold_counts c = { 0 };

	CHECK_EQ(hold_count(db, HOLD_OUT, &c), 0);
	return c;
}

static void test_counts(void)
{
	struct hold_counts c;

	set_up(HOLD_DEFAULT);
	add(100, 10);
	harm(100, 3);
	harm(100, 3); /* the same ones */
	c = counts();
	CHECK_EQ(c.items, 3);
	CHECK_EQ(c.total, 10);
	CHECK_EQ(c.old_items, 3);
	CHECK_EQ(c.old_total, 10);
	/* New ones come, and one of them goes. */
	add(200, 5);
	harm(200, 1);
	c = counts();
	CHECK_EQ(c.items, 4);
	CHECK_EQ(c.total, 15);
	CHECK_EQ(c.old_items, 3);
	CHECK_EQ(c.old_total, 10);
	/* What is gone for good still belongs to all there was; so does what
	 * another node took over. */
	CHECK_EQ(node_delete(db, 100), 0);
	CHECK_EQ(node_delete(db, 101), 0);
	CHECK_EQ(node_delete(db, 200), 0);
	{
		struct node *heir = node_of(300);

		strcpy(heir->s_id, "I101");
		CHECK_EQ(node_insert(db, heir, NULL), 0);
	}
	c = counts();
	CHECK_EQ(c.items, 4);
	CHECK_EQ(c.total, 15);
	CHECK_EQ(c.old_items, 3);
	CHECK_EQ(c.old_total, 10);
	/* The other direction is another matter. */
	CHECK_EQ(hold_note(db, HOLD_IN, "I105", 105, 0), 0);
	CHECK_EQ(counts().items, 4);
	tear_down();
}

static void test_window_slides(void)
{
	set_up("3/10m");
	add(100, 10);
	harm(100, 2);
	pass(599000);
	CHECK_EQ(counts().items, 2);
	harm(102, 1);
	CHECK_EQ(hold_look(&hold, db, HOLD_OUT), 1);
	pass(2000);
	CHECK_EQ(counts().items, 1);
	CHECK_EQ(hold_look(&hold, db, HOLD_OUT), 0);
	/* Harmed once more, long after: counts again, once. */
	harm(100, 1);
	harm(100, 1);
	CHECK_EQ(counts().items, 2);
	tear_down();
}

/* Time does not pass by turning clocks, nor by restarting. */
static void test_restart(void)
{
	set_up("3/10m");
	add(100, 10);
	harm(100, 2);
	CHECK_EQ(hold_start(db, &hold.limits), 0);
	CHECK_EQ(counts().items, 2);
	/* A reboot: the monotonic clock began anew, the wall clock says that
	 * it was in the future. */
	CHECK_EQ(store_set_text(db, "hold_boot", "another"), 0);
	CHECK_EQ(db_run(db, "UPDATE harm SET real=real+?",
	                DB_ARGS(DB_INT(365 * 86400 * NS_PER_SEC))),
	         0);
	CHECK_EQ(store_set_int(db, "hold_offset", -1000000000000), 0);
	CHECK_EQ(hold_start(db, &hold.limits), 0);
	CHECK_EQ(counts().items, 2);
	harm(102, 1);
	CHECK_EQ(hold_look(&hold, db, HOLD_OUT), 1);
	/* A reboot that took an hour. */
	CHECK_EQ(store_set_text(db, "hold_boot", "another"), 0);
	CHECK_EQ(db_run(db, "UPDATE harm SET real=?",
	                DB_ARGS(DB_INT(clock_real_ns() - 3600 * NS_PER_SEC))),
	         0);
	CHECK_EQ(hold_start(db, &hold.limits), 0);
	CHECK_EQ(counts().items, 0);
	tear_down();
}

static void test_hold_stays(void)
{
	int64_t since, again;

	set_up("2/10m");
	add(100, 10);
	harm(100, 2);
	CHECK_EQ(hold_get_since(db, HOLD_OUT, &since), 0);
	CHECK_EQ(since, 0);
	CHECK_EQ(hold_begin(db, HOLD_OUT), 0);
	CHECK_EQ(hold_get_since(db, HOLD_OUT, &since), 0);
	CHECK(since > 0);
	pass(86400000);
	CHECK_EQ(hold_begin(db, HOLD_OUT), 0);
	CHECK_EQ(hold_start(db, &hold.limits), 0);
	CHECK_EQ(hold_get_since(db, HOLD_OUT, &again), 0);
	CHECK_EQ(again, since);
	CHECK_EQ(hold_look(&hold, db, HOLD_OUT), 1);
	CHECK_EQ(hold_look(&hold, db, HOLD_IN), 0);
	CHECK_EQ(hold_end(db, HOLD_OUT), 0);
	CHECK_EQ(hold_look(&hold, db, HOLD_OUT), 0);
	CHECK_EQ(counts().items, 0);
	tear_down();
}

static void test_off(void)
{
	struct hold_limits off = { 0 };
	int64_t since;

	set_up("1");
	add(100, 10);
	harm(100, 2);
	CHECK_EQ(hold_begin(db, HOLD_OUT), 0);
	CHECK_EQ(hold_begin(db, HOLD_IN), 0);
	CHECK_EQ(hold_start(db, &off), 0);
	CHECK_EQ(hold_get_since(db, HOLD_OUT, &since), 0);
	CHECK_EQ(since, 0);
	CHECK_EQ(hold_get_since(db, HOLD_IN, &since), 0);
	CHECK_EQ(since, 0);
	harm(105, 5); /* nobody counts */
	CHECK_EQ(hold_start(db, &hold.limits), 0);
	CHECK_EQ(counts().items, 0);
	tear_down();
}

/* What the judge remembers never says other than he would. */
static void test_look_remembers(void)
{
	unsigned seed = 7;

	set_up("5:20%/10m");
	add(100, 60);
	for (int i = 0; i < 3000; i++) {
		struct hold_counts c;
		int what;

		seed = seed * 1103515245 + 12345;
		what = (int)(seed >> 16);
		if (what % 4 == 0)
			pass(what % 60000);
		else if (what % 4 == 1)
			add((uint64_t)(1000 + i), 1);
		else
			harm((uint64_t)(100 + what % 60), 1);
		CHECK_EQ(hold_count(db, HOLD_OUT, &c), 0);
		CHECK_EQ(hold_look(&hold, db, HOLD_OUT),
		         c.items && hold_judge(&hold.limits, &c));
	}
	tear_down();
}

static void test_content(void)
{
	struct node *n;

	set_up("5");
	add(100, 1);
	n = node_of(101); /* never sent */
	n->s_id[0] = '\0';
	CHECK_EQ(node_insert(db, n, NULL), 0);
	n = node_of(102); /* has an item, but none of its content is there */
	n->s_gen = 0;
	CHECK_EQ(node_insert(db, n, NULL), 0);
	for (uint64_t ino = 100; ino < 104; ino++)
		CHECK_EQ(hold_note_content(db, ino), 0);
	CHECK_EQ(hold_note_content(db, 100), 0);
	CHECK_EQ(counts().items, 1);
	tear_down();
}

int main(void)
{
	RUN(test_parse);
	RUN(test_judge);
	RUN(test_counts);
	RUN(test_window_slides);
	RUN(test_restart);
	RUN(test_hold_stays);
	RUN(test_off);
	RUN(test_look_remembers);
	RUN(test_content);
	return check_report();
}
