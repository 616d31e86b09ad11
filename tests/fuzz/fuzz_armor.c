/* Armor: pieces make no difference, and what decodes encodes back, but for
 * white space. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include <sodium.h>

#include "auth/age_armor.h"
#include "net/buf.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return sodium_init() < 0 ? -1 : 0;
}

static int sink(void *buf, const void *data, size_t len)
{
	return buf_add(buf, data, len);
}

static void add_without_blanks(struct buf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!memchr(" \t\r\n", text[i], 4))
			buf_add_char(out, text[i]);
	}
}

static void check_text(const struct buf *file, const char *text, size_t size)
{
	struct buf again = BUF_INIT, got = BUF_INIT, want = BUF_INIT;

	FUZZ_CHECK(age_armor_buf(file->data, file->len, &again) == 0);
	add_without_blanks(&got, again.data, again.len);
	add_without_blanks(&want, text, size);
	FUZZ_CHECK(got.len > 0 && got.len == want.len);
	FUZZ_CHECK(!memcmp(got.data, want.data, want.len));
	buf_done(&again);
	buf_done(&got);
	buf_done(&want);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = BUF_INIT, pieces = BUF_INIT;
	struct age_dearmor d;
	int rc = age_dearmor_buf(data, size, &whole), rc2 = 0;

	age_dearmor_init(&d, sink, &pieces);
	for (size_t off = 0; rc2 == 0 && off < size; off += 7)
		rc2 = age_dearmor_feed(&d, data + off,
		                       size - off < 7 ? size - off : 7);
	if (rc2 == 0)
		rc2 = age_dearmor_finish(&d);
	FUZZ_CHECK(rc == rc2);
	FUZZ_CHECK(rc == 0 || rc == AGE_BAD_ARMOR);
	FUZZ_CHECK(whole.len == pieces.len);
	FUZZ_CHECK(!whole.len || !memcmp(whole.data, pieces.data, whole.len));
	if (rc == 0)
		check_text(&whole, (const char *)data, size);
	buf_done(&whole);
	buf_done(&pieces);
	return 0;
}
