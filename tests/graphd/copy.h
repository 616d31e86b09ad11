/* tests/graphd/copy.h -- server-side copies and their monitors.
 *
 * Threads: lock. Source: facts/graph.md 3.4. */
#ifndef NMB_TESTS_GRAPHD_COPY_H
#define NMB_TESTS_GRAPHD_COPY_H

#include "tests/graphd/graphd.h"

struct copies;

struct copies *copies_new(void);
void copies_free(struct copies *c);

void copy_start(struct graphd *g, const struct request *req,
                struct answer *out);
void copy_monitor(struct graphd *g, const struct request *req,
                  struct answer *out);

#endif
