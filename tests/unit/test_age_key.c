/* Keys as text. Rows that are not of BIP 173 or age-keygen were made with a
 * Bech32 encoder that lets one do wrong. */
#include "auth/age_key.h"

#include <stdlib.h>

#include <sodium.h>

#include "auth/bech32.h"
#include "auth/hkdf.h"
#include "tests/unit/age_rig.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

/* facts/age.md 15 */
#define IDENTITY                                                               \
	"AGE-SECRET-KEY-1YQSJYGEYY5NZW2PF9G4JCTFW9UCRZV3NXS6NVDEC8YARK0PA8CLS" \
	"WXGG7Q"
#define RECIPIENT                                                              \
	"age1xkq8943ktzqdrth2x2ddlyfp8qu9rmfp528rka0fvhgd9ngkvf2qu2snyf"
#define POINT "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254"

/* age-keygen's */
#define IDENTITY_2                                                             \
	"AGE-SECRET-KEY-1M9QNF9QQ3WFW4TVCG8SLQVKVHHHMYGVW3V9CNXNNGT76NSMZC5D"  \
	"SP8XWZW"
#define RECIPIENT_2                                                            \
	"age1sja3vafpkxvw24le7j4y7au5skjcs2hukndqr4d85jft35sqt4wqtgnvtv"

/* ---- HKDF ---------------------------------------------------------------- */

static void test_hkdf(void) /* RFC 5869, A.1 and A.3: first block */
{
	static const uint8_t salt[] = {
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
	};
	uint8_t ikm[22], want[HKDF_SIZE], got[HKDF_SIZE];

	memset(ikm, 0x0b, sizeof(ikm));
	hkdf_sha256(ikm, sizeof(ikm), salt, sizeof(salt),
	            "\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9", got);
	age_rig_hex("3cb25f25faacd57a90434f64d0362f2a"
	            "2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
	            want, sizeof(want));
	CHECK_MEM(got, want, sizeof(want));

	hkdf_sha256(ikm, sizeof(ikm), NULL, 0, "", got);
	age_rig_hex("8da4e775a563c18f715f802a063c5a31"
	            "b8a11f5c5ee1879ec3454e5f3c738d2d",
	            want, sizeof(want));
	CHECK_MEM(got, want, sizeof(want));
}

/* ---- Bech32 -------------------------------------------------------------- */

static const struct {
	const char *text;
	const char *hrp; /* NULL: refused */
	size_t len;
} bech32_rows[] = {
	/* BIP 173, valid */
	{ "A12UEL5L", "A", 0 },
	{ "a12uel5l", "a", 0 },
	{ "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexclud"
	  "edcharactersbio1tt5tgs",
	  "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexclud"
	  "edcharactersbio",
	  0 },
	{ "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", "abcdef", 20 },
	{ "11qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"
	  "qqqqqqqqqqqqqqqqqc8247j",
	  "1", 51 },
	{ "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w",
	  "split", 30 },
	{ "?1ezyfcl", "?", 0 },
	/* BIP 173, invalid */
	{ "\x20"
	  "1nwldj5",
	  NULL, 0 },
	{ "\x7f"
	  "1axkwrx",
	  NULL, 0 },
	{ "\x80"
	  "1eym55h",
	  NULL, 0 },
	{ "pzry9x0s0muk", NULL, 0 },
	{ "1pzry9x0s0muk", NULL, 0 },
	{ "x1b4n0q5v", NULL, 0 },
	{ "li1dgmt3", NULL, 0 },
	{ "de1lg7wt\xff", NULL, 0 },
	{ "A1G7SGD8", NULL, 0 },
	{ "10a06t8", NULL, 0 },
	{ "1qzzfhee", NULL, 0 },
	/* Bech32m, BIP 350 */
	{ "a1lqfn3a", NULL, 0 },
	{ "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx", NULL, 0 },
	/* both cases */
	{ "A12uel5l", NULL, 0 },
	{ "", NULL, 0 },
	{ "1", NULL, 0 },
	{ "a1", NULL, 0 },
};

