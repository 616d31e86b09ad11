#include "fs/commands.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "fs/check.h"
#include "fs/cmd_common.h"
#include "fs/config.h"
#include "fs/exit.h"
#include "fs/paths.h"
#include "fs/running.h"
#include "fs/statelock.h"
#include "net/log.h"

static const char usage[] =
	"usage: nmbackupfs check [--repair] [--json]\n"
	"\n"
	"Examines what this machine keeps of a profile: the database, the "
	"content of\n"
	"files, what was set aside. Nothing may be mounted from it. Needs no "
	"network\n"
	"and, without --repair, changes nothing.\n"
	"\n"
	"  --repair        put in order what can be. What is on the server is "
	"listed\n"
	"                  and fetched anew by the next mount; what is not "
	"there is\n"
	"                  kept, or moved to quarantine/ under the name it "
	"had\n"
	"  --json          one JSON object, for scripts\n"
	"  --profile NAME  whose state; or --state-dir DIR\n"
	"\n"
	"Exit status: 0 all is well; 8 something is not, or was not until "
	"it was\n"
	"repaired; 7 a mount uses it.\n";

struct view {
	bool json;
	bool failed; /* no memory for the answer */
	cJSON *list;
	struct progress progress;
};

/* ---- telling ------------------------------------------------------------- */

static const char *mark_of(const struct check_finding *f)
{
	if (f->repaired)
		return "repaired";
	return f->level == CHECK_NOTE ? "note" : "DAMAGE";
}

static void print_finding(const struct check_finding *f)
{
	char line[2 * PATH_MAX], safe[2 * PATH_MAX];

	snprintf(line, sizeof(line), "%-8s  %s%s%s%s%s", mark_of(f), f->path,
	         f->path[0] ? ": " : "", f->text, f->advice[0] ? "; " : "",
	         f->advice);
	log_sanitize(line, safe, sizeof(safe));
	puts(safe);
}

/* cJSON writes strings as they are: names that are no UTF-8 are made so. */
static void add_finding(struct view *v, const struct check_finding *f)
{
	cJSON *o = cJSON_CreateObject();
	char path[PATH_MAX];

	log_sanitize(f->path, path, sizeof(path));
	if (!o ||
	    !cJSON_AddStringToObject(
		    o, "level", f->level == CHECK_NOTE ? "note" : "damage") ||
	    !cJSON_AddStringToObject(o, "kind", f->kind) ||
	    !cJSON_AddStringToObject(o, "path", path) ||
	    !cJSON_AddStringToObject(o, "text", f->text) ||
	    !cJSON_AddStringToObject(o, "advice", f->advice) ||
	    !cJSON_AddBoolToObject(o, "repaired", f->repaired) ||
	    !cJSON_AddItemToArray(v->list, o)) {
		cJSON_Delete(o);
		v->failed = true;
	}
}

static void report(void *arg, const struct check_finding *f)
{
	struct view *v = arg;

	progress_end(&v->progress);
	if (v->json)
		add_finding(v, f);
	else
		print_finding(f);
}

static void show(void *arg, uint64_t done, uint64_t total)
{
	struct view *v = arg;

	progress_show(&v->progress, done, total, "reading local content");
}

static void print_end(const char *dir, const struct check_result *r)
{
	unsigned left = r->damages - r->repaired;

	if (!r->damages)
		printf("%s: all is well\n", dir);
	else if (!left)
		printf("%s: %u repaired; the next mount lists the server\n",
		       dir, r->repaired);
	else if (r->repaired)
		printf("%s: %u repaired, %u not\n", dir, r->repaired, left);
	else
		printf("%s: %u found\n", dir, left);
}

