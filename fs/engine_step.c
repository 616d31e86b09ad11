#include "fs/engine_internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/db.h"
#include "fs/errand.h"
#include "fs/store.h"
#include "fs/tree.h"
#include "net/clock.h"
#include "net/crashpoint.h"
#include "net/log.h"

#define MAX_RING         64    /* nodes in a chain of waiting */
#define DELETE_AFTER_MS  1000  /* its folder may be next */
#define DELETE_LATEST_MS 60000 /* whatever else is unlinked meanwhile */
#define RECHECK_MS       30000 /* a wake-up that got lost */
#define STILL_OPEN_MS    5000
#define ROUND_GAP_MS     200
#define ROUND_STUCK_MS   5000
#define STILL_WAITS_MS   500
#define HYDRATE_MS       10000

/* ---- slots --------------------------------------------------------------- */

static void queue_push(struct engine *e, struct slot_queue *q,
                       struct todo_entry *t)
{
	if (q->n == q->cap && q->head > q->cap / 2) {
		memmove(q->ino, q->ino + q->head,
		        (q->n - q->head) * sizeof(*q->ino));
		q->n -= q->head;
		q->head = 0;
	}
	if (q->n == q->cap) {
		size_t cap = q->cap ? q->cap * 2 : 64;
		uint64_t *p = realloc(q->ino, cap * sizeof(*p));

		if (!p) { /* no place in the queue: by the clock then */
			todo_set_due(e->todo, t, clock_mono_ms() + 1000);
			return;
		}
		q->ino = p;
		q->cap = cap;
	}
	q->ino[q->n++] = t->ino;
}

static void queue_release(struct engine *e, struct slot_queue *q, size_t max)
{
	while (max-- && q->head < q->n) {
		struct todo_entry *t = todo_find(e->todo, q->ino[q->head++]);

		if (t && !t->job)
			todo_hasten(e->todo, t, clock_mono_ms());
	}
	if (q->head == q->n)
		q->head = q->n = 0;
}

static size_t room(unsigned max, unsigned used)
{
	return used < max ? max - used : 0;
}

void engine_slots_freed(struct engine *e)
{
	queue_release(e, &e->want_meta, room(ENGINE_MAX_META, e->nmeta));
	queue_release(e, &e->want_big, room(ENGINE_MAX_BIG, e->nbig));
	if (e->small_bytes < ENGINE_SMALL_BYTES)
		queue_release(e, &e->want_small,
		              room(ENGINE_MAX_SMALL, e->nsmall));
}

void engine_round_ended(struct engine *e)
{
	queue_release(e, &e->want_round, SIZE_MAX);
}

static bool take_meta_slot(struct engine *e, struct todo_entry *t)
{
	if (e->nmeta < ENGINE_MAX_META)
		return true;
	queue_push(e, &e->want_meta, t);
	return false;
}

static bool take_send_slot(struct engine *e, struct todo_entry *t,
                           const struct plan_view *v)
{
	const struct codec *codec = e->opt.codec;
	uint64_t size = codec->ops->sealed_size(codec, v->n.size);

	if (size > codec->ops->small_max) {
		if (e->nbig < ENGINE_MAX_BIG)
			return true;
		queue_push(e, &e->want_big, t);
		return false;
	}
	if (e->nsmall < ENGINE_MAX_SMALL &&
	    e->small_bytes + size <= ENGINE_SMALL_BYTES)
		return true;
	queue_push(e, &e->want_small, t);
	return false;
}

/* ---- planning ------------------------------------------------------------ */

