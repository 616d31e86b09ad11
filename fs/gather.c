#include "fs/gather.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/bond.h"
#include "fs/cfile.h"
#include "fs/content.h"
#include "fs/db.h"
#include "fs/hold.h"
#include "fs/naming.h"
#include "fs/store.h"
#include "fs/tree.h"

#define MAX_DEPTH 4096

int gather_fold(const struct codec *codec, const char *name, char **out_fold)
{
	char *fold;
	int rc = 0;

	*out_fold = NULL;
	if (!codec->ops->folds_names)
		return 0;
	fold = codec->ops->fold(codec, name, &rc);
	if (fold && !strcmp(fold, name)) {
		free(fold);
		fold = NULL;
	}
	*out_fold = fold;
	return rc;
}

struct plan_view *plan_view_new(void)
{
	struct plan_view *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->attempt = attempt_alloc();
	if (!v->attempt) {
		free(v);
		return NULL;
	}
	return v;
}

void plan_view_free(struct plan_view *v)
{
	if (!v)
		return;
	attempt_free(v->attempt);
	free(v);
}

static bool is_sent(const struct codec *codec, const struct node *n)
{
	return node_is_dir(n) || node_is_file(n) ||
	       codec->ops->keeps_attributes;
}

/* Vault: is it only the attributes that s_name says otherwise? */
static bool is_attrs_only(const struct gather *g, const struct plan_view *v,
                          struct node *tmp)
{
	char target[4096];

	if (!g->codec->ops->keeps_attributes || !node_on_server(&v->n) ||
	    !v->in.want_name || !plan_place_differs(&v->n, v->want_name) ||
	    v->n.parent != v->n.s_parent)
		return false;
	*tmp = v->n;
	return g->codec->ops->open_name(g->codec, v->n.s_name, tmp, target) ==
	               0 &&
	       (!strcmp(tmp->name, v->n.name) || v->n.flags & NODE_ALIAS);
}

static int gather_link(const struct gather *g, struct db *db,
                       struct plan_view *v)
{
	char target[4096];
	ssize_t len;

	if (!S_ISLNK(v->n.mode) || !node_on_server(&v->n) ||
	    !g->codec->ops->target_in_content)
		return 0;
	len = node_get_target(db, v->n.ino, target, sizeof(target));
	v->in.link_missing = len == -ENOENT;
	return len < 0 && len != -ENOENT ? (int)len : 0;
}

/* The name its local state asks for; in.want_name NULL and why, if none. */
static void gather_name(const struct gather *g, struct db *db,
                        struct plan_view *v)
{
	v->in.name_why = "the name can't be held there";
	v->in.name_rc =
		naming_seal(g->codec, db, &v->n, v->want_name, &v->in.name_why);
	v->in.want_name = v->in.name_rc == 0 ? v->want_name : NULL;
}

static int gather_attempt(const struct gather *g, struct db *db,
                          struct plan_view *v)
{
	const struct attempt *a = v->attempt;
	struct plan_attempt *p = &v->in.attempt;
	int rc = attempt_get_by_ino(db, v->n.ino, v->attempt);

	(void)g;
	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return rc;
	p->open = true;
	p->create = a->op == ATTEMPT_CREATE;
	p->gen = a->gen;
	p->cid = a->cid;
	p->parent = a->parent;
	p->name = a->name;
	p->resumable = a->state == ATTEMPT_SESSION && a->url[0];
	return 0;
}

static int gather_other(struct db *db, const struct node *n,
                        struct plan_other *out)
{
	struct attempt *a;
	int rc;

	out->ino = n->ino;
	out->linked = n->parent != 0;
	out->file = node_is_file(n);
	out->there = node_on_server(n);
	a = attempt_alloc();
	if (!a)
		return -ENOMEM;
	rc = attempt_get_by_ino(db, n->ino, a);
	attempt_free(a);
	out->busy = rc == 0;
	return rc == -ENOENT ? 0 : rc;
}

/* Is the folder n is moving into below n on the server? Then something on the
 * way down must be moved out first. */
static int gather_below(struct db *db, struct plan_view *v, struct node *tmp)
{
	uint64_t ino = v->n.parent, first = 0;

	for (int depth = 0; ino && ino != NODE_ROOT; depth++) {
		int rc = depth < MAX_DEPTH ? node_get(db, ino, tmp) : -ELOOP;

		if (rc == -ENOENT)
			return 0;
		if (rc < 0)
			return rc;
		if (!node_on_server(tmp))
			return 0;
		if (tmp->s_parent != tmp->parent && !first)
			first = tmp->ino;
		ino = tmp->s_parent;
		if (ino == v->n.ino) {
			v->in.below = first ? first : tmp->ino;
			return 0;
		}
	}
	return 0;
}

/* Who holds the place that n asks for there. Sealed names differ by their
 * attributes, so in a vault nobody stands in the way; but what was unlinked
 * under that plain name hands its item, with its versions, on to n. */
