#include "fs/remote_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "fs/db.h"
#include "fs/naming.h"
#include "fs/plan.h"
#include "fs/store.h"
#include "fs/told.h"
#include "fs/tree.h"
#include "net/clock.h"
#include "net/log.h"
#include "net/names.h"

#define MAX_DEPTH 256

void remote_set_synced(const struct gather *g, struct node *n,
                       const struct item *r, uint64_t parent)
{
	if (g->told && n->s_etag[0] && !strcmp(n->s_id, r->id) &&
	    strcmp(n->s_etag, r->etag) != 0)
		told_note_tag(g->told, r->id, n->s_etag);
	memcpy(n->s_id, r->id, sizeof(n->s_id));
	n->s_parent = parent;
	memcpy(n->s_name, r->name, sizeof(n->s_name));
	if (r->etag[0])
		memcpy(n->s_etag, r->etag, sizeof(n->s_etag));
	n->flags &= ~(uint32_t)NODE_ASIDE;
	if (plan_is_aside_name(r->name)) { /* an alias is of no use then */
		n->flags |= NODE_ASIDE;
		n->flags &= ~(uint32_t)NODE_ALIAS;
	}
	n->s_mtime = r->mtime;
	if (r->created)
		n->s_created = r->created;
	n->flags &= ~(uint32_t)NODE_MALWARE;
	if (r->malware)
		n->flags |= NODE_MALWARE;
	if (r->kind == ITEM_FOLDER)
		return;
	n->s_size = r->size;
	/* Damaged, without a byte read: it must not look empty, or nobody would
	 * ask for what then is an error. */
	if (g->codec->ops->plain_size(g->codec, r->size, &n->s_len) < 0)
		n->s_len = r->size ? r->size : 1;
	n->flags &= ~(uint32_t)NODE_HASHED;
	if (r->has_hash) {
		n->flags |= NODE_HASHED;
		memcpy(n->s_hash, r->hash, sizeof(n->s_hash));
	}
}

void remote_clear_synced(struct node *n)
{
	n->s_id[0] = n->s_name[0] = n->s_etag[0] = '\0';
	n->s_parent = n->s_gen = n->s_size = n->s_len = 0;
	n->s_mtime = n->s_created = 0;
	memset(n->s_hash, 0, sizeof(n->s_hash));
	n->flags &= ~(uint32_t)(NODE_HASHED | NODE_ASIDE | NODE_ALIAS);
}

/* ---- names --------------------------------------------------------------- */

/* "NAME (conflict HOST DATE).EXT", with a number if that is taken too. */
static int conflict_name(const struct remote *r, struct db *db, uint64_t parent,
                         const char *name, char out[NODE_NAME_MAX + 1])
{
	struct timespec ts = clock_ns_to_timespec(clock_real_ns());
	struct node *taken = malloc(sizeof(*taken));
	char mark[160], date[32] = "";
	struct tm tm;
	int rc = 0;

	if (!taken)
		return -ENOMEM;
	if (localtime_r(&ts.tv_sec, &tm))
		strftime(date, sizeof(date), "%Y-%m-%d %H%M%S", &tm);
	for (unsigned i = 1; rc == 0 && i < 10000; i++) {
		if (i == 1)
			snprintf(mark, sizeof(mark), " (conflict %s %s)",
			         r->host, date);
		else
			snprintf(mark, sizeof(mark), " (conflict %s %s %u)",
			         r->host, date, i);
		naming_mark(name, mark, out);
		rc = node_get_child(db, parent, out, taken);
	}
	free(taken);
	return rc == -ENOENT ? 0 : rc == 0 ? -EEXIST : rc;
}

/* Sets a node's local place; the key under which the service holds names
 * equal goes along. */
static int place(struct remote *r, struct tree_edit *e, struct db *db,
                 const struct node *n, uint64_t parent, const char *name)
{
	char *fold;
	int rc = gather_fold(r->gather.codec, name, &fold);

	if (rc < 0)
		return rc;
	rc = node_set_place(db, n->ino, parent, name, fold);
	free(fold);
	if (rc < 0)
		return rc;
	if (n->parent)
		tree_edit_entry(e, n->parent, n->name);
	if (parent)
		tree_edit_entry(e, parent, name);
	return 0;
}

static int place_aside(struct remote *r, struct tree_edit *e, struct db *db,
                       struct node *n)
{
	char name[NODE_NAME_MAX + 1];
	int rc = conflict_name(r, db, n->parent, n->name, name);

