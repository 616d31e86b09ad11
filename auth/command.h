/* auth/command.h -- runs a command of the user's own configuration: bytes in,
 * bytes out, and an end within a bounded time.
 *
 * The command line goes to `sh -c` as it stands in the configuration; nothing
 * is ever pasted into it. What it should know comes through the environment
 * (never a secret), what is secret through standard input and output. With a
 * terminal it may ask there (gpg's pinentry); without one it gets a session of
 * its own, and all of it ends when the time is up.
 * Threads: any; blocks. */
#ifndef NMB_COMMAND_H
#define NMB_COMMAND_H

#include <stddef.h>
#include <stdint.h>

struct command {
	const char *line;
	const char *const *env; /* "NAME=value", ends with NULL; these win over
	                         * what is inherited; NULL: none */
	const void *in;         /* standard input; NULL: nothing */
	size_t in_len;
	int64_t limit_ms;
};

/* What the command printed is in `out`, at most `size` bytes (0: it may print
 * what it likes). Returns its exit status (0 to 255), or -ETIMEDOUT, -EFBIG (it
 * printed more), -ECHILD (ended by a signal), -Exxx. */
int command_run(const struct command *c, void *out, size_t size,
                size_t *out_len);

#endif
