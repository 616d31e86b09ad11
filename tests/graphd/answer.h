/* tests/graphd/answer.h -- one answer before it becomes HTTP: of a request of
 * its own or of a part of a $batch.
 *
 * Threads: one at a time per answer. Bodies: facts/graph.md 10.2. */
#ifndef NMB_TESTS_GRAPHD_ANSWER_H
#define NMB_TESTS_GRAPHD_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "net/buf.h"

struct header {
	char *name, *value;
};

struct answer {
	int status;
	struct header *headers;
	size_t nheaders;
	struct buf body;
	/* A stretch of a file instead of `body`; -1: none. Owned. */
	int fd;
	uint64_t fd_off, fd_len;
	char request_id[37];
	char *client_request_id; /* echoed; NULL: the same as request_id */
};

void answer_init(struct answer *a, const char *client_request_id);
void answer_done(struct answer *a);
/* Back to nothing, ids kept: another answer is given instead. */
void answer_clear(struct answer *a);

void answer_header(struct answer *a, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
const char *answer_get_header(const struct answer *a, const char *name);

void answer_empty(struct answer *a, int status);
/* Takes `json`. */
void answer_json(struct answer *a, int status, cJSON *json);
void answer_text(struct answer *a, int status, const char *type,
                 const char *text);
/* `inner` NULL: no innerError.code. */
void answer_error(struct answer *a, int status, const char *code,
                  const char *inner, const char *message);

#endif