/* Takes the list. */
static int print_json(struct view *v, const char *dir,
                      const struct check_result *r)
{
	cJSON *o = cJSON_CreateObject();
	bool done = false;

	if (o && cJSON_AddStringToObject(o, "state_dir", dir) &&
	    cJSON_AddBoolToObject(o, "clean", !r->damages) &&
	    cJSON_AddNumberToObject(o, "damages", r->damages) &&
	    cJSON_AddNumberToObject(o, "repaired", r->repaired) &&
	    cJSON_AddItemToObject(o, "findings", v->list)) {
		v->list = NULL;
		done = !v->failed && cmd_print_json(o, true);
	}
	cJSON_Delete(o);
	return done ? 0 : -ENOMEM;
}

/* ---- alone with it ------------------------------------------------------- */

/* Nobody is asked to end: one that goes on to upload has more to do than we.
 * Where nothing can be written there is nobody to lock out. */
static int lock_state(struct config *cfg, const char *dir, bool repair,
                      int *out_fd)
{
	char why[CMD_WHY_BYTES] = "";
	struct running r;
	int rc = running_find(cfg, &r, why, sizeof(why));

	*out_fd = -1;
	if (rc == 0)
		return cmd_fail(EXIT_BUSY,
		                "%s is in use by process %ld%s%s; unmount that "
		                "first",
		                dir, r.pid, r.mountpoint[0] ? " on " : "",
		                r.mountpoint);
	rc = statelock_take(dir, "nmbackupfs check", 0, out_fd, why,
	                    sizeof(why));
	if (rc == -EBUSY)
		return cmd_fail(EXIT_BUSY, "%s", why);
	if (rc == 0 || (!repair && (rc == -EROFS || rc == -EACCES)))
		return EXIT_OK;
	return cmd_fail(EXIT_FAILED, "%s", why);
}

static int run_check(struct config *cfg, const char *dir, bool repair,
                     struct view *v)
{
	struct check_options opt = { .state_dir = dir,
		                     .repair = repair,
		                     .report = report,
		                     .progress = show,
		                     .arg = v };
	struct check_result r = { 0 };
	int fd, rc, status = lock_state(cfg, dir, repair, &fd);

	if (status != EXIT_OK)
		return status;
	rc = check_state(&opt, &r);
	progress_end(&v->progress);
	if (rc == 0 && v->json)
		rc = print_json(v, dir, &r);
	else if (rc == 0)
		print_end(dir, &r);
	if (fd >= 0)
		close(fd);
	if (rc < 0)
		return cmd_fail(EXIT_FAILED, "%s: %s%s", dir, strerror(-rc),
		                repair ? "; nothing is lost, repair it again "
		                         "when that is mended"
		                       : "");
	return r.damages ? EXIT_DAMAGED : EXIT_OK;
}

/* ---- the command --------------------------------------------------------- */

struct arguments {
	bool repair, json, help;
};

static bool parse(int argc, char **argv, struct arguments *out)
{
	const struct cmd_flag flags[] = {
		{ "repair", 0, &out->repair },
		{ "json", 'j', &out->json },
		{ "help", 'h', &out->help },
		{ 0 },
	};

	return cmd_parse("check", argc, argv, 0, flags);
}

int cmd_check(struct config *cfg, int argc, char **argv)
{
	struct view v = { 0 };
	struct arguments a;
	char dir[PATH_MAX];
	int rc;

	if (!parse(argc, argv, &a))
		return EXIT_USAGE;
	if (a.help) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	rc = paths_state_dir(cfg, dir, sizeof(dir));
	if (rc < 0)
		return cmd_fail(EXIT_FAILED, "no place for state: %s",
		                strerror(-rc));
	if (access(dir, F_OK) < 0)
		return cmd_fail(EXIT_FAILED,
		                "%s: %s; nothing was mounted for the profile "
		                "\"%s\" yet",
		                dir, strerror(errno),
		                config_text(cfg, CONFIG_PROFILE));
	v.json = a.json;
	v.list = cJSON_CreateArray();
	v.failed = !v.list;
	rc = run_check(cfg, dir, a.repair, &v);
	cJSON_Delete(v.list);
	return rc;
}
