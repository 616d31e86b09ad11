/* tests/graphd/send.h -- an answer onto the wire: whole, from a file, or
 * slowly, cut, stalled and spoiled as a fault wants it.
 *
 * Threads: the connection's. */
#ifndef NMB_TESTS_GRAPHD_SEND_H
#define NMB_TESTS_GRAPHD_SEND_H

#include <microhttpd.h>

#include "tests/graphd/exchange.h"

/* What the access handler of libmicrohttpd returns. */
enum MHD_Result send_answer(struct exchange *x, struct MHD_Connection *c);

#endif
