#include "auth/hkdf.h"

#include <string.h>

#include <sodium.h>

/* libsodium 1.0.18 has no HKDF (1.0.19 has), and its one-shot HMAC takes only
 * keys of 32 bytes. */

void hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                 uint8_t out[HKDF_SIZE])
{
	crypto_auth_hmacsha256_state st;

	crypto_auth_hmacsha256_init(&st, key, key_len);
	crypto_auth_hmacsha256_update(&st, data, len);
	crypto_auth_hmacsha256_final(&st, out);
	sodium_memzero(&st, sizeof(st));
}

void hkdf_sha256(const void *ikm, size_t ikm_len, const void *salt,
                 size_t salt_len, const char *info, uint8_t out[HKDF_SIZE])
{
	static const uint8_t no_salt[HKDF_SIZE]; /* RFC 5869, 2.2 */
	static const uint8_t one = 1;
	crypto_auth_hmacsha256_state st;
	uint8_t prk[HKDF_SIZE];

	if (salt_len == 0) {
		salt = no_salt;
		salt_len = sizeof(no_salt);
	}
	hmac_sha256(salt, salt_len, ikm, ikm_len, prk);

	crypto_auth_hmacsha256_init(&st, prk, sizeof(prk));
	crypto_auth_hmacsha256_update(&st, (const uint8_t *)info, strlen(info));
	crypto_auth_hmacsha256_update(&st, &one, 1);
	crypto_auth_hmacsha256_final(&st, out);
	sodium_memzero(&st, sizeof(st));
	sodium_memzero(prk, sizeof(prk));
}
