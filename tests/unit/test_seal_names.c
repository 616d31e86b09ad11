#include "auth/seal_names.h"

#include <errno.h>
#include <stdlib.h>

#include <sodium.h>

#include "auth/siv.h"
#include "net/names.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

#define TEXT_SIZE (SEAL_NAMES_TEXT_MAX + 1)
#define X10       "xxxxxxxxxx"
#define X50       X10 X10 X10 X10 X10
#define X255      X50 X50 X50 X50 X50 "xxxxx"

/* 00 01 .. 1f, the key of all vectors (facts/names.md B5). */
static const uint8_t *vector_key(void)
{
	static uint8_t key[SEAL_NAMES_KEY_SIZE];

	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	return key;
}

static struct seal_names *new_with(enum name_text text, unsigned pad)
{
	struct seal_names *s = NULL;

	CHECK_EQ(seal_names_new(vector_key(), text, pad, &s), 0);
	return s;
}

static const struct {
	const char *name, *attributes, *sealed;
} vectors[] = {
	{ "a", "", "硛栧謦跷夲苍艞趣珧嘤籫粟" },
	{ "notes.txt", "", "繚臂爳纲崤竈曉宐綅舂浼煘覟罹賙灝" },
	{ "README", "", "啗姦绱蛎曵懈狛怶湜寿插虏乽斟毵涔" },
	{ "readme", "", "禄玟沮硩耗冤員瘜沥寓兠浱军浖撼情" },
	{ "Pr\u00fcfung Z\u00fcrich 2024.pdf", "",
	  "誱豃仈穷豼瘲囯焊昱秵跎桛嬻粆訯簣柏川胻窏叫栗孱藟" },
	{ ".git", "", "俷资职燠嗋捍吭蘯癠薸稄袒" },
	{ "run.sh", "x", "臣甃墽湏咔凒翍譵蒢窋艑岼罺媑紭析" },
	{ "latest", "l../2024/12", "洸矅刮峞板荸憕潠洰垽甘姼桴砩袃坃定勋拃裕" },
	{ "\xff\xfe raw bytes", "", "漯濵斵攁玍嵓藈赭崿纞蓈嗭皕眧弛澮" },
};

static void test_vectors(void)
{
	struct seal_names *s = new_with(NAME_TEXT_CJK14, SEAL_NAMES_PAD);

	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		struct seal_names_plain plain;
		char out[TEXT_SIZE];

		check_row("%s", vectors[i].name);
		CHECK_EQ(seal_names_seal(s, vectors[i].name,
		                         vectors[i].attributes, out),
		         0);
		CHECK_STR(out, vectors[i].sealed);
		CHECK_EQ(seal_names_units(s, strlen(vectors[i].name),
		                          strlen(vectors[i].attributes)),
		         names_utf16_len(out));
		CHECK_EQ(seal_names_open(s, vectors[i].sealed, &plain), 0);
		CHECK_STR(plain.name, vectors[i].name);
		CHECK_STR(plain.attributes, vectors[i].attributes);
	}
	seal_names_free(s);
}

/* B5, the last name: 156 characters, given by their SHA-256. */
static void test_longest_vector(void)
{
	static const uint8_t want[] = {
		0xc1, 0xbe, 0xc5, 0xc3, 0x4c, 0x03, 0xe7, 0x12,
		0x34, 0x8c, 0xf3, 0xe3, 0x4b, 0x5e, 0x6e, 0xa4,
		0xaa, 0x02, 0x77, 0x2e, 0xfa, 0xf4, 0xf2, 0x16,
		0xd8, 0x4c, 0xde, 0x4c, 0x05, 0xa7, 0x7c, 0xc9,
	};
	struct seal_names *s = new_with(NAME_TEXT_CJK14, SEAL_NAMES_PAD);
	struct seal_names_plain plain;
	uint8_t hash[crypto_hash_sha256_BYTES];
	char out[TEXT_SIZE];

	CHECK_EQ(seal_names_seal(s, X255, "", out), 0);
	CHECK_EQ(names_utf16_len(out), 156);
	crypto_hash_sha256(hash, (uint8_t *)out, strlen(out));
	CHECK_MEM(hash, want, sizeof(want));
	CHECK_EQ(seal_names_open(s, out, &plain), 0);
	CHECK_STR(plain.name, X255);
	seal_names_free(s);
}

