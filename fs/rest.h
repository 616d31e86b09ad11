/* fs/rest.h -- the machine is about to sleep: requests of programs end, so that
 * it can (a process that waits for us can't be frozen), and connections close,
 * so that nothing is half done on them when it wakes.
 *
 * Threads: any but the network's. */
#ifndef NMB_REST_H
#define NMB_REST_H

struct nmb;

/* All that waits for the network ends as if its deadline had come, and nothing
 * new waits; when it returns, that was answered and no connection is open. */
void rest_begin(struct nmb *nmb);

/* Everything goes on, at once. */
void rest_end(struct nmb *nmb);

#endif
