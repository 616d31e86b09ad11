/* tests/unit/age_rig.h -- what the tests of auth/age* share.
 *
 * Randomness by script: after age_rig_random(), every randombytes_buf() gives
 * the next bytes of the script, and random ones again after its end. It is how
 * sealing gets known answers without a hook in the code. */
#ifndef NMB_TESTS_AGE_RIG_H
#define NMB_TESTS_AGE_RIG_H

#include <stddef.h>
#include <stdint.h>

struct age_identity;

/* sodium_init(), with our source of randomness. First of all. */
void age_rig_init(void);

/* Forgets what is left of the script, then adds to it: `count` bytes `first`,
 * first + 1, ... (the known answers of facts/age.md 15 count up). */
void age_rig_random_clear(void);
void age_rig_random_add(uint8_t first, size_t count);

/* Hex digits to bytes; the length must fit. */
void age_rig_hex(const char *hex, void *out, size_t size);

/* Checks the SHA-256 of `data` against hex digits. */
void age_rig_check_sha256(const void *data, size_t len, const char *hex);

/* The identity of the known answers: bytes 20 21 .. 3f. */
struct age_identity *age_rig_identity(void);

#endif
