/* tests/graphd/list.h -- collections: children, paging, search.
 *
 * A page is a stretch of the listing as it is when the page is asked for:
 * changes in between cause misses and repeats, as with the service
 * (facts/graph.md 2.2). Threads: lock. */
#ifndef NMB_TESTS_GRAPHD_LIST_H
#define NMB_TESTS_GRAPHD_LIST_H

#include "tests/graphd/graphd.h"

void list_children(struct graphd *g, const struct request *req,
                   struct answer *out);
/* Adds at most one page of children to the item's JSON. */
void list_expand_children(struct graphd *g, const struct request *req,
                          struct item *folder, cJSON *json);
void list_search(struct graphd *g, const struct request *req,
                 struct answer *out);
void list_drives(struct graphd *g, const struct request *req,
                 struct answer *out);
void list_nothing(struct graphd *g, const struct request *req,
                  struct answer *out);

/* $top, cut to what the service gives; `def` without one. */
uint64_t list_page_size(struct graphd *g, const struct request *req);

#endif
