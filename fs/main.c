/* nmbackupfs: a folder of OneDrive as a directory, and the commands around it.
 * Everything is in the modules; here is only the table of commands. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "fs/cmd_auth.h"
#include "fs/cmd_mount.h"
#include "fs/commands.h"
#include "fs/config.h"
#include "fs/exit.h"
#include "fs/logging.h"
#include "fs/process.h"

static const struct command {
	const char *name;
	int (*run)(struct config *cfg, int argc, char **argv);
	const char *args, *help;
} commands[] = {
	{ "auth", cmd_auth, "", "sign in, once for each profile" },
	{ "logout", cmd_logout, "", "forget the sign-in of this machine" },
	{ "keystore", cmd_keystore, "[move PLACE]",
	  "where the secrets are; moves them" },
	{ "vault", cmd_vault, "COMMAND",
	  "devices of a vault, rotation; --help" },
	{ "key", cmd_key, "COMMAND",
	  "this device's key, recovery key; --help" },
	{ "rescue", cmd_rescue, "FOLDER DEST --recovery-key FILE",
	  "restore with that key alone" },
	{ "status", cmd_status, "[--check] [PATH]", "what goes on; --help" },
	{ "events", cmd_events, "[--json]", "each change as it happens" },
	{ "flush", cmd_flush, "[PATH]", "wait until all is on the server" },
	{ "approve", cmd_approve, "[outgoing|incoming]",
	  "let go what is held" },
	{ "undo", cmd_undo, "[outgoing|incoming]", "take back what is held" },
	{ "umount", cmd_umount, "MOUNTPOINT", "flush, then unmount" },
	{ "check", cmd_check, "[--repair] [--json]",
	  "examine what is kept here" },
	{ "receipt", cmd_receipt, "[PATH] [--json]",
	  "what proves that files are there" },
	{ "verify", cmd_verify, "[--sample N | --deep]",
	  "compare the server with what it confirmed" },
	{ "drill", cmd_drill, "[N] [--json]", "try whether restoring works" },
	{ "doctor", cmd_doctor, "[--json]", "try what a mount needs" },
	{ "put", cmd_put, "FILE... [--as NAME]", "upload, print the ids" },
	{ "get", cmd_get, "ID|PATH [-o FILE]", "download one file" },
	{ "versions", cmd_versions, "PATH [--json]",
	  "what the service keeps of a file" },
	{ "restore", cmd_restore, "PATH --at TIME [DEST]",
	  "a file or tree as it was; --help" },
	{ "undelete", cmd_undelete, "[PATH|ID]",
	  "what was deleted here; brings it back" },
};

#define COMMANDS (sizeof(commands) / sizeof(*commands))

static void print_help(FILE *f)
{
	fputs("usage: nmbackupfs [options] MOUNTPOINT\n"
	      "       nmbackupfs [options] COMMAND [arguments]\n\n"
	      "Mounts a folder of your OneDrive on MOUNTPOINT, or:\n",
	      f);
	for (size_t i = 0; i < COMMANDS; i++) {
		char left[64];

		snprintf(left, sizeof(left), "%s %s", commands[i].name,
		         commands[i].args);
		fprintf(f, "  %-28s%s%s\n", left,
		        strlen(left) > 28 ? "\n                               "
		                          : " ",
		        commands[i].help);
	}
	fputs("\nOptions, also as NMBACKUPFS_NAME and in the config file:\n",
	      f);
	config_print_help(f);
	fputs("  -o NAME=VALUE,...            the same, and options of FUSE\n"
	      "  --help, --version\n\n"
	      "Exit status:\n"
	      "  0  done\n"
	      "  1  failed\n"
	      "  2  wrong usage or config, no client id\n"
	      "  3  nobody is signed in\n"
	      "  4  this machine has no key of the vault\n"
	      "  5  not everything is uploaded\n"
	      "  6  something waits for a person's decision\n"
	      "  7  in use by another process\n"
	      "  8  local state is damaged; it was kept\n"
	      "  9  a question could not be asked without a terminal\n"
	      "  10  the server does not have what it confirmed\n"
	      "  11  restored, but some is missing or not certain\n",
	      f);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	}
	return NULL;
}

static bool is_command(const char *word)
{
	return find_command(word) != NULL;
}

/* The first word that is no option says what is meant; options may stand
 * before and after it. */
static int run(struct config *cfg, int argc, char **argv)
{
	const struct command *c;
	char why[512] = "";
	int rc = config_take_args(cfg, &argc, argv, is_command, why,
	                          sizeof(why));

	if (rc == 0)
		rc = config_load(cfg, why, sizeof(why));
	if (rc < 0) {
		fprintf(stderr, "nmbackupfs: %s\n",
		        why[0] ? why : strerror(-rc));
		return EXIT_USAGE;
	}
	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		print_help(stdout);
		return EXIT_OK;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("nmbackupfs " NMB_VERSION);
		return EXIT_OK;
	}
	c = find_command(argv[1]);
	if (c) {
		logging_start(cfg, 0);
		return c->run(cfg, argc - 1, argv + 1);
	}
	if (argv[1][0] == '-') {
		fprintf(stderr,
		        "nmbackupfs: unknown option %s; see nmbackupfs "
		        "--help\n",
		        argv[1]);
		return EXIT_USAGE;
	}
	return cmd_mount(cfg, argc, argv);
}

int main(int argc, char **argv)
{
	mode_t mask = process_be_private();
	struct config *cfg;
	int rc;

	if (sodium_init() < 0) {
		fputs("nmbackupfs: libsodium can't start\n", stderr);
		return EXIT_FAILED;
	}
	rc = config_new(&cfg);
	if (rc < 0) {
		fprintf(stderr, "nmbackupfs: %s\n", strerror(-rc));
		return EXIT_FAILED;
	}
	config_set_umask(cfg, mask);
	rc = run(cfg, argc, argv);
	config_free(cfg);
	return rc;
}
