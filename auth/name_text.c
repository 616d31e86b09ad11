#include "auth/name_text.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define CJK_FIRST  0x4e00
#define CJK_BITS   14
#define CJK_UTF8   3        /* bytes of each of the characters */
#define GROUP      7        /* bytes */
#define GROUP_CJK  4        /* characters of that */
#define HELD_MASK  0xffffff /* what waits is at most 13 + 8 or 7 + 14 bits */
#define B32_BITS   5
#define B32_DIGITS "abcdefghijklmnopqrstuvwxyz234567"

static const char *const labels[] = {
	[NAME_TEXT_CJK14] = "cjk14",
	[NAME_TEXT_BASE32] = "base32",
};

int name_text_from_label(const char *label, enum name_text *out_text)
{
	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		if (!strcmp(label, labels[i])) {
			*out_text = (enum name_text)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *name_text_label(enum name_text text)
{
	return labels[text];
}

static unsigned bits_of(enum name_text text)
{
	return text == NAME_TEXT_CJK14 ? CJK_BITS : B32_BITS;
}

size_t name_text_units(enum name_text text, size_t len)
{
	unsigned bits = bits_of(text);

	return (len * 8 + bits - 1) / bits;
}

size_t name_text_bytes(enum name_text text, size_t units)
{
	if (text == NAME_TEXT_CJK14)
		return units / GROUP_CJK * GROUP;
	return units * B32_BITS / 8;
}

/* ---- one character ------------------------------------------------------- */

static char *put_char(enum name_text text, unsigned value, char *out)
{
	unsigned rune = CJK_FIRST + value;

	if (text == NAME_TEXT_BASE32) {
		*out++ = B32_DIGITS[value];
		return out;
	}
	*out++ = (char)(0xe0 | rune >> 12);
	*out++ = (char)(0x80 | (rune >> 6 & 0x3f));
	*out++ = (char)(0x80 | (rune & 0x3f));
	return out;
}

/* The value of the character at *s, which moves behind it; or -EINVAL. */
static int take_char(enum name_text text, const char **s)
{
	const uint8_t *at = (const uint8_t *)*s;
	const char *digit;
	int rune;

	if (text == NAME_TEXT_BASE32) {
		digit = *at ? strchr(B32_DIGITS, *at) : NULL;
		*s += 1;
		return digit ? (int)(digit - B32_DIGITS) : -EINVAL;
	}
	if ((at[0] & 0xf0) != 0xe0 || (at[1] & 0xc0) != 0x80 ||
	    (at[2] & 0xc0) != 0x80)
		return -EINVAL;
	rune = (at[0] & 0x0f) << 12 | (at[1] & 0x3f) << 6 | (at[2] & 0x3f);
	if (rune < CJK_FIRST || rune >= CJK_FIRST + (1 << CJK_BITS))
		return -EINVAL;
	*s += CJK_UTF8;
	return rune - CJK_FIRST;
}

/* ---- whole texts --------------------------------------------------------- */

void name_text_encode(enum name_text text, const uint8_t *data, size_t len,
                      char *out)
{
	unsigned width = bits_of(text), mask = (1u << width) - 1;
	unsigned held = 0, nheld = 0; /* bits not yet written: the lowest */

	assert(text != NAME_TEXT_CJK14 || len % GROUP == 0);
	for (size_t i = 0; i < len; i++) {
		held = (held << 8 | data[i]) & HELD_MASK;
		nheld += 8;
		while (nheld >= width) {
			nheld -= width;
			out = put_char(text, held >> nheld & mask, out);
		}
	}
	if (nheld > 0)
		out = put_char(text, held << (width - nheld) & mask, out);
	*out = '\0';
}

/* Bytes that a text of that length must stand for, or -EINVAL: no byte string
 * has a text of that length. */
static int check_length(enum name_text text, size_t text_len, size_t *out_len)
{
	size_t width = text == NAME_TEXT_CJK14 ? CJK_UTF8 : 1;
	size_t units = text_len / width, len = name_text_bytes(text, units);

	if (text_len % width || name_text_units(text, len) != units)
		return -EINVAL;
	*out_len = len;
	return 0;
}

int name_text_decode(enum name_text text, const char *s, uint8_t *out,
                     size_t size, size_t *out_len)
{
	unsigned width = bits_of(text), held = 0, nheld = 0;
	size_t len, n = 0;
	int rc = check_length(text, strlen(s), &len);

	if (rc < 0 || len > size)
		return -EINVAL;
	while (*s) {
		int value = take_char(text, &s);

		if (value < 0)
			return value;
		held = (held << width | (unsigned)value) & HELD_MASK;
		nheld += width;
		while (nheld >= 8) {
			nheld -= 8;
			out[n++] = (uint8_t)(held >> nheld);
		}
	}
	if (held & ((1u << nheld) - 1))
		return -EINVAL; /* the unused bits */
	assert(n == len);
	*out_len = len;
	return 0;
}
