#include "fs/cmd_text.h"

#include <errno.h>

#include "tests/unit/check.h"

static void test_sizes(void)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{ 0, "0 B" },
		{ 999, "999 B" },
		{ 1000, "1.0 kB" },
		{ 999949, "999.9 kB" },
		{ 999950, "1.0 MB" },
		{ 1500000, "1.5 MB" },
		{ UINT64_C(20000000000), "20.0 GB" },
		{ UINT64_C(1099511627776), "1.1 TB" },
		{ UINT64_MAX, "18446.7 PB" },
	};
	char text[CMD_SIZE_TEXT];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cmd_format_size(rows[i].bytes, text);
		CHECK_STR(text, rows[i].text);
	}
}

static void test_times(void)
{
	static const struct {
		const char *text;
		int64_t ms;
	} rows[] = {
		{ "0", 0 },
		{ "30", 30000 },
		{ "1500ms", 1500 },
		{ "5s", 5000 },
		{ "2m", 120000 },
		{ "1h", 3600000 },
		{ "1D", 86400000 },
		{ "2147483647ms", INT32_MAX },
		{ "2147483648ms", -EINVAL },
		{ "99999d", -EINVAL },
		{ "99999999999999999999", -EINVAL },
		{ "", -EINVAL },
		{ "-1", -EINVAL },
		{ " 1", -EINVAL },
		{ "+1", -EINVAL },
		{ "1.5", -EINVAL },
		{ "5 m", -EINVAL },
		{ "5x", -EINVAL },
		{ "m", -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t ms = -1;
		int rc = cmd_parse_time(rows[i].text, &ms);

		check_row("\"%s\"", rows[i].text);
		CHECK_EQ(rc < 0 ? rc : ms, rows[i].ms);
		CHECK(rc == 0 || ms == -1);
	}
}

int main(void)
{
	RUN(test_sizes);
	RUN(test_times);
	return check_report();
}
