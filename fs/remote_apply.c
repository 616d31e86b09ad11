#include "fs/remote_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "fs/db.h"
#include "fs/ledger.h"
#include "fs/naming.h"
#include "fs/plan.h"
#include "fs/store.h"
#include "fs/told.h"
#include "fs/tree.h"
#include "net/clock.h"
#include "net/log.h"
#include "net/names.h"

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

int remote_conflict_name(const struct remote *r, struct db *db, uint64_t parent,
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

int remote_place(struct remote *r, struct tree_edit *e, struct db *db,
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

int remote_place_aside(struct remote *r, struct tree_edit *e, struct db *db,
                       struct node *n)
{
	char name[NODE_NAME_MAX + 1];
	int rc = remote_conflict_name(r, db, n->parent, n->name, name);

	if (rc == 0)
		rc = remote_place(r, e, db, n, n->parent, name);
	if (rc == 0)
		rc = node_set_flags(db, n->ino, NODE_DIRTY, NODE_ALIAS);
	if (rc < 0)
		return rc;
	log_warn("conflict ino=%" PRIu64 " name=\"%s\" kept_as=\"%s\"", n->ino,
	         n->name, name);
	remote_tell(r, db, EVENT_CONFLICT, n->ino, n->name);
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
	rc = remote_place(r, e, db, n, n->parent, name);
	return rc < 0 ? rc : node_set_flags(db, n->ino, NODE_ALIAS, 0);
}

/* Is it called so on the server, too? In a vault that is said by more than one
 * sealed name. */
static bool is_called(const struct remote *r, const struct node *n,
                      const char *there, const char *name)
{
	const struct codec *codec = r->gather.codec;
	struct node *named;
	char target[4096];
	bool same = !strcmp(n->s_name, there);

	if (same || !codec->ops->keeps_attributes)
		return same;
	named = malloc(sizeof(*named));
	if (!named)
		return false;
	*named = *n;
	same = codec->ops->open_name(codec, n->s_name, named, target) == 0 &&
	       !strcmp(named->name, name);
	free(named);
	return same;
}

/* Who stands here at the place of an item called `there` makes room: unless it
 * lies there on the server too, and in a vault came first. 1: it did, else 0.
 */
static int clear_place(struct remote *r, struct tree_edit *e, struct db *db,
                       const struct node *n, const char *name)
{
	struct node *at = malloc(sizeof(*at));
	int rc = at ? node_get_child(db, n->parent, name, at) : -ENOMEM;
	bool there;

	if (rc < 0) { /* only its key is taken */
		free(at);
		return rc == -ENOENT ? 0 : rc;
	}
	there = node_on_server(at) && at->s_parent == n->parent &&
	        is_called(r, at, n->s_name, name);
	if (!there)
		rc = remote_place_aside(r, e, db, at) < 0 ? -EIO : 1;
	else if (r->gather.codec->ops->keeps_attributes &&
	         !gather_is_first(at, n->s_created, n->s_id))
		rc = place_alias(r, e, db, at) < 0 ? -EIO : 1;
	free(at);
	return rc;
}

int remote_name(struct remote *r, struct tree_edit *e, struct db *db,
                struct node *n, const char *name)
{
	int rc = remote_place(r, e, db, n, n->parent, name);

	if (rc == -EEXIST) {
		rc = clear_place(r, e, db, n, name);
		if (rc == 1)
			rc = remote_place(r, e, db, n, n->parent, name);
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
		rc = clear_place(r, e, db, n, v->shown.name);
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
		rc = ledger_add_back(db, n, it->parent_id, clock_real_ns());
	if (rc == 0)
		tree_edit_entry(e, n->parent, n->name);
	if (rc == 0 && n->flags & NODE_DIRTY)
		tree_edit_dirty(e, n->ino);
	if (rc == 0)
		remote_tell(r, db, EVENT_REMOTE, n->ino, "new");
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
	rc = remote_place_aside(r, e, db, n);
	if (rc == 0) {
		remote_clear_synced(n);
		n->flags |= NODE_DIRTY;
		rc = node_update(db, n);
	}
	free(n);
	return rc < 0 ? rc : insert(r, e, db, v, 0);
}

void remote_drop_content(struct tree_edit *e, struct node *n)
{
	if (n->cid)
		tree_edit_drop(e, n->cid);
	n->cid = 0;
	n->size = n->s_len;
	n->gen++;
	n->s_gen = n->gen;
}

static void take_version(struct tree_edit *e, const struct merge_view *v,
                         struct node *n)
{
	remote_drop_content(e, n);
	n->mtime = v->shown.mtime; /* the item's, or what its name says */
	n->ctime = clock_real_ns();
	tree_edit_version(e, n->ino);
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

/* What programs will see of it. */
static void tell_change(struct remote *r, struct db *db, uint64_t ino,
                        unsigned ops)
{
	if (ops & MERGE_VERSION)
		remote_tell(r, db, EVENT_REMOTE, ino, "changed");
	if (ops & (MERGE_PARENT | MERGE_NAME))
		remote_tell(r, db, EVENT_REMOTE, ino, "moved");
	if (ops & MERGE_RELINK)
		remote_tell(r, db, EVENT_REMOTE, ino, "restored");
}

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
		if (!plan_is_aside_name(it->name) && !(ops & MERGE_ALIAS))
			name = v->shown.name;
	}
	if (ops & MERGE_SYNCED)
		remote_set_synced(&r->gather, n, it, v->in.parent);
	/* What was written here before it was unlinked is no more. */
	if (ops & MERGE_VERSION ||
	    (ops & MERGE_RELINK && plan_content_differs(n)))
		take_version(e, v, n);
	/* Ours, if it is the same second: the service keeps no more. */
	if (ops & MERGE_EQUAL)
		n->s_gen = n->gen;
	if (ops & MERGE_TIMES && plan_times_differ(n)) {
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
		rc = remote_place(r, e, db, n, 0, n->name);
	else if (rc == 0 && ops & (MERGE_PARENT | MERGE_NAME | MERGE_RELINK))
		rc = remote_place(r, e, db, n, parent, name);
	if (rc == 0 && ops & MERGE_RELINK && node_is_dir(n))
		rc = remote_relink_below(r, e, db, n->ino);
	if (rc == 0 && n->flags & NODE_DIRTY)
		tree_edit_dirty(e, n->ino);
	if (rc == 0)
		tell_change(r, db, n->ino, ops);
	return rc;
}

int remote_apply_ops(struct remote *r, struct tree_edit *e, struct db *db,
                     const struct merge_view *v, unsigned ops)
{
	struct node *n;
	bool keep;
	int rc = 0;

	if (ops & MERGE_RELINK_PARENT)
		rc = remote_relink_above(r, e, db, v->in.parent);
	if (rc == 0 && ops & MERGE_AT_ASIDE) {
		n = malloc(sizeof(*n));
		if (!n)
			return -ENOMEM;
		*n = v->at;
		rc = remote_place_aside(r, e, db, n);
		free(n);
	}
	if (rc == 0 && ops & MERGE_AT_ALIAS)
		rc = place_alias(r, e, db, &v->at);
	if (rc < 0)
		return rc;
	if (ops & (MERGE_UNLINK | MERGE_TREE))
		remote_tell(r, db, EVENT_REMOTE, v->in.n->ino, "removed");
	if (ops & MERGE_INSERT)
		return insert(r, e, db, v, ops);
	if (ops & MERGE_ADOPT_AT)
		return adopt_at(r, e, db, v);
	if (ops & MERGE_SPLIT)
		return split(r, e, db, v);
	if (ops & MERGE_TREE)
		return remote_gone_tree(r, e, db, v->in.n->ino);
	if (!v->in.n)
		return 0; /* not shown; its folder has come back */
	n = malloc(sizeof(*n));
	if (!n)
		return -ENOMEM;
	*n = *v->in.n;
	keep = ops & MERGE_DETACH && v->in.r->keep && node_is_dir(n);
	rc = apply_node(r, e, db, v, ops, n);
	if (rc == 0 && keep) /* `v` may be another's afterwards */
		rc = remote_keep_tree(r, e, db, n->ino);
	free(n);
	return rc;
}
