/* fs/pulse.h -- shows that the FUSE loop goes round.
 *
 * A request of our own is put into the kernel's queue (FUSE_NOTIFY_RETRIEVE, of
 * no bytes) and comes back through the loop. Looking into the mount would prove
 * the same, but a process that waits for itself can't be killed.
 *
 * Threads: any; one at a time asks. NULL does nothing. Errors: 0 or -Exxx. */
#ifndef NMB_PULSE_H
#define NMB_PULSE_H

#include <stdbool.h>

struct fuse_session;
struct pulse;

int pulse_new(struct pulse **out_p);
void pulse_free(struct pulse *p);

/* `se` answers from now on. */
void pulse_begin(struct pulse *p, struct fuse_session *se);
/* It is not used once this has returned, and what libfuse keeps of a question
 * is gone, unless it does not answer for a second. */
void pulse_end(struct pulse *p);

void pulse_ask(struct pulse *p);
/* Not asked counts as answered, and so does a loop that is not there. */
bool pulse_answered(struct pulse *p);

/* fuse_lowlevel_ops.retrieve_reply. */
void pulse_echo(struct pulse *p);

#endif
