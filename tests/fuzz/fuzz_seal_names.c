/* Opens any text as the name of a vault item, and any bytes under a valid tag,
 * as a member could make them. What opens seals to the same text.
 * First byte: 0x01 base32, 0x02 pad 28, 0x04 bytes under a valid tag. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "auth/seal_names.h"
#include "auth/siv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The key of the format's vectors, which are the seeds. */
static const uint8_t key[SEAL_NAMES_KEY_SIZE] = {
	0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
	16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
};

static void open_text(unsigned kind, const char *sealed)
{
	struct seal_names_plain plain;
	struct seal_names *s;
	char again[SEAL_NAMES_TEXT_MAX + 1];

	if (seal_names_new(key, kind & 1 ? NAME_TEXT_BASE32 : NAME_TEXT_CJK14,
	                   kind & 2 ? 28 : 7, &s) < 0)
		abort();
	if (seal_names_open(s, sealed, &plain) == 0) {
		assert(strlen(sealed) <= SEAL_NAMES_TEXT_MAX);
		assert(seal_names_seal(s, plain.name, plain.attributes,
		                       again) == 0);
		assert(!strcmp(again, sealed));
	}
	seal_names_free(s);
}

static void open_sealed(unsigned kind, const uint8_t *data, size_t size)
{
	uint8_t sealed[SIV_TAG_SIZE + 600];
	char text[2000];
	struct siv_keys keys;
	/* cjk14 has only whole groups */
	size_t odd = kind & 1 ? 0 : (SIV_TAG_SIZE + size) % 7;

	if (size < odd || size - odd > 600)
		return;
	size -= odd;
	siv_derive_keys(key, &keys);
	siv_seal(&keys, NULL, 0, data, size, sealed);
	name_text_encode(kind & 1 ? NAME_TEXT_BASE32 : NAME_TEXT_CJK14, sealed,
	                 SIV_TAG_SIZE + size, text);
	open_text(kind, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (sodium_init() < 0)
		abort();
	if (size == 0)
		return 0;
	if (data[0] & 4) {
		open_sealed(data[0], data + 1, size - 1);
		return 0;
	}
	text = strndup((const char *)data + 1, size - 1);
	if (!text)
		abort();
	open_text(data[0], text);
	free(text);
	return 0;
}
