#include "net/upload_internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "net/clock.h"
#include "net/log.h"
#include "net/work.h"

#define FIRST_FRAGMENT (32 * UPLOAD_GRANULE) /* 10 MiB, facts 0 */
#define PATIENCE_MS    (10 * 60 * 1000)      /* without progress */

/* The opening call outlives an upload that is cancelled meanwhile. */
struct upload_opening {
	struct graph *g;
	struct upload *u; /* NULL: nobody waits for it any more */
};

#define TO(s) (1u << UPLOAD_##s)
static const unsigned upload_moves[UPLOAD_ENDING + 1] = {
	[UPLOAD_NEW] = TO(OPENING) | TO(WAITING) | TO(ENDING),
	[UPLOAD_OPENING] = TO(NOTING) | TO(ENDING),
	[UPLOAD_NOTING] = TO(WAITING) | TO(ENDING),
	[UPLOAD_WAITING] = TO(ASKING) | TO(SENDING) | TO(ENDING),
	[UPLOAD_ASKING] = TO(NOTING) | TO(WAITING) | TO(ENDING),
	[UPLOAD_SENDING] = TO(NOTING) | TO(WAITING) | TO(ENDING),
};

void upload_set_state(struct upload *u, enum upload_state to)
{
	assert(upload_moves[u->state] & (1u << to));
	log_debug("upload total=%" PRIu64 " from=%d to=%d", u->spec.total,
	          u->state, to);
	u->state = to;
}

/* ---- life ---------------------------------------------------------------- */

static void destroy(struct upload *u)
{
	upload_body_done(&u->body);
	pthread_cond_destroy(&u->ended);
	pthread_mutex_destroy(&u->lock);
	sodium_free(u->url);
	cJSON_Delete(u->plan.json);
	free(u->parent_id);
	free(u->name);
	free(u->item_id);
	free(u->etag);
	free(u);
}

static void unref(struct upload *u)
{
	bool last;

	pthread_mutex_lock(&u->lock);
	/* The analyzer takes every reference for the last one. */
	last = --u->refs == 0; /* NOLINT(clang-analyzer-unix.Malloc) */
	pthread_mutex_unlock(&u->lock);
	if (last)
		destroy(u);
}

uint64_t upload_confirmed(struct upload *u)
{
	uint64_t next;

	pthread_mutex_lock(&u->lock);
	next = u->next;
	pthread_mutex_unlock(&u->lock);
	return next;
}

void upload_set_confirmed(struct upload *u, uint64_t next)
{
	pthread_mutex_lock(&u->lock);
	u->next = next;
	pthread_mutex_unlock(&u->lock);
}

/* On a worker; or, without memory for a job, on the network thread. */
static void call_done(void *arg)
{
	struct upload *u = arg;
	struct upload_plan *p = &u->plan;
	struct graph_item item;
	bool has_item = p->json && graph_parse_item(p->json, &item) == 0;
	struct upload_end end = { .rc = p->rc,
		                  .verdict = p->verdict,
		                  .status = p->status,
		                  .code = p->code,
		                  .offline = p->offline,
		                  .wait_ms = p->wait_ms,
		                  .item = has_item ? &item : NULL,
		                  .next = upload_confirmed(u) };

	pthread_mutex_lock(&u->lock);
	u->cancel = true; /* too late for it: no mail */
	pthread_mutex_unlock(&u->lock);
	u->spec.done(u->spec.arg, &end);
	pthread_mutex_lock(&u->lock);
	u->over = true;
	pthread_cond_broadcast(&u->ended);
	pthread_mutex_unlock(&u->lock);
	graph_unref(u->g);
	unref(u);
}

/* The network thread is not to touch it any more. */
static void end(struct upload *u)
{
	upload_set_state(u, UPLOAD_ENDING);
	if (work_submit(u->spec.work, call_done, u) < 0)
		call_done(u);
}

static void end_canceled(struct upload *u)
{
	upload_plan_end(&u->plan, -ECANCELED, RETRY_WAIT);
	end(u);
}

/* ---- noting -------------------------------------------------------------- */

static void call_note(void *arg)
{
	struct upload *u = arg;

	u->note_rc = u->spec.note(u->spec.arg, u->url, upload_confirmed(u));
	graph_post_surely(u->g, &u->worker_mail);
}

static void start_note(struct upload *u)
{
	int rc;

	upload_set_state(u, UPLOAD_NOTING);
	rc = work_submit(u->spec.work, call_note, u);
	if (rc == 0)
		return;
	upload_plan_end(&u->plan, rc, RETRY_WAIT);
	end(u);
}

