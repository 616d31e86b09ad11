/* tests/graphd/item_json.h -- driveItems as JSON, by dialect.
 *
 * Source: facts/graph.md 2.3 to 2.6, graph-examples/item-*. Threads: lock. */
#ifndef NMB_TESTS_GRAPHD_ITEM_JSON_H
#define NMB_TESTS_GRAPHD_ITEM_JSON_H

#include "tests/graphd/graphd.h"

enum item_view {
	VIEW_ITEM,  /* GET, answers to changes, listings */
	VIEW_DELTA, /* without what delta leaves out (7.2) */
	VIEW_STALE, /* delta, with the state before the last change */
};

cJSON *item_json(struct graphd *g, const struct request *req, struct item *item,
                 enum item_view view);

/* Drops what $select doesn't name. */
void item_json_select(cJSON *item, const char *select);

/* Answers with the item, context and all; $select and $expand=children are
 * heeded. */
void item_json_answer(struct graphd *g, const struct request *req,
                      struct answer *out, int status, struct item *item);

/* The eTag as it is now (a new item's may move by itself); free(). */
char *item_etag(struct graphd *g, struct item *item, int64_t now_ns);

#endif
