#include "fs/commands.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "fs/cmd_common.h"
#include "fs/control.h"
#include "fs/exit.h"
#include "fs/running.h"
#include "net/clock.h"
#include "net/json.h"
#include "net/log.h"

static const char usage[] =
	"usage: nmbackupfs events [--json]\n"
	"\n"
	"A line for each change in a running mount, as it happens: queued, "
	"uploading,\n"
	"uploaded, failed, blocked, held, conflict, remote (of another "
	"device), "
	"and\n"
	"the state: syncing, all-done, offline, throttled, full, paused, "
	"signed-out. "
	"Ends with\n"
	"the mount. Who reads too slowly misses lines; \"lost\" says how "
	"many.\n"
	"\n"
	"  --json          one JSON object a line, for scripts\n"
	"  --profile NAME  whose mount\n"
	"\n"
	"Exit status: 0 when the mount has ended; 1 if nothing runs, or it "
	"died.\n";

struct listening {
	bool json, ended;
};

/* ---- for people ---------------------------------------------------------- */

static void print_time(const char *rfc3339)
{
	struct timespec ts;
	char text[16] = "";
	int64_t ns;
	struct tm tm;

	if (rfc3339 && clock_parse_rfc3339(rfc3339, &ns) == 0) {
		ts = clock_ns_to_timespec(ns);
		if (localtime_r(&ts.tv_sec, &tm))
			strftime(text, sizeof(text), "%H:%M:%S", &tm);
	}
	printf("%-8s ", text);
}

static void print_word(const cJSON *o, const char *name, const char *before)
{
	const char *text = json_str(o, name);
	char safe[4096];

	if (!text)
		return;
	log_sanitize(text, safe, sizeof(safe));
	printf("%s%s", before, safe);
}

static void print_size(const cJSON *o)
{
	char text[CMD_SIZE_TEXT];
	int64_t size = json_i64(o, "size", -1);

	if (size < 0)
		return;
	cmd_format_size((uint64_t)size, text);
	printf(" (%s)", text);
}

static void print_line(const cJSON *o)
{
	const char *event = json_str(o, "event");

	print_time(json_str(o, "time"));
	printf("%-10s", event ? event : "?");
	print_word(o, "path", " ");
	if (json_bool(o, "folder", false))
		putchar('/');
	print_size(o);
	print_word(o, "name", " was ");
	print_word(o, "change", " ");
	print_word(o, "id", " ");
	print_word(o, "reason", ": ");
	print_word(o, "until", " until ");
	if (json_i64(o, "count", 0))
		printf(" %lld", (long long)json_i64(o, "count", 0));
	if (json_i64(o, "pending_files", 0))
		printf(" %lld files to be sent",
		       (long long)json_i64(o, "pending_files", 0));
	putchar('\n');
}

/* ---- the command --------------------------------------------------------- */

static void on_line(void *arg, const cJSON *o)
{
	struct listening *l = arg;
	const char *event = json_str(o, "event");

	l->ended = event && !strcmp(event, "end");
	if (!event)
		return;
	if (l->json)
		cmd_print_json(o, false);
	else
		print_line(o);
	fflush(stdout);
}

static int listen_to(const struct running *r, struct listening *l)
{
	cJSON *req = cJSON_CreateObject();
	char why[CMD_WHY_BYTES] = "";
	int rc = -ENOMEM;

	if (cJSON_AddStringToObject(req, "do", "events"))
		rc = control_call(r->state_dir, req, -1, on_line, l, why,
		                  sizeof(why));
	cJSON_Delete(req);
	if (l->ended)
		return EXIT_OK;
	if (rc == -EPIPE || rc == -ECONNRESET)
		return cmd_fail(EXIT_FAILED, "the mount (process %ld) died",
		                r->pid);
	return cmd_fail(EXIT_FAILED, "%s", why[0] ? why : strerror(-rc));
}

int cmd_events(struct config *cfg, int argc, char **argv)
{
	struct listening l = { 0 };
	char why[CMD_WHY_BYTES];
	struct running r;
	bool help;
	const struct cmd_flag flags[] = {
		{ "help", 'h', &help },
		{ "json", 'j', &l.json },
		{ 0 },
	};
	int rc;

	if (!cmd_parse("events", argc, argv, 0, flags))
		return EXIT_USAGE;
	if (help) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	rc = running_find(cfg, &r, why, sizeof(why));
	if (rc < 0)
		return cmd_fail(EXIT_FAILED, "%s", why);
	return listen_to(&r, &l);
}
