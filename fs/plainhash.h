/* fs/plainhash.h -- the hash of a file's plaintext, taken while it is sealed.
 *
 * BLAKE2b-256, which `b2sum -l 256 FILE` prints too. Sealing reads a content
 * in order, but for pieces it takes again; what was taken once is not hashed
 * again. Where bytes are skipped (an upload that goes on after a restart reads
 * only the rest) there is no hash: nothing is read just for it.
 * Threads: one at a time per state; burns CPU. */
#ifndef NMB_PLAINHASH_H
#define NMB_PLAINHASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAINHASH_SIZE 32
#define PLAINHASH_TEXT (2 * PLAINHASH_SIZE + 1) /* hex and NUL */
#define PLAINHASH_NAME "blake2b-256"

struct plainhash;

/* NULL: no memory. */
struct plainhash *plainhash_new(void);
void plainhash_free(struct plainhash *h);

/* `len` bytes that stand at `off`. */
void plainhash_update(struct plainhash *h, const void *data, size_t len,
                      uint64_t off);

/* False: not all of [0, total) was seen, or h is NULL. */
bool plainhash_final(struct plainhash *h, uint64_t total,
                     uint8_t out[PLAINHASH_SIZE]);

void plainhash_of(const void *data, size_t len, uint8_t out[PLAINHASH_SIZE]);

void plainhash_to_text(const uint8_t hash[PLAINHASH_SIZE],
                       char out[PLAINHASH_TEXT]);

#endif