static int get_occupant(const struct gather *g, struct db *db,
                        const struct plan_view *v, struct node *out)
{
	int rc = node_get_occupant(db, v->n.parent, v->want_name, out);

	if (rc == -ENOENT && g->codec->ops->keeps_attributes &&
	    !node_on_server(&v->n))
		rc = node_get_left(db, v->n.parent, v->n.name, out);
	return rc;
}

static int gather_linked(const struct gather *g, struct db *db,
                         struct plan_view *v)
{
	struct node *tmp = malloc(sizeof(*tmp));
	int rc;

	if (!tmp)
		return -ENOMEM;
	gather_name(g, db, v);
	v->in.attrs_only = is_attrs_only(g, v, tmp);
	rc = node_get(db, v->n.parent, tmp);
	if (rc == 0) {
		v->in.parent_there = node_on_server(tmp);
		memcpy(v->parent_id, tmp->s_id, sizeof(v->parent_id));
	}
	if (rc == 0 && v->in.want_name && v->in.parent_there) {
		rc = get_occupant(g, db, v, tmp);
		if (rc == 0 && tmp->ino != v->n.ino)
			rc = gather_other(db, tmp, &v->in.occupant);
		else if (rc == -ENOENT)
			rc = 0;
	}
	if (rc == 0 && node_is_dir(&v->n) && node_on_server(&v->n) &&
	    v->n.parent != v->n.s_parent)
		rc = gather_below(db, v, tmp);
	free(tmp);
	return rc;
}

/* A node that programs keep, somewhere below an unlinked folder there. */
static int gather_kept(struct db *db, struct plan_view *v)
{
	int64_t kept;
	int rc = db_query_int(
		db,
		"WITH RECURSIVE gone(ino) AS (SELECT ?1 UNION SELECT node.ino"
		" FROM node JOIN gone ON node.s_parent=gone.ino WHERE"
		" node.s_id IS NOT NULL AND node.parent IS NULL)"
		" SELECT node.ino FROM gone JOIN node ON node.s_parent=gone.ino"
		" WHERE node.s_id IS NOT NULL AND node.parent IS NOT NULL"
		" LIMIT 1",
		DB_ARGS(DB_INT(v->n.ino)), 0, &kept);

	v->in.kept_child = (uint64_t)kept;
	return rc;
}

/* News of something in there that could not be applied yet, or something that
 * is not ours to delete: as if the round were not over. */
static int gather_unmerged(struct db *db, struct plan_view *v)
{
	int64_t some;
	int rc = db_query_int(
		db,
		"WITH RECURSIVE gone(ino,id) AS (SELECT ino,s_id FROM node"
		" WHERE ino=?1 UNION SELECT node.ino,node.s_id FROM node JOIN"
		" gone ON node.s_parent=gone.ino WHERE node.s_id IS NOT NULL"
		" AND node.parent IS NULL)"
		" SELECT 1 FROM gone JOIN seen ON seen.parent_id=gone.id"
		" WHERE NOT seen.deleted UNION ALL SELECT 1 FROM gone JOIN"
		" hidden ON hidden.parent_id=gone.id LIMIT 1",
		DB_ARGS(DB_INT(v->n.ino)), 0, &some);

	if (rc == 0 && some)
		v->in.round_done = -1;
	return rc;
}

static bool asks_for(const struct gather *g, struct db *db,
                     const struct node *n, const char *s_name)
{
	char want[NODE_REMOTE_MAX + 1];
	const char *why;

	return naming_seal(g->codec, db, n, want, &why) == 0 &&
	       !strcmp(want, s_name);
}

/* Who, linked here, wants the place that n still holds there? In a vault only
 * what is new here does: see get_occupant(). */
static int gather_wanted(const struct gather *g, struct db *db,
                         struct plan_view *v, struct node *tmp)
{
	struct node *shown = calloc(1, sizeof(*shown));
	char target[4096];
	int rc;

	if (!shown)
		return -ENOMEM;
	*shown = v->n;
	rc = g->codec->ops->open_name(g->codec, v->n.s_name, shown, target);
	if (rc == 0)
		rc = node_get_child(db, v->n.s_parent, shown->name, tmp);
	free(shown);
	if (rc == -ENOENT || rc == -EINVAL)
		return 0;
	if (rc < 0)
		return rc;
	if (g->codec->ops->keeps_attributes
	            ? node_on_server(tmp)
	            : !asks_for(g, db, tmp, v->n.s_name))
		return 0;
	return gather_other(db, tmp, &v->in.wanted);
}

static int gather_unlinked(const struct gather *g, struct db *db,
                           struct plan_view *v)
{
	struct node *tmp;
	int rc;

