#include "net/graph_internal.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "net/clock.h"
#include "net/log.h"

#define MAX_HOPS         3
#define GATHER_MS        4
#define ONE_TRY_QUEUE_MS 30000 /* a call without patience waits its turn */

/* ---- states -------------------------------------------------------------- */

#define TO(s) (1u << CALL_##s)
static const unsigned moves[CALL_DONE + 1] = {
	[CALL_WAITING] = TO(RIDING) | TO(DONE),
	[CALL_RIDING] = TO(WAITING) | TO(DONE),
};

static void set_state(struct call *c, enum call_state to)
{
	assert(moves[c->state] & (1u << to));
	c->state = to;
}

/* ---- the end ------------------------------------------------------------- */

static void free_call(struct call *c)
{
	for (char **h = c->headers; h && *h; h++)
		free(*h);
	free(c->headers);
	free(c->method);
	free(c->path);
	free(c->body);
	free(c->item_key);
	free(c);
}

/* The last thing that happens to a call. */
static void finish(struct call *c, const struct graph_answer *a)
{
	struct graph *g = c->g;

	set_state(c, CALL_DONE);
	graph_publish_state(g); /* what the answer comes from, for its reader */
	c->c.done(c->c.arg, a);
	free_call(c);
	graph_unref(g);
}

static void finish_with(struct call *c, const struct graph_reply *r,
                        const struct retry_out *out)
{
	struct graph_answer a = {
		.rc = out->rc,
		.verdict = out->verdict,
		.status = r->status,
		.code = graph_error_code(r->json),
		.json = r->json,
		.location = r->location,
		.was_sent = r->was_sent || c->maybe_done,
		.offline = out->offline,
		.wait_ms = out->wait_ms,
	};

	finish(c, &a);
}

static void finish_unsent(struct call *c, int rc, enum retry_verdict verdict)
{
	struct graph_reply reply = { .was_sent = c->maybe_done,
		                     .status = c->last_status };
	struct retry_out out = { .rc = rc,
		                 .verdict = verdict,
		                 .offline = c->g->gate.offline };

	finish_with(c, &reply, &out);
}

/* ---- waiting ------------------------------------------------------------- */

static int64_t patience_end_ms(const struct call *c)
{
	if (c->c.patience_ms < 0)
		return GRAPH_NEVER;
	return c->started_ms +
	       (c->c.patience_ms ? c->c.patience_ms : ONE_TRY_QUEUE_MS);
}

static void wait_again(struct call *c, int64_t due_ms, bool by_trouble)
{
	set_state(c, CALL_WAITING);
	c->slot.due_ms = due_ms;
	c->slot.by_trouble = by_trouble;
	graph_gate_enter(c->g, &c->slot);
}

static struct call *call_of(struct graph_slot *s)
{
	return (struct call *)((char *)s - offsetof(struct call, slot));
}

static void slot_granted(struct graph_slot *s)
{
	struct call *c = call_of(s);

	set_state(c, CALL_RIDING);
	graph_trip_start(c);
}

static void slot_expired(struct graph_slot *s)
{
	struct call *c = call_of(s);

	if (c->g->stopped)
		finish_unsent(c, -ECANCELED, RETRY_FAIL);
	else
		finish_unsent(c, c->last_rc ? c->last_rc : -ETIMEDOUT,
		              RETRY_WAIT);
}

struct call *graph_slot_call(struct graph_slot *s)
{
	return s->granted == slot_granted ? call_of(s) : NULL;
}

void graph_call_rides(struct call *c)
{
	set_state(c, CALL_RIDING);
}

void graph_call_alone(struct call *c)
{
	c->slot.joins = false;
	wait_again(c, 0, false);
}

/* ---- the answer ---------------------------------------------------------- */

/* What a captive portal says to everything (faults 34); a page with another
 * status may be the service's own (facts 13 #39). */
static bool is_portal(const struct graph_reply *r)
{
	return r->rc == 0 && r->status >= 200 && r->status < 300 && r->html;
}

static bool is_nonsense(const struct graph_reply *r)
{
	return r->rc == 0 && r->status >= 200 && r->status < 300 &&
	       r->has_body && !r->json;
}

struct retry_out graph_call_judge(const struct call *c, struct graph_reply *r)
{
	int64_t now_s = clock_real_ns() / NS_PER_SEC;
	int64_t after = retry_parse_after(r->retry_after, now_s);
	bool portal = is_portal(r);
	struct retry_in in = {
		.kind = c->c.kind,
		.code = graph_error_code(r->json),
		.retry_after_ms = after < 0 ? -1 : after,
		.attempt = c->attempt,
		.refreshed = c->refreshed,
		.random = randombytes_random(),
	};
	struct retry_out out;

