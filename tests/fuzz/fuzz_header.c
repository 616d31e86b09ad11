/* The header of an age file: what parses is the one text of what was kept, and
 * nothing less than all of it is enough. */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "auth/age_base64.h"
#include "auth/age_header.h"
#include "auth/age_stanza.h"
#include "net/buf.h"

static struct age_identity *identity;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (sodium_init() < 0)
		return -1;
	return age_identity_new(&identity);
}

static void check_text(const struct age_header *h, const uint8_t *data)
{
	char mac[AGE_BASE64_LEN(AGE_MAC_SIZE) + 1];
	struct buf b = BUF_INIT;

	buf_add_str(&b, "age-encryption.org/v1\n");
	for (size_t i = 0; i < age_header_count(h); i++) {
		const struct age_stanza *s = age_header_stanza(h, i);

		age_stanza_add(&b, s->line, s->body, s->body_len);
	}
	age_base64_encode(age_header_mac(h), AGE_MAC_SIZE, mac);
	buf_addf(&b, "--- %s\n", mac);
	FUZZ_CHECK(b.len == age_header_len(h));
	FUZZ_CHECK(!memcmp(b.data, data, b.len));
	buf_done(&b);
}

/* Without its last byte, and cut in the middle. */
static void check_parts(const struct age_header *h, const uint8_t *data)
{
	const size_t parts[] = { age_header_len(h) - 1, age_header_len(h) / 2 };
	struct age_header *part;

	for (size_t i = 0; i < 2; i++)
		FUZZ_CHECK(age_header_parse(data, parts[i], &part) == -EAGAIN);
	FUZZ_CHECK(age_header_parse(data, age_header_len(h), &part) == 0);
	FUZZ_CHECK(age_header_count(part) == age_header_count(h));
	age_header_free(part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct age_keys keys = { .ids = &identity, .id_count = 1 };
	uint8_t file_key[AGE_FILE_KEY_SIZE];
	struct age_header *h;
	int rc = age_header_parse(data, size, &h);

	FUZZ_CHECK(rc == 0 || rc == -EAGAIN || rc == AGE_BAD_HEADER);
	if (rc < 0)
		return 0;
	FUZZ_CHECK(age_header_len(h) <= size);
	FUZZ_CHECK(age_header_count(h) > 0);
	check_text(h, data);
	check_parts(h, data);
	/* Nobody sealed this for a key that was just made. */
	FUZZ_CHECK(age_header_open(h, &keys, file_key, NULL) < 0);
	FUZZ_CHECK(sodium_is_zero(file_key, sizeof(file_key)));
	age_header_free(h);
	return 0;
}
