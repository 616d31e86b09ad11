#include "fs/commands.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "fs/cmd_common.h"
#include "fs/exit.h"
#include "fs/mountpoint.h"
#include "fs/running.h"
#include "fs/statelock.h"

static const char usage[] =
	"usage: nmbackupfs umount [--no-wait] MOUNTPOINT\n"
	"\n"
	"Waits until everything is on the server, unmounts, and waits for the\n"
	"process to end.\n"
	"\n"
	"  --no-wait  unmount at once: what is unsent goes on being sent in "
	"the\n"
	"             background, or at the next mount\n"
	"\n"
	"Exit status: 0 unmounted, all is on the server (with --no-wait: "
	"unmounted);\n"
	"5 unmounted, but something is blocked and stayed here; 6 the same, "
	"but\n"
	"something is held; 7 the mount is in use; 1 else. Ctrl-C while it "
	"waits leaves it mounted.\n";

struct arguments {
	const char *mountpoint;
	bool no_wait, help;
};

static bool parse(int argc, char **argv, struct arguments *out)
{
	const struct cmd_flag flags[] = {
		{ "help", 'h', &out->help },
		{ "no-wait", 0, &out->no_wait },
		{ 0 },
	};

	*out = (struct arguments){ 0 };
	if (!cmd_parse("umount", argc, argv, argc, flags))
		return false;
	if (out->help)
		return true;
	if (optind + 1 != argc) {
		fputs(usage, stderr);
		return false;
	}
	out->mountpoint = argv[optind];
	return true;
}

static int detach(const char *mountpoint)
{
	int rc = mountpoint_detach(mountpoint, 0);

	if (rc == -EBUSY)
		return cmd_fail(EXIT_BUSY,
		                "%s is busy: a program has a file open there "
		                "or stands in it (fuser -vm '%s' shows which)",
		                mountpoint, mountpoint);
	if (rc < 0)
		return cmd_fail(EXIT_FAILED, "%s: %s", mountpoint,
		                strerror(-rc));
	return EXIT_OK;
}

/* Nobody serves it any more: what was unsent is in the state directory. */
static int detach_dead(const struct running *r)
{
	int rc = mountpoint_detach(r->mountpoint, 1);

	if (rc < 0)
		return cmd_fail(EXIT_FAILED, "%s: %s", r->mountpoint,
		                strerror(-rc));
	return cmd_fail(EXIT_UNFINISHED,
	                "%s: its process has died; unmounted, what was unsent "
	                "is sent after the next mount",
	                r->mountpoint);
}

static int umount_and_wait(const struct running *r)
{
	bool blocked;
	int status = cmd_flush_running(r, NULL, -1, &blocked), rc;

	/* Waiting longer would not help with what is blocked. */
	if (status != EXIT_OK && !blocked)
		return status;
	rc = detach(r->mountpoint);
	if (rc != EXIT_OK)
		return rc;
	rc = statelock_wait_free(r->state_dir, -1);
	if (rc < 0)
		return cmd_fail(EXIT_FAILED, "%s/lock: %s", r->state_dir,
		                strerror(-rc));
	return status;
}

int cmd_umount(struct config *cfg, int argc, char **argv)
{
	char why[CMD_WHY_BYTES], path[PATH_MAX];
	struct arguments a;
	struct running r;
	int rc;

	if (!parse(argc, argv, &a))
		return EXIT_USAGE;
	if (a.help) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	rc = running_find_path(cfg, a.mountpoint, &r, path, why, sizeof(why));
	if (rc == -ENOTTY ||
	    ((rc == 0 || rc == -EHOSTDOWN) && strcmp(path, r.mountpoint) != 0))
		return cmd_fail(EXIT_FAILED, "%s is no mount of nmbackupfs",
		                a.mountpoint);
	if (rc == -EHOSTDOWN && mountpoint_is_dead(r.mountpoint))
		return detach_dead(&r);
	if (rc == -EHOSTDOWN && a.no_wait)
		return detach(r.mountpoint);
	if (rc < 0)
		return cmd_fail(EXIT_FAILED, "%s", why);
	return a.no_wait ? detach(r.mountpoint) : umount_and_wait(&r);
}