static void enter_gate(struct upload *u, int64_t due_ms, bool by_trouble)
{
	upload_set_state(u, UPLOAD_WAITING);
	u->slot.units = u->must_ask ? 1 : 2;
	u->slot.due_ms = due_ms;
	u->slot.until_ms = GRAPH_NEVER;
	u->slot.by_trouble = by_trouble;
	graph_gate_enter(u->g, &u->slot);
}

static void noted(struct upload *u)
{
	if (u->canceled) {
		end_canceled(u);
	} else if (u->note_rc < 0) {
		upload_plan_end(&u->plan, u->note_rc, RETRY_FAIL);
		end(u);
	} else {
		enter_gate(u, 0, false);
	}
}

/* ---- carrying out what was decided --------------------------------------- */

static bool out_of_patience(const struct upload *u)
{
	return clock_mono_ms() + u->plan.wait_ms > u->progress_ms + PATIENCE_MS;
}

static void wait_or_give_up(struct upload *u)
{
	struct upload_plan *p = &u->plan;

	if (out_of_patience(u)) {
		p->verdict = RETRY_WAIT;
		end(u);
		return;
	}
	u->must_ask = p->next == PLAN_ASK;
	enter_gate(u, p->wait_ms ? clock_mono_ms() + p->wait_ms : 0,
	           p->by_trouble);
}

void upload_settle(struct upload *u)
{
	bool ended = u->plan.next == PLAN_END && u->plan.rc == 0;

	if (u->canceled && !ended) {
		end_canceled(u);
		return;
	}
	switch (u->plan.next) {
	case PLAN_NOTE:
		u->must_ask = false;
		start_note(u);
		break;
	case PLAN_SEND:
	case PLAN_ASK:
		wait_or_give_up(u);
		break;
	case PLAN_END:
		end(u);
		break;
	}
}

/* ---- its turn ------------------------------------------------------------ */

static struct upload *upload_of_slot(struct graph_slot *s)
{
	return (struct upload *)((char *)s - offsetof(struct upload, slot));
}

static void slot_granted(struct graph_slot *s)
{
	struct upload *u = upload_of_slot(s);

	graph_gate_begin(u->g, s, s->units);
	if (u->must_ask)
		upload_ask(u);
	else
		upload_send(u);
}

static void slot_expired(struct graph_slot *s)
{
	end_canceled(upload_of_slot(s)); /* the graph is stopped */
}

/* ---- opening ------------------------------------------------------------- */

static void plan_from_answer(struct upload *u, const struct graph_answer *a)
{
	u->plan = (struct upload_plan){ .status = a->status,
		                        .offline = a->offline,
		                        .wait_ms = a->wait_ms };
	snprintf(u->plan.code, sizeof(u->plan.code), "%s", a->code);
	if (a->rc < 0)
		upload_plan_end(&u->plan, a->rc, a->verdict);
	else
		upload_plan_end(&u->plan, -EIO,
		                RETRY_WAIT); /* as 502, facts 14 */
}

static void opened(void *arg, const struct graph_answer *a)
{
	struct upload_opening *o = arg;
	struct upload *u = o->u;
	const char *url = a->rc == 0 ? upload_parse_url(a->json) : NULL;

	if (!u && url)
		upload_abandon(o->g, url);
	free(o);
	if (!u)
		return;
	u->opening = NULL;
	u->url = url ? graph_copy_guarded(url) : NULL;
	if (u->url) {
		u->progress_ms = clock_mono_ms();
		start_note(u);
		return;
	}
	plan_from_answer(u, a);
	end(u);
}

static int start_opening(struct upload *u, struct upload_opening *o)
{
	struct graph_prepared p = {
		.c = { .patience_ms = PATIENCE_MS, .done = opened, .arg = o }
	};
	int rc = upload_prepare_open(&u->spec, &p);

	if (rc < 0)
		return rc;
	rc = graph_start(u->g, &p.c);
	graph_prepared_done(&p);
	return rc;
}

static void open_session(struct upload *u)
{
	int rc = -ENOMEM;

	upload_set_state(u, UPLOAD_OPENING);
	u->opening = malloc(sizeof(*u->opening));
	if (u->opening) {
		*u->opening = (struct upload_opening){ .g = u->g, .u = u };
		rc = start_opening(u, u->opening);
	}
	if (rc == 0)
		return;
	free(u->opening);
	u->opening = NULL;
	upload_plan_end(&u->plan, rc == -ESHUTDOWN ? -ECANCELED : rc,
	                RETRY_WAIT);
	end(u);
}

/* ---- mail ---------------------------------------------------------------- */

static void begin(struct graph_mail *m)
{
	struct upload *u = (struct upload *)((char *)m - offsetof(struct upload,
	                                                          begin_mail));

	u->progress_ms = clock_mono_ms();
	if (u->url) {
		u->must_ask = true;
		u->attempt = 1; /* a 404 is no lag: it is not new */
		enter_gate(u, 0, false);
	} else {
		open_session(u);
	}
}

