#include "auth/bind.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "auth/hkdf.h"

#define INFO_BODY  "nmbackupfs/v1/bind"
#define INFO_PATH  "nmbackupfs/v1/path"
#define PLAIN_SIZE 72
#define CIPHER(f)  crypto_aead_chacha20poly1305_ietf_##f

static_assert(BIND_BODY_SIZE == PLAIN_SIZE + CIPHER(ABYTES), "body");

static const uint8_t nonce[CIPHER(NPUBBYTES)];

/* ---- the 72 bytes -------------------------------------------------------- */

static void put_le64(uint8_t *to, uint64_t v)
{
	for (unsigned i = 0; i < 8; i++)
		to[i] = (uint8_t)(v >> 8 * i);
}

static uint64_t get_le64(const uint8_t *from)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 8; i++)
		v |= (uint64_t)from[i] << 8 * i;
	return v;
}

static void pack(const struct bind_fields *f, uint8_t out[PLAIN_SIZE])
{
	memcpy(out, f->file_id, BIND_ID_SIZE);
	put_le64(out + 16, f->version);
	put_le64(out + 24, f->size);
	put_le64(out + 32, (uint64_t)f->sealed_ns);
	memcpy(out + 40, f->path_tag, BIND_TAG_SIZE);
	memcpy(out + 56, f->previous, BIND_PREV_SIZE);
}

static void unpack(const uint8_t in[PLAIN_SIZE], struct bind_fields *f)
{
	memcpy(f->file_id, in, BIND_ID_SIZE);
	f->version = get_le64(in + 16);
	f->size = get_le64(in + 24);
	f->sealed_ns = (int64_t)get_le64(in + 32);
	memcpy(f->path_tag, in + 40, BIND_TAG_SIZE);
	memcpy(f->previous, in + 56, BIND_PREV_SIZE);
}

/* ---- seal and open ------------------------------------------------------- */

static void derive(const struct bind_key *k,
                   const uint8_t file_key[AGE_FILE_KEY_SIZE],
                   uint8_t out[HKDF_SIZE])
{
	hkdf_sha256(file_key, AGE_FILE_KEY_SIZE, k->auth_key, BIND_AUTH_SIZE,
	            INFO_BODY, out);
}

void bind_seal(const struct bind_key *k,
               const uint8_t file_key[AGE_FILE_KEY_SIZE],
               const struct bind_fields *f, uint8_t out[BIND_BODY_SIZE])
{
	uint8_t key[HKDF_SIZE], plain[PLAIN_SIZE];

	derive(k, file_key, key);
	pack(f, plain);
	CIPHER(encrypt)
	(out, NULL, plain, sizeof(plain), k->vault_id, BIND_VAULT_SIZE, NULL,
	 nonce, key);
	sodium_memzero(key, sizeof(key));
}

int bind_open(const struct bind_key *k,
              const uint8_t file_key[AGE_FILE_KEY_SIZE], const void *body,
              size_t len, struct bind_fields *out)
{
	uint8_t key[HKDF_SIZE], plain[PLAIN_SIZE];
	int rc;

	if (len != BIND_BODY_SIZE)
		return -EBADMSG;
	derive(k, file_key, key);
	rc = CIPHER(decrypt)(plain, NULL, NULL, body, len, k->vault_id,
	                     BIND_VAULT_SIZE, nonce, key);
	sodium_memzero(key, sizeof(key));
	if (rc != 0)
		return -EBADMSG;
	unpack(plain, out);
	return 0;
}

void bind_path_tag(const struct bind_key *k, const char *path,
                   uint8_t out[BIND_TAG_SIZE])
{
	uint8_t key[HKDF_SIZE];

	hkdf_sha256(k->auth_key, BIND_AUTH_SIZE, NULL, 0, INFO_PATH, key);
	crypto_generichash(out, BIND_TAG_SIZE, (const uint8_t *)path,
	                   strlen(path), key, sizeof(key));
	sodium_memzero(key, sizeof(key));
}

/* ---- what a reader makes of it ------------------------------------------- */

enum bind_verdict bind_judge(const struct bind_known *known,
                             const struct bind_fields *f, const uint8_t *mac)
{
	if (!known->known)
		return BIND_UNKNOWN;
	if (sodium_memcmp(known->file_id, f->file_id, BIND_ID_SIZE) != 0)
		return BIND_SWAPPED;
	if (f->version < known->version)
		return BIND_ROLLED_BACK;
	if (f->version == known->version)
		return sodium_memcmp(known->mac, mac, BIND_PREV_SIZE)
		               ? BIND_FORKED
		               : BIND_FINE;
	if (f->version - known->version == 1 &&
	    sodium_memcmp(known->mac, f->previous, BIND_PREV_SIZE) != 0)
		return BIND_FORKED;
	return BIND_NEWER;
}

const char *bind_verdict_name(enum bind_verdict v)
{
	switch (v) {
	case BIND_FINE:
		return "fine";
	case BIND_NEWER:
		return "newer";
	case BIND_UNKNOWN:
		return "unknown";
	case BIND_ROLLED_BACK:
		return "rolled-back";
	case BIND_FORKED:
		return "forked";
	case BIND_SWAPPED:
		return "swapped";
	}
	return "?";
}
