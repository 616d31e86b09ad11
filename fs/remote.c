#include "fs/remote_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/db.h"
#include "fs/hidden.h"
#include "fs/hold.h"
#include "fs/naming.h"
#include "fs/seen.h"
#include "fs/store.h"
#include "fs/told.h"
#include "fs/tree.h"
#include "net/crashpoint.h"
#include "net/log.h"
#include "net/names.h"

#define MAX_TRIES  8  /* a program changes the node while we decide */
#define SETTLE_IDS 64 /* ids held at a time */
#define MAX_PASSES 32 /* over what waits for its folder */

int remote_new(const struct remote_options *opt, struct remote **out_r)
{
	struct remote *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return -ENOMEM;
	r->store = opt->store;
	r->tree = opt->tree;
	r->told = opt->told;
	r->gather = r->rows = opt->gather;
	r->rows.contents = NULL;
	r->rows.tree = NULL;
	r->hold = opt->hold;
	r->events = opt->events;
	r->news_tail = &r->news;
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
	rc = remote_hold_mark(r);
	if (rc < 0) {
		remote_free(r);
		return rc;
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
	free(r->whole.ino);
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
	if (rc == 0) {
		*out = decide(v);
		if (out->ops & MERGE_TREE || (it->keep && v->in.n))
			rc = remote_gone_look(r, db, v->n.ino);
	}
	store_reader_done(r->store, db);
	if (rc < 0)
		return rc;
	log_debug("merge id=%s name=\"%s\" parent=%s verdict=%d ops=%#x "
	          "last=%d",
	          it->id, it->name, it->parent_id, (int)out->verdict, out->ops,
	          last);
	if (out->verdict != MERGE_APPLY && out->verdict != MERGE_NOTHING)
		return 0;
	r->held = false;
	if (out->ops & (MERGE_UNLINK | MERGE_TREE) && !it->keep) {
		rc = remote_hold_judge(r, it->id, v->n.ino);
		r->held = rc == 1;
	}
	if (rc < 0)
		return rc;
	if (r->held) {
		out->verdict = MERGE_PARK;
		return 0;
	}
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
	rc = tree_edit_end(e, rc);
	CRASH_POINT("item-merged");
	return remote_told(r, rc);
}

static int merge_item(struct remote *r, const struct item *it, bool last,
                      bool looked, struct merge_out *out)
{
	int rc = -EAGAIN;

	for (int i = 0; i < MAX_TRIES && rc == -EAGAIN; i++)
		rc = try_item(r, it, last, looked, out);
	if (rc == -EEXIST) /* the others shall not wait for it */
		log_warn("merge id=%s name=\"%s\": its place is taken, asked "
		         "again later",
		         it->id, it->name);
	if (rc == -EAGAIN || rc == -EBUSY || rc == -EEXIST) { /* busy: later */
		out->verdict = MERGE_PARK;
		rc = 0;
	}
	return rc;
}

static int note_seen(struct remote *r, const struct item *item, bool held)
{
	struct db *db;
	int rc = store_begin(r->store, &db);

	if (rc < 0)
		return rc;
	rc = seen_put(db, item, r->round + 1);
	if (rc == 0 && held)
		rc = seen_set_flags(db, item->id, SEEN_HELD);
	return store_end(r->store, rc);
}

int remote_take_looked(struct remote *r, const struct item *item)
{
	struct merge_out out;
	/* That a folder is gone must be known when what lies in it is merged:
	 * somebody may have renamed it here. */
	int rc = item->deleted ? note_seen(r, item, false) : 0;

	if (rc == 0)
		rc = merge_item(r, item, true, true, &out);
	if (rc < 0)
		return rc;
	if (out.verdict == MERGE_APPLY || out.verdict == MERGE_NOTHING)
		return 0;
	rc = note_seen(r, item, r->held);
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
	rc = remote_told(r, tree_edit_end(e, rc));
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
	uint32_t skip; /* rows with these flags: SEEN_HELD while that is on */
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
		if (r->view->in.ring)
			log_warn("merge id=%s name=\"%s\": lies in itself, as "
			         "the "
			         "feed has it: looked at",
			         it->id, it->name);
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
		n = seen_list(db, after, s->skip, SETTLE_IDS, s->ids);
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

/* Is it shown by an alias that we gave it? Perhaps of a name that it had
 * before. The alias of nothing is the mark in each of them. */
static bool has_our_alias(const struct remote *r, const struct node *n)
{
	char mark[NODE_NAME_MAX + 1];

	naming_alias(r->gather.codec, "", n->s_id, mark);
	return n->flags & NODE_ALIAS && strstr(n->name, mark);
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
	if (rc == 0 && n->parent && has_our_alias(r, n) &&
	    r->gather.codec->ops->open_name(r->gather.codec, n->s_name, shown,
	                                    target) == 0)
		rc = remote_name(r, e, db, n, shown->name);
	if (e)
		rc = remote_told(r, tree_edit_end(e, rc));
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
	              "SELECT ino FROM node INDEXED BY node_alias WHERE"
	              " flags & 2 AND s_id IS NOT"
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

/* What is held was judged; it is not gone through each time. */
static int look_held(struct settle *s)
{
	int64_t since;
	struct db *db;
	int rc = store_reader(s->r->store, &db);

	if (rc < 0)
		return rc;
	rc = hold_get_since(db, HOLD_IN, &since);
	store_reader_done(s->r->store, db);
	s->skip = since ? SEEN_HELD : 0;
	return rc;
}

/* The round is over. */
static int settle_last(struct settle *s)
{
	struct remote *r = s->r;
	int rc = drop_strangers(r);

	s->last = true;
	/* All of them are counted before the first is done. */
	if (rc == 0 && !s->skip)
		rc = remote_hold_count(r);
	if (rc == 0)
		rc = settle_pass(s, true);
	if (rc == 0)
		rc = settle_pass(s, false);
	if (rc == 0)
		rc = name_aliases(r);
	return rc < 0 ? rc : remote_hold_mark(r);
}

int remote_settle(struct remote *r, bool last, remote_look_fn *look, void *arg)
{
	struct settle *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->r = r;
	rc = look_held(s);
	s->look = look;
	s->arg = arg;
	/* What comes first may be the folder of what comes next. */
	for (int i = 0; i < MAX_PASSES && rc == 0; i++) {
		s->progress = false;
		rc = settle_pass(s, false);
		if (!s->progress)
			break;
	}
	if (rc == 0 && last)
		rc = settle_last(s);
	free(s);
	return rc;
}
