#include "fs/drill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "tests/unit/check.h"

#define SECOND 1000000000

static char dir[] = "/tmp/test_drill.XXXXXX";

static void put(const char *text)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/drill", dir);
	f = fopen(path, "w");
	CHECK(f != NULL);
	fputs(text, f);
	fclose(f);
}

static void test_kept(void)
{
	struct drill_record r = { .time = 5000 * (int64_t)SECOND,
		                  .outcome = DRILL_PASSED,
		                  .files = 10,
		                  .bytes = UINT64_C(5) << 40 };
	struct drill_record got;
	cJSON *o;

	CHECK_EQ(drill_read(dir, &got), -ENOENT);
	o = drill_json(dir);
	CHECK(cJSON_IsNull(o));
	cJSON_Delete(o);
	CHECK_EQ(drill_write(dir, &r), 0);
	CHECK_EQ(drill_read(dir, &got), 0);
	CHECK_EQ(got.time, r.time);
	CHECK_EQ(got.last_passed, r.time);
	CHECK_EQ(got.outcome, DRILL_PASSED);
	CHECK_EQ(got.files, 10);
	CHECK_EQ(got.bytes, r.bytes);

	/* One that fails does not forget when the last one passed. */
	r = (struct drill_record){ .time = 6000 * (int64_t)SECOND,
		                   .outcome = DRILL_FAILED,
		                   .files = 1,
		                   .failed = 1 };
	CHECK_EQ(drill_write(dir, &r), 0);
	r = (struct drill_record){ .time = 7000 * (int64_t)SECOND,
		                   .outcome = DRILL_INCOMPLETE };
	CHECK_EQ(drill_write(dir, &r), 0);
	CHECK_EQ(drill_read(dir, &got), 0);
	CHECK_EQ(got.last_passed, 5000 * (int64_t)SECOND);
	CHECK_EQ(got.outcome, DRILL_INCOMPLETE);
	CHECK_EQ(drill_write("/nonexistent", &r), -ENOENT);
}

static void test_nonsense(void)
{
	static const char *const rows[] = {
		"",
		"{",
		"[]",
		"{\"time\":\"2026-11-24T10:00:00Z\"}",
		"{\"time\":\"x\",\"outcome\":\"passed\",\"files\":1,"
		"\"bytes\":1,\"failed\":0}",
		"{\"time\":\"2026-11-24T10:00:00Z\",\"outcome\":\"fine\","
		"\"files\":1,\"bytes\":1,\"failed\":0}",
		"{\"time\":\"2026-11-24T10:00:00Z\",\"outcome\":\"passed\","
		"\"files\":-1,\"bytes\":1,\"failed\":0}",
	};
	struct drill_record got;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		check_row("%s", rows[i]);
		put(rows[i]);
		CHECK_EQ(drill_read(dir, &got), -ENOENT);
	}
}

int main(void)
{
	char path[64];

	CHECK(mkdtemp(dir) != NULL);
	RUN(test_kept);
	RUN(test_nonsense);
	snprintf(path, sizeof(path), "%s/drill", dir);
	unlink(path);
	rmdir(dir);
	return check_report();
}
