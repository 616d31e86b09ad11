#include "fs/when.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "net/clock.h"
#include "tests/unit/check.h"

#define S NS_PER_SEC

/* 2026-11-25T21:00:00Z */
#define NOW (INT64_C(1795640400) * S)

static const struct {
	const char *text;
	int rc;
	int64_t ago_s; /* before NOW */
} rows[] = {
	{ "now", 0, 0 },
	{ "0s", 0, 0 },
	{ "90s", 0, 90 },
	{ "30m", 0, 1800 },
	{ "2h ago", 0, 7200 },
	{ "3d", 0, 3 * 86400 },
	{ "1w ago", 0, 7 * 86400 },
	{ "2026-11-25T20:59:00Z", 0, 60 },
	{ "2026-11-25T22:59:00+02:00", 0, 60 },
	/* The zone of the test is two hours east of Greenwich. */
	{ "2026-11-25 22:59:00", 0, 60 },
	{ "2026-11-25T22:59:00", 0, 60 },
	{ "2026-11-25 22:59", 0, 60 },
	{ "2026-11-25", 0, 23 * 3600 },
	{ "2024-02-29", 0, (1000 * 24 + 23) * 3600 },
	{ "2026-11-25 23:00:01", -ERANGE, 0 },
	{ "2026-11-25T21:00:01Z", -ERANGE, 0 },
	{ "2027-01-01", -ERANGE, 0 },
	{ "2026-02-29", -ERANGE, 0 },
	{ "2026-13-01", -ERANGE, 0 },
	{ "2026-00-10", -ERANGE, 0 },
	{ "2026-11-25 24:00", -ERANGE, 0 },
	{ "2026-11-25 20:60", -ERANGE, 0 },
	{ "1969-12-31", -ERANGE, 0 },
	{ "99999999999999999999d", -ERANGE, 0 },
	{ "999999d", -ERANGE, 0 },
	{ "", -EINVAL, 0 },
	{ "d", -EINVAL, 0 },
	{ "3", -EINVAL, 0 },
	{ "3x", -EINVAL, 0 },
	{ "-3d", -EINVAL, 0 },
	{ "3d ", -EINVAL, 0 },
	{ "3d agox", -EINVAL, 0 },
	{ "2026-11-25 ", -EINVAL, 0 },
	{ "2026-11-25 20", -EINVAL, 0 },
	{ "2026-11-25 20:1", -EINVAL, 0 },
	{ "2026-11-25 20:10:", -EINVAL, 0 },
	{ "2026-11-25 20:10:05x", -EINVAL, 0 },
	{ "26-11-25", -EINVAL, 0 },
	{ "2026-1-25", -EINVAL, 0 },
	{ "yesterday", -EINVAL, 0 },
};

static void test_parse(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t t = -1;

		check_row("%s", rows[i].text);
		CHECK_EQ(when_parse(rows[i].text, NOW, &t), rows[i].rc);
		CHECK_EQ(t, rows[i].rc ? -1 : NOW - rows[i].ago_s * S);
	}
}

static void test_fractions(void)
{
	int64_t t;

	CHECK_EQ(when_parse("2026-11-25T20:59:59.123456789Z", NOW, &t), 0);
	CHECK_EQ(t, NOW - S + 123456789);
	/* What is so long ago keeps the fraction of now. */
	CHECK_EQ(when_parse("1s", NOW + 5, &t), 0);
	CHECK_EQ(t, NOW + 5 - S);
}

static void test_format(void)
{
	char text[WHEN_TEXT];

	when_format_local(NOW + 1, text);
	CHECK_STR(text, "2026-11-25T23:00:00+02:00");
	when_format_name(NOW + S - 1, text);
	CHECK_STR(text, "2026-11-25T21-00-00Z");
	when_format_local(-1, text);
	CHECK_STR(text, "1970-01-01T01:59:59+02:00");
}

int main(void)
{
	setenv("TZ", "XXX-2", 1);
	tzset();
	RUN(test_parse);
	RUN(test_fractions);
	RUN(test_format);
	return check_report();
}
