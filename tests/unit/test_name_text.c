#include "auth/name_text.h"

#include <errno.h>

#include <sodium.h>

#include "net/names.h"
#include "tests/unit/check.h"

#define MAX 441

static const struct {
	enum name_text text;
	const char *bytes, *s; /* in hex */
} pairs[] = {
	{ NAME_TEXT_CJK14, "", "" },
	/* facts/names.md A4 */
	{ NAME_TEXT_CJK14, "31323334353637", "\u5a4c\u7133\u5ed4\u8437" },
	{ NAME_TEXT_CJK14, "00000000000000", "\u4e00\u4e00\u4e00\u4e00" },
	{ NAME_TEXT_CJK14, "ffffffffffffff", "\u8dff\u8dff\u8dff\u8dff" },
	{ NAME_TEXT_CJK14, "0004000000000000000000000000",
	  "\u4e01\u4e00\u4e00\u4e00\u4e00\u4e00\u4e00\u4e00" },
	/* RFC 4648, section 10, without case and padding */
	{ NAME_TEXT_BASE32, "", "" },
	{ NAME_TEXT_BASE32, "66", "my" },
	{ NAME_TEXT_BASE32, "666f", "mzxq" },
	{ NAME_TEXT_BASE32, "666f6f", "mzxw6" },
	{ NAME_TEXT_BASE32, "666f6f62", "mzxw6yq" },
	{ NAME_TEXT_BASE32, "666f6f6261", "mzxw6ytb" },
	{ NAME_TEXT_BASE32, "666f6f626172", "mzxw6ytboi" },
	{ NAME_TEXT_BASE32, "ffffffffffffff", "77777777777q" },
	/* T || C of the name "a" (facts/names.md B5), by Python's base64 */
	{ NAME_TEXT_BASE32, "a96da27f49bff72ccb4cdd17bfa3979c824b9aee9f",
	  "vfw2e72jx73szs2m3ul37i4xtsbexgxot4" },
};

static void test_pairs(void)
{
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		uint8_t bytes[64], back[64];
		char out[200];
		size_t len, back_len;

		check_row("%s", pairs[i].bytes);
		sodium_hex2bin(bytes, sizeof(bytes), pairs[i].bytes,
		               strlen(pairs[i].bytes), NULL, &len, NULL);
		name_text_encode(pairs[i].text, bytes, len, out);
		CHECK_STR(out, pairs[i].s);
		CHECK_EQ(name_text_units(pairs[i].text, len),
		         names_utf16_len(out));
		CHECK_EQ(name_text_decode(pairs[i].text, pairs[i].s, back, len,
		                          &back_len),
		         0);
		CHECK_EQ(back_len, len);
		CHECK_MEM(back, bytes, len);
		if (len > 0) /* a byte of room too little */
			CHECK_EQ(name_text_decode(pairs[i].text, pairs[i].s,
			                          back, len - 1, &back_len),
			         -EINVAL);
	}
}

static void test_refused(void)
{
	static const struct {
		enum name_text text;
		const char *s;
	} cases[] = {
		{ NAME_TEXT_CJK14, "\u4e00" },
		{ NAME_TEXT_CJK14, "\u4e00\u4e00\u4e00" },
		{ NAME_TEXT_CJK14, "\u4e00\u4e00\u4e00\u4e00\u4e00" },
		{ NAME_TEXT_CJK14, "\u4e00\u4e00\u4e00\u4dff" },
		{ NAME_TEXT_CJK14, "\u8e00\u4e00\u4e00\u4e00" },
		{ NAME_TEXT_CJK14, "abcdabcdabcd" },
		{ NAME_TEXT_CJK14, "\xe4\xb8\xe4\xb8\x80\x80"
		                   "\u4e00\u4e00" },
		{ NAME_TEXT_CJK14, "\u4e00\u4e00\u4e00\xe4\xb8z" },
		{ NAME_TEXT_CJK14, "\u4e00\u4e00\u4e00\xe4z\x80" },
		{ NAME_TEXT_CJK14, "\u4e00\u4e00\u4e00\xf4\xb8\x80" },
		{ NAME_TEXT_CJK14, "\U00024e00\u4e00\u4e00z\xe4" },
		{ NAME_TEXT_BASE32, "m" }, /* no byte has such a text */
		{ NAME_TEXT_BASE32, "mzx" },
		{ NAME_TEXT_BASE32, "mzxw6y" },
		{ NAME_TEXT_BASE32, "mz" },      /* "f" with a bit behind */
		{ NAME_TEXT_BASE32, "mzxw7" },   /* likewise "foo" */
		{ NAME_TEXT_BASE32, "mzxw6yr" }, /* likewise "foob" */
		{ NAME_TEXT_BASE32, "MY" },
		{ NAME_TEXT_BASE32, "mY" },
		{ NAME_TEXT_BASE32, "my======" },
		{ NAME_TEXT_BASE32, "m1" },
		{ NAME_TEXT_BASE32, "m8" },
		{ NAME_TEXT_BASE32, "m y" },
		{ NAME_TEXT_BASE32, "my\n" },
		{ NAME_TEXT_BASE32, "m\u0443" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t out[64];
		size_t len;

		check_row("'%s'", cases[i].s);
		CHECK_EQ(name_text_decode(cases[i].text, cases[i].s, out,
		                          sizeof(out), &len),
		         -EINVAL);
	}
}

/* Every length there is, and what the length functions say of it. */
static void test_lengths(void)
{
	for (size_t t = 0; t < 2; t++) {
		enum name_text text = (enum name_text)t;
		size_t step = text == NAME_TEXT_CJK14 ? 7 : 1;

		for (size_t len = 0; len <= MAX; len += step) {
			uint8_t bytes[MAX], back[MAX];
			char out[3 * MAX];
			size_t units = name_text_units(text, len), back_len;

			check_row("text %zu bytes %zu", t, len);
			randombytes_buf(bytes, len);
			name_text_encode(text, bytes, len, out);
			CHECK_EQ(names_utf16_len(out), units);
			CHECK_EQ(name_text_bytes(text, units), len);
			CHECK(!units || name_text_bytes(text, units - 1) < len);
			CHECK_EQ(name_text_decode(text, out, back, sizeof(back),
			                          &back_len),
			         0);
			CHECK_EQ(back_len, len);
			CHECK_MEM(back, bytes, len);
		}
	}
}

static void test_labels(void)
{
	static const struct {
		const char *label;
		int rc;
	} cases[] = {
		{ "cjk14", 0 },        { "base32", 0 },
		{ "CJK14", -EINVAL },  { "", -EINVAL },
		{ "cjk14 ", -EINVAL }, { "base32768", -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		enum name_text text;

		check_row("'%s'", cases[i].label);
		CHECK_EQ(name_text_from_label(cases[i].label, &text),
		         cases[i].rc);
		if (cases[i].rc == 0)
			CHECK_STR(name_text_label(text), cases[i].label);
	}
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	RUN(test_pairs);
	RUN(test_refused);
	RUN(test_lengths);
	RUN(test_labels);
	return check_report();
}
