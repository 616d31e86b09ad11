/* auth/objects against the emulator: each way an answer can be lost, wrong or
 * late, for each kind of drive. */
#include "auth/objects.h"

#include <errno.h>
#include <stdlib.h>

#include "net/buf.h"
#include "net/log.h"
#include "tests/unit/check.h"
#include "tests/unit/drive_rig.h"

static struct drive_rig rig;
static char why[256];
static struct objects calls;

static void start(int kind)
{
	drive_rig_start(&rig, (enum drive_kind)kind);
	calls = (struct objects){ .graph = rig.g,
		                  .patience_ms = 20000,
		                  .why = why,
		                  .why_size = sizeof(why) };
	why[0] = '\0';
}

static void post(const char *path, const char *body)
{
	drive_rig_post(&rig, path, body);
}

static void check_content(const struct object *ob, const char *want)
{
	struct buf got = BUF_INIT;

	CHECK_EQ(objects_read(&calls, ob, 1000, &got), 0);
	CHECK_STR(got.data ? got.data : "", want);
	buf_done(&got);
}

static int count(void *arg, const struct object *child)
{
	(void)child;
	++*(unsigned *)arg;
	return 0;
}

static int stop_at_two(void *arg, const struct object *child)
{
	(void)child;
	return ++*(unsigned *)arg == 2 ? 7 : 0;
}

static void test_plain(void)
{
	for (int kind = 0; kind < 3; kind++) {
		struct object dir, file, other;
		unsigned n = 0;

		check_row("kind %d", kind);
		start(kind);
		CHECK_EQ(objects_find(&calls, rig.root, "d", &dir), -ENOENT);
		CHECK_EQ(objects_mkdir(&calls, rig.root, "d", &dir), 0);
		CHECK(dir.is_folder);
		CHECK_EQ(objects_mkdir(&calls, rig.root, "d", &other), -EEXIST);
		CHECK_EQ(objects_create(&calls, dir.id, "a", "one", 3, &file),
		         0);
		CHECK_EQ(objects_create(&calls, dir.id, "a", "two", 3, &other),
		         -EEXIST);
		check_content(&file, "one");
		CHECK_EQ(objects_create(&calls, dir.id, "empty", "", 0, &other),
		         0);
		check_content(&other, "");
		CHECK_EQ(objects_find(&calls, dir.id, "a", &other), 0);
		CHECK_STR(other.id, file.id);
		CHECK_EQ(objects_replace(&calls, &file, "three", 5, &other), 0);
		check_content(&other, "three");
		CHECK_EQ(objects_replace(&calls, &file, "four", 4, &other),
		         -ESTALE);
		CHECK_EQ(objects_get(&calls, file.id, &other), 0);
		CHECK_EQ(other.size, 5);
		CHECK_EQ(objects_list(&calls, dir.id, count, &n), 0);
		CHECK_EQ(n, 2);
		n = 0;
		CHECK_EQ(objects_list(&calls, dir.id, stop_at_two, &n), 7);
		CHECK_EQ(objects_delete(&calls, &file), -ESTALE);
		CHECK_EQ(objects_delete(&calls, &other), 0);
		CHECK_EQ(objects_delete(&calls, &other), 0);
		CHECK_EQ(objects_replace(&calls, &other, "x", 1, &file),
		         -ESTALE);
		CHECK_EQ(objects_get(&calls, other.id, &file), -ENOENT);
		drive_rig_stop(&rig);
	}
}

static void test_read(void)
{
	struct object file, other;
	struct buf got = BUF_INIT;

	start(DRIVE_BUSINESS);
	CHECK_EQ(objects_create(&calls, rig.root, "a", "12345", 5, &file), 0);
	CHECK_EQ(objects_read(&calls, &file, 4, &got), -EFBIG);
	check_row("other bytes");
	post("faults", "[{\"match\":{\"class\":\"download\"},\"times\":1,"
	               "\"do\":{\"corrupt\":2}}]");
	CHECK_EQ(objects_read(&calls, &file, 5, &got), -EBADMSG);
	check_row("replaced");
	CHECK_EQ(objects_replace(&calls, &file, "123456", 6, &other), 0);
	CHECK_EQ(objects_read(&calls, &file, 5, &got), -ESTALE);
	CHECK(strstr(why, "changed"));
	check_row("gone");
	CHECK_EQ(objects_delete(&calls, &other), 0);
	CHECK_EQ(objects_read(&calls, &other, 6, &got), -ESTALE);
	CHECK_EQ(got.len, 0);
	buf_done(&got);
	drive_rig_stop(&rig);
}

