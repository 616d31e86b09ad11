#include "fs/engine_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/db.h"
#include "fs/events.h"
#include "fs/held.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/crashpoint.h"
#include "net/log.h"

#define UNDO_INOS 64

struct decision {
	struct decision *next;
	enum hold_dir dir;
	enum engine_verdict verdict;
	engine_decided_fn *done;
	void *arg;
};

/* ---- holding ------------------------------------------------------------- */

int engine_hold_load(struct engine *e)
{
	int64_t out = 0, in = 0;
	struct db *db;
	int rc = store_begin(e->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = hold_start(db, &e->hold.limits);
	if (rc == 0)
		rc = hold_get_since(db, HOLD_OUT, &out);
	if (rc == 0)
		rc = hold_get_since(db, HOLD_IN, &in);
	e->holds = out;
	e->holds_in = in;
	if (rc == 0 && (out || in))
		log_warn("what was held still is: run `nmbackupfs status`");
	return store_end(e->opt.store, rc);
}

/* Whoever waits for it waits for a person, too. */
void engine_set_waits(struct engine *e, struct todo_entry *t, bool waits)
{
	if (t->waits == waits)
		return;
	t->waits = waits;
	e->nheld += waits ? 1 : -UINT64_C(1);
	if (waits)
		todo_wake(e->todo, t->ino, clock_mono_ms());
}

static int begin_hold(struct engine *e)
{
	struct hold_counts c;
	struct db *db;
	int rc = store_begin(e->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = hold_count(db, HOLD_OUT, &c);
	if (rc == 0)
		rc = hold_begin(db, HOLD_OUT);
	rc = store_end(e->opt.store, rc);
	if (rc < 0)
		return rc;
	CRASH_POINT("hold-begun");
	e->holds = true;
	events_put(e->opt.events, EVENT_HELD, 0, NULL, NULL,
	           "deletes and overwrites, not sent");
	log_warn("deletes and overwrites items=%" PRId64 " of=%" PRId64
	         " action=held: what is not sent yet waits for `nmbackupfs "
	         "approve`; `nmbackupfs undo` takes it back",
	         c.items, c.total);
	return 0;
}

/* `approve` and `undo` read all dirty rows anew. */
void engine_step_hold(struct engine *e, struct todo_entry *t)
{
	int rc = e->view->in.held && !e->holds ? begin_hold(e) : 0;

	if (rc < 0)
		engine_again_later(e, t->ino, "state.db", rc);
	engine_set_waits(e, t, true);
	engine_flush_check(e, t->ino);
}

/* How much is held; *out_on: there is a hold, of whatever. */
static int count_held(struct engine *e, enum hold_dir dir, bool *out_on,
                      int64_t *out_n)
{
	struct held held = { 0 };
	int64_t since;
	struct db *db;
	int rc = store_reader(e->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = hold_get_since(db, dir, &since);
	if (rc == 0 && since)
		rc = held_count(db, dir, &held);
	store_reader_done(e->opt.store, db);
	*out_on = since;
	*out_n = held.deletes + held.overwrites;
	return rc;
}

static int release(struct engine *e, enum hold_dir dir)
{
	struct db *db;
	int rc = store_begin(e->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = store_end(e->opt.store, hold_release(db, dir));
	if (rc == 0)
		log_info("hold direction=%s action=released nothing is held "
		         "any more",
		         dir == HOLD_OUT ? "outgoing" : "incoming");
	return rc;
}

/* Not while something is looked for that may be gone. */
static bool looks_for_some(struct engine *e)
{
	bool some;

	lock_take(&e->lock, LOCK_LEAF);
	some = e->njobs > 1 || e->nlooks; /* one: the round's */
	lock_drop(&e->lock, LOCK_LEAF);
	return some || e->missing.on;
}

void engine_hold_tidy(struct engine *e)
{
	int64_t n;
	bool on;

	if (e->holds && count_held(e, HOLD_OUT, &on, &n) == 0 && !n &&
	    release(e, HOLD_OUT) == 0)
		e->holds = false;
	if (count_held(e, HOLD_IN, &on, &n) < 0)
		return;
	e->holds_in = n;
	if (on && !n && !looks_for_some(e))
		release(e, HOLD_IN);
}

/* ---- what a person says -------------------------------------------------- */

int engine_decide(struct engine *e, enum hold_dir dir,
                  enum engine_verdict verdict, engine_decided_fn *done,
                  void *arg)
{
	struct decision *d = calloc(1, sizeof(*d)), **pp;

	if (!d)
		return -ENOMEM;
	*d = (struct decision){
		.dir = dir, .verdict = verdict, .done = done, .arg = arg
	};
	lock_take(&e->lock, LOCK_LEAF);
	for (pp = &e->decisions; *pp; pp = &(*pp)->next)
		;
	*pp = d;
	pthread_cond_signal(&e->wake);
	lock_drop(&e->lock, LOCK_LEAF);
	return 0;
}

static struct decision *take_decisions(struct engine *e)
{
	struct decision *list;

	lock_take(&e->lock, LOCK_LEAF);
	list = e->decisions;
	e->decisions = NULL;
	lock_drop(&e->lock, LOCK_LEAF);
	return list;
}

static int approve(struct engine *e, enum hold_dir dir,
                   struct engine_decided *out)
{
	struct held held;
	struct db *db;
	int rc = store_begin(e->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = held_count(db, dir, &held);
	if (rc == 0)
		rc = held_approve(db, dir);
	rc = store_end(e->opt.store, rc);
	CRASH_POINT("approved");
	if (rc == 0)
		out->done = held.deletes + held.overwrites;
	return rc;
}

static int list_held(struct engine *e, uint64_t after, uint64_t *out_inos)
{
	struct db *db;
	int n = store_reader(e->opt.store, &db);

	if (n < 0)
		return n;
	n = held_list(db, after, UNDO_INOS, out_inos);
	store_reader_done(e->opt.store, db);
	return n;
}

static int undo_one(struct engine *e, uint64_t ino, struct engine_decided *out)
{
	const struct todo_entry *t = todo_find(e->todo, ino);
	bool kept = false;
	int rc = t && t->job ? -EBUSY
	                     : remote_undo(e->remote, ino, e->opt.contents,
	                                   out->where, &kept);

	if (rc == -EBUSY)
		out->busy++;
	else if (rc == 0)
		out->done++;
	out->kept += kept;
	return rc == -EBUSY ? 0 : rc;
}

static void name_place(char *out, size_t size)
{
	struct timespec ts = clock_ns_to_timespec(clock_real_ns());
	struct tm tm;

	if (!localtime_r(&ts.tv_sec, &tm) ||
	    !strftime(out, size, "undo-%Y%m%d-%H%M%S", &tm))
		snprintf(out, size, "undo");
}

static int undo_out(struct engine *e, struct engine_decided *out)
{
	uint64_t inos[UNDO_INOS], after = 0;
	struct db *db;
	int n, rc = 0;

	name_place(out->where, sizeof(out->where));
	do {
		n = list_held(e, after, inos);
		for (int i = 0; i < n && rc == 0; i++)
			rc = undo_one(e, inos[i], out);
		if (n > 0)
			after = inos[n - 1];
	} while (rc == 0 && n == UNDO_INOS);
	if (n < 0 || rc < 0 || out->busy)
		return n < 0 ? n : rc;
	rc = store_begin(e->opt.store, &db);
	if (rc < 0)
		return rc;
	rc = hold_end(db, HOLD_OUT);
	return store_end(e->opt.store, rc);
}

static int undo_in(struct engine *e, struct engine_decided *out)
{
	struct remote_kept kept;
	int rc = remote_keep_held(e->remote, &kept);

	out->done = kept.done;
	out->lost = kept.lost;
	return rc;
}

/* Is there anything to decide? */
static int is_held(struct engine *e, enum hold_dir dir)
{
	int64_t n;
	bool on;
	int rc = count_held(e, dir, &on, &n);

	return rc < 0 ? rc : on ? 0 : -ENOENT;
}

static void forget_waits(void *arg, struct todo_entry *t)
{
	(void)arg;
	t->waits = false;
}

static int decide(struct engine *e, const struct decision *d,
                  struct engine_decided *out)
{
	int rc = is_held(e, d->dir);

	if (rc == 0)
		rc = d->verdict == ENGINE_APPROVE ? approve(e, d->dir, out)
		     : d->dir == HOLD_OUT         ? undo_out(e, out)
		                                  : undo_in(e, out);
	if (rc < 0)
		return rc;
	memset(&e->hold.known, 0, sizeof(e->hold.known));
	if (d->dir == HOLD_IN)
		e->holds_in = false;
	else if (!out->busy)
		e->holds = false;
	log_warn("hold direction=%s verdict=%s items=%" PRId64 " kept=%" PRId64
	         " busy=%" PRId64 " lost=%" PRId64,
	         d->dir == HOLD_OUT ? "outgoing" : "incoming",
	         d->verdict == ENGINE_APPROVE ? "approve" : "undo", out->done,
	         out->kept, out->busy, out->lost);
	/* All are planned anew; what still waits says so then. */
	todo_each(e->todo, forget_waits, NULL);
	e->nheld = 0;
	engine_load_dirty(e);
	if (d->dir == HOLD_IN)
		e->delta_due_now = true;
	return 0;
}

void engine_hold_run(struct engine *e)
{
	struct decision *d, *list = take_decisions(e);

	while ((d = list)) {
		struct engine_decided out = { 0 };
		int rc = decide(e, d, &out);

		list = d->next;
		d->done(d->arg, rc, &out);
		free(d);
	}
}

void engine_hold_end_all(struct engine *e, int rc)
{
	struct engine_decided none = { 0 };
	struct decision *d, *list = take_decisions(e);

	while ((d = list)) {
		list = d->next;
		d->done(d->arg, rc, &none);
		free(d);
	}
}
