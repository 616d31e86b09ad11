#include "fs/commands.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "fs/cmd_common.h"
#include "fs/cmd_watch.h"
#include "fs/config.h"
#include "fs/control_status.h"
#include "fs/drill.h"
#include "fs/exit.h"
#include "fs/paths.h"
#include "fs/running.h"
#include "fs/verdict.h"
#include "net/clock.h"
#include "net/json.h"
#include "net/log.h"

static const char usage[] =
	"usage: nmbackupfs status [--json] [--check] [PATH]\n"
	"       nmbackupfs status --watch\n"
	"\n"
	"What a running mount is doing: what waits to be sent, what is "
	"blocked and\n"
	"why, quota, last sync, last error.\n"
	"\n"
	"  PATH            of this file or directory in the mount\n"
	"  --json          one JSON object, for scripts\n"
	"  --watch         a picture that follows it; q ends that\n"
	"  --check         the exit status says it, and one line if it is not "
	"0\n"
	"  --profile NAME  whose mount, if no PATH says it\n"
	"\n"
	"Exit status: 0; 1 if nothing runs (with --json: \"state\": "
	"\"not-running\").\n"
	"With --check: 0 all is uploaded; 3 nobody is signed in; 5 not all is "
	"uploaded\n"
	"yet; 6 something waits for a person (held, blocked, OneDrive is "
	"full); "
	"1 as\n"
	"above. What is still being written counts once it is closed; `flush` "
	"waits.\n";

/* ---- for people ---------------------------------------------------------- */

