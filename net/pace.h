/* net/pace.h -- how fast one account may be asked: the request budget.
 *
 * Every request to the account's service, on whichever host, asks before it
 * starts and says how it ended. Three things hold it back:
 *
 *	a freeze	after 429, 509, or 503 with Retry-After, nothing goes
 *			until the larger of Retry-After and RateLimit-Reset is
 *			over (a call meanwhile prolongs the block); without
 *			either, 4 s doubling to 2 min. Then one request goes
 *			alone, and the others once it came back well
 *	a window	4 to 32 requests in flight: one more after a window
 *			full of successes (until the first throttled one: after
 *			each), half of it after a throttled one
 *	a budget	resource units per minute as told by RateLimit-*:
 *			free while more than half is left, then slower and
 *			slower, so that it lasts to the minute's end. Without
 *			those headers a rate is guessed from what was possible
 *			before a 429
 *
 * Lower classes get a smaller share of the window, but each at least one
 * request, and stop earlier in the budget; uploads have more of it while
 * nothing is read. Who waits is the caller's business:
 * whenever a request came, ended, or a time told by pace_ask() is over, it
 * calls pace_pick() and starts somebody, for as long as that names a class.
 *
 * Pure: time comes in, in milliseconds of clock_mono_ms(); no I/O. Sources:
 * facts/graph.md 10.1. Threads: none, the caller locks. */
#ifndef NMB_PACE_H
#define NMB_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum pace_class {
	PACE_USER,       /* somebody waits */
	PACE_META,       /* small requests of the engine */
	PACE_READ_AHEAD, /* downloads nobody waits for yet */
	PACE_UPLOAD,     /* content going up */
	PACE_CLASSES,
};

#define PACE_MIN_WINDOW 4
#define PACE_MAX_WINDOW 32

/* From pace_ask(): not before some request ends. */
#define PACE_ON_DONE INT64_MAX

struct pace {
	int window_milli; /* requests in flight, in thousandths */
	int64_t full_ms;  /* when last all of it was taken */
	unsigned in_flight, in_flight_of[PACE_CLASSES];
	int64_t units_in_flight;

	int64_t frozen_until_ms; /* 0: never was */
	int64_t event_ms;        /* last time the window was halved */
	unsigned events_in_row;  /* since the last success */
	bool probing;            /* one request at a time until a success */

	/* The budget of the current minute; limit 0: not known. */
	int64_t limit, left; /* units; `left` after what is in flight */
	int64_t told_left;   /* lowest RateLimit-Remaining of this minute */
	int64_t begin_ms, end_ms;

	/* Without RateLimit-*. */
	int64_t rate; /* units per minute; 0: no limit */
	int64_t rate_grown_ms;
	int64_t spent[60]; /* units started, by second modulo 60 */
	int64_t spent_s;   /* the second `spent` is up to date with */

	int64_t next_us; /* who is not PACE_USER starts no earlier */
};

/* One request under way; the caller keeps it from start to end. */
struct pace_ticket {
	enum pace_class class;
	unsigned units;
	int64_t started_ms;
};

struct pace_result {
	long status;            /* 0: no answer */
	int64_t retry_after_ms; /* -1: no header */
	/* RateLimit-Limit, -Remaining, -Reset; -1: no header. */
	int64_t limit, remaining, reset_ms;
	uint32_t random; /* jitter */
};

void pace_init(struct pace *p);

/* May a request of `units` (facts 10.1; a $batch is one request and the sum of
 * its parts' units) start now? 0: yes, and the caller calls pace_start().
 * Else the time at which to ask again; earlier is allowed, and after the end
 * of a request it may help. PACE_ON_DONE: only that helps. */
int64_t pace_ask(struct pace *p, enum pace_class class, unsigned units,
                 int64_t now_ms);

/* `units[class]`: of the first one of that class that waits; 0: nobody does.
 * Returns the class whose turn it is, or -1 and the time to ask again. A class
 * that is refused doesn't hold up those behind it: for each of them there is
 * at least one request, so that uploads go on during a long restore. */
int pace_pick(struct pace *p, const unsigned units[PACE_CLASSES],
              int64_t now_ms, int64_t *out_again_ms);

void pace_start(struct pace *p, enum pace_class class, unsigned units,
                int64_t now_ms, struct pace_ticket *out_t);

/* Exactly once for each start, also for what was cancelled (status 0). */
void pace_done(struct pace *p, const struct pace_ticket *t,
               const struct pace_result *res, int64_t now_ms);

/* For throttling that pace_done() can't see: a part of a $batch that was
 * answered with 200, or whatever else retry_decide() wants a freeze for. */
void pace_throttled(struct pace *p, const struct pace_ticket *t,
                    const struct pace_result *res, int64_t now_ms);

/* For status displays: the end of the freeze, 0 if there is none. */
int64_t pace_frozen_until(const struct pace *p, int64_t now_ms);

/* Value of RateLimit-Limit or -Remaining ("1250", "1250;w=60"), or -1. */
int64_t pace_parse_units(const char *header);

#endif
