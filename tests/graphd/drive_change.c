#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/graphd/drive.h"
#include "tests/graphd/drive_internal.h"
#include "tests/graphd/ids.h"
#include "tests/graphd/must.h"

/* Default limits of the service (facts/graph.md 8). */
#define MAX_VERSIONS_PERSONAL 25
#define MAX_VERSIONS_BUSINESS 500

static int64_t size_of(const struct item *item)
{
	return item->blob ? (int64_t)item->blob->size : item->size;
}

/* The state that a lagging feed goes on showing. */
static void remember(struct drive *d, struct item *item)
{
	struct item_shown *s = must_alloc(sizeof(*s));

	s->parent = item->parent;
	s->name = must_copy(item->name);
	s->blob = blob_ref(item->blob);
	s->etag_n = item->etag_n;
	s->ctag_n = item->ctag_n;
	s->modified_ns = item->modified_ns;
	s->fs_modified_ns = item->fs_modified_ns;
	drive_free_shown(item->before, d->blobs);
	item->before = s;
}

static void changed_below(struct item *folder, int64_t now_ns)
{
	for (; folder; folder = folder->parent)
		folder->below_ns = now_ns;
}

void drive_touch(struct drive *d, struct item *item, int64_t now_ns)
{
	item->etag_n++;
	changed_below(item->parent, now_ns);
	drive_place_last(d, item, now_ns);
}

void drive_bump_tag(struct drive *d, struct item *item)
{
	item->etag_n++;
	drive_mark_changed(d, item);
}

struct item *drive_add(struct drive *d, struct item *parent, const char *name,
                       enum item_type type, int64_t now_ns)
{
	char guid[37];
	struct item *item;
	char *id;

	ids_guid(guid);
	id = ids_item(d->kind, d->id, d->next_num, guid);
	item = drive_new_item(d, id, d->next_num);
	free(id);
	memcpy(item->guid, guid, sizeof(guid));
	item->type = type;
	item->name = must_copy(name);
	item->created_ns = item->modified_ns = now_ns;
	item->fs_created_ns = item->fs_modified_ns = now_ns;
	item->content_ns = item->below_ns = now_ns;
	drive_link(item, parent);
	drive_index_name(d, item, true);
	changed_below(parent, now_ns);
	drive_place_last(d, item, now_ns);
	d->nlive++;
	return item;
}

static void push_version(struct drive *d, struct item *item)
{
	size_t max = d->kind == DRIVE_BUSINESS ? MAX_VERSIONS_BUSINESS
	                                       : MAX_VERSIONS_PERSONAL;

	if (item->nversions == max - 1)
		drive_drop_version(d, item, 0);
	item->versions =
		must_grow(item->versions,
	                  (item->nversions + 1) * sizeof(*item->versions));
	item->versions[item->nversions++] = (struct version){
		.n = item->version_n++,
		.blob = blob_ref(item->blob),
		.modified_ns = item->modified_ns,
	};
	d->used_bytes += (int64_t)item->blob->size;
}

void drive_set_content(struct drive *d, struct item *item, struct blob *blob,
                       int64_t now_ns)
{
	int64_t old = size_of(item);
	bool first = !item->blob;

	if (!first) {
		remember(d, item);
		push_version(d, item);
		item->ctag_n++;
		item->etag_n++;
	}
	blob_unref(d->blobs, item->blob);
	item->blob = blob;
	item->modified_ns = item->fs_modified_ns = item->content_ns = now_ns;
	item->wrong_hash = item->no_hash = false;
	d->used_bytes += (int64_t)blob->size - old;
	drive_add_size(item->parent, (int64_t)blob->size - old);
	changed_below(item->parent, now_ns);
	drive_place_last(d, item, now_ns);
}

void drive_add_version(struct drive *d, struct item *item, int64_t now_ns)
{
	push_version(d, item);
	item->modified_ns = now_ns;
}

void drive_drop_version(struct drive *d, struct item *item, size_t i)
{
	assert(i < item->nversions);
	d->used_bytes -= (int64_t)item->versions[i].blob->size;
	blob_unref(d->blobs, item->versions[i].blob);
	item->nversions--;
	memmove(item->versions + i, item->versions + i + 1,
	        (item->nversions - i) * sizeof(*item->versions));
	drive_mark_changed(d, item);
}

void drive_move(struct drive *d, struct item *item, struct item *parent,
                const char *name, int64_t now_ns)
{
	char *copy = must_copy(name);

	remember(d, item);
	drive_index_name(d, item, false);
	if (parent != item->parent) {
		changed_below(item->parent, now_ns);
		drive_unlink(item);
		drive_add_size(item->parent, -size_of(item));
		drive_link(item, parent);
		drive_add_size(parent, size_of(item));
	}
	free(item->name);
	item->name = copy;
	drive_index_name(d, item, true);
	drive_touch(d, item, now_ns);
}

