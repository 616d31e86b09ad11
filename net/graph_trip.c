#include "net/graph_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "net/clock.h"
#include "net/log.h"

#define WATCH_MS   1000 /* see graph_post_surely() */
#define MAX_ANSWER ((size_t)64 << 20)
#define ANSWER_MS  60000               /* a commit may take its time */
#define BATCH_BODY ((size_t)512 << 10) /* facts 4: the limit may be 4 MB */

/* One HTTP request: first waits for the bearer, then for the answer. It goes
 * by the slot of its first call; the others ride along. */
struct trip {
	LIST_ENTRY(trip) link;
	struct graph *g;
	struct graph_mail mail; /* the bearer came */
	struct call *calls[GRAPH_BATCH];
	unsigned count;
	int token_rc;
	char *token; /* guarded memory, until the mail is open */
	uint64_t bearer_seq;
	struct http_request *req; /* NULL before it is sent */
};

/* ---- the end of a trip --------------------------------------------------- */

static void leave_slot(struct trip *t, const struct graph_outcome *o)
{
	graph_gate_leave(t->g, &t->calls[0]->slot, o);
}

static void free_trip(struct trip *t)
{
	LIST_REMOVE(t, link);
	sodium_free(t->token);
	free(t);
}

/* All of them get the same bad news: not one byte was sent. */
static void fail_unsent(struct trip *t, int rc)
{
	struct graph_reply reply = { .rc = rc };
	struct retry_out out;
	struct graph_outcome o = graph_no_outcome();

	out = graph_call_judge(t->calls[0], &reply);
	o.offline = out.offline;
	leave_slot(t, &o);
	for (unsigned i = 0; i < t->count; i++) {
		out = graph_call_judge(t->calls[i], &reply);
		graph_call_answered(t->calls[i], &reply, &out);
	}
	free_trip(t);
}

/* ---- the answer ---------------------------------------------------------- */

static bool looks_like_html(const struct http_answer *a)
{
	const char *type = http_answer_header(a, "Content-Type");
	const char *body = a->body ? a->body : "";

	return (type && strcasestr(type, "html")) ||
	       body[strspn(body, " \t\r\n")] == '<';
}

static struct graph_reply outer_reply(const struct http_answer *a)
{
	struct graph_reply r = {
		.rc = a->rc,
		.was_sent = a->was_sent,
		.status = a->status,
		.has_body = a->body_len > 0,
		.html = a->body_len > 0 && looks_like_html(a),
		.location = http_answer_header(a, "Location"),
		.retry_after = http_answer_header(a, "Retry-After"),
		.request_id = http_answer_header(a, "request-id"),
	};

	if (a->rc == 0 && r.has_body && !r.html)
		r.json = json_parse(a->body, a->body_len);
	return r;
}

static void note_refusal(struct trip *t, const struct retry_out *out)
{
	struct graph_bearer *b = &t->g->bearer;

	if (out->verdict == RETRY_REFRESH && t->bearer_seq == b->seq)
		b->refused = true;
}

/* The service takes the batch as a whole for malformed, or too large: nothing
 * of it happened (facts 9). Each call then goes by itself. */
static bool batch_was_refused(const struct trip *t, const struct graph_reply *r)
{
	return t->count > 1 && r->rc == 0 &&
	       (r->status == 400 || r->status == 404 || r->status == 405 ||
	        r->status == 413 || r->status == 501);
}

static void part_reply(const struct trip *t, unsigned i,
                       const struct graph_reply *outer, struct graph_reply *out)
{
	if (t->count > 1 && outer->rc == 0 && outer->status == 200) {
		graph_batch_reply(outer, i, out);
		return;
	}
	*out = *outer;
	out->shared = i > 0;
}

/* A part that was throttled freezes the account as a whole answer does; so
 * does one in the dress of another error (facts 10.1). */
static void note_part(struct trip *t, const struct graph_reply *r,
                      const struct retry_out *out, struct graph_outcome *o)
{
	struct graph_outcome part = graph_no_outcome();
	int64_t now_s = clock_real_ns() / NS_PER_SEC;

	o->offline |= out->offline;
	if (!out->freeze)
		return;
	part.pace.status = 429;
	part.pace.retry_after_ms = retry_parse_after(r->retry_after, now_s);
	if (t->count > 1)
		graph_gate_throttled(t->g, &t->calls[0]->slot, &part.pace);
	else
		o->pace.status = 429;
}

static void hand_out(struct trip *t, const struct graph_reply *outer,
                     struct graph_outcome *o)
{
	struct graph_reply reply[GRAPH_BATCH];
	struct retry_out out[GRAPH_BATCH];

