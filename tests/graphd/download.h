/* tests/graphd/download.h -- pre-authenticated URLs and what they give.
 *
 * A URL carries all that is needed (item, version, end of life, checksum), so
 * none is stored and all survive a restart. Threads: lock.
 * Source: facts/graph.md 6, 8. */
#ifndef NMB_TESTS_GRAPHD_DOWNLOAD_H
#define NMB_TESTS_GRAPHD_DOWNLOAD_H

#include "tests/graphd/graphd.h"

/* `version` NULL: the current content, at the time it is fetched. free(). */
char *download_url(struct graphd *g, const struct item *item,
                   const struct version *version, int64_t now_ns);

/* The item a download URL (path and query) is for; NULL: not genuine. */
struct item *download_item(struct graphd *g, const char *target);

/* GET .../content: 302, 304, or an error. */
void download_content(struct graphd *g, const struct request *req,
                      struct answer *out);
/* GET of such a URL on the content host. */
void download_serve(struct graphd *g, const struct request *req,
                    struct answer *out);

#endif
