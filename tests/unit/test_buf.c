#include "net/buf.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

static void test_add(void)
{
	struct buf b = BUF_INIT;
	char *text;

	CHECK_EQ(buf_add_str(&b, "ab"), 0);
	CHECK_EQ(buf_addf(&b, "%d-%s", 7, "x"), 0);
	CHECK_EQ(buf_add_char(&b, '!'), 0);
	CHECK_STR(b.data, "ab7-x!");
	buf_drop(&b, 2);
	CHECK_STR(b.data, "7-x!");
	for (int i = 0; i < 1000; i++)
		buf_add_char(&b, 'y');
	CHECK_EQ(b.len, 1004);
	buf_clear(&b);
	CHECK_EQ(b.len, 0);
	text = buf_steal(&b);
	CHECK_STR(text, "");
	free(text);
	buf_wipe(&b);
}

static void test_percent(void)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "a b", "a%20b" },
		{ "100%#?+&='", "100%25%23%3F%2B%26%3D%27" },
		{ "A-z.0_9~", "A-z.0_9~" },
		{ "\xc3\xbc/", "%C3%BC%2F" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b = BUF_INIT;

		CHECK_EQ(buf_add_percent(&b, cases[i].in, strlen(cases[i].in)),
		         0);
		CHECK_STR(b.data, cases[i].out);
		buf_done(&b);
	}
}

static void test_out_of_memory(void)
{
	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct buf b = BUF_INIT;
		char *text;

		buf_add_str(&b, "0123456789");
		for (int i = 0; i < 30; i++)
			buf_add_str(&b, "0123456789");
		text = buf_steal(&b);
		CHECK(text == NULL || strlen(text) == 310);
		free(text);
	}
	alloc_fail_off();
}

static void test_too_much(void)
{
	struct buf b = BUF_INIT;

	CHECK_EQ(buf_reserve(&b, SIZE_MAX - 1), -ENOMEM);
	CHECK(b.failed);
	buf_done(&b);
}

int main(void)
{
	RUN(test_add);
	RUN(test_percent);
	RUN(test_out_of_memory);
	RUN(test_too_much);
	return check_report();
}