/* What is below the text: keys, padding, tag and cipher, and an A that is not
 * empty. */
static void test_siv(void)
{
	static const struct {
		uint8_t ad_byte;
		uint32_t ad_len;
		const char *sealed;
	} cases[] = {
		{ 0, 0, "a96da27f49bff72ccb4cdd17bfa3979c824b9aee9f" },
		{ 1, 16, "c8a097a709489f6b163616ea6ed7fa8e71d284d2ce" },
	};
	static const uint8_t plain[5] = { 'a' };
	struct siv_keys keys;
	char hex[2 * sizeof(keys) + 1];

	siv_derive_keys(vector_key(), &keys);
	sodium_bin2hex(hex, sizeof(hex), keys.mac, sizeof(keys.mac));
	CHECK_STR(hex, "e26d2e137b7d1e89658af6ef6ccd51d0"
	               "e4eeddc6e45584a50bcedfc170e4c1e3");
	sodium_bin2hex(hex, sizeof(hex), keys.enc, sizeof(keys.enc));
	CHECK_STR(hex, "b1f53ae3d7a15033d77727e018cf254f"
	               "6f4a8046a09e101dbffc58027dbd8a6d");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t ad[16], sealed[SIV_TAG_SIZE + 5], back[5];

		check_row("A of %u bytes", cases[i].ad_len);
		memset(ad, cases[i].ad_byte, sizeof(ad));
		siv_seal(&keys, ad, cases[i].ad_len, plain, 5, sealed);
		sodium_bin2hex(hex, sizeof(hex), sealed, sizeof(sealed));
		CHECK_STR(hex, cases[i].sealed);
		CHECK_EQ(siv_open(&keys, ad, cases[i].ad_len, sealed,
		                  sizeof(sealed), back),
		         0);
		CHECK_MEM(back, plain, 5);
		CHECK_EQ(siv_open(&keys, ad, 16 - cases[i].ad_len, sealed,
		                  sizeof(sealed), back),
		         -EBADMSG);
		CHECK(sodium_is_zero(back, sizeof(back)));
	}
}

/* The first seven carry a valid tag under this key. */
static void test_refused(void)
{
	static const struct {
		const char *what, *sealed;
	} cases[] = {
		{ ".", "筵瞙礑蒥皛臾艏峴曢脫赯柒" },
		{ "..", "疈瓱箢衰椽舙諀搵沜溛牋菘" },
		{ "a/b", "緋擕癄弴嚔矘俺澹蝓乨筶嵤" },
		{ "7 zero bytes more", "摔爞丨狂应犲攌咘柿枕拵折蓝蝆僈漪" },
		{ "all zero", "汣贵惍塨斤籅皋汶羜勹詠乬" },
		{ "a NUL x NUL y", "梡旣凶荔报諉眫噓单溑聪蟶" },
		{ "NUL x", "洒媄曇胐恧娈歍謤圌浘筻壬" },
		{ "tag bit flipped", "砛栧謦跷夲苍艞趣珧嘤籫粟" },
		{ "11 characters", "硛栧謦跷夲苍艞趣珧嘤籫" },
		{ "8 characters", "硛栧謦跷夲苍艞趣" },
		{ "U+8E00 inside", "硛栧謦跷夲苍艞趣珧嘤籫踀" },
		/* beyond the vectors */
		{ "U+4DFF inside", "硛栧謦跷夲苍艞趣珧嘤籫䷿" },
		{ "empty", "" },
		{ "ASCII", ".nmbackupfs" },
		{ "12 ASCII characters", "notes-12.txt" },
		{ "36 bytes of ASCII", "notes-12.txtnotes-12.txtnotes-12.txt" },
		{ "only a tag", "硛栧謦跷夲苍艞趣珧" },
		{ "a character more", "硛栧謦跷夲苍艞趣珧嘤籫粟一" },
		{ "two exchanged", "栧硛謦跷夲苍艞趣珧嘤籫粟" },
		{ "a space behind", "硛栧謦跷夲苍艞趣珧嘤籫粟 " },
		{ "cut inside a character", "硛栧謦跷夲苍艞趣珧嘤籫\xe7\xb2" },
		{ "36 bytes, no UTF-8", "硛栧謦跷夲苍艞趣珧嘤籫\xe7\xb2z" },
		{ "a BOM in front", "\ufeff硛栧謦跷夲苍艞趣珧嘤籫粟" },
		{ "other key", "一一一一一一一一一一一一" },
	};
	struct seal_names *s = new_with(NAME_TEXT_CJK14, SEAL_NAMES_PAD);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct seal_names_plain plain = { .name = "as it was" };

		check_row("%s", cases[i].what);
		CHECK_EQ(seal_names_open(s, cases[i].sealed, &plain), -EINVAL);
		CHECK_STR(plain.name, "as it was");
	}
	seal_names_free(s);
}

