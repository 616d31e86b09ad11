/* Base64 of stanza bodies and of armor: what decodes encodes back to itself. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include <sodium.h>

#include "auth/age_base64.h"

#define SIZE_MAX_OF_TEXT 4096

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return sodium_init() < 0 ? -1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[SIZE_MAX_OF_TEXT];
	static char again[AGE_BASE64_LEN(SIZE_MAX_OF_TEXT) + 8];
	const char *text = (const char *)data;
	size_t n;

	if (size > SIZE_MAX_OF_TEXT)
		return 0;
	if (age_base64_decode(text, size, out, sizeof(out), &n) == 0) {
		FUZZ_CHECK(AGE_BASE64_LEN(n) == size);
		age_base64_encode(out, n, again);
		FUZZ_CHECK(!memcmp(again, text, size));
		FUZZ_CHECK(n == 0 ||
		           age_base64_decode(text, size, out, n - 1, &n) < 0);
	}
	if (age_base64_decode_padded(text, size, out, sizeof(out), &n) == 0) {
		sodium_bin2base64(again, sizeof(again), out, n,
		                  sodium_base64_VARIANT_ORIGINAL);
		FUZZ_CHECK(strlen(again) == size && !memcmp(again, text, size));
	}
	return 0;
}
