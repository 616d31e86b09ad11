#include "fs/mount_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "fs/codec.h"
#include "fs/codec_vault.h"
#include "fs/content.h"
#include "fs/lock.h"
#include "fs/membership.h"
#include "fs/salvage.h"
#include "fs/syncer.h"
#include "net/log.h"

/* ---- database and content ------------------------------------------------ */

void mount_on_unsynced(void *arg)
{
	struct mount *m = arg;

	syncer_wake(m->syncer);
}

static void on_damage(void *arg)
{
	struct mount *m = arg;

	lock_take(&m->lock, LOCK_LEAF);
	m->damaged = true;
	pthread_cond_broadcast(&m->turn);
	lock_drop(&m->lock, LOCK_LEAF);
}

static int open_store(struct mount *m, char *why, size_t size)
{
	struct nmb *nmb = &m->nmb;
	struct content_recovery r;
	int rc = store_open(nmb->state_dir, &nmb->store, &m->found);

	if (rc < 0) {
		snprintf(why, size,
		         rc == -ENOTSUP
		                 ? "%s/state.db was made by a newer version "
		                   "of nmbackupfs: upgrade"
		                 : "%s/state.db can't be used (%s); it was "
		                   "left as it is",
		         nmb->state_dir, strerror(-rc));
		return rc;
	}
	store_on_damage(nmb->store, on_damage, m);
	rc = contents_new(nmb->state_dir, nmb->store, &nmb->contents);
	if (rc == 0)
		contents_set_untidy(nmb->contents, mount_on_unsynced, m);
	if (rc == 0 && !m->found.created) {
		rc = contents_recover(nmb->contents, m->found.rebooted, &r);
		if (rc == 0 && !m->found.clean)
			log_info("recovered resized=%u reverted=%u "
			         "quarantined=%u lost=%u",
			         r.resized, r.reverted, r.quarantined, r.lost);
	}
	if (rc < 0)
		snprintf(why, size, "%s/content: %s", nmb->state_dir,
		         strerror(-rc));
	return rc;
}

/* Content gets the names it had, then the database leaves. The mark that is
 * made first lets a start that dies here be repeated. */
static int set_store_aside(struct mount *m, char *why, size_t size)
{
	const char *dir = m->nmb.state_dir;
	char stamp[STORE_STAMP_SIZE];
	struct salvage found;
	int rc = store_mark_damaged(dir, stamp);

	if (rc == 0)
		rc = salvage_content(dir, stamp, &found);
	if (rc == 0)
		rc = store_set_aside(dir);
	if (rc < 0) {
		snprintf(why, size,
		         "%s/state.db is damaged and can't be set "
		         "aside: %s",
		         dir, strerror(-rc));
		return rc;
	}
	log_error("state.db was damaged action=rebuild dir=\"%s\" unsent=%u "
	          "cached=%u unnamed=%u: what was not sent yet is in its "
	          "quarantine/%s-unsent",
	          dir, found.unsent, found.cached, found.unnamed, stamp);
	return 0;
}

int mount_open_state(struct mount *m, char *why, size_t size)
{
	struct nmb *nmb = &m->nmb;
	int rc = open_store(m, why, size);

	if (rc != -EUCLEAN)
		return rc;
	contents_free(nmb->contents);
	nmb->contents = NULL;
	store_close(nmb->store, false);
	nmb->store = NULL;
	m->damaged = false; /* nobody else is here yet */
	rc = set_store_aside(m, why, size);
	if (rc < 0)
		return rc;
	why[0] = '\0';
	return open_store(m, why, size);
}

/* ---- what this state is of ------------------------------------------------
 */

#define KIND_SIZE 64

/* What this state is of: "plain", or "vault:" and the vault's id. */
static void format_kind(const struct nmb *nmb, char out[KIND_SIZE])
{
	char id[2 * BIND_VAULT_SIZE + 1];
	struct vault *v;

	snprintf(out, KIND_SIZE, "plain");
	if (!nmb->membership)
		return;
	v = vault_slot_get(&nmb->membership->slot);
	sodium_bin2hex(id, sizeof(id), vault_id(v), BIND_VAULT_SIZE);
	vault_unref(v);
	snprintf(out, KIND_SIZE, "vault:%s", id);
}

/* Names and content here are of one vault, or of a plain folder: sent as the
 * other kind they would do harm. */
static int check_kind(struct nmb *nmb, struct db *db, char *why, size_t size)
{
	char kind[KIND_SIZE], had[KIND_SIZE] = "";
	int64_t nodes = 0;
	int rc;

	format_kind(nmb, kind);
	rc = store_get_text(db, "kind", had, sizeof(had));
	if (rc == 0 && !had[0]) {
		rc = node_count_linked(db, &nodes);
		/* Made before there were vaults: plain, if anything. */
		if (rc == 0 && nodes > 1)
			strcpy(had, "plain");
	}
	if (rc < 0 || !strcmp(had, kind))
		return rc;
	if (!had[0])
		return store_set_text(db, "kind", kind);
	snprintf(why, size,
	         !strcmp(had, "plain")
	                 ? "this profile's folder is a plain one: mount it "
	                   "with --plain, or use another --profile for a vault"
	         : !strcmp(kind, "plain")
	                 ? "this profile's folder is a vault: mount it without "
	                   "--plain"
	                 : "this profile belongs to another vault: use another "
	                   "--profile");
	return -EINVAL;
}

int mount_open_codec(struct mount *m, char *why, size_t size)
{
	struct nmb *nmb = &m->nmb;
	char type[64] = "";
	struct db *db;
	int rc = store_begin(nmb->store, &db);

	if (rc < 0)
		return rc;
	rc = check_kind(nmb, db, why, size);
	if (rc == 0)
		rc = store_get_text(db, "drive_type", type, sizeof(type));
	rc = store_end(nmb->store, rc);
	if (rc < 0)
		return rc;
	if (nmb->membership)
		return codec_vault_new(&nmb->membership->slot, getuid(),
		                       getgid(), &nmb->codec);
	/* Not known yet: the stricter rules, those of Business. */
	return codec_plain_new(strcmp(type, "personal") != 0, &m->nmb.codec);
}
