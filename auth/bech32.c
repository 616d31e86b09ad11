#include "auth/bech32.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static const char charset[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

#define CHECKSUM 6 /* symbols */

static uint32_t polymod(uint32_t c, unsigned symbol)
{
	static const uint32_t generator[] = { 0x3b6a57b2, 0x26508e6d,
		                              0x1ea119fa, 0x3d4233dd,
		                              0x2a1462b3 };
	unsigned top = c >> 25;

	c = (c & 0x1ffffff) << 5 ^ symbol;
	for (unsigned i = 0; i < 5; i++) {
		if (top >> i & 1)
			c ^= generator[i];
	}
	return c;
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static char lower(char c)
{
	return is_upper(c) ? (char)(c | 0x20) : c;
}

/* The checksum goes over the lower-case prefix: high bits, zero, low bits. */
static uint32_t polymod_hrp(const char *hrp, size_t len)
{
	uint32_t c = 1;

	for (size_t i = 0; i < len; i++)
		c = polymod(c, (unsigned)lower(hrp[i]) >> 5);
	c = polymod(c, 0);
	for (size_t i = 0; i < len; i++)
		c = polymod(c, (unsigned)lower(hrp[i]) & 31);
	return c;
}

static char *put_symbol(char *out, uint32_t *c, unsigned symbol)
{
	*c = polymod(*c, symbol);
	*out = charset[symbol];
	return out + 1;
}

void bech32_encode(const char *hrp, const void *data, size_t len, char *out)
{
	const uint8_t *p = data;
	size_t hrp_len = strlen(hrp);
	uint32_t c = polymod_hrp(hrp, hrp_len);
	unsigned acc = 0, bits = 0;

	memcpy(out, hrp, hrp_len);
	out += hrp_len;
	*out++ = '1';
	for (size_t i = 0; i < len; i++) {
		acc = (acc << 8 | p[i]) & 0xfff;
		for (bits += 8; bits >= 5; bits -= 5)
			out = put_symbol(out, &c, acc >> (bits - 5) & 31);
	}
	if (bits > 0)
		out = put_symbol(out, &c, acc << (5 - bits) & 31);

	for (unsigned i = 0; i < CHECKSUM; i++)
		c = polymod(c, 0);
	c ^= 1;
	for (unsigned i = 0; i < CHECKSUM; i++)
		*out++ = charset[c >> 5 * (CHECKSUM - 1 - i) & 31];
	*out = '\0';
}

/* Visible ASCII, and not of both cases. */
static bool is_plausible(const char *text, size_t len)
{
	bool upper = false, low = false;

	for (size_t i = 0; i < len; i++) {
		if (text[i] < 0x21 || text[i] > 0x7e)
			return false;
		upper |= is_upper(text[i]);
		low |= is_lower(text[i]);
	}
	return !(upper && low);
}

/* The symbols before the checksum, as bytes. The bits that fill up the last
 * symbol are fewer than five, and zero. */
static int unpack(const char *text, size_t len, uint8_t *data, size_t max,
                  size_t *out_len)
{
	unsigned acc = 0, bits = 0;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		const char *s = strchr(charset, lower(text[i]));

		acc = (acc << 5 | (unsigned)(s - charset)) & 0xfff;
		bits += 5;
		if (bits < 8)
			continue;
		bits -= 8;
		if (n == max)
			return -EINVAL;
		data[n++] = (uint8_t)(acc >> bits);
	}
	if (bits >= 5 || (acc & ((1u << bits) - 1)))
		return -EINVAL;
	*out_len = n;
	return 0;
}

int bech32_decode(const char *text, size_t text_len, char *hrp, size_t hrp_size,
                  void *data, size_t max, size_t *out_len)
{
	const char *sep = memrchr(text, '1', text_len);
	size_t hrp_len, len;
	uint32_t c;

	if (!sep || !is_plausible(text, text_len))
		return -EINVAL;
	hrp_len = (size_t)(sep - text);
	len = text_len - hrp_len - 1;
	if (hrp_len == 0 || hrp_len >= hrp_size || len < CHECKSUM)
		return -EINVAL;

	c = polymod_hrp(text, hrp_len);
	for (size_t i = 0; i < len; i++) {
		const char *s = strchr(charset, lower(sep[1 + i]));

		if (!s)
			return -EINVAL;
		c = polymod(c, (unsigned)(s - charset));
	}
	if (c != 1)
		return -EINVAL;
	memcpy(hrp, text, hrp_len);
	hrp[hrp_len] = '\0';
	return unpack(sep + 1, len - CHECKSUM, data, max, out_len);
}
