#include "fs/commands.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cjson/cJSON.h>

#include "auth/tokens.h"
#include "fs/cmd_common.h"
#include "fs/cmd_item.h"
#include "fs/config.h"
#include "fs/db.h"
#include "fs/direct.h"
#include "fs/exit.h"
#include "fs/ledger.h"
#include "fs/past_read.h"
#include "fs/recycle.h"
#include "fs/running.h"
#include "fs/session.h"
#include "fs/when.h"
#include "net/clock.h"
#include "net/log.h"

static const char usage[] =
	"usage: nmbackupfs undelete [--json]\n"
	"       nmbackupfs undelete PATH|ID\n"
	"\n"
	"Lists what this device has deleted and has not seen again, newest "
	"first: when,\n"
	"id, size (- of a folder), path. With a PATH (the last deleted of that "
	"name) or\n"
	"an ID, takes it out of OneDrive's recycle bin and puts it back: a "
	"folder with\n"
	"all that was in it. Personal accounts keep what was deleted for 30 "
	"days; those\n"
	"of work and school give it back only in the browser, and it is said "
	"where.\n"
	"\n"
	"  --json          one object a line; times in UTC\n"
	"  --profile NAME, --folder NAME\n"
	"\n"
	"Exit status: 0 done; 2 usage; 3 nobody is signed in; 4 this machine "
	"has no key\n"
	"of the vault; 1 else.\n";

struct args {
	const char *what; /* NULL: list */
	bool json, help;
};

/* ---- the list ------------------------------------------------------------ */

static bool is_folder(const struct ledger_entry *e)
{
	return e->mode ? S_ISDIR(e->mode) : !e->size && !e->has_hash;
}

static int print_line(void *arg, const struct ledger_entry *e)
{
	char when[WHEN_TEXT], size[24] = "-";
	char path[4 * PATH_MAX + 1], id[4 * NODE_ID_MAX + 1];

	(void)arg;
	when_format_local(e->time, when);
	if (!is_folder(e))
		snprintf(size, sizeof(size), "%" PRIu64, e->plain_size);
	log_sanitize(e->id, id, sizeof(id));
	log_sanitize(e->path[0] ? e->path + 1 : "?", path, sizeof(path));
	printf("%s  %s  %12s  %s\n", when, id, size, path);
	return 0;
}

static int print_json(void *arg, const struct ledger_entry *e)
{
	cJSON *o = cJSON_CreateObject();
	char when[CLOCK_RFC3339_SIZE];
	bool ok;

	(void)arg;
	clock_format_rfc3339(e->time, 0, when);
	ok = cJSON_AddStringToObject(o, "deleted", when) &&
	     cJSON_AddStringToObject(o, "id", e->id) &&
	     cJSON_AddBoolToObject(o, "folder", is_folder(e)) &&
	     cJSON_AddNumberToObject(o, "size", (double)e->plain_size) &&
	     (!e->path[0] || cmd_add_name(o, "path", e->path + 1));
	ok = ok && cmd_print_json(o, false);
	cJSON_Delete(o);
	return ok ? 0 : -ENOMEM;
}

static int list(const struct config *cfg, const struct args *a)
{
	struct db *db;
	int rc = past_open_db(cfg, &db);

	if (rc == -ENOENT)
		return EXIT_OK;
	if (rc == 0) {
		rc = ledger_each_deleted(
			db, 0, a->json ? print_json : print_line, NULL);
		db_close(db);
	}
	return rc < 0 ? cmd_fail(EXIT_FAILED,
	                         "what this machine noted can't be read: %s",
	                         strerror(-rc))
	              : EXIT_OK;
}

/* ---- one of them --------------------------------------------------------- */

struct search {
	const char *path, *id;
	struct ledger_entry *found;
	bool any;
	/* What went together with it, the topmost last (the list goes back). */
	struct ledger_entry *top;
};

static int find(void *arg, const struct ledger_entry *e)
{
	struct search *s = arg;

	if (!s->any && (!strcmp(e->id, s->id) ||
	                (e->path[0] && !strcmp(e->path + 1, s->path)))) {
		*s->found = *e;
		*s->top = *e;
		s->any = true;
	} else if (s->any && e->time == s->found->time) {
		*s->top = *e;
	}
	return s->any && e->time < s->found->time;
}

static int read_entry(const struct config *cfg, struct search *s, char *why)
{
	struct db *db;
	int rc = past_open_db(cfg, &db);

	if (rc == 0) {
		rc = ledger_each_deleted(db, 0, find, s);
		db_close(db);
	}
	if (rc < 0 && rc != -ENOENT)
		snprintf(why, DIRECT_WHY,
		         "what this machine noted can't be read: %s",
		         strerror(-rc));
	else if (!s->any)
		snprintf(why, DIRECT_WHY,
		         "this machine has deleted nothing of that name or id; "
		         "`nmbackupfs undelete` lists what it has");
	return rc < 0 && rc != -ENOENT ? rc : s->any ? 0 : -ENOENT;
}

