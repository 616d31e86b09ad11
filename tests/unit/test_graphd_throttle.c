#include "tests/graphd/throttle.h"

#include <errno.h>

#include "net/json.h"
#include "tests/unit/check.h"

static struct throttle *t;

static int set(const char *text, int64_t now_ms)
{
	cJSON *obj = json_parse(text, strlen(text));
	int rc = throttle_set(t, obj, now_ms);

	cJSON_Delete(obj);
	return rc;
}

static struct throttle_answer ask(enum throttle_op op, int64_t now_ms)
{
	struct throttle_answer a;

	throttle_ask(t, op, now_ms, &a);
	return a;
}

static int64_t stat(const char *name)
{
	cJSON *obj = throttle_stats(t, 0);
	int64_t value = json_i64(obj, name, -1);

	cJSON_Delete(obj);
	return value;
}

static void start(const char *settings)
{
	throttle_free(t);
	t = NULL;
	CHECK_EQ(throttle_new(&t), 0);
	CHECK_EQ(set(settings, 0), 0);
}

static void test_units(void)
{
	/* facts/graph.md 10.1 */
	CHECK_EQ(throttle_units(THROTTLE_GET), 1);
	CHECK_EQ(throttle_units(THROTTLE_DELTA_TOKEN), 1);
	CHECK_EQ(throttle_units(THROTTLE_DOWNLOAD), 1);
	for (int op = THROTTLE_LIST; op <= THROTTLE_DELTA; op++)
		CHECK_EQ(throttle_units(op), 2);
	CHECK_EQ(throttle_units(THROTTLE_PERMISSIONS), 5);
	CHECK_STR(throttle_name(THROTTLE_DELTA_TOKEN), "delta_token");
}

static void test_off(void)
{
	start("{}");
	for (int i = 0; i < 5000; i++)
		CHECK_EQ(ask(THROTTLE_LIST, i).status, 0);
	CHECK_EQ(stat("requests"), 5000);
	CHECK_EQ(stat("units"), 10000);
	CHECK_EQ(stat("refused"), 0);
}

static void test_minute_budget(void)
{
	struct throttle_answer a;

	start("{\"on\": true, \"units_per_min\": 10}");
	for (int i = 0; i < 3; i++)
		CHECK(!ask(THROTTLE_LIST, 1000).limits);
	a = ask(THROTTLE_LIST, 2000); /* 8 of 10: 80 % */
	CHECK_EQ(a.status, 0);
	CHECK(a.limits);
	CHECK_EQ(a.limit, 10);
	CHECK_EQ(a.remaining, 2);
	CHECK_EQ(a.reset_s, 59);
	CHECK_EQ(ask(THROTTLE_LIST, 3000).status, 0);
	a = ask(THROTTLE_GET, 31500);
	CHECK_EQ(a.status, 429);
	CHECK_EQ(a.retry_after_s, 30); /* 29.5, never told too short */
	CHECK_EQ(a.remaining, 0);
	CHECK_EQ(ask(THROTTLE_GET, 61000).status, 0);
	CHECK_EQ(stat("forbidden"), 0);
	CHECK_EQ(stat("blocks"), 1);
	CHECK_EQ(stat("units"), 11);
}

static void test_calls_during_block(void)
{
	start("{\"on\": true, \"units_per_min\": 1}");
	CHECK_EQ(ask(THROTTLE_GET, 0).status, 0);
	CHECK_EQ(ask(THROTTLE_GET, 50000).retry_after_s, 10);
	/* was on its way: refused, but nobody's fault */
	CHECK_EQ(ask(THROTTLE_GET, 50999).retry_after_s, 10);
	CHECK_EQ(stat("forbidden"), 0);
	/* knew better: the whole wait begins anew */
	CHECK_EQ(ask(THROTTLE_GET, 55000).retry_after_s, 10);
	CHECK_EQ(stat("forbidden"), 1);
	CHECK_EQ(ask(THROTTLE_GET, 64999).status, 429);
	CHECK_EQ(ask(THROTTLE_GET, 74999).status, 0);
	CHECK_EQ(stat("forbidden"), 2);
	CHECK_EQ(stat("refused"), 4);
}

