#include "net/clock.h"

#include <errno.h>

#include "tests/unit/check.h"

static void test_parse_rfc3339(void)
{
	static const struct {
		const char *text;
		int rc;
		int64_t ns;
	} cases[] = {
		{ "1970-01-01T00:00:00Z", 0, 0 },
		{ "2026-11-22T10:01:07Z", 0, INT64_C(1795341667000000000) },
		{ "2026-11-22T10:01:07.5Z", 0, INT64_C(1795341667500000000) },
		{ "2026-11-22T10:01:07.043Z", 0, INT64_C(1795341667043000000) },
		{ "2026-11-22T10:01:07.123456789Z", 0,
		  INT64_C(1795341667123456789) },
		{ "2026-11-22T10:01:07.1234567899Z", 0,
		  INT64_C(1795341667123456789) },
		{ "2026-11-22T12:01:07+02:00", 0,
		  INT64_C(1795341667000000000) },
		{ "2026-11-22T08:31:07-01:30", 0,
		  INT64_C(1795341667000000000) },
		{ "1969-12-31T23:59:59.5Z", 0, INT64_C(-500000000) },
		{ "2000-02-29T00:00:00Z", 0, INT64_C(951782400000000000) },
		{ "2026-11-22T10:01:07", -EINVAL, 0 },
		{ "2026-11-22T10:01:07.Z", -EINVAL, 0 },
		{ "2026-13-22T10:01:07Z", -EINVAL, 0 },
		{ "2026-11-22T25:01:07Z", -EINVAL, 0 },
		{ "2026-11-22T10:01:07Zx", -EINVAL, 0 },
		{ "9999-12-31T00:00:00Z", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t ns = 0;

		check_row("%s", cases[i].text);
		CHECK_EQ(clock_parse_rfc3339(cases[i].text, &ns), cases[i].rc);
		CHECK_EQ(ns, cases[i].ns);
	}
}

static void test_format_and_back(void)
{
	static const int64_t times[] = {
		0,
		-1,
		1,
		INT64_C(1795341667123456789),
		-INT64_C(1795341667123456789),
		INT64_C(4102444800000000000),
	};
	char text[CLOCK_RFC3339_SIZE];
	int64_t back;

	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		clock_format_rfc3339(times[i], 9, text);
		check_row("%s", text);
		CHECK_EQ(clock_parse_rfc3339(text, &back), 0);
		CHECK_EQ(back, times[i]);
	}
	clock_format_rfc3339(INT64_C(1795341667123456789), 3, text);
	CHECK_STR(text, "2026-11-22T10:01:07.123Z");
	clock_format_rfc3339(INT64_C(1795341667123456789), 0, text);
	CHECK_STR(text, "2026-11-22T10:01:07Z");
}

static void test_timespec(void)
{
	struct timespec ts = clock_ns_to_timespec(-1);

	CHECK_EQ(ts.tv_sec, -1);
	CHECK_EQ(ts.tv_nsec, 999999999);
	CHECK_EQ(clock_timespec_to_ns(ts), -1);
	ts.tv_sec = INT64_MAX / 2;
	CHECK_EQ(clock_timespec_to_ns(ts), INT64_MAX);
}

int main(void)
{
	RUN(test_parse_rfc3339);
	RUN(test_format_and_back);
	RUN(test_timespec);
	return check_report();
}
