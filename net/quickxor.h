/* net/quickxor.h -- quickXorHash, the checksum OneDrive gives for files.
 *
 * 160 one-byte lanes and a length: facts/graph.md 12.2. Guards against
 * transport faults only, it is not cryptographic. The struct is its own saved
 * state (plain bytes, host byte order). Threads: one at a time per state. */
#ifndef NMB_QUICKXOR_H
#define NMB_QUICKXOR_H

#include <stddef.h>
#include <stdint.h>

#define QUICKXOR_SIZE 20
#define QUICKXOR_TEXT 29 /* base64 and NUL */

struct quickxor {
	uint8_t lane[160];
	uint64_t len;
};

void quickxor_init(struct quickxor *q);
void quickxor_update(struct quickxor *q, const void *data, size_t len);
/* A piece by its place, in any order; each byte exactly once. */
void quickxor_update_at(struct quickxor *q, uint64_t off, const void *data,
                        size_t len);
void quickxor_final(const struct quickxor *q, uint8_t out[QUICKXOR_SIZE]);

void quickxor_to_text(const uint8_t hash[QUICKXOR_SIZE],
                      char out[QUICKXOR_TEXT]);
/* 0 or -EINVAL. */
int quickxor_from_text(const char *text, uint8_t out[QUICKXOR_SIZE]);

#endif
