#include "fs/remote_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/cfile.h"
#include "fs/db.h"
#include "fs/naming.h"
#include "fs/plan.h"
#include "fs/tree.h"
#include "net/log.h"

#define MAX_DEPTH 256

/* ---- a folder that comes back -------------------------------------------- */

/* Where its item lies. */
static int relink(struct remote *r, struct tree_edit *e, struct db *db,
                  struct node *n)
{
	char target[4096], name[NODE_NAME_MAX + 1];
	int rc;

	if (!(plan_is_aside_name(n->s_name) && n->name[0]) &&
	    r->gather.codec->ops->open_name(r->gather.codec, n->s_name, n,
	                                    target) < 0)
		naming_alias(r->gather.codec, n->s_name, n->s_id, n->name);
	rc = remote_place(r, e, db, n, n->s_parent, n->name);
	if (rc == -EEXIST) {
		rc = remote_conflict_name(r, db, n->s_parent, n->name, name);
		if (rc == 0)
			rc = remote_place(r, e, db, n, n->s_parent, name);
	}
	if (rc == 0)
		rc = node_set_flags(db, n->ino, NODE_DIRTY, NODE_APPROVED);
	if (rc == 0)
		tree_edit_dirty(e, n->ino);
	return rc;
}

static int relink_above(struct remote *r, struct tree_edit *e, struct db *db,
                        uint64_t ino, int depth)
{
	struct node *n = malloc(sizeof(*n));
	int rc = n ? node_get(db, ino, n) : -ENOMEM;

	if (rc == 0 && !n->parent && n->ino != NODE_ROOT) {
		rc = depth > MAX_DEPTH
		             ? -ELOOP
		             : relink_above(r, e, db, n->s_parent, depth + 1);
		if (rc == 0)
			rc = relink(r, e, db, n);
	}
	free(n);
	return rc;
}

int remote_relink_above(struct remote *r, struct tree_edit *e, struct db *db,
                        uint64_t ino)
{
	return relink_above(r, e, db, ino, 0);
}

static int relink_below(struct remote *r, struct tree_edit *e, struct db *db,
                        uint64_t ino, int depth);

static int relink_child(struct remote *r, struct tree_edit *e, struct db *db,
                        uint64_t ino, int depth)
{
	struct node *n = malloc(sizeof(*n));
	int rc = n ? node_get(db, ino, n) : -ENOMEM;

	if (rc == 0 && !n->parent) {
		/* What was written here before it was unlinked is no more. */
		if (plan_content_differs(n)) {
			remote_drop_content(e, n);
			rc = node_update(db, n);
		}
		if (rc == 0)
			rc = relink(r, e, db, n);
		if (rc == 0 && node_is_dir(n))
			rc = relink_below(r, e, db, ino, depth + 1);
	}
	free(n);
	return rc;
}

static int relink_below(struct remote *r, struct tree_edit *e, struct db *db,
                        uint64_t ino, int depth)
{
	struct node_inos l = { 0 };
	int rc = depth > MAX_DEPTH
	                 ? -ELOOP
	                 : node_each_synced_child(db, ino, node_add_ino, &l);

	for (size_t i = 0; i < l.n && rc == 0; i++)
		rc = relink_child(r, e, db, l.ino[i], depth);
	free(l.ino);
	return rc;
}

int remote_relink_below(struct remote *r, struct tree_edit *e, struct db *db,
                        uint64_t ino)
{
	return relink_below(r, e, db, ino, 0);
}

/* ---- a folder that is gone ----------------------------------------------- */

static int gone_tree(struct remote *r, struct tree_edit *e, struct db *db,
                     uint64_t ino, int depth);

static bool is_whole(const struct remote *r, uint64_t ino)
{
	for (size_t i = 0; i < r->whole.n; i++) {
		if (r->whole.ino[i] == ino)
			return true;
	}
	return false;
}

