#include "fs/drill.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "net/clock.h"
#include "net/json.h"

#define FILE_NAME "drill"
#define MAX_BYTES 4096

static const char *const outcomes[] = { "passed", "failed", "incomplete" };

const char *drill_outcome_name(enum drill_outcome o)
{
	return outcomes[o];
}

/* ---- as JSON ------------------------------------------------------------- */

static cJSON *to_json(const struct drill_record *r)
{
	cJSON *o = cJSON_CreateObject();

	json_add_time(o, "time", r->time);
	cJSON_AddStringToObject(o, "outcome", outcomes[r->outcome]);
	cJSON_AddNumberToObject(o, "files", (double)r->files);
	cJSON_AddNumberToObject(o, "bytes", (double)r->bytes);
	cJSON_AddNumberToObject(o, "failed", (double)r->failed);
	json_add_time(o, "last_passed", r->last_passed);
	return o;
}

static int64_t get_time(const cJSON *o, const char *name)
{
	const char *text = json_str(o, name);
	int64_t ns;

	return text && clock_parse_rfc3339(text, &ns) == 0 ? ns : 0;
}

static int from_json(const cJSON *o, struct drill_record *r)
{
	const char *outcome = json_str(o, "outcome");
	int64_t files = json_i64(o, "files", -1);
	int64_t bytes = json_i64(o, "bytes", -1);
	int64_t failed = json_i64(o, "failed", -1);

	*r = (struct drill_record){ .time = get_time(o, "time") };
	if (!outcome || !r->time || files < 0 || bytes < 0 || failed < 0)
		return -ENOENT;
	r->files = (uint64_t)files;
	r->bytes = (uint64_t)bytes;
	r->failed = (uint64_t)failed;
	r->last_passed = get_time(o, "last_passed");
	for (size_t i = 0; i < sizeof(outcomes) / sizeof(*outcomes); i++) {
		if (!strcmp(outcome, outcomes[i])) {
			r->outcome = (enum drill_outcome)i;
			return 0;
		}
	}
	return -ENOENT;
}

struct cJSON *drill_json(const char *state_dir)
{
	struct drill_record r;

	return drill_read(state_dir, &r) == 0 ? to_json(&r)
	                                      : cJSON_CreateNull();
}

/* ---- the file ------------------------------------------------------------ */

static int open_dir(const char *state_dir)
{
	int fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int drill_read(const char *state_dir, struct drill_record *out)
{
	char text[MAX_BYTES];
	int dir = open_dir(state_dir), fd, rc;
	ssize_t n;
	cJSON *o;

	if (dir < 0)
		return dir;
	fd = openat(dir, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	rc = fd < 0 ? -errno : 0;
	close(dir);
	if (rc < 0)
		return rc;
	n = read(fd, text, sizeof(text));
	close(fd);
	o = n > 0 ? json_parse(text, (size_t)n) : NULL;
	rc = o ? from_json(o, out) : -ENOENT;
	cJSON_Delete(o);
	return rc;
}

static int write_text(int dir, const char *text)
{
	size_t len = strlen(text);
	int fd = openat(dir, FILE_NAME ".new",
	                O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
	                0600);
	int rc = 0;

	if (fd < 0)
		return -errno;
	errno = EIO; /* of a short write */
	if (write(fd, text, len) != (ssize_t)len || fsync(fd) < 0)
		rc = -errno;
	close(fd);
	if (rc == 0 && renameat(dir, FILE_NAME ".new", dir, FILE_NAME) < 0)
		rc = -errno;
	if (rc == 0 && fsync(dir) < 0)
		rc = -errno;
	return rc;
}

int drill_write(const char *state_dir, struct drill_record *r)
{
	struct drill_record before;
	int dir = open_dir(state_dir), rc = -ENOMEM;
	cJSON *o;
	char *text;

	if (dir < 0)
		return dir;
	if (r->outcome == DRILL_PASSED)
		r->last_passed = r->time;
	else if (drill_read(state_dir, &before) == 0)
		r->last_passed = before.last_passed;
	o = to_json(r);
	text = cJSON_Print(o);
	if (text)
		rc = write_text(dir, text);
	cJSON_free(text);
	cJSON_Delete(o);
	close(dir);
	return rc;
}
