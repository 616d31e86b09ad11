#include "fs/tree.h"

#include <errno.h>
#include <linux/fs.h> /* RENAME_* */
#include <stdlib.h>
#include <string.h>

#include "fs/content.h"
#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "fs/tree_internal.h"
#include "net/clock.h"
#include "net/crashpoint.h"

struct move {
	struct tree *t;
	unsigned flags;
	int64_t now;
	struct node from, to; /* directories */
	struct node src, dst; /* dst.ino 0: the new name is free */
	const char *new_name;
	char *src_fold, *dst_fold;
	bool noop;
	uint64_t drop; /* content to look after when it is done */
};

static int check_kinds(struct db *db, const struct move *m, uint64_t *out_list)
{
	bool src_dir = node_is_dir(&m->src), dst_dir = node_is_dir(&m->dst);
	int rc;

	if ((m->src.flags | m->dst.flags) & NODE_FOREIGN)
		return -EPERM;
	if (m->flags & RENAME_NOREPLACE)
		return m->dst.ino ? -EEXIST : 0;
	if (!m->dst.ino)
		return m->flags & RENAME_EXCHANGE ? -ENOENT : 0;
	rc = tree_guard(m->t, db, &m->dst);
	if (rc == 0 && m->flags & RENAME_EXCHANGE)
		return tree_guard(m->t, db, &m->src);
	if (rc < 0)
		return rc;
	if (src_dir != dst_dir)
		return src_dir ? -ENOTDIR : -EISDIR;
	if (!dst_dir)
		return 0;
	if (m->dst.flags & NODE_UNLISTED) {
		*out_list = m->dst.ino;
		return -EAGAIN;
	}
	rc = node_has_children(db, m->dst.ino);
	if (rc == 0)
		rc = tree_holds_hidden(db, &m->dst);
	return rc == 1 ? -ENOTEMPTY : rc;
}

/* No directory goes into itself. */
static int check_loops(struct db *db, const struct move *m)
{
	int rc = 0;

	if (node_is_dir(&m->src))
		rc = node_is_below(db, m->to.ino, m->src.ino);
	if (rc == 0 && m->flags & RENAME_EXCHANGE && node_is_dir(&m->dst))
		rc = node_is_below(db, m->from.ino, m->dst.ino);
	return rc == 1 ? -EINVAL : rc;
}

/* How `n` would look under another name. */
static int check_as(const struct move *m, struct db *db, uint64_t parent,
                    const struct node *n, const char *name, uint64_t except,
                    char **out_fold)
{
	struct node as = *n;

	strcpy(as.name, name);
	as.flags &= ~(uint32_t)NODE_ALIAS;
	return tree_check_place(m->t, db, parent, &as, NULL, except, out_fold);
}

static int find(struct db *db, struct move *m, uint64_t parent,
                const char *name, uint64_t new_parent, uint64_t *out_list)
{
	int rc = tree_get_dir(m->t, db, parent, &m->from);

	if (rc == 0)
		rc = tree_get_dir(m->t, db, new_parent, &m->to);
	if (rc == 0)
		rc = node_get_child(db, m->from.ino, name, &m->src);
	if (rc < 0)
		return rc;
	rc = node_get_child(db, m->to.ino, m->new_name, &m->dst);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (rc == -ENOENT)
		m->dst = (struct node){ 0 };
	m->noop = m->src.ino == m->dst.ino && !(m->flags & RENAME_NOREPLACE);
	if (m->noop)
		return 0;
	rc = check_kinds(db, m, out_list);
	if (rc == 0)
		rc = check_loops(db, m);
	if (rc == 0)
		rc = check_as(m, db, m->to.ino, &m->src, m->new_name,
		              m->dst.ino, &m->src_fold);
	if (rc == 0 && m->flags & RENAME_EXCHANGE)
		rc = check_as(m, db, m->from.ino, &m->dst, m->src.name,
		              m->src.ino, &m->dst_fold);
	return rc;
}

/* Reads the row again: content may have changed since find() looked. */
static int save_moved(struct db *db, const struct move *m, uint64_t ino)
{
	struct node n;
	int rc = node_get(db, ino, &n);

	if (rc < 0)
		return rc;
	n.flags |= NODE_DIRTY;
	n.flags &= ~(uint32_t)NODE_ALIAS;
	n.ctime = m->now;
	return node_update(db, &n);
}

static int exchange_rows(struct db *db, struct move *m)
{
	/* (parent, name) is unique: one of them steps aside. */
	int rc = node_set_place(db, m->src.ino, 0, m->src.name, NULL);

	if (rc == 0)
		rc = node_set_place(db, m->dst.ino, m->from.ino, m->src.name,
		                    m->dst_fold);
	if (rc == 0)
		rc = node_set_place(db, m->src.ino, m->to.ino, m->new_name,
		                    m->src_fold);
	if (rc == 0)
		rc = save_moved(db, m, m->dst.ino);
	return rc < 0 ? rc : save_moved(db, m, m->src.ino);
}

