/* net/upload_internal.h -- what the files of net/upload share.
 *
 *	upload.c          the states of an upload, from start to `done`
 *	upload_request.c  a fragment, and the question how far it is
 *	upload_plan.c     what to do after an answer
 *	upload_body.c     the bytes of a fragment: read ahead by a worker
 *	upload_session.c  bodies and answers of the session's requests
 *	upload_errand.c   commit and abandon: single requests to a session
 *
 * States and plans belong to the network thread. The body is shared with one
 * worker at a time, under body.lock. */
#ifndef NMB_UPLOAD_INTERNAL_H
#define NMB_UPLOAD_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/graph_internal.h"
#include "net/upload.h"

/* ---- the bytes of a fragment --------------------------------------------- */

#define UPLOAD_BLOCK                                                           \
	((size_t)128 << 10) /* what `read` is asked for at once                \
	                     */
#define UPLOAD_RING (4 * UPLOAD_BLOCK)

struct upload_body {
	struct work *work;
	upload_read_fn *read;
	void *arg;

	pthread_mutex_t lock;
	char *ring;               /* set once */
	uint64_t start, end;      /* lock; the fragment */
	uint64_t made, taken;     /* lock; start <= taken <= made <= end */
	unsigned epoch;           /* lock; counts beginnings */
	bool filling;             /* lock; a worker is at it */
	bool starved;             /* lock; the request waits for bytes */
	int rc;                   /* lock; what `read` or memory said */
	struct http_request *req; /* lock; while it may be resumed */

	/* Called by the worker when it stops, if upload_body_end() said so. */
	void (*idle)(struct upload_body *b);
	bool want_idle; /* lock */
};

int upload_body_init(struct upload_body *b);
void upload_body_done(struct upload_body *b);

/* A fragment begins: the callbacks of http deliver it. */
void upload_body_begin(struct upload_body *b, uint64_t start, uint64_t end);
ssize_t upload_body_read(struct upload_body *b, void *buf, size_t len);
int upload_body_rewind(struct upload_body *b);
void upload_body_set_request(struct upload_body *b, struct http_request *r);

/* The request is over. True: no worker is at it any more; else `idle` comes. */
bool upload_body_end(struct upload_body *b);

/* What ended it, if that was `read` (0: it wasn't), and how far it came. */
int upload_body_error(struct upload_body *b);
uint64_t upload_body_taken(struct upload_body *b);

/* ---- the session's requests ---------------------------------------------- */

enum upload_missing {
	UPLOAD_MISSING_FROM, /* everything from an offset on */
	UPLOAD_MISSING_NONE, /* nothing: an empty list */
	UPLOAD_MISSING_WHAT, /* no list, or no sense in it */
};

/* Reads nextExpectedRanges (facts 5.2). */
enum upload_missing upload_parse_ranges(const cJSON *json, uint64_t total,
                                        uint64_t *out_next);

/* uploadUrl, NULL if there is none that may be used. */
const char *upload_parse_url(const cJSON *json);

/* createUploadSession for that spec. */
int upload_prepare_open(const struct upload_spec *spec,
                        struct graph_prepared *p);

/* The end of a fragment that begins at `from` and should be `size` long. */
uint64_t upload_fragment_end(uint64_t from, uint64_t size, uint64_t total);

/* ---- an upload ----------------------------------------------------------- */

/* from                to         when                           moved by
 * NEW              -> OPENING    no URL was given               begin
 * NEW              -> WAITING    one was: the session is asked  begin
 * OPENING          -> NOTING     the URL came                   opened
 * NOTING           -> WAITING    the owner has noted it         noted
 * WAITING          -> ASKING     its turn; where to go on is    slot_granted
 *                                not sure
 * WAITING          -> SENDING    its turn                       slot_granted
 * ASKING, SENDING  -> NOTING     the service has got further    settle
 * ASKING, SENDING  -> WAITING    the policy says wait or ask    settle
 * all of these     -> ENDING     it is there, the policy says   end
 *                                no, cancelled
 * SENDING lasts until the worker has left the fragment's body, too. */
enum upload_state {
	UPLOAD_NEW,
	UPLOAD_OPENING, /* createUploadSession is out */
	UPLOAD_NOTING,  /* a worker calls `note` */
	UPLOAD_WAITING, /* in the gate */
	UPLOAD_ASKING,  /* GET of the session is out */
	UPLOAD_SENDING, /* a fragment is out */
	UPLOAD_ENDING,  /* final: a worker calls `done` */
};

/* What comes after a request, decided when its answer was read. */
struct upload_plan {
	enum { PLAN_NOTE, PLAN_SEND, PLAN_ASK, PLAN_END } next;
	int64_t wait_ms;
	bool by_trouble;
	int rc;
	enum retry_verdict verdict;
	long status;
	bool offline;
	char code[64];
	cJSON *json; /* owned; the item of PLAN_END */
};

struct upload {
	struct upload_spec spec; /* its strings: own copies, or NULL */
	char *parent_id, *name, *item_id, *etag;
	struct graph *g;
	struct graph_mail begin_mail, cancel_mail, worker_mail;

	pthread_mutex_t lock;
	pthread_cond_t ended;
	unsigned refs; /* lock; owner, machine, the cancel mail */
	bool over;     /* lock; `done` has returned */
	bool cancel;   /* lock; the mail was posted, or comes too late */
	uint64_t next; /* lock; what the service has confirmed */

	/* Network thread, handed to the worker and back with its jobs. */
	enum upload_state state;
	struct upload_opening *opening;
	struct graph_slot slot;
	struct http_request *req;
	char *url; /* guarded memory */
	bool canceled;
	bool must_ask;
	int note_rc;
	uint64_t fragment; /* wished size, a multiple of the granule */
	uint64_t end;      /* of the fragment under way */
	unsigned attempt;  /* since the last progress */
	int64_t progress_ms;
	struct upload_plan plan;
	struct upload_body body;
};

void upload_set_state(struct upload *u, enum upload_state to);

/* Its slot was granted and begun: sends the next fragment, or asks the
 * session. Fills u->plan, leaves the slot and calls upload_settle() when both
 * the answer and the worker are there. */
void upload_send(struct upload *u);
void upload_ask(struct upload *u);

/* Carries u->plan out. */
void upload_settle(struct upload *u);

/* Any thread. */
uint64_t upload_confirmed(struct upload *u);
void upload_set_confirmed(struct upload *u, uint64_t next);

/* Fill u->plan by what came back: facts 5.2, 5.3. The rest of it is zero. */
void upload_plan_after_fragment(struct upload *u, const struct http_answer *a,
                                cJSON *json);
void upload_plan_after_asking(struct upload *u, const struct http_answer *a,
                              cJSON *json);
void upload_plan_end(struct upload_plan *p, int rc, enum retry_verdict verdict);

#endif
