/* tests/graphd/throttle.h -- the service's budget for one account.
 *
 * Off until switched on. A minute's budget of resource units, a number of
 * requests per five minutes, and bytes per hour each way, counted in fixed
 * windows that begin with the first request in them. The first request over a
 * budget is refused, and so is every one until the block ends; one that comes
 * during the block, later than the first refusal and the grace for what was on
 * its way already, prolongs it and is counted as forbidden: a client that waits
 * as told has `forbidden` 0. Pure: no clock but `now_ms`. Threads: any; own
 * lock, never waits. Source: facts/graph.md 10.1. One object stands for user
 * and app alike. */
#ifndef NMB_TESTS_GRAPHD_THROTTLE_H
#define NMB_TESTS_GRAPHD_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include <cjson/cJSON.h>

struct throttle; /* opaque */

enum throttle_op {
	THROTTLE_FREE,        /* counted as a request, costs nothing */
	THROTTLE_GET,         /* one item, a drive, a version */
	THROTTLE_DELTA_TOKEN, /* delta with a token */
	THROTTLE_DOWNLOAD,
	THROTTLE_LIST,
	THROTTLE_CREATE,
	THROTTLE_UPDATE,
	THROTTLE_DELETE,
	THROTTLE_UPLOAD, /* small PUT, session, fragment */
	THROTTLE_DELTA,  /* delta without a token */
	THROTTLE_PERMISSIONS,
	THROTTLE_NOPS,
};

int throttle_new(struct throttle **out_t);
void throttle_free(struct throttle *t);

/* Resource units of `op`; "get", "delta_token", ... */
unsigned throttle_units(enum throttle_op op);
const char *throttle_name(enum throttle_op op);

struct throttle_answer {
	int status;        /* 0: go on; else 429 (or as set): refuse */
	int retry_after_s; /* with status; 0: send no Retry-After */
	bool limits;       /* send RateLimit-Limit, -Remaining, -Reset */
	int64_t limit;     /* units per minute */
	int64_t remaining;
	int64_t reset_s;
};

/* Charges one request; each part of a $batch is one. Refused requests cost
 * nothing. `limits` comes once 80 % of the minute's units are used. */
void throttle_ask(struct throttle *t, enum throttle_op op, int64_t now_ms,
                  struct throttle_answer *out);

/* Counts content bytes after the fact: `in` from the client, `out` to it. */
void throttle_bytes(struct throttle *t, int64_t in, int64_t out,
                    int64_t now_ms);

/* Behaviour, from the control interface. Members of `settings`, all optional;
 * an unknown one or a wrong type is -EINVAL, and then nothing has changed.
 *
 *   on               false by default
 *   units_per_min    1250; 0 here and below: no such limit
 *   requests_per_5min 3000
 *   ingress_per_hour 50 GB, in bytes
 *   egress_per_hour  100 GB
 *   scale            1.0; budgets are multiplied by it
 *   speed            1.0; 60 makes a minute last a second
 *   status           429; 503 and 509 are seen too
 *   retry_after      true; false: the header is left out
 *   min_retry_s      1; Retry-After is never less
 *   grace_ms         1000; see above
 *   block_s          n: a block of n seconds begins now, on or off
 */
int throttle_set(struct throttle *t, const cJSON *settings, int64_t now_ms);

/* A new object, NULL if out of memory: requests, units, refused, forbidden,
 * blocks, bytes_in, bytes_out, blocked_for_ms, by_op {name: requests}. */
cJSON *throttle_stats(struct throttle *t, int64_t now_ms);

#endif
