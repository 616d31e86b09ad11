#include "net/graph_internal.h"

#include <errno.h>
#include <strings.h>

#include <sodium.h>

#include "net/clock.h"
#include "net/error_text.h"
#include "net/log.h"

#define OFFLINE_FIRST_MS 1000 /* facts 14: doubling to five minutes */
#define OFFLINE_MAX_MS   (5 * 60 * 1000)
#define CERT_MS          (60 * 1000) /* somebody listens in, or a portal */

void graph_gate_init(struct graph_gate *gate)
{
	for (unsigned i = 0; i < PACE_CLASSES; i++)
		TAILQ_INIT(&gate->ready[i]);
	TAILQ_INIT(&gate->later);
	gate->until_ms = GRAPH_NEVER;
	pace_init(&gate->pace);
}

static int64_t min_ms(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t max_ms(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* ---- lists --------------------------------------------------------------- */

/* Most come due after those before them: look from the end. */
static void insert_later(struct graph_gate *gate, struct graph_slot *s)
{
	struct graph_slot *at = TAILQ_LAST(&gate->later, graph_slots);

	while (at && at->due_ms > s->due_ms)
		at = TAILQ_PREV(at, graph_slots, link);
	if (at)
		TAILQ_INSERT_AFTER(&gate->later, at, s, link);
	else
		TAILQ_INSERT_HEAD(&gate->later, s, link);
}

static void insert_ready(struct graph_gate *gate, struct graph_slot *s)
{
	s->due_ms = 0;
	TAILQ_INSERT_TAIL(&gate->ready[s->class], s, link);
}

void graph_gate_enter(struct graph *g, struct graph_slot *s)
{
	struct graph_gate *gate = &g->gate;

	s->waits = true;
	gate->until_ms = min_ms(gate->until_ms, s->until_ms);
	if (s->due_ms)
		insert_later(gate, s);
	else
		insert_ready(gate, s);
}

void graph_gate_remove(struct graph *g, struct graph_slot *s)
{
	struct graph_gate *gate = &g->gate;

	if (!s->waits)
		return;
	s->waits = false;
	TAILQ_REMOVE(s->due_ms ? &gate->later : &gate->ready[s->class], s,
	             link);
}

static void move_due(struct graph_gate *gate, int64_t now_ms)
{
	struct graph_slot *s;

	while ((s = TAILQ_FIRST(&gate->later)) && s->due_ms <= now_ms) {
		TAILQ_REMOVE(&gate->later, s, link);
		insert_ready(gate, s);
	}
}

/* ---- who is fed up waiting ----------------------------------------------- */

static struct graph_slot *find_expired(struct graph_gate *gate,
                                       struct graph_slots *list, int64_t now_ms)
{
	struct graph_slot *s;

	TAILQ_FOREACH (s, list, link) {
		if (s->until_ms <= now_ms)
			return s;
		gate->until_ms = min_ms(gate->until_ms, s->until_ms);
	}
	return NULL;
}

static struct graph_slot *any_waiting(struct graph_gate *gate)
{
	struct graph_slot *s = TAILQ_FIRST(&gate->later);

	for (unsigned i = 0; i < PACE_CLASSES && !s; i++)
		s = TAILQ_FIRST(&gate->ready[i]);
	return s;
}

/* Once the graph is stopped nobody waits any more. */
static struct graph_slot *next_expired(struct graph *g, int64_t now_ms)
{
	struct graph_gate *gate = &g->gate;
	struct graph_slot *s;

	if (g->stopped)
		return any_waiting(gate);
	if (now_ms < gate->until_ms)
		return NULL;
	gate->until_ms = GRAPH_NEVER;
	s = find_expired(gate, &gate->later, now_ms);
	for (unsigned i = 0; i < PACE_CLASSES && !s; i++)
		s = find_expired(gate, &gate->ready[i], now_ms);
	if (s)
		gate->until_ms = now_ms; /* there may be more */
	return s;
}

/* ---- who may go ---------------------------------------------------------- */

/* While there is no network one request at a time looks whether it is back. */
static bool offline_bars(const struct graph_gate *gate,
                         const struct graph_slot *s, int64_t now_ms)
{
	return gate->offline && !s->content &&
	       (gate->probing || now_ms < gate->probe_ms);
}

/* While some batches are under way the next one fills up: it goes when it is
 * full, or when one of them is back. Nobody waits longer than a round trip, and
 * a user not at all. */
static bool awaits_company(const struct graph_gate *gate,
                           const struct graph_slot *s)
{
	const struct graph_slot *other;
	unsigned company = 0;

	if (!s->joins || s->class == PACE_USER || gate->joining < GRAPH_BATCHES)
		return false;
	TAILQ_FOREACH (other, &gate->ready[s->class], link)
		if (other->joins && ++company == GRAPH_BATCH)
			return false;
	return true;
}

static struct graph_slot *first_unbarred(const struct graph_gate *gate,
                                         unsigned class, int64_t now_ms)
{
	struct graph_slot *s;
	bool early = false;

	TAILQ_FOREACH (s, &gate->ready[class], link) {
		if (offline_bars(gate, s, now_ms) || (early && s->joins))
			continue;
		early = awaits_company(gate, s);
		if (!early)
			return s;
	}
	return NULL;
}

/* The next one to be let in, or NULL. */
static struct graph_slot *next_admitted(struct graph_gate *gate, int64_t now_ms)
{
	struct graph_slot *first[PACE_CLASSES];
	unsigned units[PACE_CLASSES];
	int class;

	for (unsigned i = 0; i < PACE_CLASSES; i++) {
		first[i] = first_unbarred(gate, i, now_ms);
		units[i] = first[i] ? first[i]->units : 0;
	}
	gate->pace_ms = PACE_ON_DONE;
	class = pace_pick(&gate->pace, units, now_ms, &gate->pace_ms);
	return class < 0 ? NULL : first[class];
}

bool graph_gate_has_room(struct graph *g, enum pace_class class, unsigned units)
{
	return pace_ask(&g->gate.pace, class, units, clock_mono_ms()) == 0;
}

void graph_gate_begin(struct graph *g, struct graph_slot *s, unsigned units)
{
	pace_start(&g->gate.pace, s->class, units, clock_mono_ms(), &s->ticket);
	g->gate.joining += s->joins;
}

static void let_in(struct graph *g, struct graph_slot *s)
{
	graph_gate_remove(g, s);
	s->is_probe = g->gate.offline && !s->content;
	if (s->is_probe)
		g->gate.probing = true;
	s->granted(s);
}

/* ---- the timer ----------------------------------------------------------- */

static bool someone_barred(const struct graph_gate *gate)
{
	if (!gate->offline || gate->probing)
		return false;
	for (unsigned i = 0; i < PACE_CLASSES; i++) {
		const struct graph_slot *s;

		TAILQ_FOREACH (s, &gate->ready[i], link)
			if (!s->content)
				return true;
	}
	return false;
}

static int64_t next_event_ms(const struct graph_gate *gate)
{
	const struct graph_slot *s = TAILQ_FIRST(&gate->later);
	int64_t at = min_ms(gate->until_ms, s ? s->due_ms : GRAPH_NEVER);

	at = min_ms(at, gate->pace_ms);
	if (someone_barred(gate))
		at = min_ms(at, gate->probe_ms);
	return at;
}

static void timer_fired(void *arg)
{
	struct graph *g = arg;

	g->gate.timer = NULL;
	graph_ref(g);
	graph_gate_pump(g);
	graph_unref(g);
}

/* Without memory for a timer the next answer or call pumps. */
static void set_timer(struct graph *g, int64_t now_ms)
{
	struct graph_gate *gate = &g->gate;
	int64_t at = next_event_ms(gate);

	if (gate->timer && gate->timer_ms == at)
		return;
	if (gate->timer)
		http_cancel_timer(gate->timer);
	gate->timer = NULL;
	gate->timer_ms = at;
	if (at == GRAPH_NEVER || g->stopped)
		return;
	if (http_call_later(g->http, at > now_ms ? at - now_ms : 0, timer_fired,
	                    g, &gate->timer) < 0)
		log_error("graph_timer error=no_memory");
}

void graph_gate_stop(struct graph *g)
{
	if (g->gate.timer)
		http_cancel_timer(g->gate.timer);
	g->gate.timer = NULL;
}

/* ---- the pump ------------------------------------------------------------ */

void graph_gate_pump(struct graph *g)
{
	struct graph_gate *gate = &g->gate;
	int64_t now_ms = clock_mono_ms();
	struct graph_slot *s;

	move_due(gate, now_ms);
	while ((s = next_expired(g, now_ms))) {
		graph_gate_remove(g, s);
		s->expired(s);
	}
	while ((s = next_admitted(gate, now_ms)))
		let_in(g, s);
	set_timer(g, now_ms);
	graph_publish_state(g);
}

int64_t graph_gate_earliest_ms(const struct graph *g, bool content,
                               int64_t due_ms)
{
	const struct graph_gate *gate = &g->gate;
	int64_t frozen = pace_frozen_until(&gate->pace, clock_mono_ms());
	int64_t at = max_ms(due_ms, frozen);

	if (gate->offline && !content)
		at = max_ms(at, gate->probe_ms);
	return at;
}

/* ---- what came of it ----------------------------------------------------- */

static void go_offline(struct graph_gate *gate, bool probe, bool cert,
                       int64_t now_ms)
{
	if (gate->offline && !probe)
		return; /* left before it was known */
	gate->delay_ms = gate->offline
	                         ? min_ms(2 * gate->delay_ms, OFFLINE_MAX_MS)
	                         : OFFLINE_FIRST_MS;
	if (cert)
		gate->delay_ms = max_ms(gate->delay_ms, CERT_MS);
	gate->probe_ms = now_ms + gate->delay_ms;
	if (cert)
		log_error("graph_offline reason=certificate retry_in_ms=%d: %s",
		          CERT_MS, error_text(-EKEYREJECTED));
	else if (!gate->offline)
		log_warn("graph_offline retry_in_ms=%d", OFFLINE_FIRST_MS);
	gate->offline = true;
}

static void go_online(struct graph_gate *gate)
{
	if (gate->offline)
		log_info("graph_online");
	gate->offline = false;
	gate->probing = false;
}

struct graph_outcome graph_no_outcome(void)
{
	return (struct graph_outcome){
		.pace = { .retry_after_ms = -1,
		          .limit = -1,
		          .remaining = -1,
		          .reset_ms = -1,
		          .random = randombytes_random() },
	};
}

static int64_t seconds_header(const struct http_answer *a, const char *name)
{
	int64_t ms = retry_parse_after(http_answer_header(a, name),
	                               clock_real_ns() / NS_PER_SEC);

	return ms < 0 ? -1 : ms;
}

struct graph_outcome graph_http_outcome(const struct http_answer *a)
{
	struct graph_outcome o = graph_no_outcome();

	o.cert = a->rc == -EKEYREJECTED;
	o.pace.status = a->rc == 0 || a->status >= 400 ? a->status : 0;
	o.pace.retry_after_ms = seconds_header(a, "Retry-After");
	o.pace.reset_ms = seconds_header(a, "RateLimit-Reset");
	o.pace.limit =
		pace_parse_units(http_answer_header(a, "RateLimit-Limit"));
	o.pace.remaining =
		pace_parse_units(http_answer_header(a, "RateLimit-Remaining"));
	return o;
}

void graph_outcome_code(struct graph_outcome *o, const char *code)
{
	if (o->pace.status == 403 && !strcasecmp(code, "throttledRequest"))
		o->pace.status = 429;
}

void graph_gate_throttled(struct graph *g, struct graph_slot *s,
                          const struct pace_result *part)
{
	pace_throttled(&g->gate.pace, &s->ticket, part, clock_mono_ms());
}

void graph_gate_leave(struct graph *g, struct graph_slot *s,
                      const struct graph_outcome *o)
{
	struct graph_gate *gate = &g->gate;
	int64_t now_ms = clock_mono_ms();
	bool probe = s->is_probe;

	s->is_probe = false;
	gate->joining -= s->joins;
	pace_done(&gate->pace, &s->ticket, &o->pace, now_ms);
	if (probe)
		gate->probing = false;
	if (s->content)
		return;
	if (o->offline)
		go_offline(gate, probe, o->cert, now_ms);
	else if (o->pace.status)
		go_online(gate);
}

/* Those who wait because the network failed them need not wait any more. */
static void hurry(struct graph_gate *gate)
{
	struct graph_slot *s, *next;

	for (s = TAILQ_FIRST(&gate->later); s; s = next) {
		next = TAILQ_NEXT(s, link);
		if (!s->by_trouble)
			continue;
		TAILQ_REMOVE(&gate->later, s, link);
		insert_ready(gate, s);
	}
}

void graph_gate_kick(struct graph *g)
{
	struct graph_gate *gate = &g->gate;

	hurry(gate);
	gate->probing = false; /* that one may be stuck in the old network */
	gate->probe_ms = 0;
	gate->delay_ms = OFFLINE_FIRST_MS / 2; /* doubled if it fails */
}
