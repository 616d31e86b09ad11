/* tests/unit/graph_rig.h -- a graph against a server that follows a script.
 *
 * A request takes the first step not used up whose `want` is how its request
 * line begins ("GET /v1.0/x"); one that finds none is answered with 599 and
 * counts as `unexpected`. All requests are recorded in order. */
#ifndef NMB_TESTS_GRAPH_RIG_H
#define NMB_TESTS_GRAPH_RIG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/graph.h"
#include "tests/unit/fake.h"

struct step {
	const char *want;
	int status;          /* 0: the connection is cut instead of an answer */
	const char *headers; /* lines ended by \r\n, or NULL */
	const char *body;    /* JSON unless `headers` say otherwise */
	unsigned times;      /* 0: once */
	bool hang;           /* no answer at all */
	const char *token;   /* fits only with that bearer; NULL: any */
};

#define ANSWER(req, code, ...)                                                 \
	{                                                                      \
		.want = (req), .status = (code), ##__VA_ARGS__                 \
	}

struct record {
	char line[512]; /* method, blank, target */
	char auth[64], if_match[64], type[64];
	char *body;
	size_t len;
	int64_t at_ms;
};

struct rig {
	struct fake *server;
	struct http *http;
	struct graph *g;
	char base[80]; /* ".../v1.0" */

	/* Of the server; the test looks at them after fake_requests(). */
	const struct step *steps;
	size_t nsteps;
	unsigned used[64];
	struct record records[256];
	unsigned nrecords, unexpected;

	/* The token callback: gives "token-N", another N for each refusal. */
	pthread_mutex_t lock;
	int token_rc; /* lock; -Exxx: instead of a token */
	bool late;    /* lock; it answers from another thread */
	unsigned token_n, token_calls, refreshes;
	char stale[64]; /* the last one it was told */
};

void rig_start(struct rig *r, const struct step *steps, size_t nsteps);
void rig_stop(struct rig *r);

/* New steps; the old records stay. */
void rig_script(struct rig *r, const struct step *steps, size_t nsteps);
void rig_token_rc(struct rig *r, int rc);

/* GET of "/x" with that patience. */
struct graph_call rig_get(const char *path, int64_t patience_ms);

/* Calls that end with a count; `results` in the order of their end. */
struct ends {
	pthread_mutex_t lock;
	pthread_cond_t more;
	unsigned n; /* lock */
	struct end {
		unsigned id;
		int rc;
		enum retry_verdict verdict;
		long status;
		bool was_sent, offline;
		int64_t at_ms;
		char code[64];
	} end[256]; /* lock */
};

void ends_init(struct ends *e);
void ends_done(struct ends *e);
void ends_wait(struct ends *e, unsigned n);

/* Starts `c` so that its end lands in `e` under that id. */
int ends_start(struct ends *e, struct graph *g, struct graph_call c,
               unsigned id);

/* The end with that id, NULL if it hasn't come. */
const struct end *ends_find(struct ends *e, unsigned id);

#endif
