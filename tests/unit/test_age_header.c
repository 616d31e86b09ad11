/* Headers: the grammar row by row, limits, who opens what, and building. */
#include "auth/age_header.h"

#include <stdlib.h>

#include <sodium.h>

#include "net/buf.h"
#include "tests/unit/age_rig.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

#define V     "age-encryption.org/v1\n"
#define SHARE "eaYx7t4b+cmPEgMs3q3Q56B5OY/HhriMyEbsia+FpRo"
#define BODY  "8UVANqZ+15ieLhAXPQi3BGtpo0Pk4oYsUUZG7a/DVDk"
#define X     "-> X25519 " SHARE "\n" BODY "\n"
#define MAC   "2jMMZ8wpbAASIYSIw/4uBLNVmi8HIYUYuD5wA8eZpZg"
#define END   "--- " MAC "\n"
#define SALT  "rF0/NwblUHHTpgQgRpe5CQ"
#define S     "-> scrypt " SALT " 10\n" BODY "\n"
#define C16   "AAAAAAAAAAAAAAAA"
#define C64   C16 C16 C16 C16

/* facts/age.md 15, and names.md C4 */
static const char known[] = V X END;
static const char known_bind[] =
	V X "-> nmbackupfs/bind 1\n"
	    "cpxa5Jvep+tY9/Gr+F76GxTFRAnFjssZW2/2p8SHeQE/DfUBngERo1CIJNvfK6cp\n"
	    "82Rk89Z9K70/VTMIpv2Px0obn96Tj5L2Y/X/KaGZ/DxgzMM/pqu6YA\n"
	    "--- iH+iU8MNyJ8CJUp5QnxOr0uZUSzita3LWVs7n2qfD5c\n";

static int parse_text(const char *text, struct age_header **out_h)
{
	return age_header_parse(text, strlen(text), out_h);
}

/* ---- grammar ------------------------------------------------------------- */