static void row(const char *label, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void row(const char *label, const char *fmt, ...)
{
	char line[4096], safe[4096];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	log_sanitize(line, safe, sizeof(safe));
	printf("%-12s %s\n", label, safe);
}

static void size_of(const cJSON *o, const char *name, char *out)
{
	int64_t v = json_i64(o, name, -1);

	if (v < 0)
		snprintf(out, CMD_SIZE_TEXT, "unknown");
	else
		cmd_format_size((uint64_t)v, out);
}

static const char *text_of(const cJSON *o, const char *name)
{
	const char *s = json_str(o, name);

	return s ? s : "";
}

static void print_state(const cJSON *o)
{
	const char *state = text_of(o, "state");
	const char *until = json_str(o, "throttled_until");
	const char *full =
		strcmp(state, "full") ? NULL : json_str(o, "full_until");
	bool idle = !strcmp(state, "idle");

	/* What is blocked or changed just now is no "everything". */
	if (idle && json_i64(o, "pending_changes", 0) > 0)
		row("state", "idle");
	else if (until)
		row("state", "%s, until %s", cmd_state_in_words(state), until);
	else if (full)
		row("state", "%s; tried again at %s", cmd_state_in_words(state),
		    full);
	else
		row("state", "%s", cmd_state_in_words(state));
	if (text_of(o, "paused")[0])
		row("paused", "%s", text_of(o, "paused"));
	if (!json_bool(o, "listed", true))
		row("", "the drive's first listing is not complete yet");
}

static void print_uploads(const cJSON *o)
{
	const cJSON *u;

	cJSON_ArrayForEach (u, json_arr(o, "uploading")) {
		int64_t sent = json_i64(u, "sent", 0);
		int64_t total = json_i64(u, "total", 0);
		char a[CMD_SIZE_TEXT], b[CMD_SIZE_TEXT];

		size_of(u, "sent", a);
		size_of(u, "total", b);
		row("uploading", "%s  %s of %s (%d %%)", text_of(u, "path"), a,
		    b,
		    total > 0 ? (int)((double)sent * 100 / (double)total) : 0);
	}
}

static void print_blocked(const cJSON *o)
{
	const cJSON *b, *list = json_arr(o, "blocked");

	cJSON_ArrayForEach (b, list)
		row("blocked", "%s: %s", text_of(b, "path"),
		    text_of(b, "reason"));
	if (cJSON_GetArraySize(list) > 0)
		row("", "these stay here; rename or change a file and it is "
		        "tried again");
}

static void print_held(const cJSON *o)
{
	const cJSON *h, *list = json_arr(o, "held");
	char text[CMD_HELD_TEXT];

	cJSON_ArrayForEach (h, list) {
		cmd_format_held(h, text);
		row("held", "%s", text);
	}
	if (cJSON_GetArraySize(list) > 0)
		row("", "`nmbackupfs approve` lets them go, `nmbackupfs undo` "
		        "takes them back");
}

static void print_quota(const cJSON *o)
{
	const cJSON *q = json_obj(o, "quota");
	char used[CMD_SIZE_TEXT], total[CMD_SIZE_TEXT], left[CMD_SIZE_TEXT];

	size_of(q, "used", used);
	size_of(q, "total", total);
	size_of(q, "remaining", left);
	if (json_i64(q, "total", -1) < 0)
		row("quota", "unknown");
	else
		row("quota", "%s used of %s, %s left", used, total, left);
}

/* "2026-11-24T10:00:00Z (5 min ago)". */
static void print_sync(const cJSON *o)
{
	const char *when = json_str(o, "last_sync");
	int64_t ns, s;

	if (!when || clock_parse_rfc3339(when, &ns) < 0) {
		row("last sync", "never");
		return;
	}
	s = (clock_real_ns() - ns) / NS_PER_SEC;
	if (s < 0 || s > 86400)
		row("last sync", "%s", when);
	else if (s < 120)
		row("last sync", "%s (%" PRId64 " s ago)", when, s);
	else
		row("last sync", "%s (%" PRId64 " min ago)", when, s / 60);
}

/* "2026-11-24T10:00:00Z: 10 files, 1.2 MB restored, each as it was sent". */
static void print_drill(const cJSON *drill)
{
	int64_t failed = json_i64(drill, "failed", 0);
	const char *outcome = json_str(drill, "outcome");
	const char *passed = json_str(drill, "last_passed");
	char size[CMD_SIZE_TEXT], end[64] = "each as it was sent";

	if (!outcome) {
		row("last drill", "never; `nmbackupfs drill` tries whether "
		                  "files come back");
		return;
	}
	size_of(drill, "bytes", size);
	if (failed)
		snprintf(end, sizeof(end), "%" PRId64 " NOT as they were sent",
		         failed);
	else if (!strcmp(outcome, "incomplete"))
		snprintf(end, sizeof(end), "then it was broken off");
	row("last drill", "%s: %" PRId64 " files, %s restored, %s",
	    text_of(drill, "time"), json_i64(drill, "files", 0), size, end);
	if (strcmp(outcome, "passed") != 0)
		row("", "the last one that passed: %s",
		    passed ? passed : "none yet");
}

static void print_all(const struct running *r, const cJSON *o)
{
	char a[CMD_SIZE_TEXT], b[CMD_SIZE_TEXT];

	if (r->mounted)
		row("mounted on", "%s (profile %s, process %ld)", r->mountpoint,
		    text_of(o, "profile"), r->pid);
	else
		row("unmounted", "process %ld goes on to upload (profile %s)",
		    r->pid, text_of(o, "profile"));
	print_state(o);
	size_of(o, "pending_bytes", a);
	row("pending", "%" PRId64 " files, %s; %" PRId64 " changes in all",
	    json_i64(o, "pending_files", 0), a,
	    json_i64(o, "pending_changes", 0));
	print_uploads(o);
	print_blocked(o);
	print_held(o);
	size_of(o, "uploaded_bytes", a);
	row("uploaded", "%" PRId64 " files, %s since the start",
	    json_i64(o, "uploaded_files", 0), a);
	size_of(o, "cached_bytes", a);
	size_of(o, "cache_size", b);
	row("cache", "%s of %s", a,
	    json_i64(o, "cache_size", 0) > 0 ? b : "no limit");
	print_quota(o);
	print_sync(o);
	print_drill(json_obj(o, "last_drill"));
	if (text_of(o, "last_error")[0])
		row("last error", "%s", text_of(o, "last_error"));
}

static void print_node(const cJSON *o)
{
	char size[CMD_SIZE_TEXT];

	size_of(o, "size", size);
	row("path", "%s", text_of(o, "path"));
	row("state", "%s", text_of(o, "state"));
	row("size", "%s", size);
	row("id", "%s", text_of(o, "id")[0] ? text_of(o, "id") : "none yet");
	if (text_of(o, "error")[0])
		row("error", "%s", text_of(o, "error"));
}

/* ---- for scripts --------------------------------------------------------- */

static int print_json(const cJSON *o)
{
	return cmd_print_json(o, true) ? EXIT_OK
	                               : cmd_fail(EXIT_FAILED, "out of memory");
}

/* Scripts get the members they look for, whatever happens; and what waits for
 * a person does so without a process, too. */
static void print_not_running(const struct config *cfg, bool json,
                              const char *why)
{
	cJSON *o = cJSON_CreateObject(), *held = NULL;
	char dir[PATH_MAX];

	if (paths_state_dir(cfg, dir, sizeof(dir)) == 0)
		held = control_held_at(dir);
	if (held)
		cJSON_AddItemToObject(o, "held", held);
	if (paths_state_dir(cfg, dir, sizeof(dir)) == 0)
		cJSON_AddItemToObject(o, "last_drill", drill_json(dir));
	if (!json) {
		print_held(o);
		if (json_obj(o, "last_drill"))
			print_drill(json_obj(o, "last_drill"));
		cJSON_Delete(o);
		return;
	}

	cJSON_AddStringToObject(o, "state", "not-running");
	cJSON_AddStringToObject(o, "profile", config_text(cfg, CONFIG_PROFILE));
	cJSON_AddStringToObject(o, "error", why);
	print_json(o);
	cJSON_Delete(o);
}

/* ---- the command --------------------------------------------------------- */

struct arguments {
	const char *path;
	bool json, check, watch, help;
};

static bool parse(int argc, char **argv, struct arguments *out)
{
	const struct cmd_flag flags[] = {
		{ "help", 'h', &out->help },
		{ "json", 'j', &out->json },
		{ "check", 'c', &out->check },
		{ "watch", 'w', &out->watch },
		{ 0 },
	};

	*out = (struct arguments){ 0 };
	if (!cmd_parse("status", argc, argv, 1, flags))
		return false;
	out->path = argv[optind];
	if (out->watch && (out->path || out->json || out->check)) {
		cmd_fail(0, "status: --watch goes with no PATH, --json or "
		            "--check");
		return false;
	}
	return true;
}

static int check(const struct arguments *a, const cJSON *answer)
{
	char why[CMD_WHY_BYTES];
	int status = a->path ? verdict_of_node(answer, why, sizeof(why))
	                     : verdict_of_mount(answer, why, sizeof(why));

	if (status != EXIT_OK)
		cmd_fail(status, "%s", why);
	return status;
}

static int show(const struct arguments *a, const struct running *r,
                cJSON *answer)
{
	int status = EXIT_OK;

	cJSON_DeleteItemFromObject(answer, "ok");
	if (a->json)
		status = print_json(answer);
	else if (a->check)
		return check(a, answer);
	else if (a->path)
		print_node(answer);
	else
		print_all(r, answer);
	return a->check && status == EXIT_OK ? check(a, answer) : status;
}

int cmd_status(struct config *cfg, int argc, char **argv)
{
	char why[CMD_WHY_BYTES], path[PATH_MAX];
	cJSON *answer = NULL;
	struct arguments a;
	struct running r;
	int rc;

	if (!parse(argc, argv, &a))
		return EXIT_USAGE;
	if (a.help) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	rc = a.path ? running_find_path(cfg, a.path, &r, path, why, sizeof(why))
	            : running_find(cfg, &r, why, sizeof(why));
	if (rc == 0 && a.watch)
		return cmd_watch(&r);
	if (rc == 0)
		rc = cmd_ask(&r, "status", a.path ? path : NULL, &answer, why,
		             sizeof(why));
	if (rc < 0) {
		if (!a.path)
			print_not_running(cfg, a.json, why);
		return cmd_fail(EXIT_FAILED, "%s%s%s",
		                a.path && rc == -ENOENT ? a.path : "",
		                a.path && rc == -ENOENT ? ": " : "", why);
	}
	rc = show(&a, &r, answer);
	cJSON_Delete(answer);
	return rc;
}
