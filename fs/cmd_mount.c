#include "fs/cmd_mount.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "auth/keystore.h"
#include "fs/account.h"
#include "fs/config.h"
#include "fs/daemon.h"
#include "fs/exit.h"
#include "fs/logging.h"
#include "fs/membership.h"
#include "fs/mount.h"
#include "fs/mountpoint.h"
#include "fs/paths.h"
#include "fs/report.h"
#include "fs/session.h"
#include "fs/vault_setup.h"

#define WHY_BYTES MEMBERSHIP_WHY

static int fail(int rc, const char *why)
{
	fprintf(stderr, "nmbackupfs: %s\n", why[0] ? why : strerror(-rc));
	return session_exit_status(rc);
}

static int sign_in(const struct config *cfg, struct keystore *keystore,
                   char *why, size_t size)
{
	char dir[PATH_MAX], drive[ACCOUNT_DRIVE_MAX + 1] = "";
	int rc = paths_state_dir(cfg, dir, sizeof(dir));
	struct session *s;

	if (rc == 0)
		rc = account_profile_drive(dir, drive, sizeof(drive));
	if (rc < 0)
		return rc;
	rc = session_open(cfg, keystore, SESSION_ANY, &s, why, size);
	if (rc < 0)
		return rc;
	rc = account_need_sign_in(s, drive, why, size);
	session_close(s);
	return rc;
}

/* Before anything is mounted: is there an app, and somebody signed in? What
 * only the network could tell is not asked. */
static int check_session(struct config *cfg, struct keystore *keystore)
{
	char why[WHY_BYTES] = "";
	struct session *s;
	int rc = session_open(cfg, keystore, SESSION_ANY, &s, why, sizeof(why));

	if (rc < 0)
		return fail(rc, why);
	rc = s->tokens_rc;
	session_close(s);
	if (rc == -ENOENT) { /* a sign-in that is there brings its client id */
		rc = account_need_client_id(cfg, why, sizeof(why));
		if (rc == 0)
			rc = sign_in(cfg, keystore, why, sizeof(why));
	}
	return rc < 0 ? fail(rc, why) : EXIT_OK;
}

static void on_ready(void *arg)
{
	daemon_ready(arg);
}

static const char usage[] = "usage: nmbackupfs [options] MOUNTPOINT\n"
			    "see nmbackupfs --help\n";

static int start_logging(const struct config *cfg, bool background, char *why,
                         size_t size)
{
	int rc = logging_start(cfg, background);

	if (rc == 0)
		return EXIT_OK;
	snprintf(why, size, "log file: %s", strerror(-rc));
	return EXIT_FAILED;
}

static int serve(struct config *cfg, struct keystore *keystore,
                 struct membership *membership, const char *mountpoint,
                 struct daemon_link *link, bool background, char *why,
                 size_t size)
{
	int rc = start_logging(cfg, background, why, size);

	return rc == EXIT_OK ? mount_run(cfg, keystore, membership, mountpoint,
	                                 on_ready, link, why, size)
	                     : rc;
}

static int serve_vault(struct config *cfg, struct keystore *keystore,
                       const char *mountpoint, struct daemon_link *link,
                       bool background, char *why, size_t size)
{
	struct membership m;
	char dir[PATH_MAX];
	int rc = paths_state_dir(cfg, dir, sizeof(dir));

	if (rc == 0)
		rc = paths_make_private(dir, why, size);
	if (rc == 0)
		rc = membership_open(keystore, dir, &m, why);
	if (rc < 0)
		return session_exit_status(rc);
	rc = vault_setup(cfg, keystore, &m, why);
	if (rc == EXIT_OK)
		rc = serve(cfg, keystore, &m, mountpoint, link, background, why,
		           size);
	membership_close(&m);
	return rc;
}

/* What it has to say stands on standard error already, unless `why` has it. */
static int run(struct config *cfg, const char *mountpoint,
               struct daemon_link *link, bool background, char *why,
               size_t size)
{
	struct keystore *keystore;
	int rc = session_open_keystore(cfg, &keystore, why, size);

	if (rc < 0)
		return session_exit_status(rc);
	rc = check_session(cfg, keystore);
	if (rc == EXIT_OK)
		rc = config_bool(cfg, CONFIG_PLAIN)
		             ? serve(cfg, keystore, NULL, mountpoint, link,
		                     background, why, size)
		             : serve_vault(cfg, keystore, mountpoint, link,
		                           background, why, size);
	keystore_close(keystore);
	return rc;
}

/* The fork comes first: threads, the keyring's connection and a key that a
 * passphrase opened would not outlive it. The terminal stays until the mount
 * is usable, so that the child can ask there. */
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
	logging_prepare();
	rc = mountpoint_prepare(argv[argc - 1], mountpoint, sizeof(mountpoint),
	                        why, sizeof(why));
	if (rc < 0) {
		fprintf(stderr, "nmbackupfs: %s\n", why);
		return rc == -EBUSY ? EXIT_BUSY : EXIT_FAILED;
	}
	rc = report_check(cfg, mountpoint, why, sizeof(why));
	if (rc < 0) {
		fprintf(stderr, "nmbackupfs: %s\n", why);
		return EXIT_USAGE;
	}
	rc = background ? daemon_start(&link) : 0;
	if (rc < 0) {
		fprintf(stderr, "nmbackupfs: start: %s\n", strerror(-rc));
		return EXIT_FAILED;
	}
	rc = run(cfg, mountpoint, &link, background, why, sizeof(why));
	if (rc != EXIT_OK) {
		snprintf(line, sizeof(line), "%snmbackupfs: %s\n",
		         logging_error_mark(), why);
		daemon_failed(&link, rc, why[0] ? line : "");
	}
	return rc;
}
