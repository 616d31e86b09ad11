#include "auth/age_base64.h"

#include <errno.h>

#include <sodium.h>

#define VARIANT sodium_base64_VARIANT_ORIGINAL_NO_PADDING

void age_base64_encode(const void *data, size_t len, char *out)
{
	sodium_bin2base64(out, AGE_BASE64_LEN(len) + 1, data, len, VARIANT);
}

int age_base64_decode(const char *text, size_t len, void *out, size_t max,
                      size_t *out_len)
{
	/* The last argument must be NULL: else "QQ==" is taken, with the
	 * pointer at the first "=". */
	if (sodium_base642bin(out, max, text, len, NULL, out_len, NULL,
	                      VARIANT) != 0)
		return -EINVAL;
	return 0;
}

int age_base64_decode_exact(const char *text, size_t len, void *out,
                            size_t size)
{
	size_t n;

	if (age_base64_decode(text, len, out, size, &n) < 0 || n != size)
		return -EINVAL;
	return 0;
}