static int move_rows(struct db *db, struct move *m)
{
	int rc = 0;

	if (m->dst.ino)
		rc = node_get(db, m->dst.ino, &m->dst);
	if (m->dst.ino && rc == 0) {
		rc = tree_unlink_row(db, &m->dst, m->src.ino, m->now);
		tree_note_gone(m->t, m->dst.ino);
	}
	if (rc == 0)
		rc = node_set_place(db, m->src.ino, m->to.ino, m->new_name,
		                    m->src_fold);
	return rc < 0 ? rc : save_moved(db, m, m->src.ino);
}

static int write_rows(struct db *db, struct move *m)
{
	int rc = m->flags & RENAME_EXCHANGE ? exchange_rows(db, m)
	                                    : move_rows(db, m);

	if (rc == 0)
		rc = node_touch(db, m->from.ino, m->now);
	if (rc == 0 && m->to.ino != m->from.ino)
		rc = node_touch(db, m->to.ino, m->now);
	return rc;
}

/* What the server has of the replaced file gets a number to go back to. */
static int name_replaced(struct db *db, struct move *m)
{
	struct node n;
	int rc = node_get(db, m->dst.ino, &n);

	if (rc < 0 || n.cid || !n.s_gen)
		return rc;
	rc = tree_add_content(m->t, db, &n);
	return rc < 0 ? rc : node_update(db, &n);
}

/* In the transaction of the content that takes another's place: until it has
 * reached the disk, a power cut brings back what it replaced. */
static int edit_replace(void *arg, struct db *db, struct cfile *row)
{
	struct move *m = arg;
	bool fresh = row->flags & CFILE_FRESH;
	int rc = fresh ? name_replaced(db, m) : 0;

	if (rc == 0)
		rc = write_rows(db, m);
	if (rc == 0 && fresh) {
		m->drop = row->prev;
		row->prev = m->dst.cid;
	}
	return rc;
}

static int look(struct move *m, uint64_t parent, const char *name,
                uint64_t new_parent, uint64_t *out_list)
{
	struct store *store = m->t->opt.store;
	struct db *db;
	int rc = store_reader(store, &db);

	if (rc == 0) {
		rc = find(db, m, parent, name, new_parent, out_list);
		store_reader_done(store, db);
	}
	return rc;
}

/* The content of a file that takes another file's place; NULL: nothing to
 * care about. */
static int get_replacing(struct move *m, struct content **out_c)
{
	int rc = 0;

	*out_c = NULL;
	if (m->dst.ino && node_is_file(&m->dst) && node_is_file(&m->src) &&
	    m->src.cid && !(m->flags & RENAME_EXCHANGE))
		rc = content_get(m->t->opt.contents, m->src.cid, false, out_c);
	return rc == -ENOENT ? 0 : rc; /* evicted: it was durable */
}

/* Under tree.lock(write), so that no name changes after find(). */
static int move(struct move *m, struct content **out_c)
{
	struct db *db;
	int rc = get_replacing(m, out_c);

	if (rc < 0)
		return rc;
	if (*out_c)
		return content_transact(*out_c, edit_replace, m);
	rc = store_begin(m->t->opt.store, &db);
	return rc < 0 ? rc : tree_commit(m->t, write_rows(db, m));
}

static void after_move(struct tree *t, const struct move *m)
{
	if (m->noop)
		return;
	tree_note_unsynced(t);
	tree_note_dirty(t, m->src.ino);
	if (m->dst.ino)
		tree_note_dirty(t, m->dst.ino);
	content_collect(t->opt.contents, m->drop);
}

int tree_rename(struct tree *t, uint64_t parent, const char *name,
                uint64_t new_parent, const char *new_name, unsigned flags,
                uint64_t *out_list)
{
	struct content *c = NULL;
	struct move *m;
	int rc;

	if (flags != 0 && flags != RENAME_NOREPLACE && flags != RENAME_EXCHANGE)
		return -EINVAL;
	if (t->opt.read_only)
		return -EROFS;
	if (strlen(new_name) > NODE_NAME_MAX)
		return -ENAMETOOLONG;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->t = t;
	m->flags = flags;
	m->now = clock_real_ns();
	m->new_name = new_name;
	lock_write(&t->lock, LOCK_TREE);
	rc = look(m, parent, name, new_parent, out_list);
	if (rc == 0 && !m->noop)
		rc = move(m, &c);
	if (rc == 0 && (node_is_dir(&m->src) || node_is_dir(&m->dst)))
		tree_forget_paths(t);
	lock_rw_drop(&t->lock, LOCK_TREE);
	CRASH_POINT("renamed");
	content_put(c);
	if (rc == 0)
		after_move(t, m);
	free(m->src_fold);
	free(m->dst_fold);
	free(m);
	return rc;
}
