/* tests/graphd/stranger.h -- the drives of accounts that are not the owner of
 * the drive graphd keeps: there, empty, and with ids of their own, so that a
 * client that was signed in as somebody else can notice.
 *
 * Threads: lock. */
#ifndef NMB_TESTS_GRAPHD_STRANGER_H
#define NMB_TESTS_GRAPHD_STRANGER_H

#include "tests/graphd/graphd.h"

/* Answers instead of the handlers; nothing can be stored there (403). */
void stranger_handle(struct graphd *g, const struct request *req,
                     struct answer *out);

#endif
