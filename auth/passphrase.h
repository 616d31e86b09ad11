/* auth/passphrase.h -- asks for a passphrase: a command of the configuration,
 * or a person at the terminal.
 *
 * A command's first line of output counts, and there is only that one try. At
 * the terminal nothing is shown while it is typed, and Ctrl-C ends the
 * question; there is no limit of time but the person's.
 * Threads: one call at a time. */
#ifndef NMB_PASSPHRASE_H
#define NMB_PASSPHRASE_H

#include <stdbool.h>
#include <stddef.h>

#define PASSPHRASE_MAX 1024

/* `command` may be NULL. `what` ends "Passphrase for ...: "; `twice`: it is a
 * new one. `out` has PASSPHRASE_MAX bytes of sodium_malloc() memory; it gets
 * no NUL. 0; -ENOTTY: nobody to ask; -ECANCELED; -EINVAL: empty, too long, not
 * twice the same, the command failed; -ETIMEDOUT; -Exxx: `why` has one line. */
int passphrase_get(const char *command, const char *what, bool twice, char *out,
                   size_t *out_len, char *why, size_t why_size);

/* True if a person can be asked: standard input and error are a terminal. */
bool passphrase_can_ask(void);

#endif
