#include "fs/remote_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/db.h"
#include "fs/hidden.h"
#include "fs/naming.h"
#include "fs/seen.h"
#include "fs/store.h"
#include "fs/told.h"
#include "fs/tree.h"
#include "net/log.h"
#include "net/names.h"

#define MAX_TRIES  8  /* a program changes the node while we decide */
#define SETTLE_IDS 64 /* ids held at a time */
#define MAX_PASSES 32 /* over what waits for its folder */
#define HOLD_AT    20 /* design, promise 4: deletes beyond both are held */
#define HOLD_SHARE 2  /* ...more than one in that many nodes */

int remote_new(const struct remote_options *opt, struct remote **out_r)
{
	struct remote *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->store = opt->store;
	r->tree = opt->tree;
	r->told = opt->told;
	r->gather = r->rows = opt->gather;
	r->rows.contents = NULL;
	r->rows.tree = NULL;
	r->uid = opt->uid;
	r->gid = opt->gid;
	r->watched_name = opt->watched ? opt->watched_name : NULL;
	r->watched = opt->watched;
	r->arg = opt->arg;
	snprintf(r->host, sizeof(r->host), "%s", opt->host);
	r->view = merge_view_new();
	r->below = merge_view_new();
	r->item = calloc(1, sizeof(*r->item));
	if (!r->view || !r->below || !r->item) {
		remote_free(r);
		return -ENOMEM;
	}
	*out_r = r;
	return 0;
}

void remote_free(struct remote *r)
{
	if (!r)
		return;
	merge_view_free(r->view);
	merge_view_free(r->below);
	free(r->item);
	free(r);
}

/* ---- one item ------------------------------------------------------------ */

/* Nothing moved under the decision: rows as they were, nobody began to write.
 */
static bool still_true(struct tree_edit *e, struct db *db,
                       const struct merge_view *v)
{
	struct node *now = malloc(sizeof(*now));
	struct tree_use use;
	bool ok = now != NULL;
	uint64_t parent;
	const char *name;

	if (ok && v->in.n) {
		ok = node_get(db, v->n.ino, now) == 0 && node_same(now, &v->n);
		tree_edit_get_use(e, v->n.ino, &use);
		ok = ok && v->in.writers == (use.writers > 0);
	}
	if (ok && v->in.parent && !v->in.r->deleted &&
	    (!v->in.n || merge_target(&v->in))) {
		int rc;

		merge_view_place(v, &parent, &name);
		rc = node_get_child(db, parent, name, now);
		if (v->in.at)
			ok = rc == 0 && node_same(now, &v->at);
		else
			ok = rc == -ENOENT ||
			     (rc == 0 && v->in.n && now->ino == v->n.ino);
	}
	free(now);
	return ok;
}

/* Our folder itself: where it lies and what it is called is not the mount's
 * business, and its end is never a delete of what is here (promise 4). */
static bool is_our_folder(const struct merge_view *v)
{
	if (!v->in.n || v->n.ino != NODE_ROOT)
		return false;
	if (v->in.r->deleted)
		log_error("folder id=%s was deleted on the server; nothing is "
		          "removed here; restore it there, or mount another "
		          "--folder",
		          v->in.r->id);
	return true;
}

/* Is it one that is not shown, in a folder of ours? */
static int note_hidden(const struct remote *r, struct db *db,
                       const struct merge_view *v)
{
	const struct item *it = v->in.r;
	int rc;

	if (!r->gather.codec->ops->authenticates)
		return 0;
	if (it->deleted || !v->in.hidden || v->in.n || !v->in.parent)
		return hidden_delete(db, it->id);
	rc = hidden_put(db, it->id, it->parent_id);
	if (rc == 0)
		rc = node_is_linked(db, v->in.parent);
	if (rc == 0)
		return -EAGAIN; /* its folder was removed just now */
	return rc < 0 ? rc : 0;
}

static struct merge_out decide(const struct merge_view *v)
{
	if (is_our_folder(v))
		return (struct merge_out){ .verdict = MERGE_NOTHING };
	return merge_next(&v->in);
}

/* Decides outside the transaction (looking into content takes locks that come
 * before it), then does it if nothing changed meanwhile. */
