#include "tests/unit/age_rig.h"

#include <stdlib.h>
#include <sys/random.h>

#include <sodium.h>

#include "auth/age_key.h"
#include "tests/unit/check.h"

static struct {
	uint8_t bytes[256];
	size_t len, used;
} script;

static const char *rng_name(void)
{
	return "age_rig";
}

static void rng_buf(void *const buf, const size_t size)
{
	uint8_t *p = buf;
	size_t n = size;

	for (; n > 0 && script.used < script.len; n--)
		*p++ = script.bytes[script.used++];
	while (n > 0) {
		size_t part = n < 256 ? n : 256;

		if (getrandom(p, part, 0) != (ssize_t)part)
			abort();
		p += part;
		n -= part;
	}
}

static uint32_t rng_random(void)
{
	uint32_t r;

	rng_buf(&r, sizeof(r));
	return r;
}

void age_rig_init(void)
{
	static struct randombytes_implementation rng = {
		.implementation_name = rng_name,
		.random = rng_random,
		.buf = rng_buf,
	};

	if (randombytes_set_implementation(&rng) != 0 || sodium_init() < 0)
		abort();
}

void age_rig_random_clear(void)
{
	script.len = script.used = 0;
}

void age_rig_random_add(uint8_t first, size_t count)
{
	while (count-- > 0)
		script.bytes[script.len++] = first++;
}

void age_rig_hex(const char *hex, void *out, size_t size)
{
	size_t n = 0;

	CHECK_EQ(sodium_hex2bin(out, size, hex, strlen(hex), NULL, &n, NULL),
	         0);
	CHECK_EQ(n, size);
}

void age_rig_check_sha256(const void *data, size_t len, const char *hex)
{
	uint8_t sum[crypto_hash_sha256_BYTES];
	char text[2 * sizeof(sum) + 1];

	crypto_hash_sha256(sum, data, len);
	sodium_bin2hex(text, sizeof(text), sum, sizeof(sum));
	CHECK_STR(text, hex);
}

struct age_identity *age_rig_identity(void)
{
	uint8_t secret[AGE_KEY_SIZE];
	struct age_identity *id = NULL;

	for (size_t i = 0; i < sizeof(secret); i++)
		secret[i] = (uint8_t)(0x20 + i);
	CHECK_EQ(age_identity_from_secret(secret, &id), 0);
	return id;
}
