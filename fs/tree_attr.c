#include "fs/tree.h"

#include <errno.h>
#include <string.h>

#include "fs/content.h"
#include "fs/db.h"
#include "fs/hold.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "fs/tree_internal.h"
#include "net/clock.h"
#include "net/crashpoint.h"

/* What the server may get to know; access times stay here. */
#define SENT                                                                   \
	(TREE_SET_MODE | TREE_SET_UID | TREE_SET_GID | TREE_SET_SIZE |         \
	 TREE_SET_MTIME)

#define TIMES (TREE_SET_ATIME | TREE_SET_MTIME | TREE_SET_CTIME)

/* ---- pending attributes ----------------------------------------------------
 *
 * While a file is open for writing and was not flushed yet, its attributes (the
 * kernel's sizes and times come in their own requests) are collected in memory
 * and go into the row with the commit that a close needs anyway, or the
 * syncer's, within a second. */

static void merge(struct attrs *into, const struct attrs *a)
{
	if (a->what & TREE_SET_MODE)
		into->mode = a->mode;
	if (a->what & TREE_SET_UID)
		into->uid = a->uid;
	if (a->what & TREE_SET_GID)
		into->gid = a->gid;
	if (a->what & TREE_SET_SIZE)
		into->size = a->size;
	if (a->what & TREE_SET_ATIME)
		into->atime = a->atime;
	if (a->what & TREE_SET_MTIME)
		into->mtime = a->mtime;
	if (a->what & TREE_SET_CTIME)
		into->ctime = a->ctime;
	into->what |= a->what;
}

void tree_apply(const struct attrs *a, struct node *n)
{
	if (a->what & TREE_SET_MODE)
		n->mode = (n->mode & S_IFMT) | (a->mode & 07777);
	if (a->what & TREE_SET_UID)
		n->uid = a->uid;
	if (a->what & TREE_SET_GID)
		n->gid = a->gid;
	if (a->what & TREE_SET_SIZE)
		n->size = a->size;
	if (a->what & TREE_SET_ATIME)
		n->atime = a->atime;
	if (a->what & TREE_SET_MTIME)
		n->mtime = a->mtime;
	if (a->what & TREE_SET_CTIME)
		n->ctime = a->ctime;
}

void tree_pend_locked(struct tree *t, struct live *l, const struct attrs *a)
{
	merge(&l->pend, a);
	l->pend_seq++;
	if (l->pprev_pend)
		return;
	l->next_pend = t->pending;
	l->pprev_pend = &t->pending;
	if (l->next_pend)
		l->next_pend->pprev_pend = &l->next_pend;
	t->pending = l;
}

/* What `what` says is newer elsewhere. */
static void unpend_locked(struct live *l, unsigned what)
{
	l->pend.what &= ~what;
	l->pend_seq++;
}

static void unlist_locked(struct live *l)
{
	if (!l->pprev_pend)
		return;
	*l->pprev_pend = l->next_pend;
	if (l->next_pend)
		l->next_pend->pprev_pend = l->pprev_pend;
	l->next_pend = NULL;
	l->pprev_pend = NULL;
}

struct save {
	struct tree *t;
	uint64_t ino;
	const struct attrs *attrs; /* NULL: those that are pending */

	bool closing; /* by the only writer left */

	/* Of the pending ones, as they went into the row. */
	uint64_t seq;
	bool finished; /* takes NODE_FRESH away */
};

/* In the transaction that saves them, so that of two changes the later one
 * stays. */
static struct attrs take_pending(struct save *s)
{
	struct attrs a = { 0 };
	struct live *l;

	lock_take(&s->t->table_lock, LOCK_LEAF);
	l = tree_find_live_locked(s->t, s->ino);
	if (l) {
		a = l->pend;
		s->seq = l->pend_seq;
		s->finished = l->unfinished && l->writers <= s->closing;
	}
	lock_drop(&s->t->table_lock, LOCK_LEAF);
	return a;
}

