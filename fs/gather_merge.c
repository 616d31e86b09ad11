#include "fs/gather.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/content.h"
#include "fs/db.h"
#include "fs/errand.h"
#include "fs/ledger.h"
#include "fs/naming.h"
#include "fs/seen.h"
#include "fs/told.h"
#include "fs/tree.h"
#include "net/clock.h"

#define MAX_DEPTH 4096
#define RECENT_NS (3600 * NS_PER_SEC) /* design: Remote changes */

struct merge_view *merge_view_new(void)
{
	return calloc(1, sizeof(struct merge_view));
}

void merge_view_free(struct merge_view *v)
{
	free(v);
}

void merge_view_place(const struct merge_view *v, uint64_t *out_parent,
                      const char **out_name)
{
	const struct node *n = v->in.n;
	unsigned follow = n ? merge_target(&v->in) : MERGE_PARENT | MERGE_NAME;

	*out_parent = follow & MERGE_PARENT ? v->in.parent : n->parent;
	*out_name = follow & MERGE_NAME ? v->shown.name : n->name;
}

/* What the remote name says here. */
static void gather_shown(const struct gather *g, const struct item *r,
                         struct merge_view *v)
{
	int rc;

	memset(&v->shown, 0, sizeof(v->shown));
	v->shown.mode = r->kind == ITEM_FOLDER ? 0040755 : 0100644;
	v->shown.mtime = r->mtime;
	v->target[0] = '\0';
	if (!r->name[0])
		return;
	rc = g->codec->ops->open_name(g->codec, r->name, &v->shown, v->target);
	if (rc < 0) {
		v->in.hidden = g->codec->ops->authenticates;
		v->in.alias = true;
		naming_alias(g->codec, r->name, r->id, v->shown.name);
	}
}

/* Vault: the fields of the name, each for itself. */
static void gather_fields(const struct gather *g, const struct item *r,
                          struct merge_view *v)
{
	struct merge_in *in = &v->in;
	char target[4096];

	if (!g->codec->ops->keeps_attributes || r->deleted)
		return;
	in->by_field = true;
	v->base = v->n;
	v->base.mtime = v->n.s_mtime;
	v->base.mode = node_is_dir(&v->n) ? 0040755 : 0100644;
	if (g->codec->ops->open_name(g->codec, v->n.s_name, &v->base, target) <
	    0) {
		/* A temporary name, or one a stranger gave: ours is wanted. */
		in->name_here = !(v->n.flags & NODE_ALIAS);
		in->name_there = !in->hidden && v->n.flags & NODE_ALIAS;
		return;
	}
	in->name_here = !(v->n.flags & NODE_ALIAS) &&
	                strcmp(v->n.name, v->base.name) != 0;
	if (in->hidden)
		return; /* renamed by a stranger: shown as before */
	in->name_there = strcmp(v->shown.name, v->base.name) != 0;
	in->attrs = merge_attrs(&v->base, &v->shown, &v->n);
}

/* Equal bytes? Only asked where sizes agree: reads and hashes the local file.
 */
static int compare_content(const struct gather *g, const struct item *r,
                           const struct node *at, bool *out_same)
{
	struct quickxor q;
	struct content *c;
	uint8_t hash[NODE_HASH_SIZE];
	char *buf;
	ssize_t n = 0;
	int rc;

	*out_same = false;
	if (g->codec->ops->authenticates || r->kind != ITEM_FILE ||
	    at->size != r->size)
		return 0;
	if (!r->size) {
		*out_same = true;
		return 0;
	}
	if (!g->contents || !at->cid || !r->has_hash)
		return 0;
	rc = content_get(g->contents, at->cid, false, &c);
	if (rc < 0)
		return rc;
	buf = malloc(1 << 20);
	quickxor_init(&q);
	while (buf && (n = content_pread(c, buf, 1 << 20, q.len)) > 0)
		quickxor_update(&q, buf, (size_t)n);
	quickxor_final(&q, hash);
	*out_same = buf && n == 0 && q.len == r->size &&
	            !memcmp(hash, r->hash, sizeof(hash));
	free(buf);
	content_put(c);
	return buf ? 0 : -ENOMEM;
}

/* As far as the feed has told: with a folder it lay in, maybe. */
static int is_gone(struct db *db, uint64_t ino)
{
	int64_t gone;
	int rc = db_query_int(
		db,
		"WITH RECURSIVE up(ino) AS (SELECT ? UNION SELECT s_parent FROM"
		" node JOIN up USING(ino) WHERE s_id IS NOT NULL AND ino<>1)"
		" SELECT 1 FROM up JOIN node USING(ino) JOIN seen ON"
		" seen.id=node.s_id WHERE seen.deleted",
		DB_ARGS(DB_INT(ino)), 0, &gone);

	return rc < 0 ? rc : gone != 0;
}

