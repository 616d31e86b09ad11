/* speed -- what one core seals, opens and hashes, beside libsodium's own AEAD.
 *
 *   speed              one line of JSON, bytes per second
 *
 * Chunks of 64 KiB, as in a vault's files. What is compared takes turns, and
 * the best of many short turns counts, so that other work on the machine does
 * not. For tests/bench. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "auth/age_payload.h"
#include "net/quickxor.h"

#define TURNS  60
#define CHUNKS 64 /* of one turn */

static uint8_t key[AGE_PAYLOAD_KEY], nonce[12];
static uint8_t plain[AGE_CHUNK], sealed[AGE_CHUNK_SEAL], opened[AGE_CHUNK];

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int seal(void)
{
	age_chunk_seal(key, 7, false, plain, sizeof(plain), sealed);
	return 0;
}

static int open_chunk(void)
{
	return age_chunk_open(key, 7, false, sealed, sizeof(sealed), opened);
}

static int aead_seal(void)
{
	return crypto_aead_chacha20poly1305_ietf_encrypt(
		sealed, NULL, plain, sizeof(plain), NULL, 0, NULL, nonce, key);
}

static int aead_open(void)
{
	return crypto_aead_chacha20poly1305_ietf_decrypt(opened, NULL, NULL,
	                                                 sealed, sizeof(sealed),
	                                                 NULL, 0, nonce, key);
}

static int hash(void)
{
	static struct quickxor q;

	quickxor_update(&q, plain, sizeof(plain));
	return 0;
}

static const struct work {
	const char *name;
	int (*run)(void);
	int (*before)(void); /* makes what it reads */
} works[] = {
	{ "seal", seal, NULL },       { "aead_seal", aead_seal, NULL },
	{ "open", open_chunk, seal }, { "aead_open", aead_open, aead_seal },
	{ "quickxor", hash, NULL },
};
#define WORKS (sizeof(works) / sizeof(works[0]))

/* Seconds of one turn, or less than 0. */
static double turn(const struct work *w)
{
	double begin;
	int rc = w->before ? w->before() : 0;

	begin = now_s();
	for (int i = 0; i < CHUNKS && rc == 0; i++)
		rc = w->run();
	return rc ? -1 : now_s() - begin;
}

int main(void)
{
	double best[WORKS] = { 0 };

	if (sodium_init() < 0)
		return 1;
	randombytes_buf(key, sizeof(key));
	randombytes_buf(plain, sizeof(plain));
	for (int i = 0; i < TURNS * (int)WORKS; i++) {
		size_t w = (size_t)i % WORKS;
		double spent = turn(&works[w]);

		if (spent <= 0)
			return 1;
		if (!best[w] || spent < best[w])
			best[w] = spent;
	}
	for (size_t w = 0; w < WORKS; w++)
		printf("%s\"%s\": %.0f", w ? ", " : "{", works[w].name,
		       CHUNKS * AGE_CHUNK / best[w]);
	puts("}");
	return 0;
}
