/* tests/graphd/must.h -- memory that is there, or the process ends.
 *
 * graphd is a test tool on a machine that has memory; an emulator that half
 * answers because malloc() failed would only mislead the test. So it ends with
 * one line and status 70 instead of carrying error paths nobody could test.
 * Threads: any. */
#ifndef NMB_TESTS_GRAPHD_MUST_H
#define NMB_TESTS_GRAPHD_MUST_H

#include <stddef.h>

#include "net/buf.h"

void *must_alloc(size_t size); /* zeroed */
void *must_grow(void *p, size_t size);
char *must_copy(const char *s); /* NULL gives NULL */
char *must_copy_n(const char *s, size_t len);
char *must_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The text of a buffer, "" if nothing was added; ends if one add failed. */
const char *must_text(const struct buf *b);

_Noreturn void must_die(int rc, const char *what);

/* For calls that return -Exxx and can't be gone on from. */
static inline void must_ok(int rc, const char *what)
{
	if (rc < 0)
		must_die(rc, what);
}

#endif