static const struct {
	const char *text;
	int rc;
} grammar[] = {
	{ V X END, 0 },
	{ V X END "anything after it", 0 },
	{ V X X END, 0 },
	{ V S END, 0 },
	/* stanzas of unknown types */
	{ V X "-> a\n\n" END, 0 },
	{ V "-> a\n\n" END, 0 },
	{ V X "-> a b ! ~ c\n\n" END, 0 },
	{ V X "-> a\nQQ\n" END, 0 },
	{ V X "-> a\n" C64 "\n\n" END, 0 },
	{ V X "-> a\n" C64 "\n" C64 "\nAA\n" END, 0 },
	{ V X "-> x25519 a b c\n\n" END, 0 },
	{ V X "-> X25519x\n\n" END, 0 },
	{ V X "-> Scrypt\n\n" END, 0 },
	/* the version */
	{ "age-encryption.org/v2\n" X END, AGE_BAD_HEADER },
	{ "age-encryption.org/v1\r\n" X END, AGE_BAD_HEADER },
	{ "age-encryption.org/v1 \n" X END, AGE_BAD_HEADER },
	{ " " V X END, AGE_BAD_HEADER },
	{ "\n" V X END, AGE_BAD_HEADER },
	{ "x", AGE_BAD_HEADER },
	{ "", -EAGAIN },
	{ "age-enc", -EAGAIN },
	{ V, -EAGAIN },
	/* nothing to open */
	{ V END, AGE_BAD_HEADER },
	/* the line of a stanza */
	{ V X "->\n\n" END, AGE_BAD_HEADER },
	{ V X "-> \n\n" END, AGE_BAD_HEADER },
	{ V X "->a\n\n" END, AGE_BAD_HEADER },
	{ V X "->  a\n\n" END, AGE_BAD_HEADER },
	{ V X "-> a \n\n" END, AGE_BAD_HEADER },
	{ V X "-> a  b\n\n" END, AGE_BAD_HEADER },
	{ V X "-> a\tb\n\n" END, AGE_BAD_HEADER },
	{ V X "-> a\x7f\n\n" END, AGE_BAD_HEADER },
	{ V X "-> \xc3\xa4\n\n" END, AGE_BAD_HEADER },
	{ V X "-> a\r\n\n" END, AGE_BAD_HEADER },
	{ V X "=> a\n\n" END, AGE_BAD_HEADER },
	{ V X "-x", AGE_BAD_HEADER },
	/* its body */
	{ V X "-> a\n" END, AGE_BAD_HEADER },
	{ V X "-> a\n" C64 "\n" END, AGE_BAD_HEADER },
	{ V X "-> a\n" C64 "A\n\n" END, AGE_BAD_HEADER },
	{ V X "-> a\nAA\nAA\n" END, AGE_BAD_HEADER },
	{ V X "-> a\nA\n" END, AGE_BAD_HEADER },
	{ V X "-> a\nQR\n" END, AGE_BAD_HEADER },
	{ V X "-> a\nQQ==\n" END, AGE_BAD_HEADER },
	{ V X "-> a\nQ-\n" END, AGE_BAD_HEADER },
	{ V X "-> a\nQQ\r\n" END, AGE_BAD_HEADER },
	{ V X "-> a\n QQ\n" END, AGE_BAD_HEADER },
	{ V X "-> a\n\n\n" END, AGE_BAD_HEADER },
	/* the last line */
	{ V X "---" MAC "\n", AGE_BAD_HEADER },
	{ V X "---  " MAC "\n", AGE_BAD_HEADER },
	{ V X "--- " MAC " \n", AGE_BAD_HEADER },
	{ V X "--- " MAC "\r\n", AGE_BAD_HEADER },
	{ V X "--- " MAC "A\n", AGE_BAD_HEADER },
	{ V X "---\n", AGE_BAD_HEADER },
	{ V X "--- \n", AGE_BAD_HEADER },
	{ V X "--- AAAA\n", AGE_BAD_HEADER },
	{ V X "---- " MAC "\n", AGE_BAD_HEADER },
	{ V X "--- 2jMMZ8wpbAASIYSIw/4uBLNVmi8HIYUYuD5wA8eZpZh\n",
	  AGE_BAD_HEADER }, /* stray bits */
	{ V X "--- " MAC, -EAGAIN },
	/* an X25519 stanza must be right wherever it stands */
	{ V "-> X25519\n" BODY "\n" END, AGE_BAD_HEADER },
	{ V "-> X25519 " SHARE " x\n" BODY "\n" END, AGE_BAD_HEADER },
	{ V "-> X25519 " SHARE "A\n" BODY "\n" END, AGE_BAD_HEADER },
	{ V "-> X25519 AAAA\n" BODY "\n" END, AGE_BAD_HEADER },
	{ V "-> X25519 " SHARE "\n\n" END, AGE_BAD_HEADER },
	{ V "-> X25519 " SHARE "\n" C64 "\n\n" END, AGE_BAD_HEADER },
	{ V X "-> X25519 " SHARE "\nAAAA\n" END, AGE_BAD_HEADER },
	/* scrypt: alone, and right */
	{ V S S END, AGE_BAD_HEADER },
	{ V S X END, AGE_BAD_HEADER },
	{ V X S END, AGE_BAD_HEADER },
	{ V S "-> a\n\n" END, AGE_BAD_HEADER },
	{ V "-> scrypt " SALT "\n" BODY "\n" END, AGE_BAD_HEADER },
	{ V "-> scrypt " SALT " 10 x\n" BODY "\n" END, AGE_BAD_HEADER },
	{ V "-> scrypt " SALT "AA 10\n" BODY "\n" END, AGE_BAD_HEADER },
	{ V "-> scrypt " SALT " 0\n" BODY "\n" END, AGE_BAD_HEADER },
	{ V "-> scrypt " SALT " 010\n" BODY "\n" END, AGE_BAD_HEADER },
	{ V "-> scrypt " SALT " +10\n" BODY "\n" END, AGE_BAD_HEADER },
	{ V "-> scrypt " SALT " -1\n" BODY "\n" END, AGE_BAD_HEADER },
	{ V "-> scrypt " SALT " 0x0a\n" BODY "\n" END, AGE_BAD_HEADER },
	{ V "-> scrypt " SALT " 1a\n" BODY "\n" END, AGE_BAD_HEADER },
	{ V "-> scrypt " SALT " 10\n\n" END, AGE_BAD_HEADER },
	{ V "-> scrypt " SALT " 23\n" BODY "\n" END, 0 }, /* see opening */
};

