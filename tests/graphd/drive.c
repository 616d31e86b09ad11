#include "tests/graphd/drive.h"

#include <stdlib.h>
#include <string.h>

#include "tests/graphd/drive_internal.h"
#include "tests/graphd/ids.h"
#include "tests/graphd/must.h"
#include "tests/graphd/strmap.h"

#define NO_QUOTA (INT64_C(1) << 50)

/* What Business counts in front of a path (facts/graph.md 11.1). */
#define BUSINESS_PREFIX "personal/some_one_contoso_example/Documents/"

struct item *drive_new_item(struct drive *d, const char *id, uint64_t num)
{
	struct item *item = must_alloc(sizeof(*item));

	item->num = num;
	item->id = must_copy(id);
	item->etag_n = item->ctag_n = item->version_n = 1;
	strmap_put(d->by_id, id, strlen(id), item);
	strmap_put(d->by_id, &item->num, sizeof(item->num), item);
	if (num >= d->next_num)
		d->next_num = num + 1;
	return item;
}

struct drive *drive_new(enum drive_kind kind, struct blob_store *blobs,
                        int64_t quota_bytes, int64_t now_ns)
{
	struct drive *d = must_alloc(sizeof(*d));
	char *root_id;

	d->kind = kind;
	d->id = ids_drive(kind);
	d->blobs = blobs;
	d->quota_bytes = quota_bytes;
	d->rules.personal = kind != DRIVE_BUSINESS;
	d->rules.prefix_units =
		kind == DRIVE_BUSINESS ? strlen(BUSINESS_PREFIX) : 0;
	d->next_num = 1;
	d->by_id = strmap_new();
	d->by_name = strmap_new();
	root_id = ids_root(kind, d->id);
	d->root = drive_new_item(d, root_id, d->next_num);
	free(root_id);
	ids_guid(d->root->guid);
	d->root->type = ITEM_FOLDER;
	d->root->name = must_copy("root");
	d->root->created_ns = d->root->modified_ns = now_ns;
	d->root->fs_created_ns = d->root->fs_modified_ns = now_ns;
	d->root->below_ns = now_ns;
	d->nlive = 1;
	drive_place_last(d, d->root, now_ns);
	return d;
}

void drive_free_shown(struct item_shown *s, struct blob_store *blobs)
{
	if (!s)
		return;
	blob_unref(blobs, s->blob);
	free(s->name);
	free(s);
}

static void free_item(struct drive *d, struct item *item)
{
	for (size_t i = 0; i < item->nversions; i++)
		blob_unref(d->blobs, item->versions[i].blob);
	blob_unref(d->blobs, item->blob);
	drive_free_shown(item->before, d->blobs);
	free(item->versions);
	free(item->description);
	free(item->name);
	free(item->id);
	free(item);
}

void drive_free(struct drive *d)
{
	if (!d)
		return;
	blob_store_freeze(d->blobs);
	for (struct item *item = d->oldest, *next; item; item = next) {
		next = item->newer;
		free_item(d, item);
	}
	strmap_free(d->by_id);
	strmap_free(d->by_name);
	free(d->id);
	free(d);
}

/* ---- lookups ------------------------------------------------------------- */

struct item *drive_find_any(struct drive *d, const char *id)
{
	if (!strcmp(id, "root"))
		return d->root;
	return strmap_get(d->by_id, id, strlen(id));
}

struct item *drive_find(struct drive *d, const char *id)
{
	struct item *item = drive_find_any(d, id);

	return item && item->state == ITEM_LIVE ? item : NULL;
}

struct item *drive_find_num(struct drive *d, uint64_t num)
{
	return strmap_get(d->by_id, &num, sizeof(num));
}

/* Number of the folder, then the fold of the name. */
static void name_key(struct drive *d, const struct item *parent,
                     const char *name, struct buf *out)
{
	buf_add(out, &parent->num, sizeof(parent->num));
	must_ok(collate_key(&d->rules, name, out), "collation");
	must_text(out);
}

struct item *drive_child(struct drive *d, const struct item *parent,
                         const char *name)
{
	struct buf key = BUF_INIT;
	struct item *child;

	name_key(d, parent, name, &key);
	child = strmap_get(d->by_name, key.data, key.len);
	buf_done(&key);
	return child;
}

void drive_index_name(struct drive *d, struct item *item, bool add)
{
	struct buf key = BUF_INIT;

	if (item->parent) {
		name_key(d, item->parent, item->name, &key);
		if (add)
			strmap_put(d->by_name, key.data, key.len, item);
		else
			strmap_del(d->by_name, key.data, key.len);
	}
	buf_done(&key);
}