	if (rc == 0)
		rc = place(r, e, db, n, n->parent, name);
	if (rc == 0)
		rc = node_set_flags(db, n->ino, NODE_DIRTY, NODE_ALIAS);
	if (rc < 0)
		return rc;
	log_warn("conflict ino=%" PRIu64 " name=\"%s\" kept_as=\"%s\"", n->ino,
	         n->name, name);
	memcpy(n->name, name, sizeof(name));
	tree_edit_dirty(e, n->ino);
	return 0;
}

static int place_alias(struct remote *r, struct tree_edit *e, struct db *db,
                       const struct node *n)
{
	char name[NODE_NAME_MAX + 1];
	int rc;

	naming_alias(r->gather.codec, n->name, n->s_id, name);
	rc = place(r, e, db, n, n->parent, name);
	return rc < 0 ? rc : node_set_flags(db, n->ino, NODE_ALIAS, 0);
}

/* Who stands here at the place of an item called `there`, and does not lie
 * there on the server too, makes room. 1: it did; 0: both are called so there.
 */
static int clear_place(struct remote *r, struct tree_edit *e, struct db *db,
                       uint64_t parent, const char *name, const char *there)
{
	struct node *at = malloc(sizeof(*at));
	int rc = at ? node_get_child(db, parent, name, at) : -ENOMEM;

	if (rc == -ENOENT) /* only its key is taken */
		rc = 0;
	else if (rc == 0 && !(node_on_server(at) && at->s_parent == parent &&
	                      !strcmp(at->s_name, there)))
		rc = place_aside(r, e, db, at) < 0 ? -EIO : 1;
	free(at);
	return rc;
}

int remote_name(struct remote *r, struct tree_edit *e, struct db *db,
                struct node *n, const char *name)
{
	int rc = place(r, e, db, n, n->parent, name);

	if (rc == -EEXIST) {
		rc = clear_place(r, e, db, n->parent, name, n->s_name);
		if (rc == 1)
			rc = place(r, e, db, n, n->parent, name);
		else if (rc == 0)
			rc = -EEXIST;
	}
	if (rc == 0)
		rc = node_set_flags(db, n->ino, NODE_DIRTY, NODE_ALIAS);
	if (rc == 0)
		tree_edit_dirty(e, n->ino);
	return rc;
}

/* ---- single operations --------------------------------------------------- */

/* A folder unlinked here comes back, with the folders it lies in. */
static int relink_folder(struct remote *r, struct tree_edit *e, struct db *db,
                         uint64_t ino, int depth)
{
	struct node *n = malloc(sizeof(*n));
	char target[4096], name[NODE_NAME_MAX + 1];
	int rc = n ? node_get(db, ino, n) : -ENOMEM;

	if (rc == 0 && (n->parent || n->ino == NODE_ROOT))
		goto out;
	if (rc == 0 && depth > MAX_DEPTH)
		rc = -ELOOP;
	if (rc == 0)
		rc = relink_folder(r, e, db, n->s_parent, depth + 1);
	if (rc == 0 && !(plan_is_aside_name(n->s_name) && n->name[0]) &&
	    r->gather.codec->ops->open_name(r->gather.codec, n->s_name, n,
	                                    target) < 0)
		naming_alias(r->gather.codec, n->s_name, n->s_id, n->name);
	if (rc == 0)
		rc = place(r, e, db, n, n->s_parent, n->name);
	if (rc == -EEXIST) {
		rc = conflict_name(r, db, n->s_parent, n->name, name);
		if (rc == 0)
			rc = place(r, e, db, n, n->s_parent, name);
	}
	if (rc == 0)
		rc = node_set_flags(db, ino, NODE_DIRTY, 0);
	if (rc == 0)
		tree_edit_dirty(e, ino);
out:
	free(n);
	return rc;
}

static void fill_new(const struct remote *r, struct node *n,
                     const struct merge_view *v, unsigned ops)
{
	const struct item *it = v->in.r;

	if (!r->gather.codec->ops->keeps_attributes) {
		n->uid = r->uid;
		n->gid = r->gid;
	}
	n->parent = v->in.parent;
	n->atime = n->mtime;
	n->ctime = it->created ? it->created : n->mtime;
	n->gen = n->s_gen = 1;
	remote_set_synced(&r->gather, n, it, n->parent);
	n->size = v->target[0] ? strlen(v->target) : n->s_len;
	if (v->in.alias)
		n->flags |= NODE_ALIAS;
	if (ops & MERGE_ALIAS) {
		naming_alias(r->gather.codec, v->shown.name, it->id, n->name);
		n->flags |= NODE_ALIAS;
	}
	if (it->kind == ITEM_FOLDER)
		n->flags |= NODE_UNLISTED;
	if (it->kind == ITEM_OTHER)
		n->flags |= NODE_FOREIGN;
	if (S_ISLNK(n->mode) && !v->target[0])
		n->flags |= NODE_DIRTY; /* its content is the target */
}

