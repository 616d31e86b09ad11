#include "fs/told.h"

#include <stdio.h>

#include "tests/unit/check.h"

static void test_since(void)
{
	struct told *t = told_new();
	uint64_t before = told_now(t), between;

	CHECK(before != 0);
	CHECK(!told_since(t, "A", before));
	told_note(t, "A");
	between = told_now(t);
	told_note(t, "B");
	CHECK(told_since(t, "A", before));
	CHECK(!told_since(t, "A", between));
	CHECK(told_since(t, "B", between));
	CHECK(!told_since(t, "C", before));
	told_note(t, "A"); /* once more */
	CHECK(told_since(t, "A", between));
	told_free(t);
}

static void test_too_long_ago(void)
{
	struct told *t = told_new();
	uint64_t before = told_now(t), later;
	char id[16];

	for (int i = 0; i < 8192; i++) {
		snprintf(id, sizeof(id), "I%d", i);
		told_note(t, id);
	}
	CHECK(told_since(t, "I0", before));
	CHECK(!told_since(t, "X", before)); /* all of it is still known */
	later = told_now(t);
	told_note(t, "Y");
	CHECK(told_since(t, "X", before)); /* can't be told any more */
	CHECK(!told_since(t, "X", later));
	told_free(t);
}

static void test_tags(void)
{
	struct told *t = told_new();
	char tag[16];

	CHECK(!told_had_tag(t, "A", "1"));
	told_note_tag(t, "A", "1");
	CHECK(told_had_tag(t, "A", "1"));
	CHECK(!told_had_tag(t, "A", "2"));
	CHECK(!told_had_tag(t, "B", "1"));
	CHECK(!told_since(t, "A", told_now(t)));
	for (int i = 0; i < 8192; i++) {
		snprintf(tag, sizeof(tag), "%d", i + 10);
		told_note_tag(t, "B", tag);
	}
	CHECK(!told_had_tag(t, "A", "1")); /* too long ago */
	CHECK(told_had_tag(t, "B", "10"));
	told_free(t);
}

int main(void)
{
	RUN(test_tags);
	RUN(test_since);
	RUN(test_too_long_ago);
	return check_report();
}
