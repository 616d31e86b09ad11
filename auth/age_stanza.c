#include "auth/age_stanza.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "auth/age_base64.h"
#include "auth/hkdf.h"
#include "net/buf.h"

#define X25519_INFO  "age-encryption.org/v1/X25519"
#define SCRYPT_LABEL "age-encryption.org/v1/scrypt"

/* ---- lines --------------------------------------------------------------- */

bool age_stanza_is(const struct age_stanza *s, const char *type)
{
	size_t n = strlen(type);

	return strncmp(s->line, type, n) == 0 &&
	       (s->line[n] == ' ' || s->line[n] == '\0');
}

const char *age_stanza_word(const struct age_stanza *s, size_t i,
                            size_t *out_len)
{
	const char *p = s->line;

	for (; i > 0; i--) {
		p = strchr(p, ' ');
		if (!p)
			return NULL;
		p++;
	}
	*out_len = strcspn(p, " ");
	return p;
}

void age_stanza_add(struct buf *out, const char *line, const uint8_t *body,
                    size_t len)
{
	char text[AGE_LINE_CHARS + 1];
	size_t n;

	buf_addf(out, "-> %s\n", line);
	do {
		n = len < AGE_LINE_BYTES ? len : AGE_LINE_BYTES;
		age_base64_encode(body, n, text);
		buf_addf(out, "%s\n", text);
		if (n > 0)
			body += n;
		len -= n;
	} while (n == AGE_LINE_BYTES);
}

/* ---- what a stanza of ours must look like -------------------------------- */

/* Word `i` is base64 of `size` bytes. */
static bool decode_word(const struct age_stanza *s, size_t i, void *out,
                        size_t size)
{
	size_t len;
	const char *word = age_stanza_word(s, i, &len);

	return word && age_base64_decode_exact(word, len, out, size) == 0;
}

/* [1-9][0-9]*; a number too big for us comes back as 999. */
static bool parse_log_n(const struct age_stanza *s, unsigned *out_log_n)
{
	unsigned n = 0;
	size_t len;
	const char *word = age_stanza_word(s, 2, &len);

	if (!word || word[0] == '0')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (word[i] < '0' || word[i] > '9')
			return false;
		n = n * 10 + (unsigned)(word[i] - '0');
		n = n < 999 ? n : 999;
	}
	*out_log_n = n;
	return true;
}

int age_stanza_check(const struct age_stanza *s)
{
	uint8_t bytes[AGE_KEY_SIZE];
	unsigned log_n;
	size_t len;

	if (age_stanza_is(s, "X25519")) {
		if (!decode_word(s, 1, bytes, AGE_KEY_SIZE) ||
		    age_stanza_word(s, 2, &len) || s->body_len != AGE_BODY_SIZE)
			return AGE_BAD_HEADER;
	} else if (age_stanza_is(s, "scrypt")) {
		if (!decode_word(s, 1, bytes, AGE_SALT_SIZE) ||
		    !parse_log_n(s, &log_n) || age_stanza_word(s, 3, &len) ||
		    s->body_len != AGE_BODY_SIZE)
			return AGE_BAD_HEADER;
	}
	return 0;
}

/* ---- the wrap key, used once --------------------------------------------- */

static const uint8_t zero_nonce[crypto_aead_chacha20poly1305_IETF_NPUBBYTES];

static void wrap(const uint8_t key[32],
                 const uint8_t file_key[AGE_FILE_KEY_SIZE],
                 uint8_t body[AGE_BODY_SIZE])
{
	crypto_aead_chacha20poly1305_ietf_encrypt(body, NULL, file_key,
	                                          AGE_FILE_KEY_SIZE, NULL, 0,
	                                          NULL, zero_nonce, key);
}

static bool unwrap(const uint8_t key[32], const uint8_t body[AGE_BODY_SIZE],
                   uint8_t file_key[AGE_FILE_KEY_SIZE])
{
	return crypto_aead_chacha20poly1305_ietf_decrypt(
		       file_key, NULL, NULL, body, AGE_BODY_SIZE, NULL, 0,
		       zero_nonce, key) == 0;
}

/* ---- X25519 -------------------------------------------------------------- */

/* False if the shared secret is all zero: `point` is of low order. */
static bool x25519_key(const uint8_t scalar[AGE_KEY_SIZE],
                       const uint8_t point[AGE_KEY_SIZE],
                       const uint8_t share[AGE_KEY_SIZE],
                       const struct age_recipient *r, uint8_t key[32])
{
	uint8_t shared[AGE_KEY_SIZE], salt[2 * AGE_KEY_SIZE];
	bool ok = crypto_scalarmult_curve25519(shared, scalar, point) == 0;

	if (ok) {
		memcpy(salt, share, AGE_KEY_SIZE);
		memcpy(salt + AGE_KEY_SIZE, r->point, AGE_KEY_SIZE);
		hkdf_sha256(shared, sizeof(shared), salt, sizeof(salt),
		            X25519_INFO, key);
	}
	sodium_memzero(shared, sizeof(shared));
	return ok;
}

