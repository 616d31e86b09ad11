#include "fs/commands.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "fs/cmd_common.h"
#include "fs/config.h"
#include "fs/control.h"
#include "fs/exit.h"
#include "fs/running.h"
#include "net/json.h"
#include "net/log.h"

/* approve and undo: what a person says of what is held (fs/hold.h). */

#define USAGE_TAIL                                                             \
	"  outgoing        deletes and overwrites made here, not sent\n"       \
	"  incoming        deletes made on OneDrive, not done here\n"          \
	"                  (needed only if there are both)\n"                  \
	"  --dry-run       list them, change nothing\n"                        \
	"  --yes           don't ask\n"                                        \
	"  --profile NAME  of whose mount\n"                                   \
	"\n"                                                                   \
	"Too many at a time are held (--hold-after). A running mount is "      \
	"needed.\n"                                                            \
	"Exit status: 0 done, or nothing is held; 6 still held; 9 nobody is "  \
	"there to\n"                                                           \
	"ask: give --yes; 1 else.\n"

static const char approve_usage[] =
	"usage: nmbackupfs approve [--dry-run] [--yes] [outgoing|incoming]\n"
	"\n"
	"Lets go what is held: deletes and overwrites made here are sent, or\n"
	"files that were deleted on OneDrive go here too. Later ones are "
	"counted\n"
	"anew.\n"
	"\n" USAGE_TAIL;

static const char undo_usage[] =
	"usage: nmbackupfs undo [--dry-run] [--yes] [outgoing|incoming]\n"
	"\n"
	"Takes back what is held. Outgoing: what was deleted comes back, what "
	"was\n"
	"overwritten is again what OneDrive has, under its name there; the "
	"content\n"
	"written here is set aside on this machine, and it is said where. "
	"Incoming:\n"
	"what is wholly on this machine stays, and is uploaded again as new.\n"
	"\n" USAGE_TAIL;

struct arguments {
	const char *direction; /* NULL: the one there is */
	bool undo, yes, dry_run, help;
};

static bool parse(int argc, char **argv, struct arguments *out)
{
	const struct cmd_flag flags[] = {
		{ "help", 'h', &out->help },
		{ "yes", 'y', &out->yes },
		{ "dry-run", 'n', &out->dry_run },
		{ 0 },
	};

	if (!cmd_parse(argv[0], argc, argv, argc, flags))
		return false;
	if (optind < argc)
		out->direction = argv[optind++];
	if (optind < argc ||
	    (out->direction && strcmp(out->direction, "outgoing") != 0 &&
	     strcmp(out->direction, "incoming") != 0)) {
		cmd_fail(0, "%s: \"%s\" should be outgoing or incoming",
		         argv[0],
		         optind < argc ? argv[optind] : out->direction);
		return false;
	}
	return true;
}

/* ---- asking the mount ---------------------------------------------------- */

static void keep_answer(void *arg, const cJSON *answer)
{
	cJSON **out = arg;

	cJSON_Delete(*out);
	*out = cJSON_Duplicate(answer, true);
}

static int ask(const struct running *r, const char *what, const char *direction,
               cJSON **out, char *why, size_t size)
{
	cJSON *req = cJSON_CreateObject();
	int rc = -ENOMEM;

	*out = NULL;
	if (cJSON_AddStringToObject(req, "do", what) &&
	    cJSON_AddStringToObject(req, "direction", direction))
		rc = control_call(r->state_dir, req, -1, keep_answer, out, why,
		                  (unsigned)size);
	cJSON_Delete(req);
	if (rc < 0) {
		cJSON_Delete(*out);
		*out = NULL;
	}
	return rc;
}

/* What is held in that direction; *out NULL: nothing. */
static int get_held(const struct running *r, const char *direction, cJSON **out)
{
	char why[CMD_WHY_BYTES] = "";
	cJSON *answer;
	int rc = ask(r, "held", direction, &answer, why, sizeof(why));

	*out = NULL;
	if (rc < 0) {
		cmd_fail(0, "%s", why[0] ? why : strerror(-rc));
		return rc;
	}
	if (json_obj(answer, "held"))
		*out = cJSON_DetachItemFromObject(answer, "held");
	cJSON_Delete(answer);
	return 0;
}

/* The direction that is meant, and what is held in it. */
static int choose(const struct running *r, struct arguments *a, cJSON **out)
{
	cJSON *held[2] = { NULL, NULL };
	int rc = 0;

	if (!a->direction || !strcmp(a->direction, "outgoing"))
		rc = get_held(r, "outgoing", &held[0]);
	if (rc == 0 && (!a->direction || !strcmp(a->direction, "incoming")))
		rc = get_held(r, "incoming", &held[1]);
	if (rc == 0 && held[0] && held[1]) {
		cmd_fail(0, "both outgoing and incoming changes are held: say "
		            "which");
		rc = -EINVAL;
	}
	if (rc < 0) {
		cJSON_Delete(held[0]);
		cJSON_Delete(held[1]);
		return rc;
	}
	a->direction = held[1] ? "incoming" : "outgoing";
	*out = held[0] ? held[0] : held[1];
	return 0;
}

