#include "fs/engine_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/db.h"
#include "fs/events.h"
#include "fs/lock.h"
#include "fs/seen.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/download.h"
#include "net/log.h"

#define STEPS_PER_TURN 256

/* ---- the thread ---------------------------------------------------------- */

struct inbox {
	struct job *jobs;
	uint64_t *notes, *looks;
	size_t nnotes, nlooks;
	bool lost, stop, kick, poll;
};

static void take_inbox(struct engine *e, struct inbox *in)
{
	lock_take(&e->lock, LOCK_LEAF);
	*in = (struct inbox){ .jobs = e->in_head,
		              .notes = e->notes,
		              .nnotes = e->nnotes,
		              .looks = e->looks,
		              .nlooks = e->nlooks,
		              .lost = e->notes_lost,
		              .stop = e->stop,
		              .kick = e->kick,
		              .poll = e->poll_wanted };
	e->in_head = NULL;
	e->in_tail = &e->in_head;
	e->notes = e->looks = NULL;
	e->nnotes = e->notes_cap = e->nlooks = e->looks_cap = 0;
	e->notes_lost = e->kick = e->poll_wanted = false;
	e->kick_clocks = e->list_wanted = false;
	e->answering = e->asked;
	lock_drop(&e->lock, LOCK_LEAF);
}

static void forget_fails(void *arg, struct todo_entry *t)
{
	(void)arg;
	t->fails = t->vain = 0;
}

static void do_kick(struct engine *e)
{
	todo_each(e->todo, forget_fails, NULL);
	engine_full_hurry(e);
	engine_load_dirty(e);
	e->folder_due_ms = 0;
	e->delta_due_now = true;
	e->delta_fails = e->folder_fails = 0;
	graph_kick(e->opt.graph);
}

static void take_notes(struct engine *e, struct inbox *in)
{
	int64_t now = clock_mono_ms();

	if (in->lost) { /* somebody flushes, perhaps: who has made room */
		engine_full_hurry(e);
		engine_load_dirty(e);
	}
	for (size_t i = 0; i < in->nnotes; i++) {
		bool known = todo_find(e->todo, in->notes[i]);
		struct todo_entry *t = todo_get(e->todo, in->notes[i]);

		if (t && !known)
			events_put(e->opt.events, EVENT_QUEUED, t->ino, NULL,
			           NULL, NULL);
		if (t && t->job) {
			engine_step_running(e, t);
		} else if (t) {
			t->fails = t->vain = 0;
			todo_set_due(e->todo, t, now);
		}
	}
	for (size_t i = 0; i < in->nlooks; i++)
		engine_start_look(e, in->looks[i], NULL);
	if (in->nnotes)
		e->settle_wanted = true; /* a writer may have closed */
	free(in->notes);
	free(in->looks);
}

static void run_jobs(struct engine *e, struct job *jobs)
{
	while (jobs) {
		struct job *j = jobs;

		jobs = j->link;
		j->link = NULL;
		j->next(e, j);
	}
}

static void run_steps(struct engine *e)
{
	int64_t now = clock_mono_ms();
	struct todo_entry *t;

	for (int i = 0; i < STEPS_PER_TURN; i++) {
		t = todo_pop(e->todo, now);
		if (!t)
			return;
		if (!t->job)
			engine_step(e, t);
	}
}

static void min_ms(int64_t *ms, int64_t other)
{
	if (other < *ms)
		*ms = other;
}

static void run_clocks(struct engine *e)
{
	int64_t now = clock_mono_ms();

	job_wake_delayed(e, now, false);
	if (!e->folder_wanted && now >= e->folder_due_ms)
		engine_folder_start(e);
	if (e->folder_known && !e->delta_running &&
	    (e->delta_due_now || now >= e->delta_due_ms))
		engine_delta_start(e, now);
	engine_missing_turn(e, now);
	if (e->settle_wanted && now >= e->settle_due_ms)
		engine_settle(e);
	if (e->folder_known)
		engine_list_start(e);
	engine_list_expire(e, now);
	engine_flush_expire(e, now);
}

int64_t engine_next_turn(struct engine *e)
{
	int64_t ms = todo_next_due(e->todo);

	min_ms(&ms, job_next_delayed(e));
	if (!e->folder_wanted)
		min_ms(&ms, e->folder_due_ms);
	if (e->folder_known && !e->delta_running)
		min_ms(&ms, e->delta_due_now ? 0 : e->delta_due_ms);
	if (e->settle_wanted)
		min_ms(&ms, e->settle_due_ms);
	min_ms(&ms, engine_missing_next_ms(e));
	min_ms(&ms, engine_list_next_ms(e));
	min_ms(&ms, engine_flush_next_ms(e));
	return ms == TODO_NEVER ? -1 : ms;
}

static bool inbox_is_empty_locked(const struct engine *e)
{
	return !e->in_head && !e->nnotes && !e->nlooks && !e->notes_lost &&
	       !e->kick && !e->poll_wanted && !e->stop && !e->list_wanted &&
	       !e->kick_clocks && !e->decisions && !e->asked;
}

