#include "fs/history_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "net/clock.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

#define S NS_PER_SEC
/* 2026-11-25T21:00:00Z */
#define T (INT64_C(1795640400) * S)

static void test_names(void)
{
	/* As they come: newest first. */
	static const struct version v[] = {
		{ .id = "6.0", .time = 0, .size = 6, .current = true },
		{ .id = "5/\n\xff", .time = T + 1 * S, .size = 5 },
		{ .id = "4.0", .time = T + 1 * S + 999, .size = 4 },
		{ .id = "3.0", .time = T + 1 * S, .size = 3 },
		{ .id = "2.0", .time = T, .size = 2 },
		{ .id = "1.0", .time = 0, .size = 1 },
	};
	static const char *const names[] = {
		"unknown",
		"2026-11-25T21-00-00Z",
		"2026-11-25T21-00-01Z",
		"2026-11-25T21-00-01Z-4.0",
		"2026-11-25T21-00-01Z-5___",
		"unknown-6.0",
	};
	struct history_version *named;
	size_t n;

	CHECK_EQ(history_name_versions(v, ARRAY_LEN(v), &named, &n), 0);
	CHECK_EQ(n, ARRAY_LEN(names));
	for (size_t i = 0; i < n; i++) {
		check_row("%zu", i);
		CHECK_STR(named[i].name, names[i]);
		CHECK_EQ(named[i].v.size, i + 1);
		for (size_t k = 0; k < i; k++)
			CHECK(strcmp(named[i].name, named[k].name) != 0);
	}
	CHECK(named[5].v.current);
	free(named);
}

/* A name stays what it is when newer versions come. */
static void test_names_stay(void)
{
	struct version v[40];
	struct history_version *some, *all;
	size_t n, m;

	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		v[i] = (struct version){ .time = T +
			                         (int64_t)(39 - i) / 3 * S };
		snprintf(v[i].id, sizeof(v[i].id), "%zu.0", 40 - i);
	}
	CHECK_EQ(history_name_versions(v + 10, 30, &some, &n), 0);
	CHECK_EQ(history_name_versions(v, 40, &all, &m), 0);
	for (size_t i = 0; i < n; i++)
		CHECK_STR(some[i].name, all[i].name);
	for (size_t i = 0; i < m; i++)
		for (size_t k = 0; k < i; k++)
			CHECK(strcmp(all[i].name, all[k].name) != 0);
	free(some);
	free(all);
}

static void test_odd(void)
{
	struct version v[2] = { { .time = INT64_MIN }, { .time = INT64_MAX } };
	struct history_version *named;
	size_t n;

	memset(v[0].id, 'x', sizeof(v[0].id) - 1);
	memset(v[1].id, '/', sizeof(v[1].id) - 1);
	CHECK_EQ(history_name_versions(v, 2, &named, &n), 0);
	CHECK(!strchr(named[0].name, '/') && !strchr(named[1].name, '/'));
	free(named);
	v[1].time = v[0].time;
	CHECK_EQ(history_name_versions(v, 2, &named, &n), 0);
	CHECK(strlen(named[1].name) < HISTORY_NAME_MAX);
	CHECK(strlen(named[1].name) <= NODE_NAME_MAX);
	free(named);
	CHECK_EQ(history_name_versions(NULL, 0, &named, &n), 0);
	CHECK_EQ(n, 0);
	free(named);
	for (unsigned k = 1; alloc_fail_at(k); k++) {
		int rc = history_name_versions(v, 2, &named, &n);

		CHECK(rc == 0 || rc == -ENOMEM);
		if (rc == 0)
			free(named);
	}
}

int main(void)
{
	RUN(test_names);
	RUN(test_names_stay);
	RUN(test_odd);
	return check_report();
}