	rc = store_get_int(db, "round_done", 0, &v->in.round_done);
	if (rc < 0 || !node_on_server(&v->n))
		return rc;
	tmp = malloc(sizeof(*tmp));
	if (!tmp)
		return -ENOMEM;
	rc = node_get(db, v->n.s_parent, tmp);
	if (rc == 0 && !tmp->parent && node_on_server(tmp) &&
	    tmp->ino != NODE_ROOT)
		v->in.s_parent_unlinked = tmp->ino;
	if (v->in.s_parent_unlinked) { /* it waits, whatever the rest says */
		free(tmp);
		return 0;
	}
	if (rc == 0 || rc == -ENOENT)
		rc = node_is_dir(&v->n) ? gather_kept(db, v) : 0;
	if (rc == 0 && node_is_dir(&v->n))
		rc = gather_unmerged(db, v);
	if (rc == 0)
		rc = gather_wanted(g, db, v, tmp);
	free(tmp);
	return rc;
}

int gather_is_whole(const struct gather *g, struct db *db, const struct node *n,
                    bool *out_whole)
{
	struct content *c;
	struct cfile row;
	int rc;

	*out_whole = !n->size;
	if (!n->cid)
		return 0;
	*out_whole = true;
	rc = cfile_get(db, n->cid, &row);
	if (rc < 0 || row.flags & CFILE_WHOLE || !row.base_id[0])
		return rc;
	*out_whole = false;
	if (!g->contents) /* rows only: what they say */
		return 0;
	rc = content_get(g->contents, n->cid, false, &c);
	if (rc < 0)
		return rc;
	rc = content_is_whole(c);
	*out_whole = rc == 1;
	content_put(c);
	return rc < 0 ? rc : 0;
}

static int gather_bond(const struct gather *g, struct db *db,
                       struct plan_view *v)
{
	memset(&v->bond, 0, sizeof(v->bond));
	if (!g->codec->ops->header_size || !node_on_server(&v->n))
		return 0;
	v->in.header_wanted = true;
	if (bond_get(db, v->n.s_id, &v->bond) == 0 && v->bond.known)
		v->in.header_wanted = false;
	return 0;
}

/* An incoming delete that is held takes n along, or the folder n goes to. */
static int gather_place_held(struct db *db, struct plan_view *v)
{
	int64_t since, some = 0;
	int rc = hold_get_since(db, HOLD_IN, &since);

	if (rc == 0 && since)
		rc = db_query_int(
			db,
			"WITH RECURSIVE up(ino) AS (SELECT ? UNION SELECT"
			" node.parent FROM up JOIN node USING(ino) WHERE"
			" node.parent IS NOT NULL) SELECT 1 FROM up JOIN node"
			" USING(ino) JOIN seen ON seen.id=node.s_id WHERE"
			" seen.flags & 1 LIMIT 1",
			DB_ARGS(DB_INT(v->n.ino)), 0, &some);
	v->in.place_held = some;
	return rc;
}

static int gather_held(const struct gather *g, struct db *db,
                       struct plan_view *v)
{
	const struct node *n = &v->n;
	int rc = 0;

	if (g->hold && node_on_server(n) && !(n->flags & NODE_APPROVED) &&
	    (!n->parent || plan_content_differs(n)))
		rc = hold_look(g->hold, db, HOLD_OUT);
	v->in.held = rc == 1;
	if (rc >= 0 && g->hold && v->n.parent)
		rc = gather_place_held(db, v);
	return rc < 0 ? rc : 0;
}

int gather_plan(const struct gather *g, struct db *db, uint64_t ino,
                struct plan_view *v)
{
	int rc = node_get(db, ino, &v->n);

	memset(&v->in, 0, sizeof(v->in));
	v->in.n = &v->n;
	if (rc < 0)
		return rc;
	v->in.sent = is_sent(g->codec, &v->n);
	v->in.sets_times =
		g->codec->ops->times_in_item && (g->personal || !v->n.s_size);
	rc = gather_attempt(g, db, v);
	if (rc == 0)
		rc = gather_link(g, db, v);
	if (rc == 0)
		rc = gather_held(g, db, v);
	if (rc == 0 && v->n.parent)
		rc = gather_linked(g, db, v);
	else if (rc == 0)
		rc = gather_unlinked(g, db, v);
	v->in.whole = !node_is_file(&v->n);
	if (rc == 0 && v->n.parent && plan_content_differs(&v->n)) {
		rc = gather_is_whole(g, db, &v->n, &v->in.whole);
		if (rc == 0)
			rc = gather_bond(g, db, v);
	}
	if (rc == 0 && g->tree) {
		struct tree_use use;

		tree_get_use(g->tree, ino, &use);
		v->in.writers = use.writers;
		v->in.wrote_ms = use.wrote_ms;
		v->in.dirty_ms = use.dirty_ms;
		v->in.fsync_ms = use.fsync_ms;
		v->in.taken_ms = use.taken_ms;
	}
	return rc;
}
