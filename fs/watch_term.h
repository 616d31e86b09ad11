/* fs/watch_term.h -- the terminal while a picture is shown in it.
 *
 * The alternate screen, no cursor, keys without echo; given back as it was.
 * Signals that end a process, and SIGWINCH, are noticed by watch_term_wait()
 * only, which has no gap in which one would be missed. Threads: the main one;
 * one at a time. */
#ifndef NMB_WATCH_TERM_H
#define NMB_WATCH_TERM_H

#include <stdbool.h>
#include <stdint.h>
#include <signal.h>
#include <termios.h>

#include "fs/interrupt.h"

struct buf;

struct watch_term {
	bool screen; /* standard output is a terminal */
	bool keys;   /* so is standard input */
	struct termios old;
	struct interrupt interrupt;
	sigset_t mask; /* as it was */
};

/* Without a terminal only signals are caught. */
void watch_term_begin(struct watch_term *t);
void watch_term_end(struct watch_term *t);

/* Never 0. */
void watch_term_size(unsigned *out_cols, unsigned *out_rows);

/* Puts the lines of `text` (each ended by '\n') in the place of what is shown:
 * in one write, nothing is cleared before. -Exxx. */
int watch_term_show(const struct buf *text);

enum {
	WATCH_FD = 1 << 0,   /* `fd` can be read, or has ended */
	WATCH_SIZE = 1 << 1, /* the size changed */
	WATCH_QUIT = 1 << 2, /* a signal, or the key q */
};
/* At most until `until_ms` of clock_mono_ms(); < 0: no limit. */
unsigned watch_term_wait(struct watch_term *t, int fd, int64_t until_ms);

#endif