static void test_grammar(void)
{
	for (size_t i = 0; i < ARRAY_LEN(grammar); i++) {
		struct age_header *h = NULL;

		check_row("row %zu: %.120s", i, grammar[i].text);
		CHECK_EQ(parse_text(grammar[i].text, &h), grammar[i].rc);
		CHECK_EQ(h != NULL, grammar[i].rc == 0);
		age_header_free(h);
	}
}

/* More is needed until the last byte, and what follows doesn't matter. */
static void test_incomplete(void)
{
	struct age_header *h;

	for (size_t n = 0; n < sizeof(known_bind) - 1; n++) {
		check_row("%zu bytes", n);
		CHECK_EQ(age_header_parse(known_bind, n, &h), -EAGAIN);
	}
	CHECK_EQ(age_header_parse(known_bind, sizeof(known_bind), &h), 0);
	CHECK_EQ(age_header_len(h), sizeof(known_bind) - 1);
	age_header_free(h);
}

static void check_word(const struct age_stanza *s, size_t i, const char *want)
{
	size_t n = 0;
	const char *word = age_stanza_word(s, i, &n);

	CHECK(word && n == strlen(want) && !memcmp(word, want, n));
}

static void test_what_is_kept(void)
{
	struct age_header *h = NULL;
	const struct age_stanza *s;
	uint8_t mac[AGE_MAC_SIZE];
	size_t n = 0;

	CHECK_EQ(parse_text(V "-> a x yy\nQQ\n" X "-> b\n\n-> a\n\n" END, &h),
	         0);
	CHECK_EQ(age_header_count(h), 4);
	CHECK_STR(age_header_stanza(h, 2)->line, "b");
	CHECK_EQ(age_header_stanza(h, 2)->body_len, 0);
	s = age_header_find(h, "a", &n);
	CHECK_EQ(n, 2);
	CHECK_STR(s->line, "a x yy");
	CHECK_EQ(s->body_len, 1);
	CHECK_EQ(s->body[0], 0x41);
	check_word(s, 0, "a");
	check_word(s, 1, "x");
	check_word(s, 2, "yy");
	CHECK(!age_stanza_word(s, 3, &n));
	CHECK(!age_header_find(h, "x", &n));
	CHECK_EQ(n, 0);
	CHECK(!age_header_wants_passphrase(h));
	age_rig_hex("da330c67cc296c0012218488c3fe2e04"
	            "b3559a2f07218518b83e7003c799a598",
	            mac, sizeof(mac));
	CHECK_MEM(age_header_mac(h), mac, sizeof(mac));
	age_header_free(h);
	age_header_free(NULL);
}

/* ---- limits -------------------------------------------------------------- */

static void test_stanza_limit(void)
{
	for (size_t n = 63; n <= 65; n++) {
		struct buf b = BUF_INIT;
		struct age_header *h = NULL;

		buf_add_str(&b, V);
		for (size_t i = 0; i < n; i++)
			buf_add_str(&b, "-> a\n\n");
		buf_add_str(&b, END);
		check_row("%zu stanzas", n);
		CHECK_EQ(age_header_parse(b.data, b.len, &h),
		         n <= 64 ? 0 : AGE_BAD_HEADER);
		age_header_free(h);
		buf_done(&b);
	}
}

