/* net/readback.h -- reads a content on the service once, for its quickXorHash.
 *
 * The service does not always say the hash of what it holds (facts/graph.md 4,
 * 8: answers without one, old versions never have one). Then what is there is
 * known only after reading it. Nothing is kept of the bytes.
 *
 * Threads: any thread may call, also from callbacks; `done` runs on the
 * network thread, must not block, no lock held. */
#ifndef NMB_READBACK_H
#define NMB_READBACK_H

#include <stdint.h>

#include "net/graph.h"

struct readback; /* one reading */

struct readback_what {
	const char *item_id;
	const char *etag;       /* of the current content; NULL: whichever */
	const char *version_id; /* an old version instead; NULL: current */
	uint64_t size;          /* bytes, as the service told */
};

/* Comes exactly once. rc 0: `hash` is that of all bytes; -ESTALE: another
 * content; else as download_done_fn. The handle dies when it returns. */
typedef void readback_done_fn(void *arg, int rc,
                              const uint8_t hash[GRAPH_HASH_SIZE]);

/* In the background, going on after trouble for as long as it takes. `what` is
 * copied; `done` may come before this returns, *out_r is set by then. */
int readback_start(struct graph *g, const struct readback_what *what,
                   readback_done_fn *done, void *arg, struct readback **out_r);

/* `done` comes soon with -ECANCELED, unless it already came: the caller's own
 * lock makes sure that the handle is valid. */
void readback_cancel(struct readback *r);

#endif
