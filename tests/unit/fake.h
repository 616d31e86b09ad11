/* tests/unit/fake.h -- a server whose answers a test makes up.
 *
 * `answer` gets each request, one at a time, and fills in the reply; it runs
 * on a thread of the server. `head`, if set, sees the request before its body
 * and says how many bytes of that may come before the connection is cut.
 * Connections are kept open between requests. */
#ifndef NMB_TESTS_FAKE_H
#define NMB_TESTS_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/buf.h"

struct fake;

struct fake_request {
	const char *method, *target; /* target: path with query */
	const char *head;            /* all of it, as received */
	const char *body;            /* NUL-terminated */
	size_t len;
	unsigned nth; /* counts requests from 0 */
};

struct fake_reply {
	int status;         /* 0: cut the connection instead */
	struct buf headers; /* lines, each with \r\n */
	struct buf body;
	size_t cut; /* cut the connection after so much of the body */
	bool hang;  /* no answer until fake_stop() or the client leaves */
	bool close; /* the connection, after the answer, without a word */
};

typedef void fake_answer_fn(void *arg, const struct fake_request *q,
                            struct fake_reply *r);
typedef size_t fake_head_fn(void *arg, const struct fake_request *q);

struct fake *fake_start(fake_answer_fn *answer, fake_head_fn *head, void *arg);
void fake_stop(struct fake *f);

/* "http://127.0.0.1:PORT" */
const char *fake_url(const struct fake *f);
unsigned fake_requests(struct fake *f);

/* Waits until that many requests have come (header and body). */
void fake_wait_requests(struct fake *f, unsigned n);

/* The value of a header in a request's head, or "" ; static memory. */
const char *fake_header(const struct fake_request *q, const char *name);

/* Fills the reply with that JSON text. */
void fake_json(struct fake_reply *r, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
