#include "auth/sealed_box.h"

#include <errno.h>
#include <stdlib.h>

#include <sodium.h>

#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

/* Cheap: one pass, 8 KiB. */
static const char phrase[] = "correct horse";

static void make_key(struct sealed_key *k)
{
	CHECK_EQ(sealed_key_new(phrase, strlen(phrase), 1, 8, k), 0);
}

static void make_file(uint8_t *file, size_t *len)
{
	static uint8_t text[SEALED_MAX_TEXT];
	struct sealed_key k;
	size_t text_len = 0;

	make_key(&k);
	CHECK_EQ(sealed_edit(text, &text_len, "token", "secret", 6), 0);
	CHECK_EQ(sealed_close(&k, text, text_len, file, len), 0);
	sealed_key_done(&k);
}

static int open_file(const uint8_t *file, size_t len, const char *passphrase)
{
	static uint8_t text[SEALED_MAX_TEXT];
	const uint8_t *blob;
	struct sealed_key k;
	size_t text_len, blob_len;
	int rc = sealed_key_of(file, len, passphrase, strlen(passphrase), &k);

	if (rc < 0)
		return rc;
	rc = sealed_open(&k, file, len, text, &text_len);
	sealed_key_done(&k);
	if (rc < 0)
		return rc;
	CHECK_EQ(sealed_find(text, text_len, "token", &blob, &blob_len), 0);
	CHECK_EQ(blob_len, 6);
	CHECK_MEM(blob, "secret", 6);
	return 0;
}

static void test_there_and_back(void)
{
	static uint8_t file[SEALED_MAX];
	size_t len;

	make_file(file, &len);
	CHECK_EQ(len, SEALED_MIN + 16);
	CHECK_EQ(open_file(file, len, phrase), 0);
	CHECK_EQ(open_file(file, len, "correct horsf"), -EKEYREJECTED);
	CHECK_EQ(open_file(file, len, ""), -EKEYREJECTED);
	CHECK(!memmem(file, len, "secret", 6));
}

/* The format is frozen: this file was made from the description of it,
 * by other code. */
static void test_frozen(void)
{
	static const char hex[] =
		"6e6d626b657973310100000008000000000102030405060708090a0b0c0d"
		"0e0f695f95e00bc35873589586227f2ffa96319eaae74b446d1d9519bda4"
		"4dd46baf6465666768696a6b6c6d6e6f707172737475767778797a7bd3db"
		"43da03512a7ebf3d570e507eb843ffb0061d638adf07118bdb951c7f18f3";
	static uint8_t file[SEALED_MAX];
	size_t len;

	CHECK_EQ(sodium_hex2bin(file, sizeof(file), hex, strlen(hex), NULL,
	                        &len, NULL),
	         0);
	CHECK_EQ(open_file(file, len, phrase), 0);
}

static void test_every_bit_counts(void)
{
	static uint8_t file[SEALED_MAX];
	size_t len;

	make_file(file, &len);
	for (size_t i = 0; i < len * 8; i++) {
		check_row("bit %zu", i);
		file[i / 8] ^= (uint8_t)(1 << i % 8);
		CHECK_EQ(open_file(file, len, phrase), -EBADMSG);
		file[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t n = 0; n < len; n++) {
		check_row("first %zu bytes", n);
		CHECK_EQ(open_file(file, n, phrase), -EBADMSG);
	}
	check_row("a byte more");
	CHECK_EQ(open_file(file, len + 1, phrase), -EBADMSG);
	CHECK_EQ(open_file(file, SEALED_MAX + 1, phrase), -EBADMSG);
}

/* Made by somebody who can compute the sum: refused before they cost. */
static void test_hostile_parameters(void)
{
	static const struct {
		uint32_t passes, mem_kib;
		int rc;
	} cases[] = {
		{ 0, 8, -EBADMSG },
		{ 17, 8, -EBADMSG },
		{ UINT32_MAX, 8, -EBADMSG },
		{ 1, 0, -EBADMSG },
		{ 1, 7, -EBADMSG },
		{ 1, 1024 * 1024 + 1, -EBADMSG },
		{ 1, UINT32_MAX, -EBADMSG },
		{ 2, 8, -EKEYREJECTED }, /* legal, but another key */
		{ 1, 9, -EKEYREJECTED },
	};
	static uint8_t file[SEALED_MAX];
	size_t len;

	make_file(file, &len);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		check_row("passes %u, memory %u", cases[i].passes,
		          cases[i].mem_kib);
		for (int b = 0; b < 4; b++) {
			file[8 + b] = (uint8_t)(cases[i].passes >> 8 * b);
			file[12 + b] = (uint8_t)(cases[i].mem_kib >> 8 * b);
		}
		crypto_generichash(file + 48, 16, file, 48, NULL, 0);
		CHECK_EQ(open_file(file, len, phrase), cases[i].rc);
	}
}