static int try_item(struct remote *r, const struct item *it, bool last,
                    bool looked, struct merge_out *out)
{
	struct merge_view *v = r->view;
	struct tree_edit *e;
	struct db *db;
	int rc = store_reader(r->store, &db);

	if (rc < 0)
		return rc;
	v->in.last = last;
	v->in.looked = looked;
	rc = gather_merge(&r->gather, db, it, v);
	store_reader_done(r->store, db);
	if (rc < 0)
		return rc;
	*out = decide(v);
	log_debug("merge id=%s name=\"%s\" parent=%s verdict=%d ops=%#x "
	          "last=%d",
	          it->id, it->name, it->parent_id, (int)out->verdict, out->ops,
	          last);
	if (out->verdict != MERGE_APPLY && out->verdict != MERGE_NOTHING)
		return 0;
	rc = tree_edit_begin(r->tree, &e, &db);
	if (rc < 0)
		return rc;
	if (out->verdict == MERGE_APPLY) {
		if (!still_true(e, db, v))
			return tree_edit_end(e, -EAGAIN);
		rc = remote_apply_ops(r, e, db, v, out->ops);
	}
	if (rc == 0)
		rc = note_hidden(r, db, v);
	if (rc == 0)
		rc = seen_delete(db, it->id);
	return tree_edit_end(e, rc);
}

static int merge_item(struct remote *r, const struct item *it, bool last,
                      bool looked, struct merge_out *out)
{
	int rc = -EAGAIN;

	for (int i = 0; i < MAX_TRIES && rc == -EAGAIN; i++)
		rc = try_item(r, it, last, looked, out);
	if (rc == -EAGAIN || rc == -EBUSY) { /* busy: later */
		out->verdict = MERGE_PARK;
		rc = 0;
	}
	return rc;
}

int remote_take_looked(struct remote *r, const struct item *item)
{
	struct merge_out out;
	struct db *db;
	int rc = merge_item(r, item, true, true, &out);

	if (rc < 0)
		return rc;
	if (out.verdict == MERGE_APPLY || out.verdict == MERGE_NOTHING)
		return 0;
	rc = store_begin(r->store, &db);
	if (rc < 0)
		return rc;
	rc = seen_put(db, item, r->round + 1);
	rc = store_end(r->store, rc);
	return rc < 0 ? rc : -EAGAIN;
}

/* ---- pages --------------------------------------------------------------- */

/* Within the page's transaction: what needs no look into content or use. */
static int take_simple(struct remote *r, struct tree_edit *e, struct db *db,
                       const struct item *it, bool *out_done)
{
	struct merge_view *v = r->view;
	struct merge_out out;
	int rc;

	*out_done = false;
	if (it->deleted || it->root)
		return 0;
	v->in.last = v->in.looked = false;
	rc = gather_merge(&r->rows, db, it, v);
	if (rc < 0)
		return rc;
	out = decide(v);
	if (out.verdict == MERGE_NOTHING) {
		rc = note_hidden(r, db, v);
		*out_done = rc == 0;
	} else if (out.verdict == MERGE_APPLY && out.ops == MERGE_INSERT) {
		rc = remote_apply_ops(r, e, db, v, out.ops);
		*out_done = rc == 0;
		log_debug("merge id=%s name=\"%s\" parent=%s new", it->id,
		          it->name, it->parent_id);
	}
	return rc;
}

static int take_one(struct remote *r, struct tree_edit *e, struct db *db,
                    const struct item *it, int64_t round, bool mark)
{
	bool done;
	int rc = take_simple(r, e, db, it, &done);

	if (rc == 0)
		rc = done ? seen_delete(db, it->id) : seen_put(db, it, round);
	if (rc == 0 && mark && !it->deleted)
		rc = listed_add(db, it->id, round);
	return rc;
}

int remote_take_page(struct remote *r, const struct item *items, size_t n,
                     int64_t round, bool mark, uint64_t asked,
                     remote_note_fn *note, void *arg)
{
	struct tree_edit *e;
	struct db *db;
	int rc = tree_edit_begin(r->tree, &e, &db);

	if (rc < 0)
		return rc;
	r->round = round;
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (!asked || !told_since(r->told, items[i].id, asked))
			rc = take_one(r, e, db, &items[i], round, mark);
	}
	if (rc == 0 && note)
		rc = note(arg, db);
	rc = tree_edit_end(e, rc);
	for (size_t i = 0; i < n && rc == 0 && !asked; i++)
		told_note(r->told, items[i].id);
	for (size_t i = 0; r->watched_name && i < n; i++) {
		if (!items[i].deleted &&
		    !strcmp(items[i].name, r->watched_name))
			r->watched(r->arg, &items[i]);
	}
	return rc;
}

