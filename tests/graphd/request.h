/* tests/graphd/request.h -- one request as the handlers see it, on its own or
 * a part of a $batch. Handlers only read it. */
#ifndef NMB_TESTS_GRAPHD_REQUEST_H
#define NMB_TESTS_GRAPHD_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "tests/graphd/answer.h"
#include "tests/graphd/route.h"

struct draft;
struct fault_hit;

struct request {
	const char *method;
	const char *target; /* path and query, byte for byte */
	const char *base;   /* scheme and host it was sent to, no slash */
	struct route route;
	struct query query;
	const struct header *headers;
	size_t nheaders;
	const struct buf *body; /* JSON and forms */
	struct draft *draft; /* content of a small PUT; owned by the caller */
	int64_t now_ns;      /* the service's clock */
	bool in_batch;
	struct fault_hit *whole;    /* of the request, its batch's if in one */
	bool read_only, app_folder; /* what the bearer may not */
	bool stranger;              /* the bearer is not the drive's owner */
	bool ignore_range;          /* a fault */
};

/* Any case; NULL: not there. */
const char *request_header(const struct request *r, const char *name);

/* The body, or NULL and an answer 400. Caller deletes. */
cJSON *request_json(const struct request *r, struct answer *out);

#endif
