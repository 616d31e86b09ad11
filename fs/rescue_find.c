#include "fs/rescue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "auth/vault_store.h"
#include "fs/codec.h"
#include "fs/codec_vault.h"
#include "fs/session.h"
#include "net/graph.h"
#include "net/names.h"

#define PATIENCE_MS 60000
#define LEVELS_MAX  256

static void say(const struct rescue_source *s, const char *text)
{
	snprintf(s->direct->why, DIRECT_WHY, "%s", text);
}

/* ---- the descriptor ------------------------------------------------------ */

/* The identity among the keys that is a member's: it opens what the epochs
 * don't. */
static const struct age_identity *member_of(const struct rescue_source *s,
                                            const struct descriptor *d)
{
	for (size_t i = 0; i < s->keys.id_count; i++) {
		if (descriptor_find_recipient(d, &s->keys.ids[i]->recipient))
			return s->keys.ids[i];
	}
	return s->keys.id_count ? s->keys.ids[0] : NULL;
}

static int open_vault(struct rescue_source *s, const struct descriptor *d)
{
	struct vault *v;
	int rc = vault_new(d, member_of(s, d), &v);

	if (rc == 0) {
		vault_slot_set(&s->slot, v);
		/* Owners that no name tells of are nobody's. */
		rc = codec_vault_new(&s->slot, RESTORE_NOBODY,
		                     (gid_t)RESTORE_NOBODY, &s->codec);
	}
	s->generation = d->generation;
	return rc;
}

/* Is the folder a vault? 1: yes, and it was opened; 0: no. */
static int try_folder(struct rescue_source *s, const char *id)
{
	struct descriptor *d;
	struct vault_store *store;
	struct item *it;
	int rc;

	if (s->content_only || s->codec)
		return 0;
	it = malloc(sizeof(*it));
	rc = it ? direct_raw_child(s->direct, id, VAULT_STORE_FOLDER, it)
	        : -ENOMEM;
	free(it);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	rc = vault_store_new(s->direct->session->graph, id, PATIENCE_MS,
	                     &store);
	if (rc < 0)
		return rc;
	rc = vault_store_salvage(store, &s->keys, &d, s->direct->why);
	vault_store_free(store);
	if (rc == -ENOENT || rc == -EBADMSG) {
		s->content_only = true; /* it was one */
		return 0;
	}
	if (rc == VAULT_STORE_NOT_MEMBER)
		say(s, "this recovery key does not open the vault's "
		       "descriptor: it is another vault's, or was replaced; "
		       "--content-only tries it on the files alone");
	if (rc < 0)
		return rc;
	rc = open_vault(s, d);
	descriptor_free(d);
	return rc < 0 ? rc : 1;
}

/* ---- by path ------------------------------------------------------------- */

/* A part inside the vault, by its plain name. */
static int enter_sealed(struct rescue_source *s, const char *name,
                        struct item *at)
{
	struct rescue_list l;
	int rc = rescue_list(s, s->direct, at->id, &l);

	if (rc < 0)
		return rc;
	rc = -ENOENT;
	for (size_t i = 0; i < l.n && rc < 0; i++) {
		if (strcmp(l.entries[i]->it.name, name) != 0)
			continue;
		rc = direct_raw_item(s->direct, l.entries[i]->id, at);
		break;
	}
	rescue_list_done(&l);
	return rc;
}

/* A part on the way to the vault, as a mount calls the folders. */
static int enter_plain(struct rescue_source *s, const char *name,
                       struct item *at)
{
	const struct codec *c = s->direct->plain;
	struct node *n = calloc(1, sizeof(*n));
	char remote[NODE_REMOTE_MAX + 1];
	const char *why;
	int rc = n ? 0 : -ENOMEM;

	if (rc == 0) {
		n->mode = S_IFDIR;
		snprintf(n->name, sizeof(n->name), "%.*s", NODE_NAME_MAX, name);
		rc = c->ops->seal_name(c, n, NULL, remote, &why);
	}
	free(n);
	if (rc < 0)
		return rc == -ENOMEM ? rc : -ENOENT;
	return direct_raw_child(s->direct, at->id, remote, at);
}

/* Plain names hold any byte but '/': they are taken as they are. */
static int find_by_path(struct rescue_source *s, const char *path)
{
	char name[NODE_REMOTE_MAX + 1];
	int rc = direct_raw_root(s->direct, &s->start);

	while (rc == 0) {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (!len)
			break;
		if (len >= sizeof(name))
			return -ENOENT;
		memcpy(name, path, len);
		name[len] = '\0';
		path += len;
		rc = try_folder(s, s->start.id);
		if (rc >= 0)
			rc = s->codec ? enter_sealed(s, name, &s->start)
			              : enter_plain(s, name, &s->start);
	}
	if (rc == 0 && s->start.kind == ITEM_FOLDER)
		rc = try_folder(s, s->start.id);
	return rc < 0 ? rc : 0;
}

/* ---- by id --------------------------------------------------------------- */

/* Upwards until there is a vault. */
static int find_by_id(struct rescue_source *s, const char *id)
{
	struct item *at = malloc(sizeof(*at));
	int rc = at ? direct_raw_item(s->direct, id, &s->start) : -ENOMEM;

	if (rc == 0)
		*at = s->start;
	for (int i = 0; i < LEVELS_MAX && rc == 0; i++) {
		if (at->kind == ITEM_FOLDER)
			rc = try_folder(s, at->id);
		if (rc != 0 || at->root || !at->parent_id[0] || s->content_only)
			break;
		rc = direct_raw_item(s->direct, at->parent_id, at);
	}
	free(at);
	return rc < 0 ? rc : 0;
}

/* ---- both ---------------------------------------------------------------- */

int rescue_find(struct rescue_source *s, const char *what)
{
	int rc = vault_slot_init(&s->slot);

	if (rc < 0)
		return rc;
	rc = find_by_path(s, what);
	if (rc == -ENOENT && !strchr(what, '/') && strlen(what) <= NODE_ID_MAX)
		rc = find_by_id(s, what);
	if (rc == -ENOENT)
		snprintf(s->direct->why, DIRECT_WHY,
		         "%s: there is no folder or file of that path on the "
		         "drive, and no item of that id",
		         what);
	if (rc == 0 && !s->codec)
		s->content_only = true;
	return rc;
}

void rescue_source_done(struct rescue_source *s)
{
	codec_free(s->codec);
	vault_slot_done(&s->slot);
}
