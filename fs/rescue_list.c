#include "fs/rescue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sodium.h>

#include "auth/age_payload.h"
#include "auth/vault_store.h"
#include "fs/codec.h"
#include "fs/naming.h"

#define TARGET_SIZE 4096

/* ---- one item ------------------------------------------------------------ */

void rescue_entry_free(struct rescue_entry *e)
{
	if (!e)
		return;
	free(e->id);
	free(e->etag);
	free(e->remote);
	free(e->target);
	free(e);
}

void rescue_entry_item(const struct rescue_entry *e, struct item *out)
{
	memset(out, 0, sizeof(*out));
	snprintf(out->id, sizeof(out->id), "%s", e->id);
	snprintf(out->etag, sizeof(out->etag), "%s", e->etag);
	snprintf(out->name, sizeof(out->name), "%s", e->remote);
	out->kind = e->is_folder ? ITEM_FOLDER : ITEM_FILE;
	out->size = e->sealed;
	out->has_hash = e->has_hash;
	memcpy(out->hash, e->hash, sizeof(out->hash));
}

/* A sealed name as it is; one too long for a name here is cut, and marked by
 * the item's id. */
static void keep_sealed(const struct item *it, struct restore_item *out)
{
	uint8_t hash[crypto_generichash_BYTES];
	char mark[sizeof(" (01234567)")];

	out->mode = it->kind == ITEM_FOLDER ? S_IFDIR | 0700 : S_IFREG | 0600;
	if (strlen(it->name) <= NODE_NAME_MAX) {
		strcpy(out->name, it->name);
		return;
	}
	crypto_generichash(hash, sizeof(hash), (const uint8_t *)it->id,
	                   strlen(it->id), NULL, 0);
	snprintf(mark, sizeof(mark), " (%02x%02x%02x%02x)", hash[0], hash[1],
	         hash[2], hash[3]);
	naming_mark(it->name, mark, out->name);
}

static int open_sealed(const struct rescue_source *s, const struct item *it,
                       struct rescue_entry *e)
{
	const struct codec_ops *ops = s->codec->ops;
	struct node *n = calloc(1, sizeof(*n));
	char target[TARGET_SIZE];
	int rc = n ? 0 : -ENOMEM;

	if (rc == 0) {
		n->mode = it->kind == ITEM_FOLDER ? S_IFDIR : S_IFREG;
		n->mtime = it->mtime;
		n->uid = RESTORE_NOBODY;
		n->gid = (gid_t)RESTORE_NOBODY;
		rc = ops->open_name(s->codec, it->name, n, target);
	}
	if (rc == 0) {
		strcpy(e->it.name, n->name);
		e->it.mode = n->mode;
		e->it.uid = n->uid;
		e->it.gid = n->gid;
		e->it.rdev = n->rdev;
		e->it.mtime = n->mtime;
		e->target = target[0] ? strdup(target) : NULL;
		e->it.target = e->target;
		if (target[0] && !e->target)
			rc = -ENOMEM;
	}
	free(n);
	return rc;
}

int rescue_open_entry(const struct rescue_source *s, const struct item *it,
                      struct rescue_entry **out_e)
{
	struct rescue_entry *e;
	int rc = 0;

	if (it->kind == ITEM_OTHER)
		return -EINVAL;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->id = strdup(it->id);
	e->etag = strdup(it->etag);
	e->remote = strdup(it->name);
	e->is_folder = it->kind == ITEM_FOLDER;
	e->is_file = !e->is_folder;
	e->has_hash = it->has_hash;
	memcpy(e->hash, it->hash, sizeof(e->hash));
	e->sealed = it->size;
	e->created = it->created;
	e->it.mtime = it->mtime;
	e->it.uid = RESTORE_NOBODY;
	e->it.gid = (gid_t)RESTORE_NOBODY;
	if (!e->id || !e->etag || !e->remote)
		rc = -ENOMEM;
	else if (s->codec)
		rc = open_sealed(s, it, e);
	else
		keep_sealed(it, &e->it);
	/* A claim until all of it came; -EBADMSG is found out then. */
	age_plain_size(DESCRIPTOR_HEADER_LEN, e->sealed, &e->it.size);
	if (rc < 0)
		rescue_entry_free(e);
	else
		*out_e = e;
	return rc;
}

/* ---- a folder ------------------------------------------------------------ */

struct listing {
	const struct rescue_source *s;
	struct rescue_list *l;
};

static int add(struct rescue_list *l, struct rescue_entry *e)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		void *more = realloc(l->entries, cap * sizeof(*l->entries));

		if (!more)
			return -ENOMEM;
		l->entries = more;
		l->cap = cap;
	}
	l->entries[l->n++] = e;
	return 0;
}

static int on_item(void *arg, const struct item *it)
{
	struct listing *li = arg;
	struct rescue_entry *e;
	int rc;

	if (!strcmp(it->name, VAULT_STORE_FOLDER))
		return 0;
	rc = rescue_open_entry(li->s, it, &e);
	if (rc == -EINVAL) {
		li->l->foreign++;
		return 0;
	}
	if (rc == 0) {
		rc = add(li->l, e);
		if (rc < 0)
			rescue_entry_free(e);
	}
	return rc;
}

/* Who keeps a name: the earlier one, then the smaller id (design: "Vault"). */
static int by_name(const void *a, const void *b)
{
	const struct rescue_entry *x = *(struct rescue_entry *const *)a;
	const struct rescue_entry *y = *(struct rescue_entry *const *)b;
	int d = strcmp(x->it.name, y->it.name);

	if (d == 0)
		d = x->created < y->created ? -1 : x->created > y->created;
	return d ? d : strcmp(x->id, y->id);
}

/* A list is no snapshot: an item may come twice. */
static void name_twins(const struct rescue_source *s, struct rescue_list *l)
{
	char alias[NODE_NAME_MAX + 1];
	size_t first = 0, kept = l->n ? 1 : 0;

	for (size_t i = 1; i < l->n; i++) {
		struct rescue_entry *e = l->entries[i];
		bool twin = !strcmp(e->it.name, l->entries[first]->it.name);

		if (!strcmp(e->id, l->entries[kept - 1]->id)) {
			rescue_entry_free(e);
			continue;
		}
		if (!twin)
			first = kept;
		l->entries[kept++] = e;
		if (twin && s->codec) {
			naming_alias(s->codec, e->it.name, e->id, alias);
			memcpy(e->it.name, alias, sizeof(alias));
		}
	}
	l->n = kept;
}

int rescue_list(const struct rescue_source *s, struct direct *d,
                const char *folder_id, struct rescue_list *out)
{
	struct listing li = { .s = s, .l = out };
	int rc;

	memset(out, 0, sizeof(*out));
	rc = direct_raw_list(d, folder_id, on_item, &li);
	if (rc < 0) {
		rescue_list_done(out);
		return rc;
	}
	if (out->n)
		qsort(out->entries, out->n, sizeof(*out->entries), by_name);
	name_twins(s, out);
	return 0;
}

void rescue_list_done(struct rescue_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		rescue_entry_free(l->entries[i]);
	free(l->entries);
	memset(l, 0, sizeof(*l));
}