	/* Whether a POST went through the portal must be looked at. */
	if (portal)
		r->rc = c->c.kind == RETRY_CREATE ? -EBADMSG : -ENETUNREACH;
	else if (is_nonsense(r))
		r->rc = -EBADMSG;
	if (r->rc == -EBADMSG || r->rc == -ENETUNREACH)
		r->status = 0;
	in.transport_rc = r->rc;
	in.was_sent = r->was_sent;
	in.status = r->status;
	out = retry_decide(&in);
	out.offline |= portal;
	return out;
}

static bool follow_redirect(struct call *c, const struct graph_reply *r)
{
	char *path;

	if (r->rc < 0 || (r->status != 307 && r->status != 308) ||
	    c->hops >= MAX_HOPS || !r->location ||
	    !graph_is_own_url(c->g, r->location))
		return false;
	path = strdup(r->location);
	if (!path)
		return false;
	free(c->path);
	c->path = path;
	c->hops++;
	wait_again(c, 0, false);
	return true;
}

static void log_verdict(const struct call *c, const struct graph_reply *r,
                        const struct retry_out *out, int64_t due_ms)
{
	const char *code = graph_error_code(r->json);
	int64_t in_ms = due_ms - clock_mono_ms();

	if (r->shared)
		return;
	log_info("graph_call method=%s status=%ld rc=%d code=%s request_id=%s "
	         "attempt=%u retry_in_ms=%lld",
	         c->method, r->status, out->rc, *code ? code : "-",
	         r->request_id ? r->request_id : "-", c->attempt,
	         (long long)(in_ms > 0 ? in_ms : 0));
}

static void wait_or_give_up(struct call *c, const struct graph_reply *r,
                            const struct retry_out *out)
{
	int64_t due = clock_mono_ms() + out->wait_ms, at;

	c->last_rc = out->rc;
	c->last_status = r->status;
	if (out->freeze || out->offline)
		due = 0; /* the gate holds all of them */
	at = graph_gate_earliest_ms(c->g, false, due);
	if (c->c.patience_ms == 0 || at > patience_end_ms(c)) {
		finish_with(c, r, out);
		return;
	}
	log_verdict(c, r, out, at);
	c->attempt++;
	wait_again(c, due, r->rc < 0);
}

void graph_call_answered(struct call *c, const struct graph_reply *r,
                         const struct retry_out *out)
{
	c->maybe_done |= r->was_sent && (r->rc < 0 || r->status >= 500);
	if (c->g->stopped &&
	    (out->verdict == RETRY_WAIT || out->verdict == RETRY_REFRESH)) {
		finish_unsent(c, -ECANCELED, RETRY_FAIL);
		return;
	}
	if (!c->g->stopped && follow_redirect(c, r))
		return;
	switch (out->verdict) {
	case RETRY_WAIT:
		wait_or_give_up(c, r, out);
		return;
	case RETRY_REFRESH:
		log_verdict(c, r, out, 0);
		c->refreshed = true;
		wait_again(c, 0, false);
		return;
	case RETRY_FAIL:
		if (r->status == 401)
			c->g->bearer.no_entry = true;
		break;
	case RETRY_DONE:
	case RETRY_LOOK:
	case RETRY_RESTART:
	case RETRY_SMALLER:
		break;
	}
	finish_with(c, r, out);
}

/* ---- the beginning ------------------------------------------------------- */

static void begin(struct graph_mail *m)
{
	struct call *c =
		(struct call *)((char *)m - offsetof(struct call, mail));
	int64_t now = clock_mono_ms();

	c->started_ms = now;
	c->slot.until_ms = patience_end_ms(c);
	if (c->c.patience_ms == 0 && !c->g->stopped &&
	    graph_gate_earliest_ms(c->g, false, 0) > now)
		finish_unsent(c, c->g->gate.offline ? -ENETUNREACH : -EAGAIN,
		              RETRY_WAIT);
	else {
		/* At one moment for all who came in between. */
		if (c->slot.joins && (c->c.gather || c->g->gate.joining))
			c->slot.due_ms = (now / GATHER_MS + 2) * GATHER_MS;
		graph_gate_enter(c->g, &c->slot);
	}
}

/* Facts 2.4: a tag that isn't quoted is wrapped. */
static char *if_match_header(const char *etag)
{
	struct buf b = BUF_INIT;
	bool quoted = etag[0] == '"' || !strcmp(etag, "*") ||
	              !strncmp(etag, "W/\"", 3);

	buf_addf(&b, quoted ? "If-Match: %s" : "If-Match: \"%s\"", etag);
	return buf_steal(&b);
}

static char *type_header(const char *type)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "Content-Type: %s", type ? type : "application/json");
	return buf_steal(&b);
}

