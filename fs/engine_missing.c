#include "fs/engine_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/db.h"
#include "fs/ledger.h"
#include "fs/seen.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/error_text.h"
#include "net/log.h"

/* What a full enumeration did not bring is asked for one by one: absence is not
 * a delete (promise 4), a GET by id that says 404 is one. It comes to fs/seen
 *as if the feed had told it, so that too many at a time are held like others.
 *
 * Kept in the store (table meta), so that a restart goes on with it:
 *
 *	missing_round  the enumeration that ended with the ids in `listed`; 0:
 *	               none, or it is under way
 *	missing_keep   1: the service said that it may have lost things itself
 *	               (facts 7.3): what is gone is kept here, and sent again
 *	reconciled     when this was last done, ns since 1970 */

#define CHUNK     64
#define MAX_LOOKS 6
#define FRESH_NS  (3600 * NS_PER_SEC) /* ours, and maybe not everywhere yet */
#define SETTLE_MS 200
#define MINUTE_NS (60 * NS_PER_SEC)

int engine_missing_note(struct db *db, int64_t round)
{
	return store_set_int(db, "missing_round", round);
}

int engine_missing_doubt(struct engine *e, bool keep)
{
	struct db *db;
	int rc = store_begin(e->opt.store, &db);

	if (rc == 0) {
		rc = store_set_int(db, "missing_keep", keep);
		rc = store_end(e->opt.store, rc);
	}
	if (rc == 0)
		e->missing.keep = keep;
	return rc;
}

int engine_missing_load(struct engine *e, struct db *db)
{
	int64_t keep = 0;
	int rc = store_get_int(db, "missing_round", 0, &e->missing.round);

	if (rc == 0)
		rc = store_get_int(db, "missing_keep", 0, &keep);
	if (rc == 0)
		rc = store_get_int(db, "reconciled", 0, &e->missing.reconciled);
	e->missing.keep = keep;
	e->missing.on = e->missing.round != 0;
	return rc;
}

void engine_missing_begin(struct engine *e)
{
	e->missing.on = true;
	e->missing.round = e->round;
	e->missing.after = e->missing.next = 0;
	e->missing.running = e->missing.fails = 0;
	e->missing.failed = false;
	e->missing.due_ms = 0;
}

bool engine_missing_is_due(const struct engine *e)
{
	int64_t every = e->opt.reconcile_interval_ms * 1000000;
	int64_t since = clock_real_ns() - e->missing.reconciled;

	/* A clock that was set back makes it once too often. */
	return every && !e->missing.on &&
	       (since >= every || since < -MINUTE_NS);
}

int64_t engine_missing_next_ms(const struct engine *e)
{
	return e->missing.on && !e->missing.running ? e->missing.due_ms
	                                            : TODO_NEVER;
}

