/* tests/unit/alloc.h -- makes the n-th allocation of our own code fail.
 *
 * malloc, calloc, realloc and strdup of everything linked into the test are
 * wrapped (-Wl,--wrap); allocations inside shared libraries are not.
 *
 *	for (unsigned n = 1; alloc_fail_at(n); n++) {
 *		... call; must return -ENOMEM or succeed, and leak nothing ...
 *	}
 *
 * alloc_fail_at() ends the previous round and is false once a whole round
 * went by without reaching its n-th allocation.
 * Threads: counts the calling thread's allocations only. */
#ifndef NMB_TESTS_ALLOC_H
#define NMB_TESTS_ALLOC_H

#include <stdbool.h>

bool alloc_fail_at(unsigned n);

/* Allocations succeed again. */
void alloc_fail_off(void);

#endif
