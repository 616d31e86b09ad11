#include "fs/cmd_vault.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "auth/descriptor.h"
#include "auth/vault_store.h"
#include "fs/cmd_common.h"
#include "fs/config.h"
#include "fs/exit.h"
#include "fs/vault_admin.h"
#include "fs/vault_setup.h"

#define LABEL_TRIES 100

const char vault_usage_join[] =
	"usage: nmbackupfs vault join --code CODE\n"
	"       nmbackupfs vault join --recovery-key FILE [--label NAME]\n"
	"\n"
	"Makes this device a member of the vault.\n"
	"\n"
	"  --code CODE             what `nmbackupfs vault add` printed on a "
	"member.\n"
	"                          It says which vault is the right one: "
	"without\n"
	"                          it the first one that is met is taken on "
	"trust,\n"
	"                          and who controls the drive could show "
	"another.\n"
	"                          Not a secret. May stand beside "
	"--recovery-key\n"
	"  --recovery-key FILE     adds this device by itself: the vault's\n"
	"                          recovery key, as it was handed out; - is\n"
	"                          standard input. It is not kept here\n"
	"  --passphrase-from CMD   what prints the passphrase of that file, "
	"if\n"
	"                          it is sealed; else it is asked for\n"
	"  --label NAME            how this device is called (the host's "
	"name)\n"
	"\n"
	"Exit status: 0 it is a member; 2 usage, or a mistyped code; 3 nobody "
	"is\n"
	"signed in; 4 not a member yet; 1 else.\n";

/* ---- with the recovery key ----------------------------------------------- */

struct joining {
	const struct config *cfg;
	char label[DESCRIPTOR_LABEL_MAX + 1];
};

/* A machine that was set up anew has the name it had. Only a label that
 * somebody asked for is a reason to refuse. */
static void choose_label(struct joining *w, const struct descriptor *d)
{
	char base[DESCRIPTOR_LABEL_MAX + 1];

	vault_setup_label(w->cfg, w->label);
	if (config_text(w->cfg, CONFIG_LABEL)[0])
		return;
	memcpy(base, w->label, sizeof(base));
	for (int i = 2; i < LABEL_TRIES && descriptor_find_label(d, w->label);
	     i++)
		snprintf(w->label, sizeof(w->label), "%.*s-%d",
		         DESCRIPTOR_LABEL_MAX - 4, base, i);
}

static int add_self(void *arg, struct vault_admin *a, struct descriptor *next)
{
	struct joining *w = arg;
	int rc;

	if (vault_admin_is_member(a))
		return -EALREADY;
	choose_label(w, next);
	rc = vault_admin_add(a, next, w->label, &a->m.id->recipient);
	if (rc == -EEXIST)
		snprintf(a->why, sizeof(a->why),
		         "another device is called \"%s\": choose another "
		         "--label",
		         w->label);
	return rc;
}

static int join_with_key(struct vault_admin *a, const struct vault_args *args)
{
	struct joining w = { .cfg = a->cfg };
	int rc = vault_admin_take_recovery(a, args->recovery_key,
	                                   args->passphrase_from);

	if (rc == 0)
		rc = membership_need_identity(&a->m, a->why);
	return rc < 0 ? rc : vault_admin_change(a, add_self, &w);
}

/* ---- with a code --------------------------------------------------------- */

static int parse_code(struct vault_admin *a, const char *code, struct pin *out)
{
	if (pin_parse_code(code, out) == 0)
		return 0;
	snprintf(a->why, sizeof(a->why),
	         "the code is mistyped, or not all of it is there: it begins "
	         "with \"vault1\" and has 89 characters");
	return -EINVAL;
}

/* What is remembered already is as good, if it is the same vault: the auth key
 * may have moved since. */
static int choose_pin(struct vault_admin *a, const struct pin *code,
                      struct pin *out)
{
	const struct pin *known = membership_pin(&a->m);

	*out = known && known->generation ? *known : *code;
	if (!memcmp(out->vault_id, code->vault_id, sizeof(out->vault_id)))
		return 0;
	snprintf(a->why, sizeof(a->why),
	         "this profile belongs to another vault than the code's; use "
	         "another --profile");
	return -EXDEV;
}

/* The code first proves itself by the vault that is there, as far as there is
 * one to be seen: a wrong one must not be remembered. */
static int join_with_code(struct vault_admin *a, const struct pin *code)
{
	struct pin pin;
	int rc = choose_pin(a, code, &pin);

	if (rc == 0)
		rc = vault_admin_load(a, &pin);
	if (rc == VAULT_STORE_NOT_MEMBER) {
		int enrolled = membership_enrol(&a->m, &pin, a->why);

		return enrolled < 0 ? enrolled : rc;
	}
	if (a->store && (rc == -EKEYREJECTED || rc == -EXDEV))
		snprintf(a->why, sizeof(a->why),
		         "the vault in \"%s\" is not the one that the code is "
		         "of: wrong --folder, wrong code, or somebody put "
		         "another one there",
		         config_text(a->cfg, CONFIG_FOLDER));
	return rc;
}

/* ---- the command --------------------------------------------------------- */

static void welcome(const struct vault_admin *a)
{
	const struct descriptor_member *me =
		descriptor_find_recipient(a->d, &a->m.id->recipient);

	fprintf(stderr, "This device is a member of the vault, as \"%s\".\n",
	        me->label);
	if (a->trusted)
		fputs("That it is the right vault was taken on trust (see "
		      "nmbackupfs vault join --help).\n",
		      stderr);
}

int vault_run_join(struct config *cfg, const struct vault_args *args)
{
	struct vault_admin a;
	struct pin code;
	int rc, status = EXIT_OK;

	if (!args->code && !args->recovery_key) {
		fputs(vault_usage_join, stderr);
		return EXIT_USAGE;
	}
	rc = vault_admin_open(cfg, &a);
	if (rc == 0 && args->code)
		rc = parse_code(&a, args->code, &code);
	if (rc == 0 && args->code) {
		rc = join_with_code(&a, &code);
		if (rc == VAULT_STORE_NOT_MEMBER && args->recovery_key)
			rc = 0;
	}
	if (rc == 0 && args->recovery_key)
		rc = join_with_key(&a, args);
	if (rc < 0)
		status = vault_admin_fail(&a, rc);
	else
		welcome(&a);
	vault_admin_close(&a);
	return status;
}
