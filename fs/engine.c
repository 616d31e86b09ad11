#include "fs/engine_internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "fs/tree.h"
#include "net/clock.h"
#include "net/download.h"
#include "net/log.h"

#define STEPS_PER_TURN 256

/* ---- jobs ---------------------------------------------------------------- */

struct job *job_new(struct engine *e, uint64_t ino, enum plan_action action)
{
	struct job *j = calloc(1, sizeof(*j));
	struct todo_entry *t;

	if (!j)
		return NULL;
	j->e = e;
	j->ino = ino;
	j->action = action;
	lock_take(&e->lock, LOCK_LEAF);
	j->sibling = e->all;
	if (e->all)
		e->all->prev = j;
	e->all = j;
	e->njobs++;
	lock_drop(&e->lock, LOCK_LEAF);
	t = ino ? todo_find(e->todo, ino) : NULL;
	if (t)
		t->job = j;
	return j;
}

void job_free(struct job *j)
{
	struct engine *e = j->e;
	struct todo_entry *t = j->ino ? todo_find(e->todo, j->ino) : NULL;

	if (t && t->job == j)
		t->job = NULL;
	lock_take(&e->lock, LOCK_LEAF);
	if (j->prev)
		j->prev->sibling = j->sibling;
	else
		e->all = j->sibling;
	if (j->sibling)
		j->sibling->prev = j->prev;
	e->njobs--;
	lock_drop(&e->lock, LOCK_LEAF);
	engine_send_release(j);
	if (j->counted_meta)
		e->nmeta--;
	graph_prepared_done(&j->call);
	cJSON_Delete(j->json);
	free(j);
}

void job_post(struct job *j)
{
	struct engine *e = j->e;

	lock_take(&e->lock, LOCK_LEAF);
	j->link = NULL;
	*e->in_tail = j;
	e->in_tail = &j->link;
	pthread_cond_signal(&e->wake);
	lock_drop(&e->lock, LOCK_LEAF);
}

static void take_answer(struct job *j, const struct graph_answer *a)
{
	struct graph_item item;

	j->rc = a->rc;
	j->verdict = a->verdict;
	j->status = a->status;
	j->was_sent = a->was_sent;
	j->offline = a->offline;
	snprintf(j->code, sizeof(j->code), "%s", a->code);
	j->has_item = a->rc == 0 && a->json &&
	              graph_parse_item(a->json, &item) == 0 &&
	              item_copy(&item, &j->item) == 0;
}

void job_answered(void *arg, const struct graph_answer *a)
{
	struct job *j = arg;

	take_answer(j, a);
	job_post(j);
}

void job_answered_json(void *arg, const struct graph_answer *a)
{
	struct job *j = arg;

	take_answer(j, a);
	j->json = a->rc == 0 && a->json ? cJSON_Duplicate(a->json, true) : NULL;
	job_post(j);
}

void job_send(struct job *j, job_fn *next, graph_done_fn *done)
{
	int rc;

	j->next = next;
	j->asked = told_now(j->e->told);
	j->sent_ms = clock_mono_ms();
	j->call.c.done = done;
	j->call.c.arg = j;
	j->call.c.patience_ms = -1;
	rc = graph_start(j->e->opt.graph, &j->call.c);
	if (rc < 0) {
		struct graph_answer a = { .rc = rc,
			                  .verdict = RETRY_WAIT,
			                  .code = "" };

		done(j, &a);
	}
}

void job_delay(struct job *j, int64_t ms, job_fn *next)
{
	j->next = next;
	j->due_ms = clock_mono_ms() + ms;
	j->link = j->e->delayed;
	j->e->delayed = j;
}

/* Those whose time has come, or all (`all`: the engine ends). */
static void wake_delayed(struct engine *e, int64_t now_ms, bool all)
{
	struct job **pp = &e->delayed, *list = NULL;

	while (*pp) {
		struct job *j = *pp;

		if (!all && j->due_ms > now_ms) {
			pp = &j->link;
			continue;
		}
		*pp = j->link;
		j->link = list;
		list = j;
	}
	while (list) {
		struct job *j = list;

		list = j->link;
		j->next(e, j);
	}
}

static int64_t next_delayed(const struct engine *e)
{
	int64_t ms = TODO_NEVER;

	for (const struct job *j = e->delayed; j; j = j->link) {
		if (j->due_ms < ms)
			ms = j->due_ms;
	}
	return ms;
}

/* ---- trouble ------------------------------------------------------------- */

