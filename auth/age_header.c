#include "auth/age_header.h"

#include <stdlib.h>

#include <sodium.h>

#include "auth/age_header_internal.h"
#include "auth/age_stanza.h"
#include "auth/hkdf.h"

void age_header_make_mac(const uint8_t file_key[AGE_FILE_KEY_SIZE],
                         const void *raw, size_t len, uint8_t out[AGE_MAC_SIZE])
{
	uint8_t key[HKDF_SIZE];

	hkdf_sha256(file_key, AGE_FILE_KEY_SIZE, NULL, 0, "header", key);
	hmac_sha256(key, sizeof(key), raw, len, out);
	sodium_memzero(key, sizeof(key));
}

void age_header_free(struct age_header *h)
{
	if (!h)
		return;
	free(h->raw);
	free(h->arena);
	free(h);
}

size_t age_header_len(const struct age_header *h)
{
	return h->len;
}

const uint8_t *age_header_mac(const struct age_header *h)
{
	return h->mac;
}

size_t age_header_count(const struct age_header *h)
{
	return h->count;
}

const struct age_stanza *age_header_stanza(const struct age_header *h, size_t i)
{
	return &h->stanzas[i];
}

const struct age_stanza *age_header_find(const struct age_header *h,
                                         const char *type, size_t *out_count)
{
	const struct age_stanza *first = NULL;
	size_t n = 0;

	for (size_t i = 0; i < h->count; i++) {
		if (!age_stanza_is(&h->stanzas[i], type))
			continue;
		if (n++ == 0)
			first = &h->stanzas[i];
	}
	if (out_count)
		*out_count = n;
	return first;
}

bool age_header_wants_passphrase(const struct age_header *h)
{
	return age_header_find(h, "scrypt", NULL) != NULL;
}

/* ---- opening ------------------------------------------------------------- */

static int unwrap_passphrase(const struct age_header *h,
                             const struct age_keys *keys,
                             uint8_t file_key[AGE_FILE_KEY_SIZE])
{
	if (!keys->passphrase)
		return AGE_NEED_PASSPHRASE;
	/* It is the only stanza: age_header_parse() saw to that. */
	return age_scrypt_unwrap(&h->stanzas[0], keys->passphrase, file_key);
}

static int unwrap_x25519(const struct age_header *h,
                         const struct age_keys *keys,
                         uint8_t file_key[AGE_FILE_KEY_SIZE], size_t *which)
{
	int rc;

	for (size_t i = 0; i < h->count; i++) {
		if (!age_stanza_is(&h->stanzas[i], "X25519"))
			continue;
		for (size_t k = 0; k < keys->id_count; k++) {
			rc = age_x25519_unwrap(&h->stanzas[i], keys->ids[k],
			                       file_key);
			if (rc == AGE_NO_MATCH)
				continue;
			*which = k;
			return rc;
		}
	}
	return AGE_NO_MATCH;
}

int age_header_open(const struct age_header *h, const struct age_keys *keys,
                    uint8_t out_file_key[AGE_FILE_KEY_SIZE], size_t *out_which)
{
	uint8_t mac[AGE_MAC_SIZE];
	size_t which = keys->id_count;
	int rc;

	if (age_header_wants_passphrase(h))
		rc = unwrap_passphrase(h, keys, out_file_key);
	else
		rc = unwrap_x25519(h, keys, out_file_key, &which);
	if (rc == 0) {
		age_header_make_mac(out_file_key, h->raw, h->mac_len, mac);
		if (sodium_memcmp(mac, h->mac, sizeof(mac)) != 0)
			rc = AGE_BAD_MAC;
		/* The right MAC of a forged header is nobody's business. */
		sodium_memzero(mac, sizeof(mac));
	}
	if (rc < 0) {
		sodium_memzero(out_file_key, AGE_FILE_KEY_SIZE);
		return rc;
	}
	if (out_which)
		*out_which = which;
	return 0;
}