static void test_size_limit(void)
{
	const size_t around = sizeof(V X END) - 1 + sizeof("-> \n\n") - 1;

	for (size_t size = AGE_HEADER_MAX - 1; size <= AGE_HEADER_MAX + 1;
	     size++) {
		struct buf b = BUF_INIT;
		struct age_header *h = NULL;

		buf_add_str(&b, V X "-> ");
		for (size_t i = around; i < size; i++)
			buf_add_char(&b, 'a');
		buf_add_str(&b, "\n\n" END);
		CHECK_EQ(b.len, size);
		buf_add_str(&b, "behind it");
		check_row("%zu bytes", size);
		CHECK_EQ(age_header_parse(b.data, b.len, &h),
		         size <= AGE_HEADER_MAX ? 0 : AGE_BAD_HEADER);
		age_header_free(h);
		buf_done(&b);
	}
}

/* A header that never ends is bad once it is too long, not incomplete. */
static void test_endless(void)
{
	char *text = malloc(AGE_HEADER_MAX);
	struct age_header *h;

	memset(text, 'a', AGE_HEADER_MAX);
	memcpy(text, V "-> ", sizeof(V) + 2);
	CHECK_EQ(age_header_parse(text, AGE_HEADER_MAX - 1, &h), -EAGAIN);
	CHECK_EQ(age_header_parse(text, AGE_HEADER_MAX, &h), AGE_BAD_HEADER);
	free(text);
}

/* ---- opening ------------------------------------------------------------- */

static void check_file_key(const uint8_t *file_key)
{
	for (unsigned i = 0; i < AGE_FILE_KEY_SIZE; i++)
		CHECK_EQ(file_key[i], i);
}

static void check_wiped(const uint8_t *file_key)
{
	CHECK(sodium_is_zero(file_key, AGE_FILE_KEY_SIZE));
}

static int open_text(const char *text, size_t len, const struct age_keys *keys,
                     uint8_t *file_key, size_t *out_which)
{
	struct age_header *h;
	int rc = age_header_parse(text, len, &h);

	if (rc < 0)
		return rc;
	memset(file_key, 0xff, AGE_FILE_KEY_SIZE);
	rc = age_header_open(h, keys, file_key, out_which);
	age_header_free(h);
	return rc;
}

static void test_open(void)
{
	struct age_identity *ids[3];
	struct age_keys keys = { .ids = ids, .id_count = 3 };
	uint8_t file_key[AGE_FILE_KEY_SIZE] = { 0 };
	size_t which = 99;

	CHECK_EQ(age_identity_new(&ids[0]), 0);
	CHECK_EQ(age_identity_new(&ids[1]), 0);
	ids[2] = age_rig_identity();
	CHECK_EQ(open_text(known, sizeof(known) - 1, &keys, file_key, &which),
	         0);
	CHECK_EQ(which, 2);
	check_file_key(file_key);
	CHECK_EQ(open_text(known_bind, sizeof(known_bind) - 1, &keys, file_key,
	                   NULL),
	         0);
	check_file_key(file_key);

	keys.id_count = 2;
	CHECK_EQ(open_text(known, sizeof(known) - 1, &keys, file_key, &which),
	         AGE_NO_MATCH);
	check_wiped(file_key);
	keys.id_count = 0;
	keys.passphrase = "unused";
	CHECK_EQ(open_text(known, sizeof(known) - 1, &keys, file_key, &which),
	         AGE_NO_MATCH);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		age_identity_free(ids[i]);
}

/* One flipped bit anywhere: never opened, and the reason fits the place. */
static void test_flipped_bits(void)
{
	struct age_identity *id = age_rig_identity();
	struct age_keys keys = { .ids = &id, .id_count = 1 };
	const size_t len = sizeof(known_bind) - 1;
	const char *bind = strstr(known_bind, "-> nmb");
	const char *footer = strstr(known_bind, "---");
	size_t macs = 0, no_matches = 0;
	char text[sizeof(known_bind)];

	for (size_t bit = 0; bit < len * 8; bit++) {
		uint8_t file_key[AGE_FILE_KEY_SIZE] = { 0 };
		bool in_x25519 = bit / 8 >= sizeof(V) - 1 &&
		                 bit / 8 < (size_t)(bind - known_bind);
		int rc;

		memcpy(text, known_bind, sizeof(text));
		text[bit / 8] ^= (char)(1 << bit % 8);
		check_row("bit %zu", bit);
		rc = open_text(text, len, &keys, file_key, NULL);
		check_wiped(file_key);
		macs += rc == AGE_BAD_MAC;
		no_matches += rc == AGE_NO_MATCH;
		if (rc == AGE_BAD_MAC)
			CHECK(!in_x25519);
		else if (rc == AGE_NO_MATCH)
			CHECK(in_x25519);
		else if (bit / 8 != len - 1)
			CHECK_EQ(rc, AGE_BAD_HEADER);
	}
	CHECK(footer > bind);
	CHECK(macs > 300); /* in the bind stanza and the MAC itself */
	CHECK(no_matches > 200);
	age_identity_free(id);
}

