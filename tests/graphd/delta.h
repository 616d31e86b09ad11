/* tests/graphd/delta.h -- the feed of changes.
 *
 * A token names a place in the drive's list of changes. A change moves its
 * item to the end of that list, so a round that is under way meets it again:
 * the last occurrence wins (facts/graph.md 7). Threads: lock. */
#ifndef NMB_TESTS_GRAPHD_DELTA_H
#define NMB_TESTS_GRAPHD_DELTA_H

#include "tests/graphd/graphd.h"

void delta_page(struct graphd *g, const struct request *req,
                struct answer *out);

#endif
