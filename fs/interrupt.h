/* fs/interrupt.h -- SIGINT, SIGTERM and SIGHUP as a question, so that a
 * transfer ends in order.
 *
 * One signal flag per process. Threads: the main one; interrupt_seen(): any. */
#ifndef NMB_INTERRUPT_H
#define NMB_INTERRUPT_H

#include <signal.h>
#include <stdbool.h>

struct interrupt {
	struct sigaction old[3];
};

/* From here on signals only set the flag; interrupt_release() puts the
 * handlers back. Within each other: the flag stays until the outermost. */
void interrupt_catch(struct interrupt *i);
void interrupt_release(const struct interrupt *i);
bool interrupt_seen(void);

#endif