/* Points that give away a shared secret of zero: RFC 7748 section 6.1. */
static const char *const low_order[] = {
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000080",
};

static void test_low_order(void)
{
	struct age_identity *id = age_rig_identity();
	struct age_keys keys = { .ids = &id, .id_count = 1 };
	uint8_t file_key[AGE_FILE_KEY_SIZE] = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(low_order); i++) {
		struct age_recipient r;
		struct age_target to = { .recipients = &r,
			                 .recipient_count = 1 };
		char share[64], text[400];
		struct buf b = BUF_INIT;

		check_row("%s", low_order[i]);
		age_rig_hex(low_order[i], r.point, sizeof(r.point));
		CHECK_EQ(age_header_build(file_key, &to, &b), -EINVAL);
		CHECK_EQ(b.len, 0);
		buf_done(&b);

		sodium_bin2base64(share, sizeof(share), r.point,
		                  sizeof(r.point),
		                  sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
		snprintf(text, sizeof(text), V "-> X25519 %s\n" BODY "\n" X END,
		         share);
		CHECK_EQ(open_text(text, strlen(text), &keys, file_key, NULL),
		         AGE_BAD_HEADER);
	}
	age_identity_free(id);
}

/* ---- building ------------------------------------------------------------ */

static void test_sizes(void)
{
	uint8_t file_key[AGE_FILE_KEY_SIZE] = { 0 };
	struct age_recipient r[AGE_STANZAS_MAX + 1];

	for (size_t n = 0; n < ARRAY_LEN(r); n++)
		age_recipient_throwaway(&r[n]);
	for (size_t n = 0; n <= ARRAY_LEN(r); n++) {
		struct age_target to = { .recipients = r,
			                 .recipient_count = n };
		struct buf b = BUF_INIT;
		int rc = age_header_build(file_key, &to, &b);

		check_row("%zu recipients", n);
		CHECK_EQ(rc, n > 0 && n <= AGE_STANZAS_MAX ? 0 : -EINVAL);
		if (rc == 0) {
			CHECK_EQ(b.len, 70 + 98 * n);
			CHECK_EQ(age_header_size(n, NULL, 0), b.len);
		}
		buf_done(&b);
	}
}

/* Bodies of every length come back, around the lines' 48 bytes too. */
static void test_extra_bodies(void)
{
	struct age_identity *id = age_rig_identity();
	uint8_t file_key[AGE_FILE_KEY_SIZE], got[AGE_FILE_KEY_SIZE];
	uint8_t body[145];

	randombytes_buf(body, sizeof(body));
	randombytes_buf(file_key, sizeof(file_key));
	for (size_t n = 0; n < sizeof(body); n++) {
		struct age_stanza extra[] = { { "example.org/x 1", body, n },
			                      { "y", NULL, 0 } };
		struct age_target to = { .recipients = &id->recipient,
			                 .recipient_count = 1,
			                 .extra = extra,
			                 .extra_count = 2 };
		struct age_keys keys = { .ids = &id, .id_count = 1 };
		const struct age_stanza *s;
		struct buf b = BUF_INIT;
		struct age_header *h = NULL;

		check_row("%zu bytes", n);
		buf_add_str(&b, "before");
		CHECK_EQ(age_header_build(file_key, &to, &b), 0);
		buf_drop(&b, strlen("before"));
		CHECK_EQ(b.len, age_header_size(1, extra, 2));
		CHECK_EQ(age_header_parse(b.data, b.len, &h), 0);
		CHECK_EQ(age_header_count(h), 3);
		s = age_header_stanza(h, 1);
		CHECK_STR(s->line, "example.org/x 1");
		CHECK_EQ(s->body_len, n);
		CHECK_MEM(s->body, body, n);
		CHECK_EQ(age_header_open(h, &keys, got, NULL), 0);
		CHECK_MEM(got, file_key, sizeof(got));
		age_header_free(h);
		buf_done(&b);
	}
	age_identity_free(id);
}