/* The content is there as it should be, whatever happened on the way. */
static const struct {
	const char *what, *faults;
	int create, replace;
} rows[] = {
	{ "answer lost", "\"times\":1,\"do\":{\"drop\":\"after\"}", 0, 0 },
	{ "request lost", "\"times\":1,\"do\":{\"drop\":\"before\"}", 0, 0 },
	{ "500, done", "\"times\":1,\"do\":{\"status\":500,\"effect\":true}", 0,
	  0 },
	{ "503", "\"times\":1,\"do\":{\"status\":503,\"retry_after\":1}", 0,
	  0 },
	{ "tag moves once", "\"times\":1,\"do\":{\"bump_tag\":true}", 0, 0 },
	{ "tag always moves", "\"do\":{\"bump_tag\":true}", 0, 0 },
	{ "no hash", "\"do\":{\"hash\":\"none\"}", 0, 0 },
	{ "wrong hash", "\"do\":{\"hash\":\"wrong\"}", -EBADMSG, -EBADMSG },
	{ "refused", "\"do\":{\"status\":403,\"code\":\"accessDenied\"}",
	  -EACCES, -EACCES },
};

static void fault(const char *class, const char *rest)
{
	char body[300];

	snprintf(body, sizeof(body), "[{\"match\":{\"class\":\"%s\"},%s}]",
	         class, rest);
	post("faults", body);
}

static void test_faults(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct object file, other;

		check_row("%s", rows[i].what);
		start(DRIVE_BUSINESS);
		fault("put", rows[i].faults);
		CHECK_EQ(objects_create(&calls, rig.root, "a", "one", 3, &file),
		         rows[i].create);
		post("reset", "{}");
		if (rows[i].create == 0)
			check_content(&file, "one");
		CHECK_EQ(objects_create(&calls, rig.root, "b", "two", 3, &file),
		         0);
		fault("put", rows[i].faults);
		CHECK_EQ(objects_replace(&calls, &file, "three", 5, &other),
		         rows[i].replace);
		post("reset", "{}");
		if (rows[i].replace == 0)
			check_content(&other, "three");
		drive_rig_stop(&rig);
	}
}

static void test_delete_quirk(void)
{
	struct object file;

	start(DRIVE_BUSINESS);
	post("set", "{\"quirks\":{\"delete_if_match_412\":1}}");
	CHECK_EQ(objects_create(&calls, rig.root, "a", "one", 3, &file), 0);
	CHECK_EQ(objects_delete(&calls, &file), 0);
	CHECK_EQ(objects_get(&calls, file.id, &file), -ENOENT);
	drive_rig_stop(&rig);
}

/* What the service holds equal is not what was asked for. */
static void test_equal_names(void)
{
	struct object file, other;

	start(DRIVE_PERSONAL);
	CHECK_EQ(objects_create(&calls, rig.root, "Name", "one", 3, &file), 0);
	CHECK_EQ(objects_find(&calls, rig.root, "name", &other), -EEXIST);
	CHECK(strstr(why, "Name"));
	CHECK_EQ(objects_create(&calls, rig.root, "name", "one", 3, &other),
	         -EEXIST);
	CHECK_EQ(objects_mkdir(&calls, rig.root, "NAME", &other), -EEXIST);
	drive_rig_stop(&rig);
}

int main(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	RUN(test_plain);
	RUN(test_read);
	RUN(test_faults);
	RUN(test_delete_quirk);
	RUN(test_equal_names);
	return check_report();
}
