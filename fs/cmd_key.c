#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "auth/age_key.h"
#include "auth/descriptor.h"
#include "auth/keystore.h"
#include "auth/passphrase.h"
#include "auth/vault.h"
#include "fs/account.h"
#include "fs/cmd_common.h"
#include "fs/cmd_vault.h"
#include "fs/commands.h"
#include "fs/config.h"
#include "fs/exit.h"
#include "fs/key_file.h"
#include "fs/recovery.h"
#include "fs/running.h"
#include "fs/session.h"
#include "fs/vault_admin.h"

#define RECOVERY_LABEL "recovery"

static const char usage[] =
	"usage: nmbackupfs key COMMAND [OPTION]...\n"
	"\n"
	"  show               this device's public key\n"
	"  recovery           a new recovery key for the vault\n"
	"  export FILE        a copy of this device's secret key\n"
	"  import FILE        brings it back\n"
	"\n"
	"Each has its own --help.\n";

static const char usage_show[] =
	"usage: nmbackupfs key show\n"
	"\n"
	"Prints this device's public key, \"age1...\", for `nmbackupfs vault\n"
	"add` on a member of the vault. Makes the key if there is none yet.\n"
	"\n"
	"Exit status: 0 done; 9 nobody to ask for a passphrase; 1 else.\n";

static const char usage_recovery[] =
	"usage: nmbackupfs key recovery [--recovery-key-out FILE]\n"
	"\n"
	"Makes a new recovery key for the vault, in place of the one it has. "
	"It is\n"
	"shown once, and a part of it asked back; it is kept nowhere. The old "
	"one\n"
	"opens no file that is written from now on; those that are there, "
	"until\n"
	"`nmbackupfs vault reseal` has re-encrypted them.\n"
	"\n"
	"  --recovery-key-out FILE  into a new file instead (0600), as a page "
	"with\n"
	"                           a QR code that can be printed\n"
	"\n"
	"Exit status: 0 done; 2 usage; 3 nobody is signed in; 4 this machine\n"
	"has no key of the vault; 9 nobody is there to take it; 1 else.\n";

static const char usage_export[] =
	"usage: nmbackupfs key export FILE [OPTION]...\n"
	"\n"
	"Writes this device's secret key into a new file (0600), which `age -d "
	"-i`\n"
	"takes and `nmbackupfs key import` brings back. \"-\" is standard "
	"output.\n"
	"Whoever has it and the files reads them.\n"
	"\n"
	"  --passphrase            sealed under a passphrase, which is asked "
	"for\n"
	"  --passphrase-from CMD   the same; the first line that CMD prints is "
	"it\n"
	"\n"
	"Exit status: 0 done; 2 usage, or FILE is there already; 9 nobody to "
	"ask;\n"
	"1 else.\n";

static const char usage_import[] =
	"usage: nmbackupfs key import FILE [OPTION]...\n"
	"\n"
	"Makes the key of an age identity file this device's; \"-\" is "
	"standard\n"
	"input. A key that is here already is not lost: it must be the same, "
	"or be\n"
	"kept.\n"
	"\n"
	"  --keep FILE             writes the key that was here to a new file\n"
	"  --passphrase-from CMD   what prints the passphrase of a sealed "
	"file;\n"
	"                          else it is asked for\n"
	"\n"
	"Exit status: 0 done; 2 usage, no key in FILE, or another key is "
	"here;\n"
	"7 a mount is running; 9 nobody to ask; 1 else.\n";

/* ---- show ---------------------------------------------------------------- */

static int run_show(struct config *cfg, const struct vault_args *args)
{
	char key[AGE_RECIPIENT_TEXT];
	struct vault_admin a;
	int rc = vault_admin_open(cfg, &a), status = EXIT_OK;

	(void)args;
	if (rc == 0)
		rc = membership_need_identity(&a.m, a.why);
	if (rc < 0) {
		status = vault_admin_fail(&a, rc);
	} else {
		age_recipient_format(&a.m.id->recipient, key);
		puts(key);
	}
	vault_admin_close(&a);
	return status;
}

/* ---- recovery ------------------------------------------------------------ */

static int set_recovery(void *arg, struct vault_admin *a,
                        struct descriptor *next)
{
	const struct age_recipient *key = arg;
	const struct descriptor_member *old = descriptor_recovery(next);
	char label[DESCRIPTOR_LABEL_MAX + 1];
	int rc;