/* names.md C4: header 407 bytes with two slots, and the whole file of one. */
static void test_bind_stanza(void)
{
	static const char payload[] =
		"a0a1a2a3a4a5a6a7a8a9aaabacadaeaff8ed1413525ff5ca26668e16cd4c11"
		"254e1b59";
	const struct age_stanza *bind;
	struct age_header *h = NULL;
	struct age_identity *id = age_rig_identity();
	uint8_t file_key[AGE_FILE_KEY_SIZE], tail[16 + 19];
	struct age_target to = { .recipients = &id->recipient,
		                 .recipient_count = 1,
		                 .extra_count = 1 };
	struct buf b = BUF_INIT;

	CHECK_EQ(parse_text(known_bind, &h), 0);
	bind = age_header_find(h, "nmbackupfs/bind", NULL);
	CHECK_EQ(bind->body_len, 88);
	CHECK_EQ(age_header_size(2, bind, 1), 407);

	to.extra = bind;
	for (unsigned i = 0; i < sizeof(file_key); i++)
		file_key[i] = (uint8_t)i;
	age_rig_random_clear();
	age_rig_random_add(0x40, AGE_KEY_SIZE);
	CHECK_EQ(age_header_build(file_key, &to, &b), 0);
	CHECK_STR(b.data, known_bind);
	age_rig_hex(payload, tail, sizeof(tail));
	buf_add(&b, tail, sizeof(tail));
	CHECK_EQ(b.len, 344);
	age_rig_check_sha256(b.data, b.len,
	                     "4674e11bd4069da10eacb05fcce7852586251615a20befb9"
	                     "0b56d9b4bb6b7911");
	buf_done(&b);
	age_header_free(h);
	age_identity_free(id);
}

static void test_refused_targets(void)
{
	static const char *const lines[] = {
		"",       " ",      "a ",         " a",       "a  b",
		"a\n",    "a\nb",   "a\tb",       "\xc3\xa4", "X25519 AAAA",
		"X25519", "scrypt", "scrypt a 1",
	};
	uint8_t file_key[AGE_FILE_KEY_SIZE] = { 0 };
	struct age_recipient r;
	struct age_stanza extra = { NULL, NULL, 0 };
	struct age_target to = { .recipients = &r,
		                 .recipient_count = 1,
		                 .extra = &extra,
		                 .extra_count = 1 };
	struct buf b = BUF_INIT;

	age_recipient_throwaway(&r);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		check_row("line %zu", i);
		extra.line = lines[i];
		CHECK_EQ(age_header_build(file_key, &to, &b), -EINVAL);
	}
	check_row("passphrase");
	to = (struct age_target){ .passphrase = "" };
	CHECK_EQ(age_header_build(file_key, &to, &b), -EINVAL);
	to = (struct age_target){ .passphrase = "x", .log_n = 23 };
	CHECK_EQ(age_header_build(file_key, &to, &b), -EINVAL);
	to = (struct age_target){ .passphrase = "x",
		                  .log_n = 10,
		                  .recipients = &r,
		                  .recipient_count = 1 };
	CHECK_EQ(age_header_build(file_key, &to, &b), -EINVAL);
	CHECK_EQ(b.len, 0);
	buf_done(&b);
}