bool drive_same_name(struct drive *d, const char *a, const char *b)
{
	struct buf key_a = BUF_INIT, key_b = BUF_INIT;
	bool same;

	name_key(d, d->root, a, &key_a);
	name_key(d, d->root, b, &key_b);
	same = key_a.len == key_b.len &&
	       !memcmp(key_a.data, key_b.data, key_a.len);
	buf_done(&key_a);
	buf_done(&key_b);
	return same;
}

struct item *drive_resolve(struct drive *d, struct item *base, const char *path,
                           struct item **out_parent, const char **out_rest)
{
	struct item *at = base;

	while (at) {
		const char *end;
		struct item *child;
		char *name;

		path += strspn(path, "/");
		if (!*path)
			return at;
		end = strchrnul(path, '/');
		name = must_copy_n(path, (size_t)(end - path));
		child = drive_child(d, at, name);
		free(name);
		if (!child) {
			*out_parent = at;
			*out_rest = path;
		}
		at = child;
		path = end;
	}
	return NULL;
}

bool drive_is_below(const struct item *item, const struct item *folder)
{
	for (; item; item = item->parent) {
		if (item == folder)
			return true;
	}
	return false;
}

void drive_path(const struct item *item, bool encoded, struct buf *out)
{
	if (!item->parent)
		return;
	drive_path(item->parent, encoded, out);
	buf_add_char(out, '/');
	if (encoded)
		buf_add_percent(out, item->name, strlen(item->name));
	else
		buf_add_str(out, item->name);
}

bool drive_is_full(const struct drive *d, int64_t more)
{
	int64_t quota = d->quota_bytes > 0 ? d->quota_bytes : NO_QUOTA;

	return more > 0 && d->used_bytes + d->binned_bytes + more > quota;
}

char *drive_free_name(struct drive *d, struct item *parent, const char *name)
{
	const char *dot = strrchr(name, '.');
	int stem =
		(int)(dot && dot != name ? (size_t)(dot - name) : strlen(name));

	for (unsigned n = 1;; n++) {
		char *candidate =
			must_printf("%.*s %u%s", stem, name, n, name + stem);

		if (!drive_child(d, parent, candidate))
			return candidate;
		free(candidate);
	}
}

/* ---- the lists ------------------------------------------------------------
 */

void drive_link(struct item *item, struct item *parent)
{
	item->parent = parent;
	item->next = NULL;
	item->prev = parent->last;
	if (parent->last)
		parent->last->next = item;
	else
		parent->first = item;
	parent->last = item;
	parent->nchildren++;
}

/* Keeps `parent`: tombstones know where they were. */
void drive_unlink(struct item *item)
{
	struct item *parent = item->parent;

	if (item->prev)
		item->prev->next = item->next;
	else
		parent->first = item->next;
	if (item->next)
		item->next->prev = item->prev;
	else
		parent->last = item->prev;
	item->prev = item->next = NULL;
	parent->nchildren--;
}

void drive_append_change(struct drive *d, struct item *item)
{
	item->older = d->newest;
	item->newer = NULL;
	if (d->newest)
		d->newest->newer = item;
	else
		d->oldest = item;
	d->newest = item;
}

void drive_place_last(struct drive *d, struct item *item, int64_t now_ns)
{
	if (item->seq) {
		if (item->older)
			item->older->newer = item->newer;
		else
			d->oldest = item->newer;
		if (item->newer)
			item->newer->older = item->older;
		else
			d->newest = item->older;
	}
	item->seq = ++d->seq;
	item->changed_ns = now_ns;
	drive_append_change(d, item);
	drive_mark_changed(d, item);
}

void drive_mark_changed(struct drive *d, struct item *item)
{
	if (item->dirty)
		return;
	item->dirty = true;
	item->next_dirty = d->dirty;
	d->dirty = item;
}

struct item *drive_take_dirty(struct drive *d)
{
	struct item *list = d->dirty;

	for (struct item *item = list; item; item = item->next_dirty)
		item->dirty = false;
	d->dirty = NULL;
	return list;
}

int64_t drive_bytes_of(const struct item *item)
{
	int64_t sum = item->blob ? (int64_t)item->blob->size : 0;

	for (size_t i = 0; i < item->nversions; i++)
		sum += (int64_t)item->versions[i].blob->size;
	return sum;
}

void drive_add_size(struct item *folder, int64_t more)
{
	for (; folder; folder = folder->parent)
		folder->size += more;
}
