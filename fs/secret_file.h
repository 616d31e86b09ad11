/* fs/secret_file.h -- files with keys in them, as people hand them around:
 * identity files, recovery pages.
 *
 * Threads: one, which may ask a person. Errors: 0 or -Exxx with one line for
 * people in `why`. Secrets are in sodium_malloc() memory. */
#ifndef NMB_SECRET_FILE_H
#define NMB_SECRET_FILE_H

#include <stddef.h>

#include "auth/age_key.h"

#define SECRET_FILE_MAX 65536

/* All of a file of at most SECRET_FILE_MAX bytes; "-": standard input. A NUL
 * follows that doesn't count. sodium_free() *out. -EINVAL: longer than that. */
int secret_file_read(const char *path, char **out, size_t *out_len, char *why,
                     size_t why_size);

/* A new file, 0600, on the disk before this returns; "-": standard output.
 * -EINVAL: it is there already, nothing is overwritten. `what` begins the
 * line. */
int secret_file_write(const char *path, const char *what, const void *data,
                      size_t len, char *why, size_t why_size);

/* The identities of a file (auth/age_key.h), which may be sealed with a
 * passphrase: then the first line that `passphrase_from` prints (sh -c), or,
 * without it, what a person types at the terminal. -EINVAL: no such file, or no
 * key in it; -EKEYREJECTED: wrong passphrase; -ENOTTY: nobody to ask for it. */
int secret_file_identities(const char *path, const char *passphrase_from,
                           struct age_identities *out, char *why,
                           size_t why_size);

#endif
