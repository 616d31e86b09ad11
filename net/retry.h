/* net/retry.h -- what to do with an answer that is not a success.
 *
 * Pure: no clock, no state, no I/O; everything it needs comes in. The table
 * behind it is facts/graph.md section 14 (5.3 for upload URLs, 1.7 for
 * sign-in), its source comments name the rows. A status of 400 or more counts
 * even if the answer broke off behind it. Threads: any. */
#ifndef NMB_RETRY_H
#define NMB_RETRY_H

#include <stdbool.h>
#include <stdint.h>

enum retry_kind {                 /* what the request was */
	          RETRY_READ,     /* GET of metadata, listing, delta page */
	          RETRY_WRITE,    /* idempotent by its form: PATCH with absolute
	                           * values,    PUT with a tag, DELETE */
	          RETRY_CREATE,   /* POST, PUT of a new name: look before
	                             repeating */
	          RETRY_FRAGMENT, /* PUT to an upload URL, and the GET that asks
	                           * it how far it is */
	          RETRY_DOWNLOAD, /* GET of a pre-authenticated URL */
	          RETRY_IDENTITY, /* token endpoint */
	          RETRY_PAGE, /* GET of a nextLink or deltaLink: as RETRY_READ,
	                       * but the link itself may be what is wrong */
};

enum retry_verdict {
	RETRY_DONE,    /* success: nothing to retry */
	RETRY_WAIT,    /* send the same again after wait_ms */
	RETRY_REFRESH, /* get a new access token, then send again, once */
	RETRY_LOOK,    /* the outcome is unknown, or the tag is old: look and
	                * plan anew. rc -EEXIST: at who has the name; -ESTALE:
	                * at the item; else, with a fragment, at the session */
	RETRY_RESTART, /* the URL, session, listing or delta link is dead: get a
	                * new one and start over. A dead session may have been
	                * completed: first look at the item (5.5) */
	RETRY_SMALLER, /* 413 on a fragment */
	RETRY_FAIL,    /* no use in trying again now; rc says why */
};

/* The graph layer gives this as the code of a 401 whose message contains
 * "Unable to initialize RPS": transient, and the only message that counts
 * (facts 13 #36). */
#define RETRY_CODE_RPS "rps"

struct retry_in {
	enum retry_kind kind;
	int transport_rc; /* struct http_answer.rc; -EBADMSG for an answer that
	                   * makes no sense: HTML, bad JSON, no id */
	bool was_sent;
	long status;
	const char *code;       /* most specific error code, "" if none */
	int64_t retry_after_ms; /* -1: no header */
	unsigned attempt;       /* 0 for the first try */
	bool refreshed;         /* a token refresh was already tried for it */
	uint32_t random;        /* jitter */
};

struct retry_out {
	enum retry_verdict verdict;
	int rc;          /* errno for somebody who waits; 0 for RETRY_DONE */
	int64_t wait_ms; /* before what the verdict says; for RETRY_FAIL: when
	                  * the whole may be tried again, 0: not by itself */
	bool freeze;  /* stop the whole account for wait_ms (429, 503, 509) */
	bool offline; /* the network, not the service, is the trouble */
};

struct retry_out retry_decide(const struct retry_in *in);

/* Value of a Retry-After or RateLimit-Reset header: seconds, also with a
 * fraction, or an HTTP date (then `now_real_s`, seconds since 1970, counts; 0
 * if it is over). Milliseconds, capped at 24 h, or -EINVAL, also for NULL. */
int64_t retry_parse_after(const char *header, int64_t now_real_s);

#endif