/* Is a folder that `n` lies in here gone there, too, and called or placed
 * otherwise here? Then somebody wants what is in it. */
static int is_above_moved(const struct gather *g, struct db *db,
                          const struct node *n)
{
	struct node *up = malloc(sizeof(*up));
	char want[NODE_REMOTE_MAX + 1];
	uint64_t ino = n->parent;
	const char *why;
	int rc = up ? 0 : -ENOMEM, depth = 0;

	while (rc == 0 && ino && ino != NODE_ROOT && depth++ < MAX_DEPTH) {
		rc = node_get(db, ino, up);
		if (rc == 0 && node_on_server(up) &&
		    (up->parent != up->s_parent ||
		     naming_seal(g->codec, db, up, want, &why) < 0 ||
		     strcmp(want, up->s_name) != 0))
			rc = is_gone(db, ino);
		ino = up->parent;
	}
	free(up);
	return rc;
}

static int gather_known(const struct gather *g, struct db *db,
                        const struct item *r, struct merge_view *v)
{
	struct tree_use use = { 0 };
	const char *why;
	int rc;

	gather_fields(g, r, v);
	if (naming_seal(g->codec, db, &v->n, v->want_name, &why) == 0)
		v->in.want_name = v->want_name;
	rc = attempt_is_for(db, v->n.s_id);
	if (rc < 0)
		return rc;
	v->in.n_attempt = rc || (g->is_busy && g->is_busy(g->arg, v->n.ino));
	rc = errand_is_open(db, v->n.ino);
	if (rc < 0)
		return rc;
	v->in.n_attempt |= rc;
	if (g->tree)
		tree_get_use(g->tree, v->n.ino, &use);
	v->in.writers = use.writers;
	v->in.whole = true;
	rc = node_is_file(&v->n) ? gather_is_whole(g, db, &v->n, &v->in.whole)
	                         : 0;
	/* The whole file is read for that: only where it decides. */
	if (rc == 0 && !v->in.n_attempt && !use.writers && v->n.parent &&
	    merge_content_changed(&v->in) && plan_content_differs(&v->n))
		rc = compare_content(g, r, &v->n, &v->in.same);
	if (rc == 0 && r->deleted && v->n.parent) {
		rc = is_above_moved(g, db, &v->n);
		v->in.above_moved = rc == 1;
	}
	return rc < 0 ? rc : 0;
}

/* Does the folder `ino` lie in `folder`? Here: what was unlinked counts where
 * it would come back. There: by what we know. */
static int is_below(struct db *db, uint64_t ino, uint64_t folder, bool there)
{
	int64_t below;
	int rc = db_query_int(
		db,
		there ? "WITH RECURSIVE up(ino) AS (SELECT ?1 UNION SELECT"
			" s_parent FROM node JOIN up USING(ino) WHERE s_id IS"
			" NOT NULL AND ino<>1) SELECT 1 FROM up WHERE ino=?2"
		      : "WITH RECURSIVE up(ino) AS (SELECT ?1 UNION SELECT"
			" ifnull(parent,s_parent) FROM node JOIN up USING(ino)"
			" WHERE ino<>1) SELECT 1 FROM up WHERE ino=?2",
		DB_ARGS(DB_INT(ino), DB_INT(folder)), 0, &below);

	return rc < 0 ? rc : below != 0;
}

static int gather_parent(const struct gather *g, struct db *db,
                         const struct item *r, struct merge_view *v)
{
	int rc = r->parent_id[0] ? node_get_by_id(db, r->parent_id, &v->parent)
	                         : -ENOENT;

	if (rc == -ENOENT && r->parent_id[0]) {
		int64_t seen;

		rc = db_query_int(
			db, "SELECT 1 FROM seen WHERE id=? AND NOT deleted",
			DB_ARGS(DB_TEXT(r->parent_id)), 0, &seen);
		v->in.parent_parked = rc == 0 && seen;
		return rc;
	}
	if (rc == -ENOENT || (rc == 0 && !node_is_dir(&v->parent)))
		return 0;
	if (rc < 0)
		return rc;
	v->in.parent = v->parent.ino;
	v->in.parent_unlinked = !v->parent.parent && v->parent.ino != NODE_ROOT;
	rc = attempt_is_at(db, r->parent_id, r->name);
	if (rc == 0)
		rc = errand_is_at(db, r->parent_id, r->name);
	v->in.place_attempt =
		rc == 1 ||
		(g->is_making && g->is_making(g->arg, r->parent_id, r->name));
	if (rc >= 0 && v->in.n && node_is_dir(v->in.n)) {
		rc = is_below(db, v->in.parent, v->n.ino, false);
		v->in.parent_below = rc == 1;
		if (rc >= 0)
			rc = is_below(db, v->in.parent, v->n.ino, true);
		v->in.ring = rc == 1;
	}
	return rc < 0 ? rc : 0;
}