static void test_other_budgets(void)
{
	start("{\"on\": true, \"units_per_min\": 0, \"requests_per_5min\": 2}");
	CHECK_EQ(ask(THROTTLE_FREE, 0).status, 0);
	CHECK_EQ(ask(THROTTLE_FREE, 0).status, 0);
	CHECK_EQ(ask(THROTTLE_FREE, 1000).retry_after_s, 299);
	CHECK_EQ(ask(THROTTLE_FREE, 300000).status, 0);

	start("{\"on\": true, \"ingress_per_hour\": 100}");
	throttle_bytes(t, 100, 5000, 0);
	CHECK_EQ(ask(THROTTLE_UPLOAD, 0).retry_after_s, 3600);
	CHECK_EQ(stat("bytes_in"), 100);
	CHECK_EQ(stat("bytes_out"), 5000);

	start("{\"on\": true, \"egress_per_hour\": 100}");
	throttle_bytes(t, 5000, 99, 0);
	CHECK_EQ(ask(THROTTLE_DOWNLOAD, 0).status, 0);
	throttle_bytes(t, 0, 1, 0);
	CHECK_EQ(ask(THROTTLE_DOWNLOAD, 0).status, 429);
}

static void test_scale_and_speed(void)
{
	start("{\"on\": true, \"scale\": 0.008, \"speed\": 60}");
	for (int i = 0; i < 10; i++) /* 1250 becomes 10 */
		CHECK_EQ(ask(THROTTLE_GET, 0).status, 0);
	CHECK_EQ(ask(THROTTLE_GET, 900).retry_after_s, 1);
	CHECK_EQ(ask(THROTTLE_GET, 1899).status, 429); /* in grace */
	CHECK_EQ(ask(THROTTLE_GET, 1900).status, 0);

	/* an operation dearer than the whole budget passes alone */
	start("{\"on\": true, \"scale\": 0.0001}");
	CHECK_EQ(ask(THROTTLE_PERMISSIONS, 0).status, 0);
	CHECK_EQ(ask(THROTTLE_GET, 0).status, 429);
}

static void test_told_to_block(void)
{
	start("{\"block_s\": 7, \"status\": 503}");
	CHECK_EQ(ask(THROTTLE_GET, 500).status, 503);
	CHECK_EQ(ask(THROTTLE_GET, 900).retry_after_s, 7);
	CHECK_EQ(ask(THROTTLE_GET, 7000).status, 0);
	CHECK_EQ(set("{\"block_s\": 7, \"retry_after\": false}", 8000), 0);
	CHECK_EQ(ask(THROTTLE_GET, 8000).status, 503);
	CHECK_EQ(ask(THROTTLE_GET, 8000).retry_after_s, 0);
}

static void test_bad_settings(void)
{
	static const char *const bad[] = {
		"[]",
		"null",
		"{\"of\": true}",
		"{\"on\": 1}",
		"{\"on\": true, \"scale\": 0}",
		"{\"on\": true, \"scale\": -1}",
		"{\"on\": true, \"scale\": \"1\"}",
		"{\"on\": true, \"units_per_min\": -1}",
		"{\"on\": true, \"status\": 200}",
	};

	start("{\"units_per_min\": 1}");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		check_row("%s", bad[i]);
		CHECK_EQ(set(bad[i], 0), -EINVAL);
	}
	for (int i = 0; i < 10; i++) /* nothing of it was taken */
		CHECK_EQ(ask(THROTTLE_GET, 0).status, 0);
}

static void test_stats_by_op(void)
{
	cJSON *obj;

	start("{}");
	ask(THROTTLE_LIST, 0);
	ask(THROTTLE_LIST, 0);
	ask(THROTTLE_UPLOAD, 0);
	obj = throttle_stats(t, 0);
	CHECK_EQ(json_i64(json_obj(obj, "by_op"), "list", -1), 2);
	CHECK_EQ(json_i64(json_obj(obj, "by_op"), "upload", -1), 1);
	CHECK_EQ(json_i64(json_obj(obj, "by_op"), "get", -1), 0);
	cJSON_Delete(obj);
}

int main(void)
{
	RUN(test_units);
	RUN(test_off);
	RUN(test_minute_budget);
	RUN(test_calls_during_block);
	RUN(test_other_budgets);
	RUN(test_scale_and_speed);
	RUN(test_told_to_block);
	RUN(test_bad_settings);
	RUN(test_stats_by_op);
	throttle_free(t);
	return check_report();
}
