/* tests/graphd/uploads.h -- keeps the bytes of every upload as they came in,
 * for tests about what left the client: whole or cut off, kept or refused.
 *
 * One file per request, numbered in order: its request line, Content-Length,
 * Content-Range and an empty line, each ended by LF; then the body as far as it
 * came.
 *
 * Threads: any; a file belongs to its connection's thread. */
#ifndef NMB_TESTS_GRAPHD_UPLOADS_H
#define NMB_TESTS_GRAPHD_UPLOADS_H

#include <stddef.h>

struct exchange;

/* A file in opt.uploads for this request, if it carries content of a file: its
 * descriptor, else -1. The directory has to exist. */
int uploads_begin(const struct exchange *x);

/* fd < 0: nothing happens. */
void uploads_add(int fd, const void *data, size_t len);

#endif