static void wait_turn(struct engine *e, bool stopping)
{
	int64_t until = stopping ? -1 : engine_next_turn(e);

	lock_take(&e->lock, LOCK_LEAF);
	while (stopping ? !e->in_head : inbox_is_empty_locked(e)) {
		lock_wait_until(&e->wake, &e->lock, until);
		if (until >= 0 && clock_mono_ms() >= until)
			break;
	}
	lock_drop(&e->lock, LOCK_LEAF);
}

/* Every job comes back soon now that the graph is stopped; none goes on. */
static void end_jobs(struct engine *e)
{
	struct job *j;
	bool again;

	do { /* uploads end by their own hand; then their job comes back */
		again = false;
		for (j = e->all; j && !again; j = j->sibling) {
			if (j->upload && !j->abandoned) {
				j->abandoned = again = true;
				upload_cancel(j->upload);
			}
			if (j->download && !again) {
				download_free(j->download);
				j->download = NULL;
				again = true;
			}
		}
	} while (again);
	engine_cancel_readbacks(e);
	while (e->njobs) {
		struct inbox in;

		while (e->delayed) {
			j = e->delayed;
			e->delayed = j->link;
			job_free(j);
		}
		while (e->ready) {
			j = e->ready;
			e->ready = j->link;
			job_free(j);
		}
		take_inbox(e, &in);
		free(in.notes);
		free(in.looks);
		while (in.jobs) {
			j = in.jobs;
			in.jobs = j->link;
			job_free(j);
		}
		if (e->njobs)
			wait_turn(e, true);
	}
}

static void end_turn(struct engine *e)
{
	lock_take(&e->lock, LOCK_LEAF);
	if (e->answering)
		e->asked = e->answering = false;
	lock_drop(&e->lock, LOCK_LEAF);
}

/* Everything that is due; false: the end was asked for, and `in` holds what
 * came along with that. */
static bool take_turn(struct engine *e, struct inbox *in)
{
	take_inbox(e, in);
	if (in->stop)
		return false;
	if (in->kick)
		do_kick(e);
	if (in->poll)
		e->delta_due_now = true;
	engine_hold_run(e);
	run_jobs(e, in->jobs);
	take_notes(e, in);
	run_clocks(e);
	run_steps(e);
	engine_start_ready(e);
	engine_publish(e);
	end_turn(e);
	return true;
}

void engine_turn(struct engine *e)
{
	struct inbox in;

	take_turn(e, &in);
}

static void *engine_run(void *arg)
{
	struct engine *e = arg;
	struct inbox in;

	pthread_setname_np(pthread_self(), "nmb-engine");
	while (take_turn(e, &in))
		wait_turn(e, false);
	e->stopping = true;
	while (in.jobs) {
		struct job *j = in.jobs;

		in.jobs = j->link;
		job_free(j);
	}
	free(in.notes);
	free(in.looks);
	graph_stop(e->opt.graph);
	end_jobs(e);
	engine_flush_end_all(e, -ECANCELED);
	engine_list_end_all(e, -ECANCELED);
	engine_poll_end_all(e, -ECANCELED);
	engine_hold_end_all(e, -ECANCELED);
	return NULL;
}

/* ---- life ---------------------------------------------------------------- */

/* An older copy of the database, or one of another machine, lies here: what it
 * holds of plans and keys is not to be trusted (design: State on disk). */
static int forget_plans(struct engine *e)
{
	struct db *db;
	int rc = store_begin(e->opt.store, &db);

	if (rc < 0)
		return rc;
	log_warn("state.db is older than its directory: pending deletes, open "
	         "uploads and the delta link are dropped, the drive is listed "
	         "anew");
	rc = attempt_delete_all(db);
	if (rc == 0)
		rc = db_run(db,
		            "DELETE FROM node WHERE parent IS NULL AND ino<>1",
		            DB_NONE);
	if (rc == 0)
		rc = db_run(db, "DELETE FROM seen --rolled back", DB_NONE);
	if (rc == 0)
		rc = store_set_text(db, "delta_link", "");
	if (rc == 0) /* a full one: what it does not bring is looked at */
		rc = store_set_int(db, "delta_state", 0);
	if (rc == 0)
		rc = listed_clear(db);
	if (rc == 0)
		rc = store_set_int(db, "missing_round", 0);
	if (rc == 0)
		rc = store_note_rollback(db);
	return store_end(e->opt.store, rc);
}