bool gather_is_first(const struct node *at, int64_t created, const char *id)
{
	return at->s_created != created ? at->s_created < created
	                                : strcmp(at->s_id, id) < 0;
}

/* Vault: does `at` lie there under that plain name, too? All devices show the
 * same one of two under it: the one created first. */
static void gather_twin(const struct gather *g, const struct item *r,
                        struct merge_view *v)
{
	const struct node *at = &v->at;
	struct node *named;
	char target[4096];

	if (!g->codec->ops->keeps_attributes || !node_on_server(at) ||
	    at->s_parent != v->in.parent || at->flags & NODE_ASIDE)
		return;
	named = malloc(sizeof(*named));
	if (!named)
		return;
	*named = *at;
	v->in.at_twin = g->codec->ops->open_name(g->codec, at->s_name, named,
	                                         target) == 0 &&
	                !strcmp(named->name, at->name);
	free(named);
	v->in.at_first = gather_is_first(at, r->created, r->id);
}

/* Two that changed places there wait for each other. */
static int gather_left(struct db *db, struct merge_view *v)
{
	struct item *news = malloc(sizeof(*news));
	struct node *p = malloc(sizeof(*p));
	int rc = news && p ? seen_get(db, v->at.s_id, news) : -ENOMEM;

	if (rc == 0 && !news->deleted) {
		v->in.at_left = strcmp(news->name, v->at.s_name) != 0;
		rc = node_get(db, v->at.s_parent, p);
		if (rc == 0 && strcmp(news->parent_id, p->s_id) != 0)
			v->in.at_left = true;
	}
	free(news);
	free(p);
	return rc == -ENOENT ? 0 : rc;
}

static int gather_at(const struct gather *g, struct db *db,
                     const struct item *r, struct merge_view *v)
{
	struct tree_use use = { 0 };
	uint64_t parent;
	const char *name;
	int rc;

	if (v->in.n && !merge_target(&v->in))
		return 0;
	merge_view_place(v, &parent, &name);
	rc = node_get_child(db, parent, name, &v->at);
	if (rc == -ENOENT)
		return 0;
	if (rc < 0 || (v->in.n && v->at.ino == v->n.ino))
		return rc;
	v->in.at = &v->at;
	if (g->tree)
		tree_get_use(g->tree, v->at.ino, &use);
	v->in.at_writers = use.writers;
	rc = errand_is_open(db, v->at.ino);
	if (rc < 0)
		return rc;
	v->in.at_errand = rc;
	rc = attempt_is_open(db, v->at.ino);
	if (rc < 0)
		return rc;
	v->in.at_attempt = rc;
	if (node_on_server(&v->at)) {
		gather_twin(g, r, v);
		rc = gather_left(db, v);
		if (rc < 0)
			return rc;
	}
	if (!v->in.n && node_is_file(&v->at) && !use.writers)
		rc = compare_content(g, r, &v->at, &v->in.at_same);
	return rc < 0 ? rc : 0;
}

/* Does the feed show a state from before a write of ours (facts 7.2)? */
static int gather_past(const struct gather *g, struct db *db,
                       const struct item *r, struct merge_view *v)
{
	struct ledger_entry *e;
	int rc = 0;

	if (r->deleted || v->in.looked)
		return 0;
	if (v->in.n && !strcmp(r->etag, v->n.s_etag))
		return 0;
	e = malloc(sizeof(*e));
	if (!e)
		return -ENOMEM;
	rc = ledger_get(db, r->id, e);
	v->in.past_tag = rc == 0 && !v->in.n && e->what == LEDGER_DELETED;
	v->in.recent = rc == 0 && clock_real_ns() - e->time < RECENT_NS;
	free(e);
	if (rc == -ENOENT)
		rc = 0;
	if (rc == 0 && v->in.n) {
		rc = g->told && told_had_tag(g->told, r->id, r->etag)
		             ? 1
		             : ledger_had_tag(db, r->id, r->etag);
		v->in.past_tag = rc == 1;
	}
	return rc < 0 ? rc : 0;
}

int gather_merge(const struct gather *g, struct db *db, const struct item *r,
                 struct merge_view *v)
{
	bool last = v->in.last, looked = v->in.looked;
	int rc;

	memset(&v->in, 0, sizeof(v->in));
	v->in.r = r;
	v->in.last = last;
	v->in.looked = looked;
	gather_shown(g, r, v);
	rc = node_get_by_id(db, r->id, &v->n);
	if (rc == 0) {
		v->in.n = &v->n;
		rc = gather_known(g, db, r, v);
	} else if (rc == -ENOENT) {
		rc = 0;
	}
	if (rc == 0)
		rc = gather_past(g, db, r, v);
	if (rc == 0)
		rc = gather_parent(g, db, r, v);
	if (rc == 0 && v->in.parent && !r->deleted)
		rc = gather_at(g, db, r, v);
	return rc;
}
