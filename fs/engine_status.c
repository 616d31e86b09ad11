#include "fs/engine_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/db.h"
#include "fs/events.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "net/clock.h"

/* What only the engine's thread knows, for whoever asks. */
void engine_publish(struct engine *e)
{
	bool changed;

	lock_take(&e->lock, LOCK_LEAF);
	changed = e->status.uploaded_files != e->uploaded_files ||
	          e->status.held != e->nheld ||
	          e->status.held_in != e->holds_in ||
	          e->status.uploading != e->nsmall + e->nbig;
	e->status.held = e->nheld;
	e->status.held_in = e->holds_in;
	e->status.uploaded_files = e->uploaded_files;
	e->status.uploaded_bytes = e->uploaded_bytes;
	e->status.uploading = e->nsmall + e->nbig;
	lock_drop(&e->lock, LOCK_LEAF);
	if (changed && e->opt.changed)
		e->opt.changed(e->opt.arg);
	if (changed || e->shown_cleaned != e->cleaned)
		events_touch(e->opt.events);
	e->shown_cleaned = e->cleaned;
}

static int count(struct db *db, struct engine_status *s)
{
	struct sqlite3_stmt *q;
	int rc = db_query(db,
	                  "SELECT count(*),"
	                  " sum(parent IS NOT NULL AND mode&61440=32768 AND"
	                  "  gen<>s_gen),"
	                  " sum(CASE WHEN parent IS NOT NULL AND"
	                  "  mode&61440=32768 AND gen<>s_gen THEN size ELSE 0"
	                  "  END),"
	                  " (SELECT count(*) FROM blocked)"
	                  " FROM node INDEXED BY node_dirty WHERE flags & 1"
	                  " AND ino<>1",
	                  DB_NONE, &q);

	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1) {
		s->pending_nodes = (uint64_t)db_col_int(q, 0);
		s->pending_files = (uint64_t)db_col_int(q, 1);
		s->pending_bytes = (uint64_t)db_col_int(q, 2);
		s->blocked = (uint64_t)db_col_int(q, 3);
		rc = 0;
	}
	db_finish(q);
	return rc;
}

void engine_get_status(struct engine *e, struct engine_status *out)
{
	struct graph_state g;
	struct db *db;

	graph_get_state(e->opt.graph, &g);
	lock_take(&e->lock, LOCK_LEAF);
	*out = e->status;
	memcpy(out->last_error, e->last_error, sizeof(out->last_error));
	lock_drop(&e->lock, LOCK_LEAF);
	if (store_reader(e->opt.store, &db) == 0) {
		count(db, out);
		store_reader_done(e->opt.store, db);
	}
	out->throttled_until_ms =
		g.frozen_until_ms > clock_mono_ms() ? g.frozen_until_ms : 0;
	out->paused = e->paused;
	if (g.signed_out)
		out->state = ENGINE_SIGNED_OUT;
	else if (g.offline)
		out->state = ENGINE_OFFLINE;
	else if (out->throttled_until_ms)
		out->state = ENGINE_THROTTLED;
	else if (out->full_until_ms && out->pending_nodes)
		out->state = ENGINE_FULL;
	else if (e->paused && out->pending_nodes > out->blocked + out->held)
		out->state = ENGINE_PAUSED;
	else if (out->pending_nodes > out->blocked + out->held ||
	         out->uploading || !out->listed)
		out->state = ENGINE_SYNCING;
	else if (out->held || out->held_in)
		out->state = ENGINE_HELD;
	else
		out->state = ENGINE_IDLE;
}

/* Is more dirty than `held` of what is not blocked? */
static bool has_pending(struct engine *e, uint64_t held)
{
	int64_t n = 0;
	struct db *db;

	if (store_reader(e->opt.store, &db) < 0)
		return true; /* unknown: who waits has a deadline */
	db_query_int(db,
	             "SELECT count(*) FROM (SELECT 1 FROM node INDEXED BY"
	             " node_dirty WHERE flags & 1 AND ino<>1 AND NOT EXISTS("
	             "SELECT 1 FROM blocked WHERE blocked.ino=node.ino)"
	             " LIMIT ?)",
	             DB_ARGS(DB_INT(held + 1)), 0, &n);
	store_reader_done(e->opt.store, db);
	return (uint64_t)n > held;
}

bool engine_drains(struct engine *e, uint64_t *out_sent)
{
	struct graph_state g;
	uint64_t held;
	bool full;

	graph_get_state(e->opt.graph, &g);
	lock_take(&e->lock, LOCK_LEAF);
	held = e->status.held;
	full = e->status.full_until_ms || !e->status.quota_remaining;
	lock_drop(&e->lock, LOCK_LEAF);
	*out_sent = g.bulk_sent;
	return !g.signed_out && !full && has_pending(e, held);
}

int engine_each_upload(struct engine *e, engine_upload_fn *each, void *arg)
{
	struct {
		uint64_t ino, sent, total;
	} list[ENGINE_MAX_SMALL + ENGINE_MAX_BIG];
	size_t n = 0;
	int rc = 0;

	lock_take(&e->lock, LOCK_LEAF);
	for (struct job *j = e->all; j && n < sizeof(list) / sizeof(*list);
	     j = j->sibling) {
		if (!j->shown_total)
			continue;
		list[n].ino = j->ino;
		list[n].total = j->shown_total;
		list[n++].sent = j->shown_sent;
	}
	lock_drop(&e->lock, LOCK_LEAF);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = each(arg, list[i].ino, list[i].sent, list[i].total);
	return rc;
}

bool engine_is_drained(struct engine *e)
{
	struct engine_status s;

	engine_get_status(e, &s);
	return s.pending_nodes <= s.blocked + s.held && !s.uploading;
}