static int init_parts(struct engine *e)
{
	struct remote_options ro = { .store = e->opt.store,
		                     .tree = e->opt.tree,
		                     .uid = getuid(),
		                     .gid = getgid() };
	char host[64] = "";
	int rc;

	if (e->opt.hold)
		e->hold.limits = *e->opt.hold;
	gethostname(host, sizeof(host) - 1);
	e->told = told_new();
	e->gather = (struct gather){ .codec = e->opt.codec,
		                     .contents = e->opt.contents,
		                     .tree = e->opt.tree,
		                     .told = e->told,
		                     .is_busy = engine_is_busy,
		                     .is_making = engine_is_making,
		                     .hold = &e->hold,
		                     .arg = e };
	ro.gather = e->gather;
	ro.hold = &e->hold;
	ro.events = e->opt.events;
	ro.host = host[0] ? host : "here";
	ro.watched_name = e->opt.watched_name;
	ro.watched = e->opt.watched;
	ro.arg = e->opt.arg;
	e->gate_closed = e->opt.begins_closed;
	e->outcome = (struct outcome){ .store = e->opt.store,
		                       .tree = e->opt.tree,
		                       .contents = e->opt.contents,
		                       .gather = e->gather };
	e->view = plan_view_new();
	e->view2 = plan_view_new();
	e->folder = strdup(e->opt.folder);
	ro.told = e->outcome.told = e->told;
	if (!e->view || !e->view2 || !e->folder || !e->told)
		return -ENOMEM;
	rc = todo_new(&e->todo);
	if (rc == 0)
		rc = remote_new(&ro, &e->remote);
	if (rc == 0 && e->opt.rolled_back)
		rc = forget_plans(e);
	if (rc == 0)
		rc = engine_hold_load(e);
	if (rc == 0)
		rc = engine_folder_load(e);
	if (rc == 0)
		rc = engine_delta_load(e);
	return rc;
}

static void free_parts(struct engine *e)
{
	remote_free(e->remote);
	todo_free(e->todo);
	told_free(e->told);
	plan_view_free(e->view);
	plan_view_free(e->view2);
	free(e->want_meta.ino);
	free(e->want_small.ino);
	free(e->want_big.ino);
	free(e->want_round.ino);
	free(e->notes);
	free(e->looks);
	free(e->folder);
	pthread_cond_destroy(&e->wake);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

int engine_new(const struct engine_options *opt, struct engine **out_e)
{
	struct engine *e = calloc(1, sizeof(*e));
	int rc;

	if (!e)
		return -ENOMEM;
	e->opt = *opt;
	e->in_tail = &e->in_head;
	e->ready_tail = &e->ready;
	e->delta_due_now = true;
	e->next_ticket = 1;
	e->status.quota_total = e->status.quota_used =
		e->status.quota_remaining = -1;
	pthread_mutex_init(&e->lock, NULL);
	lock_cond_init(&e->wake);
	rc = init_parts(e);
	if (rc < 0) {
		free_parts(e);
		return rc;
	}
	engine_load_dirty(e);
	*out_e = e;
	return 0;
}

int engine_start(struct engine *e)
{
	int rc = -pthread_create(&e->thread, NULL, engine_run, e);

	e->started = rc == 0;
	return rc;
}

void engine_stop(struct engine *e)
{
	if (!e || !e->started)
		return;
	lock_take(&e->lock, LOCK_LEAF);
	e->stop = true;
	pthread_cond_signal(&e->wake);
	lock_drop(&e->lock, LOCK_LEAF);
	pthread_join(e->thread, NULL);
	e->started = false;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	engine_stop(e);
	free_parts(e);
}

/* ---- what others call ---------------------------------------------------- */

static void add_note_locked(struct engine *e, uint64_t **list, size_t *n,
                            size_t *cap, uint64_t ino)
{
	if (*n && (*list)[*n - 1] == ino)
		return; /* a run of changes to one node */
	if (*n == *cap) {
		size_t more = *cap ? *cap * 2 : 64;
		uint64_t *p = realloc(*list, more * sizeof(*p));

		if (!p) {
			e->notes_lost = true;
			return;
		}
		*list = p;
		*cap = more;
	}
	(*list)[(*n)++] = ino;
}

void engine_note_dirty(struct engine *e, uint64_t ino)
{
	lock_take(&e->lock, LOCK_LEAF);
	add_note_locked(e, &e->notes, &e->nnotes, &e->notes_cap, ino);
	pthread_cond_signal(&e->wake);
	lock_drop(&e->lock, LOCK_LEAF);
}

void engine_note_settled(struct engine *e, uint64_t ino)
{
	engine_note_dirty(e, ino);
}

void engine_look(struct engine *e, uint64_t ino)
{
	lock_take(&e->lock, LOCK_LEAF);
	add_note_locked(e, &e->looks, &e->nlooks, &e->looks_cap, ino);
	pthread_cond_signal(&e->wake);
	lock_drop(&e->lock, LOCK_LEAF);
}

void engine_kick(struct engine *e)
{
	lock_take(&e->lock, LOCK_LEAF);
	e->kick = true;
	pthread_cond_signal(&e->wake);
	lock_drop(&e->lock, LOCK_LEAF);
}

void engine_ask(struct engine *e)
{
	lock_take(&e->lock, LOCK_LEAF);
	e->asked = true;
	pthread_cond_signal(&e->wake);
	lock_drop(&e->lock, LOCK_LEAF);
}

bool engine_answered(struct engine *e)
{
	bool answered;

	lock_take(&e->lock, LOCK_LEAF);
	answered = !e->asked;
	lock_drop(&e->lock, LOCK_LEAF);
	return answered;
}