	snprintf(label, sizeof(label), "%s", old ? old->label : RECOVERY_LABEL);
	rc = descriptor_set_recovery(next, label, key);
	if (rc == -EEXIST)
		snprintf(a->why, sizeof(a->why),
		         "a device is called \"" RECOVERY_LABEL
		         "\": remove it first");
	else if (rc == -ENOSPC)
		snprintf(a->why, sizeof(a->why),
		         "the vault has as many members, or has had as many "
		         "keys, as it can have");
	return rc;
}

static int run_recovery(struct config *cfg, const struct vault_args *args)
{
	struct age_recipient key;
	struct vault_admin a;
	int rc, status = EXIT_OK;
	bool made = false;

	(void)args;
	if (!config_text(cfg, CONFIG_RECOVERY_KEY_OUT)[0] &&
	    !passphrase_can_ask())
		return cmd_fail(EXIT_NO_TERMINAL,
		                "nobody is there to take the key: give "
		                "--recovery-key-out FILE");
	rc = vault_admin_open(cfg, &a);
	if (rc == 0)
		rc = vault_admin_load(&a, NULL);
	if (rc == 0)
		rc = recovery_make(cfg, &key, a.why, sizeof(a.why));
	if (rc == 0) {
		made = true;
		rc = vault_admin_change(&a, set_recovery, &key);
	}
	if (rc < 0)
		status = vault_admin_fail(&a, rc);
	if (rc < 0 && made)
		fputs("The recovery key that was handed out just now is void; "
		      "the vault still has the\nold one.\n",
		      stderr);
	if (rc == 0)
		fputs("The vault has a new recovery key. Files that are there "
		      "still open with the old one,\nand not with the new one, "
		      "until `nmbackupfs vault reseal` has re-encrypted "
		      "them.\n",
		      stderr);
	vault_admin_close(&a);
	return status;
}

/* ---- export, import ------------------------------------------------------ */

static int run_export(struct config *cfg, const struct vault_args *args)
{
	bool sealed = args->passphrase || args->passphrase_from;
	const char *path = args->words[0];
	struct vault_admin a;
	int rc, status = EXIT_OK;

	if (!strcmp(path, "-") && !sealed && isatty(STDOUT_FILENO))
		return cmd_fail(EXIT_USAGE, "a secret key is not for a "
		                            "terminal: name a file");
	rc = vault_admin_open(cfg, &a);
	if (rc == 0 && !a.m.id) {
		snprintf(a.why, sizeof(a.why),
		         "this device has no key yet; the first mount or "
		         "`nmbackupfs key show` makes it");
		rc = -ENOENT;
	}
	if (rc == 0)
		rc = key_file_export(a.m.id, path, sealed,
		                     args->passphrase_from, a.why,
		                     sizeof(a.why));
	if (rc < 0)
		status = vault_admin_fail(&a, rc);
	vault_admin_close(&a);
	return status;
}

static int run_import(struct config *cfg, const struct vault_args *args)
{
	char why[CMD_WHY_BYTES] = "";
	struct keystore *k;
	struct running r;
	int rc = running_find(cfg, &r, why, sizeof(why));

	if (rc == 0)
		return cmd_fail(EXIT_BUSY,
		                "process %ld uses the key of this profile: "
		                "unmount first",
		                r.pid);
	why[0] = '\0';
	rc = session_open_keystore(cfg, &k, why, sizeof(why));
	if (rc == 0) {
		rc = key_file_import(k, args->words[0], args->passphrase_from,
		                     args->keep, why, sizeof(why));
		keystore_close(k);
	}
	if (rc == -EEXIST || rc == -EINVAL)
		return cmd_fail(EXIT_USAGE, "%s", why);
	if (rc < 0)
		return cmd_fail(session_exit_status(rc), "%s",
		                why[0] ? why : strerror(-rc));
	return EXIT_OK;
}

/* ---- the command --------------------------------------------------------- */

int cmd_key(struct config *cfg, int argc, char **argv)
{
	static const struct vault_command commands[] = {
		{ "show", run_show, 0, 0, 0, usage_show },
		{ "recovery", run_recovery, 0, 0, 0, usage_recovery },
		{ "export", run_export, VAULT_OPT_PASSPHRASE, 1, 1,
		  usage_export },
		{ "import", run_import, VAULT_OPT_KEEP, 1, 1, usage_import },
	};

	return vault_command_run(commands, sizeof(commands) / sizeof(*commands),
	                         usage, cfg, argc, argv);
}
