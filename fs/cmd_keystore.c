#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "auth/keystore.h"
#include "fs/cmd_common.h"
#include "fs/commands.h"
#include "fs/config.h"
#include "fs/exit.h"
#include "fs/running.h"
#include "fs/session.h"

static const char usage[] =
	"usage: nmbackupfs keystore [OPTION]...\n"
	"       nmbackupfs keystore move PLACE [OPTION]...\n"
	"\n"
	"Says where the secrets of this profile are (sign-in and keys), or\n"
	"moves them; no mount of the profile may run then. Places:\n"
	"\n"
	"  secret-service  the keyring of the desktop\n"
	"  sealed          a file, sealed under a passphrase, which is asked\n"
	"                  for at each start, or printed by\n"
	"                  --passphrase-command COMMAND\n"
	"  file            files that only you can read\n"
	"  command         --key-command COMMAND keeps them: it is run with\n"
	"                  NMBACKUPFS_KEY_ACTION (get, put, delete), _NAME "
	"and\n"
	"                  _PROFILE set; secrets are a line of base64 on its\n"
	"                  standard input and output; exit status 66: there\n"
	"                  is none\n"
	"\n"
	"Exit status: 0 done; 2 usage; 7 a mount is running; 9 nobody to ask\n"
	"for a passphrase; 1 else.\n";

static int show(const struct config *cfg)
{
	char why[CMD_WHY_BYTES] = "";
	const char *place;
	int rc = session_find_keystore(cfg, &place, why, sizeof(why));

	if (rc < 0)
		return cmd_fail(session_exit_status(rc), "%s",
		                why[0] ? why : strerror(-rc));
	puts(place ? place : "nothing is kept yet");
	return EXIT_OK;
}

static int move(const struct config *cfg, const char *place)
{
	char why[CMD_WHY_BYTES] = "";
	struct running r;
	int rc = running_find(cfg, &r, why, sizeof(why));

	if (rc == 0)
		return cmd_fail(EXIT_BUSY,
		                "process %ld uses the secrets of this profile: "
		                "unmount first",
		                r.pid);
	if (rc == -ENOENT) {
		why[0] = '\0';
		rc = session_move_keystore(cfg, place, why, sizeof(why));
	}
	if (rc < 0)
		return cmd_fail(session_exit_status(rc), "%s",
		                why[0] ? why : strerror(-rc));
	if (config_text(cfg, CONFIG_KEYSTORE)[0] &&
	    strcmp(config_text(cfg, CONFIG_KEYSTORE), place) != 0)
		fprintf(stderr,
		        "Moved. The option keystore still says "
		        "\"%s\": change it.\n",
		        config_text(cfg, CONFIG_KEYSTORE));
	return EXIT_OK;
}

int cmd_keystore(struct config *cfg, int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	optind = 0; /* glibc: starts anew */
	while ((c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		if (c != 'h')
			return EXIT_USAGE;
		fputs(usage, stdout);
		return EXIT_OK;
	}
	if (optind == argc)
		return show(cfg);
	if (argc - optind == 2 && !strcmp(argv[optind], "move"))
		return move(cfg, argv[optind + 1]);
	return cmd_fail(EXIT_USAGE, "keystore: it is `keystore` or `keystore "
	                            "move PLACE`; see --help");
}