/* A sealed text of any P, made under the key of the vectors. */
static void seal_raw(enum name_text text, const void *p, size_t len, char *out)
{
	uint8_t sealed[1024];
	struct siv_keys keys;

	siv_derive_keys(vector_key(), &keys);
	siv_seal(&keys, NULL, 0, p, len, sealed);
	name_text_encode(text, sealed, SIV_TAG_SIZE + len, out);
}

/* P that only a member could make, with a valid tag. */
static void test_refused_inside(void)
{
	static const struct {
		const char *what;
		size_t name_len, nul, rest_len;
		int rc;
	} cases[] = {
		{ "name of 255 bytes", 255, 0, 0, 0 },
		{ "name of 256 bytes", 256, 0, 0, -EINVAL },
		{ "name of 425 bytes", 425, 0, 0, -EINVAL },
		{ "the longest of all", 255, 1, 169, 0 },
		{ "the longest attributes", 1, 1, 423, 0 },
		{ "two characters too many", 255, 1, 170, -EINVAL },
		{ "a NUL and nothing behind", 4, 1, 0, 0 }, /* is padding */
	};
	struct seal_names *s = new_with(NAME_TEXT_CJK14, SEAL_NAMES_PAD);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t m = cases[i].name_len + cases[i].nul + cases[i].rest_len;
		struct seal_names_plain plain;
		char p[600] = "", sealed[2000];

		check_row("%s", cases[i].what);
		memset(p, 'n', cases[i].name_len);
		memset(p + cases[i].name_len + cases[i].nul, 'r',
		       cases[i].rest_len);
		seal_raw(NAME_TEXT_CJK14, p,
		         (SIV_TAG_SIZE + m + 6) / 7 * 7 - SIV_TAG_SIZE, sealed);
		CHECK_EQ(seal_names_open(s, sealed, &plain), cases[i].rc);
		if (cases[i].rc == 0) {
			CHECK_EQ(strlen(plain.name), cases[i].name_len);
			CHECK_EQ(strlen(plain.attributes), cases[i].rest_len);
		}
	}
	seal_names_free(s);
}

static void test_no_names(void)
{
	static const struct {
		const char *name, *attributes;
		int rc;
	} cases[] = {
		{ "", "", -EINVAL },
		{ ".", "", -EINVAL },
		{ "..", "m755", -EINVAL },
		{ "/", "", -EINVAL },
		{ "a/", "", -EINVAL },
		{ "...", "", 0 },
		{ "a", "t/../", 0 },
		{ X255, "", 0 },
		{ X255 "x", "", -ENAMETOOLONG },
	};
	struct seal_names *s = new_with(NAME_TEXT_CJK14, SEAL_NAMES_PAD);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char out[TEXT_SIZE];

		check_row("'%s'", cases[i].name);
		CHECK_EQ(seal_names_seal(s, cases[i].name, cases[i].attributes,
		                         out),
		         cases[i].rc);
	}
	seal_names_free(s);
}

