#include "fs/direct_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/vault_store.h"
#include "fs/bond.h"
#include "fs/codec_vault.h"
#include "fs/config.h"
#include "fs/db.h"
#include "fs/membership.h"
#include "fs/paths.h"
#include "fs/session.h"
#include "fs/vault_setup.h"
#include "net/error_text.h"
#include "net/log.h"

#define PATIENCE_MS 60000

_Static_assert(DIRECT_WHY >= MEMBERSHIP_WHY, "one line for both");

struct direct_vault {
	struct membership membership;
	struct vault_store *store; /* NULL: nothing was read yet */
	struct vault_mark mark;    /* of the descriptor that was read */
	bool fresh;                /* it was read just now */
};

/* ---- the newest descriptor ----------------------------------------------- */

static int load(struct direct *d, bool make)
{
	struct direct_vault *v = d->vault;
	int rc;

	vault_store_free(v->store);
	v->store = NULL;
	d->why[0] = '\0';
	rc = vault_setup_newest(d, make, &v->membership, &v->store, d->why);
	if (rc == 0)
		rc = vault_store_get_mark(v->store, &v->mark);
	v->fresh = rc == 0;
	return rc;
}

int direct_newest(struct direct *d)
{
	struct direct_vault *v = d->vault;

	if (!v)
		return 0;
	if (v->fresh) {
		v->fresh = false; /* good for one file */
		return 0;
	}
	switch (vault_mark_look(d->session->graph, &v->mark, PATIENCE_MS)) {
	case VAULT_MARK_SAME:
		return 0;
	case VAULT_MARK_CHANGED:
		return load(d, false);
	case VAULT_MARK_UNKNOWN:
		break;
	}
	direct_say(d, "whether the vault's members changed can't be asked now: "
	              "nothing is sent");
	return -EIO;
}

/* ---- in and out ---------------------------------------------------------- */

static int open_membership(struct direct *d)
{
	char dir[PATH_MAX];
	struct direct_vault *v;
	int rc = paths_state_dir(d->config, dir, sizeof(dir));

	if (rc == 0)
		rc = paths_make_private(dir, d->why, DIRECT_WHY);
	if (rc < 0)
		return rc;
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	rc = membership_open(d->session->keystore, dir, &v->membership, d->why);
	if (rc < 0)
		free(v);
	else
		d->vault = v;
	return rc;
}

int direct_enter_vault(struct direct *d, bool make)
{
	int rc = open_membership(d);

	if (rc == 0)
		rc = load(d, make);
	if (rc == 0)
		rc = codec_vault_new(&d->vault->membership.slot, getuid(),
		                     getgid(), &d->codec);
	return rc;
}

void direct_leave_vault(struct direct *d)
{
	struct direct_vault *v = d->vault;

	if (!v)
		return;
	codec_free(d->codec);
	d->codec = NULL;
	vault_store_free(v->store);
	membership_close(&v->membership);
	free(v);
	d->vault = NULL;
}

/* ---- versions known here ------------------------------------------------- */

void direct_known_bond(struct direct *d, const char *item_id,
                       struct codec_bond *out)
{
	char path[PATH_MAX + sizeof("/state.db")];
	struct db *db;
	int rc;

	memset(out, 0, sizeof(*out));
	if (!d->vault)
		return;
	snprintf(path, sizeof(path), "%s/state.db",
	         d->vault->membership.state_dir);
	rc = access(path, F_OK) < 0 ? -ENOENT : db_open(path, false, &db);
	if (rc == 0) {
		rc = bond_get(db, item_id, out);
		db_close(db);
	}
	if (rc < 0) {
		memset(out, 0, sizeof(*out));
		log_debug("%s: %s; versions known here are not compared", path,
		          error_text(rc));
	}
}