void engine_set_error(struct engine *e, const char *fmt, ...)
{
	char line[256], safe[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log_sanitize(line, safe, sizeof(safe));
	lock_take(&e->lock, LOCK_LEAF);
	snprintf(e->last_error, sizeof(e->last_error), "%.255s", safe);
	lock_drop(&e->lock, LOCK_LEAF);
}

void engine_set_gate(struct engine *e, bool open, const char *why)
{
	if (why)
		engine_set_error(e, "%s", why);
	lock_take(&e->lock, LOCK_LEAF);
	if (open && e->gate_closed)
		e->notes_lost = true;
	e->gate_closed = !open;
	pthread_cond_signal(&e->wake);
	lock_drop(&e->lock, LOCK_LEAF);
}

void engine_again(struct engine *e, uint64_t ino)
{
	struct todo_entry *t = todo_get(e->todo, ino);

	if (t)
		todo_set_due(e->todo, t, clock_mono_ms());
}

int64_t engine_back_off(unsigned fails, int64_t limit_ms)
{
	int64_t ms = ENGINE_RETRY_MIN_MS;

	while (fails-- && ms < limit_ms)
		ms *= 2;
	return ms;
}

bool engine_is_signed_out(struct engine *e, const struct job *j)
{
	struct graph_state g;

	if (j->rc != -EACCES || j->status)
		return false;
	graph_get_state(e->opt.graph, &g);
	return g.signed_out;
}

void engine_again_later(struct engine *e, uint64_t ino, const char *what,
                        int rc)
{
	struct graph_state g;
	struct todo_entry *t = ino ? todo_get(e->todo, ino) : NULL;
	int64_t ms;

	graph_get_state(e->opt.graph, &g);
	if (rc == -EACCES && g.signed_out) {
		engine_set_error(e, "nobody is signed in: run `nmbackupfs "
		                    "auth`");
		if (t)
			todo_set_due(e->todo, t,
			             clock_mono_ms() + ENGINE_SIGN_IN_MS);
		return;
	}
	if (rc != -ECANCELED)
		engine_set_error(e, "%s: %s", what, strerror(-rc));
	if (!t)
		return;
	ms = engine_back_off(t->fails, ENGINE_RETRY_MAX_MS);
	if (ms > ENGINE_RETRY_MAX_MS)
		ms = ENGINE_RETRY_MAX_MS;
	t->fails++;
	log_warn("ino=%" PRIu64 " %s: %s retry_in_ms=%" PRId64, ino, what,
	         strerror(-rc), ms);
	todo_set_due(e->todo, t, clock_mono_ms() + ms);
}

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
	lock_drop(&e->lock, LOCK_LEAF);
}

static void forget_fails(void *arg, struct todo_entry *t)
{
	(void)arg;
	t->fails = 0;
}

static void do_kick(struct engine *e)
{
	todo_each(e->todo, forget_fails, NULL);
	engine_load_dirty(e);
	e->folder_due_ms = 0;
	e->delta_due_now = true;
	e->delta_fails = e->folder_fails = 0;
	graph_kick(e->opt.graph);
}

static void take_notes(struct engine *e, struct inbox *in)
{
	int64_t now = clock_mono_ms();

	if (in->lost)
		engine_load_dirty(e);
	for (size_t i = 0; i < in->nnotes; i++) {
		struct todo_entry *t = todo_get(e->todo, in->notes[i]);

		if (t && t->job) {
			engine_step_running(e, t);
		} else if (t) {
			t->fails = 0;
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

	wake_delayed(e, now, false);
	if (!e->folder_wanted && now >= e->folder_due_ms)
		engine_folder_start(e);
	if (e->folder_known && !e->delta_running &&
	    (e->delta_due_now || now >= e->delta_due_ms))
		engine_delta_start(e, now);
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

	min_ms(&ms, next_delayed(e));
	if (!e->folder_wanted)
		min_ms(&ms, e->folder_due_ms);
	if (e->folder_known && !e->delta_running)
		min_ms(&ms, e->delta_due_now ? 0 : e->delta_due_ms);
	if (e->settle_wanted)
		min_ms(&ms, e->settle_due_ms);
	min_ms(&ms, engine_list_next_ms(e));
	min_ms(&ms, engine_flush_next_ms(e));
	return ms == TODO_NEVER ? -1 : ms;
}

static bool inbox_is_empty_locked(const struct engine *e)
{
	return !e->in_head && !e->nnotes && !e->nlooks && !e->notes_lost &&
	       !e->kick && !e->poll_wanted && !e->stop && !e->list_wanted &&
	       !e->kick_clocks;
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
	run_jobs(e, in->jobs);
	take_notes(e, in);
	run_clocks(e);
	run_steps(e);
	engine_start_ready(e);
	engine_publish(e);
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

	gethostname(host, sizeof(host) - 1);
	e->told = told_new();
	e->gather = (struct gather){ .codec = e->opt.codec,
		                     .contents = e->opt.contents,
		                     .tree = e->opt.tree,
		                     .told = e->told,
		                     .is_busy = engine_is_busy,
		                     .is_making = engine_is_making,
		                     .arg = e };
	ro.gather = e->gather;
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
