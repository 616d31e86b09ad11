#include "fs/engine_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fs/db.h"
#include "fs/events.h"
#include "fs/hidden.h"
#include "fs/lock.h"
#include "fs/seen.h"
#include "fs/store.h"
#include "fs/tree.h"
#include "net/clock.h"
#include "net/crashpoint.h"
#include "net/error_text.h"
#include "net/log.h"

/* The feed: rounds of pages. Values kept in the store (table meta):
 *
 *	delta_link   where the next page of the round, or the next round, is
 *	delta_state  0 no round was ever finished, or it must start anew
 *	             1 within a full enumeration (delta_link is its next page)
 *	             2 between rounds, or within an incremental one
 *	round        begin number of the last round begun
 *	round_done   the last one that was applied to its end
 *	last_sync    when, ns since 1970
 * and those of engine_missing.c, engine_feed.c. */
enum { DELTA_ANEW, DELTA_FULL, DELTA_AFTER };

#define LINK_MAX       8192
#define SETTLE_GAP_MS  200
#define SETTLE_SLOW_MS 2000

struct poll_wait {
	struct poll_wait *next;
	int64_t round; /* wants one with a greater number */
	engine_wake_fn *wake;
	void *arg;
};

/* ---- waiting for a round ------------------------------------------------- */

int engine_poll(struct engine *e, engine_wake_fn *wake, void *arg)
{
	struct poll_wait *w = NULL;

	if (wake) {
		w = calloc(1, sizeof(*w));
		if (!w)
			return -ENOMEM;
		w->wake = wake;
		w->arg = arg;
	}
	lock_take(&e->lock, LOCK_LEAF);
	if (w) {
		w->round = e->round;
		w->next = e->poll_waits;
		e->poll_waits = w;
	}
	e->poll_wanted = true;
	pthread_cond_signal(&e->wake);
	lock_drop(&e->lock, LOCK_LEAF);
	return 0;
}

static void end_polls(struct engine *e, int64_t round, int rc)
{
	struct poll_wait **pp, *done = NULL;

	lock_take(&e->lock, LOCK_LEAF);
	pp = &e->poll_waits;
	while (*pp) {
		struct poll_wait *w = *pp;

		if (w->round >= round) {
			e->delta_due_now = true;
			pp = &w->next;
			continue;
		}
		*pp = w->next;
		w->next = done;
		done = w;
	}
	lock_drop(&e->lock, LOCK_LEAF);
	while (done) {
		struct poll_wait *w = done;

		done = w->next;
		w->wake(w->arg, rc);
		free(w);
	}
}

void engine_poll_end_all(struct engine *e, int rc)
{
	end_polls(e, INT64_MAX, rc);
}

/* ---- pages --------------------------------------------------------------- */

int engine_page_items(const struct graph_page *page, struct item **out_items,
                      size_t *out_n)
{
	int count = cJSON_GetArraySize(page->value);
	const cJSON *json;
	struct item *items =
		calloc(count > 0 ? (size_t)count : 1, sizeof(*items));
	size_t n = 0;

	if (!items)
		return -ENOMEM;
	cJSON_ArrayForEach (json, page->value) {
		struct graph_item g;

		if (graph_parse_item(json, &g) == 0 &&
		    item_copy(&g, &items[n]) == 0)
			n++;
		else
			log_warn("page holds something that is no item: "
			         "left out");
	}
	*out_items = items;
	*out_n = n;
	return 0;
}

struct page_note {
	const struct graph_page *page;
	const struct item *items;
	size_t n;
	bool full, last;
};

static int note_page(void *arg, struct db *db)
{
	const struct page_note *p = arg;
	const char *link = p->last ? p->page->delta_link : p->page->next_link;
	int rc = store_set_text(db, "delta_link", link);

	if (rc == 0)
		rc = store_set_int(db, "delta_state",
		                   p->full && !p->last ? DELTA_FULL
		                                       : DELTA_AFTER);
	if (rc == 0 && !p->full)
		rc = engine_brought_note(db, p->items, p->n);
	return rc;
}

static int look_id(void *arg, const char *id)
{
	engine_start_look(arg, 0, id);
	return 0;
}

static void delta_fetch(struct engine *e, struct job *j);

void engine_delta_later(struct engine *e, struct job *j, int rc)
{
	int64_t ms = engine_back_off(e->delta_fails++, ENGINE_RETRY_MAX_MS);

	if (rc != -ECANCELED) {
		log_warn("delta: %s retry_in_ms=%" PRId64, error_text(rc), ms);
		engine_set_error(e, "changes on OneDrive: %s", error_text(rc));
	}
	e->delta_running = false;
	e->delta_due_ms = clock_mono_ms() + ms;
	job_free(j);
}

