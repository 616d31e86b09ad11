#include "fs/cmd_common.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "fs/control.h"
#include "fs/exit.h"
#include "fs/running.h"
#include "fs/vault_setup.h"
#include "net/clock.h"
#include "net/json.h"
#include "net/log.h"

#define LINE_BYTES   4096
#define SHOW_EVERY   100 /* ms */
#define BAR_CELLS    24
#define ASK_LIMIT_MS 30000

/* ---- lines --------------------------------------------------------------- */

int cmd_fail(int status, const char *fmt, ...)
{
	char line[LINE_BYTES], safe[LINE_BYTES];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	log_sanitize(line, safe, sizeof(safe));
	fprintf(stderr, "nmbackupfs: %s\n", safe);
	return status;
}

bool cmd_parse(const char *command, int argc, char **argv, int most,
               const struct cmd_flag *flags)
{
	struct option options[CMD_FLAGS_MAX + 1] = { 0 };
	char letters[CMD_FLAGS_MAX + 1];
	size_t len = 0;
	int at;

	for (size_t i = 0; flags[i].name; i++) {
		options[i].name = flags[i].name;
		options[i].val = flags[i].letter;
		if (flags[i].letter)
			letters[len++] = flags[i].letter;
		*flags[i].out = false;
	}
	letters[len] = '\0';
	for (optind = 0;;) {
		int c = getopt_long(argc, argv, letters, options, &at);

		if (c == -1)
			break;
		if (c == '?')
			return false;
		for (size_t i = 0; flags[i].name; i++) {
			if (c ? flags[i].letter == c : (size_t)at == i)
				*flags[i].out = true;
		}
	}
	if (argc - optind > most)
		cmd_fail(0, "%s: unexpected \"%s\"", command,
		         argv[optind + most]);
	return argc - optind <= most;
}

bool cmd_print_json(const cJSON *o, bool indented)
{
	char *text = !o         ? NULL
	             : indented ? cJSON_Print(o)
	                        : cJSON_PrintUnformatted(o);

	if (!text)
		return false;
	puts(text);
	cJSON_free(text);
	return true;
}

int cmd_fail_session(int rc, const char *why)
{
	int status = vault_setup_exit_status(rc);

	if (strncmp(why, "No token", 8) != 0)
		return cmd_fail(status, "%s", why);
	fprintf(stderr, "%s\n", why);
	return status;
}

static void add_words(char *out, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void add_words(char *out, const char *fmt, ...)
{
	size_t len = strlen(out);
	va_list args;

	va_start(args, fmt);
	vsnprintf(out + len, CMD_HELD_TEXT - len, fmt, args);
	va_end(args);
}

/* "12 deletes and 3 overwrites, not sent, since TIME: /a, /b, ..." */
void cmd_format_held(const cJSON *held, char out[CMD_HELD_TEXT])
{
	const char *dir = json_str(held, "direction");
	const char *since = json_str(held, "since"), *comma = ": ";
	bool in = dir && !strcmp(dir, "incoming");
	int64_t deletes = json_i64(held, "deletes", 0);
	int64_t overwrites = json_i64(held, "overwrites", 0);
	const cJSON *path, *list = json_arr(held, "examples");

	out[0] = '\0';
	if (deletes || in)
		add_words(out, "%" PRId64 " deletes%s", deletes,
		          overwrites ? " and " : "");
	if (overwrites)
		add_words(out, "%" PRId64 " overwrites", overwrites);
	add_words(out, "%s", in ? " on OneDrive, not done here" : ", not sent");
	if (since)
		add_words(out, ", since %s", since);
	cJSON_ArrayForEach (path, list) {
		if (cJSON_IsString(path))
			add_words(out, "%s%.300s", comma, path->valuestring);
		comma = ", ";
	}
	if (deletes + overwrites > cJSON_GetArraySize(list))
		add_words(out, ", ...");
}

/* ---- progress ------------------------------------------------------------ */

static void draw_bar(unsigned percent)
{
	unsigned full = percent * BAR_CELLS / 100;

	fputs(" [", stderr);
	for (unsigned i = 0; i < BAR_CELLS; i++)
		fputc(i < full ? '#' : '.', stderr);
	fprintf(stderr, "] %3u %%", percent);
}

void progress_show(struct progress *p, uint64_t done, uint64_t total,
                   const char *text)
{
	int64_t now = clock_mono_ms();
	char safe[160];

	if (now < p->next_ms || !isatty(STDERR_FILENO))
		return;
	p->next_ms = now + SHOW_EVERY;
	p->shown = true;
	log_sanitize(text, safe, sizeof(safe));
	fprintf(stderr, "\r\033[K%.100s", safe);
	if (total)
		draw_bar((unsigned)(done >= total ? 100
		                                  : (double)done * 100 /
		                                            (double)total));
	fflush(stderr);
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}

/* ---- the control socket -------------------------------------------------- */

static void keep_answer(void *arg, const cJSON *answer)
{
	cJSON **out = arg;

	cJSON_Delete(*out);
	*out = cJSON_Duplicate(answer, true);
}

static cJSON *new_request(const char *what, const char *path)
{
	cJSON *req = cJSON_CreateObject();

	if (!cJSON_AddStringToObject(req, "do", what) ||
	    (path && !cJSON_AddStringToObject(req, "path", path))) {
		cJSON_Delete(req);
		return NULL;
	}
	return req;
}

int cmd_ask(const struct running *r, const char *what, const char *path,
            struct cJSON **out_answer, char *why, size_t why_size)
{
	cJSON *req = new_request(what, path), *answer = NULL;
	int rc;

	why[0] = '\0';
	if (!req)
		return -ENOMEM;
	rc = control_call(r->state_dir, req, ASK_LIMIT_MS, keep_answer, &answer,
	                  why, (unsigned)why_size);
	cJSON_Delete(req);
	if (rc == 0 && !answer)
		rc = -ENOMEM;
	if (rc < 0) {
		cJSON_Delete(answer);
		if (!why[0])
			snprintf(why, why_size,
			         "process %ld doesn't answer: %s", r->pid,
			         strerror(-rc));
		return rc;
	}
	*out_answer = answer;
	return 0;
}
