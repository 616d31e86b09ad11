#include "net/json.h"

#include <stdlib.h>

#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

static cJSON *parse(const char *text)
{
	return json_parse(text, strlen(text));
}

static void test_parse(void)
{
	static const struct {
		const char *text;
		bool ok;
	} cases[] = {
		{ "{}", true },
		{ "\xef\xbb\xbf{}", true },
		{ " {\"a\":1} \r\n", true },
		{ "", false },
		{ "{} x", false },
		{ "<html>", false },
		{ "{\"a\":", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cJSON *doc = parse(cases[i].text);

		check_row("%s", cases[i].text);
		CHECK_EQ(doc != NULL, cases[i].ok);
		cJSON_Delete(doc);
	}
}

static void test_deep_nesting_is_refused(void)
{
	size_t n = 200000;
	char *text = malloc(n);

	memset(text, '[', n);
	CHECK(!json_parse(text, n));
	free(text);
}

static void test_escaped_nul(void)
{
	cJSON *doc = parse("{\"a\":\"x\\u0000y\",\"b\":\"x\\\\u0000y\"}");

	CHECK_STR(json_str(doc, "a"), "x\xef\xbf\xbdy");
	CHECK_STR(json_str(doc, "b"), "x\\u0000y");
	cJSON_Delete(doc);
}

static void test_getters(void)
{
	cJSON *doc = parse("{\"s\":\"t\",\"n\":7,\"f\":7.9,\"t\":\"-12\","
	                   "\"junk\":\"12x\",\"big\":1e300,\"o\":{\"k\":true},"
	                   "\"l\":[1],\"z\":null,\"s\":\"second\"}");

	CHECK_STR(json_str(doc, "s"), "t");
	CHECK_STR(json_str(doc, "n"), NULL);
	CHECK_STR(json_str(doc, "S"), NULL);
	CHECK_STR(json_str(NULL, "s"), NULL);
	CHECK_EQ(json_i64(doc, "n", -1), 7);
	CHECK_EQ(json_i64(doc, "f", -1), 7);
	CHECK_EQ(json_i64(doc, "t", -1), -12);
	CHECK_EQ(json_i64(doc, "junk", -1), -1);
	CHECK_EQ(json_i64(doc, "big", -1), -1);
	CHECK_EQ(json_i64(doc, "z", -1), -1);
	CHECK_EQ(json_i64(doc, "none", -1), -1);
	CHECK(json_bool(json_obj(doc, "o"), "k", false));
	CHECK(json_bool(doc, "none", true));
	CHECK(json_arr(doc, "l") != NULL);
	CHECK(json_obj(doc, "l") == NULL);
	CHECK(json_arr(doc, "o") == NULL);
	cJSON_Delete(doc);
}

static void test_out_of_memory(void)
{
	for (unsigned n = 1; alloc_fail_at(n); n++)
		cJSON_Delete(parse("{\"a\":[1,2,{\"b\":\"c\"}]}"));
	alloc_fail_off();
}

int main(void)
{
	RUN(test_parse);
	RUN(test_deep_nesting_is_refused);
	RUN(test_escaped_nul);
	RUN(test_getters);
	RUN(test_out_of_memory);
	return check_report();
}