/* ---- the person ---------------------------------------------------------- */

static void print_paths(const cJSON *held, int max)
{
	const cJSON *path, *list = json_arr(held, "examples");
	int64_t all =
		json_i64(held, "deletes", 0) + json_i64(held, "overwrites", 0);
	int n = 0;

	cJSON_ArrayForEach (path, list) {
		if (n == max)
			break;
		n++;
		printf("  %s\n", cJSON_IsString(path) ? path->valuestring : "");
	}
	if (n < all)
		printf("  ... %" PRId64 " more\n", all - n);
}

static void print_held(const cJSON *held, bool in)
{
	const char *since = json_str(held, "since");

	if (in)
		printf("%" PRId64 " files and folders were deleted on OneDrive "
		       "and are kept here",
		       json_i64(held, "deletes", 0));
	else
		printf("%" PRId64 " deletes and %" PRId64
		       " overwrites were made here and are not sent",
		       json_i64(held, "deletes", 0),
		       json_i64(held, "overwrites", 0));
	printf(", since %s:\n", since ? since : "?");
}

static const char *question(const struct arguments *a, bool in)
{
	if (a->undo)
		return in ? "Keep yours, and upload them again?"
		          : "Take them all back, as OneDrive has them?";
	return in ? "Delete them here, too?" : "Send them all?";
}

static bool says_yes(const char *text)
{
	char line[16] = "";

	printf("%s [y/N] ", text);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return false;
	return line[0] == 'y' || line[0] == 'Y';
}

static void print_done(const struct arguments *a, bool in,
                       const struct running *r, const cJSON *o)
{
	int64_t n = json_i64(o, "done", 0), kept = json_i64(o, "kept", 0);
	int64_t lost = json_i64(o, "lost", 0);
	const char *where = json_str(o, "where");

	if (!a->undo)
		printf(in ? "%" PRId64 " go here, too\n"
		          : "%" PRId64 " are being sent\n",
		       n);
	else
		printf(in ? "%" PRId64 " stay and are uploaded again\n"
		          : "%" PRId64 " are again as OneDrive has them\n",
		       n);
	if (kept)
		printf("%" PRId64 " contents written here were set aside in "
		       "%s/quarantine/%s\n",
		       kept, r->state_dir, where ? where : "");
	if (lost)
		printf("%" PRId64 " were not wholly on this machine: restore "
		       "them from OneDrive's recycle bin\n",
		       lost);
}

/* ---- the commands -------------------------------------------------------- */

static int carry_out(const struct running *r, const struct arguments *a)
{
	char why[CMD_WHY_BYTES] = "";
	cJSON *answer;
	int rc = ask(r, a->undo ? "undo" : "approve", a->direction, &answer,
	             why, sizeof(why));
	int64_t busy;

	if (rc < 0)
		return cmd_fail(EXIT_FAILED, "%s",
		                why[0] ? why : strerror(-rc));
	print_done(a, !strcmp(a->direction, "incoming"), r, answer);
	busy = json_i64(answer, "busy", 0);
	cJSON_Delete(answer);
	if (busy)
		return cmd_fail(EXIT_HELD,
		                "%" PRId64 " are in use or being sent just "
		                "now and stay held: close them, and run this "
		                "again",
		                busy);
	return EXIT_OK;
}

static int run(const struct running *r, struct arguments *a)
{
	cJSON *held;
	bool in;

	if (choose(r, a, &held) < 0)
		return EXIT_FAILED;
	if (!held) {
		puts("nothing is held");
		return EXIT_OK;
	}
	in = !strcmp(a->direction, "incoming");
	print_held(held, in);
	print_paths(held, a->dry_run ? INT32_MAX : 10);
	cJSON_Delete(held);
	if (a->dry_run)
		return EXIT_OK;
	if (!a->yes && !isatty(STDIN_FILENO))
		return cmd_fail(EXIT_NO_TERMINAL,
		                "nobody is there to ask: give --yes");
	if (!a->yes && !says_yes(question(a, in)))
		return EXIT_HELD;
	return carry_out(r, a);
}

static int command(struct config *cfg, int argc, char **argv, bool undo)
{
	struct arguments a = { .undo = undo };
	char why[CMD_WHY_BYTES];
	struct running r;

	if (!parse(argc, argv, &a))
		return EXIT_USAGE;
	if (a.help) {
		fputs(undo ? undo_usage : approve_usage, stdout);
		return EXIT_OK;
	}
	if (running_find(cfg, &r, why, sizeof(why)) < 0)
		return cmd_fail(EXIT_FAILED, "%s; what is held stays held",
		                why);
	return run(&r, &a);
}

int cmd_approve(struct config *cfg, int argc, char **argv)
{
	return command(cfg, argc, argv, false);
}

int cmd_undo(struct config *cfg, int argc, char **argv)
{
	return command(cfg, argc, argv, true);
}