static int insert(struct remote *r, struct tree_edit *e, struct db *db,
                  const struct merge_view *v, unsigned ops)
{
	const struct item *it = v->in.r;
	struct node *n = malloc(sizeof(*n));
	char *fold = NULL;
	int rc;

	if (!n)
		return -ENOMEM;
	*n = v->shown;
	n->ino = store_next_ino(r->store);
	fill_new(r, n, v, ops);
	rc = gather_fold(r->gather.codec, n->name, &fold);
	if (rc == 0)
		rc = node_insert(db, n, fold);
	if (rc == -EEXIST) {
		rc = clear_place(r, e, db, v->in.parent, v->shown.name,
		                 it->name);
		if (rc == 1)
			rc = node_insert(db, n, fold);
		else if (rc == 0)
			rc = -EEXIST;
	}
	if (rc == -EEXIST) { /* shown beside the one that has the name */
		free(fold);
		fold = NULL;
		naming_alias(r->gather.codec, v->shown.name, it->id, n->name);
		n->flags |= NODE_ALIAS;
		rc = gather_fold(r->gather.codec, n->name, &fold);
		if (rc == 0)
			rc = node_insert(db, n, fold);
	}
	free(fold);
	if (rc == 0 && v->target[0])
		rc = node_set_target(db, n->ino, v->target);
	if (rc == 0)
		tree_edit_entry(e, n->parent, n->name);
	if (rc == 0 && n->flags & NODE_DIRTY)
		tree_edit_dirty(e, n->ino);
	free(n);
	return rc;
}

static int adopt_at(struct remote *r, struct tree_edit *e, struct db *db,
                    const struct merge_view *v)
{
	struct node *at = malloc(sizeof(*at));
	int rc;

	if (!at)
		return -ENOMEM;
	*at = v->at;
	remote_set_synced(&r->gather, at, v->in.r, v->in.parent);
	at->s_gen = at->gen;
	at->flags |= NODE_DIRTY; /* times, name: the planner looks once more */
	if (node_is_dir(at) && v->in.r->children)
		at->flags |= NODE_UNLISTED;
	rc = node_update(db, at);
	tree_edit_dirty(e, at->ino);
	free(at);
	return rc;
}

/* Ours leaves under the conflict name, as a new node of this device; the item
 * gets a fresh node where it is. Who has our file open keeps it. */
static int split(struct remote *r, struct tree_edit *e, struct db *db,
                 const struct merge_view *v)
{
	struct node *n = malloc(sizeof(*n));
	int rc;

	if (!n)
		return -ENOMEM;
	*n = v->n;
	rc = place_aside(r, e, db, n);
	if (rc == 0) {
		remote_clear_synced(n);
		n->flags |= NODE_DIRTY;
		rc = node_update(db, n);
	}
	free(n);
	return rc < 0 ? rc : insert(r, e, db, v, 0);
}

static void take_version(struct tree_edit *e, const struct merge_view *v,
                         struct node *n)
{
	if (n->cid)
		tree_edit_drop(e, n->cid);
	n->cid = 0;
	n->size = n->s_len;
	n->gen++;
	n->s_gen = n->gen;
	n->mtime = v->shown.mtime; /* the item's, or what its name says */
	n->ctime = clock_real_ns();
	tree_edit_version(e, n->ino);
}

/* ---- a folder that is gone ----------------------------------------------- */

static int gone_tree(struct remote *r, struct tree_edit *e, struct db *db,
                     uint64_t ino, int depth);

