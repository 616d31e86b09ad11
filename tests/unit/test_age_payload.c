/* Chunks and the arithmetic of sizes: facts/age.md 6 and 7. */
#include "auth/age_payload.h"

#include <stdlib.h>

#include <sodium.h>

#include "tests/unit/age_rig.h"
#include "tests/unit/check.h"

#define H 168 /* a header with one recipient */

static const uint64_t sizes[] = {
	0,
	1,
	15,
	16,
	17,
	65535,
	65536,
	65537,
	131071,
	131072,
	131073,
	200000,
	327680,
	1000000007,
	UINT64_C(5) << 40,
	AGE_PLAIN_MAX - 1,
	AGE_PLAIN_MAX,
};

static const struct {
	uint64_t plain, chunks, sealed; /* without header */
} table[] = {
	{ 0, 1, 32 },        { 1, 1, 33 },          { 65536, 1, 65568 },
	{ 65537, 2, 65585 }, { 131072, 2, 131120 }, { 131073, 3, 131137 },
};

static void test_table(void)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		check_row("%" PRIu64 " bytes", table[i].plain);
		CHECK_EQ(age_chunk_count(table[i].plain), table[i].chunks);
		CHECK_EQ(age_sealed_size(H, table[i].plain),
		         H + table[i].sealed);
	}
}

static void test_sizes_and_back(void)
{
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		uint64_t plain = 0;

		check_row("%" PRIu64 " bytes", sizes[i]);
		CHECK_EQ(
			age_plain_size(H, age_sealed_size(H, sizes[i]), &plain),
			0);
		CHECK_EQ(plain, sizes[i]);
	}
}

/* Every length up to three chunks: possible or not, and only once. */
static void test_impossible_sizes(void)
{
	uint64_t next = 0;

	for (uint64_t c = 0; c < H + 16 + 3 * AGE_CHUNK_SEAL; c++) {
		uint64_t plain = 0;
		uint64_t s = c < H + 16 ? 0 : c - H - 16;
		uint64_t last = s ? (s - 1) % AGE_CHUNK_SEAL + 1 : 0;
		bool possible = last >= 17 || (last == 16 && s == 16);

		check_row("%" PRIu64 " bytes", c);
		CHECK_EQ(age_plain_size(H, c, &plain),
		         possible ? 0 : AGE_BAD_CONTENT);
		if (possible)
			CHECK_EQ(plain, next++);
	}
	CHECK_EQ(next, 3 * AGE_CHUNK);
}

/* The chunks lie one behind the other and fill the file. */
static void test_ranges(void)
{
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		uint64_t count = age_chunk_count(sizes[i]);
		uint64_t step = count > 8 ? count / 8 : 1;
		uint64_t off, next = H + 16, end;
		size_t len = 0;

		check_row("%" PRIu64 " bytes", sizes[i]);
		for (uint64_t k = 0; k < count; k += step) {
			age_chunk_range(H, sizes[i], k, &off, &len);
			CHECK_EQ(off, next);
			if (k < count - 1)
				CHECK_EQ(len, AGE_CHUNK_SEAL);
			next = off + step * AGE_CHUNK_SEAL;
		}
		age_chunk_range(H, sizes[i], count - 1, &off, &len);
		end = age_sealed_size(H, sizes[i]);
		CHECK_EQ(off + len, end);
	}
}

/* ---- chunks -------------------------------------------------------------- */

static void make_key(uint8_t key[AGE_PAYLOAD_KEY])
{
	uint8_t file_key[AGE_FILE_KEY_SIZE], nonce[AGE_NONCE_SIZE];

	for (unsigned i = 0; i < 16; i++) {
		file_key[i] = (uint8_t)i;
		nonce[i] = (uint8_t)(0xa0 + i);
	}
	age_payload_key(file_key, nonce, key);
}

static void test_known_answers(void)
{
	uint8_t key[AGE_PAYLOAD_KEY], want[AGE_PAYLOAD_KEY];
	uint8_t chunk[19], sealed[19];

	make_key(key);
	age_rig_hex("00b8bb9d79113e373122c761780657d4"
	            "2af8d1928f59843b2bc6390676e13f2b",
	            want, sizeof(want));
	CHECK_MEM(key, want, sizeof(want));
	age_rig_hex("f8ed1413525ff5ca26668e16cd4c11254e1b59", sealed,
	            sizeof(sealed));
	age_chunk_seal(key, 0, true, "abc", 3, chunk);
	CHECK_MEM(chunk, sealed, sizeof(sealed));
}

