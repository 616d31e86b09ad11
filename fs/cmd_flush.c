#include "fs/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "fs/cmd_common.h"
#include "fs/control.h"
#include "fs/exit.h"
#include "fs/running.h"
#include "net/json.h"

#define GRACE_MS 10000 /* the process keeps the time itself */

static const char usage[] =
	"usage: nmbackupfs flush [--timeout TIME] [PATH]\n"
	"\n"
	"Waits until everything that was changed in the mount up to now is on\n"
	"the server, checked by size and hash.\n"
	"\n"
	"  PATH            only this file, or what lies below this directory\n"
	"  --timeout TIME  give up after that: seconds, or 90s, 5m, 2h\n"
	"  --profile NAME  whose mount, if no PATH says it\n"
	"\n"
	"Exit status: 0 all is there; 5 not (yet): the time is over, or "
	"something\n"
	"is blocked and needs you, the reason is shown; 6 deletes or "
	"overwrites are\n"
	"held, see nmbackupfs approve --help; 1 nothing runs, or else.\n";

/* ---- asking, with progress ----------------------------------------------- */

struct flush_view {
	struct progress progress;
	uint64_t most; /* bytes left, at most so far */
};

static void on_line(void *arg, const cJSON *answer)
{
	struct flush_view *v = arg;
	int64_t files = json_i64(answer, "left_files", -1);
	int64_t bytes = json_i64(answer, "left_bytes", 0);
	char size[CMD_SIZE_TEXT], text[96];

	if (files < 0 || bytes < 0)
		return;
	if ((uint64_t)bytes > v->most)
		v->most = (uint64_t)bytes;
	cmd_format_size((uint64_t)bytes, size);
	snprintf(text, sizeof(text), "%" PRId64 " left, %s", files, size);
	progress_show(&v->progress, v->most - (uint64_t)bytes, v->most, text);
}

static cJSON *flush_request(const char *path, int64_t timeout_ms)
{
	cJSON *req = cJSON_CreateObject();

	if (!cJSON_AddStringToObject(req, "do", "flush") ||
	    (path && !cJSON_AddStringToObject(req, "path", path)) ||
	    (timeout_ms >= 0 &&
	     !cJSON_AddNumberToObject(req, "timeout_ms", (double)timeout_ms))) {
		cJSON_Delete(req);
		return NULL;
	}
	return req;
}

/* ---- why it did not end well --------------------------------------------- */

static void say_blocked(const cJSON *status)
{
	const cJSON *b;

	cJSON_ArrayForEach (b, json_arr(status, "blocked")) {
		const char *path = json_str(b, "path");
		const char *reason = json_str(b, "reason");

		cmd_fail(0, "blocked: %s: %s", path ? path : "?",
		         reason ? reason : "?");
	}
}

static void say_held(const cJSON *status)
{
	const cJSON *h;
	char text[CMD_HELD_TEXT];

	cJSON_ArrayForEach (h, json_arr(status, "held")) {
		cmd_format_held(h, text);
		cmd_fail(0, "%s", text);
	}
	cmd_fail(0, "`nmbackupfs approve` lets them go, `nmbackupfs undo` "
	            "takes them back; all else is on the server");
}

static const char *state_reason(const cJSON *status)
{
	const char *state = json_str(status, "state");

	if (!state)
		return "";
	if (!strcmp(state, "offline"))
		return ": the network or the service can't be reached";
	if (!strcmp(state, "throttled"))
		return ": the service asked to wait";
	if (!strcmp(state, "full"))
		return ": OneDrive is full, delete something there or get more "
		       "room";
	if (!strcmp(state, "signed-out"))
		return ": nobody is signed in, run `nmbackupfs auth`";
	return "";
}