/* Below first, so that the folder's own tombstone comes last. */
static void bin_tree(struct drive *d, struct item *item, uint64_t with,
                     int64_t now_ns)
{
	for (struct item *c = item->first; c; c = c->next)
		bin_tree(d, c, with, now_ns);
	drive_index_name(d, item, false);
	item->state = ITEM_BINNED;
	item->binned_with = with;
	d->used_bytes -= drive_bytes_of(item);
	d->binned_bytes += drive_bytes_of(item);
	d->nlive--;
	drive_place_last(d, item, now_ns);
}

void drive_bin(struct drive *d, struct item *item, int64_t now_ns)
{
	assert(item->state == ITEM_LIVE && item->parent);
	remember(d, item);
	bin_tree(d, item, item->num, now_ns);
	drive_unlink(item);
	drive_add_size(item->parent, -size_of(item));
	changed_below(item->parent, now_ns);
}

static void restore_tree(struct drive *d, struct item *item, int64_t now_ns)
{
	item->state = ITEM_LIVE;
	item->binned_with = 0;
	item->etag_n++;
	d->binned_bytes -= drive_bytes_of(item);
	d->used_bytes += drive_bytes_of(item);
	d->nlive++;
	drive_index_name(d, item, true);
	drive_place_last(d, item, now_ns);
	for (struct item *c = item->first; c; c = c->next)
		restore_tree(d, c, now_ns);
}

void drive_restore(struct drive *d, struct item *item, struct item *parent,
                   const char *name, int64_t now_ns)
{
	char *copy = must_copy(name);

	assert(item->state == ITEM_BINNED && item->binned_with == item->num);
	free(item->name);
	item->name = copy;
	drive_link(item, parent);
	drive_add_size(parent, size_of(item));
	restore_tree(d, item, now_ns);
	changed_below(parent, now_ns);
}

static void forget_contents(struct drive *d, struct item *item)
{
	while (item->nversions)
		drive_drop_version(d, item, item->nversions - 1);
	if (item->blob) {
		d->used_bytes -= (int64_t)item->blob->size;
		blob_unref(d->blobs, item->blob);
		item->blob = NULL;
	}
	drive_free_shown(item->before, d->blobs);
	item->before = NULL;
}

/* `item` is binned, with everything below it. */
static void destroy_tree(struct drive *d, struct item *item, int64_t now_ns)
{
	for (struct item *c = item->first; c; c = c->next)
		destroy_tree(d, c, now_ns);
	item->first = item->last = NULL;
	item->nchildren = 0;
	d->binned_bytes -= drive_bytes_of(item);
	d->used_bytes += drive_bytes_of(item);
	forget_contents(d, item);
	item->state = ITEM_GONE;
	item->size = 0;
	drive_place_last(d, item, now_ns);
}

void drive_destroy(struct drive *d, struct item *item, int64_t now_ns)
{
	if (item->state == ITEM_LIVE)
		drive_bin(d, item, now_ns);
	if (item->state == ITEM_BINNED)
		destroy_tree(d, item, now_ns);
}

/* ---- what was stored ------------------------------------------------------
 */

struct item *drive_adopt(struct drive *d, const char *id, uint64_t num)
{
	if (num == d->root->num)
		return d->root;
	return drive_new_item(d, id, num);
}

static int by_seq(const void *a, const void *b)
{
	const struct item *x = *(struct item *const *)a;
	const struct item *y = *(struct item *const *)b;

	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* Folders in the bin keep what was deleted with them; only the top one is cut
 * off from its parent. */
static bool hangs_on_parent(const struct item *item)
{
	return item->parent &&
	       (item->state == ITEM_LIVE ||
	        (item->state == ITEM_BINNED && item->binned_with != item->num));
}

static void count_adopted(struct drive *d, struct item *item)
{
	const struct item *at = item;

	if (item->state == ITEM_LIVE) {
		d->nlive++;
		d->used_bytes += drive_bytes_of(item);
		drive_index_name(d, item, true);
	} else {
		d->binned_bytes += drive_bytes_of(item);
	}
	if (!item->blob)
		return;
	item->size = 0;
	for (; hangs_on_parent(at); at = at->parent)
		at->parent->size += (int64_t)item->blob->size;
}

void drive_adopt_done(struct drive *d, struct item **items, size_t n)
{
	d->oldest = d->newest = NULL;
	d->nlive = 0;
	for (size_t i = 0; i < n; i++) { /* by num: children in old order */
		if (hangs_on_parent(items[i]))
			drive_link(items[i], items[i]->parent);
	}
	qsort(items, n, sizeof(struct item *), by_seq);
	for (size_t i = 0; i < n; i++) {
		drive_append_change(d, items[i]);
		count_adopted(d, items[i]);
		items[i]->dirty = false;
		if (items[i]->seq > d->seq)
			d->seq = items[i]->seq;
	}
	d->dirty = NULL;
}