static void test_bech32(void)
{
	for (size_t i = 0; i < ARRAY_LEN(bech32_rows); i++) {
		const char *text = bech32_rows[i].text;
		char hrp[100];
		uint8_t data[64];
		size_t len = 0;
		int rc = bech32_decode(text, strlen(text), hrp, sizeof(hrp),
		                       data, sizeof(data), &len);

		check_row("%s", text);
		CHECK_EQ(rc, bech32_rows[i].hrp ? 0 : -EINVAL);
		if (rc < 0)
			continue;
		CHECK_STR(hrp, bech32_rows[i].hrp);
		CHECK_EQ(len, bech32_rows[i].len);
		if (hrp[0] != 'A') {
			char again[128];

			bech32_encode(hrp, data, len, again);
			CHECK_STR(again, text);
		}
	}
}

static void test_bech32_limits(void)
{
	char hrp[4];
	uint8_t data[32];
	size_t len;

	CHECK_EQ(bech32_decode(RECIPIENT, 62, hrp, 4, data, 32, &len), 0);
	CHECK_EQ(len, 32);
	CHECK_EQ(bech32_decode(RECIPIENT, 62, hrp, 3, data, 32, &len), -EINVAL);
	CHECK_EQ(bech32_decode(RECIPIENT, 62, hrp, 4, data, 31, &len), -EINVAL);
	CHECK_EQ(bech32_decode(RECIPIENT, 61, hrp, 4, data, 32, &len), -EINVAL);
}