static int explain(const struct running *r, int rc, const char *why)
{
	char ignored[CMD_WHY_BYTES];
	cJSON *status = NULL;

	if (rc != -ETIMEDOUT && rc != -EIO && rc != -EPERM)
		return cmd_fail(rc == -EPIPE || rc == -ECONNRESET
		                        ? EXIT_UNFINISHED
		                        : EXIT_FAILED,
		                "flush: %s", why);
	cmd_ask(r, "status", NULL, &status, ignored, sizeof(ignored));
	say_blocked(status);
	if (rc == -EPERM) {
		say_held(status);
		cJSON_Delete(status);
		return EXIT_HELD;
	}
	if (rc == -EIO)
		cmd_fail(0,
		         "not everything is on the server: something is "
		         "blocked and stays here%s",
		         state_reason(status));
	else
		cmd_fail(0,
		         "not everything is on the server yet%s; it goes on "
		         "being sent",
		         state_reason(status));
	cJSON_Delete(status);
	return EXIT_UNFINISHED;
}

#define SYNC_TRIES 20

/* What programs wrote and the kernel still keeps for itself. A program that is
 * killed within fallocate() leaves EINTR behind, as if its bytes had failed
 * (fuse_flush_time_update() in Linux): it is told once, and means nothing. */
static int sync_mount(const struct running *r)
{
	int fd, rc = -EINTR;

	if (!r->mounted)
		return 0;
	fd = open(r->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (int i = 0; i < SYNC_TRIES && rc == -EINTR; i++)
		rc = syncfs(fd) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

int cmd_flush_running(const struct running *r, const char *path,
                      int64_t timeout_ms, bool *out_blocked)
{
	struct flush_view view = { 0 };
	char why[CMD_WHY_BYTES] = "";
	int64_t limit = timeout_ms < 0 || timeout_ms > INT_MAX - GRACE_MS
	                        ? -1
	                        : timeout_ms + GRACE_MS;
	cJSON *req;
	int rc = sync_mount(r);

	*out_blocked = false;
	if (rc < 0)
		return cmd_fail(EXIT_FAILED, "%s: %s", r->mountpoint,
		                strerror(-rc));
	req = flush_request(path, timeout_ms);
	if (!req)
		return cmd_fail(EXIT_FAILED, "out of memory");
	rc = control_call(r->state_dir, req, (int)limit, on_line, &view, why,
	                  sizeof(why));
	cJSON_Delete(req);
	progress_end(&view.progress);
	*out_blocked = rc == -EIO || rc == -EPERM;
	if (rc == 0)
		return EXIT_OK;
	return explain(r, rc, why[0] ? why : strerror(-rc));
}

/* ---- the command --------------------------------------------------------- */

struct arguments {
	const char *path;
	int64_t timeout_ms;
	bool help;
};

static bool parse(int argc, char **argv, struct arguments *out)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "timeout", required_argument, NULL, 't' },
		{ 0 },
	};
	int c;

	*out = (struct arguments){ .timeout_ms = -1 };
	optind = 0;
	while ((c = getopt_long(argc, argv, "ht:", options, NULL)) != -1) {
		if (c == 'h') {
			out->help = true;
		} else if (c != 't') {
			return false;
		} else if (cmd_parse_time(optarg, &out->timeout_ms) < 0) {
			cmd_fail(0,
			         "--timeout: \"%s\" should be a time like "
			         "30, 5m or 1h",
			         optarg);
			return false;
		}
	}
	if (optind < argc)
		out->path = argv[optind++];
	if (optind < argc)
		cmd_fail(0, "flush: unexpected \"%s\"", argv[optind]);
	return optind >= argc;
}

int cmd_flush(struct config *cfg, int argc, char **argv)
{
	char why[CMD_WHY_BYTES], path[PATH_MAX];
	struct arguments a;
	struct running r;
	bool blocked;
	int rc;

	if (!parse(argc, argv, &a))
		return EXIT_USAGE;
	if (a.help) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	rc = a.path ? running_find_path(cfg, a.path, &r, path, why, sizeof(why))
	            : running_find(cfg, &r, why, sizeof(why));
	if (rc < 0)
		return cmd_fail(EXIT_FAILED, "%s", why);
	return cmd_flush_running(&r, a.path ? path : NULL, a.timeout_ms,
	                         &blocked);
}
