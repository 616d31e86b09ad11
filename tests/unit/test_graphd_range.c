#include "tests/graphd/range.h"

#include <errno.h>

#include "tests/unit/check.h"

static void test_content_range(void)
{
	static const struct {
		const char *in;
		int rc;
		uint64_t first, last, total;
	} cases[] = {
		{ "bytes 0-9/10", 0, 0, 9, 10 },
		{ "bytes 5-9/10", 0, 5, 9, 10 },
		{ "Bytes 0-0/1", 0, 0, 0, 1 },
		{ "bytes 0-4294967296/4294967297", 0, 0, 4294967296,
		  4294967297 },
		{ "bytes 0-10/10", -EINVAL, 0, 0, 0 },
		{ "bytes 5-4/10", -EINVAL, 0, 0, 0 },
		{ "bytes 0-9/*", -EINVAL, 0, 0, 0 },
		{ "bytes */10", -EINVAL, 0, 0, 0 },
		{ "bytes=0-9/10", -EINVAL, 0, 0, 0 },
		{ "bytes 0-9/10 ", -EINVAL, 0, 0, 0 },
		{ "bytes  0-9/10", -EINVAL, 0, 0, 0 },
		{ "bytes -1-9/10", -EINVAL, 0, 0, 0 },
		{ "bytes 0-99999999999999999999/10", -EINVAL, 0, 0, 0 },
		{ "", -EINVAL, 0, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct range_content r = { 0 };

		check_row("%s", cases[i].in);
		CHECK_EQ(range_parse_content(cases[i].in, &r), cases[i].rc);
		CHECK_EQ(r.first, cases[i].first);
		CHECK_EQ(r.last, cases[i].last);
		CHECK_EQ(r.total, cases[i].total);
	}
}

static void test_range(void)
{
	static const struct {
		const char *in;
		uint64_t size;
		int rc;
		uint64_t off, len;
	} cases[] = {
		{ "bytes=0-9", 100, 0, 0, 10 },
		{ "bytes=90-", 100, 0, 90, 10 },
		{ "bytes=90-200", 100, 0, 90, 10 },
		{ "bytes=-10", 100, 0, 90, 10 },
		{ "bytes=-200", 100, 0, 0, 100 },
		{ "bytes=99-99", 100, 0, 99, 1 },
		{ "bytes=100-", 100, -ERANGE, 0, 0 },
		{ "bytes=0-0", 0, -ERANGE, 0, 0 },
		{ "bytes=-0", 100, -ERANGE, 0, 0 },
		{ "bytes=-5", 0, -ERANGE, 0, 0 },
		{ "bytes=5-4", 100, -ENOENT, 0, 0 },
		{ "bytes=a-b", 100, -ENOENT, 0, 0 },
		{ "lines=0-1", 100, -ENOENT, 0, 0 },
		{ "bytes=0-1,3-4", 100, -E2BIG, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t off = 0, len = 0;

		check_row("%s of %d", cases[i].in, (int)cases[i].size);
		CHECK_EQ(range_parse(cases[i].in, cases[i].size, &off, &len),
		         cases[i].rc);
		CHECK_EQ(off, cases[i].off);
		CHECK_EQ(len, cases[i].len);
	}
}

int main(void)
{
	RUN(test_content_range);
	RUN(test_range);
	return check_report();
}
