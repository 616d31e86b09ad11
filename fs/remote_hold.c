#include "fs/remote_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/db.h"
#include "fs/held.h"
#include "fs/hold.h"
#include "fs/seen.h"
#include "fs/store.h"
#include "fs/tree.h"
#include "net/crashpoint.h"
#include "net/log.h"

/* What lies in `gone` goes with it; linked here, and not approved. */
#define BELOW                                                                  \
	" UNION SELECT node.ino FROM node JOIN gone ON"                        \
	" node.s_parent=gone.ino WHERE node.s_id IS NOT NULL)"                 \
	" SELECT ino FROM gone JOIN node USING(ino)"

static int list(struct db *db, const char *sql, const struct db_val *args,
                struct node_inos *l)
{
	struct node *n = calloc(1, sizeof(*n));
	struct sqlite3_stmt *q = NULL;
	int rc = n ? db_query(db, sql, args, &q) : -ENOMEM;

	while (rc == 0 && (rc = db_next(db, q)) == 1) {
		n->ino = (uint64_t)db_col_int(q, 0);
		rc = node_add_ino(l, n);
	}
	db_finish(q);
	free(n);
	return rc;
}

static bool is_on(const struct remote *r)
{
	return r->hold && r->hold->limits.n;
}

/* ---- counting ------------------------------------------------------------ */

static int note_all(struct remote *r, const struct node_inos *l)
{
	struct node *n = malloc(sizeof(*n));
	struct db *db;
	int rc = n ? store_begin(r->store, &db) : -ENOMEM;

	if (rc < 0) {
		free(n);
		return rc;
	}
	for (size_t i = 0; i < l->n && rc == 0; i++) {
		rc = node_get(db, l->ino[i], n);
		if (rc == 0 && node_on_server(n))
			rc = hold_note(db, HOLD_IN, n->s_id, n->ino, r->mark);
	}
	free(n);
	return store_end(r->store, rc);
}

int remote_hold_count(struct remote *r)
{
	struct node_inos l = { 0 };
	struct db *db;
	int rc;

	if (!is_on(r))
		return 0;
	rc = store_reader(r->store, &db);
	if (rc < 0)
		return rc;
	/* Deleted, or moved to where our folder is not (merge_gone()); but not
	 * what stays in any case (struct item: keep). */
	rc = list(db,
	          "WITH RECURSIVE gone(ino) AS (SELECT ino FROM seen s CROSS"
	          " JOIN node ON s.id=node.s_id WHERE ino<>1 AND NOT s.flags & "
	          "3 AND"
	          " NOT s.kind & 64 AND"
	          " (s.deleted OR (NOT EXISTS(SELECT 1 FROM node p WHERE"
	          " p.s_id=s.parent_id) AND NOT EXISTS(SELECT 1 FROM seen p"
	          " WHERE p.id=s.parent_id AND NOT p.deleted)))" BELOW
	          " WHERE node.parent IS NOT NULL",
	          DB_NONE, &l);
	store_reader_done(r->store, db);
	if (rc == 0 && l.n)
		rc = note_all(r, &l);
	free(l.ino);
	return rc;
}

static int list_below(struct db *db, uint64_t ino, struct node_inos *l)
{
	return list(db,
	            "WITH RECURSIVE gone(ino) AS (SELECT ?" BELOW
	            " WHERE node.parent IS NOT NULL --below",
	            DB_ARGS(DB_INT(ino)), l);
}

int remote_hold_mark(struct remote *r)
{
	int64_t max;
	struct db *db;
	int rc = store_reader(r->store, &db);

	if (rc < 0)
		return rc;
	rc = db_query_int(db, "SELECT max(ino) FROM node", DB_NONE, 1, &max);
	store_reader_done(r->store, db);
	if (rc == 0)
		r->mark = (uint64_t)max;
	return rc;
}

/* ---- judging ------------------------------------------------------------- */

static int begin(struct remote *r, const struct hold_counts *c)
{
	int64_t since;
	struct db *db;
	int rc = store_begin(r->store, &db);

	if (rc < 0)
		return rc;
	rc = hold_get_since(db, HOLD_IN, &since);
	if (rc == 0)
		rc = hold_begin(db, HOLD_IN);
	rc = store_end(r->store, rc);
	if (rc == 0 && !since) {
		log_warn("deletes on OneDrive items=%" PRId64 " of=%" PRId64
		         " action=held: nothing is removed here before "
		         "`nmbackupfs approve`; `nmbackupfs undo` uploads "
		         "again what is here",
		         c->items, c->total);
		events_put(r->events, EVENT_HELD, 0, NULL, NULL,
		           "deletes on OneDrive, not done here");
	}
	return rc;
}

static int mark_held(struct remote *r, const char *id)
{
	struct db *db;
	int rc = store_begin(r->store, &db);

	if (rc < 0)
		return rc;
	rc = seen_set_flags(db, id, SEEN_HELD);
	return store_end(r->store, rc);
}

struct judging {
	bool approved;
	bool on;            /* there is a hold already */
	struct node_inos l; /* what would go */
};

static int look(struct remote *r, const char *id, uint64_t ino,
                struct judging *j)
{
	uint32_t flags = 0;
	int64_t since = 0;
	struct db *db;
	int rc = store_reader(r->store, &db);

