/* net/versions.h -- what versions of an item the service keeps.
 *
 * A list tells id, time and size of each, the current one first; no hashes
 * (facts/graph.md 8). Times are the service's, ns since 1970. Threads: a list
 * belongs to one thread at a time; versions_start() may be called from any,
 * `done` runs on the network thread, must not block, no lock held. */
#ifndef NMB_VERSIONS_H
#define NMB_VERSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/graph.h"
#include "net/version_find.h"

struct version {
	char id[VERSION_ID_MAX + 1];
	int64_t time;  /* 0: not told */
	uint64_t size; /* bytes there */
	bool current;  /* its content is the item's own: it can't be asked for
	                * as a version */
};

#define VERSIONS_MAX 50000 /* an admin may set that (facts 8) */

/* Appends those of a page (`value`) to v[0 .. n); what makes no sense is left
 * out. -ENOMEM, -E2BIG. */
int versions_add(const cJSON *value, struct version **v, size_t *n);

struct versions_call; /* one listing */

/* Comes exactly once, with the list in `v` (borrowed) if rc is 0; -ENOENT: no
 * such item, or it has none (a folder). */
typedef void versions_done_fn(void *arg, int rc, const struct version *v,
                              size_t n);

/* Lists all. `done` may come before this returns. graph_stop() ends it soon. */
int versions_start(struct graph *g, const char *item_id, int64_t patience_ms,
                   versions_done_fn *done, void *arg);

#endif
