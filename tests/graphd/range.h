/* tests/graphd/range.h -- Range and Content-Range headers. Pure.
 *
 * Source: RFC 9110 14; facts/graph.md 5.2, 6. */
#ifndef NMB_TESTS_GRAPHD_RANGE_H
#define NMB_TESTS_GRAPHD_RANGE_H

#include <stdint.h>

/* "bytes 0-99/1234": 0 with first <= last < total, or -EINVAL. */
struct range_content {
	uint64_t first, last, total;
};
int range_parse_content(const char *s, struct range_content *out);

/* "bytes=5-9", "bytes=5-", "bytes=-5" of `size` bytes. 0: *out_off and
 * *out_len are set, len > 0. -ENOENT: not to be heeded (no such unit or not
 * understood). -E2BIG: several ranges. -ERANGE: 416. */
int range_parse(const char *s, uint64_t size, uint64_t *out_off,
                uint64_t *out_len);

#endif
