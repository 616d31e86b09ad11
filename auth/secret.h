/* auth/secret.h -- strings that are credentials, in memory of their own.
 *
 * The memory comes from sodium_malloc(): kept out of swap and core files where
 * the system allows it, between guard pages, wiped when it is freed.
 * sodium_init() comes first (main, keystore_open()). Threads: any. */
#ifndef NMB_SECRET_H
#define NMB_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* Longest token that is taken, with its NUL. Access tokens of work accounts
 * have some thousand bytes. */
#define SECRET_MAX_TOKEN 16384

/* A copy, or NULL: no memory. Freed with secret_free(), which takes NULL. */
char *secret_strdup(const char *s);
void secret_free(char *secret);

/* True if `s` can be a token: visible ASCII only (RFC 6749 A.12, A.17), so
 * that it can neither end a header line nor a line of a log; not empty, not
 * too long. NULL is none. */
bool secret_is_token(const char *s);

#endif
