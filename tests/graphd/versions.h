/* tests/graphd/versions.h -- old contents of files.
 *
 * Threads: lock. Source: facts/graph.md 8. */
#ifndef NMB_TESTS_GRAPHD_VERSIONS_H
#define NMB_TESTS_GRAPHD_VERSIONS_H

#include "tests/graphd/graphd.h"

void versions_list(struct graphd *g, const struct request *req,
                   struct answer *out);
void versions_get(struct graphd *g, const struct request *req,
                  struct answer *out);
void versions_content(struct graphd *g, const struct request *req,
                      struct answer *out);
void versions_restore(struct graphd *g, const struct request *req,
                      struct answer *out);
void versions_delete(struct graphd *g, const struct request *req,
                     struct answer *out);

#endif
