/* tests/graphd/batch.h -- $batch: up to twenty requests in one.
 *
 * Parts without dependsOn run and answer in no order. Each part is charged and
 * throttled by itself. Threads: lock. Source: facts/graph.md 9. */
#ifndef NMB_TESTS_GRAPHD_BATCH_H
#define NMB_TESTS_GRAPHD_BATCH_H

#include "tests/graphd/graphd.h"

void batch_run(struct graphd *g, const struct request *req, struct answer *out);

#endif