/* `f`: the row of its content, if that is saved along. */
static int save_row(struct db *db, struct save *s, const struct cfile *f)
{
	struct attrs a = s->attrs ? *s->attrs : take_pending(s);
	struct node n;
	int rc = node_get(db, s->ino, &n);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc; /* closed after its end */
	tree_apply(&a, &n);
	if (f && n.cid == f->cid)
		n.size = f->size;
	if (a.what & SENT)
		n.flags |= NODE_DIRTY;
	if (s->finished)
		n.flags &= ~(uint32_t)NODE_FRESH;
	return node_update(db, &n);
}

static int edit_save(void *arg, struct db *db, struct cfile *row)
{
	return save_row(db, arg, row);
}

static int save(struct save *s, struct content *c)
{
	struct tree *t = s->t;
	struct db *db;
	int rc;

	if (c) {
		rc = content_transact(c, edit_save, s);
	} else {
		rc = store_begin(t->opt.store, &db);
		if (rc == 0)
			rc = tree_commit(t, save_row(db, s, NULL));
	}
	CRASH_POINT("attributes-saved");
	if (rc == 0)
		tree_note_unsynced(t);
	return rc;
}

int tree_save(struct tree *t, uint64_t ino, struct content *c, bool closing)
{
	struct save s = { .t = t, .ino = ino, .closing = closing };
	bool needed;
	struct live *l;
	int rc;

	lock_take(&t->table_lock, LOCK_LEAF);
	l = tree_find_live_locked(t, ino);
	needed = l &&
	         (l->pprev_pend || (l->unfinished && l->writers <= closing));
	lock_drop(&t->table_lock, LOCK_LEAF);
	if (!needed)
		return 0;
	rc = save(&s, c);
	if (rc < 0)
		return rc;
	lock_take(&t->table_lock, LOCK_LEAF);
	l = tree_find_live_locked(t, ino);
	if (l && l->pend_seq == s.seq) {
		l->pend.what = 0;
		unlist_locked(l);
		l->unfinished = l->unfinished && !s.finished;
		tree_leave_locked(t, l);
	}
	lock_drop(&t->table_lock, LOCK_LEAF);
	return 0;
}

/* ---- reading ---------------------------------------------------------------
 */

int tree_get_node(struct tree *t, uint64_t nodeid, struct node *out_n)
{
	struct live *l;
	struct db *db;
	uint64_t ino;
	int rc;

	lock_read(&t->lock, LOCK_TREE);
	rc = tree_get_ino(t, nodeid, &ino);
	if (rc == 0)
		rc = store_reader(t->opt.store, &db);
	if (rc == 0) {
		rc = node_get(db, ino, out_n);
		store_reader_done(t->opt.store, db);
	}
	if (rc == 0) {
		lock_take(&t->table_lock, LOCK_LEAF);
		l = tree_find_live_locked(t, ino);
		if (l)
			tree_apply(&l->pend, out_n);
		lock_drop(&t->table_lock, LOCK_LEAF);
	}
	lock_rw_drop(&t->lock, LOCK_TREE);
	return rc;
}

/* A version that is no more, by nodeid; *out_st: what it was. */
static bool is_outdated(struct tree *t, uint64_t nodeid, struct stat *out_st)
{
	struct version *v;
	bool outdated;

	lock_take(&t->table_lock, LOCK_LEAF);
	v = tree_find_locked(t, nodeid);
	outdated = v && v->outdated;
	if (outdated)
		*out_st = v->st;
	lock_drop(&t->table_lock, LOCK_LEAF);
	return outdated;
}

int tree_get_attr(struct tree *t, uint64_t nodeid, struct stat *out_st)
{
	struct node n;
	int rc;

	rc = tree_get_node(t, nodeid, &n);
	if (rc == -ESTALE && is_outdated(t, nodeid, out_st))
		return 0;
	if (rc == 0)
		tree_fill_stat(&n, out_st);
	return rc;
}

/* ---- truncation ------------------------------------------------------------
 */

