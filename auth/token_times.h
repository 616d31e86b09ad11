/* auth/token_times.h -- how long a token is good, and when to ask for another.
 *
 * Pure: the clocks come in. `mono_ms` is clock_mono_ms(), which goes on while
 * the machine sleeps; `real_s` is the wall clock, which may jump either way
 * by years. Inside one process only the monotonic clock decides whether a token
 * is usable; the wall clock can at most cause one early refresh per token, and
 * what it gets wrong the service's 401 puts right. Threads: any. */
#ifndef NMB_TOKEN_TIMES_H
#define NMB_TOKEN_TIMES_H

#include <stdbool.h>
#include <stdint.h>

/* ---- life of an access token --------------------------------------------- */

struct token_life {
	int64_t issued_ms;  /* mono; when we got it or loaded it */
	int64_t early_ms;   /* mono; from here on refresh ahead of need */
	int64_t end_ms;     /* mono; no longer usable */
	int64_t end_real_s; /* wall clock's idea of the end */
};

struct token_life token_life_fresh(int64_t expires_in_s, int64_t mono_ms,
                                   int64_t real_s);

/* Of a token stored by an earlier run: the wall clock is all there is. Ended if
 * the clock says so, or stands before `obtained_s` (it was set back: nobody
 * knows). */
struct token_life token_life_loaded(int64_t obtained_s, int64_t expires_s,
                                    int64_t mono_ms, int64_t real_s);

bool token_life_usable(const struct token_life *l, int64_t mono_ms);
bool token_life_due(const struct token_life *l, int64_t mono_ms,
                    int64_t real_s);

/* ---- pace of refreshes --------------------------------------------------- */

struct token_pace {            /* {0} is a fresh start */
	unsigned failures;     /* in a row, of the network or the service */
	unsigned useless;      /* tokens in a row that Graph refused at once */
	int64_t not_before_ms; /* mono; no refresh earlier */
	bool told;             /* the service named that time: nothing but time
	                        * moves it */
};

/* retry_after_ms: 0 or what the service asked for; `random`: jitter. */
void token_pace_failed(struct token_pace *p, int64_t mono_ms,
                       int64_t retry_after_ms, uint32_t random);

/* `refused_young`: the token before this one was refused by Graph less than a
 * minute after it was issued. A service at odds with itself must not be asked
 * in a loop (AADSTS50196). */
void token_pace_succeeded(struct token_pace *p, int64_t mono_ms,
                          bool refused_young);

/* The network may be back: forget the back-off, not what the service said. */
void token_pace_kick(struct token_pace *p);

#endif
