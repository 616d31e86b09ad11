#include "auth/siv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <sodium.h>

#define KDF_CONTEXT "nmbkname" /* crypto_kdf_CONTEXTBYTES, without the NUL */
#define VERSION     0x01

enum kdf_id {
	KDF_MAC = 1,
	KDF_ENC = 2,
};

void siv_derive_keys(const uint8_t key[SIV_KEY_SIZE], struct siv_keys *out_keys)
{
	static_assert(SIV_KEY_SIZE == crypto_kdf_KEYBYTES, "key size");
	static_assert(sizeof(KDF_CONTEXT) - 1 == crypto_kdf_CONTEXTBYTES,
	              "context size");
	static_assert(sizeof(out_keys->enc) == crypto_stream_xchacha20_KEYBYTES,
	              "cipher key size");

	/* Neither can fail: the lengths are legal ones. */
	(void)crypto_kdf_derive_from_key(out_keys->mac, sizeof(out_keys->mac),
	                                 KDF_MAC, KDF_CONTEXT, key);
	(void)crypto_kdf_derive_from_key(out_keys->enc, sizeof(out_keys->enc),
	                                 KDF_ENC, KDF_CONTEXT, key);
}

/* The output length is part of BLAKE2b: this is no cut 32-byte hash. */
static void make_tag(const struct siv_keys *keys, const void *ad,
                     uint32_t ad_len, const uint8_t *plain, size_t len,
                     uint8_t tag[SIV_TAG_SIZE])
{
	const uint8_t head[] = {
		VERSION,
		(uint8_t)ad_len,
		(uint8_t)(ad_len >> 8),
		(uint8_t)(ad_len >> 16),
		(uint8_t)(ad_len >> 24),
	};
	crypto_generichash_state st;

	crypto_generichash_init(&st, keys->mac, sizeof(keys->mac),
	                        SIV_TAG_SIZE);
	crypto_generichash_update(&st, head, sizeof(head));
	crypto_generichash_update(&st, ad, ad_len);
	crypto_generichash_update(&st, plain, len);
	crypto_generichash_final(&st, tag, SIV_TAG_SIZE);
	sodium_memzero(&st, sizeof(st));
}

static void xor_stream(const struct siv_keys *keys,
                       const uint8_t tag[SIV_TAG_SIZE], const uint8_t *in,
                       size_t len, uint8_t *out)
{
	uint8_t nonce[crypto_stream_xchacha20_NONCEBYTES] = { 0 };

	static_assert(sizeof(nonce) == SIV_TAG_SIZE + 8, "nonce size");
	memcpy(nonce, tag, SIV_TAG_SIZE);
	crypto_stream_xchacha20_xor(out, in, len, nonce, keys->enc);
}

void siv_seal(const struct siv_keys *keys, const void *ad, uint32_t ad_len,
              const uint8_t *plain, size_t len, uint8_t *out)
{
	make_tag(keys, ad, ad_len, plain, len, out);
	xor_stream(keys, out, plain, len, out + SIV_TAG_SIZE);
}

int siv_open(const struct siv_keys *keys, const void *ad, uint32_t ad_len,
             const uint8_t *sealed, size_t len, uint8_t *out)
{
	size_t out_len = len - SIV_TAG_SIZE;
	uint8_t tag[SIV_TAG_SIZE];

	assert(len >= SIV_TAG_SIZE);
	xor_stream(keys, sealed, sealed + SIV_TAG_SIZE, out_len, out);
	make_tag(keys, ad, ad_len, out, out_len, tag);
	if (sodium_memcmp(tag, sealed, SIV_TAG_SIZE) != 0) {
		sodium_memzero(out, out_len);
		return -EBADMSG;
	}
	return 0;
}
