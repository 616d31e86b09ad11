#include "fs/alert.h"

#include <string.h>

#include "tests/unit/check.h"

#define MIN INT64_C(60000)

/* Moments in order; what is told at each. */
struct moment {
	int64_t ms;
	struct alert_view v;
	enum alert_kind told;
	int64_t next; /* to be asked again; 0: never */
};

static void check_moments(const struct moment *m, size_t n, int64_t run_ms)
{
	struct alert a;

	alert_init(&a, run_ms);
	for (size_t i = 0; i < n; i++) {
		int64_t next;

		check_row("moment %zu", i);
		CHECK_EQ(alert_next(&a, &m[i].v, m[i].ms, &next), m[i].told);
		if (m[i].told == ALERT_NONE)
			CHECK_EQ(next == ALERT_NEVER ? 0 : next, m[i].next);
	}
}

static void test_signed_out(void)
{
	static const struct moment m[] = {
		{ 1, { .busy = false }, ALERT_NONE, 0 },
		{ 2, { .signed_out = true }, ALERT_SIGNED_OUT, 0 },
		{ 3, { .signed_out = true }, ALERT_NONE, 0 },
		{ 4, { .signed_out = false }, ALERT_NONE, 0 },
		/* Again, but too soon... */
		{ 5, { .signed_out = true }, ALERT_NONE, 2 + 10 * MIN },
		{ 2 + 10 * MIN, { .signed_out = true }, ALERT_SIGNED_OUT, 0 },
		{ 3 + 10 * MIN, { .signed_out = false }, ALERT_NONE, 0 },
		/* ...and gone again before its time came. */
		{ 4 + 10 * MIN,
		  { .signed_out = true },
		  ALERT_NONE,
		  2 + 20 * MIN },
		{ 5 + 10 * MIN, { .signed_out = false }, ALERT_NONE, 0 },
	};

	check_moments(m, ARRAY_LEN(m), 5 * MIN);
}

static void test_person(void)
{
	static const struct moment m[] = {
		{ 1, { .blocked = 1 }, ALERT_NONE, 1 + ALERT_GATHER_MS },
		{ 500, { .blocked = 7 }, ALERT_NONE, 1 + ALERT_GATHER_MS },
		{ 1001, { .blocked = 9 }, ALERT_PERSON, 0 },
		{ 1002, { .blocked = 9 }, ALERT_NONE, 0 },
		{ 2000, { .blocked = 2 }, ALERT_NONE, 0 },
		/* More than were left. */
		{ 3000, { .blocked = 3 }, ALERT_NONE, 4000 },
		{ 4000, { .blocked = 3 }, ALERT_NONE, 1001 + 10 * MIN },
		{ 1001 + 10 * MIN, { .blocked = 3 }, ALERT_PERSON, 0 },
		{ 1 + 30 * MIN,
		  { .blocked = 3, .held = 1 },
		  ALERT_NONE,
		  1001 + 30 * MIN },
		{ 1001 + 30 * MIN,
		  { .blocked = 3, .held = 1 },
		  ALERT_PERSON,
		  0 },
		{ 1 + 50 * MIN, { .full = true }, ALERT_NONE, 1001 + 50 * MIN },
		/* It was full for a moment only. */
		{ 9 + 50 * MIN, { .full = false }, ALERT_NONE, 0 },
		{ 1 + 60 * MIN,
		  { .conflicts = 1 },
		  ALERT_NONE,
		  1001 + 60 * MIN },
		{ 1001 + 60 * MIN, { .conflicts = 1 }, ALERT_PERSON, 0 },
		{ 1002 + 90 * MIN, { .conflicts = 1 }, ALERT_NONE, 0 },
	};

	check_moments(m, ARRAY_LEN(m), 5 * MIN);
}

static void test_done(void)
{
	static const struct moment m[] = {
		{ 1, { .busy = true }, ALERT_NONE, 0 },
		/* A short run. */
		{ MIN, { .uploaded = 5 }, ALERT_NONE, MIN + ALERT_QUIET_MS },
		{ MIN + ALERT_QUIET_MS, { .uploaded = 5 }, ALERT_NONE, 0 },
		{ 2 * MIN, { .busy = true, .uploaded = 5 }, ALERT_NONE, 0 },
		/* A break, no end. */
		{ 7 * MIN,
		  { .uploaded = 90 },
		  ALERT_NONE,
		  7 * MIN + ALERT_QUIET_MS },
		{ 7 * MIN + 1,
		  { .busy = true, .uploaded = 90 },
		  ALERT_NONE,
		  0 },
		{ 8 * MIN,
		  { .uploaded = 100 },
		  ALERT_NONE,
		  8 * MIN + ALERT_QUIET_MS },
		{ 8 * MIN + ALERT_QUIET_MS,
		  { .uploaded = 100 },
		  ALERT_DONE,
		  0 },
		{ 9 * MIN, { .uploaded = 100 }, ALERT_NONE, 0 },
		/* A long one without files: deletes, renames. */
		{ 20 * MIN, { .busy = true, .uploaded = 100 }, ALERT_NONE, 0 },
		{ 40 * MIN,
		  { .uploaded = 100 },
		  ALERT_NONE,
		  40 * MIN + ALERT_QUIET_MS },
		{ 41 * MIN, { .uploaded = 100 }, ALERT_NONE, 0 },
	};

	check_moments(m, ARRAY_LEN(m), 5 * MIN);
}

static void test_every_run(void)
{
	static const struct moment m[] = {
		{ 1, { .busy = true }, ALERT_NONE, 0 },
		{ 2, { .uploaded = 1 }, ALERT_DONE, 0 },
		{ 4, { .uploaded = 2 }, ALERT_NONE, 0 }, /* too soon */
	};

	check_moments(m, ARRAY_LEN(m), 0);
}

static void test_words(void)
{
	char title[ALERT_TEXT], text[ALERT_TEXT];
	struct alert a;

	alert_init(&a, 0);
	a.known = (struct alert_view){ .blocked = 3, .held = 2, .full = true };
	alert_words(&a, ALERT_PERSON, "default", title, text);
	CHECK_STR(title, "nmbackupfs waits for you");
	CHECK_STR(text, "2 held deletes or overwrites, 3 refused files, "
	                "OneDrive is full. See nmbackupfs status");
	alert_words(&a, ALERT_SIGNED_OUT, "work", title, text);
	CHECK_STR(text, "Nothing is sent before you sign in again. Run "
	                "nmbackupfs auth --profile work");
	a.run_files = 12;
	alert_words(&a, ALERT_DONE, "default", title, text);
	CHECK_STR(text, "12 files in this run.");
}

int main(void)
{
	RUN(test_signed_out);
	RUN(test_person);
	RUN(test_done);
	RUN(test_every_run);
	RUN(test_words);
	return check_report();
}
