#include "auth/age.h"

#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "auth/age_armor.h"
#include "auth/age_payload.h"
#include "net/buf.h"

/* Between header and content, in guarded memory. */
struct secrets {
	uint8_t file_key[AGE_FILE_KEY_SIZE];
	uint8_t payload_key[AGE_PAYLOAD_KEY];
};

/* ---- sealing ------------------------------------------------------------- */

static void seal_chunks(const uint8_t *key, const uint8_t *plain, size_t len,
                        uint8_t *out)
{
	uint64_t count = age_chunk_count(len);

	for (uint64_t i = 0; i < count; i++) {
		size_t n = len < AGE_CHUNK ? len : AGE_CHUNK;

		age_chunk_seal(key, i, i == count - 1, plain, n, out);
		out += n + AGE_TAG_SIZE;
		plain += n;
		len -= n;
	}
}

static int seal_with(struct secrets *s, const struct age_target *to,
                     const void *plain, size_t len, struct buf *out)
{
	size_t size = (size_t)age_sealed_size(0, len);
	uint8_t nonce[AGE_NONCE_SIZE];
	int rc;

	randombytes_buf(s->file_key, sizeof(s->file_key));
	randombytes_buf(nonce, sizeof(nonce));
	rc = age_header_build(s->file_key, to, out);
	if (rc == 0)
		rc = buf_reserve(out, size);
	if (rc < 0)
		return rc;
	age_payload_key(s->file_key, nonce, s->payload_key);
	buf_add(out, nonce, sizeof(nonce));
	seal_chunks(s->payload_key, plain, len,
	            (uint8_t *)out->data + out->len);
	out->len += size - sizeof(nonce);
	out->data[out->len] = '\0';
	return 0;
}

int age_seal_buf(const struct age_target *to, const void *plain, size_t len,
                 struct buf *out)
{
	struct secrets *s = sodium_malloc(sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	rc = seal_with(s, to, plain, len, out);
	sodium_free(s);
	return rc;
}

/* ---- opening ------------------------------------------------------------- */

static int open_chunks(const uint8_t *key, const uint8_t *sealed, uint64_t len,
                       uint8_t *out)
{
	uint64_t count = age_chunk_count(len);

	for (uint64_t i = 0; i < count; i++) {
		uint64_t off;
		size_t n;
		int rc;

		age_chunk_range(0, len, i, &off, &n);
		rc = age_chunk_open(key, i, i == count - 1,
		                    sealed + off - AGE_NONCE_SIZE, n,
		                    out + i * AGE_CHUNK);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* `payload`: what comes after the header, nonce first. */
static int open_payload(struct secrets *s, const uint8_t *payload, size_t len,
                        void **out_plain, size_t *out_len)
{
	uint64_t plain;
	uint8_t *out;
	int rc;

	if (len < AGE_NONCE_SIZE)
		return AGE_BAD_HEADER;
	rc = age_plain_size(0, len, &plain);
	if (rc < 0)
		return rc;
	out = sodium_malloc(plain + 1);
	if (!out)
		return -ENOMEM;
	age_payload_key(s->file_key, payload, s->payload_key);
	rc = open_chunks(s->payload_key, payload + AGE_NONCE_SIZE, plain, out);
	if (rc < 0) {
		sodium_free(out);
		return rc;
	}
	out[plain] = '\0';
	*out_plain = out;
	*out_len = (size_t)plain;
	return 0;
}

static int open_with(struct secrets *s, const struct age_keys *keys,
                     const uint8_t *file, size_t len, void **out_plain,
                     size_t *out_len, size_t *out_which)
{
	struct age_header *h;
	size_t header;
	int rc;

	rc = age_header_parse(file, len, &h);
	if (rc == -EAGAIN)
		return AGE_BAD_HEADER; /* this is all there is */
	if (rc < 0)
		return rc;
	header = age_header_len(h);
	rc = age_header_open(h, keys, s->file_key, out_which);
	age_header_free(h);
	if (rc < 0)
		return rc;
	return open_payload(s, file + header, len - header, out_plain, out_len);
}

static int open_binary(const struct age_keys *keys, const void *file,
                       size_t len, void **out_plain, size_t *out_len,
                       size_t *out_which)
{
	struct secrets *s = sodium_malloc(sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	rc = open_with(s, keys, file, len, out_plain, out_len, out_which);
	sodium_free(s);
	return rc;
}

int age_open_buf(const struct age_keys *keys, const void *file, size_t len,
                 void **out_plain, size_t *out_len, size_t *out_which)
{
	struct buf binary = BUF_INIT;
	int rc;

	if (!age_is_armor(file, len))
		return open_binary(keys, file, len, out_plain, out_len,
		                   out_which);
	rc = age_dearmor_buf(file, len, &binary);
	if (rc == 0)
		rc = open_binary(keys, binary.data, binary.len, out_plain,
		                 out_len, out_which);
	buf_done(&binary);
	return rc;
}

/* ---- identity files ------------------------------------------------------ */

bool age_is_sealed(const void *data, size_t len)
{
	static const char start[] = "age-encryption.org/";
	const size_t n = sizeof(start) - 1;

	if (age_is_armor(data, len))
		return memmem(data, len, AGE_ARMOR_BEGIN,
		              strlen(AGE_ARMOR_BEGIN)) != NULL;
	return len >= n && memcmp(data, start, n) == 0;
}

int age_identities_read(const void *data, size_t len, const char *passphrase,
                        struct age_identities *out, unsigned *out_line)
{
	const struct age_keys keys = { .passphrase = passphrase };
	void *text = NULL;
	size_t text_len = 0;
	int rc;

	if (!age_is_sealed(data, len))
		return age_identities_parse(data, len, out, out_line);
	if (out_line)
		*out_line = 0;
	rc = age_open_buf(&keys, data, len, &text, &text_len, NULL);
	if (rc < 0)
		return rc;
	rc = age_identities_parse(text, text_len, out, out_line);
	sodium_free(text);
	return rc;
}
