/* net/graph_internal.h -- what the files of net/graph share, and what
 * net/upload and net/download need of it.
 *
 *	graph.c          the account: options, bearer, mailbox, end
 *	graph_gate.c     who may send now: pace, freeze, offline
 *	graph_call.c     one call from graph_start() to `done`
 *	graph_trip.c     one HTTP request to Graph for one call, or a $batch
 *	graph_batch.c    the body of a $batch and of its answer
 *	graph_error.c    error bodies
 *	graph_item.c     items, pages, drives
 *	graph_prepare.c  the usual calls
 *
 * All of it lives on the network thread. Other threads only leave mail (under
 * graph.lock), which wakes the network thread: so nothing but the mailbox and
 * the few members marked "lock" needs one. */
#ifndef NMB_GRAPH_INTERNAL_H
#define NMB_GRAPH_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "net/buf.h"
#include "net/graph.h"
#include "net/http.h"
#include "net/pace.h"
#include "net/retry.h"

#define GRAPH_NEVER   INT64_MAX
#define GRAPH_PRIOS   (HTTP_PRIO_BULK + 1)
#define GRAPH_BATCH   20 /* requests in a $batch, facts 9 */
#define GRAPH_BATCHES 4  /* under way before the next one waits to be full */

/* ---- mail: a function to be called on the network thread ----------------- */

struct graph_mail {
	STAILQ_ENTRY(graph_mail) link;
	void (*open)(struct graph_mail *m);
};
STAILQ_HEAD(graph_mails, graph_mail);

/* Any thread. 0, or -ENOMEM: then it wasn't posted. */
int graph_post(struct graph *g, struct graph_mail *m);

/* For those who can't take no for an answer: without memory it comes with the
 * next mail, or with the watch timer, which the caller has seen set. That
 * timer calls _open_mails; network thread. */
void graph_post_surely(struct graph *g, struct graph_mail *m);
void graph_open_mails(struct graph *g);

/* ---- the gate: who may send a request now -------------------------------- */

/* A wish to send one request; embedded in what sends it. While it waits it is
 * the gate's. */
struct graph_slot {
	TAILQ_ENTRY(graph_slot) link;
	enum pace_class class;
	unsigned units;
	bool content;    /* goes to an upload or download host, not to Graph */
	bool by_trouble; /* waits for the network: a kick ends the wait */
	bool waits;      /* on one of the gate's lists */
	bool joins;      /* may share a $batch with others; a call with item_key
	                  * does, until a batch with it was refused */
	bool is_probe;   /* offline: this one finds out */
	int64_t due_ms;  /* not before; 0: now */
	int64_t until_ms; /* `expired` comes then; GRAPH_NEVER: waits on */
	struct pace_ticket ticket; /* between _begin and _leave */

	/* Its turn: must call graph_gate_begin() before it returns. */
	void (*granted)(struct graph_slot *s);
	/* It waited too long, or the graph is stopped. */
	void (*expired)(struct graph_slot *s);
};
TAILQ_HEAD(graph_slots, graph_slot);

struct graph_gate {
	struct graph_slots ready[PACE_CLASSES]; /* wait for their turn */
	struct graph_slots later;               /* not due yet; soonest first */
	int64_t until_ms;                       /* nobody expires before */
	struct pace pace;
	unsigned joining; /* under way: trips that others might have joined */
	int64_t pace_ms;  /* when to ask the pace again */
	bool offline;
	bool probing;     /* offline: somebody inside finds out */
	int64_t probe_ms; /* offline: the next try */
	int64_t delay_ms; /* offline: between two tries */
	struct http_timer *timer;
	int64_t timer_ms; /* when it fires */
};

void graph_gate_init(struct graph_gate *gate);
void graph_gate_stop(struct graph *g);

/* Network thread. They don't call back: the pump does, which runs at the end
 * of all that happens on the network thread. _remove of one that doesn't wait
 * does nothing. */
void graph_gate_enter(struct graph *g, struct graph_slot *s);
void graph_gate_remove(struct graph *g, struct graph_slot *s);

/* A request of `units` in all goes by this slot; exactly one _leave follows.
 * _has_room: would one of that many still be let in? */
bool graph_gate_has_room(struct graph *g, enum pace_class class,
                         unsigned units);
void graph_gate_begin(struct graph *g, struct graph_slot *s, unsigned units);

/* What came of it. _throttled is for a part of a batch, before _leave. */
struct graph_outcome {
	struct pace_result pace;
	bool offline; /* the network is to blame */
	bool cert;    /* ... or somebody between here and there */
};
void graph_gate_throttled(struct graph *g, struct graph_slot *s,
                          const struct pace_result *part);
void graph_gate_leave(struct graph *g, struct graph_slot *s,
                      const struct graph_outcome *o);

/* Nothing was sent, or nothing came back. */
struct graph_outcome graph_no_outcome(void);
struct graph_outcome graph_http_outcome(const struct http_answer *a);
/* The code of its body, "" if none: throttling in the dress of another error
 * freezes as a 429 does (facts 10.1). */
void graph_outcome_code(struct graph_outcome *o, const char *code);

/* Lets in who may go now and sets the timer for the others. */
void graph_gate_pump(struct graph *g);
void graph_gate_kick(struct graph *g);

/* When a slot entered now with that due time may go at the earliest, as far as
 * is known. */
