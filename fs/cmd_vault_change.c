#include "fs/cmd_vault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "auth/descriptor.h"
#include "auth/passphrase.h"
#include "auth/vault.h"
#include "fs/account.h"
#include "fs/cmd_common.h"
#include "fs/config.h"
#include "fs/exit.h"
#include "fs/vault_admin.h"

#define KEY_OPTIONS                                                            \
	"  --recovery-key FILE     on a machine that is no member: with the\n" \
	"                          recovery key\n"                             \
	"  --passphrase-from CMD   what prints the passphrase of that file, "  \
	"if\n"                                                                 \
	"                          it is sealed; else it is asked for\n"
#define STATUSES                                                               \
	"Exit status: 0 done; 2 usage; 3 nobody is signed in; 4 this "         \
	"machine\n"                                                            \
	"has no key of the vault; 1 else.\n"

const char vault_usage_add[] =
	"usage: nmbackupfs vault add RECIPIENT --label NAME [OPTION]...\n"
	"\n"
	"Lets a device read the vault. RECIPIENT is what `nmbackupfs key "
	"show`\n"
	"prints on it (\"age1...\"). It can read all that is there then, old "
	"files\n"
	"too. Prints an enrolment code for that device:\n"
	"\n"
	"    nmbackupfs vault join --code CODE\n"
	"\n"
	"With it, that device takes no other vault for this one; it is no "
	"secret.\n"
	"\n"
	"  --label NAME            how the device is called among the "
	"members\n" KEY_OPTIONS "\n" STATUSES;

const char vault_usage_remove[] =
	"usage: nmbackupfs vault remove LABEL [--yes] [OPTION]...\n"
	"\n"
	"Shuts a member out: what is written from now on is sealed with a new\n"
	"key that it doesn't get. What it could read so far it can still read, "
	"as\n"
	"long as it can fetch it: end its sign-in too (account.microsoft.com, "
	"or\n"
	"your administrator), and re-encrypt the old files with `vault "
	"reseal`.\n"
	"Names stay readable to who has one of the vault's keys. If the device "
	"is in\n"
	"hostile hands, make a new vault in another folder.\n"
	"\n"
	"  --yes                   don't ask\n" KEY_OPTIONS "\n" STATUSES;

const char vault_usage_rotate[] =
	"usage: nmbackupfs vault rotate [OPTION]...\n"
	"\n"
	"Makes a new epoch: files written from now on are sealed with a new "
	"key.\n"
	"All members get it, and keep the old ones for the files that are "
	"there;\n"
	"`vault reseal` re-encrypts those.\n"
	"\n" KEY_OPTIONS "\n" STATUSES;

/* ---- all of them --------------------------------------------------------- */

static int start(struct config *cfg, const struct vault_args *args,
                 struct vault_admin *a)
{
	int rc = vault_admin_open(cfg, a);

	if (rc == 0 && args->recovery_key)
		rc = vault_admin_take_recovery(a, args->recovery_key,
		                               args->passphrase_from);
	return rc;
}

static int end(struct vault_admin *a, int rc)
{
	int status = rc < 0 ? vault_admin_fail(a, rc) : EXIT_OK;

	vault_admin_close(a);
	return status;
}

/* ---- add ----------------------------------------------------------------- */

struct adding {
	const char *label;
	struct age_recipient recipient;
};

static int add_member(void *arg, struct vault_admin *a, struct descriptor *next)
{
	const struct adding *w = arg;
	const struct descriptor_member *same =
		descriptor_find_recipient(next, &w->recipient);
	int rc;

	if (same && !strcmp(same->label, w->label))
		return -EALREADY;
	rc = vault_admin_add(a, next, w->label, &w->recipient);
	if (same)
		snprintf(a->why, sizeof(a->why),
		         "this key is a member already, as \"%s\"",
		         same->label);
	else if (rc == -EEXIST)
		snprintf(a->why, sizeof(a->why),
		         "another member is called \"%s\": choose another "
		         "--label, or remove that one first",
		         w->label);
	return rc;
}

