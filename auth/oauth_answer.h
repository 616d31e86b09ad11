/* auth/oauth_answer.h -- what an answer of the sign-in service means.
 *
 * Pure: no clock, no I/O. Internal to auth/; auth/oauth.c sends the requests.
 * Decides by the members `error` and `suberror` and by the HTTP status; the
 * AADSTS numbers choose better words and name transient trouble, the text is
 * only shown (facts/graph.md 1.4, 1.7). Threads: any. */
#ifndef NMB_OAUTH_ANSWER_H
#define NMB_OAUTH_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "auth/oauth.h"
#include "net/json.h"

enum oauth_step { /* what was asked for */
	          OAUTH_STEP_DEVICE,
	          OAUTH_STEP_POLL,
	          OAUTH_STEP_REFRESH,
};

struct oauth_answer {
	int rc; /* struct http_answer.rc */
	long status;
	int64_t retry_after_ms; /* -1: no header */
	const char *detail;     /* of the transport, for rc < 0; may be NULL */
	const char *host;       /* that was asked, for people */
	const cJSON *json;      /* NULL: the body was none */
};

enum oauth_next {
	OAUTH_NEXT_END,    /* err->result says how */
	OAUTH_NEXT_POLL,   /* ask again after the interval, at the earliest
	                    * after err->retry_after_ms */
	OAUTH_NEXT_SLOWER, /* the same, and 5 s more between two polls from now
	                    * on (RFC 8628, 3.5) */
};

/* Fills all of `err`. OAUTH_OK: a 200 with a JSON object, to be read with one
 * of the functions below. Only a poll gets something else than _NEXT_END. */
enum oauth_next oauth_judge(enum oauth_step step, const struct oauth_answer *a,
                            struct oauth_error *err);

/* Read the body of a success. OAUTH_OK, OAUTH_NO_MEMORY, or OAUTH_OFFLINE when
 * it makes no sense; on an error *out holds nothing and `err` is filled. */
enum oauth_result oauth_read_device(const cJSON *json, struct oauth_device *out,
                                    struct oauth_error *err);
enum oauth_result oauth_read_token(const cJSON *json, struct oauth_token *out,
                                   struct oauth_error *err);

/* Text of the service made fit for a terminal: control characters and line
 * ends become spaces, bidirectional overrides and broken UTF-8 go; cut to
 * fit at a character's end. */
void oauth_clean_text(const char *in, char *out, size_t size);

#endif
