#include "auth/age_payload.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "auth/hkdf.h"

static_assert(crypto_aead_chacha20poly1305_ietf_ABYTES == AGE_TAG_SIZE, "tag");

#define CHUNK_NONCE crypto_aead_chacha20poly1305_ietf_NPUBBYTES

void age_payload_key(const uint8_t file_key[AGE_FILE_KEY_SIZE],
                     const uint8_t nonce[AGE_NONCE_SIZE],
                     uint8_t out[AGE_PAYLOAD_KEY])
{
	hkdf_sha256(file_key, AGE_FILE_KEY_SIZE, nonce, AGE_NONCE_SIZE,
	            "payload", out);
}

/* The chunk's number in 11 bytes, big-endian, then the flag. */
static void make_nonce(uint64_t idx, bool last, uint8_t out[CHUNK_NONCE])
{
	memset(out, 0, CHUNK_NONCE);
	for (unsigned i = 0; i < 8; i++)
		out[10 - i] = (uint8_t)(idx >> 8 * i);
	out[11] = last;
}

/* Full, or the last; empty only if it is the one chunk of an empty file. */
static bool is_possible(uint64_t idx, bool last, size_t len)
{
	if (!last)
		return len == AGE_CHUNK;
	return len <= AGE_CHUNK && (len > 0 || idx == 0);
}

void age_chunk_seal(const uint8_t key[AGE_PAYLOAD_KEY], uint64_t idx, bool last,
                    const void *plain, size_t len, void *out)
{
	uint8_t nonce[CHUNK_NONCE];

	assert(is_possible(idx, last, len));
	make_nonce(idx, last, nonce);
	crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain, len, NULL,
	                                          0, NULL, nonce, key);
}

int age_chunk_open(const uint8_t key[AGE_PAYLOAD_KEY], uint64_t idx, bool last,
                   const void *sealed, size_t len, void *out)
{
	uint8_t nonce[CHUNK_NONCE];

	if (len < AGE_TAG_SIZE || !is_possible(idx, last, len - AGE_TAG_SIZE))
		return AGE_BAD_CONTENT;
	make_nonce(idx, last, nonce);
	if (crypto_aead_chacha20poly1305_ietf_decrypt(
		    out, NULL, NULL, sealed, len, NULL, 0, nonce, key) != 0)
		return AGE_BAD_CONTENT;
	return 0;
}

/* ---- sizes --------------------------------------------------------------- */

uint64_t age_chunk_count(uint64_t plain)
{
	return plain ? (plain - 1) / AGE_CHUNK + 1 : 1;
}

uint64_t age_sealed_size(size_t header, uint64_t plain)
{
	return header + AGE_NONCE_SIZE + plain +
	       age_chunk_count(plain) * AGE_TAG_SIZE;
}

int age_plain_size(size_t header, uint64_t sealed, uint64_t *out_plain)
{
	uint64_t chunks, last, n;

	if (sealed < (uint64_t)header + AGE_NONCE_SIZE + AGE_TAG_SIZE)
		return AGE_BAD_CONTENT;
	chunks = sealed - header - AGE_NONCE_SIZE;
	n = (chunks - 1) / AGE_CHUNK_SEAL + 1;
	last = chunks - (n - 1) * AGE_CHUNK_SEAL;
	if (last < AGE_TAG_SIZE || (last == AGE_TAG_SIZE && n > 1))
		return AGE_BAD_CONTENT;
	*out_plain = chunks - n * AGE_TAG_SIZE;
	return 0;
}

void age_chunk_range(size_t header, uint64_t plain, uint64_t idx,
                     uint64_t *out_off, size_t *out_len)
{
	uint64_t left = plain - idx * AGE_CHUNK;

	assert(idx < age_chunk_count(plain));
	*out_off = header + AGE_NONCE_SIZE + idx * AGE_CHUNK_SEAL;
	*out_len = (size_t)(left < AGE_CHUNK ? left : AGE_CHUNK) + AGE_TAG_SIZE;
}
