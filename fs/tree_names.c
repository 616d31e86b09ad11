#include "fs/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/content.h"
#include "fs/db.h"
#include "fs/hidden.h"
#include "fs/hold.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "fs/tree_internal.h"
#include "net/clock.h"
#include "net/crashpoint.h"
#include "net/log.h"

int tree_copy_name(const char *name, char *out)
{
	size_t len = strlen(name);

	if (len > NODE_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(out, name, len + 1);
	return 0;
}

int tree_get_dir(struct tree *t, struct db *db, uint64_t nodeid,
                 struct node *out_n)
{
	uint64_t ino;
	int rc = tree_get_ino(t, nodeid, &ino);

	if (rc == 0)
		rc = node_get(db, ino, out_n);
	if (rc == 0 && !node_is_dir(out_n))
		rc = -ENOTDIR;
	if (rc == 0 && !out_n->parent && ino != NODE_ROOT)
		rc = -ENOENT; /* removed, still somebody's working directory */
	return rc;
}

/* ---- looking
 * ----------------------------------------------------------------- */

/* A miss in a folder whose children are not known says nothing. */
static int explain_miss(struct db *db, uint64_t parent, uint64_t *out_list)
{
	struct node dir;
	int rc = node_get(db, parent, &dir);

	if (rc == 0 && dir.flags & NODE_UNLISTED) {
		*out_list = parent;
		return -EAGAIN;
	}
	return rc < 0 ? rc : -ENOENT;
}

int tree_lookup(struct tree *t, uint64_t parent, const char *name,
                struct tree_entry *out, uint64_t *out_list)
{
	struct node n;
	struct db *db;
	uint64_t ino;
	int rc;

	if (strlen(name) > NODE_NAME_MAX)
		return -ENAMETOOLONG;
	lock_read(&t->lock, LOCK_TREE);
	rc = tree_get_ino(t, parent, &ino);
	if (rc == 0)
		rc = store_reader(t->opt.store, &db);
	if (rc == 0) {
		rc = node_get_child(db, ino, name, &n);
		if (rc == -ENOENT)
			rc = explain_miss(db, ino, out_list);
		store_reader_done(t->opt.store, db);
	}
	if (rc == 0)
		rc = tree_enter(t, &n, out);
	lock_rw_drop(&t->lock, LOCK_TREE);
	return rc;
}

struct listing {
	struct tree *t;
	bool plus;
	tree_dir_fn *each;
	void *arg;
};

static int list_child(void *arg, const struct node *child)
{
	struct listing *l = arg;
	struct tree_entry e = { .nodeid = 0 };
	struct node n;
	int rc = 0;

	tree_fill_stat(child, &e.st);
	if (l->plus) {
		n = *child;
		rc = tree_enter(l->t, &n, &e);
	}
	if (rc == 0)
		rc = l->each(l->arg, child->name, child->ino, &e);
	if (rc != 0 && e.nodeid)
		tree_forget(l->t, e.nodeid, 1);
	return rc;
}

int tree_each_entry(struct tree *t, uint64_t nodeid, uint64_t after, bool plus,
                    tree_dir_fn *each, void *arg, uint64_t *out_list)
{
	struct listing l = { .t = t, .plus = plus, .each = each, .arg = arg };
	struct node dir;
	struct db *db;
	int rc;

	lock_read(&t->lock, LOCK_TREE);
	rc = store_reader(t->opt.store, &db);
	if (rc == 0) {
		rc = tree_get_dir(t, db, nodeid, &dir);
		if (rc == 0 && dir.flags & NODE_UNLISTED) {
			*out_list = dir.ino;
			rc = -EAGAIN;
		}
		if (rc == 0)
			rc = node_each_child(db, dir.ino, after, list_child,
			                     &l);
		else if (rc == -ENOENT)
			rc = 0; /* a removed directory is empty */
		store_reader_done(t->opt.store, db);
	}
	lock_rw_drop(&t->lock, LOCK_TREE);
	return rc;
}

int tree_get_parent(struct tree *t, uint64_t nodeid, uint64_t *out_ino)
{
	struct node n;
	int rc = tree_get_node(t, nodeid, &n);

	if (rc == 0)
		*out_ino = n.parent ? n.parent : NODE_ROOT;
	return rc;
}

ssize_t tree_read_link(struct tree *t, uint64_t nodeid, char *out, size_t size)
{
	struct node node;
	struct db *db;
	uint64_t ino;
	ssize_t n;
	int rc;

	lock_read(&t->lock, LOCK_TREE);
	rc = tree_get_ino(t, nodeid, &ino);
	if (rc == 0)
		rc = store_reader(t->opt.store, &db);
	n = rc;
	if (rc == 0) {
		n = node_get_target(db, ino, out, size);
		if (n == -ENOENT && node_get(db, ino, &node) == 0)
			n = S_ISLNK(node.mode) ? -EIO : -EINVAL;
		store_reader_done(t->opt.store, db);
	}
	lock_rw_drop(&t->lock, LOCK_TREE);
	return n; /* -EIO: its target is content, and has not come yet */
}

/* ---- making
 * ------------------------------------------------------------------ */

struct make {
	uint64_t parent; /* nodeid */
	const char *target;
	struct handle *handle; /* to be opened at once, or NULL */
	struct node node;
	struct tree_entry *out;
};

/* A set-group-ID directory hands down its group. */
static void inherit(const struct node *dir, struct node *n)
{
	n->parent = dir->ino;
	if (!(dir->mode & S_ISGID))
		return;
	n->gid = dir->gid;
	if (node_is_dir(n))
		n->mode |= S_ISGID;
}

static int insert_node(struct tree *t, struct db *db, struct make *m)
{
	struct node dir, other, *n = &m->node;
	char *fold = NULL;
	int rc = tree_get_dir(t, db, m->parent, &dir);

	if (rc == 0)
		rc = node_get_child(db, dir.ino, n->name, &other);
	if (rc != -ENOENT)
		return rc == 0 ? -EEXIST : rc;
	if (dir.flags & NODE_FOREIGN)
		return -EPERM;
	n->ino = store_next_ino(t->opt.store);
	rc = tree_check_place(t, db, dir.ino, n, m->target, 0, &fold);
	if (rc < 0)
		return rc;
	inherit(&dir, n);
	if (node_is_file(n))
		rc = content_add_empty(t->opt.contents, db, n->ino, n->gen = 1,
		                       0, &n->cid);
	if (rc == 0)
		rc = node_insert(db, n, fold);
	free(fold);
	if (rc == 0 && m->target)
		rc = node_set_target(db, n->ino, m->target);
	return rc < 0 ? rc : node_touch(db, dir.ino, n->mtime);
}

/* Makes it known to memory, before the commit: from then on the engine may
 * find the row, and must see who has it open. */
static int enter_new(struct tree *t, struct make *m)
{
	struct version *v;
	int rc = tree_enter(t, &m->node, m->out);

	if (rc < 0 || !m->handle)
		return rc;
	lock_take(&t->table_lock, LOCK_LEAF);
	v = tree_find_locked(t, m->out->nodeid);
	tree_open_locked(v, m->handle);
	if (m->handle->write) {
		v->live->dirty_ms = v->live->wrote_ms = clock_mono_ms();
		v->live->unsynced = true;
	}
	lock_drop(&t->table_lock, LOCK_LEAF);
	return 0;
}

static void leave_new(struct tree *t, struct make *m)
{
	struct content *c = NULL;

	if (m->handle) {
		lock_take(&t->table_lock, LOCK_LEAF);
		c = tree_close_locked(t, m->handle);
		lock_drop(&t->table_lock, LOCK_LEAF);
	}
	content_put(c);
	tree_forget(t, m->out->nodeid, 1);
}

static int make_locked(struct tree *t, struct make *m)
{
	struct db *db;
	int rc = store_begin(t->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = insert_node(t, db, m);
	if (rc == 0)
		rc = enter_new(t, m);
	if (rc < 0)
		return tree_commit(t, rc);
	rc = tree_commit(t, 0);
	CRASH_POINT("created");
	if (rc < 0)
		leave_new(t, m);
	else if (m->handle)
		content_put(tree_swap_content(t, m->node.ino, m->node.cid));
	return rc;
}

static int make(struct tree *t, struct make *m, const char *name)
{
	struct node *n = &m->node;
	int rc = tree_copy_name(name, n->name);

	if (rc == 0 && t->opt.read_only)
		rc = -EROFS;
	if (rc < 0)
		return rc;
	n->mtime = n->ctime = n->atime = clock_real_ns();
	n->flags = NODE_DIRTY;
	lock_write(&t->lock, LOCK_TREE);
	rc = make_locked(t, m);
	lock_rw_drop(&t->lock, LOCK_TREE);
	if (rc < 0)
		return rc;
	if (n->cid && (!m->handle || !m->handle->write))
		tree_queue_soft(t, n->cid);
	tree_note_unsynced(t);
	tree_note_dirty(t, n->ino);
	return 0;
}

int tree_make(struct tree *t, uint64_t parent, const char *name, mode_t mode,
              uint64_t rdev, uid_t uid, gid_t gid, struct tree_entry *out)
{
	struct make m = {
		.parent = parent,
		.node = { .mode = mode, .rdev = rdev, .uid = uid, .gid = gid },
		.out = out,
	};

	if (!(mode & S_IFMT))
		m.node.mode |= S_IFREG;
	return make(t, &m, name);
}

int tree_symlink(struct tree *t, uint64_t parent, const char *name,
                 const char *target, uid_t uid, gid_t gid,
                 struct tree_entry *out)
{
	struct make m = {
		.parent = parent,
		.target = target,
		.node = { .mode = S_IFLNK | 0777,
		          .uid = uid,
		          .gid = gid,
		          .size = strlen(target) },
		.out = out,
	};

	if (!*target || m.node.size > 4095)
		return *target ? -ENAMETOOLONG : -ENOENT;
	return make(t, &m, name);
}

int tree_create(struct tree *t, uint64_t parent, const char *name, mode_t mode,
                int flags, uid_t uid, gid_t gid, struct tree_entry *out,
                struct handle **out_h)
{
	struct make m = {
		.parent = parent,
		.node = { .mode = S_IFREG | (mode & 07777),
		          .uid = uid,
		          .gid = gid },
		.out = out,
	};
	uint64_t list;
	int rc;

	m.handle = calloc(1, sizeof(*m.handle));
	if (!m.handle)
		return -ENOMEM;
	m.handle->write = (flags & O_ACCMODE) != O_RDONLY;
	rc = make(t, &m, name);
	if (rc == 0) {
		*out_h = m.handle;
		return 0;
	}
	free(m.handle);
	if (rc != -EEXIST || flags & O_EXCL)
		return rc;
	/* It came meanwhile, from another device. */
	rc = tree_lookup(t, parent, name, out, &list);
	if (rc < 0) /* only a name the service holds equal */
		return rc == -ENOENT ? -EEXIST : rc;
	rc = tree_open(t, out->nodeid, flags, out_h);
	if (rc < 0)
		tree_forget(t, out->nodeid, 1);
	return rc;
}

/* ---- removing
 * ---------------------------------------------------------------- */

/* The row stays, without a place, for the planner. */
int tree_unlink_row(struct db *db, struct node *n, uint64_t replaced_by,
                    int64_t now)
{
	int rc = store_get_int(db, "round", 0, &n->gone_round);

	n->flags |= NODE_DIRTY;
	n->replaced_by = replaced_by;
	n->ctime = now;
	if (rc == 0 && node_on_server(n))
		rc = hold_note(db, HOLD_OUT, n->s_id, n->ino, 0);
	if (rc == 0)
		rc = node_update(db, n);
	return rc < 0 ? rc : node_set_place(db, n->ino, 0, n->name, NULL);
}

void tree_note_gone(struct tree *t, uint64_t ino)
{
	struct live *l;

	lock_take(&t->table_lock, LOCK_LEAF);
	l = tree_find_live_locked(t, ino);
	if (l)
		l->gone = true;
	lock_drop(&t->table_lock, LOCK_LEAF);
}

int tree_holds_hidden(struct db *db, const struct node *dir)
{
	int rc = hidden_is_in(db, dir->ino);

	if (rc == 1)
		log_warn("ino=%" PRIu64 " name=\"%s\" holds files on OneDrive "
		         "that are not the vault's, and so are not shown "
		         "here: the folder is not removed",
		         dir->ino, dir->name);
	return rc;
}

static int check_remove(struct tree *t, struct db *db, const struct node *n,
                        bool dir, uint64_t *out_list)
{
	int rc;

	if (node_is_dir(n) != dir)
		return dir ? -ENOTDIR : -EISDIR;
	if (n->flags & NODE_FOREIGN)
		return -EPERM;
	rc = tree_guard(t, db, n);
	if (rc < 0 || !dir)
		return rc;
	if (n->flags & NODE_UNLISTED) {
		*out_list = n->ino;
		return -EAGAIN;
	}
	rc = node_has_children(db, n->ino);
	if (rc == 0)
		rc = tree_holds_hidden(db, n);
	return rc == 1 ? -ENOTEMPTY : rc;
}

static int remove_name(struct tree *t, uint64_t parent, const char *name,
                       bool dir, uint64_t *out_list)
{
	int64_t now = clock_real_ns();
	struct node in, n;
	struct db *db;
	int rc;

	if (t->opt.read_only)
		return -EROFS;
	rc = tree_begin(t, &db);
	if (rc < 0)
		return rc;
	rc = tree_get_dir(t, db, parent, &in);
	if (rc == 0)
		rc = node_get_child(db, in.ino, name, &n);
	if (rc == 0)
		rc = check_remove(t, db, &n, dir, out_list);
	if (rc == 0)
		rc = tree_unlink_row(db, &n, 0, now);
	if (rc == 0)
		rc = node_touch(db, in.ino, now);
	if (rc == 0)
		tree_note_gone(t, n.ino);
	rc = tree_end(t, rc);
	CRASH_POINT("unlinked");
	if (rc == 0)
		tree_note_dirty(t, n.ino);
	return rc;
}

int tree_unlink(struct tree *t, uint64_t parent, const char *name)
{
	return remove_name(t, parent, name, false, NULL);
}

int tree_rmdir(struct tree *t, uint64_t parent, const char *name,
               uint64_t *out_list)
{
	return remove_name(t, parent, name, true, out_list);
}