static int gone_child(struct remote *r, struct tree_edit *e, struct db *db,
                      uint64_t ino, int depth)
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
		v->in.last = true;
		v->in.looked = false;
		rc = gather_merge(&r->rows, db, tomb, v);
	}
	if (rc == 0) {
		tree_edit_get_use(e, ino, &use);
		v->in.writers = use.writers;
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

static int gone_tree(struct remote *r, struct tree_edit *e, struct db *db,
                     uint64_t ino, int depth)
{
	struct node_inos l = { 0 };
	struct node *n;
	int rc = depth > MAX_DEPTH
	                 ? -ELOOP
	                 : node_each_synced_child(db, ino, node_add_ino, &l);

	for (size_t i = 0; i < l.n && rc == 0; i++)
		rc = gone_child(r, e, db, l.ino[i], depth);
	free(l.ino);
	n = malloc(sizeof(*n));
	if (rc == 0)
		rc = n ? node_get(db, ino, n) : -ENOMEM;
	if (rc == 0)
		rc = node_has_children(db, ino);
	if (rc == 0) {
		rc = place(r, e, db, n, 0, n->name);
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

static void take_attrs(struct tree_edit *e, const struct merge_view *v,
                       struct node *n)
{
	const struct node *there = &v->shown;
	unsigned attrs = v->in.attrs;

	if (attrs & MERGE_MODE)
		n->mode = (n->mode & S_IFMT) | (there->mode & 07777);
	if (attrs & MERGE_UID)
		n->uid = there->uid;
	if (attrs & MERGE_GID)
		n->gid = there->gid;
	if (attrs & MERGE_MTIME)
		n->mtime = there->mtime;
	n->ctime = clock_real_ns();
	tree_edit_attr(e, n->ino);
}

/* ---- all of it ----------------------------------------------------------- */

static int apply_node(struct remote *r, struct tree_edit *e, struct db *db,
                      const struct merge_view *v, unsigned ops, struct node *n)
{
	const struct item *it = v->in.r;
	uint64_t parent = ops & MERGE_PARENT ? v->in.parent : n->parent;
	const char *name = ops & MERGE_NAME ? v->shown.name : n->name;
	char alias[NODE_NAME_MAX + 1];
	int rc = 0;

	if (ops & MERGE_ALIAS) {
		naming_alias(r->gather.codec, v->shown.name, it->id, alias);
		name = alias;
	}
	if (ops & MERGE_RELINK) {
		parent = v->in.parent;
		if (!plan_is_aside_name(it->name))
			name = v->shown.name;
	}
	if (ops & MERGE_SYNCED)
		remote_set_synced(&r->gather, n, it, v->in.parent);
	if (ops & MERGE_VERSION)
		take_version(e, v, n);
	if (ops & MERGE_TIMES && n->mtime != it->mtime) {
		n->mtime = it->mtime;
		tree_edit_attr(e, n->ino);
	}
	if (ops & MERGE_ATTRS)
		take_attrs(e, v, n);
	if (ops & MERGE_DETACH) {
		remote_clear_synced(n);
		n->flags |= NODE_DIRTY;
	}
	if (ops & (MERGE_DIRTY | MERGE_RELINK | MERGE_UNLINK))
		n->flags |= NODE_DIRTY;
	if (ops & MERGE_NAME) {
		n->flags &= ~(uint32_t)NODE_ALIAS;
		n->flags |= v->in.alias || ops & MERGE_ALIAS ? NODE_ALIAS : 0;
	}
	rc = node_update(db, n);
	if (rc == 0 && ops & MERGE_UNLINK)
		rc = place(r, e, db, n, 0, n->name);
	else if (rc == 0 && ops & (MERGE_PARENT | MERGE_NAME | MERGE_RELINK))
		rc = place(r, e, db, n, parent, name);
	if (rc == 0 && n->flags & NODE_DIRTY)
		tree_edit_dirty(e, n->ino);
	return rc;
}

int remote_apply_ops(struct remote *r, struct tree_edit *e, struct db *db,
                     const struct merge_view *v, unsigned ops)
{
	struct node *n;
	int rc = 0;

	if (ops & MERGE_RELINK_PARENT)
		rc = relink_folder(r, e, db, v->in.parent, 0);
	if (rc == 0 && ops & MERGE_AT_ASIDE) {
		n = malloc(sizeof(*n));
		if (!n)
			return -ENOMEM;
		*n = v->at;
		rc = place_aside(r, e, db, n);
		free(n);
	}
	if (rc == 0 && ops & MERGE_AT_ALIAS)
		rc = place_alias(r, e, db, &v->at);
	if (rc < 0)
		return rc;
	if (ops & MERGE_INSERT)
		return insert(r, e, db, v, ops);
	if (ops & MERGE_ADOPT_AT)
		return adopt_at(r, e, db, v);
	if (ops & MERGE_SPLIT)
		return split(r, e, db, v);
	if (ops & MERGE_TREE)
		return gone_tree(r, e, db, v->in.n->ino, 0);
	if (!v->in.n)
		return 0; /* not shown; its folder has come back */
	n = malloc(sizeof(*n));
	if (!n)
		return -ENOMEM;
	*n = *v->in.n;
	rc = apply_node(r, e, db, v, ops, n);
	free(n);
	return rc;
}
