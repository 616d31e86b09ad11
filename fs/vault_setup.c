#include "fs/vault_setup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "auth/vault_store.h"
#include "fs/account.h"
#include "fs/config.h"
#include "fs/direct.h"
#include "fs/exit.h"
#include "fs/membership.h"
#include "fs/recovery.h"
#include "fs/session.h"
#include "net/clock.h"

#define PATIENCE_MS    60000
#define RECOVERY_LABEL "recovery"

_Static_assert(MEMBERSHIP_WHY >= DIRECT_WHY, "one line for both");
_Static_assert(MEMBERSHIP_WHY >= VAULT_STORE_WHY, "one line for both");

struct setup {
	const struct config *cfg;
	struct membership *m;
	struct vault_store *store;
	bool make; /* a vault where there is none */
	char *why;
};

void vault_setup_label(const struct config *cfg, char *out)
{
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	host[strcspn(host, ".")] = '\0';
	snprintf(out, DESCRIPTOR_LABEL_MAX + 1, "%s",
	         config_text(cfg, CONFIG_LABEL)[0]
	                 ? config_text(cfg, CONFIG_LABEL)
	         : host[0] ? host
	                   : "device");
}

int vault_setup_exit_status(int rc)
{
	switch (rc) {
	case 0:
		return EXIT_OK;
	case VAULT_STORE_NOT_MEMBER:
		return EXIT_NO_MEMBER;
	case -ENOTTY:
		return EXIT_NO_TERMINAL;
	case -EINVAL:
	case -ENOTUNIQ:
		return EXIT_USAGE;
	default:
		return session_exit_status(rc);
	}
}

/* ---- joining ------------------------------------------------------------- */

int vault_setup_no_member(const struct config *cfg, struct membership *m,
                          char *why)
{
	char key[AGE_RECIPIENT_TEXT], label[DESCRIPTOR_LABEL_MAX + 1];
	int rc = membership_need_identity(m, why);

	if (rc < 0)
		return rc;
	age_recipient_format(&m->id->recipient, key);
	vault_setup_label(cfg, label);
	fprintf(stderr,
	        "The folder \"%s\" is a vault, and this machine has no key of "
	        "it yet.\n"
	        "On a machine that has one, run\n"
	        "    nmbackupfs vault add %s --label %s\n"
	        "or here, with the recovery key:\n"
	        "    nmbackupfs vault join --recovery-key FILE\n",
	        config_text(cfg, CONFIG_FOLDER), key, label);
	snprintf(why, MEMBERSHIP_WHY,
	         "this machine is not a member of the vault");
	return VAULT_STORE_NOT_MEMBER;
}

static int load(struct setup *s)
{
	struct age_keys keys = membership_keys(s->m);
	bool trusting = !membership_pin(s->m);
	struct descriptor *d;
	struct pin pin;
	int rc = vault_store_load(s->store, &keys, membership_pin(s->m), &d,
	                          &pin, s->why);

	if (rc == VAULT_STORE_NOT_MEMBER)
		return vault_setup_no_member(s->cfg, s->m, s->why);
	if (rc < 0)
		return rc;
	rc = membership_adopt(s->m, d, &pin, s->why);
	if (rc < 0) {
		descriptor_free(d);
		return rc;
	}
	if (trusting)
		fputs("This is the first look at the vault from here: that it "
		      "is the right one was taken\non trust (see nmbackupfs "
		      "vault join --help).\n",
		      stderr);
	return 0;
}

/* ---- a new vault --------------------------------------------------------- */

static void explain(const struct setup *s)
{
	fprintf(stderr,
	        "The folder \"%s\" becomes a vault: names and content are "
	        "sealed before they leave\nthis machine, and only its "
	        "members' keys open them. (--plain keeps ordinary files.)\n",
	        config_text(s->cfg, CONFIG_FOLDER));
}

static int check_text(struct setup *s, enum name_text *out)
{
	int rc = name_text_from_label(config_text(s->cfg, CONFIG_NAME_TEXT),
	                              out);

	if (rc < 0) {
		snprintf(s->why, MEMBERSHIP_WHY,
		         "name_text: \"%s\" is none; cjk14 or base32",
		         config_text(s->cfg, CONFIG_NAME_TEXT));
		return -EINVAL;
	}
	rc = vault_store_probe(s->store, *out, s->why);
	if (rc == -ENOTUNIQ)
		snprintf(s->why, MEMBERSHIP_WHY,
		         "this drive does not keep the vault's names apart: "
		         "use --name-text base32");
	return rc;
}