/* ---- what was noted ------------------------------------------------------ */

struct settle {
	struct remote *r;
	bool last;
	remote_look_fn *look;
	void *arg;
	bool progress; /* something was applied in this pass */
	bool hold;     /* deletes wait for approval */
	int64_t held;
	char ids[SETTLE_IDS][NODE_ID_MAX + 1];
};

static int get_seen(struct remote *r, const char *id, struct item *out,
                    int64_t *out_round)
{
	struct db *db;
	int rc = store_reader(r->store, &db);

	if (rc < 0)
		return rc;
	rc = seen_get(db, id, out);
	if (rc == 0)
		rc = seen_get_round(db, id, out_round);
	store_reader_done(r->store, db);
	return rc;
}

static int forget_seen(struct remote *r, const char *id)
{
	struct db *db;
	int rc = store_begin(r->store, &db);

	if (rc < 0)
		return rc;
	rc = seen_delete(db, id);
	return store_end(r->store, rc);
}

static int settle_item(struct settle *s, const struct item *it, int64_t round)
{
	struct remote *r = s->r;
	struct merge_out out;
	int rc;

	/* Our own folder: facts of names and times of the drive's root or of
	 * the mount's don't concern the tree; its end is never a delete. */
	if (it->root)
		return forget_seen(r, it->id);
	if (it->deleted && s->hold) {
		s->held++;
		return 0;
	}
	rc = merge_item(r, it, s->last && round <= r->round, false, &out);
	if (rc < 0)
		return rc;
	switch (out.verdict) {
	case MERGE_NOTHING:
	case MERGE_APPLY:
		s->progress = true;
		return 0;
	case MERGE_PARK:
	case MERGE_ORPHAN:
		return 0;
	case MERGE_LOOK:
		return s->look(s->arg, it->id);
	case MERGE_LOOK_AT: /* one of the two is not there any more */
		rc = s->look(s->arg, r->view->at.s_id);
		return rc < 0 ? rc : s->look(s->arg, it->id);
	}
	return 0;
}

/* One pass over all rows, deletes or the others. */
static int settle_pass(struct settle *s, bool deletes)
{
	char after[NODE_ID_MAX + 1] = "";
	int64_t round;
	int n, rc = 0;

	do {
		struct db *db;

		rc = store_reader(s->r->store, &db);
		if (rc < 0)
			return rc;
		n = seen_list(db, after, SETTLE_IDS, s->ids);
		store_reader_done(s->r->store, db);
		for (int i = 0; i < n && rc == 0; i++) {
			rc = get_seen(s->r, s->ids[i], s->r->item, &round);
			if (rc == 0 && s->r->item->deleted == deletes)
				rc = settle_item(s, s->r->item, round);
			else if (rc == -ENOENT)
				rc = 0;
		}
		if (n > 0)
			memcpy(after, s->ids[n - 1], sizeof(after));
	} while (rc == 0 && n == SETTLE_IDS);
	return n < 0 ? n : rc;
}

/* Linked nodes that the noted deletes would take, descendants included. */
static int count_deletes(struct remote *r, int64_t *out_gone, int64_t *out_all)
{
	struct db *db;
	int rc = store_reader(r->store, &db);

	if (rc < 0)
		return rc;
	rc = db_query_int(
		db,
		"WITH RECURSIVE gone(ino) AS (SELECT ino FROM node JOIN seen ON"
		" seen.id=node.s_id WHERE seen.deleted AND ino<>1 UNION SELECT"
		" node.ino"
		" FROM node JOIN gone ON node.s_parent=gone.ino WHERE"
		" node.s_id IS NOT NULL) SELECT count(*) FROM gone JOIN node"
		" USING(ino) WHERE node.parent IS NOT NULL",
		DB_NONE, 0, out_gone);
	if (rc == 0)
		rc = node_count_linked(db, out_all);
	store_reader_done(r->store, db);
	return rc;
}

static int settle_deletes(struct settle *s)
{
	int64_t gone, all;
	int rc = count_deletes(s->r, &gone, &all);

	if (rc < 0)
		return rc;
	s->hold = gone > HOLD_AT && gone > all / HOLD_SHARE;
	if (s->hold)
		log_warn("delta deletes=%" PRId64 " of=%" PRId64
		         " action=held nothing was removed here",
		         gone, all);
	return settle_pass(s, true);
}