int age_x25519_wrap(const uint8_t file_key[AGE_FILE_KEY_SIZE],
                    const struct age_recipient *r, struct buf *out)
{
	uint8_t ephemeral[AGE_KEY_SIZE], share[AGE_KEY_SIZE], key[32];
	uint8_t body[AGE_BODY_SIZE];
	char line[64], text[AGE_BASE64_LEN(AGE_KEY_SIZE) + 1];
	bool ok;

	randombytes_buf(ephemeral, sizeof(ephemeral));
	ok = crypto_scalarmult_curve25519_base(share, ephemeral) == 0 &&
	     x25519_key(ephemeral, r->point, share, r, key);
	sodium_memzero(ephemeral, sizeof(ephemeral));
	if (!ok)
		return -EINVAL;
	wrap(key, file_key, body);
	sodium_memzero(key, sizeof(key));

	age_base64_encode(share, sizeof(share), text);
	snprintf(line, sizeof(line), "X25519 %s", text);
	age_stanza_add(out, line, body, sizeof(body));
	return out->failed ? -ENOMEM : 0;
}

int age_x25519_unwrap(const struct age_stanza *s, const struct age_identity *id,
                      uint8_t out_file_key[AGE_FILE_KEY_SIZE])
{
	uint8_t share[AGE_KEY_SIZE], key[32];
	bool ok;

	if (!decode_word(s, 1, share, sizeof(share)) ||
	    !x25519_key(id->secret, share, share, &id->recipient, key))
		return AGE_BAD_HEADER;
	ok = unwrap(key, s->body, out_file_key);
	sodium_memzero(key, sizeof(key));
	return ok ? 0 : AGE_NO_MATCH;
}

/* ---- scrypt -------------------------------------------------------------- */

static int scrypt_key(const char *passphrase, const uint8_t salt[AGE_SALT_SIZE],
                      unsigned log_n, uint8_t key[32])
{
	uint8_t labelled[sizeof(SCRYPT_LABEL) - 1 + AGE_SALT_SIZE];

	memcpy(labelled, SCRYPT_LABEL, sizeof(SCRYPT_LABEL) - 1);
	memcpy(labelled + sizeof(SCRYPT_LABEL) - 1, salt, AGE_SALT_SIZE);
	/* With these parameters it can fail for one reason only. */
	if (crypto_pwhash_scryptsalsa208sha256_ll(
		    (const uint8_t *)passphrase, strlen(passphrase), labelled,
		    sizeof(labelled), UINT64_C(1) << log_n, 8, 1, key, 32) != 0)
		return AGE_NO_MEMORY;
	return 0;
}

int age_scrypt_wrap(const uint8_t file_key[AGE_FILE_KEY_SIZE],
                    const char *passphrase, unsigned log_n, struct buf *out)
{
	uint8_t salt[AGE_SALT_SIZE], key[32], body[AGE_BODY_SIZE];
	char line[64], text[AGE_BASE64_LEN(AGE_SALT_SIZE) + 1];
	int rc;

	if (!passphrase[0] || log_n < 1 || log_n > AGE_SCRYPT_LOG_N_MAX)
		return -EINVAL;
	randombytes_buf(salt, sizeof(salt));
	rc = scrypt_key(passphrase, salt, log_n, key);
	if (rc < 0)
		return rc;
	wrap(key, file_key, body);
	sodium_memzero(key, sizeof(key));

	age_base64_encode(salt, sizeof(salt), text);
	snprintf(line, sizeof(line), "scrypt %s %u", text, log_n);
	age_stanza_add(out, line, body, sizeof(body));
	return out->failed ? -ENOMEM : 0;
}

int age_scrypt_unwrap(const struct age_stanza *s, const char *passphrase,
                      uint8_t out_file_key[AGE_FILE_KEY_SIZE])
{
	uint8_t salt[AGE_SALT_SIZE], key[32];
	unsigned log_n;
	bool ok;
	int rc;

	if (!decode_word(s, 1, salt, sizeof(salt)) || !parse_log_n(s, &log_n))
		return AGE_BAD_HEADER;
	if (log_n > AGE_SCRYPT_LOG_N_MAX)
		return AGE_WORK_TOO_HIGH;
	rc = scrypt_key(passphrase, salt, log_n, key);
	if (rc < 0)
		return rc;
	ok = unwrap(key, s->body, out_file_key);
	sodium_memzero(key, sizeof(key));
	return ok ? 0 : AGE_BAD_PASSPHRASE;
}
