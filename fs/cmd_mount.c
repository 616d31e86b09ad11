#include "fs/cmd_mount.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/account.h"
#include "fs/config.h"
#include "fs/daemon.h"
#include "fs/exit.h"
#include "fs/logging.h"
#include "fs/mount.h"
#include "fs/mountpoint.h"
#include "fs/paths.h"
#include "fs/session.h"

#define WHY_BYTES 1024

static bool somebody_is_there(void)
{
	return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

/* No client id: five lines, and a question if somebody is there. */
static int need_client_id(struct config *cfg)
{
	char line[256];

	if (config_text(cfg, CONFIG_CLIENT_ID)[0])
		return EXIT_OK;
	account_explain_client_id(stderr, config_path(cfg));
	if (!somebody_is_there())
		return EXIT_USAGE;
	fputs("Application (client) id: ", stderr);
	if (!fgets(line, sizeof(line), stdin))
		return EXIT_USAGE;
	line[strcspn(line, " \t\r\n")] = '\0';
	if (!line[0])
		return EXIT_USAGE;
	if (config_store(cfg, CONFIG_CLIENT_ID, line) < 0) {
		fprintf(stderr, "nmbackupfs: %s can't be written\n",
		        config_path(cfg));
		return EXIT_FAILED;
	}
	return EXIT_OK;
}

static int sign_in(struct config *cfg, struct session *s)
{
	char dir[PATH_MAX], drive[ACCOUNT_DRIVE_MAX + 1] = "";
	char why[WHY_BYTES] = "";
	int rc;

	if (!somebody_is_there()) {
		fputs("nmbackupfs: nobody is signed in; please run "
		      "`nmbackupfs auth` first\n",
		      stderr);
		return EXIT_SIGN_IN;
	}
	rc = paths_state_dir(cfg, dir, sizeof(dir));
	if (rc == 0)
		rc = account_profile_drive(dir, drive, sizeof(drive));
	if (rc == 0)
		rc = account_sign_in(s, drive, why, sizeof(why));
	if (rc == 0)
		return EXIT_OK;
	fprintf(stderr, "nmbackupfs: %s\n", why[0] ? why : strerror(-rc));
	return session_exit_status(rc);
}

/* Before anything is mounted: is there an app, and somebody signed in? What
 * only the network could tell is not asked. */
static int check_session(struct config *cfg)
{
	char why[WHY_BYTES] = "";
	struct session *s;
	int rc = need_client_id(cfg);

	if (rc != EXIT_OK)
		return rc;
	rc = session_open(cfg, SESSION_ANY, &s, why, sizeof(why));
	if (rc < 0) {
		fprintf(stderr, "nmbackupfs: %s\n",
		        why[0] ? why : strerror(-rc));
		return session_exit_status(rc);
	}
	if (s->tokens_rc == -ENOENT) {
		rc = sign_in(cfg, s);
	} else if (s->tokens_rc < 0) {
		fprintf(stderr, "nmbackupfs: %s\n",
		        why[0] ? why : strerror(-s->tokens_rc));
		rc = session_exit_status(s->tokens_rc);
	}
	session_close(s);
	return rc;
}

static void on_ready(void *arg)
{
	daemon_ready(arg);
}

static const char usage[] = "usage: nmbackupfs [options] MOUNTPOINT\n"
			    "see nmbackupfs --help\n";

int cmd_mount(struct config *cfg, int argc, char **argv)
{
	struct daemon_link link = { .fd = -1 };
	char mountpoint[PATH_MAX], why[WHY_BYTES] = "", line[WHY_BYTES + 32];
	bool background = !config_bool(cfg, CONFIG_FOREGROUND);
	int rc;

	if (argc != 2 && argc != 3) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	rc = mountpoint_prepare(argv[argc - 1], mountpoint, sizeof(mountpoint),
	                        why, sizeof(why));
	if (rc < 0) {
		fprintf(stderr, "nmbackupfs: %s\n", why);
		return EXIT_USAGE;
	}
	rc = check_session(cfg);
	if (rc != EXIT_OK)
		return rc;
	rc = logging_start(cfg, background);
	if (rc == 0 && background)
		rc = daemon_start(&link);
	if (rc < 0) {
		fprintf(stderr, "nmbackupfs: start: %s\n", strerror(-rc));
		return EXIT_FAILED;
	}
	rc = mount_run(cfg, mountpoint, on_ready, &link, why, sizeof(why));
	if (rc != EXIT_OK) {
		snprintf(line, sizeof(line), "nmbackupfs: %s\n", why);
		daemon_failed(&link, rc, line);
	}
	return rc;
}