	for (unsigned i = 0; i < t->count; i++) {
		part_reply(t, i, outer, &reply[i]);
		out[i] = graph_call_judge(t->calls[i], &reply[i]);
		note_refusal(t, &out[i]);
		note_part(t, &reply[i], &out[i], o);
	}
	leave_slot(t, o);
	for (unsigned i = 0; i < t->count; i++)
		graph_call_answered(t->calls[i], &reply[i], &out[i]);
}

static void send_apart(struct trip *t, const struct graph_outcome *o)
{
	log_warn("graph_batch parts=%u status=%ld then=one_by_one", t->count,
	         o->pace.status);
	leave_slot(t, o);
	for (unsigned i = 0; i < t->count; i++)
		graph_call_alone(t->calls[i]);
}

static void trip_done(void *arg, const struct http_answer *a)
{
	struct trip *t = arg;
	struct graph *g = t->g;
	struct graph_reply reply = outer_reply(a);
	struct graph_outcome o = graph_http_outcome(a);

	graph_ref(g);
	if (a->rc < 0)
		log_debug("graph_trip rc=%d detail=\"%s\"", a->rc, a->detail);
	if (batch_was_refused(t, &reply))
		send_apart(t, &o);
	else
		hand_out(t, &reply, &o);
	cJSON_Delete(reply.json);
	free_trip(t);
	graph_gate_pump(g);
	graph_unref(g);
}

/* ---- the request --------------------------------------------------------- */

static char *trip_url(const struct trip *t)
{
	const char *path = t->count > 1 ? "/$batch" : t->calls[0]->path;
	struct buf url = BUF_INIT;

	if (path[0] == '/')
		buf_add_str(&url, t->g->base_url);
	buf_add_str(&url, path);
	return buf_steal(&url);
}

/* Nobody waits for an answer longer than its call's patience. */
static int total_ms(const struct call *c)
{
	int64_t left = c->slot.until_ms - clock_mono_ms();

	if (c->c.patience_ms <= 0)
		return 0;
	return left < 1000 ? 1000 : left > INT32_MAX ? INT32_MAX : (int)left;
}

/* Of a batch: when the last of them has no more use for it. */
static int longest_ms(const struct trip *t)
{
	int longest = 0;

	for (unsigned i = 0; i < t->count; i++) {
		int ms = total_ms(t->calls[i]);

		if (!ms)
			return 0;
		longest = ms > longest ? ms : longest;
	}
	return longest;
}

static void fill_single(struct http_spec *s, const struct call *c)
{
	s->method = c->method;
	s->headers = (const char *const *)c->headers;
	s->body = c->body;
	s->body_len = c->c.body_len;
	s->total_ms = total_ms(c);
}

static const char *const batch_headers[] = { "Content-Type: application/json",
	                                     NULL };

static int fill_batch(struct http_spec *s, const struct trip *t,
                      char **out_body)
{
	*out_body = graph_batch_body(t->calls, t->count);
	if (!*out_body)
		return -ENOMEM;
	s->method = "POST";
	s->headers = batch_headers;
	s->body = *out_body;
	s->body_len = strlen(*out_body);
	s->total_ms = longest_ms(t);
	return 0;
}

static int send_trip(struct trip *t)
{
	struct http_spec spec = {
		.bearer = t->g->bearer.text,
		.prio = t->calls[0]->c.prio,
		.max_body = MAX_ANSWER,
		.done = trip_done,
		.arg = t,
		.answer_ms = ANSWER_MS,
	};
	char *url = trip_url(t), *body = NULL;
	int rc = url ? 0 : -ENOMEM;

	if (rc == 0 && t->count > 1)
		rc = fill_batch(&spec, t, &body);
	else if (rc == 0)
		fill_single(&spec, t->calls[0]);
	spec.url = url;
	if (rc == 0)
		rc = http_start(t->g->http, &spec, &t->req);
	free(url);
	free(body);
	if (rc == -EPROTO)
		rc = -EINVAL; /* refused here: no use in trying again */
	if (rc == 0)
		t->g->requests += t->count;
	return rc;
}

/* ---- the bearer ---------------------------------------------------------- */

static void watch_fired(void *arg);

/* So that a bearer that came when there was no memory for a poke is found. */
static int set_watch(struct graph *g)
{
	if (g->bearer.watch)
		return 0;
	return http_call_later(g->http, WATCH_MS, watch_fired, g,
	                       &g->bearer.watch);
}

static void watch_fired(void *arg)
{
	struct graph *g = arg;

	g->bearer.watch = NULL;
	graph_ref(g);
	graph_open_mails(g);
	if (g->bearer.awaited && set_watch(g) < 0)
		log_error("graph_watch error=no_memory");
	graph_unref(g);
}

