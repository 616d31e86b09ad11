#include "fs/engine_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/events.h"
#include "fs/lock.h"
#include "net/clock.h"
#include "net/error_text.h"
#include "net/log.h"

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
	j->wait_ms = a->wait_ms;
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
void job_wake_delayed(struct engine *e, int64_t now_ms, bool all)
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

int64_t job_next_delayed(const struct engine *e)
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

void engine_set_paused(struct engine *e, const char *why)
{
	lock_take(&e->lock, LOCK_LEAF);
	if (!why && e->paused)
		e->notes_lost = true;
	e->paused = why;
	pthread_cond_signal(&e->wake);
	lock_drop(&e->lock, LOCK_LEAF);
	events_touch(e->opt.events);
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

/* Counts what tells trouble with one node from that of the whole service. */
static uint64_t gone_well(const struct engine *e)
{
	return e->cleaned + e->rounds_ended;
}

void engine_block(struct engine *e, uint64_t ino, int rc, const char *why)
{
	struct todo_entry *t = todo_find(e->todo, ino);

	outcome_blocked(&e->outcome, ino, rc, why);
	events_put(e->opt.events, EVENT_BLOCKED, ino, NULL, NULL, why);
	if (t)
		t->blocked = true;
}

void engine_went_well(struct engine *e, uint64_t ino)
{
	struct todo_entry *t = todo_find(e->todo, ino);

	if (t)
		t->fails = t->vain = 0;
}

static void show_stuck(struct engine *e, uint64_t ino, const char *what, int rc)
{
	char why[256];

	snprintf(why, sizeof(why),
	         "%s: %s, again and again; it goes on being tried", what,
	         error_text(rc));
	engine_block(e, ino, rc, why);
}

void engine_note_stuck(struct engine *e, const struct job *j, const char *what,
                       int rc)
{
	struct todo_entry *t = todo_find(e->todo, j->ino);
	int64_t ms = j->wait_ms ? j->wait_ms : ENGINE_BLOCKED_MS;
	char why[256];

	if (!t || (rc != -EIO && rc != -EBUSY && rc != -ENOTSUP))
		return;
	snprintf(why, sizeof(why),
	         "%s was refused by OneDrive again and again: %s (%ld%s%s)",
	         what, error_text(rc), j->status, j->code[0] ? " " : "",
	         j->code);
	engine_block(e, j->ino, rc, why);
	engine_set_error(e, "%s", why);
	log_warn("ino=%" PRIu64 " blocked: %s kept=local retry_in_ms=%" PRId64,
	         j->ino, why, ms);
	todo_set_due(e->todo, t, clock_mono_ms() + ms);
}

static void tell_failed(struct engine *e, uint64_t ino, const char *what,
                        int rc)
{
	char why[256];

	if (rc == -ECANCELED)
		return;
	snprintf(why, sizeof(why), "%s: %s", what, error_text(rc));
	events_put(e->opt.events, EVENT_FAILED, ino, NULL, NULL, why);
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
		engine_set_error(e, "%s: %s", what, error_text(rc));
	if (!t)
		return;
	ms = engine_back_off(t->fails, ENGINE_RETRY_MAX_MS);
	if (ms > ENGINE_RETRY_MAX_MS)
		ms = ENGINE_RETRY_MAX_MS;
	if (!t->fails++)
		t->well = gone_well(e);
	if (t->fails >= ENGINE_STUCK_FAILS && gone_well(e) != t->well)
		show_stuck(e, ino, what, rc);
	log_warn("ino=%" PRIu64 " %s: %s retry_in_ms=%" PRId64, ino, what,
	         error_text(rc), ms);
	tell_failed(e, ino, what, rc);
	todo_set_due(e->todo, t, clock_mono_ms() + ms);
}