int64_t graph_gate_earliest_ms(const struct graph *g, bool content,
                               int64_t due_ms);

/* ---- the account --------------------------------------------------------- */

struct graph {
	struct http *http;
	char *base_url;
	bool china;
	graph_token_fn *token;
	void *token_arg;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* no user is left, or a graph_wait() is over */
	struct graph_mails mails;    /* lock */
	bool poked;                  /* lock; a timer will open the mail */
	bool kick, stop;             /* lock; wishes, as mail */
	bool stopping;               /* lock; nothing starts any more */
	unsigned users;              /* lock; whatever will call or be called */
	char *drive;                 /* lock; path of the drive */
	struct graph_state state;    /* lock; as of the last pump */
	graph_changed_fn *on_change; /* lock; or NULL */
	void *on_change_arg;

	/* Network thread only. */
	bool stopped; /* nobody waits any more */
	struct graph_gate gate;
	LIST_HEAD(graph_trips, trip) trips;
	struct graph_bearer {
		char *text;    /* guarded memory; the last one got, or NULL */
		uint64_t seq;  /* counts them */
		bool refused;  /* the service gave 401 to it */
		bool no_entry; /* a person must sign in */
		unsigned awaited;         /* trips that wait for one */
		struct http_timer *watch; /* set while one is awaited */
	} bearer;
	uint64_t requests;
};

/* On the network thread, after the pump and before each `done`. */
void graph_publish_state(struct graph *g);

/* Any thread: keeps the graph from being freed. _ref_running: -ESHUTDOWN once
 * it is stopped. */
void graph_ref(struct graph *g);
int graph_ref_running(struct graph *g);
void graph_unref(struct graph *g);

/* sodium_free() it. NULL: no memory. */
char *graph_copy_guarded(const char *s);

/* Same origin as base_url. */
bool graph_is_own_url(const struct graph *g, const char *url);
bool graph_is_china(const struct graph *g);
void graph_add_id(struct buf *b, const char *id);
void graph_add_drive(struct graph *g, struct buf *b);
void graph_add_item(struct graph *g, struct buf *b, const char *id);
void graph_add_child(struct graph *g, struct buf *b, const char *parent_id,
                     const char *name, const char *verb, const char *query);
bool graph_add_file_times(cJSON *json, int64_t mtime_ns);

/* ---- calls --------------------------------------------------------------- */

/* from               to        when                           moved by
 * WAITING         -> RIDING    its slot is granted, or it     slot_granted,
 *                              rides with another             graph_call_rides
 * RIDING          -> WAITING   the policy says wait, refresh  wait_again
 *                              or redirect
 * WAITING, RIDING -> DONE      answered, out of patience,     finish
 *                              cancelled */
enum call_state {
	CALL_WAITING, /* in the gate */
	CALL_RIDING,  /* on a trip */
	CALL_DONE,    /* `done` is being called; then it is freed */
};

struct call {
	struct graph *g;
	struct graph_mail mail;
	struct graph_slot slot;
	enum call_state state;

	/* What was asked for; own copies, set once (path: by redirects too). */
	struct graph_call c;
	char *method, *path;
	char **headers; /* all that go with it, NULL ends */
	void *body;
	char *item_key; /* if it may be part of a batch: which item it is for */

	int64_t started_ms;
	unsigned attempt;
	unsigned hops;   /* redirects followed */
	bool refreshed;  /* it was refused with 401 once */
	bool maybe_done; /* some try had no clear answer */
	int last_rc;     /* of the last try, 0: there was none */
	long last_status;
};

/* What came back for one call. All is borrowed. */
struct graph_reply {
	int rc; /* as struct http_answer */
	bool was_sent;
	long status;
	cJSON *json;   /* NULL: none, or no JSON */
	bool has_body; /* JSON or not */
	bool html;     /* a page for people */
	bool shared;   /* it is the whole batch's, logged once for all */
	const char *location, *retry_after, *request_id;
};

/* What to do about a reply; changes it where it isn't what it seems. */
struct retry_out graph_call_judge(const struct call *c, struct graph_reply *r);

/* A trip with it has ended so, and its slot was left. */
void graph_call_answered(struct call *c, const struct graph_reply *r,
                         const struct retry_out *out);

/* It goes with another one's slot; from now on by itself. */
void graph_call_rides(struct call *c);
void graph_call_alone(struct call *c);

/* The call whose slot this is, or NULL: content. */
struct call *graph_slot_call(struct graph_slot *s);

/* ---- trips and batches --------------------------------------------------- */

/* The slot of `c` was granted: sends it, with others that wait if it may. */
void graph_trip_start(struct call *c);
void graph_trip_cancel_all(struct graph *g);

/* Which item a call is for, if its form fits a batch; malloc'ed. NULL: it
 * doesn't, or no memory: it goes by itself. */
char *graph_batch_key(const struct call *c);

/* The body for these calls; malloc'ed. NULL: no memory. */
char *graph_batch_body(struct call *const *calls, unsigned count);

/* The part for the call number `i` in the answer `outer` of a batch; if it is
 * missing, a reply of unknown outcome. */
void graph_batch_reply(const struct graph_reply *outer, unsigned i,
                       struct graph_reply *out);

/* ---- errors -------------------------------------------------------------- */

/* The most specific known code of an error body, RETRY_CODE_RPS, or "" if
 * there is none; lives as long as `json`. */
const char *graph_error_code(const cJSON *json);

#endif
