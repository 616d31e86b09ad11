/* net/buf.h -- a growable byte buffer.
 *
 * `data` is always NUL-terminated once something was added, so that text can
 * be used as a string; the NUL does not count in `len`. A failed allocation
 * leaves the buffer as it was and is remembered in `failed`: a caller may add
 * many pieces and look once.
 * Threads: none; a buffer belongs to one thread at a time. */
#ifndef NMB_BUF_H
#define NMB_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data; /* NULL while empty and never grown */
	size_t len; /* bytes */
	size_t cap;
	bool failed; /* an allocation failed since buf_init() */
};

/* clang-format off */
#define BUF_INIT { NULL, 0, 0, false }
/* clang-format on */

void buf_init(struct buf *b);

/* Frees the memory; the buffer is empty and usable again. */
void buf_done(struct buf *b);

/* As buf_done(), after overwriting every byte it ever held since the last
 * growth (growth of a buffer that holds secrets must be avoided: reserve). */
void buf_wipe(struct buf *b);

/* All return 0 or -ENOMEM. */
int buf_reserve(struct buf *b, size_t more);
int buf_add(struct buf *b, const void *data, size_t len);
int buf_add_str(struct buf *b, const char *s);
int buf_add_char(struct buf *b, char c);
int buf_addf(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Adds `s` percent-encoded: everything but RFC 3986 unreserved characters. */
int buf_add_percent(struct buf *b, const char *s, size_t len);

/* Forgets the content, keeps the memory. */
void buf_clear(struct buf *b);

/* Drops the first `n` bytes (n <= len). */
void buf_drop(struct buf *b, size_t n);

/* Hands the memory to the caller (free()); the buffer is empty. NULL if an
 * allocation failed; "" allocated if nothing was added. */
char *buf_steal(struct buf *b);

#endif
