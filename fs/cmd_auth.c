#include "fs/cmd_auth.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "auth/keystore.h"
#include "auth/tokens.h"
#include "fs/account.h"
#include "fs/config.h"
#include "fs/exit.h"
#include "fs/paths.h"
#include "fs/session.h"
#include "net/log.h"

static const char auth_usage[] =
	"usage: nmbackupfs auth [--import-msal FILE] [OPTION]...\n"
	"\n"
	"Signs in to OneDrive: shows an address and a code, to be typed\n"
	"into any web browser, on another device too, and waits for that.\n"
	"\n"
	"  --import-msal FILE  take the sign-in from a token cache of MSAL\n"
	"                      for Python; its owner keeps working\n"
	"  --account KIND      personal (default), work, common, a tenant,\n"
	"                      us-gov, us-dod, china; remembered in the "
	"config\n"
	"  --client-id ID      of your app registration\n"
	"  --profile NAME      each has a sign-in of its own\n"
	"  --keystore PLACE    where it is kept: secret-service, sealed, "
	"file,\n"
	"                      command (see `nmbackupfs keystore --help`)\n"
	"\n"
	"Exit status: 0 signed in; 2 no client id, or the app registration\n"
	"is wrong; 3 refused, or not the account of this profile; 1 else.\n";

static const char logout_usage[] =
	"usage: nmbackupfs logout [--profile NAME] [OPTION]...\n"
	"\n"
	"Forgets the sign-in on this machine. Files that were not sent yet\n"
	"stay here and are sent after the next `nmbackupfs auth`.\n";

struct arguments {
	const char *msal_file; /* NULL: device code */
	bool help;
};

/* False: something that isn't known; it was said. */
static bool parse(int argc, char **argv, const struct option *options,
                  struct arguments *out)
{
	int c;

	*out = (struct arguments){ 0 };
	optind = 0; /* glibc: starts anew */
	while ((c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		if (c == 'h')
			out->help = true;
		else if (c == 'm')
			out->msal_file = optarg;
		else
			return false;
	}
	if (optind < argc)
		fprintf(stderr, "nmbackupfs: %s: unexpected \"%s\"\n", argv[0],
		        argv[optind]);
	return optind >= argc;
}

/* The one line that says how it ended. */
static int fail(int rc, const char *why)
{
	char line[1024];

	log_sanitize(why, line, sizeof(line));
	fprintf(stderr, "nmbackupfs: %s\n",
	        rc == -ECANCELED ? "canceled, nothing was changed" : line);
	return session_exit_status(rc);
}

/* A state that can't be read is the mount's to complain about: it checks the
 * drive again before it sends anything. */
static void find_profile_drive(const struct config *cfg, char *out, size_t size)
{
	char dir[PATH_MAX];

	out[0] = '\0';
	if (paths_state_dir(cfg, dir, sizeof(dir)) == 0)
		account_profile_drive(dir, out, size);
}

static int sign_in(const struct config *cfg, const char *msal_file, char *why,
                   size_t why_size)
{
	char drive[ACCOUNT_DRIVE_MAX + 1];
	struct session *s;
	int rc;

	find_profile_drive(cfg, drive, sizeof(drive));
	rc = session_open(cfg, NULL, SESSION_ANY, &s, why, why_size);
	if (rc < 0)
		return rc;
	rc = msal_file ? account_import(s, msal_file, drive, why, why_size)
	               : account_sign_in(s, drive, why, why_size);
	session_close(s);
	return rc;
}

/* The next sign-in of this profile, which may be months away, is through the
 * same door; the wrong one is a page of Microsoft's that says little. */
static void keep_account(struct config *cfg)
{
	int rc;

	if (!config_is_flag(cfg, CONFIG_ACCOUNT))
		return;
	rc = config_store(cfg, CONFIG_ACCOUNT,
	                  config_text(cfg, CONFIG_ACCOUNT));
	if (rc < 0)
		fprintf(stderr,
		        "nmbackupfs: can't keep \"account = %s\" in %s: %s; "
		        "say "
		        "--account again next time\n",
		        config_text(cfg, CONFIG_ACCOUNT), config_path(cfg),
		        strerror(-rc));
}

int cmd_auth(struct config *cfg, int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "import-msal", required_argument, NULL, 'm' },
		{ 0 },
	};
	struct arguments a;
	char why[512];
	int rc = 0;

	if (!parse(argc, argv, options, &a))
		return EXIT_USAGE;
	if (a.help) {
		fputs(auth_usage, stdout);
		return EXIT_OK;
	}
	if (!a.msal_file) /* a cache brings its own */
		rc = account_need_client_id(cfg, why, sizeof(why));
	if (rc == 0)
		rc = sign_in(cfg, a.msal_file, why, sizeof(why));
	if (rc == 0 && !a.msal_file)
		keep_account(cfg);
	return rc < 0 ? fail(rc, why) : EXIT_OK;
}

static int sign_out(const struct config *cfg, char *why, size_t why_size)
{
	struct session *s;
	int rc;

	rc = session_open(cfg, NULL, SESSION_ANY, &s, why, why_size);
	if (rc < 0)
		return rc;
	rc = tokens_forget(s->tokens);
	if (rc < 0)
		snprintf(why, why_size, "can't forget the sign-in in %s: %s",
		         keystore_where(s->keystore), strerror(-rc));
	session_close(s);
	return rc;
}

int cmd_logout(struct config *cfg, int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct arguments a;
	char why[512];
	int rc;

	if (!parse(argc, argv, options, &a))
		return EXIT_USAGE;
	if (a.help) {
		fputs(logout_usage, stdout);
		return EXIT_OK;
	}
	rc = sign_out(cfg, why, sizeof(why));
	if (rc < 0)
		return fail(rc, why);
	fprintf(stderr, "Signed out. A mount that is running notices within "
	                "the hour; to end other sign-ins, see the security "
	                "page of your Microsoft account.\n");
	return EXIT_OK;
}