static void say_why_not(struct direct *d, const struct search *s, int rc)
{
	const char *path = s->found->path[0] ? s->found->path + 1 : s->id;

	if (rc == -EEXIST)
		snprintf(d->why, DIRECT_WHY,
		         "something else is called %.800s now; rename that "
		         "first",
		         path);
	else if (rc == -ENOENT && strcmp(s->top->id, s->found->id) != 0)
		snprintf(d->why, DIRECT_WHY,
		         "it was deleted together with the folder it was in; "
		         "`nmbackupfs undelete %.700s` brings all of that back",
		         s->top->path[0] ? s->top->path + 1 : s->top->id);
	else if (rc == -ENOENT)
		snprintf(d->why, DIRECT_WHY,
		         "it is not in OneDrive's recycle bin any more");
}

/* The folder it was in, which is made again if need be. In a vault the service
 * does not know that a name is taken. */
static int find_place(struct direct *d, const struct search *s,
                      struct direct_place *out)
{
	struct direct_file *f = malloc(sizeof(*f));
	int rc = f ? direct_find(d, s->found->path, true, out) : -ENOMEM;

	if (rc == 0) {
		rc = direct_look(d, out, f);
		rc = rc == 0 ? -EEXIST : rc == -ENOENT ? 0 : rc;
	}
	free(f);
	return rc;
}

static int put_back(struct direct *d, const struct search *s)
{
	struct item *it = malloc(sizeof(*it));
	struct direct_place at = { .parent_id = "" };
	int rc = it ? direct_raw_item(d, s->found->id, it) : -ENOMEM;

	if (rc == 0) {
		snprintf(d->why, DIRECT_WHY,
		         "it is on the drive again already; `nmbackupfs get "
		         "%.255s` fetches it",
		         s->found->id);
		rc = -EALREADY;
	} else if (rc == -ENOENT) {
		/* Nothing is made in vain. */
		if (d->personal && strcmp(s->top->id, s->found->id) == 0)
			rc = s->found->path[0] ? find_place(d, s, &at) : 0;
		else if (!d->personal)
			rc = 0;
		if (rc == 0)
			rc = recycle_restore(
				d, s->found->id,
				at.parent_id[0] ? at.parent_id : NULL, it);
		say_why_not(d, s, rc);
	}
	free(it);
	return rc;
}

/* `mounted`: it is the drive that has it again, and the mount learns of it as
 * of any change there. */
static int undelete(struct direct *d, const struct search *s, bool mounted)
{
	int rc = direct_enter(d, false);

	if (rc < 0)
		return cmd_fail_session(rc, d->why);
	rc = put_back(d, s);
	if (rc < 0)
		return cmd_fail(tokens_signed_in(d->session->tokens)
		                        ? EXIT_FAILED
		                        : EXIT_SIGN_IN,
		                "%s", d->why[0] ? d->why : strerror(-rc));
	puts(s->found->id);
	if (mounted)
		fputs("It is on OneDrive again; the mount shows it when it has "
		      "looked there (--poll-interval).\n",
		      stderr);
	return EXIT_OK;
}

static int undelete_one(struct config *cfg, const struct args *a)
{
	struct search s = { .id = a->what };
	char why[DIRECT_WHY] = "";
	struct running r;
	struct direct d;
	int rc = -ENOMEM, status;

	if (running_find(cfg, &r, why, sizeof(why)) < 0)
		r = (struct running){ 0 };
	why[0] = '\0';
	s.path = cmd_path_in_folder(a->what, &r);
	s.found = malloc(sizeof(*s.found));
	s.top = malloc(sizeof(*s.top));
	if (s.found && s.top)
		rc = read_entry(cfg, &s, why);
	if (rc < 0) {
		status = cmd_fail(EXIT_FAILED, "%s: %s", a->what,
		                  why[0] ? why : strerror(-rc));
	} else {
		rc = direct_open(cfg, NULL, &d, why);
		if (rc < 0) {
			status = cmd_fail_session(rc, why);
		} else {
			status = undelete(&d, &s, r.mounted);
			direct_close(&d);
		}
	}
	free(s.found);
	free(s.top);
	return status;
}

/* ---- the command --------------------------------------------------------- */

static bool parse(int argc, char **argv, struct args *out)
{
	const struct cmd_flag flags[] = {
		{ "help", 'h', &out->help },
		{ "json", 'j', &out->json },
		{ 0 },
	};

	*out = (struct args){ 0 };
	if (!cmd_parse("undelete", argc, argv, 1, flags))
		return false;
	out->what = argv[optind];
	if (!out->help && out->what && (out->json || !*out->what)) {
		fputs(usage, stderr);
		return false;
	}
	return true;
}

int cmd_undelete(struct config *cfg, int argc, char **argv)
{
	struct args a;

	if (!parse(argc, argv, &a))
		return EXIT_USAGE;
	if (a.help) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	if (!a.what)
		return list(cfg, &a);
	if (config_bool(cfg, CONFIG_READ_ONLY))
		return cmd_fail(EXIT_USAGE, "read_only is set");
	return undelete_one(cfg, &a);
}