/* The checksum finds every single wrong character. */
static void test_mistyped(void)
{
	static const char charset[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
	char text[] = RECIPIENT;
	struct age_recipient r;

	for (size_t i = 0; i < strlen(text); i++) {
		char right = text[i];

		check_row("character %zu", i);
		for (size_t k = 0; k < strlen(charset); k++) {
			if (charset[k] == right)
				continue;
			text[i] = charset[k];
			CHECK_EQ(age_recipient_parse(text, strlen(text), &r),
			         AGE_BAD_KEY);
		}
		text[i] = right;
	}
}

/* ---- keys ---------------------------------------------------------------- */

static void test_keys_as_text(void)
{
	static const struct {
		const char *identity, *recipient;
	} rows[] = {
		{ IDENTITY, RECIPIENT },
		{ IDENTITY_2, RECIPIENT_2 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[AGE_IDENTITY_TEXT], public[AGE_RECIPIENT_TEXT];
		struct age_identity *id = NULL;
		struct age_recipient r = { { 0 } };

		check_row("%s", rows[i].recipient);
		CHECK_EQ(age_identity_parse(rows[i].identity,
		                            strlen(rows[i].identity), &id),
		         0);
		age_identity_format(id, text);
		CHECK_STR(text, rows[i].identity);
		age_recipient_format(&id->recipient, public);
		CHECK_STR(public, rows[i].recipient);
		CHECK_EQ(age_recipient_parse(public, strlen(public), &r), 0);
		CHECK_MEM(r.point, id->recipient.point, AGE_KEY_SIZE);
		age_identity_free(id);
	}
}

static void test_known_point(void)
{
	struct age_identity *id = age_rig_identity();
	uint8_t point[AGE_KEY_SIZE];

	age_rig_hex(POINT, point, sizeof(point));
	CHECK_MEM(id->recipient.point, point, sizeof(point));
	age_identity_free(id);
	age_identity_free(NULL);
}

static const struct {
	const char *text;
	int recipient, identity; /* what parsing it as such says */
} refused[] = {
	{ "", AGE_BAD_KEY, AGE_BAD_KEY },
	{ "age", AGE_BAD_KEY, AGE_BAD_KEY },
	{ "age1", AGE_BAD_KEY, AGE_BAD_KEY },
	{ " " RECIPIENT, AGE_BAD_KEY, AGE_BAD_KEY },
	{ RECIPIENT " ", AGE_BAD_KEY, AGE_BAD_KEY },
	{ RECIPIENT "\n", AGE_BAD_KEY, AGE_BAD_KEY },
	/* the other case, which age refuses */
	{ "AGE1XKQ8943KTZQDRTH2X2DDLYFP8QU9RMFP528RKA0FVHGD9NGKVF2QU2SNYF",
	  AGE_BAD_KEY, AGE_BAD_KEY },
	{ "age-secret-key-1yqsjygeyy5nzw2pf9g4jctfw9ucrzv3nxs6nvdec8yark0pa8cl"
	  "swxgg7q",
	  AGE_BAD_KEY, AGE_BAD_KEY },
	{ "Age1xkq8943ktzqdrth2x2ddlyfp8qu9rmfp528rka0fvhgd9ngkvf2qu2snyf",
	  AGE_BAD_KEY, AGE_BAD_KEY },
	/* one for the other */
	{ IDENTITY, AGE_BAD_KEY, 0 },
	{ RECIPIENT, 0, AGE_BAD_KEY },
	/* another prefix; stray bits behind the data; a symbol too many; 31 and
	 * 33 bytes; Bech32m */
	{ "agf1xkq8943ktzqdrth2x2ddlyfp8qu9rmfp528rka0fvhgd9ngkvf2q5hfu2z",
	  AGE_BAD_KEY, AGE_BAD_KEY },
	{ "age1xkq8943ktzqdrth2x2ddlyfp8qu9rmfp528rka0fvhgd9ngkvf2ppuyxem",
	  AGE_BAD_KEY, AGE_BAD_KEY },
	{ "age1xkq8943ktzqdrth2x2ddlyfp8qu9rmfp528rka0fvhgd9ngkvf2qqw0akv4",
	  AGE_BAD_KEY, AGE_BAD_KEY },
	{ "age1xkq8943ktzqdrth2x2ddlyfp8qu9rmfp528rka0fvhgd9ngkvgq8zun8",
	  AGE_BAD_KEY, AGE_BAD_KEY },
	{ "age1xkq8943ktzqdrth2x2ddlyfp8qu9rmfp528rka0fvhgd9ngkvf2qfkqlpt",
	  AGE_BAD_KEY, AGE_BAD_KEY },
	{ "AGE-SECRET-KEY-1YQSJYGEYY5NZW2PF9G4JCTFW9UCRZV3NXS6NVDEC8YARK0PA8CL"
	  "CSJVYQA",
	  AGE_BAD_KEY, AGE_BAD_KEY },
	{ "AGE-SECRET-KEY-1YQSJYGEYY5NZW2PF9G4JCTFW9UCRZV3NXS6NVDEC8YARK0PA8CG"
	  "47WUS",
	  AGE_BAD_KEY, AGE_BAD_KEY },
	/* a digit for a letter */
	{ "age1xkq8943ktzqdrth2x2dd1yfp8qu9rmfp528rka0fvhgd9ngkvf2qu2snyf",
	  AGE_BAD_KEY, AGE_BAD_KEY },
	/* kinds age knows and we don't */
	{ "age1yubikey1qxe9zqjj0t4nrqmv0lhm0x2yjmc9yxkdm8wrqj4v5wk3rs7hhvlwx",
	  AGE_FOREIGN_KEY, AGE_FOREIGN_KEY },
	{ "age1pq1qqqq", AGE_FOREIGN_KEY, AGE_FOREIGN_KEY },
	{ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", AGE_FOREIGN_KEY,
	  AGE_FOREIGN_KEY },
	{ "AGE-SECRET-KEY-PQ-1QQQQ", AGE_FOREIGN_KEY, AGE_FOREIGN_KEY },
	{ "AGE-PLUGIN-YUBIKEY-1QQQQ", AGE_FOREIGN_KEY, AGE_FOREIGN_KEY },
};

static void test_refused(void)
{
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		const char *text = refused[i].text;
		struct age_recipient r;
		struct age_identity *id = NULL;

		check_row("%s", text);
		CHECK_EQ(age_recipient_parse(text, strlen(text), &r),
		         refused[i].recipient);
		CHECK_EQ(age_identity_parse(text, strlen(text), &id),
		         refused[i].identity);
		age_identity_free(id);
	}
}

static void test_fresh_keys_differ(void)
{
	struct age_identity *a, *b;
	struct age_recipient c, d;

	CHECK_EQ(age_identity_new(&a), 0);
	CHECK_EQ(age_identity_new(&b), 0);
	age_recipient_throwaway(&c);
	age_recipient_throwaway(&d);
	CHECK(memcmp(a->secret, b->secret, AGE_KEY_SIZE) != 0);
	CHECK(memcmp(&a->recipient, &b->recipient, sizeof(c)) != 0);
	CHECK(memcmp(&c, &d, sizeof(c)) != 0);
	age_identity_free(a);
	age_identity_free(b);
}

/* ---- identity files ------------------------------------------------------ */

static const struct {
	const char *text;
	int rc;
	unsigned n; /* identities, or the line of the error */
} files[] = {
	{ IDENTITY, 0, 1 },
	{ "# created: 2026-11-25T00:17:23Z\n"
	  "# public key: " RECIPIENT "\n" IDENTITY "\n",
	  0, 1 },
	{ "\n\n" IDENTITY "\n#\n" IDENTITY_2 "\n\n", 0, 2 },
	{ "# a\r\n\r\n" IDENTITY "\r\n", 0, 1 },
	{ IDENTITY "\n" IDENTITY, 0, 2 },
	{ "", AGE_BAD_KEY, 0 },
	{ "# nothing\n", AGE_BAD_KEY, 0 },
	{ "# x\n" RECIPIENT "\n", AGE_BAD_KEY, 2 },
	{ IDENTITY " \n", AGE_BAD_KEY, 1 },
	{ IDENTITY "\n" IDENTITY "X\n", AGE_BAD_KEY, 2 },
	{ IDENTITY "\nAGE-PLUGIN-YUBIKEY-1QQQQ\n", AGE_FOREIGN_KEY, 2 },
	{ "-----BEGIN OPENSSH PRIVATE KEY-----\n", AGE_FOREIGN_KEY, 1 },
};

static void test_identity_files(void)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct age_identities l = { 0 };
		unsigned line = 99;
		int rc = age_identities_parse(files[i].text,
		                              strlen(files[i].text), &l, &line);

		check_row("file %zu", i);
		CHECK_EQ(rc, files[i].rc);
		CHECK_EQ(rc < 0 ? line : l.count, files[i].n);
		age_identities_done(&l);
		CHECK_EQ(l.count, 0);
	}
}

