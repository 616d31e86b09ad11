/* tests/graphd/put.h -- content that comes in one request: PUT .../content,
 * the personal multipart create; and how any new content becomes an item.
 *
 * Threads: lock. Source: facts/graph.md 4. */
#ifndef NMB_TESTS_GRAPHD_PUT_H
#define NMB_TESTS_GRAPHD_PUT_H

#include "tests/graphd/graphd.h"
#include "tests/graphd/locate.h"

void put_content(struct graphd *g, const struct request *req,
                 struct answer *out);
void put_multipart(struct graphd *g, const struct request *req,
                   struct answer *out);

/* What a new content brings along; 0 and NULL: now, none. */
struct put_meta {
	int64_t fs_created_ns, fs_modified_ns;
	const char *description;
};

/* Stores `blob` (one reference is taken over, also on failure) as content of
 * the target, by its conflict rule. Returns the item, or NULL and an answer;
 * *out_created tells new items. */
struct item *put_blob(struct graphd *g, const struct request *req,
                      struct answer *out, const struct target *t,
                      enum conflict how, struct blob *blob,
                      const struct put_meta *meta, bool *out_created);

#endif
