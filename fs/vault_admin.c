#include "fs/vault_admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "auth/keystore.h"
#include "auth/vault_store.h"
#include "fs/cmd_common.h"
#include "fs/config.h"
#include "fs/exit.h"
#include "fs/paths.h"
#include "fs/running.h"
#include "fs/secret_file.h"
#include "fs/session.h"
#include "fs/vault_setup.h"
#include "net/clock.h"
#include "net/log.h"

#define PATIENCE_MS  60000
#define CHANGE_TRIES 5

static int say(struct vault_admin *a, int rc, const char *text)
{
	snprintf(a->why, sizeof(a->why), "%s", text);
	return rc;
}

/* ---- open, close --------------------------------------------------------- */

int vault_admin_open(const struct config *cfg, struct vault_admin *a)
{
	char dir[PATH_MAX];
	int rc;

	memset(a, 0, sizeof(*a));
	a->cfg = cfg;
	rc = paths_state_dir(cfg, dir, sizeof(dir));
	if (rc < 0)
		return say(a, rc, "there is no place for state");
	rc = session_open_keystore(cfg, &a->keystore, a->why, sizeof(a->why));
	if (rc < 0)
		return rc;
	return membership_open(a->keystore, dir, &a->m, a->why);
}

void vault_admin_close(struct vault_admin *a)
{
	vault_store_free(a->store);
	if (a->connected)
		direct_close(&a->direct);
	descriptor_free(a->own);
	age_identities_done(&a->recovery);
	if (a->m.keystore)
		membership_close(&a->m);
	keystore_close(a->keystore);
}

int vault_admin_take_recovery(struct vault_admin *a, const char *path,
                              const char *passphrase_from)
{
	return secret_file_identities(path, passphrase_from, &a->recovery,
	                              a->why, sizeof(a->why));
}

int vault_admin_connect(struct vault_admin *a)
{
	int rc = 0;

	if (a->store)
		return 0;
	if (!a->connected) {
		rc = direct_open(a->cfg, a->keystore, &a->direct, a->why);
		a->connected = rc == 0;
	}
	if (rc == 0)
		rc = direct_folder(&a->direct, false, a->folder_id);
	if (rc == -ENOENT)
		snprintf(a->why, sizeof(a->why),
		         "there is no folder \"%s\" on this drive; a mount "
		         "makes it",
		         config_text(a->cfg, CONFIG_FOLDER));
	if (rc == 0)
		rc = vault_store_new(a->direct.session->graph, a->folder_id,
		                     PATIENCE_MS, &a->store);
	return rc;
}

/* ---- loading ------------------------------------------------------------- */

int vault_admin_add(struct vault_admin *a, struct descriptor *next,
                    const char *label, const struct age_recipient *r)
{
	int rc = descriptor_add(next, label, DESCRIPTOR_DEVICE, r);

	if (rc == -EINVAL)
		snprintf(a->why, sizeof(a->why),
		         "--label: 1 to %d bytes without control characters",
		         DESCRIPTOR_LABEL_MAX);
	else if (rc == -ENOSPC)
		snprintf(a->why, sizeof(a->why),
		         "a vault has at most %d members: remove one",
		         DESCRIPTOR_MEMBERS);
	return rc;
}

bool vault_admin_is_member(const struct vault_admin *a)
{
	return a->m.id && a->d &&
	       descriptor_find_recipient(a->d, &a->m.id->recipient);
}

/* `d` becomes a's, also on errors. */
static int take(struct vault_admin *a, struct descriptor *d,
                const struct pin *pin)
{
	int rc;

	descriptor_free(a->own);
	a->d = a->own = d;
	a->pin = *pin;
	if (!vault_admin_is_member(a))
		return 0;
	rc = membership_adopt(&a->m, d, pin, a->why);
	if (rc == 0)
		a->own = NULL;
	return rc;
}

static int read_newest(struct vault_admin *a, const struct pin *pin,
                       struct descriptor **out_d, struct pin *out_pin)
{
	size_t n = 0;
	struct age_identity **ids =
		calloc(a->recovery.count + 1, sizeof(struct age_identity *));
	struct age_keys keys = { .ids = ids };
	int rc;