static int add_members(struct setup *s, struct descriptor *d, const char *label)
{
	struct age_recipient recovery;
	int rc = descriptor_add(d, label, DESCRIPTOR_DEVICE,
	                        &s->m->id->recipient);

	if (rc == 0 && config_bool(s->cfg, CONFIG_RECOVERY_KEY)) {
		rc = recovery_make(s->cfg, &recovery, s->why, MEMBERSHIP_WHY);
		if (rc == 0)
			rc = descriptor_add(d, RECOVERY_LABEL,
			                    DESCRIPTOR_RECOVERY, &recovery);
	}
	return rc == 0 ? descriptor_finish(d, clock_real_ns()) : rc;
}

static int create(struct setup *s, enum name_text text)
{
	char label[DESCRIPTOR_LABEL_MAX + 1];
	struct descriptor *d;
	struct pin pin;
	int rc;

	vault_setup_label(s->cfg, label);
	rc = descriptor_new(text, SEAL_NAMES_PAD, label, &d);
	if (rc < 0)
		return rc;
	rc = add_members(s, d, label);
	if (rc == 0)
		rc = vault_store_create(s->store, d, s->why);
	if (rc == 0) {
		pin_of(d, &pin);
		rc = membership_adopt(s->m, d, &pin, s->why);
	}
	if (rc < 0)
		descriptor_free(d);
	return rc;
}

static int make_new(struct setup *s)
{
	enum name_text text;
	int rc = 0;

	if (!s->make) {
		snprintf(s->why, MEMBERSHIP_WHY,
		         "the folder \"%s\" is no vault yet",
		         config_text(s->cfg, CONFIG_FOLDER));
		return -ENOENT;
	}
	if (membership_pin(s->m)) {
		snprintf(s->why, MEMBERSHIP_WHY,
		         "the vault that this profile belongs to is not in "
		         "\"%s\" any more: bring it back from OneDrive's "
		         "recycle bin, or use another --profile",
		         config_text(s->cfg, CONFIG_FOLDER));
		return -ENOENT;
	}
	if (config_bool(s->cfg, CONFIG_RECOVERY_KEY))
		rc = recovery_can_hand_over(s->cfg, s->why, MEMBERSHIP_WHY);
	if (rc < 0)
		return rc;
	explain(s);
	rc = check_text(s, &text);
	if (rc == 0)
		rc = membership_need_identity(s->m, s->why);
	if (rc == 0)
		rc = create(s, text);
	if (rc == -EEXIST) {
		fputs("Another device made the vault at the same moment; what "
		      "was made here is void,\na recovery key too.\n",
		      stderr);
		rc = load(s);
	}
	return rc;
}

/* ---- all of it ----------------------------------------------------------- */

static int look(struct setup *s)
{
	enum vault_found found;
	int rc = vault_store_find(s->store, &found, s->why);

	if (rc < 0)
		return rc;
	switch (found) {
	case VAULT_FOUND_VAULT:
		return load(s);
	case VAULT_FOUND_NOTHING:
		return make_new(s);
	case VAULT_FOUND_LOST:
		return -ENOENT;
	case VAULT_FOUND_FILES:
		break;
	}
	snprintf(s->why, MEMBERSHIP_WHY,
	         "the folder \"%s\" holds files and is no vault: mount it "
	         "with --plain, or choose another --folder",
	         config_text(s->cfg, CONFIG_FOLDER));
	return -EINVAL;
}

int vault_setup_newest(struct direct *d, bool make, struct membership *m,
                       struct vault_store **out_store, char *why)
{
	struct setup s = { .cfg = d->config, .m = m, .make = make, .why = why };
	int rc = direct_folder(d, make, d->folder_id);

	if (rc == 0)
		rc = vault_store_new(d->session->graph, d->folder_id,
		                     PATIENCE_MS, &s.store);
	if (rc == 0)
		rc = look(&s);
	if (rc == 0)
		*out_store = s.store;
	else
		vault_store_free(s.store);
	if (rc < 0 && !why[0])
		snprintf(why, MEMBERSHIP_WHY, "the vault: %s",
		         vault_strerror(rc));
	return rc;
}

static int ask_drive(const struct config *cfg, struct keystore *k,
                     struct membership *m, char *why)
{
	struct vault_store *store;
	struct direct d;
	int rc = direct_open(cfg, k, &d, why);

	if (rc < 0)
		return rc;
	rc = vault_setup_newest(&d, true, m, &store, why);
	if (rc == 0)
		vault_store_free(store);
	direct_close(&d);
	return rc;
}

int vault_setup(const struct config *cfg, struct keystore *k,
                struct membership *m, char *why)
{
	int rc = membership_load(m, why);

	if (rc == -ENOENT) {
		why[0] = '\0';
		rc = ask_drive(cfg, k, m, why);
	}
	if (rc < 0 && !why[0])
		snprintf(why, MEMBERSHIP_WHY, "the vault: %s",
		         vault_strerror(rc));
	return vault_setup_exit_status(rc);
}
