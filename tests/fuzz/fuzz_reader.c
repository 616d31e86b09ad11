/* Whole age files, sealed for the key of the seeds: streaming and in memory say
 * the same, and what streams out early is a part of it. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include <sodium.h>

#include "auth/age.h"
#include "auth/age_stream.h"
#include "net/buf.h"

/* Of the public vectors (C2SP/CCTV), and of tests/unit/data/age. */
static const char keys_text[] =
	"AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P"
	"2LM0\n"
	"AGE-SECRET-KEY-"
	"1M9QNF9QQ3WFW4TVCG8SLQVKVHHHMYGVW3V9CNXNNGT76NSMZC5DSP8X"
	"WZW\n";

static struct age_identities ids;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (sodium_init() < 0)
		return -1;
	return age_identities_parse(keys_text, strlen(keys_text), &ids, NULL);
}

static int sink(void *buf, const void *data, size_t len)
{
	return buf_add(buf, data, len);
}

static int stream(const struct age_keys *keys, const uint8_t *data, size_t size,
                  struct buf *out)
{
	struct age_reader *r;
	int rc;

	FUZZ_CHECK(age_reader_new(keys, sink, out, &r) == 0);
	for (size_t off = 0; off < size; off += 1000) {
		if (age_reader_feed(r, data + off,
		                    size - off < 1000 ? size - off : 1000) < 0)
			break;
	}
	rc = age_reader_finish(r);
	age_reader_free(r);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* No passphrase: scrypt would take all the time there is. */
	const struct age_keys keys = { .ids = ids.ids, .id_count = ids.count };
	struct buf streamed = BUF_INIT;
	void *plain = NULL;
	size_t len = 0;
	int rc = age_open_buf(&keys, data, size, &plain, &len, NULL);
	int rc2 = stream(&keys, data, size, &streamed);

	FUZZ_CHECK((rc == 0) == (rc2 == 0));
	if (rc == 0) {
		FUZZ_CHECK(streamed.len == len);
		FUZZ_CHECK(len == 0 || !memcmp(plain, streamed.data, len));
	}
	sodium_free(plain);
	buf_done(&streamed);
	return 0;
}
