#include "auth/age_base64.h"

#include <errno.h>

#include <sodium.h>

#define VARIANT sodium_base64_VARIANT_ORIGINAL_NO_PADDING

void age_base64_encode(const void *data, size_t len, char *out)
{
	sodium_bin2base64(out, AGE_BASE64_LEN(len) + 1, data, len, VARIANT);
}

static int decode(const char *text, size_t len, void *out, size_t max,
                  size_t *out_len, int variant)
{
	/* libsodium 1.0.18 takes bytes 0xab and 0xaf for "+" and "/". */
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] > 0x7f)
			return -EINVAL;
	}
	/* The last pointer must be NULL: else "QQ==" is taken without padding,
	 * with the pointer at the first "=". */
	if (sodium_base642bin(out, max, text, len, NULL, out_len, NULL,
	                      variant) != 0)
		return -EINVAL;
	return 0;
}

int age_base64_decode(const char *text, size_t len, void *out, size_t max,
                      size_t *out_len)
{
	return decode(text, len, out, max, out_len, VARIANT);
}

int age_base64_decode_padded(const char *text, size_t len, void *out,
                             size_t max, size_t *out_len)
{
	return decode(text, len, out, max, out_len,
	              sodium_base64_VARIANT_ORIGINAL);
}

int age_base64_decode_exact(const char *text, size_t len, void *out,
                            size_t size)
{
	size_t n;

	if (age_base64_decode(text, len, out, size, &n) < 0 || n != size)
		return -EINVAL;
	return 0;
}