static void test_no_memory(void)
{
	static const char text[] = IDENTITY "\n" IDENTITY_2 "\n";

	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct age_identities l = { 0 };
		int rc = age_identities_parse(text, strlen(text), &l, NULL);

		CHECK(rc == 0 || rc == -ENOMEM);
		CHECK_EQ(l.count, rc == 0 ? 2 : 0);
		age_identities_done(&l);
	}
	alloc_fail_off();
}

static void test_every_error_has_a_text(void)
{
	static const int kinds[] = {
		AGE_BAD_HEADER,     AGE_BAD_ARMOR,     AGE_NO_MATCH,
		AGE_BAD_MAC,        AGE_BAD_CONTENT,   AGE_NEED_PASSPHRASE,
		AGE_BAD_PASSPHRASE, AGE_WORK_TOO_HIGH, AGE_NO_MEMORY,
		AGE_BAD_KEY,        AGE_FOREIGN_KEY,
	};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		CHECK(strcmp(age_strerror(kinds[i]), strerror(-kinds[i])));
		for (size_t k = 0; k < i; k++)
			CHECK(kinds[i] != kinds[k]);
	}
	CHECK_STR(age_strerror(-EIO), strerror(EIO));
}

int main(void)
{
	age_rig_init();
	RUN(test_hkdf);
	RUN(test_bech32);
	RUN(test_bech32_limits);
	RUN(test_mistyped);
	RUN(test_keys_as_text);
	RUN(test_known_point);
	RUN(test_refused);
	RUN(test_fresh_keys_differ);
	RUN(test_identity_files);
	RUN(test_no_memory);
	RUN(test_every_error_has_a_text);
	return check_report();
}
