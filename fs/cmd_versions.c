#include "fs/commands.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "auth/tokens.h"
#include "fs/cmd_common.h"
#include "fs/cmd_item.h"
#include "fs/codec.h"
#include "fs/config.h"
#include "fs/direct.h"
#include "fs/exit.h"
#include "fs/running.h"
#include "fs/session.h"
#include "fs/when.h"
#include "net/clock.h"
#include "net/log.h"
#include "net/versions.h"

static const char usage[] =
	"usage: nmbackupfs versions PATH|ID [--json]\n"
	"\n"
	"Lists what the service keeps of a file, newest first, one version a "
	"line:\n"
	"when it came there (local time), its id, its size, and \"current\" "
	"for the\n"
	"one that is there now. PATH is a path in the mount, or below the "
	"backup\n"
	"folder. `nmbackupfs restore PATH --version ID` brings one back; in a "
	"mount,\n"
	"the directory .versions/PATH holds them as files.\n"
	"\n"
	"  --json          one object; times in UTC\n"
	"  --profile NAME, --folder NAME\n"
	"\n"
	"Exit status: 0 listed; 2 usage; 3 nobody is signed in; 4 this machine "
	"has\n"
	"no key of the vault; 1 else.\n";

struct args {
	const char *what;
	bool json, help;
};

/* A size that no sealed file has is shown as it is there. */
static uint64_t plain_size(const struct direct *d, uint64_t there)
{
	uint64_t plain;

	return d->codec->ops->plain_size(d->codec, there, &plain) == 0 ? plain
	                                                               : there;
}

static void print_lines(const struct direct *d, const struct direct_versions *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct version *v = &l->v[i];
		char time[WHEN_TEXT] = "unknown", id[4 * VERSION_ID_MAX + 1];

		if (v->time)
			when_format_local(v->time, time);
		log_sanitize(v->id, id, sizeof(id));
		printf("%-25s  %-7s  %12" PRIu64 "%s\n", time, id,
		       plain_size(d, v->size), v->current ? "  current" : "");
	}
}

static bool add_version(const struct direct *d, cJSON *list,
                        const struct version *v)
{
	char time[CLOCK_RFC3339_SIZE];
	cJSON *o = cJSON_CreateObject();

	if (!cJSON_AddItemToArray(list, o)) {
		cJSON_Delete(o);
		return false;
	}
	clock_format_rfc3339(v->time, 0, time);
	return cJSON_AddStringToObject(o, "id", v->id) &&
	       (!v->time || cJSON_AddStringToObject(o, "time", time)) &&
	       cJSON_AddNumberToObject(o, "size",
	                               (double)plain_size(d, v->size)) &&
	       cJSON_AddNumberToObject(o, "stored_size", (double)v->size) &&
	       cJSON_AddBoolToObject(o, "current", v->current);
}

static int print_json(const struct direct *d, const struct direct_file *f,
                      const struct direct_versions *l)
{
	cJSON *o = cJSON_CreateObject(), *list;
	bool ok = cJSON_AddStringToObject(o, "item", f->item.id) &&
	          cmd_add_name(o, "name", f->node.name) &&
	          (list = cJSON_AddArrayToObject(o, "versions"));

	for (size_t i = 0; ok && i < l->n; i++)
		ok = add_version(d, list, &l->v[i]);
	ok = ok && cmd_print_json(o, false);
	cJSON_Delete(o);
	return ok ? 0 : -ENOMEM;
}

static int list(struct direct *d, const char *path, const struct args *a)
{
	struct direct_file *f = malloc(sizeof(*f));
	struct direct_versions l = { 0 };
	int rc = f ? cmd_find_item(d, path, a->what, f) : -ENOMEM;

	if (rc == 0 && f->item.kind != ITEM_FILE) {
		snprintf(d->why, DIRECT_WHY,
		         "%s is a folder, of which the service keeps no "
		         "versions; `nmbackupfs restore %s --at TIME DEST` "
		         "brings back what was in it",
		         a->what, a->what);
		rc = -EISDIR;
	}
	if (rc == 0)
		rc = direct_versions(d, f, &l);
	if (rc == 0 && a->json)
		rc = print_json(d, f, &l);
	else if (rc == 0)
		print_lines(d, &l);
	direct_versions_done(&l);
	free(f);
	return rc;
}

static bool parse(int argc, char **argv, struct args *out)
{
	const struct cmd_flag flags[] = {
		{ "help", 'h', &out->help },
		{ "json", 'j', &out->json },
		{ 0 },
	};

	*out = (struct args){ 0 };
	if (!cmd_parse("versions", argc, argv, 1, flags))
		return false;
	out->what = argv[optind];
	if (!out->help && (!out->what || !*out->what)) {
		fputs(usage, stderr);
		return false;
	}
	return true;
}

int cmd_versions(struct config *cfg, int argc, char **argv)
{
	char why[DIRECT_WHY] = "";
	struct running r;
	struct direct d;
	struct args a;
	int rc, status = EXIT_OK;

	if (!parse(argc, argv, &a))
		return EXIT_USAGE;
	if (a.help) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	if (running_find(cfg, &r, why, sizeof(why)) < 0)
		r = (struct running){ 0 };
	rc = direct_open(cfg, NULL, &d, why);
	if (rc < 0)
		return cmd_fail_session(rc, why);
	rc = direct_enter(&d, false);
	if (rc < 0) {
		status = cmd_fail_session(rc, why);
	} else {
		rc = list(&d, cmd_path_in_folder(a.what, &r), &a);
		if (rc < 0)
			status = cmd_fail(tokens_signed_in(d.session->tokens)
			                          ? EXIT_FAILED
			                          : EXIT_SIGN_IN,
			                  "%s", why[0] ? why : "out of memory");
	}
	direct_close(&d);
	return status;
}