/* Opens at its own place, nowhere else, and in place. */
static void test_places(void)
{
	static const struct {
		uint64_t idx;
		bool last;
	} places[] = {
		{ 0, false },
		{ 0, true },
		{ 1, false },
		{ 1, true },
		{ 255, true },
		{ 256, true },
		{ 65536, true },
		{ UINT64_C(1) << 32, true },
		{ UINT64_C(1) << 56, true },
		{ UINT64_MAX, true },
		{ UINT64_MAX, false },
	};
	uint8_t key[AGE_PAYLOAD_KEY];
	uint8_t *plain = calloc(1, AGE_CHUNK), *sealed = malloc(AGE_CHUNK_SEAL);
	uint8_t *got = malloc(AGE_CHUNK_SEAL);

	make_key(key);
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		age_chunk_seal(key, places[i].idx, places[i].last, plain,
		               AGE_CHUNK, sealed);
		for (size_t k = 0; k < ARRAY_LEN(places); k++) {
			check_row("sealed at %zu, opened at %zu", i, k);
			memcpy(got, sealed, AGE_CHUNK_SEAL);
			CHECK_EQ(age_chunk_open(key, places[k].idx,
			                        places[k].last, got,
			                        AGE_CHUNK_SEAL, got),
			         i == k ? 0 : AGE_BAD_CONTENT);
			if (i == k)
				CHECK_MEM(got, plain, AGE_CHUNK);
		}
	}
	free(plain);
	free(sealed);
	free(got);
}

static void test_damage(void)
{
	uint8_t key[AGE_PAYLOAD_KEY], sealed[3 + AGE_TAG_SIZE], got[3];

	make_key(key);
	for (size_t bit = 0; bit < sizeof(sealed) * 8; bit++) {
		check_row("bit %zu", bit);
		age_chunk_seal(key, 0, true, "abc", 3, sealed);
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		memset(got, 0xff, sizeof(got));
		CHECK_EQ(age_chunk_open(key, 0, true, sealed, sizeof(sealed),
		                        got),
		         AGE_BAD_CONTENT);
		CHECK(sodium_is_zero(got, sizeof(got)));
	}
}

/* Lengths that can't stand there are refused without a look at the tag. */
static void test_lengths(void)
{
	static const struct {
		uint64_t idx;
		bool last;
		size_t len; /* sealed with libsodium, whatever it is */
		int rc;
	} rows[] = {
		{ 0, true, 0, 0 },
		{ 1, true, 0, AGE_BAD_CONTENT },
		{ 0, false, 0, AGE_BAD_CONTENT },
		{ 0, true, 1, 0 },
		{ 1, true, 1, 0 },
		{ 0, false, 1, AGE_BAD_CONTENT },
		{ 0, false, AGE_CHUNK - 1, AGE_BAD_CONTENT },
		{ 0, false, AGE_CHUNK, 0 },
		{ 0, true, AGE_CHUNK, 0 },
		{ 0, true, AGE_CHUNK + 1, AGE_BAD_CONTENT },
		{ 0, false, AGE_CHUNK + 1, AGE_BAD_CONTENT },
	};
	uint8_t key[AGE_PAYLOAD_KEY];
	uint8_t *plain = calloc(1, AGE_CHUNK + 1);
	uint8_t *sealed = malloc(AGE_CHUNK_SEAL + 1);

	make_key(key);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t nonce[12] = { 0 };

		check_row("row %zu", i);
		nonce[10] = (uint8_t)rows[i].idx;
		nonce[11] = rows[i].last;
		crypto_aead_chacha20poly1305_ietf_encrypt(sealed, NULL, plain,
		                                          rows[i].len, NULL, 0,
		                                          NULL, nonce, key);
		CHECK_EQ(age_chunk_open(key, rows[i].idx, rows[i].last, sealed,
		                        rows[i].len + AGE_TAG_SIZE, plain),
		         rows[i].rc);
		memset(plain, 0, AGE_CHUNK + 1);
	}
	CHECK_EQ(age_chunk_open(key, 0, true, sealed, 15, plain),
	         AGE_BAD_CONTENT);
	CHECK_EQ(age_chunk_open(key, 0, true, sealed, 0, plain),
	         AGE_BAD_CONTENT);
	free(plain);
	free(sealed);
}

int main(void)
{
	age_rig_init();
	RUN(test_table);
	RUN(test_sizes_and_back);
	RUN(test_impossible_sizes);
	RUN(test_ranges);
	RUN(test_known_answers);
	RUN(test_places);
	RUN(test_damage);
	RUN(test_lengths);
	return check_report();
}
