/* tests/graphd/exchange.h -- one HTTP request from its first line to its last
 * byte: what server.c hands to the rest in three steps.
 *
 * Threads: the connection's own; takes graphd.lock by itself. */
#ifndef NMB_TESTS_GRAPHD_EXCHANGE_H
#define NMB_TESTS_GRAPHD_EXCHANGE_H

#include "tests/graphd/fault.h"
#include "tests/graphd/request.h"
#include "tests/graphd/session.h"

struct exchange {
	struct graphd *g;
	struct request req;
	struct answer out;
	struct fault_hit hit;
	char *method, *target, *base; /* what req borrows */
	struct header *headers;
	int fd; /* the client's socket */
	bool https;
	bool begun;    /* counted */
	bool refused;  /* `out` was decided at the header; body is ignored */
	bool failed;   /* the body could not be kept */
	bool answered; /* counted as such */
	struct buf body;
	struct draft *draft;
	unsigned ticket;
	struct fragment fragment;
	uint64_t in_bytes;
	int kept_fd; /* uploads.h; -1: none */
};

struct exchange *exchange_new(struct graphd *g, const char *target);
void exchange_free(struct exchange *x);

/* A header field, before exchange_begin(). */
void exchange_header(struct exchange *x, const char *name, const char *value);

/* All headers are there. False: cut the connection. */
bool exchange_begin(struct exchange *x, const char *method, int fd, bool https,
                    bool new_connection);
/* A piece of the body. False: cut the connection. */
bool exchange_data(struct exchange *x, const void *data, size_t len);
/* The body is whole: fills x->out. False: cut the connection. */
bool exchange_finish(struct exchange *x);

#endif
