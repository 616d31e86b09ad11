#include "fs/history_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/log.h"

/* A directory's nodeid is the node's ino behind HISTORY_FIRST: nothing need be
 * remembered of it. */

static bool is_version(uint64_t nodeid)
{
	return nodeid >= HISTORY_VERSION;
}

static uint64_t ino_of(uint64_t nodeid)
{
	return nodeid & ~HISTORY_FIRST;
}

/* Has the service something of it? */
static bool has_versions(const struct node *n)
{
	return node_is_file(n) && node_on_server(n) && n->s_gen;
}

static int read_row(struct history *h, uint64_t ino, struct node *n)
{
	struct db *db;
	int rc = store_reader(h->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = node_get(db, ino, n);
	store_reader_done(h->opt.store, db);
	if (rc == 0 && !node_is_dir(n) && !has_versions(n))
		rc = -ENOENT;
	return rc;
}

/* ---- attributes ---------------------------------------------------------- */

/* Who may read the file may look into its directory. */
static struct stat dir_stat(const struct node *n)
{
	mode_t read = n->mode & 0444;
	mode_t mode = node_is_dir(n) ? n->mode & 0555 : read | read >> 2;

	return (struct stat){
		.st_ino = HISTORY_FIRST | n->ino,
		.st_mode = S_IFDIR | mode,
		.st_nlink = 2,
		.st_uid = n->uid,
		.st_gid = n->gid,
		.st_atim = clock_ns_to_timespec(n->mtime),
		.st_mtim = clock_ns_to_timespec(n->mtime),
		.st_ctim = clock_ns_to_timespec(n->mtime),
		.st_blksize = 4096,
	};
}

static int dir_entry(const struct node *n, struct history_entry *out)
{
	out->nodeid = HISTORY_FIRST | n->ino;
	out->st = dir_stat(n);
	return 0;
}

static struct stat version_stat(const struct history *h, const struct node *n,
                                const struct version *v)
{
	struct timespec time = clock_ns_to_timespec(v->time);
	uint64_t plain;

	if (h->opt.codec->ops->plain_size(h->opt.codec, v->size, &plain) < 0)
		plain = v->size; /* no sealed file: reading says so */
	return (struct stat){
		.st_mode = S_IFREG | (n->mode & 0444),
		.st_nlink = 1,
		.st_uid = n->uid,
		.st_gid = n->gid,
		.st_size = (off_t)plain,
		.st_blocks = (blkcnt_t)((plain + 511) / 512),
		.st_blksize = 65536,
		.st_atim = time,
		.st_mtim = time,
		.st_ctim = time,
	};
}

static struct history_node *find_node(struct history *h, uint64_t nodeid)
{
	struct history_node *n = h->nodes;

	while (n && n->nodeid != nodeid)
		n = n->next;
	return n;
}

int history_get_attr(struct history *h, uint64_t nodeid, struct stat *out_st)
{
	struct history_node *v;
	struct node *n;
	int rc = -ESTALE;

	if (is_version(nodeid)) {
		lock_take(&h->lock, LOCK_LEAF);
		v = find_node(h, nodeid);
		if (v) {
			*out_st = v->st;
			rc = 0;
		}
		lock_drop(&h->lock, LOCK_LEAF);
		return rc;
	}
	n = malloc(sizeof(*n));
	rc = n ? read_row(h, ino_of(nodeid), n) : -ENOMEM;
	if (rc == 0)
		*out_st = dir_stat(n);
	free(n);
	return rc;
}

/* ---- looking up ---------------------------------------------------------- */

void history_note_taken(struct history *h)
{
	bool told = true;

	if (h) {
		lock_take(&h->lock, LOCK_LEAF);
		told = h->told;
		h->told = true;
		lock_drop(&h->lock, LOCK_LEAF);
	}
	if (!told)
		log_warn("versions: a file of yours is called " HISTORY_NAME
		         ": old versions are not shown there; `nmbackupfs "
		         "versions` lists them");
}

int history_get_top(struct history *h, struct history_entry *out)
{
	struct node *n = malloc(sizeof(*n));
	int rc = n ? read_row(h, NODE_ROOT, n) : -ENOMEM;

	if (rc == 0)
		rc = dir_entry(n, out);
	free(n);
	return rc;
}

static int lookup_child(struct history *h, const struct node *dir,
                        const char *name, struct history_entry *out,
                        uint64_t *out_list)
{
	struct node *n = malloc(sizeof(*n));
	struct db *db;
	int rc = n ? store_reader(h->opt.store, &db) : -ENOMEM;

	if (rc == 0) {
		rc = node_get_child(db, dir->ino, name, n);
		store_reader_done(h->opt.store, db);
	}
	if (rc == -ENOENT && dir->flags & NODE_UNLISTED) {
		*out_list = dir->ino;
		rc = -EAGAIN;
	}
	if (rc == 0 && !node_is_dir(n) && !has_versions(n))
		rc = -ENOENT;
	if (rc == 0)
		rc = dir_entry(n, out);
	free(n);
	return rc;
}

static struct history_node *find_version(struct history *h, const char *item_id,
                                         const char *version_id)
{
	struct history_node *n = h->nodes;

	while (n && (strcmp(n->v.id, version_id) != 0 ||
	             strcmp(n->item_id, item_id) != 0))
		n = n->next;
	return n;
}

/* Counts a lookup. What was the current content may be an old one by now. */
static int take_version_locked(struct history *h, const struct node *row,
                               const struct version *v,
                               struct history_entry *out)
{
	struct history_node *n = find_version(h, row->s_id, v->id);

	if (!n) {
		n = calloc(1, sizeof(*n));
		if (!n)
			return -ENOMEM;
		n->nodeid = h->next_node++;
		memcpy(n->item_id, row->s_id, sizeof(n->item_id));
		n->next = h->nodes;
		h->nodes = n;
		n->v = *v;
		n->st = version_stat(h, row, v);
		n->st.st_ino = n->nodeid;
	}
	n->v.current = v->current;
	n->etag[0] = '\0';
	if (v->current && row->s_size == v->size)
		memcpy(n->etag, row->s_etag, sizeof(n->etag));
	n->lookups++;
	out->nodeid = n->nodeid;
	out->st = n->st;
	return 0;
}

static int lookup_version(struct history *h, const struct node *row,
                          const char *name, struct history_entry *out)
{
	struct history_list *l;
	int rc;

	lock_take(&h->lock, LOCK_LEAF);
	rc = history_find_list_locked(h, row->s_id, &l);
	if (rc == 0) {
		rc = -ENOENT;
		for (size_t i = 0; i < l->n && rc == -ENOENT; i++) {
			if (!strcmp(l->v[i].name, name))
				rc = take_version_locked(h, row, &l->v[i].v,
				                         out);
		}
	}
	lock_drop(&h->lock, LOCK_LEAF);
	return rc;
}

int history_lookup(struct history *h, uint64_t parent, const char *name,
                   struct history_entry *out, uint64_t *out_list)
{
	struct node *row;
	int rc;

	*out_list = 0;
	if (is_version(parent))
		return -ENOTDIR;
	row = malloc(sizeof(*row));
	rc = row ? read_row(h, ino_of(parent), row) : -ENOMEM;
	if (rc == 0)
		rc = node_is_dir(row)
		             ? lookup_child(h, row, name, out, out_list)
		             : lookup_version(h, row, name, out);
	free(row);
	return rc;
}

void history_forget(struct history *h, uint64_t nodeid, uint64_t count)
{
	struct history_node **at = &h->nodes, *n;

	if (!is_version(nodeid))
		return;
	lock_take(&h->lock, LOCK_LEAF);
	while (*at && (*at)->nodeid != nodeid)
		at = &(*at)->next;
	n = *at;
	if (n && n->lookups > count) {
		n->lookups -= count;
	} else if (n) {
		*at = n->next;
		free(n);
	}
	lock_drop(&h->lock, LOCK_LEAF);
}

/* ---- listing ------------------------------------------------------------- */

struct each {
	history_each_fn *fn;
	void *arg;
};

/* node_each_fn: an entry's offset is its ino. */
static int each_child(void *arg, const struct node *n)
{
	const struct each *e = arg;

	if (!node_is_dir(n) && !has_versions(n))
		return 0;
	return e->fn(e->arg, n->name, n->ino, S_IFDIR);
}

static int each_of_dir(struct history *h, const struct node *dir,
                       uint64_t after, struct each *e, uint64_t *out_list)
{
	struct db *db;
	int rc;

	if (dir->flags & NODE_UNLISTED) {
		*out_list = dir->ino;
		return -EAGAIN;
	}
	rc = store_reader(h->opt.store, &db);
	if (rc < 0)
		return rc;
	rc = node_each_child(db, dir->ino, after, each_child, e);
	store_reader_done(h->opt.store, db);
	return rc;
}

/* Offsets of versions: NODE_FIRST and up, oldest first. The callback only fills
 * a page. */
static int each_version(struct history *h, const struct node *row,
                        uint64_t after, const struct each *e)
{
	size_t first = after < NODE_FIRST ? 0 : after - NODE_FIRST + 1;
	struct history_list *l;
	int rc;

	lock_take(&h->lock, LOCK_LEAF);
	rc = history_find_list_locked(h, row->s_id, &l);
	for (size_t i = first; rc == 0 && i < l->n; i++)
		rc = e->fn(e->arg, l->v[i].name, NODE_FIRST + i, S_IFREG);
	lock_drop(&h->lock, LOCK_LEAF);
	return rc;
}

int history_each(struct history *h, uint64_t nodeid, uint64_t after,
                 history_each_fn *fn, void *arg, uint64_t *out_list)
{
	struct each e = { fn, arg };
	struct node *row;
	int rc;

	*out_list = 0;
	if (is_version(nodeid))
		return -ENOTDIR;
	row = malloc(sizeof(*row));
	rc = row ? read_row(h, ino_of(nodeid), row) : -ENOMEM;
	if (rc == 0)
		rc = node_is_dir(row) ? each_of_dir(h, row, after, &e, out_list)
		                      : each_version(h, row, after, &e);
	free(row);
	return rc < 0 ? rc : 0;
}

int history_wait_list(struct history *h, uint64_t nodeid, history_wake_fn *wake,
                      void *arg)
{
	struct node *row = malloc(sizeof(*row));
	int rc = row ? read_row(h, ino_of(nodeid), row) : -ENOMEM;

	if (rc == 0)
		rc = history_ask_list(h, row->s_id, wake, arg);
	free(row);
	return rc;
}
