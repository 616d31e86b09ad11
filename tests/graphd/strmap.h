/* tests/graphd/strmap.h -- a hash table from bytes to pointers.
 *
 * Keys are copied, values borrowed. Threads: the caller's lock. */
#ifndef NMB_TESTS_GRAPHD_STRMAP_H
#define NMB_TESTS_GRAPHD_STRMAP_H

#include <stddef.h>

struct strmap;

struct strmap *strmap_new(void);
void strmap_free(struct strmap *m); /* not the values */

void strmap_put(struct strmap *m, const void *key, size_t len, void *value);
void *strmap_get(const struct strmap *m, const void *key, size_t len);
void strmap_del(struct strmap *m, const void *key, size_t len);
size_t strmap_count(const struct strmap *m);

#endif