	if (!ids)
		return say(a, -ENOMEM, "no memory");
	if (a->m.id)
		ids[n++] = a->m.id;
	for (size_t i = 0; i < a->recovery.count; i++)
		ids[n++] = a->recovery.ids[i];
	keys.id_count = n;
	rc = vault_store_load(a->store, &keys, pin, out_d, out_pin, a->why);
	free(ids);
	if (rc == VAULT_STORE_NOT_MEMBER && a->recovery.count)
		say(a, rc,
		    "this recovery key is not one of the vault (any "
		    "more)");
	if (rc == -ENOENT)
		snprintf(a->why, sizeof(a->why),
		         "the folder \"%s\" is no vault, or its descriptor is "
		         "gone",
		         config_text(a->cfg, CONFIG_FOLDER));
	return rc;
}

int vault_admin_load(struct vault_admin *a, const struct pin *pin)
{
	struct descriptor *d;
	struct pin now;
	int rc = vault_admin_connect(a);

	if (!pin)
		pin = membership_pin(&a->m);
	if (rc == 0)
		rc = read_newest(a, pin, &d, &now);
	if (rc < 0)
		return rc;
	if (!pin)
		a->trusted = true;
	return take(a, d, &now);
}

/* ---- changing ------------------------------------------------------------ */

/* Who the next generation is written by. */
static void find_writer(const struct vault_admin *a, char *out)
{
	const struct descriptor_member *who = NULL;

	if (a->m.id)
		who = descriptor_find_recipient(a->d, &a->m.id->recipient);
	if (!who && a->recovery.count)
		who = descriptor_find_recipient(a->d,
		                                &a->recovery.ids[0]->recipient);
	if (who)
		memcpy(out, who->label, sizeof(who->label));
	else
		vault_setup_label(a->cfg, out);
}

static int write_next(struct vault_admin *a, vault_admin_fn *change, void *arg)
{
	char writer[DESCRIPTOR_LABEL_MAX + 1];
	struct descriptor *next;
	struct pin pin;
	int rc;

	find_writer(a, writer);
	rc = descriptor_next(a->d, writer, &next);
	if (rc == -EROFS)
		say(a, rc,
		    "the vault was changed by a newer release: update this "
		    "one");
	if (rc < 0)
		return rc;
	rc = change(arg, a, next);
	if (rc == 0)
		rc = descriptor_finish(next, clock_real_ns());
	if (rc == 0)
		rc = vault_store_replace(a->store, next, a->why);
	if (rc < 0) {
		descriptor_free(next);
		return rc;
	}
	pin_of(next, &pin);
	return take(a, next, &pin);
}

/* A mount of this profile learns of it now, not at its next look. */
static void tell_mount(const struct vault_admin *a)
{
	char why[CMD_WHY_BYTES];
	cJSON *answer = NULL;
	struct running r;

	if (running_find(a->cfg, &r, why, sizeof(why)) == 0 &&
	    cmd_ask(&r, "poll", NULL, &answer, why, sizeof(why)) < 0)
		log_debug("vault: the mount can't be told: %s", why);
	cJSON_Delete(answer);
}

int vault_admin_change(struct vault_admin *a, vault_admin_fn *change, void *arg)
{
	int rc = -ESTALE;

	for (int i = 0; i < CHANGE_TRIES && rc == -ESTALE; i++) {
		rc = vault_admin_load(a, NULL);
		if (rc < 0)
			return rc;
		a->why[0] = '\0';
		rc = write_next(a, change, arg);
	}
	if (rc == 0)
		tell_mount(a);
	return rc == -EALREADY ? 0 : rc;
}

/* ---- the end of a command ------------------------------------------------ */

int vault_admin_fail(struct vault_admin *a, int rc)
{
	/* Without a store it is a keystore that is locked. */
	if (rc == VAULT_STORE_NOT_MEMBER && a->store && !a->recovery.count)
		rc = vault_setup_no_member(a->cfg, &a->m, a->why);
	if (!strncmp(a->why, "No token", 8))
		return cmd_fail_session(rc, a->why);
	/* Another vault, not another account: that is found out before. */
	if (rc == -EXDEV && a->store)
		return cmd_fail(EXIT_FAILED, "%s", a->why);
	return cmd_fail(a->store        ? vault_setup_exit_status(rc)
	                : rc == -EINVAL ? EXIT_USAGE
	                                : session_exit_status(rc),
	                "%s", a->why[0] ? a->why : vault_strerror(rc));
}
