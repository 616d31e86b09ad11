/* Base64 of headers and armor: one text for one content. */
#include "auth/age_base64.h"

#include <errno.h>

#include "tests/unit/age_rig.h"
#include "tests/unit/check.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			       "abcdefghijklmnopqrstuvwxyz0123456789+/";

static const struct {
	const char *text;
	int plain, padded; /* bytes, or -EINVAL */
} rows[] = {
	{ "", 0, 0 },
	{ "QQ", 1, -EINVAL },
	{ "QQ==", -EINVAL, 1 },
	{ "QR", -EINVAL, -EINVAL }, /* stray bits */
	{ "QR==", -EINVAL, -EINVAL },
	{ "QUE", 2, -EINVAL },
	{ "QUE=", -EINVAL, 2 },
	{ "QUF", -EINVAL, -EINVAL },
	{ "QUF=", -EINVAL, -EINVAL },
	{ "QUFB", 3, 3 },
	{ "Q", -EINVAL, -EINVAL },
	{ "QUFBQ", -EINVAL, -EINVAL },
	{ "QQ=", -EINVAL, -EINVAL },
	{ "QQ===", -EINVAL, -EINVAL },
	{ "QUE==", -EINVAL, -EINVAL },
	{ "=", -EINVAL, -EINVAL },
	{ "====", -EINVAL, -EINVAL },
	{ "QQ==QQ==", -EINVAL, -EINVAL },
	{ "QQ\n", -EINVAL, -EINVAL },
	{ "QQ ==", -EINVAL, -EINVAL },
	{ " QUFB", -EINVAL, -EINVAL },
	{ "Q-", -EINVAL, -EINVAL }, /* URL alphabet */
	{ "Q_", -EINVAL, -EINVAL },
	{ "+/+/", 3, 3 },
};

static void test_rows(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *text = rows[i].text;
		size_t len = strlen(text), n = 0;
		uint8_t out[8];
		int rc;

		check_row("\"%s\"", text);
		rc = age_base64_decode(text, len, out, sizeof(out), &n);
		CHECK_EQ(rc < 0 ? rc : (int)n, rows[i].plain);
		n = 0;
		rc = age_base64_decode_padded(text, len, out, sizeof(out), &n);
		CHECK_EQ(rc < 0 ? rc : (int)n, rows[i].padded);
	}
}

/* All 256 bytes at each place of a group: 64 of them count. */
static void test_every_byte(void)
{
	for (unsigned c = 0; c < 256; c++) {
		const char *pos = c ? strchr(alphabet, (int)c) : NULL;

		for (unsigned at = 0; at < 4; at++) {
			char text[] = "AAAA", again[5];
			uint8_t out[3];
			size_t n;

			text[at] = (char)c;
			check_row("byte %u at %u", c, at);
			CHECK_EQ(age_base64_decode(text, 4, out, 3, &n),
			         pos ? 0 : -EINVAL);
			if (!pos)
				continue;
			age_base64_encode(out, n, again);
			CHECK_STR(again, text);
		}
	}
}

static void test_sizes(void)
{
	uint8_t data[64] = { 0xff }, out[64];
	char text[AGE_BASE64_LEN(sizeof(data)) + 1];
	size_t n;

	for (size_t len = 0; len <= sizeof(data); len++) {
		check_row("%zu bytes", len);
		age_base64_encode(data, len, text);
		CHECK_EQ(strlen(text), AGE_BASE64_LEN(len));
		CHECK_EQ(age_base64_decode(text, strlen(text), out, len, &n),
		         0);
		CHECK_EQ(n, len);
		CHECK_MEM(out, data, len);
		CHECK_EQ(age_base64_decode_exact(text, strlen(text), out, len),
		         0);
		if (len == 0)
			continue;
		CHECK_EQ(
			age_base64_decode(text, strlen(text), out, len - 1, &n),
			-EINVAL);
		if (len < sizeof(out))
			CHECK_EQ(age_base64_decode_exact(text, strlen(text),
			                                 out, len + 1),
			         -EINVAL);
	}
}

int main(void)
{
	age_rig_init();
	RUN(test_rows);
	RUN(test_every_byte);
	RUN(test_sizes);
	return check_report();
}