static void test_new(void)
{
	static const struct {
		enum name_text text;
		unsigned pad;
		int rc;
	} cases[] = {
		{ NAME_TEXT_CJK14, 7, 0 },
		{ NAME_TEXT_CJK14, 14, 0 },
		{ NAME_TEXT_CJK14, 28, 0 },
		{ NAME_TEXT_CJK14, 441, 0 },
		{ NAME_TEXT_CJK14, 448, -EINVAL },
		{ NAME_TEXT_CJK14, 0, -EINVAL },
		{ NAME_TEXT_CJK14, 1, -EINVAL },
		{ NAME_TEXT_CJK14, 8, -EINVAL },
		{ NAME_TEXT_CJK14, 4294967285u, -EINVAL }, /* 7 * 613566755 */
		{ NAME_TEXT_BASE32, 7, 0 },
		{ NAME_TEXT_BASE32, 154, 0 },
		{ NAME_TEXT_BASE32, 161, -EINVAL },
		{ NAME_TEXT_BASE32, 5, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct seal_names *s = NULL;

		check_row("text %d pad %u", cases[i].text, cases[i].pad);
		CHECK_EQ(seal_names_new(vector_key(), cases[i].text,
		                        cases[i].pad, &s),
		         cases[i].rc);
		CHECK_EQ(s != NULL, cases[i].rc == 0);
		seal_names_free(s);
	}
}

/* Length functions tell the truth: what is said to fit does, and a byte more
 * doesn't. */
static void check_lengths(const struct seal_names *s, size_t units,
                          size_t attr_len)
{
	size_t n = seal_names_longest_name(s, units, attr_len);
	char name[SEAL_NAMES_NAME_MAX + 1] = "", attr[512] = "";
	char out[TEXT_SIZE];

	memset(attr, 'A', attr_len);
	if (n > 0) {
		memset(name, 'n', n);
		CHECK_EQ(seal_names_seal(s, name, attr, out), 0);
		CHECK_EQ(names_utf16_len(out),
		         seal_names_units(s, n, attr_len));
		CHECK(names_utf16_len(out) <= units);
		CHECK(seal_names_longest_attr(s, units, n) >= attr_len);
	}
	if (n < SEAL_NAMES_NAME_MAX) {
		size_t more = seal_names_units(s, n + 1, attr_len);

		CHECK(more > units || more > SEAL_NAMES_UNITS_MAX);
		memset(name, 'n', n + 1);
		if (more > SEAL_NAMES_UNITS_MAX)
			CHECK_EQ(seal_names_seal(s, name, attr, out),
			         -ENAMETOOLONG);
	}
}

static void test_lengths(void)
{
	static const size_t attr[] = { 0, 1, 16, 48, 100, 168, 423, 424 };
	static const unsigned pads[] = { 7, 14, 28, 84, 154 };

	for (size_t t = 0; t < 2; t++) {
		for (size_t p = 0; p < ARRAY_LEN(pads); p++) {
			struct seal_names *s =
				new_with((enum name_text)t, pads[p]);

			for (size_t units = 0; units <= 300; units++) {
				for (size_t i = 0; i < ARRAY_LEN(attr); i++) {
					check_row("text %zu pad %u units %zu "
					          "attributes %zu",
					          t, pads[p], units, attr[i]);
					check_lengths(s, units, attr[i]);
				}
			}
			seal_names_free(s);
		}
	}
}

/* The numbers that people are told (facts/names.md A4). */
static void test_known_lengths(void)
{
	static const struct {
		size_t name, cjk14, base32;
	} cases[] = {
		{ 4, 12, 34 },  { 12, 16, 45 },    { 20, 24, 68 },
		{ 40, 32, 90 }, { 255, 156, 437 },
	};
	struct seal_names *cjk = new_with(NAME_TEXT_CJK14, SEAL_NAMES_PAD);
	struct seal_names *b32 = new_with(NAME_TEXT_BASE32, SEAL_NAMES_PAD);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		check_row("%zu", cases[i].name);
		CHECK_EQ(seal_names_units(cjk, cases[i].name, 0),
		         cases[i].cjk14);
		CHECK_EQ(seal_names_units(b32, cases[i].name, 0),
		         cases[i].base32);
	}
	CHECK_EQ(seal_names_longest_name(cjk, 255, 48), 255);
	CHECK_EQ(seal_names_longest_name(cjk, 84, 0), 131);
	CHECK_EQ(seal_names_longest_attr(cjk, 255, 255), 169);
	CHECK_EQ(seal_names_longest_attr(cjk, 255, 1), SEAL_NAMES_ATTR_MAX);
	CHECK_EQ(seal_names_longest_name(b32, 255, 0), 138);
	CHECK_EQ(seal_names_longest_name(b32, 255, 48), 89);
	CHECK_EQ(seal_names_longest_attr(b32, 255, 138), 0);
	seal_names_free(cjk);
	seal_names_free(b32);
}

/* A name that the kernel could give, and attributes. */
static void random_text(char *out, size_t max, char never)
{
	size_t len = 1 + randombytes_uniform((uint32_t)max);

	for (size_t i = 0; i < len; i++) {
		out[i] = (char)(1 + randombytes_uniform(255));
		if (out[i] == never)
			out[i] = '_';
	}
	out[len] = '\0';
}

