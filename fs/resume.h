/* fs/resume.h -- notices that the machine was asleep.
 *
 * What waits by the clock that stands still meanwhile would wait on after it:
 * the network has changed, other devices have written. No service of the system
 * is needed: the kernel ends a timer of wall-clock time early when that clock
 * jumps, and it does at every resume (timerfd_create(2),
 * TFD_TIMER_CANCEL_ON_SET); CLOCK_BOOTTIME tells that from a clock that was
 * only set. Threads: one. */
#ifndef NMB_RESUME_H
#define NMB_RESUME_H

#include <stdbool.h>
#include <stdint.h>

struct resume {
	int fd; /* readable when it is to be asked; -1: never, for poll() */
	int64_t asleep_ms; /* since boot, as of the last look */
};

/* Without such a timer (no memory, an old kernel) nothing is noticed. */
void resume_init(struct resume *r);
void resume_done(struct resume *r);

/* The fd was readable: has it slept, for more than some seconds? */
bool resume_has_slept(struct resume *r);

/* The same by two clocks, for tests. */
bool resume_note(struct resume *r, int64_t boot_ms, int64_t mono_ms);

#endif
