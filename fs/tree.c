#include "fs/tree.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/content.h"
#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "fs/tree_internal.h"
#include "net/clock.h"
#include "net/log.h"

#define FIRST_BUCKETS 4096

/* ---- the table ----------------------------------------------------------- */

static size_t bucket(uint64_t key, size_t buckets)
{
	return (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 20) &
	       (buckets - 1);
}

struct version *tree_find_locked(struct tree *t, uint64_t nodeid)
{
	struct version *v = t->by_id[bucket(nodeid, t->buckets)];

	while (v && v->nodeid != nodeid)
		v = v->next_id;
	return v;
}

struct live *tree_find_live_locked(struct tree *t, uint64_t ino)
{
	struct live *l = t->by_ino[bucket(ino, t->buckets)];

	while (l && l->ino != ino)
		l = l->next;
	return l;
}

static void insert_live_locked(struct tree *t, struct live *l)
{
	struct live **head = &t->by_ino[bucket(l->ino, t->buckets)];

	l->next = *head;
	*head = l;
}

static void insert_version_locked(struct tree *t, struct version *v)
{
	struct version **head = &t->by_id[bucket(v->nodeid, t->buckets)];

	v->next_id = *head;
	*head = v;
}

/* Doubles both tables. Without memory they just get slower. */
static void grow_locked(struct tree *t)
{
	size_t old = t->buckets, n = old * 2;
	struct live **lives = calloc(n, sizeof(struct live *)), **old_lives;
	struct version **ids = calloc(n, sizeof(struct version *)), **old_ids;

	if (!lives || !ids) {
		free(lives);
		free(ids);
		return;
	}
	old_lives = t->by_ino;
	old_ids = t->by_id;
	t->by_ino = lives;
	t->by_id = ids;
	t->buckets = n;
	for (size_t i = 0; i < old; i++) {
		struct live *l, *next_l;
		struct version *v, *next_v;

		for (l = old_lives[i]; l; l = next_l) {
			next_l = l->next;
			insert_live_locked(t, l);
		}
		for (v = old_ids[i]; v; v = next_v) {
			next_v = v->next_id;
			insert_version_locked(t, v);
		}
	}
	free(old_lives);
	free(old_ids);
}

int tree_enter_locked(struct tree *t, uint64_t ino, struct version **out_v)
{
	struct live *l = tree_find_live_locked(t, ino), *made = NULL;
	struct version *v;

	if (l && l->current) {
		*out_v = l->current;
		return 0;
	}
	v = calloc(1, sizeof(*v));
	if (!l)
		l = made = calloc(1, sizeof(*l));
	if (!v || !l) {
		free(v);
		free(made);
		return -ENOMEM;
	}
	if (made) {
		l->ino = ino;
		insert_live_locked(t, l);
	}
	v->live = l;
	v->nodeid = l->renumber ? t->next_nodeid++ : ino;
	v->next = l->versions;
	l->versions = l->current = v;
	insert_version_locked(t, v);
	if (++t->nversions > t->buckets)
		grow_locked(t);
	*out_v = v;
	return 0;
}

static void drop_live_locked(struct tree *t, struct live *l)
{
	struct live **pp = &t->by_ino[bucket(l->ino, t->buckets)];

	while (*pp != l)
		pp = &(*pp)->next;
	*pp = l->next;
	free(l);
}

static void drop_version_locked(struct tree *t, struct version *v)
{
	struct version **pp = &t->by_id[bucket(v->nodeid, t->buckets)];

	while (*pp != v)
		pp = &(*pp)->next_id;
	*pp = v->next_id;
	pp = &v->live->versions;
	while (*pp != v)
		pp = &(*pp)->next;
	*pp = v->next;
	if (v->live->current == v)
		v->live->current = NULL;
	t->nversions--;
	free(v);
}

void tree_leave_locked(struct tree *t, struct live *l)
{
	struct version *v, *next;

	for (v = l->versions; v; v = next) {
		next = v->next;
		if (!v->lookups && !v->handles)
			drop_version_locked(t, v);
	}
	/* Unsaved attributes keep it: tree_save() comes back. */
	if (!l->versions && !l->pprev_pend)
		drop_live_locked(t, l);
}

int tree_get_ino(struct tree *t, uint64_t nodeid, uint64_t *out_ino)
{
	struct version *v;
	int rc = -ESTALE;

	lock_take(&t->table_lock, LOCK_LEAF);
	v = tree_find_locked(t, nodeid);
	if (v && (!v->outdated || v->renewed)) {
		*out_ino = v->live->ino;
		rc = 0;
	}
	lock_drop(&t->table_lock, LOCK_LEAF);
	return rc;
}

void tree_forget_paths(struct tree *t)
{
	lock_take(&t->table_lock, LOCK_LEAF);
	t->epoch++;
	lock_drop(&t->table_lock, LOCK_LEAF);
}

void tree_forget(struct tree *t, uint64_t nodeid, uint64_t count)
{
	struct version *v;

	lock_take(&t->table_lock, LOCK_LEAF);
	v = tree_find_locked(t, nodeid);
	if (v && nodeid != NODE_ROOT) {
		v->lookups -= count < v->lookups ? count : v->lookups;
		tree_leave_locked(t, v->live);
	}
	lock_drop(&t->table_lock, LOCK_LEAF);
}

/* ---- attributes -----------------------------------------------------------
 */