static void worker_left(struct graph_mail *m)
{
	struct upload *u = (struct upload *)((char *)m - offsetof(struct upload,
	                                                          worker_mail));

	if (u->state == UPLOAD_NOTING)
		noted(u);
	else
		upload_settle(u);
}

static void body_idle(struct upload_body *b)
{
	struct upload *u =
		(struct upload *)((char *)b - offsetof(struct upload, body));

	graph_post_surely(u->g, &u->worker_mail);
}

static void cancel_here(struct graph_mail *m)
{
	struct upload *u = (struct upload *)((char *)m - offsetof(struct upload,
	                                                          cancel_mail));
	struct graph *g = u->g;

	u->canceled = true;
	switch (u->state) {
	case UPLOAD_OPENING:
		u->opening->u = NULL;
		end_canceled(u);
		break;
	case UPLOAD_WAITING:
		graph_gate_remove(g, &u->slot);
		end_canceled(u);
		break;
	case UPLOAD_ASKING:
	case UPLOAD_SENDING:
		if (u->req)
			http_cancel(u->req);
		break;
	case UPLOAD_NEW:
	case UPLOAD_NOTING: /* when the worker comes back */
	case UPLOAD_ENDING:
		break;
	}
	unref(u);
	graph_unref(g);
}

/* ---- what others call ---------------------------------------------------- */

static int copy_string(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -ENOMEM : 0;
}

static int copy_spec(struct upload *u, const struct upload_spec *spec)
{
	u->spec = *spec;
	if (copy_string(&u->parent_id, spec->parent_id) < 0 ||
	    copy_string(&u->name, spec->name) < 0 ||
	    copy_string(&u->item_id, spec->item_id) < 0 ||
	    copy_string(&u->etag, spec->etag) < 0)
		return -ENOMEM;
	u->url = spec->url ? graph_copy_guarded(spec->url) : NULL;
	if (spec->url && !u->url)
		return -ENOMEM;
	u->spec.parent_id = u->parent_id;
	u->spec.name = u->name;
	u->spec.item_id = u->item_id;
	u->spec.etag = u->etag;
	u->spec.url = NULL;
	return 0;
}

static void init(struct upload *u)
{
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->ended, NULL);
	u->refs = 2;
	u->g = u->spec.graph;
	u->begin_mail.open = begin;
	u->cancel_mail.open = cancel_here;
	u->worker_mail.open = worker_left;
	u->slot.class = PACE_UPLOAD;
	u->slot.content = true;
	u->slot.granted = slot_granted;
	u->slot.expired = slot_expired;
	u->fragment = FIRST_FRAGMENT;
	u->body.work = u->spec.work;
	u->body.read = u->spec.read;
	u->body.arg = u->spec.arg;
	u->body.idle = body_idle;
}

int upload_start(const struct upload_spec *spec, struct upload **out_u)
{
	struct upload *u;
	int rc;

	if (!spec->total || (spec->url && !http_url_allowed(spec->url)))
		return -EINVAL;
	u = calloc(1, sizeof(*u));
	if (!u)
		return -ENOMEM;
	rc = copy_spec(u, spec);
	init(u);
	if (rc == 0)
		rc = upload_body_init(&u->body);
	if (rc < 0)
		goto err_upload;
	rc = graph_ref_running(u->g);
	if (rc < 0)
		goto err_upload;
	*out_u = u;
	rc = graph_post(u->g, &u->begin_mail);
	if (rc < 0)
		goto err_ref;
	return 0;

err_ref:
	graph_unref(u->g);
err_upload:
	destroy(u);
	return rc;
}

uint64_t upload_sent(struct upload *u)
{
	uint64_t next = upload_confirmed(u),
		 taken = upload_body_taken(&u->body);

	return taken > next ? taken : next;
}

void upload_cancel(struct upload *u)
{
	bool post;

	pthread_mutex_lock(&u->lock);
	post = !u->cancel;
	u->cancel = true;
	if (post) {
		u->refs++;
		graph_ref(u->g); /* it lives: `done` was not called yet */
	}
	pthread_mutex_unlock(&u->lock);
	if (post)
		graph_post_surely(u->g, &u->cancel_mail);
}

void upload_free(struct upload *u)
{
	if (!u)
		return;
	upload_cancel(u);
	pthread_mutex_lock(&u->lock);
	while (!u->over)
		pthread_cond_wait(&u->ended, &u->lock);
	pthread_mutex_unlock(&u->lock);
	unref(u);
}

void upload_release(struct upload *u)
{
	upload_cancel(u);
	unref(u);
}
