/* tests/graphd/change.h -- requests that change metadata: folder creation,
 * PATCH, DELETE, restore.
 *
 * Threads: lock. Source: facts/graph.md 3. */
#ifndef NMB_TESTS_GRAPHD_CHANGE_H
#define NMB_TESTS_GRAPHD_CHANGE_H

#include "tests/graphd/graphd.h"

void change_create(struct graphd *g, const struct request *req,
                   struct answer *out);
void change_patch(struct graphd *g, const struct request *req,
                  struct answer *out);
void change_delete(struct graphd *g, const struct request *req,
                   struct answer *out);
void change_permanent_delete(struct graphd *g, const struct request *req,
                             struct answer *out);
void change_restore(struct graphd *g, const struct request *req,
                    struct answer *out);

#endif