int vault_run_add(struct config *cfg, const struct vault_args *args)
{
	struct adding w = { .label = config_text(cfg, CONFIG_LABEL) };
	const char *key = args->words[0];
	char code[PIN_CODE_SIZE];
	struct vault_admin a;
	int rc;

	if (!strncmp(key, "AGE-SECRET-KEY-", 15))
		return cmd_fail(
			EXIT_USAGE,
			"that is a secret key, and it stood in a "
			"command line: don't use it any more; RECIPIENT "
			"is its public half, age1...");
	if (age_recipient_parse(key, strlen(key), &w.recipient) < 0)
		return cmd_fail(EXIT_USAGE,
		                "%s is no recipient, or mistyped: it is what "
		                "`nmbackupfs key show` prints on the other "
		                "device",
		                key);
	if (!w.label[0])
		return cmd_fail(EXIT_USAGE, "how is the device to be called? "
		                            "--label NAME");
	rc = start(cfg, args, &a);
	if (rc == 0)
		rc = vault_admin_change(&a, add_member, &w);
	if (rc < 0)
		return end(&a, rc);
	pin_format_code(&a.pin, code);
	fprintf(stderr,
	        "\"%s\" is a member now. On it, before its first mount:\n",
	        w.label);
	printf("nmbackupfs vault join --code %s\n", code);
	return end(&a, 0);
}

/* ---- remove -------------------------------------------------------------- */

struct removing {
	const char *label;
	bool asked;
};

static bool confirm(const struct vault_admin *a,
                    const struct descriptor_member *m)
{
	char typed[8], question[512];
	bool self = a->m.id && !memcmp(&m->recipient, &a->m.id->recipient,
	                               sizeof(m->recipient));

	fprintf(stderr,
	        "What is written from now on, %s can't read. What it could "
	        "read so far it can still\nread, as long as it can fetch it: "
	        "end its sign-in too, and see `nmbackupfs vault\nreseal "
	        "--help`.\n",
	        m->label);
	if (m->kind == DESCRIPTOR_RECOVERY)
		fputs("It is a recovery key: without one, whoever loses all "
		      "devices has lost the files.\n",
		      stderr);
	snprintf(question, sizeof(question), "Remove \"%s\"%s? [y/N] ",
	         m->label, self ? ", THIS device" : "");
	return account_ask(question, typed, sizeof(typed)) &&
	       (typed[0] == 'y' || typed[0] == 'Y');
}

static int remove_member(void *arg, struct vault_admin *a,
                         struct descriptor *next)
{
	struct removing *w = arg;
	const struct descriptor_member *m =
		descriptor_find_label(next, w->label);
	int rc;

	if (!m) {
		snprintf(a->why, sizeof(a->why),
		         "no member is called \"%s\"; see nmbackupfs vault "
		         "members",
		         w->label);
		return -ENOENT;
	}
	if (!w->asked && !confirm(a, m)) {
		snprintf(a->why, sizeof(a->why), "nothing was changed");
		return -ECANCELED;
	}
	w->asked = true;
	rc = descriptor_remove(next, w->label);
	if (rc == -EBUSY)
		snprintf(a->why, sizeof(a->why),
		         "\"%s\" is the last member: nobody could read the "
		         "vault any more",
		         w->label);
	else if (rc == -ENOSPC)
		snprintf(a->why, sizeof(a->why),
		         "the vault has had as many keys as it can have");
	return rc;
}

int vault_run_remove(struct config *cfg, const struct vault_args *args)
{
	struct removing w = { .label = args->words[0], .asked = args->yes };
	struct vault_admin a;
	int rc;

	if (!args->yes && !passphrase_can_ask())
		return cmd_fail(EXIT_NO_TERMINAL,
		                "nobody is there to be asked; --yes removes "
		                "without");
	rc = start(cfg, args, &a);
	if (rc == 0)
		rc = vault_admin_change(&a, remove_member, &w);
	if (rc == 0)
		fprintf(stderr,
		        "\"%s\" is no member any more: it can't read what is "
		        "written from now on. Files\nthat are there are still "
		        "sealed with a key it knows: end its sign-in at "
		        "Microsoft,\nand run `nmbackupfs vault reseal` to "
		        "re-encrypt them.\n",
		        w.label);
	return end(&a, rc);
}

/* ---- rotate -------------------------------------------------------------- */

static int rotate(void *arg, struct vault_admin *a, struct descriptor *next)
{
	int rc = descriptor_rotate(next);

	(void)arg;
	if (rc == -ENOSPC)
		snprintf(a->why, sizeof(a->why),
		         "the vault has had as many keys as it can have");
	return rc;
}

int vault_run_rotate(struct config *cfg, const struct vault_args *args)
{
	struct vault_admin a;
	int rc = start(cfg, args, &a);

	if (rc == 0)
		rc = vault_admin_change(&a, rotate, NULL);
	if (rc == 0)
		printf("epoch %" PRIu32 "\n", descriptor_active(a.d)->n);
	return end(&a, rc);
}