static void test_another_key(void)
{
	static uint8_t file[SEALED_MAX], text[SEALED_MAX_TEXT];
	struct sealed_key k;
	size_t len;

	make_file(file, &len);
	make_key(&k); /* the same passphrase, another salt */
	CHECK_EQ(sealed_open(&k, file, len, text, &len), -EKEYREJECTED);
	sealed_key_done(&k);
}

static void check_find(const uint8_t *text, size_t len, const char *name,
                       const char *want)
{
	const uint8_t *blob = NULL;
	size_t blob_len = 0;
	int rc = sealed_find(text, len, name, &blob, &blob_len);

	CHECK_EQ(rc, want ? 0 : -ENOENT);
	if (rc < 0 || !want)
		return;
	CHECK_EQ(blob_len, strlen(want));
	CHECK_MEM(blob, want, blob_len);
}

static void test_edit(void)
{
	static uint8_t text[SEALED_MAX_TEXT], big[KEYSTORE_MAX_BLOB];
	size_t len = 0, full;

	CHECK_EQ(sealed_edit(text, &len, "token", NULL, 0), 0);
	CHECK_EQ(len, 0);
	CHECK_EQ(sealed_edit(text, &len, "token", "one", 3), 0);
	CHECK_EQ(sealed_edit(text, &len, "pin", "", 0), 0);
	CHECK_EQ(sealed_edit(text, &len, "identity", "id", 2), 0);
	CHECK_EQ(sealed_edit(text, &len, "token", "longer one", 10), 0);
	check_find(text, len, "token", "longer one");
	check_find(text, len, "pin", "");
	check_find(text, len, "identity", "id");
	check_find(text, len, "tok", NULL);
	CHECK_EQ(sealed_edit(text, &len, "pin", NULL, 0), 0);
	check_find(text, len, "pin", NULL);
	check_find(text, len, "identity", "id");

	for (char c = 'a'; c < 'f'; c++) {
		char name[] = { c, 0 };

		CHECK_EQ(sealed_edit(text, &len, name, big, sizeof(big)), 0);
	}
	full = len;
	CHECK_EQ(sealed_edit(text, &len, "f", big, sizeof(big)), -EFBIG);
	CHECK_EQ(len, full);
	CHECK_EQ(sealed_edit(text, &len, "a", big, sizeof(big)), 0);
	check_find(text, len, "token", "longer one");
}

/* Nobody but the key's owner can make these; still no step past the end. */
static void test_bad_text(void)
{
	static const struct {
		const char *bytes;
		size_t len;
	} cases[] = {
		{ "\1", 1 },
		{ "\1x\1\0\0", 5 },
		{ "\1x\1\0\0\0", 6 },
		{ "\377x\1\0\0\0a", 7 },
		{ "\1x\377\377\377\377a", 7 },
		{ "\1x\1\0\1\0a", 7 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t text[64];
		const uint8_t *blob;
		size_t len = cases[i].len;

		check_row("%zu", i);
		memcpy(text, cases[i].bytes, len);
		CHECK_EQ(sealed_find(text, len, "y", &blob, &len), -EBADMSG);
		CHECK_EQ(sealed_edit(text, &len, "y", "z", 1), -EBADMSG);
	}
}

static void test_no_memory(void)
{
	static uint8_t file[SEALED_MAX];
	struct sealed_key k;
	size_t len;

	make_file(file, &len);
	/* libsodium refuses it as it would too little memory. */
	CHECK_EQ(sealed_key_new(phrase, strlen(phrase), 1, 7, &k), -ENOMEM);
	for (unsigned n = 1; alloc_fail_at(n); n++) {
		int rc = sealed_key_of(file, len, phrase, strlen(phrase), &k);

		check_row("allocation %u", n);
		CHECK(rc == 0 || rc == -ENOMEM);
		if (rc == 0)
			sealed_key_done(&k);
	}
	alloc_fail_off();
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	RUN(test_there_and_back);
	RUN(test_frozen);
	RUN(test_every_bit_counts);
	RUN(test_hostile_parameters);
	RUN(test_another_key);
	RUN(test_edit);
	RUN(test_bad_text);
	RUN(test_no_memory);
	return check_report();
}