/* *out_drop: content to collect after the commit, 0 if none. */
static int empty_row(struct tree *t, struct db *db, struct node *n,
                     uint64_t *out_drop)
{
	struct cfile old = { 0 };
	uint64_t prev = n->cid, cid;
	int rc = n->cid ? cfile_get(db, n->cid, &old) : 0;

	if (rc < 0 && rc != -ENOENT)
		return rc;
	/* What was never durable is nothing to go back to. */
	*out_drop = 0;
	if (old.flags & CFILE_FRESH) {
		*out_drop = n->cid;
		prev = old.prev;
	}
	rc = content_add_empty(t->opt.contents, db, n->ino, n->gen + 1, prev,
	                       &cid);
	if (rc == 0)
		rc = hold_note_content(db, n->ino);
	if (rc < 0)
		return rc;
	n->cid = cid;
	n->gen++;
	n->size = 0;
	n->flags |= NODE_DIRTY;
	return node_update(db, n);
}

/* Under tree.lock(write). */
static int truncate_row(struct tree *t, struct node *n, const struct attrs *a,
                        uint64_t *out_drop)
{
	bool writers = false;
	struct live *l;
	struct db *db;
	int rc = store_begin(t->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = node_get(db, n->ino, n);
	if (rc < 0)
		return store_rollback(t->opt.store, rc);
	lock_take(&t->table_lock, LOCK_LEAF);
	l = tree_find_live_locked(t, n->ino);
	if (l) {
		tree_apply(&l->pend, n);
		writers = l->writers;
	}
	lock_drop(&t->table_lock, LOCK_LEAF);
	if (writers && (n->s_gen || n->size))
		n->flags |= NODE_FRESH;
	tree_apply(a, n);
	return tree_commit(t, empty_row(t, db, n, out_drop));
}

int tree_truncate(struct tree *t, uint64_t ino, const struct attrs *a)
{
	struct node n = { .ino = ino };
	struct content *former = NULL;
	uint64_t drop = 0;
	struct live *l;
	int rc;

	lock_write(&t->lock, LOCK_TREE);
	rc = truncate_row(t, &n, a, &drop);
	CRASH_POINT("truncated");
	if (rc == 0) {
		former = tree_swap_content(t, ino, n.cid);
		lock_take(&t->table_lock, LOCK_LEAF);
		l = tree_find_live_locked(t, ino);
		if (l) {
			unpend_locked(l, a->what | TREE_SET_SIZE);
			l->unfinished = n.flags & NODE_FRESH;
		}
		lock_drop(&t->table_lock, LOCK_LEAF);
	}
	lock_rw_drop(&t->lock, LOCK_TREE);
	if (rc < 0)
		return rc;
	content_put(former);
	content_collect(t->opt.contents, drop);
	tree_note_written(t, ino, n.cid);
	return 0;
}

/* ---- changes
 * ----------------------------------------------------------------- */

/* Into memory while a flush is to come that saves it, else into the row: the
 * kernel closes a file a while after close() has returned, and a change in
 * between must not wait for the syncer. */
static int set_row(struct tree *t, uint64_t ino, const struct attrs *a,
                   struct content *c)
{
	struct save s = { .t = t, .ino = ino, .attrs = a };
	bool pended = false;
	struct live *l;

	lock_take(&t->table_lock, LOCK_LEAF);
	l = tree_find_live_locked(t, ino);
	if (l && l->unflushed) {
		tree_pend_locked(t, l, a);
		pended = true;
	} else if (l) {
		unpend_locked(l, a->what);
	}
	lock_drop(&t->table_lock, LOCK_LEAF);
	if (!pended)
		return save(&s, c);
	tree_note_unsynced(t);
	return 0;
}

static int set_size(struct tree *t, uint64_t ino, struct attrs *a)
{
	struct content *c;
	uint64_t cid;
	int rc = tree_load_content(t, ino, &c);

	if (rc < 0)
		return rc;
	cid = content_cid(c);
	if (!a->size && content_size(c)) {
		content_put(c);
		return tree_truncate(t, ino, a);
	}
	rc = content_truncate(c, a->size);
	if (rc == 0)
		rc = set_row(t, ino, a, c);
	content_put(c);
	if (rc == 0)
		tree_note_written(t, ino, cid);
	return rc;
}

static struct attrs to_attrs(const struct stat *st, unsigned what)
{
	int64_t now = clock_real_ns();
	struct attrs a = {
		.what = what | TREE_SET_CTIME,
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.size = (uint64_t)st->st_size,
		.atime = clock_timespec_to_ns(st->st_atim),
		.mtime = clock_timespec_to_ns(st->st_mtim),
		.ctime = clock_timespec_to_ns(st->st_ctim),
	};

	if (what & TREE_SET_SIZE && !(what & TREE_SET_MTIME)) {
		a.what |= TREE_SET_MTIME;
		a.mtime = now;
	}
	if (!(what & TREE_SET_CTIME))
		a.ctime = now;
	return a;
}

static int check_change(struct tree *t, const struct node *n, unsigned what)
{
	if (t->opt.read_only)
		return -EROFS;
	if (n->flags & NODE_FOREIGN)
		return -EPERM;
	if (what & TREE_SET_SIZE && !node_is_file(n))
		return node_is_dir(n) ? -EISDIR : -EINVAL;
	if (what & TREE_SET_SIZE && t->opt.append_only) {
		struct tree_use use;

		tree_get_use(t, n->ino, &use);
		return use.writers ? 0 : tree_guard_content(t, n);
	}
	return 0;
}

static void apply_to_stat(const struct attrs *a, struct stat *st)
{
	if (a->what & TREE_SET_MODE)
		st->st_mode = (st->st_mode & S_IFMT) | (a->mode & 07777);
	if (a->what & TREE_SET_UID)
		st->st_uid = a->uid;
	if (a->what & TREE_SET_GID)
		st->st_gid = a->gid;
	if (a->what & TREE_SET_ATIME)
		st->st_atim = clock_ns_to_timespec(a->atime);
	if (a->what & TREE_SET_MTIME)
		st->st_mtim = clock_ns_to_timespec(a->mtime);
	if (a->what & TREE_SET_CTIME)
		st->st_ctim = clock_ns_to_timespec(a->ctime);
}

/* What is removed and may be open still has its attributes in memory alone.
 * The kernel also writes out times it has kept, of a file that was replaced
 * meanwhile too; an error would come out of the next syncfs() of the whole
 * mount. -ESTALE: it is another case. */
static int set_outdated(struct tree *t, uint64_t nodeid, const struct attrs *a,
                        struct stat *out_st)
{
	struct version *v;
	int rc = -ESTALE;

	lock_take(&t->table_lock, LOCK_LEAF);
	v = tree_find_locked(t, nodeid);
	if (v && v->outdated && (!v->st.st_nlink || !(a->what & ~TIMES))) {
		if (!v->st.st_nlink)
			apply_to_stat(a, &v->st);
		*out_st = v->st;
		rc = 0;
	}
	lock_drop(&t->table_lock, LOCK_LEAF);
	return rc;
}

int tree_set_attr(struct tree *t, uint64_t nodeid, const struct stat *st,
                  unsigned what, struct stat *out_st)
{
	struct attrs a = to_attrs(st, what);
	struct node n;
	int rc;

	rc = tree_get_node(t, nodeid, &n);
	if (rc == -ESTALE && !(what & TREE_SET_SIZE))
		return set_outdated(t, nodeid, &a, out_st);
	if (rc == 0 && what)
		rc = check_change(t, &n, what);
	if (rc < 0)
		return rc;
	if (what & TREE_SET_SIZE && a.size > INT64_MAX)
		return -EFBIG;
	if (what & TREE_SET_SIZE)
		rc = set_size(t, n.ino, &a);
	else if (what)
		rc = set_row(t, n.ino, &a, NULL);
	if (rc == 0 && a.what & SENT)
		tree_note_dirty(t, n.ino);
	return rc < 0 ? rc : tree_get_attr(t, nodeid, out_st);
}
