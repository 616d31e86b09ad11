#include "fs/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fs/content.h"
#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "fs/tree_internal.h"
#include "net/clock.h"

/* ---- content of a node ------------------------------------------------------
 */

/* Under tree.lock. -EAGAIN: it has none yet, adopt() makes it. */
static int load_locked(struct tree *t, uint64_t ino, struct content **out_c)
{
	struct node n;
	struct db *db;
	int rc = store_reader(t->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = node_get(db, ino, &n);
	store_reader_done(t->opt.store, db);
	if (rc < 0)
		return rc;
	if (!node_is_file(&n))
		return node_is_dir(&n) ? -EISDIR : -EINVAL;
	rc = n.cid ? content_get(t->opt.contents, n.cid, false, out_c)
	           : -EAGAIN;
	return rc == -ENOENT ? -EAGAIN : rc; /* evicted in this moment */
}

int tree_add_content(struct tree *t, struct db *db, struct node *n)
{
	struct cfile row = {
		.ino = n->ino,
		.size = n->s_len,
		.gen = n->gen,
		.base_size = n->s_size,
	};
	int rc;

	if (!node_on_server(n) || !n->s_gen) {
		n->gen += !n->gen;
		return content_add_empty(t->opt.contents, db, n->ino, n->gen, 0,
		                         &n->cid);
	}
	strcpy(row.base_id, n->s_id);
	strcpy(row.base_etag, n->s_etag);
	row.base_hashed = n->flags & NODE_HASHED;
	memcpy(row.base_hash, n->s_hash, sizeof(row.base_hash));
	rc = content_add_absent(t->opt.contents, db, &row);
	if (rc == 0) {
		n->cid = row.cid;
		n->size = row.size;
	}
	return rc;
}

/* The first use of what so far is only on the server. */
static int adopt(struct tree *t, uint64_t ino)
{
	struct node n;
	struct db *db;
	int rc = tree_begin(t, &db);

	if (rc < 0)
		return rc;
	rc = node_get(db, ino, &n);
	if (rc == 0 && !n.cid) {
		rc = tree_add_content(t, db, &n);
		if (rc == 0)
			rc = node_update(db, &n);
	}
	return tree_end(t, rc);
}

/* What is open already; under tree.lock. */
static struct content *ref_open(struct tree *t, uint64_t ino)
{
	struct content *c = NULL;
	struct live *l;

	lock_take(&t->table_lock, LOCK_LEAF);
	l = tree_find_live_locked(t, ino);
	if (l && l->current)
		c = l->current->content;
	lock_drop(&t->table_lock, LOCK_LEAF);
	return c ? content_ref(c) : NULL;
}

struct content *tree_get_open(struct tree *t, uint64_t ino)
{
	struct content *c;

	lock_read(&t->lock, LOCK_TREE);
	c = ref_open(t, ino);
	lock_rw_drop(&t->lock, LOCK_TREE);
	return c;
}

#define LOAD_TRIES 8 /* an eviction may come in between, hardly twice */

int tree_load_content(struct tree *t, uint64_t ino, struct content **out_c)
{
	int rc = -EAGAIN;

	for (int i = 0; i < LOAD_TRIES && rc == -EAGAIN; i++) {
		struct content *c;

		lock_read(&t->lock, LOCK_TREE);
		c = ref_open(t, ino);
		rc = c ? 0 : load_locked(t, ino, &c);
		lock_rw_drop(&t->lock, LOCK_TREE);
		if (rc == 0)
			*out_c = c;
		else if (rc == -EAGAIN && (rc = adopt(t, ino)) == 0)
			rc = -EAGAIN;
	}
	return rc == -EAGAIN ? -EIO : rc;
}

/* Under tree.lock(read): gives the handle's version its content. */
static int install_locked(struct tree *t, struct handle *h)
{
	struct version *v = h->version;
	struct content *c;
	bool have, outdated;
	int rc;

	lock_take(&t->table_lock, LOCK_LEAF);
	have = v->content;
	outdated = v->outdated;
	lock_drop(&t->table_lock, LOCK_LEAF);
	if (have || outdated)
		return have ? 0 : -ESTALE;
	rc = load_locked(t, v->live->ino, &c);
	if (rc < 0)
		return rc;
	lock_take(&t->table_lock, LOCK_LEAF);
	if (!v->content) {
		v->content = c;
		c = NULL;
	}
	lock_drop(&t->table_lock, LOCK_LEAF);
	content_put(c);
	return 0;
}

static int install(struct tree *t, struct handle *h)
{
	int rc = -EAGAIN;

	for (int i = 0; i < LOAD_TRIES && rc == -EAGAIN; i++) {
		lock_read(&t->lock, LOCK_TREE);
		rc = install_locked(t, h);
		lock_rw_drop(&t->lock, LOCK_TREE);
		if (rc == -EAGAIN && (rc = adopt(t, handle_ino(h))) == 0)
			rc = -EAGAIN;
	}
	return rc == -EAGAIN ? -EIO : rc;
}

struct content *tree_swap_content(struct tree *t, uint64_t ino, uint64_t cid)
{
	struct content *c = NULL, *former;
	bool needed = false, writers = false;
	struct live *l;

	lock_take(&t->table_lock, LOCK_LEAF);
	l = tree_find_live_locked(t, ino);
	if (l && l->current) {
		needed = l->current->handles;
		writers = l->writers;
	}
	lock_drop(&t->table_lock, LOCK_LEAF);
	/* Its file is made by the first write, which a writer here does: the
	 * engine leaves it alone meanwhile. If this fails, the next use tries
	 * again. */
	if (needed && content_get(t->opt.contents, cid, writers, &c) < 0)
		c = NULL;
	lock_take(&t->table_lock, LOCK_LEAF);
	l = tree_find_live_locked(t, ino);
	former = c;
	if (l && l->current && l->current->handles) {
		former = l->current->content;
		l->current->content = c;
	}
	lock_drop(&t->table_lock, LOCK_LEAF);
	return former;
}

/* ---- opening and closing ----------------------------------------------------
 */

void tree_open_locked(struct version *v, struct handle *h)
{
	h->version = v;
	v->handles++;
	if (h->write)
		v->live->writers++;
	else
		v->live->readers++;
	v->live->unflushed += h->write;
}

struct content *tree_close_locked(struct tree *t, struct handle *h)
{
	struct version *v = h->version;
	struct content *c = NULL;

	if (h->write)
		v->live->writers--;
	else
		v->live->readers--;
	v->live->unflushed -= h->write && !h->flushed;
	if (--v->handles == 0) {
		c = v->content;
		v->content = NULL;
	}
	tree_leave_locked(t, v->live);
	return c;
}

static int check_open(struct tree *t, const struct node *n, bool write)
{
	if (!node_is_file(n))
		return node_is_dir(n) ? -EISDIR : -EINVAL;
	if (n->flags & NODE_FOREIGN)
		return -EPERM;
	if (write && t->opt.read_only)
		return -EROFS;
	return write ? tree_guard_content(t, n) : 0;
}

static int register_handle(struct tree *t, uint64_t nodeid, struct handle *h)
{
	struct version *v;
	int rc = -ESTALE;

	lock_take(&t->table_lock, LOCK_LEAF);
	v = tree_find_locked(t, nodeid);
	if (v && !v->outdated) {
		tree_open_locked(v, h);
		rc = 0;
	}
	lock_drop(&t->table_lock, LOCK_LEAF);
	return rc;
}

int tree_open(struct tree *t, uint64_t nodeid, int flags, struct handle **out_h)
{
	struct attrs now = { .what = TREE_SET_MTIME | TREE_SET_CTIME };
	bool write = (flags & O_ACCMODE) != O_RDONLY;
	struct handle *h;
	struct node n;
	int rc = tree_get_node(t, nodeid, &n);

	if (rc == 0)
		rc = check_open(t, &n, write);
	if (rc < 0)
		return rc;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->write = write;
	rc = register_handle(t, nodeid, h);
	if (rc < 0) {
		free(h);
		return rc;
	}
	if (write && flags & O_TRUNC && n.size) {
		now.mtime = now.ctime = clock_real_ns();
		rc = tree_truncate(t, n.ino, &now);
		tree_note_dirty(t, n.ino);
	}
	if (rc == 0)
		rc = install(t, h);
	if (rc < 0) {
		tree_release(t, h);
		return rc;
	}
	*out_h = h;
	return 0;
}

void tree_release(struct tree *t, struct handle *h)
{
	uint64_t ino = handle_ino(h);
	bool settled = false, soft = false, gone;
	struct content *saved = NULL, *c;
	struct live *l;

	/* The row first: once no writer is left the engine may look. */
	if (h->write) {
		saved = tree_get_open(t, ino);
		tree_save(t, ino, saved, true);
	}
	lock_take(&t->table_lock, LOCK_LEAF);
	l = h->version->live;
	if (h->write && l->writers == 1) {
		settled = l->dirty_ms;
		soft = l->unsynced;
		l->dirty_ms = 0;
		l->unsynced = false;
	}
	gone = l->gone && l->readers + l->writers == 1;
	c = tree_close_locked(t, h);
	lock_drop(&t->table_lock, LOCK_LEAF);
	free(h);
	if (soft && saved)
		tree_queue_soft(t, content_cid(saved));
	content_put(saved);
	content_put(c);
	if (settled && t->opt.events.settled)
		t->opt.events.settled(t->opt.events.arg, ino);
	if (gone)
		tree_note_dirty(t, ino);
}

/* ---- what a handle stands for -----------------------------------------------
 */

int tree_handle_content(struct tree *t, struct handle *h,
                        struct content **out_c)
{
	struct content *c;
	int rc;

	lock_read(&t->lock, LOCK_TREE);
	lock_take(&t->table_lock, LOCK_LEAF);
	c = h->version->content;
	lock_drop(&t->table_lock, LOCK_LEAF);
	if (c)
		content_ref(c);
	lock_rw_drop(&t->lock, LOCK_TREE);
	if (!c) { /* a truncation could not load the new one */
		rc = install(t, h);
		return rc < 0 ? rc : tree_handle_content(t, h, out_c);
	}
	*out_c = c;
	return 0;
}

bool tree_handle_outdated(struct tree *t, struct handle *h, uint64_t *out_size)
{
	bool outdated;

	lock_take(&t->table_lock, LOCK_LEAF);
	outdated = h->version->outdated;
	if (outdated)
		*out_size = (uint64_t)h->version->st.st_size;
	lock_drop(&t->table_lock, LOCK_LEAF);
	return outdated;
}

bool handle_can_write(const struct handle *h)
{
	return h->write;
}

uint64_t handle_nodeid(const struct handle *h)
{
	return h->version->nodeid;
}

uint64_t handle_ino(const struct handle *h)
{
	return h->version->live->ino;
}

void tree_get_use(struct tree *t, uint64_t ino, struct tree_use *out)
{
	struct live *l;

	*out = (struct tree_use){ 0 };
	lock_take(&t->table_lock, LOCK_LEAF);
	l = tree_find_live_locked(t, ino);
	if (l) {
		out->readers = l->readers;
		out->writers = l->writers;
		out->wrote_ms = l->wrote_ms;
		out->dirty_ms = l->dirty_ms;
		out->fsync_ms = l->fsync_ms;
		out->taken_ms = l->taken_ms;
	}
	lock_drop(&t->table_lock, LOCK_LEAF);
}
