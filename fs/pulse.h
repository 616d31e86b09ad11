/* fs/pulse.h -- shows that the FUSE loop goes round: somebody looks into the
 * mount (statfs, which no kernel answers by itself) and gets an answer.
 *
 * A child of ours does, which keeps no descriptor. A thread would do for the
 * question; but if no answer came, it could not be killed, and with it the
 * process: its end is what would release it. (FUSE_NOTIFY_RETRIEVE makes the
 * kernel ask something without anybody waiting; newer kernels, tried with 6.18,
 * do that for regular files only, and there may be none that they know.)
 *
 * Threads: one, but for pulse_begin() and pulse_end(). NULL does nothing.
 * Errors: 0 or -Exxx. */
#ifndef NMB_PULSE_H
#define NMB_PULSE_H

#include <stdbool.h>

struct pulse;

/* `mountpoint` is borrowed. */
int pulse_new(const char *mountpoint, struct pulse **out_p);

/* Nobody answers any more: the connection is closed. */
void pulse_free(struct pulse *p);

/* It is mounted from now on; it is not any more. */
void pulse_begin(struct pulse *p);
void pulse_end(struct pulse *p);

/* Nothing happens while a question is open. */
void pulse_ask(struct pulse *p);
/* Not asked, or not mounted, counts as answered. */
bool pulse_answered(struct pulse *p);

#endif
