/* net/version_find.h -- where is a content that an item once had?
 *
 * An item was replaced while something still needs its former content. Lists
 * of versions tell sizes and no hashes (facts/graph.md 8), so those of the
 * right size are read, newest first, until one has the hash. The current
 * content is asked first: tags move, and versions are restored.
 *
 * Threads: any thread may call; `done` runs on the network thread, must not
 * block, no lock held. */
#ifndef NMB_VERSION_FIND_H
#define NMB_VERSION_FIND_H

#include <stdint.h>

#include "net/graph.h"

#define VERSION_ID_MAX   127
#define VERSION_FIND_MAX 16 /* of the right size are read, not more */

struct version_find; /* one search */

/* Exactly one of both is set if it was found; borrowed. */
struct version_found {
	const char *etag;       /* it is the current content, under this tag */
	const char *version_id; /* it is that old version */
};

/* Comes exactly once. rc 0: found; -ENOENT: it is nowhere any more; else -Exxx:
 * it could not be found out. The handle dies when it returns. */
typedef void version_find_fn(void *arg, int rc,
                             const struct version_found *found);

/* `done` may come before this returns; *out_v is set by then. */
int version_find_start(struct graph *g, const char *item_id, uint64_t size,
                       const uint8_t hash[GRAPH_HASH_SIZE],
                       version_find_fn *done, void *arg,
                       struct version_find **out_v);

/* `done` comes with -ECANCELED, once a request under way has ended
 * (graph_stop() hastens that), unless it already came: the caller's own lock
 * makes sure that the handle is valid. */
void version_find_cancel(struct version_find *v);

#endif
