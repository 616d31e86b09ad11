#include "fs/commands.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "fs/cmd_common.h"
#include "fs/control_status.h"
#include "fs/doctor.h"
#include "fs/exit.h"
#include "net/log.h"

static const char usage[] =
	"usage: nmbackupfs doctor [--json]\n"
	"\n"
	"Tries what a mount needs, one by one, and says what to do about what "
	"fails:\n"
	"config, FUSE, libraries, the state directory and its disk, the hosts "
	"of the\n"
	"service, the clock, keystore, sign-in, the folder; at last a small "
	"test file\n"
	"is sent there (sealed, in a vault), read back and deleted. Works with "
	"and\n"
	"without a mount, and prints no secret.\n"
	"\n"
	"  --json          one JSON object: checks, each with check, level, "
	"text, next\n"
	"  --profile NAME, and all options of a mount\n"
	"\n"
	"Exit status: 0 nothing failed (warnings are none); 1 something did; 2 "
	"usage.\n";

struct view {
	bool json;
	unsigned warnings, failures;
	cJSON *list;
};

static const char *const levels[] = { "ok", "warn", "FAIL" };

/* doctor_report_fn */
static void report(void *arg, enum doctor_level level, const char *check,
                   const char *text, const char *next)
{
	struct view *v = arg;
	char safe[PATH_MAX * 2];
	cJSON *o;

	v->warnings += level == DOCTOR_WARN;
	v->failures += level == DOCTOR_FAIL;
	if (v->json) {
		o = cJSON_CreateObject();
		cJSON_AddStringToObject(o, "check", check);
		cJSON_AddStringToObject(o, "level",
		                        level == DOCTOR_FAIL ? "fail"
		                                             : levels[level]);
		control_add_text(o, "text", text);
		control_add_text(o, "next", next);
		cJSON_AddItemToArray(v->list, o);
		return;
	}
	log_sanitize(text, safe, sizeof(safe));
	printf("%-4s  %-12s  %s", levels[level], check, safe);
	log_sanitize(next, safe, sizeof(safe));
	printf("%s%s\n", next[0] ? " — " : "", safe);
	fflush(stdout);
}

static int print_json(struct view *v)
{
	cJSON *o = cJSON_CreateObject();
	bool done;

	cJSON_AddBoolToObject(o, "ok", !v->failures);
	cJSON_AddNumberToObject(o, "failures", v->failures);
	cJSON_AddNumberToObject(o, "warnings", v->warnings);
	cJSON_AddItemToObject(o, "checks", v->list);
	v->list = NULL;
	done = cmd_print_json(o, true);
	cJSON_Delete(o);
	return done ? EXIT_OK : cmd_fail(EXIT_FAILED, "out of memory");
}

int cmd_doctor(struct config *cfg, int argc, char **argv)
{
	struct view v = { 0 };
	struct doctor d = { .config = cfg, .report = report, .arg = &v };
	int status = EXIT_OK;
	bool help;
	const struct cmd_flag flags[] = {
		{ "help", 'h', &help },
		{ "json", 'j', &v.json },
		{ 0 },
	};

	if (!cmd_parse("doctor", argc, argv, 0, flags))
		return EXIT_USAGE;
	if (help) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	if (v.json)
		v.list = cJSON_CreateArray();
	doctor_look_local(&d);
	doctor_look_disk(&d);
	doctor_look_service(&d);
	if (v.json)
		status = print_json(&v);
	else if (v.failures || v.warnings)
		printf("%u failed, %u to look at\n", v.failures, v.warnings);
	else
		puts("all is well");
	cJSON_Delete(v.list);
	return status == EXIT_OK && v.failures ? EXIT_FAILED : status;
}