static void test_round_trips(void)
{
	static const unsigned pads[] = { 7, 14, 28, 441 };

	for (unsigned i = 0; i < 3000; i++) {
		char name[256], attributes[64] = "", out[TEXT_SIZE];
		uint8_t key[SEAL_NAMES_KEY_SIZE];
		struct seal_names_plain plain;
		struct seal_names *s;
		enum name_text text = i % 2;
		int rc;

		randombytes_buf(key, sizeof(key));
		rc = seal_names_new(key, text, pads[i / 2 % (4 - text)], &s);
		CHECK_EQ(rc, 0);
		if (rc < 0)
			return;
		random_text(name, text == NAME_TEXT_CJK14 ? 255 : 70, '/');
		if (i % 3 && text == NAME_TEXT_CJK14)
			random_text(attributes, 63, '\0');
		if (!strcmp(name, ".") || !strcmp(name, ".."))
			strcpy(name, "dots");
		CHECK_EQ(seal_names_seal(s, name, attributes, out), 0);
		CHECK_EQ(seal_names_open(s, out, &plain), 0);
		CHECK_STR(plain.name, name);
		CHECK_STR(plain.attributes, attributes);
		seal_names_free(s);
	}
}

/* No single bit of what is sealed can be changed, and no other vault opens
 * it. */
static void test_bit_flips(void)
{
	for (size_t t = 0; t < 2; t++) {
		enum name_text text = (enum name_text)t;
		struct seal_names *s = new_with(text, 7), *other;
		struct seal_names_plain plain;
		char sealed[TEXT_SIZE], bad[TEXT_SIZE];
		uint8_t bytes[441], key[SEAL_NAMES_KEY_SIZE] = { 0 };
		size_t len;

		CHECK_EQ(seal_names_seal(s, "notes.txt", "m600", sealed), 0);
		CHECK_EQ(name_text_decode(text, sealed, bytes, sizeof(bytes),
		                          &len),
		         0);
		for (size_t bit = 0; bit < 8 * len; bit++) {
			check_row("text %zu bit %zu", t, bit);
			bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
			name_text_encode(text, bytes, len, bad);
			CHECK_EQ(seal_names_open(s, bad, &plain), -EINVAL);
			bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		CHECK_EQ(seal_names_new(key, text, 7, &other), 0);
		CHECK_EQ(seal_names_open(other, sealed, &plain), -EINVAL);
		seal_names_free(other);
		seal_names_free(s);
	}
}

/* The padding is part of what a vault is: a name padded to 7 is refused where
 * 14 is the rule, unless both give the same. */
static void test_other_pad(void)
{
	struct seal_names *by7 = new_with(NAME_TEXT_CJK14, 7);
	struct seal_names *by14 = new_with(NAME_TEXT_CJK14, 14);
	struct seal_names_plain plain;
	char out[TEXT_SIZE];

	CHECK_EQ(seal_names_seal(by7, "a", "", out), 0); /* 21 bytes */
	CHECK_EQ(seal_names_open(by14, out, &plain), -EINVAL);
	CHECK_EQ(seal_names_seal(by14, "a", "", out), 0); /* 28 bytes */
	CHECK_EQ(names_utf16_len(out), 16);
	CHECK_EQ(seal_names_open(by7, out, &plain), -EINVAL);
	CHECK_EQ(seal_names_seal(by7, "notes.txt", "", out), 0);
	CHECK_EQ(seal_names_open(by14, out, &plain), 0);
	seal_names_free(by7);
	seal_names_free(by14);
}

static void test_out_of_memory(void)
{
	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct seal_names *s = NULL;
		int rc = seal_names_new(vector_key(), NAME_TEXT_CJK14, 7, &s);

		CHECK(rc == 0 || rc == -ENOMEM);
		CHECK_EQ(s != NULL, rc == 0);
		seal_names_free(s);
	}
	alloc_fail_off();
	seal_names_free(NULL);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	RUN(test_vectors);
	RUN(test_longest_vector);
	RUN(test_siv);
	RUN(test_refused);
	RUN(test_refused_inside);
	RUN(test_no_names);
	RUN(test_new);
	RUN(test_lengths);
	RUN(test_known_lengths);
	RUN(test_round_trips);
	RUN(test_bit_flips);
	RUN(test_other_pad);
	RUN(test_out_of_memory);
	return check_report();
}