/* Nobody's child when the round is over: it lies outside our folder. What lies
 * in something that is still parked is not outside. */
static int drop_outside(struct db *db, int64_t round)
{
	return db_run(
		db,
		"DELETE FROM seen WHERE round<=? AND id NOT IN"
		" (WITH RECURSIVE ours(id)"
		" AS (SELECT id FROM seen WHERE EXISTS(SELECT 1 FROM node"
		" WHERE s_id=seen.id) OR EXISTS(SELECT 1 FROM node WHERE"
		" s_id=seen.parent_id) UNION SELECT seen.id FROM seen JOIN"
		" ours ON seen.parent_id=ours.id) SELECT id FROM ours)",
		DB_ARGS(DB_INT(round)));
}

static int drop_strangers(struct remote *r)
{
	struct db *db;
	int rc = store_begin(r->store, &db);

	if (rc < 0)
		return rc;
	rc = hidden_drop_left(db, r->round);
	if (rc == 0)
		rc = drop_outside(db, r->round);
	return store_end(r->store, rc);
}

static bool is_alias_of(const struct remote *r, const struct node *n,
                        const char *name)
{
	char alias[NODE_NAME_MAX + 1];

	naming_alias(r->gather.codec, name, n->s_id, alias);
	return !strcmp(n->name, alias);
}

/* What was shown by an alias because another node had its name gets the name
 * when that is free. */
static int name_one(struct remote *r, uint64_t ino)
{
	struct node *n = malloc(sizeof(*n)), *shown = calloc(1, sizeof(*n));
	struct tree_edit *e = NULL;
	char target[4096];
	struct db *db;
	int rc = n && shown ? tree_edit_begin(r->tree, &e, &db) : -ENOMEM;

	if (rc == 0)
		rc = node_get(db, ino, n);
	if (rc == 0)
		*shown = *n;
	if (rc == 0 && n->parent && n->flags & NODE_ALIAS &&
	    r->gather.codec->ops->open_name(r->gather.codec, n->s_name, shown,
	                                    target) == 0 &&
	    (is_alias_of(r, n, n->s_name) || is_alias_of(r, n, shown->name)))
		rc = remote_name(r, e, db, n, shown->name);
	if (e)
		rc = tree_edit_end(e, rc);
	free(n);
	free(shown);
	return rc == -EEXIST || rc == -ENOENT ? 0 : rc;
}

static int name_aliases(struct remote *r)
{
	struct node_inos l = { 0 };
	struct node n = { .ino = 0 };
	struct sqlite3_stmt *q;
	struct db *db;
	int rc = store_reader(r->store, &db);

	if (rc < 0)
		return rc;
	rc = db_query(db,
	              "SELECT ino FROM node WHERE flags & 2 AND s_id IS NOT"
	              " NULL AND parent IS NOT NULL LIMIT 1000",
	              DB_NONE, &q);
	while (rc == 0 && (rc = db_next(db, q)) == 1) {
		n.ino = (uint64_t)db_col_int(q, 0);
		rc = node_add_ino(&l, &n);
	}
	db_finish(q);
	store_reader_done(r->store, db);
	for (size_t i = 0; i < l.n && rc == 0; i++)
		rc = name_one(r, l.ino[i]);
	free(l.ino);
	return rc;
}

int remote_settle(struct remote *r, bool last, remote_look_fn *look, void *arg,
                  int64_t *out_held)
{
	struct settle *s = calloc(1, sizeof(*s));
	int rc = 0;

	if (!s)
		return -ENOMEM;
	s->r = r;
	s->look = look;
	s->arg = arg;
	/* What comes first may be the folder of what comes next. */
	for (int i = 0; i < MAX_PASSES && rc == 0; i++) {
		s->progress = false;
		rc = settle_pass(s, false);
		if (!s->progress)
			break;
	}
	if (rc == 0 && last) {
		rc = drop_strangers(r);
		s->last = true;
		if (rc == 0)
			rc = settle_deletes(s);
		if (rc == 0)
			rc = settle_pass(s, false);
		if (rc == 0)
			rc = name_aliases(r);
	}
	*out_held = s->held;
	free(s);
	return rc;
}
