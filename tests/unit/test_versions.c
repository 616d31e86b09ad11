#include "net/versions.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

static cJSON *parse(const char *text)
{
	cJSON *json = json_parse(text, strlen(text));

	CHECK(json != NULL);
	return json;
}

static const char page[] =
	"[{\"id\":\"3.0\",\"lastModifiedDateTime\":\"2026-11-25T21:00:00Z\","
	"\"size\":7},"
	"{\"id\":\"2.0\",\"lastModifiedDateTime\":\"2026-11-24T21:00:00Z\","
	"\"size\":\"9\"}]";

static void test_pages(void)
{
	cJSON *json = parse(page);
	struct version *v = NULL;
	size_t n = 0;

	CHECK_EQ(versions_add(json, &v, &n), 0);
	CHECK_EQ(n, 2);
	CHECK_STR(v[0].id, "3.0");
	CHECK(v[0].current && !v[1].current);
	CHECK_EQ(v[0].time - v[1].time, INT64_C(86400) * 1000000000);
	CHECK_EQ(v[1].size, 9);
	/* The next page has no current one. */
	CHECK_EQ(versions_add(json, &v, &n), 0);
	CHECK_EQ(n, 4);
	CHECK(!v[2].current);
	cJSON_Delete(json);
	free(v);
}

static void test_nonsense_is_left_out(void)
{
	cJSON *json = parse("[{\"id\":\"\",\"size\":1},{\"size\":1},"
	                    "{\"id\":\"1.0\"},{\"id\":\"1.0\",\"size\":-1},"
	                    "{\"id\":7,\"size\":1},4,null,"
	                    "{\"id\":\"0.9\",\"size\":0,"
	                    "\"lastModifiedDateTime\":\"soon\"}]");
	struct version *v = NULL;
	size_t n = 0;

	CHECK_EQ(versions_add(json, &v, &n), 0);
	CHECK_EQ(n, 1);
	CHECK_STR(v[0].id, "0.9");
	CHECK_EQ(v[0].time, 0);
	/* The first entry is the current one, and that made no sense. */
	CHECK(!v[0].current);
	cJSON_Delete(json);
	free(v);
}

static void test_no_memory(void)
{
	cJSON *json = parse(page);

	for (unsigned k = 1; alloc_fail_at(k); k++) {
		struct version *v = NULL;
		size_t n = 0;
		int rc = versions_add(json, &v, &n);

		CHECK(rc == -ENOMEM || (rc == 0 && n == 2));
		free(v);
	}
	cJSON_Delete(json);
}

int main(void)
{
	RUN(test_pages);
	RUN(test_nonsense_is_left_out);
	RUN(test_no_memory);
	return check_report();
}
