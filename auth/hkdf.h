/* auth/hkdf.h -- HKDF with SHA-256 (RFC 5869), one block of output.
 *
 * Pure; threads: any. */
#ifndef NMB_HKDF_H
#define NMB_HKDF_H

#include <stddef.h>
#include <stdint.h>

#define HKDF_SIZE 32

/* `salt` may be empty (NULL, 0); `info` is ASCII, its NUL doesn't count. */
void hkdf_sha256(const void *ikm, size_t ikm_len, const void *salt,
                 size_t salt_len, const char *info, uint8_t out[HKDF_SIZE]);

/* HMAC-SHA256 with a key of any length, for who has derived one. */
void hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                 uint8_t out[HKDF_SIZE]);

#endif
