#include "auth/sealed_box.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <sodium.h>

#define MAGIC        "nmbkeys1"
#define KDF_CONTEXT  "nmbkeys1"
#define AT_PASSES    8
#define AT_MEM       12
#define AT_SALT      16
#define AT_CHECK     32
#define AT_SUM       48
#define AT_NONCE     64
#define AT_TEXT      88
#define SUM_BYTES    16
#define MAX_PASSES   16
#define MIN_MEM_KIB  8
#define MAX_MEM_KIB  (1024 * 1024) /* what nobody's laptop chokes on */
#define KEY_BYTES    crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define TAG_BYTES    crypto_aead_xchacha20poly1305_ietf_ABYTES
#define RECORD_BYTES 5 /* of a blob, beside name and content */

_Static_assert(crypto_pwhash_SALTBYTES == 16, "the format says 16");
_Static_assert(KEY_BYTES == crypto_kdf_KEYBYTES, "one size of keys");

static void put_u32(uint8_t *to, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get_u32(const uint8_t *from)
{
	return (uint32_t)from[0] | (uint32_t)from[1] << 8 |
	       (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

/* ---- keys ---------------------------------------------------------------- */

void sealed_key_done(struct sealed_key *k)
{
	sodium_free(k->key);
	k->key = NULL;
}

/* Parameters and salt are in `head`; the key check goes to `out_check`. */
static int derive(const uint8_t *head, const char *passphrase, size_t len,
                  uint8_t **out_key, uint8_t out_check[16])
{
	uint8_t *master = sodium_malloc(KEY_BYTES);
	uint8_t *key = sodium_malloc(KEY_BYTES);
	int rc = -ENOMEM;

	if (master && key &&
	    crypto_pwhash(master, KEY_BYTES, passphrase, len, head + AT_SALT,
	                  get_u32(head + AT_PASSES),
	                  (size_t)get_u32(head + AT_MEM) * 1024,
	                  crypto_pwhash_ALG_ARGON2ID13) == 0) {
		crypto_kdf_derive_from_key(key, KEY_BYTES, 1, KDF_CONTEXT,
		                           master);
		crypto_kdf_derive_from_key(out_check, 16, 2, KDF_CONTEXT,
		                           master);
		rc = 0;
	}
	sodium_free(master);
	if (rc < 0)
		sodium_free(key);
	else
		*out_key = key;
	return rc;
}

static void sum_of(const uint8_t *head, uint8_t out[SUM_BYTES])
{
	crypto_generichash(out, SUM_BYTES, head, AT_SUM, NULL, 0);
}

int sealed_key_new(const char *passphrase, size_t len, uint32_t passes,
                   uint32_t mem_kib, struct sealed_key *out)
{
	int rc;

	memcpy(out->head, MAGIC, 8);
	put_u32(out->head + AT_PASSES, passes);
	put_u32(out->head + AT_MEM, mem_kib);
	randombytes_buf(out->head + AT_SALT, crypto_pwhash_SALTBYTES);
	rc = derive(out->head, passphrase, len, &out->key,
	            out->head + AT_CHECK);
	if (rc == 0)
		sum_of(out->head, out->head + AT_SUM);
	return rc;
}

static bool is_sound(const uint8_t *file, size_t len)
{
	uint8_t sum[SUM_BYTES];
	uint32_t passes, mem;

	if (len < SEALED_MIN || len > SEALED_MAX || memcmp(file, MAGIC, 8) != 0)
		return false;
	sum_of(file, sum);
	if (memcmp(sum, file + AT_SUM, SUM_BYTES) != 0)
		return false;
	passes = get_u32(file + AT_PASSES);
	mem = get_u32(file + AT_MEM);
	return passes >= 1 && passes <= MAX_PASSES && mem >= MIN_MEM_KIB &&
	       mem <= MAX_MEM_KIB;
}

int sealed_key_of(const uint8_t *file, size_t file_len, const char *passphrase,
                  size_t len, struct sealed_key *out)
{
	uint8_t check[16], *key;
	int rc;

	if (!is_sound(file, file_len))
		return -EBADMSG;
	rc = derive(file, passphrase, len, &key, check);
	if (rc < 0)
		return rc;
	if (sodium_memcmp(check, file + AT_CHECK, sizeof(check)) != 0) {
		sodium_free(key);
		return -EKEYREJECTED;
	}
	memcpy(out->head, file, SEALED_HEAD);
	out->key = key;
	return 0;
}

/* ---- sealing ------------------------------------------------------------- */

int sealed_close(const struct sealed_key *k, const uint8_t *text, size_t len,
                 uint8_t *file, size_t *out_len)
{
	if (len > SEALED_MAX_TEXT)
		return -EFBIG;
	memcpy(file, k->head, SEALED_HEAD);
	randombytes_buf(file + AT_NONCE, AT_TEXT - AT_NONCE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(file + AT_TEXT, NULL, text,
	                                           len, file, SEALED_HEAD, NULL,
	                                           file + AT_NONCE, k->key);
	*out_len = AT_TEXT + len + TAG_BYTES;
	return 0;
}

int sealed_open(const struct sealed_key *k, const uint8_t *file,
                size_t file_len, uint8_t *text, size_t *out_len)
{
	unsigned long long len;

	if (!is_sound(file, file_len))
		return -EBADMSG;
	if (memcmp(file, k->head, SEALED_HEAD) != 0)
		return -EKEYREJECTED;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(
		    text, &len, NULL, file + AT_TEXT, file_len - AT_TEXT, file,
		    SEALED_HEAD, file + AT_NONCE, k->key) < 0)
		return -EBADMSG;
	*out_len = len;
	return 0;
}

/* ---- what is in there ---------------------------------------------------- */

struct record {
	const uint8_t *name, *blob;
	size_t name_len, blob_len, len; /* of the whole record */
};

static bool read_record(const uint8_t *text, size_t left, struct record *out)
{
	if (left < RECORD_BYTES || left - RECORD_BYTES < text[0])
		return false;
	out->name_len = text[0];
	out->name = text + 1;
	out->blob_len = get_u32(text + 1 + out->name_len);
	out->blob = text + RECORD_BYTES + out->name_len;
	if (left - RECORD_BYTES - out->name_len < out->blob_len ||
	    out->blob_len > KEYSTORE_MAX_BLOB)
		return false;
	out->len = RECORD_BYTES + out->name_len + out->blob_len;
	return true;
}

static int find(const uint8_t *text, size_t len, const char *name,
                struct record *out, size_t *out_at)
{
	size_t name_len = strlen(name);

	for (size_t at = 0; at < len; at += out->len) {
		if (!read_record(text + at, len - at, out))
			return -EBADMSG;
		*out_at = at;
		if (out->name_len == name_len &&
		    !memcmp(out->name, name, name_len))
			return 0;
	}
	return -ENOENT;
}

int sealed_find(const uint8_t *text, size_t len, const char *name,
                const uint8_t **out_blob, size_t *out_len)
{
	struct record r;
	size_t at;
	int rc = find(text, len, name, &r, &at);

	if (rc < 0)
		return rc;
	*out_blob = r.blob;
	*out_len = r.blob_len;
	return 0;
}

int sealed_edit(uint8_t *text, size_t *len, const char *name, const void *blob,
                size_t blob_len)
{
	size_t name_len = strlen(name), at = 0, old = 0;
	struct record r;
	int rc = find(text, *len, name, &r, &at);

	if (rc == -EBADMSG)
		return rc;
	if (rc == 0)
		old = r.len;
	if (blob &&
	    *len - old + RECORD_BYTES + name_len + blob_len > SEALED_MAX_TEXT)
		return -EFBIG;
	if (old) {
		memmove(text + at, text + at + old, *len - at - old);
		*len -= old;
	}
	if (!blob)
		return 0;
	text[*len] = (uint8_t)name_len;
	memcpy(text + *len + 1, name, name_len);
	put_u32(text + *len + 1 + name_len, (uint32_t)blob_len);
	memcpy(text + *len + RECORD_BYTES + name_len, blob, blob_len);
	*len += RECORD_BYTES + name_len + blob_len;
	return 0;
}
