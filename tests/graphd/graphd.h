/* tests/graphd/graphd.h -- all of one emulator: what the handlers work on.
 *
 * Threads: one thread per connection. `lock` guards everything here but
 * login and throttle (own locks) and the clock (atomic); it is held while a
 * handler runs, never over a transfer, a latency or a stall. */
#ifndef NMB_TESTS_GRAPHD_GRAPHD_H
#define NMB_TESTS_GRAPHD_GRAPHD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/graphd/drive.h"
#include "tests/graphd/quirks.h"
#include "tests/graphd/request.h"

struct graphd_options {
	enum drive_kind kind;
	const char *data_dir;    /* NULL: nothing outlives the process */
	const char *content_url; /* scheme, host and port of content URLs */
	const char *tap;         /* what goes over the wire, to this file */
	const char *uploads;     /* bytes of uploads, into this directory */
	int64_t quota_bytes;     /* 0: unlimited */
	bool sha1;
};

struct graphd {
	struct graphd_options opt;
	pthread_mutex_t lock;
	pthread_cond_t event; /* something a waiting test may wait for */
	bool stopping;

	struct blob_store *blobs;
	struct drive *drive;
	struct sessions *sessions;
	struct copies *copies;
	struct faults *faults;
	struct stats *stats;
	struct wire *wire;
	struct persist *persist; /* NULL: none */
	struct login *login;
	struct throttle *throttle;
	struct quirks quirks;
	int tap_fd;                /* -1: none (tap.h) */
	_Atomic unsigned nuploads; /* number of the last one kept (uploads.h) */

	_Atomic int64_t clock_offset_ns;
	char *content_url;
	char *user_guid;

	/* Delta: tokens of an older epoch get 410 (facts/graph.md 7.3). */
	unsigned delta_epoch;
	bool delta_gone_upload; /* inner code of that 410 */
	uint64_t pages;         /* served, for empty_page_every */
	int64_t urls_from_ns;   /* download URLs made before are dead */
	/* Monotonic: the last Retry-After, from its answer to its end. */
	int64_t freeze_from_ms, freeze_until_ms;
};

int graphd_new(const struct graphd_options *opt, struct graphd **out_g);
/* Wakes everything that sleeps or waits; for the time before the server is
 * stopped. */
void graphd_stop(struct graphd *g);
void graphd_free(struct graphd *g);

/* The service's clock, which a test can move. */
int64_t graphd_now_ns(struct graphd *g);
int64_t graphd_now_ms(struct graphd *g);

/* Answers one Graph request (PLACE_GRAPH) whose bearer is good; also a part
 * of a batch. Caller holds the lock. */
void graphd_handle(struct graphd *g, const struct request *req,
                   struct answer *out);

/* After changes, with the lock: saves them and wakes waiting tests. */
void graphd_settle(struct graphd *g);

#endif