static int copy_headers(struct call *c, const struct graph_call *from)
{
	unsigned count = 0, n = 0;

	while (from->headers && from->headers[count])
		count++;
	c->headers = calloc(count + 3, sizeof(c->headers[0]));
	if (!c->headers)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++)
		if (!(c->headers[n++] = strdup(from->headers[i])))
			return -ENOMEM;
	if ((from->body_len || from->type) &&
	    !(c->headers[n++] = type_header(from->type)))
		return -ENOMEM;
	if (from->if_match &&
	    !(c->headers[n++] = if_match_header(from->if_match)))
		return -ENOMEM;
	return 0;
}

static int copy_body(struct call *c, const struct graph_call *from)
{
	if (!from->body_len)
		return 0;
	c->body = malloc(from->body_len);
	if (!c->body)
		return -ENOMEM;
	memcpy(c->body, from->body, from->body_len);
	return 0;
}

/* Content in small calls goes up; what comes down goes through net/download. */
static const enum pace_class classes[] = {
	[HTTP_PRIO_USER] = PACE_USER,
	[HTTP_PRIO_META] = PACE_META,
	[HTTP_PRIO_BULK] = PACE_UPLOAD,
};

static unsigned usual_units(const char *method)
{
	return !strcmp(method, "GET") || !strcmp(method, "HEAD") ? 1 : 2;
}

static int copy_call(struct call *c, const struct graph_call *from)
{
	int rc;

	c->method = strdup(from->method);
	c->path = strdup(from->path);
	if (!c->method || !c->path)
		return -ENOMEM;
	rc = copy_headers(c, from);
	if (rc == 0)
		rc = copy_body(c, from);
	if (rc < 0)
		return rc;
	c->c = *from;
	c->c.method = c->c.path = c->c.if_match = c->c.type = NULL;
	c->c.headers = NULL;
	c->c.body = NULL;
	c->slot.class = classes[from->prio];
	c->slot.units = from->units ? from->units : usual_units(from->method);
	c->slot.granted = slot_granted;
	c->slot.expired = slot_expired;
	if (from->batch && !from->type)
		c->item_key = graph_batch_key(c);
	c->slot.joins = c->item_key != NULL;
	return 0;
}

int graph_start(struct graph *g, const struct graph_call *call)
{
	struct call *c;
	int rc;

	if (call->path[0] != '/' && !graph_is_own_url(g, call->path))
		return -EPROTO;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->g = g;
	c->mail.open = begin;
	rc = copy_call(c, call);
	if (rc < 0)
		goto err_call;
	rc = graph_ref_running(g);
	if (rc < 0)
		goto err_call;
	rc = graph_post(g, &c->mail);
	if (rc < 0)
		goto err_ref;
	return 0;

err_ref:
	graph_unref(g);
err_call:
	free_call(c);
	return rc;
}

/* ---- graph_wait() -------------------------------------------------------- */

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t over_cond;
	bool over; /* lock */
	struct graph_result *result;
	int rc;
};

static int copy_answer(const struct graph_answer *a, struct graph_result *r)
{
	r->answer = *a;
	r->answer.code = "";
	r->answer.json = NULL;
	r->answer.location = NULL;
	r->code = strdup(a->code);
	r->location = a->location ? strdup(a->location) : NULL;
	r->json = a->json ? cJSON_Duplicate(a->json, true) : NULL;
	if (!r->code || (a->location && !r->location) || (a->json && !r->json))
		return -ENOMEM;
	r->answer.code = r->code;
	r->answer.location = r->location;
	r->answer.json = r->json;
	return 0;
}

static void wake_waiter(void *arg, const struct graph_answer *a)
{
	struct waiter *w = arg;
	int rc = copy_answer(a, w->result);

	pthread_mutex_lock(&w->lock);
	w->rc = rc < 0 ? rc : a->rc;
	w->over = true;
	pthread_cond_signal(&w->over_cond);
	pthread_mutex_unlock(&w->lock);
}

int graph_wait(struct graph *g, const struct graph_call *call,
               struct graph_result *out)
{
	struct waiter w = { .result = out };
	struct graph_call c = *call;
	int rc;

	memset(out, 0, sizeof(*out));
	out->answer.code = "";
	c.done = wake_waiter;
	c.arg = &w;
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.over_cond, NULL);
	rc = graph_start(g, &c);
	pthread_mutex_lock(&w.lock);
	while (rc == 0 && !w.over)
		pthread_cond_wait(&w.over_cond, &w.lock);
	if (rc == 0)
		rc = w.rc;
	pthread_mutex_unlock(&w.lock);
	pthread_cond_destroy(&w.over_cond);
	pthread_mutex_destroy(&w.lock);
	if (rc < 0) {
		out->answer.rc = rc;
		if (out->answer.verdict == RETRY_DONE)
			out->answer.verdict = RETRY_FAIL;
	}
	return rc;
}

void graph_result_done(struct graph_result *r)
{
	free(r->code);
	free(r->location);
	cJSON_Delete(r->json);
	memset(r, 0, sizeof(*r));
}