static int gone_child(struct remote *r, struct tree_edit *e, struct db *db,
                      uint64_t ino, int depth, bool keep)
{

	struct merge_view *v = r->below;
	struct item *tomb = calloc(1, sizeof(*tomb));
	struct tree_use use;
	struct merge_out out;
	int rc;

	if (!tomb)
		return -ENOMEM;
	rc = node_get(db, ino, &v->n);
	if (rc == 0) {
		memcpy(tomb->id, v->n.s_id, sizeof(tomb->id));
		tomb->deleted = true;
		tomb->keep = keep;
		v->in.last = true;
		v->in.looked = false;
		rc = gather_merge(&r->rows, db, tomb, v);
	}
	if (rc == 0) {
		tree_edit_get_use(e, ino, &use);
		v->in.writers = use.writers;
		v->in.whole = v->in.whole || is_whole(r, ino);
		out = merge_next(&v->in);
		if (out.verdict != MERGE_APPLY)
			rc = -EBUSY;
		else if (out.ops & MERGE_TREE)
			rc = gone_tree(r, e, db, ino, depth + 1);
		else
			rc = remote_apply_ops(r, e, db, v, out.ops);
	}
	free(tomb);
	return rc;
}

int remote_keep_tree(struct remote *r, struct tree_edit *e, struct db *db,
                     uint64_t ino)
{
	struct node_inos l = { 0 };
	int rc = node_each_synced_child(db, ino, node_add_ino, &l);

	for (size_t i = 0; i < l.n && rc == 0; i++)
		rc = gone_child(r, e, db, l.ino[i], 0, true);
	free(l.ino);
	return rc;
}

static int gone_tree(struct remote *r, struct tree_edit *e, struct db *db,
                     uint64_t ino, int depth)
{
	struct node_inos l = { 0 };
	struct node *n;
	int rc = depth > MAX_DEPTH
	                 ? -ELOOP
	                 : node_each_synced_child(db, ino, node_add_ino, &l);

	for (size_t i = 0; i < l.n && rc == 0; i++)
		rc = gone_child(r, e, db, l.ino[i], depth, false);
	free(l.ino);
	n = malloc(sizeof(*n));
	if (rc == 0)
		rc = n ? node_get(db, ino, n) : -ENOMEM;
	if (rc == 0)
		rc = node_has_children(db, ino);
	if (rc == 0) {
		rc = remote_place(r, e, db, n, 0, n->name);
	} else if (rc == 1) {
		log_warn("folder ino=%" PRIu64 " name=\"%s\" deleted on the "
		         "server, kept for what is unsent in it",
		         ino, n->name);
		rc = 0;
	}
	if (rc == 0) {
		remote_clear_synced(n);
		n->flags |= NODE_DIRTY;
		n->flags &= ~(uint32_t)NODE_UNLISTED;
		rc = node_update(db, n);
		tree_edit_dirty(e, ino);
	}
	free(n);
	return rc;
}

int remote_gone_tree(struct remote *r, struct tree_edit *e, struct db *db,
                     uint64_t ino)
{
	return gone_tree(r, e, db, ino, 0);
}

static int look_whole(struct remote *r, struct db *db, uint64_t ino,
                      struct node *n)
{
	bool whole = false;
	int rc = node_get(db, ino, n);

	if (rc == 0)
		rc = gather_is_whole(&r->gather, db, n, &whole);
	return rc == 0 && whole ? node_add_ino(&r->whole, n) : rc;
}

int remote_gone_look(struct remote *r, struct db *db, uint64_t ino)
{
	struct node_inos l = { 0 };
	struct node *n = calloc(1, sizeof(*n));
	struct sqlite3_stmt *q;
	int rc = n ? 0 : -ENOMEM;

	r->whole.n = 0;
	if (rc == 0)
		rc = db_query(
			db,
			"WITH RECURSIVE gone(ino) AS (SELECT ? UNION SELECT"
			" node.ino FROM node JOIN gone ON"
			" node.s_parent=gone.ino WHERE node.s_id IS NOT NULL)"
			" SELECT ino FROM gone JOIN node USING(ino) JOIN cfile"
			" USING(ino) WHERE cfile.cid=node.cid AND"
			" node.parent IS NOT NULL AND NOT cfile.flags & ?",
			DB_ARGS(DB_INT(ino), DB_INT(CFILE_WHOLE)), &q);
	while (rc == 0 && (rc = db_next(db, q)) == 1) {
		n->ino = (uint64_t)db_col_int(q, 0);
		rc = node_add_ino(&l, n);
	}
	if (n)
		db_finish(q);
	for (size_t i = 0; i < l.n && rc == 0; i++)
		rc = look_whole(r, db, l.ino[i], n);
	free(l.ino);
	free(n);
	return rc;
}