static int plan_ino(struct engine *e, uint64_t ino, struct plan_view *v,
                    struct plan_out *out)
{
	struct todo_entry *t = todo_find(e->todo, ino);
	struct db *db;
	int rc = store_snapshot(e->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = gather_plan(&e->gather, db, ino, v);
	store_reader_done(e->opt.store, db);
	if (rc < 0)
		return rc;
	v->in.now_ms = clock_mono_ms();
	v->in.quiet_ms = e->opt.write_back_delay_ms;
	v->in.max_age_ms = e->opt.max_dirty_age_ms;
	v->in.attempt.running = t && t->job && v->in.attempt.open;
	v->in.hurry = engine_flush_wants(e, ino);
	if (t && t->header_failed)
		v->in.header_wanted = false;
	*out = plan_next(&v->in);
	return 0;
}

bool engine_still_wants(struct engine *e, uint64_t ino, enum plan_action action)
{
	struct plan_out out;

	return plan_ino(e, ino, e->view2, &out) == 0 && out.action == action;
}

/* Does the chain of those that wait lead back to `ino`? */
static bool is_ring(struct engine *e, uint64_t ino, uint64_t on)
{
	struct plan_out out;

	for (int i = 0; i < MAX_RING; i++) {
		if (on == ino)
			return true;
		if (on == NODE_ROOT || plan_ino(e, on, e->view2, &out) < 0 ||
		    out.action != PLAN_WAIT_NODE)
			return false;
		on = out.on;
	}
	return false;
}

static void done_with(struct engine *e, struct todo_entry *t)
{
	uint64_t ino = t->ino;

	engine_set_waits(e, t, false);
	/* Who waits for it although it has nothing to do must not spin. */
	todo_remove(e->todo, t, clock_mono_ms() + STILL_WAITS_MS);
	engine_flush_check(e, ino);
}

static void step_clean(struct engine *e, struct todo_entry *t)
{
	int rc = outcome_clean(&e->outcome, e->view);

	CRASH_POINT("node-clean");

	if (rc == 1) {
		e->cleaned++;
		done_with(e, t);
	} else if (rc == 0)
		todo_set_due(e->todo, t, clock_mono_ms());
	else
		engine_again_later(e, t->ino, "state.db", rc);
}

static void step_forget(struct engine *e, struct todo_entry *t)
{
	int rc = outcome_forget(&e->outcome, t->ino);

	CRASH_POINT("node-forgotten");

	if (rc == 0)
		done_with(e, t);
	else if (rc == -EBUSY) /* somebody still has it open */
		todo_set_due(e->todo, t, clock_mono_ms() + STILL_OPEN_MS);
	else
		engine_again_later(e, t->ino, "state.db", rc);
}

static void step_block(struct engine *e, struct todo_entry *t, int rc,
                       const char *why)
{
	engine_block(e, t->ino, rc, why);
	log_warn("ino=%" PRIu64 " name=\"%s\" blocked: %s kept=local", t->ino,
	         e->view->n.name, why);
	todo_set_due(e->todo, t, clock_mono_ms() + ENGINE_BLOCKED_MS);
	engine_flush_check(e, t->ino);
}

static void step_adopt(struct engine *e, struct todo_entry *t, uint64_t from)
{
	const struct todo_entry *f = todo_find(e->todo, from);
	int64_t now = clock_mono_ms();
	int rc;

	if (f && f->job) { /* it may be about to send something to it */
		if (todo_wait_on(e->todo, t, from, now, now + RECHECK_MS) < 0)
			todo_set_due(e->todo, t, now + STILL_OPEN_MS);
		return;
	}
	rc = outcome_adopted(&e->outcome, t->ino, from);
	CRASH_POINT("item-adopted");
	if (rc < 0) {
		engine_again_later(e, t->ino, "takes over an item", rc);
		return;
	}
	engine_again(e, from);
	engine_again(e, t->ino);
}

static void want_round(struct engine *e, int64_t now, int64_t gap)
{
	int64_t due = e->round_ended_ms + gap;

	if (due < now)
		due = now;
	if (e->delta_due_ms > due)
		e->delta_due_ms = due;
}

void engine_wait_round(struct engine *e, struct todo_entry *t)
{
	int64_t now = clock_mono_ms();

	todo_set_due(e->todo, t, now + RECHECK_MS);
	queue_push(e, &e->want_round, t);
	want_round(e, now, ROUND_GAP_MS);
}

/* `rm -r` unlinks what is in a folder before the folder: a moment's patience
 * makes one request of a thousand, and one round of the feed does for all of
 * its folders. As long as more is unlinked it is prolonged, unless somebody
 * waits for the name; doubled each time, since each look costs something, and a
 * hundred thousand may wait. */
static bool is_time_to_delete(struct engine *e, struct todo_entry *t)
{
	int64_t now = clock_mono_ms(), due, waited;

	if (!t->delete_ms) {
		t->delete_ms = now + DELETE_AFTER_MS;
		e->unlinked_ms = now;
	}
	due = t->delete_ms;
	waited = now - t->delete_ms + DELETE_AFTER_MS;
	if (now >= due && waited < DELETE_LATEST_MS && !t->waiters &&
	    now < e->unlinked_ms + DELETE_AFTER_MS)
		due = now + waited;
	if (now >= due || e->view->in.hurry)
		return true;
	todo_set_due(e->todo, t, due);
	return false;
}

static void step_wait(struct engine *e, struct todo_entry *t,
                      const struct plan_out *out)
{
	int64_t now = clock_mono_ms();

	if (out->action == PLAN_WAIT_TIME) {
		todo_set_due(e->todo, t, now + out->wait_ms);
	} else if (out->action == PLAN_WAIT_NODE) {
		const struct todo_entry *on = todo_find(e->todo, out->on);

		engine_set_waits(e, t, on && on->waits);
		if (t->waits)
			engine_flush_check(e, t->ino);
		if (todo_wait_on(e->todo, t, out->on, now, now + RECHECK_MS))
			todo_set_due(e->todo, t, now + 1000);
	} else if (out->action == PLAN_WAIT_ROUND) {
		if (!is_time_to_delete(e, t))
			return;
		/* Soon; not at once if the last one did not help, because
		 * something that it brought has to wait itself. */
		want_round(e, now,
		           e->view->in.round_done < 0 ? ROUND_STUCK_MS
		                                      : ROUND_GAP_MS);
		queue_push(e, &e->want_round, t);
	} else if (out->action == PLAN_WAIT_WHOLE) {
		if (e->opt.hydrate)
			e->opt.hydrate(e->opt.arg, t->ino);
		todo_set_due(e->todo, t, now + HYDRATE_MS);
	}
}

static void step_request(struct engine *e, struct todo_entry *t,
                         const struct plan_out *out)
{
	struct plan_view *v = e->view;

	if (t->blocked) { /* what comes of it now is what counts */
		outcome_unblocked(&e->outcome, t->ino);
		t->blocked = false;
	}
	switch (out->action) {
	case PLAN_MKDIR:
		if (take_meta_slot(e, t))
			engine_start_mkdir(e, v);
		break;
	case PLAN_MOVE:
	case PLAN_ASIDE:
		if (take_meta_slot(e, t))
			engine_start_move(e, v, out->action == PLAN_ASIDE);
		break;
	case PLAN_DELETE:
		if (is_time_to_delete(e, t) && take_meta_slot(e, t))
			engine_start_delete(e, v);
		break;
	case PLAN_CREATE:
	case PLAN_REPLACE:
		if (!engine_full_bars(e, t) && take_send_slot(e, t, v))
			engine_start_send(e, v);
		break;
	case PLAN_READ_LINK:
		if (take_meta_slot(e, t))
			engine_start_link(e, v);
		break;
	case PLAN_READ_HEADER:
		if (take_meta_slot(e, t))
			engine_start_header(e, v);
		break;
	case PLAN_RESUME:
		if (take_send_slot(e, t, v))
			engine_start_resume(e, v);
		break;
	case PLAN_ABANDON:
		if (take_meta_slot(e, t))
			engine_start_abandon(e, v, NULL);
		break;
	case PLAN_CLEAN:
	case PLAN_FORGET:
	case PLAN_WAIT_TIME:
	case PLAN_WAIT_NODE:
	case PLAN_WAIT_ROUND:
	case PLAN_WAIT_WHOLE:
	case PLAN_WAIT_JOB:
	case PLAN_HOLD:
	case PLAN_BLOCK:
	case PLAN_ADOPT:
		assert(0);
	}
}

static void step_out(struct engine *e, struct todo_entry *t,
                     const struct plan_out *out)
{
	if (out->action != PLAN_HOLD && out->action != PLAN_WAIT_NODE)
		engine_set_waits(e, t, false);
	switch (out->action) {
	case PLAN_CLEAN:
		step_clean(e, t);
		break;
	case PLAN_FORGET:
		step_forget(e, t);
		break;
	case PLAN_HOLD:
		engine_step_hold(e, t);
		break;
	case PLAN_BLOCK:
		step_block(e, t, out->rc, out->why);
		break;
	case PLAN_ADOPT:
		step_adopt(e, t, out->on);
		break;
	case PLAN_WAIT_TIME:
	case PLAN_WAIT_NODE:
	case PLAN_WAIT_ROUND:
	case PLAN_WAIT_WHOLE:
	case PLAN_WAIT_JOB:
		step_wait(e, t, out);
		break;
	case PLAN_MKDIR:
	case PLAN_MOVE:
	case PLAN_ASIDE:
	case PLAN_DELETE:
	case PLAN_CREATE:
	case PLAN_REPLACE:
	case PLAN_READ_LINK:
	case PLAN_READ_HEADER:
	case PLAN_RESUME:
	case PLAN_ABANDON:
		/* Else it waits for nothing: an opened gate reads all dirty
		 * rows anew. */
		if ((!e->opt.read_only && !e->gate_closed && !e->paused) ||
		    out->action == PLAN_READ_LINK)
			step_request(e, t, out);
		break;
	}
}

/* The root is our folder: found or made by engine_folder.c, never planned. */
static void step_root(struct engine *e, struct todo_entry *t)
{
	struct db *db;
	int rc;

	if (!e->folder_known)
		return;
	rc = store_begin(e->opt.store, &db);
	if (rc == 0) {
		rc = node_set_flags(db, NODE_ROOT, 0, NODE_DIRTY);
		rc = store_end(e->opt.store, rc);
	}
	if (rc == 0)
		done_with(e, t);
	else
		engine_again_later(e, t->ino, "state.db", rc);
}

/* A rename or new folder of an earlier run, or one without an answer: how it
 * ended is looked up before anything is planned on what we knew before. */
static bool has_errand(struct engine *e, struct todo_entry *t)
{
	struct errand *x = malloc(sizeof(*x));
	struct db *db;
	bool has = false;

	if (x && store_reader(e->opt.store, &db) == 0) {
		has = errand_get(db, t->ino, x) == 0;
		store_reader_done(e->opt.store, db);
	}
	if (has && take_meta_slot(e, t))
		engine_start_errand(e, e->view, x);
	free(x);
	return has;
}

void engine_step(struct engine *e, struct todo_entry *t)
{
	struct plan_out out;
	int rc;

	if (t->ino == NODE_ROOT) {
		step_root(e, t);
		return;
	}
	rc = plan_ino(e, t->ino, e->view, &out);
	/* Only what is linked moves aside, or an unlinked folder for something
	 * linked; of an unlinked tree everything waits for the top, and asking
	 * each time costs its square. */
	if (rc == 0 && out.action == PLAN_WAIT_NODE &&
	    (e->view->n.parent || out.on == e->view->in.kept_child) &&
	    is_ring(e, t->ino, out.on)) {
		e->view->in.ring = true;
		out = plan_next(&e->view->in);
	}
	if (rc == -ENOENT) {
		done_with(e, t);
		return;
	}
	if (rc < 0) {
		engine_again_later(e, t->ino, "state.db", rc);
		return;
	}
	if (has_errand(e, t))
		return;
	log_debug("plan ino=%" PRIu64 " name=\"%s\" action=%s on=%" PRIu64
	          " wait_ms=%" PRId64,
	          t->ino, e->view->n.name, plan_action_name(out.action), out.on,
	          out.wait_ms);
	step_out(e, t, &out);
}

void engine_step_running(struct engine *e, struct todo_entry *t)
{
	struct plan_out out;

	if (!t->job->attempt || plan_ino(e, t->ino, e->view, &out) < 0)
		return;
	if (out.action == PLAN_ABANDON)
		engine_start_abandon(e, e->view, t->job);
}

void engine_job_done(struct engine *e, struct job *j)
{
	uint64_t ino = j->ino;
	/* A look that brought nothing is asked for again by the next round. */
	bool in_vain = !ino && j->rc < 0 && j->status != 404;
	struct todo_entry *t;

	job_free(j);
	engine_slots_freed(e);
	e->settle_wanted |= !in_vain;
	if (!ino)
		return;
	t = todo_find(e->todo, ino);
	if (!t)
		return;
	todo_wake(e->todo, ino, clock_mono_ms());
	/* A back-off that was set while the job ended stays. */
	if (t->due_ms == TODO_NEVER && !t->on)
		todo_set_due(e->todo, t, clock_mono_ms());
	engine_flush_check(e, ino);
}

static int add_dirty(void *arg, const struct node *n)
{
	struct engine *e = arg;
	struct todo_entry *t = todo_get(e->todo, n->ino);

	if (!t)
		return -ENOMEM;
	if (!t->job)
		todo_set_due(e->todo, t, clock_mono_ms());
	return 0;
}

int engine_load_dirty(struct engine *e)
{
	struct db *db;
	int rc = store_reader(e->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = node_each_dirty(db, 0, add_dirty, e);
	store_reader_done(e->opt.store, db);
	if (rc < 0)
		log_error("dirty nodes: %s", strerror(-rc));
	return rc;
}