	if (rc < 0)
		return rc;
	rc = seen_get_flags(db, id, &flags);
	j->approved = flags & SEEN_APPROVED;
	if (rc == 0 && !j->approved)
		rc = list_below(db, ino, &j->l);
	if (rc == 0)
		rc = hold_get_since(db, HOLD_IN, &since);
	j->on = since;
	store_reader_done(r->store, db);
	return rc;
}

/* 1 if it is too much now, with these. */
static int judge(struct remote *r, const struct node_inos *l)
{
	struct hold_counts c;
	struct db *db;
	bool must;
	int rc = note_all(r, l);

	if (rc == 0)
		rc = store_reader(r->store, &db);
	if (rc < 0)
		return rc;
	rc = hold_look(r->hold, db, HOLD_IN);
	must = rc == 1;
	if (must)
		rc = hold_count(db, HOLD_IN, &c);
	store_reader_done(r->store, db);
	if (rc == 0 && must)
		rc = begin(r, &c);
	return rc < 0 ? rc : must;
}

int remote_hold_judge(struct remote *r, const char *id, uint64_t ino)
{
	struct judging j = { 0 };
	int rc;

	if (!is_on(r))
		return 0;
	rc = look(r, id, ino, &j);
	if (rc == 0 && !j.approved && j.l.n)
		rc = j.on ? 1 : judge(r, &j.l);
	free(j.l.ino);
	if (rc == 1) {
		rc = mark_held(r, id);
		return rc < 0 ? rc : 1;
	}
	return rc;
}

int remote_hold_missing(struct remote *r, int64_t missing)
{
	struct hold_counts c;
	struct db *db;
	int rc;

	if (!is_on(r) || !missing)
		return 0;
	rc = store_reader(r->store, &db);
	if (rc < 0)
		return rc;
	rc = hold_count(db, HOLD_IN, &c);
	store_reader_done(r->store, db);
	if (rc < 0)
		return rc;
	if (!c.items) /* the window would begin now */
		c.old_total = c.total;
	c.items += missing;
	c.old_items += missing;
	return hold_judge(&r->hold->limits, &c) ? begin(r, &c) : 0;
}

/* ---- a person keeps what is here ----------------------------------------- */

struct keep {
	struct remote *r;
	struct node_inos held, whole; /* both ascending */
	struct node n;
	struct remote_kept *out;
};

static bool has(const struct node_inos *l, uint64_t ino)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (l->ino[mid] < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < l->n && l->ino[lo] == ino;
}

static int is_here(struct keep *k, struct db *db, bool *out_here)
{
	char target[4096];
	ssize_t len;

	*out_here = true;
	if (node_is_file(&k->n))
		return gather_is_whole(&k->r->gather, db, &k->n, out_here);
	if (!S_ISLNK(k->n.mode))
		return 0;
	len = node_get_target(db, k->n.ino, target, sizeof(target));
	*out_here = len >= 0;
	return len < 0 && len != -ENOENT ? (int)len : 0;
}

/* Looking into content takes locks that come before the store's. */
static int find_held(struct keep *k)
{
	struct db *db;
	bool here;
	int rc = store_reader(k->r->store, &db);

	if (rc < 0)
		return rc;
	rc = list(db,
	          "WITH RECURSIVE gone(ino) AS (SELECT ino FROM seen s CROSS"
	          " JOIN node ON s.id=node.s_id WHERE ino<>1 AND s.flags & "
	          "1" BELOW " ORDER BY ino --keep",
	          DB_NONE, &k->held);
	for (size_t i = 0; i < k->held.n && rc == 0; i++) {
		rc = node_get(db, k->held.ino[i], &k->n);
		if (rc == 0)
			rc = is_here(k, db, &here);
		if (rc == 0 && here)
			rc = node_add_ino(&k->whole, &k->n);
	}
	store_reader_done(k->r->store, db);
	return rc;
}

static int keep_one(struct keep *k, struct tree_edit *e, struct db *db,
                    uint64_t ino)
{
	struct node *n = &k->n;
	int rc = node_get(db, ino, n);

	if (rc == 0)
		rc = seen_delete(db, n->s_id);
	if (rc < 0)
		return rc;
	if (n->parent && has(&k->whole, ino)) {
		k->out->done++;
	} else if (n->parent) {
		k->out->lost++;
		rc = remote_place(k->r, e, db, n, 0, n->name);
	}
	remote_clear_synced(n);
	n->flags |= NODE_DIRTY;
	n->flags &= ~(uint32_t)NODE_UNLISTED;
	if (rc == 0)
		rc = node_update(db, n);
	tree_edit_dirty(e, ino);
	return rc;
}

int remote_keep_held(struct remote *r, struct remote_kept *out)
{
	struct keep *k = calloc(1, sizeof(*k));
	struct tree_edit *e;
	struct db *db;
	int rc;

	*out = (struct remote_kept){ 0 };
	if (!k)
		return -ENOMEM;
	k->r = r;
	k->out = out;
	rc = find_held(k);
	if (rc == 0)
		rc = tree_edit_begin(r->tree, &e, &db);
	if (rc == 0) {
		for (size_t i = 0; i < k->held.n && rc == 0; i++)
			rc = keep_one(k, e, db, k->held.ino[i]);
		if (rc == 0)
			rc = hold_end(db, HOLD_IN);
		rc = tree_edit_end(e, rc);
		CRASH_POINT("deletes-kept");
	}
	free(k->held.ino);
	free(k->whole.ino);
	free(k);
	return rc;
}