static int set_state(struct engine *e, int64_t state, const char *link)
{
	struct db *db;
	int rc = store_begin(e->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = store_set_int(db, "delta_state", state);
	if (rc == 0)
		rc = store_set_text(db, "delta_link", link);
	if (rc == 0 && state == DELTA_ANEW)
		rc = listed_clear(db);
	if (rc == 0 && state == DELTA_ANEW)
		rc = store_set_int(db, "missing_round", 0);
	return store_end(e->opt.store, rc);
}

/* The feed loses tombstones (facts 7.2, 13 #25): now and then all is enumerated
 * anew, and what does not come is looked at (engine_missing.c). */
static void reconcile_if_due(struct engine *e)
{
	if (!engine_missing_is_due(e) || set_state(e, DELTA_ANEW, "") < 0)
		return;
	log_info("delta reconcile=now");
	e->missing.on = false;
	e->delta_due_now = true;
}

struct missing_count {
	const struct told *told;
	uint64_t since;
	int64_t n;
};

/* What was sent meanwhile did not come either. */
static void count_missing(void *arg, const char *id)
{
	struct missing_count *m = arg;

	m->n += !told_since(m->told, id, m->since);
}

/* If all that did not come is gone, is that too much? Then it is held before
 * the first of it is looked at. */
static int judge_missing(struct engine *e)
{
	struct missing_count m = { e->told, e->round_told, 0 };
	struct db *db;
	int rc;

	if (e->missing.keep)
		return 0;
	rc = store_reader(e->opt.store, &db);
	if (rc < 0)
		return rc;
	rc = listed_each_missing(db, count_missing, &m);
	store_reader_done(e->opt.store, db);
	return rc < 0 ? rc : remote_hold_missing(e->remote, m.n);
}

static int edit_round_done(struct engine *e, bool full)
{
	struct db *db;
	int rc = store_begin(e->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = store_set_int(db, "round_done", e->round);
	if (rc == 0)
		rc = store_set_int(db, "last_sync", clock_real_ns());
	if (rc == 0 && full) /* everything below our folder was named */
		rc = db_run(db, "UPDATE node SET flags=flags&~4 WHERE flags&4",
		            DB_NONE);
	if (rc == 0 && full)
		rc = hidden_prune(db);
	if (rc == 0 && full)
		rc = engine_missing_note(db, e->round);
	return store_end(e->opt.store, rc);
}

void engine_delta_listed(struct engine *e, struct job *j)
{
	bool full = e->delta_full;
	int rc = remote_settle(e->remote, true, look_id, e);

	CRASH_POINT("round-settled");
	if (rc == 0 && full)
		rc = judge_missing(e);
	if (rc == 0)
		rc = edit_round_done(e, full);
	CRASH_POINT("round-noted");
	if (rc < 0) {
		engine_delta_later(e, j, rc);
		return;
	}
	engine_hold_tidy(e);
	log_debug("delta round=%" PRId64 " full=%d done", e->round, full);
	e->delta_running = e->delta_full = false;
	e->delta_fails = 0;
	e->rounds_ended++;
	e->round_ended_ms = clock_mono_ms();
	e->delta_due_ms = e->round_ended_ms + engine_feed_pause(e);
	job_free(j);
	if (!full)
		engine_feed_works(e);
	if (full) {
		engine_list_end_all(e, 0);
		engine_missing_begin(e);
	} else {
		engine_list_new(e);
		reconcile_if_due(e);
	}
	lock_take(&e->lock, LOCK_LEAF);
	e->status.listed = true;
	e->status.last_sync_ns = clock_real_ns();
	lock_drop(&e->lock, LOCK_LEAF);
	events_touch(e->opt.events);
	engine_round_ended(e);
	end_polls(e, e->round, 0);
}

static void page_came(struct engine *e, struct job *j)
{
	struct graph_page page;
	struct page_note note = { .page = &page, .full = e->delta_full };
	struct item *items;
	size_t n;
	int rc = graph_parse_page(e->opt.graph, j->json, &page);

	if (rc == 0 && !page.next_link && !page.delta_link)
		rc = -EBADMSG;
	if (rc == 0 && page.next_link)
		rc = graph_walk_on(&j->walk, &page);
	if (rc == -ELOOP) /* where it goes on is no use: not there again */
		set_state(e, DELTA_ANEW, "");
	if (rc == 0)
		rc = engine_page_items(&page, &items, &n);
	if (rc < 0) {
		engine_delta_later(e, j, rc);
		return;
	}
	note.items = items;
	note.n = n;
	note.last = !page.next_link;
	CRASH_POINT("page-came");
	rc = remote_take_page(e->remote, items, n, e->round, e->delta_full, 0,
	                      note_page, &note);
	CRASH_POINT("page-applied");
	free(items);
	if (rc < 0) {
		engine_delta_later(e, j, rc);
		return;
	}
	cJSON_Delete(j->json);
	j->json = NULL;
	if (note.last)
		engine_delta_listed(e, j);
	else
		delta_fetch(e, j);
}

/* What the enumeration does not bring is then deleted, if a look confirms it.
 * Else, and in doubt, the service may have lost it: it is sent again. */
static bool is_server_right(const char *code)
{
	return !strcasecmp(code, "resyncChangesApplyDifferences") ||
	       !strcasecmp(code, "resyncApplyDifferences");
}

/* 410, or a link the service knows no more (facts 7.3): everything is
 * enumerated anew, and compared; nothing is dropped for that. */
static void start_anew(struct engine *e, struct job *j)
{
	int rc = set_state(e, DELTA_ANEW, "");

	if (rc == 0)
		rc = engine_missing_doubt(e, !is_server_right(j->code));
	e->missing.on = false;

	CRASH_POINT("feed-starts-anew");
	log_warn("delta status=%ld code=%s action=enumerate_anew", j->status,
	         j->code);
	if (rc < 0) {
		engine_delta_later(e, j, rc);
		return;
	}
	e->delta_full = true;
	engine_feed_lost(e);
	delta_fetch(e, j);
}

static void delta_answered(struct engine *e, struct job *j)
{
	if (j->rc == 0 && j->json)
		page_came(e, j);
	else if (j->rc == -ECANCELED)
		engine_delta_later(e, j, j->rc);
	else if (!j->linked && engine_feed_refused(e, j->status))
		delta_fetch(e, j);
	else if (j->verdict == RETRY_RESTART || j->status == 410 ||
	         j->status == 400 || j->status == 404)
		if (e->delta_fails++ < 3)
			start_anew(e, j);
		else
			engine_delta_later(e, j, -EIO);
	else
		engine_delta_later(e, j, j->rc < 0 ? j->rc : -EBADMSG);
}

static int get_link(struct engine *e, char *out_link)
{
	struct db *db;
	int rc = store_reader(e->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = store_get_text(db, "delta_link", out_link, LINK_MAX);
	store_reader_done(e->opt.store, db);
	return rc;
}

static void delta_fetch(struct engine *e, struct job *j)
{
	char *link;
	int rc;

	if (engine_feed_walks(e)) {
		engine_feed_walk(e, j);
		return;
	}
	link = malloc(LINK_MAX);
	rc = link ? get_link(e, link) : -ENOMEM;
	graph_prepared_done(&j->call);
	j->linked = rc == 0 && link[0];
	if (j->linked)
		rc = graph_prepare_link(e->opt.graph, link, &j->call);
	else if (rc == 0)
		rc = engine_feed_prepare(e, j);
	free(link);
	if (rc < 0) {
		engine_delta_later(e, j, rc);
		return;
	}
	j->call.c.prio = HTTP_PRIO_META;
	job_send(j, delta_answered, job_answered_json);
}

static int begin_round(struct engine *e)
{
	int64_t state = DELTA_ANEW;
	struct db *db;
	int rc = store_begin(e->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = store_get_int(db, "delta_state", DELTA_ANEW, &state);
	if (rc == 0)
		rc = store_set_int(db, "round", e->round + 1);
	rc = store_end(e->opt.store, rc);
	if (rc < 0)
		return rc;
	lock_take(&e->lock, LOCK_LEAF);
	e->round++;
	lock_drop(&e->lock, LOCK_LEAF);
	e->delta_full = state != DELTA_AFTER || engine_feed_walks(e);
	/* One that was broken off goes on: as long ago as that. */
	if (state != DELTA_FULL || !e->round_told)
		e->round_told = told_now(e->told);
	return 0;
}

void engine_delta_start(struct engine *e, int64_t now_ms)
{
	struct job *j;
	int rc = begin_round(e);

	e->delta_due_now = false;
	if (rc < 0) {
		e->delta_due_ms = now_ms + ENGINE_RETRY_MIN_MS;
		return;
	}
	j = job_new(e, 0, PLAN_WAIT_ROUND);
	if (!j) {
		e->delta_due_ms = now_ms + ENGINE_RETRY_MIN_MS;
		return;
	}
	e->delta_running = true;
	delta_fetch(e, j);
}

int engine_delta_load(struct engine *e)
{
	int64_t done = 0, sync = 0;
	struct db *db;
	int rc = store_reader(e->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = store_get_int(db, "round", 0, &e->round);
	if (rc == 0)
		rc = store_get_int(db, "last_sync", 0, &sync);
	if (rc == 0)
		rc = store_get_int(db, "round_done", 0, &done);
	if (rc == 0)
		rc = engine_missing_load(e, db);
	if (rc == 0)
		rc = engine_feed_load(e, db);
	store_reader_done(e->opt.store, db);
	e->status.listed = done > 0;
	e->status.last_sync_ns = sync;
	return rc;
}

void engine_settle(struct engine *e)
{
	int64_t started = clock_mono_ms(), n = 0;
	struct db *db;
	int rc = store_reader(e->opt.store, &db);

	e->settle_wanted = false;
	if (rc == 0) {
		rc = seen_count(db, &n);
		store_reader_done(e->opt.store, db);
	}
	if (rc == 0 && n && !e->delta_full)
		rc = remote_settle(e->remote, false, look_id, e);
	if (rc < 0)
		log_warn("merge: %s", error_text(rc));
	e->settle_due_ms = clock_mono_ms() + SETTLE_GAP_MS;
	if (clock_mono_ms() - started > SETTLE_GAP_MS)
		e->settle_due_ms += SETTLE_SLOW_MS;
}