static void test_huge_extra(void)
{
	static uint8_t body[AGE_HEADER_MAX];
	uint8_t file_key[AGE_FILE_KEY_SIZE] = { 0 };
	struct age_recipient r;
	struct age_stanza extra = { "a", body, sizeof(body) };
	struct age_target to = { .recipients = &r,
		                 .recipient_count = 1,
		                 .extra = &extra,
		                 .extra_count = 1 };
	struct buf b = BUF_INIT;

	age_recipient_throwaway(&r);
	CHECK_EQ(age_header_build(file_key, &to, &b), -EINVAL);
	buf_done(&b);
}

/* ---- passphrases --------------------------------------------------------- */

static void test_passphrase(void)
{
	struct age_target to = { .passphrase = "s\xc3\xa9same", .log_n = 2 };
	uint8_t file_key[AGE_FILE_KEY_SIZE], got[AGE_FILE_KEY_SIZE];
	struct age_identity *id = age_rig_identity();
	struct age_keys keys = { .ids = &id, .id_count = 1 };
	struct buf b = BUF_INIT;
	struct age_header *h = NULL;
	size_t which = 99;

	randombytes_buf(file_key, sizeof(file_key));
	CHECK_EQ(age_header_build(file_key, &to, &b), 0);
	CHECK_EQ(age_header_parse(b.data, b.len, &h), 0);
	CHECK(age_header_wants_passphrase(h));
	CHECK_EQ(age_header_open(h, &keys, got, &which), AGE_NEED_PASSPHRASE);
	keys.passphrase = "sesame";
	CHECK_EQ(age_header_open(h, &keys, got, &which), AGE_BAD_PASSPHRASE);
	check_wiped(got);
	keys.passphrase = to.passphrase;
	CHECK_EQ(age_header_open(h, &keys, got, &which), 0);
	CHECK_EQ(which, 1);
	CHECK_MEM(got, file_key, sizeof(got));
	age_header_free(h);
	buf_done(&b);
	age_identity_free(id);
}

static void test_work_factor(void)
{
	static const char *const too_high[] = {
		"23", "24", "99", "999", "1000", "18446744073709551626",
	};
	struct age_keys keys = { .passphrase = "x" };
	uint8_t file_key[AGE_FILE_KEY_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(too_high); i++) {
		char text[300];

		check_row("%s", too_high[i]);
		snprintf(text, sizeof(text),
		         V "-> scrypt " SALT " %s\n" BODY "\n" END,
		         too_high[i]);
		CHECK_EQ(open_text(text, strlen(text), &keys, file_key, NULL),
		         AGE_WORK_TOO_HIGH);
	}
}

/* ---- memory -------------------------------------------------------------- */

static void test_no_memory(void)
{
	struct age_identity *id = age_rig_identity();
	struct age_target to = { .recipients = &id->recipient,
		                 .recipient_count = 1 };
	uint8_t file_key[AGE_FILE_KEY_SIZE] = { 0 };

	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct age_header *h = NULL;
		int rc = parse_text(known_bind, &h);

		CHECK(rc == 0 || rc == -ENOMEM);
		CHECK_EQ(h != NULL, rc == 0);
		age_header_free(h);
	}
	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct buf b = BUF_INIT;
		int rc = age_header_build(file_key, &to, &b);

		CHECK(rc == 0 || rc == -ENOMEM);
		CHECK_EQ(b.len, rc == 0 ? 168 : 0);
		buf_done(&b);
	}
	alloc_fail_off();
	age_identity_free(id);
}

int main(void)
{
	age_rig_init();
	RUN(test_grammar);
	RUN(test_incomplete);
	RUN(test_what_is_kept);
	RUN(test_stanza_limit);
	RUN(test_size_limit);
	RUN(test_endless);
	RUN(test_open);
	RUN(test_flipped_bits);
	RUN(test_low_order);
	RUN(test_sizes);
	RUN(test_extra_bodies);
	RUN(test_bind_stanza);
	RUN(test_refused_targets);
	RUN(test_huge_extra);
	RUN(test_passphrase);
	RUN(test_work_factor);
	RUN(test_no_memory);
	return check_report();
}
