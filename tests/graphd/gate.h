/* tests/graphd/gate.h -- what a request passes before a handler sees it:
 * bearer, freeze after a Retry-After, budget; and the leak check of the hosts
 * where no bearer belongs.
 *
 * Threads: lock. Source: facts/graph.md 1.6, 6, 10.1. */
#ifndef NMB_TESTS_GRAPHD_GATE_H
#define NMB_TESTS_GRAPHD_GATE_H

#include "tests/graphd/graphd.h"

/* True: go on. False: `out` is the answer. Sets what the bearer may in *req. */
bool gate_enter(struct graphd *g, struct request *req, struct answer *out);

/* One part of a batch: fault, budget, handler. */
void gate_run_part(struct graphd *g, struct request *req, struct answer *out);

/* An answer is about to leave: a 429 or 503 with Retry-After begins a freeze.
 */
void gate_note_answer(struct graphd *g, const struct answer *out);

#endif