void tree_fill_stat(const struct node *n, struct stat *st)
{
	bool dir = node_is_dir(n), linked = n->parent || n->ino == NODE_ROOT;

	*st = (struct stat){
		.st_ino = n->ino,
		.st_mode = n->mode,
		/* 1 for directories: nobody counts them, as in btrfs. */
		.st_nlink = linked,
		.st_uid = n->uid,
		.st_gid = n->gid,
		.st_rdev = n->rdev,
		.st_size = dir ? 0 : (off_t)n->size,
		.st_blksize = 4096,
		.st_blocks = dir ? 0 : (blkcnt_t)((n->size + 511) / 512),
		.st_atim = clock_ns_to_timespec(n->atime),
		.st_mtim = clock_ns_to_timespec(n->mtime),
		.st_ctim = clock_ns_to_timespec(n->ctime),
	};
}

int tree_enter(struct tree *t, struct node *n, struct tree_entry *out)
{
	struct version *v;
	int rc;

	lock_take(&t->table_lock, LOCK_LEAF);
	rc = tree_enter_locked(t, n->ino, &v);
	if (rc == 0) {
		v->lookups++;
		out->nodeid = v->nodeid;
		tree_apply(&v->live->pend, n);
	}
	lock_drop(&t->table_lock, LOCK_LEAF);
	if (rc == 0)
		tree_fill_stat(n, &out->st);
	return rc;
}

/* ---- transactions and events ----------------------------------------------
 */

void tree_note_unsynced(struct tree *t)
{
	if (!atomic_exchange(&t->unsynced, true) && t->opt.events.unsynced)
		t->opt.events.unsynced(t->opt.events.arg);
}

void tree_note_dirty(struct tree *t, uint64_t ino)
{
	if (t->opt.events.dirty)
		t->opt.events.dirty(t->opt.events.arg, ino);
}

int tree_begin(struct tree *t, struct db **out_db)
{
	int rc;

	lock_write(&t->lock, LOCK_TREE);
	rc = store_begin(t->opt.store, out_db);
	if (rc < 0)
		lock_rw_drop(&t->lock, LOCK_TREE);
	return rc;
}

int tree_commit(struct tree *t, int rc)
{
	return store_end(t->opt.store, rc);
}

int tree_end(struct tree *t, int rc)
{
	rc = tree_commit(t, rc);
	lock_rw_drop(&t->lock, LOCK_TREE);
	if (rc == 0)
		tree_note_unsynced(t);
	return rc;
}

/* ---- life ------------------------------------------------------------------
 */

static int make_root(struct tree *t)
{
	int64_t now = clock_real_ns();
	struct node root = {
		.ino = NODE_ROOT,
		.flags = NODE_UNLISTED,
		.mode = S_IFDIR | 0755,
		.uid = t->opt.uid,
		.gid = t->opt.gid,
		.mtime = now,
		.ctime = now,
		.atime = now,
	};
	struct db *db;
	int rc = tree_begin(t, &db);

	if (rc < 0)
		return rc;
	rc = node_get(db, NODE_ROOT, &root);
	if (rc == -ENOENT)
		rc = node_insert(db, &root, NULL);
	return tree_end(t, rc);
}

static int load_service_units(struct tree *t)
{
	int64_t units = TREE_SERVICE_UNITS;
	struct db *db;
	int rc = store_reader(t->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = store_get_int(db, TREE_SERVICE_KEY, TREE_SERVICE_UNITS, &units);
	store_reader_done(t->opt.store, db);
	t->service_units = (unsigned)units;
	return rc;
}

static int enter_root(struct tree *t)
{
	struct version *v;
	int rc;

	lock_take(&t->table_lock, LOCK_LEAF);
	rc = tree_enter_locked(t, NODE_ROOT, &v);
	if (rc == 0)
		v->lookups = 1; /* for good */
	lock_drop(&t->table_lock, LOCK_LEAF);
	return rc;
}

/* Under content.lock, before the first byte of a generation changes. */
static void on_changed(void *arg, uint64_t ino)
{
	struct tree *t = arg;

	tree_stamp(t, ino);
	tree_note_dirty(t, ino);
}

int tree_new(const struct tree_options *opt, struct tree **out_t)
{
	struct tree *t = calloc(1, sizeof(*t));
	int rc = -ENOMEM;

	if (!t)
		return -ENOMEM;
	t->opt = *opt;
	t->buckets = FIRST_BUCKETS;
	t->next_nodeid = TREE_NODEID_FIRST;
	t->epoch = 1;
	pthread_rwlock_init(&t->lock, NULL);
	pthread_mutex_init(&t->table_lock, NULL);
	t->by_ino = calloc(t->buckets, sizeof(struct live *));
	t->by_id = calloc(t->buckets, sizeof(struct version *));
	if (t->by_ino && t->by_id)
		rc = make_root(t);
	if (rc == 0)
		rc = load_service_units(t);
	if (rc == 0)
		rc = enter_root(t);
	if (rc == 0)
		rc = tree_queue_all_soft(t);
	if (rc < 0) {
		tree_free(t);
		return rc;
	}
	contents_set_changed(opt->contents, on_changed, t);
	*out_t = t;
	return 0;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	contents_set_changed(t->opt.contents, NULL, NULL);
	for (size_t i = 0; t->by_id && i < t->buckets; i++) {
		struct version *v, *next;

		for (v = t->by_id[i]; v; v = next) {
			next = v->next_id;
			content_put(v->content);
			free(v);
		}
	}
	for (size_t i = 0; t->by_ino && i < t->buckets; i++) {
		struct live *l, *next;

		for (l = t->by_ino[i]; l; l = next) {
			next = l->next;
			free(l);
		}
	}
	free(t->by_ino);
	free(t->by_id);
	free(t->soft);
	pthread_mutex_destroy(&t->table_lock);
	pthread_rwlock_destroy(&t->lock);
	free(t);
}