static int edit_end(struct engine *e, int64_t now)
{
	struct db *db;
	int rc = store_begin(e->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = listed_drop_unmet(db, e->missing.round);
	if (rc == 0)
		rc = listed_clear(db);
	if (rc == 0)
		rc = store_set_int(db, "missing_round", 0);
	if (rc == 0)
		rc = store_set_int(db, "missing_keep", 0);
	if (rc == 0)
		rc = store_set_int(db, "reconciled", now);
	return store_end(e->opt.store, rc);
}

static void fail(struct engine *e, const char *what, int rc)
{
	int64_t ms = engine_back_off(e->missing.fails++, ENGINE_RETRY_MAX_MS);

	log_warn("reconcile: %s: %s retry_in_ms=%" PRId64, what, error_text(rc),
	         ms);
	e->missing.due_ms = clock_mono_ms() + ms;
}

static void all_looked_at(struct engine *e)
{
	int64_t now = clock_real_ns();
	int rc = edit_end(e, now);

	if (rc < 0) {
		fail(e, "state.db", rc);
		return;
	}
	log_debug("reconcile round=%" PRId64 " done", e->missing.round);
	e->missing.on = e->missing.keep = false;
	e->missing.reconciled = now;
}

/* ---- one item ------------------------------------------------------------ */

static void looked(struct engine *e, struct job *j);

static void ask(struct engine *e, struct job *j)
{
	int rc;

	graph_prepared_done(&j->call);
	rc = graph_prepare_get_item(e->opt.graph, j->item_id, &j->call);
	if (rc < 0) {
		j->rc = rc;
		j->status = 0;
		looked(e, j);
		return;
	}
	j->call.c.prio = HTTP_PRIO_META;
	j->call.c.batch = true;
	job_send(j, looked, job_answered);
}

/* Sent by us a moment ago: the service answers from more than one place. */
static bool is_fresh(struct engine *e, const char *id)
{
	struct ledger_entry *l = malloc(sizeof(*l));
	struct db *db;
	bool fresh = false;

	if (l && store_reader(e->opt.store, &db) == 0) {
		fresh = ledger_get(db, id, l) == 0 &&
		        l->what != LEDGER_DELETED &&
		        clock_real_ns() - l->time < FRESH_NS;
		store_reader_done(e->opt.store, db);
	}
	free(l);
	return fresh;
}

static int note_gone(struct engine *e, struct job *j)
{
	struct db *db;
	int rc;

	memset(&j->item, 0, sizeof(j->item));
	memcpy(j->item.id, j->item_id, sizeof(j->item.id));
	j->item.deleted = true;
	j->item.keep = e->missing.keep || is_fresh(e, j->item_id);
	log_info("id=%s is no more on OneDrive, though the feed did not say so"
	         "%s",
	         j->item_id, j->item.keep ? " kept=local" : "");
	rc = store_begin(e->opt.store, &db);
	if (rc == 0) {
		rc = seen_put(db, &j->item, e->round);
		rc = store_end(e->opt.store, rc);
	}
	if (e->delta_due_ms > clock_mono_ms() + SETTLE_MS)
		e->delta_due_ms = clock_mono_ms() + SETTLE_MS;
	return rc;
}

static void done(struct engine *e, struct job *j, int rc)
{
	if (j->missing == e->missing.round) {
		e->missing.failed |= rc < 0;
		e->missing.running--;
	}
	if (j->missing == e->missing.round && !e->missing.running) {
		e->missing.due_ms = 0;
		if (e->missing.failed) {
			fail(e, "look", rc < 0 ? rc : -EIO);
		} else {
			e->missing.after = e->missing.next;
			e->missing.fails = 0;
		}
	}
	engine_job_done(e, j);
}

static void looked(struct engine *e, struct job *j)
{
	int rc = j->rc;

	if (j->status == 404)
		rc = note_gone(e, j);
	else if (rc == 0 && !j->has_item)
		rc = -EBADMSG;
	else if (rc == 0 && told_since(e->told, j->item_id, j->asked) &&
	         j->looks++ < MAX_LOOKS) {
		ask(e, j);
		return;
	} else if (rc == 0) {
		rc = engine_take_looked(e, j);
	}
	done(e, j, rc == -EAGAIN ? 0 : rc);
}

static int start(struct engine *e, uint64_t ino)
{
	struct node *n = malloc(sizeof(*n));
	struct job *j = NULL;
	struct db *db;
	int rc = n ? store_reader(e->opt.store, &db) : -ENOMEM;

	if (rc == 0) {
		rc = node_get(db, ino, n);
		store_reader_done(e->opt.store, db);
	}
	if (rc == 0 && node_on_server(n)) {
		j = job_new(e, 0, PLAN_WAIT_JOB);
		rc = j ? 0 : -ENOMEM;
	}
	if (j) {
		memcpy(j->item_id, n->s_id, sizeof(j->item_id));
		j->missing = e->missing.round;
		ask(e, j);
	}
	free(n);
	if (!j) /* it went meanwhile, or no memory: counted as its job */
		e->missing.running--;
	return rc == -ENOENT ? 0 : rc;
}

void engine_missing_turn(struct engine *e, int64_t now_ms)
{
	uint64_t inos[CHUNK];
	struct db *db;
	int n;

	if (!e->missing.on || e->missing.running || now_ms < e->missing.due_ms)
		return;
	n = store_reader(e->opt.store, &db);
	if (n == 0) {
		n = listed_missing(db, !e->missing.keep, e->missing.after,
		                   CHUNK, inos);
		store_reader_done(e->opt.store, db);
	}
	if (n < 0) {
		fail(e, "state.db", n);
		return;
	}
	if (n == 0) {
		all_looked_at(e);
		return;
	}
	e->missing.failed = false;
	e->missing.next = inos[n - 1];
	e->missing.running = (unsigned)n + 1; /* not before all are begun */
	for (int i = 0; i < n; i++) {
		if (start(e, inos[i]) < 0)
			e->missing.failed = true;
	}
	if (--e->missing.running)
		return;
	if (e->missing.failed)
		e->missing.due_ms = now_ms + ENGINE_RETRY_MIN_MS;
	else
		e->missing.after = e->missing.next;
}
