/* Bech32 and keys as text: what decodes encodes back, but for the case. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include <sodium.h>

#include "auth/age_key.h"
#include "auth/bech32.h"

#define TEXT_MAX 512

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return sodium_init() < 0 ? -1 : 0;
}

static void lower(char *s)
{
	for (; *s; s++) {
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s | 0x20);
	}
}

static void check_bech32(const char *text, size_t size)
{
	char hrp[TEXT_MAX], again[BECH32_LEN(TEXT_MAX, TEXT_MAX) + 1];
	char want[TEXT_MAX + 1];
	uint8_t bytes[TEXT_MAX];
	size_t n;

	if (bech32_decode(text, size, hrp, sizeof(hrp), bytes, sizeof(bytes),
	                  &n) < 0)
		return;
	FUZZ_CHECK(BECH32_LEN(strlen(hrp), n) == size);
	memcpy(want, text, size);
	want[size] = '\0';
	lower(want);
	lower(hrp);
	bech32_encode(hrp, bytes, n, again);
	FUZZ_CHECK(!strcmp(again, want));
}

static void check_keys(const char *text, size_t size)
{
	char again[AGE_IDENTITY_TEXT];
	struct age_recipient r;
	struct age_identities l;
	unsigned line = 0;

	if (age_recipient_parse(text, size, &r) == 0) {
		age_recipient_format(&r, again);
		FUZZ_CHECK(size == strlen(again) && !memcmp(again, text, size));
	}
	if (age_identities_parse(text, size, &l, &line) < 0)
		return;
	FUZZ_CHECK(l.count > 0);
	age_identity_format(l.ids[0], again);
	FUZZ_CHECK(memmem(text, size, again, strlen(again)));
	age_identities_done(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > TEXT_MAX)
		return 0;
	check_bech32((const char *)data, size);
	check_keys((const char *)data, size);
	return 0;
}