static void end_watch(struct graph *g)
{
	if (g->bearer.watch)
		http_cancel_timer(g->bearer.watch);
	g->bearer.watch = NULL;
}

static void adopt_bearer(struct trip *t)
{
	struct graph_bearer *b = &t->g->bearer;

	if (!b->text || strcmp(b->text, t->token) != 0) {
		sodium_free(b->text);
		b->text = t->token;
		t->token = NULL;
		b->seq++;
		b->refused = false;
	}
	t->bearer_seq = b->seq;
}

/* Whatever keeps the sign-in service from answering is the network's fault as
 * far as a call can tell. */
static int token_error(int rc)
{
	switch (-rc) {
	case 0:
	case EACCES:
	case ENOMEM:
	case ECANCELED:
		return rc;
	default:
		return -ENETUNREACH;
	}
}

static void token_came(struct graph_mail *m)
{
	struct trip *t =
		(struct trip *)((char *)m - offsetof(struct trip, mail));
	struct graph *g = t->g;
	int rc = token_error(t->token_rc);

	if (--g->bearer.awaited == 0)
		end_watch(g);
	if (rc == 0 || rc == -EACCES)
		g->bearer.no_entry = rc < 0;
	if (rc == 0)
		adopt_bearer(t);
	if (rc == 0 && g->stopped)
		rc = -ECANCELED;
	if (rc == 0)
		rc = send_trip(t);
	if (rc < 0)
		fail_unsent(t, rc);
}

/* Any thread. */
static void got_token(void *arg, int rc, const char *bearer)
{
	struct trip *t = arg;

	if (rc == 0) {
		t->token = graph_copy_guarded(bearer);
		if (!t->token)
			rc = -ENOMEM;
	}
	t->token_rc = rc;
	graph_post_surely(t->g, &t->mail);
}

static void ask_token(struct trip *t)
{
	struct graph *g = t->g;
	int rc = set_watch(g);

	if (rc < 0) {
		fail_unsent(t, rc);
		return;
	}
	g->bearer.awaited++;
	t->mail.open = token_came;
	g->token(g->token_arg, g->bearer.refused ? g->bearer.text : NULL,
	         got_token, t);
}

/* ---- who rides ----------------------------------------------------------- */

/* Two calls for one item would run in no order (facts 9). */
static bool may_ride(const struct trip *t, const struct call *c)
{
	if (!c->slot.joins)
		return false;
	for (unsigned i = 0; i < t->count; i++)
		if (!strcmp(t->calls[i]->item_key, c->item_key))
			return false;
	return true;
}

static bool fits(struct trip *t, const struct call *c, size_t bytes,
                 unsigned units)
{
	return may_ride(t, c) && bytes + c->c.body_len <= BATCH_BODY &&
	       graph_gate_has_room(t->g, c->slot.class, units + c->slot.units);
}

/* Others of the same class that wait; returns the units of all. */
static unsigned pick_up_others(struct trip *t)
{
	struct call *first = t->calls[0];
	struct graph_slots *waiting = &t->g->gate.ready[first->slot.class];
	size_t bytes = first->c.body_len;
	unsigned units = first->slot.units;
	struct graph_slot *s, *next;

	if (!first->slot.joins)
		return units;
	for (s = TAILQ_FIRST(waiting); s && t->count < GRAPH_BATCH; s = next) {
		struct call *c = graph_slot_call(s);

		next = TAILQ_NEXT(s, link);
		if (!c || !fits(t, c, bytes, units))
			continue;
		bytes += c->c.body_len;
		units += s->units;
		graph_gate_remove(t->g, s);
		graph_call_rides(c);
		t->calls[t->count++] = c;
	}
	return units;
}

void graph_trip_start(struct call *c)
{
	struct trip *t = calloc(1, sizeof(*t));

	if (!t) {
		struct graph_outcome o = graph_no_outcome();
		struct graph_reply reply = { .rc = -ENOMEM };
		struct retry_out out = graph_call_judge(c, &reply);

		graph_gate_begin(c->g, &c->slot, c->slot.units);
		graph_gate_leave(c->g, &c->slot, &o);
		graph_call_answered(c, &reply, &out);
		return;
	}
	t->g = c->g;
	t->calls[t->count++] = c;
	LIST_INSERT_HEAD(&t->g->trips, t, link);
	graph_gate_begin(t->g, &c->slot, pick_up_others(t));
	ask_token(t);
}

void graph_trip_cancel_all(struct graph *g)
{
	struct trip *t;

	LIST_FOREACH (t, &g->trips, link)
		if (t->req)
			http_cancel(t->req);
}
