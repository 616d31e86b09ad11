/* Known answers of facts/age.md 15 (every random value fixed there, accepted by
 * stock age), and whole files in memory. */
#include "auth/age.h"

#include <errno.h>
#include <stdlib.h>

#include <sodium.h>

#include "auth/age_payload.h"
#include "net/buf.h"
#include "tests/unit/age_rig.h"
#include "tests/unit/check.h"

/* The file of facts/age.md 15: file key, nonce, ephemeral key count up. */
static void seal_known(const void *plain, size_t len, struct buf *out)
{
	struct age_identity *id = age_rig_identity();
	struct age_target to = {
		.recipients = &id->recipient,
		.recipient_count = 1,
	};

	age_rig_random_clear();
	age_rig_random_add(0x00, AGE_FILE_KEY_SIZE);
	age_rig_random_add(0xa0, AGE_NONCE_SIZE);
	age_rig_random_add(0x40, AGE_KEY_SIZE);
	CHECK_EQ(age_seal_buf(&to, plain, len, out), 0);
	age_rig_random_clear();
	age_identity_free(id);
}

static int open_known(const void *file, size_t len, void **out, size_t *out_len)
{
	struct age_identity *id = age_rig_identity();
	struct age_keys keys = { .ids = &id, .id_count = 1 };
	size_t which = 7;
	int rc = age_open_buf(&keys, file, len, out, out_len, &which);

	if (rc == 0)
		CHECK_EQ(which, 0);
	age_identity_free(id);
	return rc;
}

static void fill_mod_251(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i % 251);
}

static void test_known_answers(void)
{
	static const struct {
		size_t plain, sealed;
		const char *sha256;
	} rows[] = {
		{ 0, 200,
		  "13e2016f190001f65a1fb9ef1d8be357021b3fa9bb184c548f456ab69fc"
		  "e5e12" },
		{ 65536, 65736,
		  "b05de87cc5350d7228d78e19febf441a0a85f6cef4596d6e874ff7541b4"
		  "519dc" },
		{ 65537, 65753,
		  "b480af1cf6c46577ff14a068a5fee3cffbf6295755d1dfdb9eca7ee1e21"
		  "c245b" },
	};
	uint8_t *plain = malloc(65537);

	fill_mod_251(plain, 65537);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf file = BUF_INIT;
		void *got = NULL;
		size_t len = 0;

		check_row("%zu bytes", rows[i].plain);
		seal_known(plain, rows[i].plain, &file);
		CHECK_EQ(file.len, rows[i].sealed);
		age_rig_check_sha256(file.data, file.len, rows[i].sha256);
		CHECK_EQ(open_known(file.data, file.len, &got, &len), 0);
		CHECK_EQ(len, rows[i].plain);
		CHECK_MEM(got, plain, len);
		sodium_free(got);
		buf_done(&file);
	}
	free(plain);
}

static void test_known_abc(void)
{
	static const char header[] =
		"age-encryption.org/v1\n"
		"-> X25519 eaYx7t4b+cmPEgMs3q3Q56B5OY/HhriMyEbsia+FpRo\n"
		"8UVANqZ+15ieLhAXPQi3BGtpo0Pk4oYsUUZG7a/DVDk\n"
		"--- 2jMMZ8wpbAASIYSIw/4uBLNVmi8HIYUYuD5wA8eZpZg\n";
	struct buf file = BUF_INIT;

	seal_known("abc", 3, &file);
	CHECK_EQ(file.len, 203);
	CHECK_MEM(file.data, header, sizeof(header) - 1);
	age_rig_check_sha256(file.data, file.len,
	                     "5773706fd62f89dc0e814e17532cdd433f763e119917d3c4"
	                     "49fce57417e05b61");
	buf_done(&file);
}

/* Must be refused: facts/age.md 15, last lines. */
static void test_wrong_length(void)
{
	static const struct {
		size_t plain;
		int change; /* bytes more, or fewer */
		int rc;
	} rows[] = {
		{ 0, 1, AGE_BAD_CONTENT },       { 3, 1, AGE_BAD_CONTENT },
		{ 65536, 1, AGE_BAD_CONTENT },   { 65537, 1, AGE_BAD_CONTENT },
		{ 65537, -17, AGE_BAD_CONTENT }, { 65537, -1, AGE_BAD_CONTENT },
		{ 3, -3, AGE_BAD_CONTENT },      { 3, -19, AGE_BAD_CONTENT },
		{ 3, -20, AGE_BAD_HEADER },      { 3, -35, AGE_BAD_HEADER },
		{ 3, -36, AGE_BAD_HEADER },      { 3, -203, AGE_BAD_HEADER },
	};
	uint8_t *plain = malloc(65537);

	fill_mod_251(plain, 65537);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf file = BUF_INIT;
		void *got = NULL;
		size_t len;

		check_row("row %zu", i);
		seal_known(plain, rows[i].plain, &file);
		buf_add_char(&file, '\0');
		len = (size_t)((ssize_t)file.len - 1 + rows[i].change);
		CHECK_EQ(open_known(file.data, len, &got, &len), rows[i].rc);
		CHECK(!got);
		buf_done(&file);
	}
	free(plain);
}

static void test_flipped_bits(void)
{
	struct buf file = BUF_INIT;

	seal_known("abc", 3, &file);
	for (size_t bit = 0; bit < file.len * 8; bit++) {
		void *got = NULL;
		size_t len = 0;
		int rc;

		check_row("bit %zu", bit);
		file.data[bit / 8] ^= (char)(1 << bit % 8);
		rc = open_known(file.data, file.len, &got, &len);
		file.data[bit / 8] ^= (char)(1 << bit % 8);
		CHECK(!got);
		if (bit / 8 >= 168) /* nonce and chunk */
			CHECK_EQ(rc, AGE_BAD_CONTENT);
		else
			CHECK(rc == AGE_BAD_HEADER || rc == AGE_NO_MATCH ||
			      rc == AGE_BAD_MAC);
	}
	buf_done(&file);
}

/* Fresh keys every time. */
static void test_never_twice(void)
{
	struct age_identity *id = age_rig_identity();
	struct age_target to = { .recipients = &id->recipient,
		                 .recipient_count = 1 };
	struct buf a = BUF_INIT, b = BUF_INIT;

	CHECK_EQ(age_seal_buf(&to, "abc", 3, &a), 0);
	CHECK_EQ(age_seal_buf(&to, "abc", 3, &b), 0);
	CHECK_EQ(a.len, b.len);
	CHECK(memcmp(a.data + 168, b.data + 168, 16) != 0);
	CHECK(memcmp(a.data + 184, b.data + 184, 19) != 0);
	CHECK(memcmp(a.data + 76, b.data + 76, 43) != 0);
	buf_done(&a);
	buf_done(&b);
	age_identity_free(id);
}

int main(void)
{
	age_rig_init();
	RUN(test_known_answers);
	RUN(test_known_abc);
	RUN(test_wrong_length);
	RUN(test_flipped_bits);
	RUN(test_never_twice);
	return check_report();
}
