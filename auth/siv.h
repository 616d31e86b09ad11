/* auth/siv.h -- deterministic authenticated encryption of short texts.
 *
 * The SIV composition of Rogaway and Shrimpton: a keyed hash over everything
 * is the tag, and the tag is the nonce of the stream cipher. Equal input gives
 * equal output, and that is all it tells (facts/names.md B2, B3):
 *
 *	mac = crypto_kdf_derive_from_key(32, id 1, "nmbkname", key)
 *	enc = crypto_kdf_derive_from_key(32, id 2, "nmbkname", key)
 *	T = BLAKE2b(16 bytes, key mac, 0x01 || LE32(|A|) || A || P)
 *	C = P xor XChaCha20(key enc, nonce T || 8 zero bytes)
 *	sealed = T || C
 *
 * Lengths in bytes. `ad` (A) is not stored: opening needs the same one.
 * Threads: any; nothing here changes the keys. */
#ifndef NMB_SIV_H
#define NMB_SIV_H

#include <stddef.h>
#include <stdint.h>

#define SIV_KEY_SIZE 32
#define SIV_TAG_SIZE 16

/* Secret: put it into sodium_malloc() memory. */
struct siv_keys {
	uint8_t mac[32];
	uint8_t enc[32];
};

void siv_derive_keys(const uint8_t key[SIV_KEY_SIZE],
                     struct siv_keys *out_keys);

/* `out` takes SIV_TAG_SIZE + len bytes and doesn't overlap `plain`. */
void siv_seal(const struct siv_keys *keys, const void *ad, uint32_t ad_len,
              const uint8_t *plain, size_t len, uint8_t *out);

/* Fills `out` with len - SIV_TAG_SIZE bytes: 0. -EBADMSG: not sealed with this
 * key and `ad`, or altered; `out` is zeroed. len >= SIV_TAG_SIZE. */
int siv_open(const struct siv_keys *keys, const void *ad, uint32_t ad_len,
             const uint8_t *sealed, size_t len, uint8_t *out);

#endif
