#include "auth/age_key.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "auth/bech32.h"

#define HRP_RECIPIENT "age"
#define HRP_IDENTITY  "age-secret-key-" /* its text is in upper case */

static_assert(BECH32_LEN(sizeof(HRP_RECIPIENT) - 1, AGE_KEY_SIZE) + 1 ==
                      AGE_RECIPIENT_TEXT,
              "text of a recipient");
static_assert(BECH32_LEN(sizeof(HRP_IDENTITY) - 1, AGE_KEY_SIZE) + 1 ==
                      AGE_IDENTITY_TEXT,
              "text of an identity");

/* Without a secret: to be filled. */
static struct age_identity *alloc_identity(void)
{
	return sodium_malloc(sizeof(struct age_identity));
}

/* Multiplying the base point by a clamped scalar can't fail. */
static void derive_recipient(struct age_identity *id)
{
	int rc = crypto_scalarmult_curve25519_base(id->recipient.point,
	                                           id->secret);

	assert(rc == 0);
	(void)rc;
}

int age_identity_new(struct age_identity **out_id)
{
	struct age_identity *id = alloc_identity();

	if (!id)
		return -ENOMEM;
	randombytes_buf(id->secret, sizeof(id->secret));
	derive_recipient(id);
	*out_id = id;
	return 0;
}

int age_identity_from_secret(const uint8_t secret[AGE_KEY_SIZE],
                             struct age_identity **out_id)
{
	struct age_identity *id = alloc_identity();

	if (!id)
		return -ENOMEM;
	memcpy(id->secret, secret, sizeof(id->secret));
	derive_recipient(id);
	*out_id = id;
	return 0;
}

void age_identity_free(struct age_identity *id)
{
	sodium_free(id);
}

/* ---- text ---------------------------------------------------------------- */

/* `hrp` in the case the text must have. */
static int parse_key(const char *text, size_t len, const char *hrp,
                     uint8_t key[AGE_KEY_SIZE])
{
	char got[32];
	size_t n;

	if (bech32_decode(text, len, got, sizeof(got), key, AGE_KEY_SIZE, &n) <
	            0 ||
	    n != AGE_KEY_SIZE || strcmp(got, hrp) != 0)
		return AGE_BAD_KEY;
	return 0;
}

static bool has_prefix(const char *text, size_t len, const char *prefix)
{
	size_t n = strlen(prefix);

	return len >= n && memcmp(text, prefix, n) == 0;
}

/* Kinds of keys age knows and we don't, facts/age.md 12. */
static bool is_foreign(const char *text, size_t len)
{
	static const char *const prefixes[] = {
		"age1pq1",
		"age1tag1",
		"age1tagpq1",
		"ssh-",
		"AGE-SECRET-KEY-PQ-1",
		"AGE-PLUGIN-",
		"-----BEGIN OPENSSH",
	};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (has_prefix(text, len, prefixes[i]))
			return true;
	}
	/* A plug-in's recipient is age1NAME1...; in one of ours a "1" is an "l"
	 * mistyped. */
	return len != AGE_RECIPIENT_TEXT - 1 && has_prefix(text, len, "age1") &&
	       memchr(text + 4, '1', len - 4) != NULL;
}

int age_identity_parse(const char *text, size_t len,
                       struct age_identity **out_id)
{
	struct age_identity *id;
	int rc;

	if (is_foreign(text, len))
		return AGE_FOREIGN_KEY;
	id = alloc_identity();
	if (!id)
		return -ENOMEM;
	rc = parse_key(text, len, "AGE-SECRET-KEY-", id->secret);
	if (rc < 0) {
		age_identity_free(id);
		return rc;
	}
	derive_recipient(id);
	*out_id = id;
	return 0;
}

void age_identity_format(const struct age_identity *id,
                         char out[AGE_IDENTITY_TEXT])
{
	bech32_encode(HRP_IDENTITY, id->secret, sizeof(id->secret), out);
	for (char *p = out; *p; p++) {
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p & ~0x20);
	}
}

int age_recipient_parse(const char *text, size_t len, struct age_recipient *out)
{
	uint8_t point[AGE_KEY_SIZE];
	int rc;

	if (is_foreign(text, len))
		return AGE_FOREIGN_KEY;
	rc = parse_key(text, len, HRP_RECIPIENT, point);
	if (rc == 0)
		memcpy(out->point, point, sizeof(point));
	/* Somebody may have typed an identity here. */
	sodium_memzero(point, sizeof(point));
	return rc;
}

void age_recipient_format(const struct age_recipient *r,
                          char out[AGE_RECIPIENT_TEXT])
{
	bech32_encode(HRP_RECIPIENT, r->point, sizeof(r->point), out);
}

void age_recipient_throwaway(struct age_recipient *out)
{
	uint8_t secret[AGE_KEY_SIZE];
	int rc;

	randombytes_buf(secret, sizeof(secret));
	rc = crypto_scalarmult_curve25519_base(out->point, secret);
	assert(rc == 0);
	(void)rc;
	sodium_memzero(secret, sizeof(secret));
}

/* ---- several identities -------------------------------------------------- */

void age_identities_done(struct age_identities *l)
{
	for (size_t i = 0; i < l->count; i++)
		age_identity_free(l->ids[i]);
	free(l->ids);
	*l = (struct age_identities){ 0 };
}

int age_identities_add(struct age_identities *l, struct age_identity *id)
{
	struct age_identity **ids;

	ids = realloc(l->ids, (l->count + 1) * sizeof(struct age_identity *));
	if (!ids) {
		age_identity_free(id);
		return -ENOMEM;
	}
	l->ids = ids;
	l->ids[l->count++] = id;
	return 0;
}

static int add_line(struct age_identities *l, const char *line, size_t len)
{
	struct age_identity *id;
	int rc;

	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (len == 0 || line[0] == '#')
		return 0;
	rc = age_identity_parse(line, len, &id);
	return rc < 0 ? rc : age_identities_add(l, id);
}

int age_identities_parse(const char *text, size_t len,
                         struct age_identities *out, unsigned *out_line)
{
	struct age_identities l = { 0 };
	const char *p = text, *end = text + len;
	unsigned line = 0;
	int rc = 0;

	while (rc == 0 && p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		const char *stop = lf ? lf : end;

		line++;
		rc = add_line(&l, p, (size_t)(stop - p));
		p = lf ? lf + 1 : end;
	}
	if (rc == 0 && l.count == 0) {
		rc = AGE_BAD_KEY;
		line = 0;
	}
	if (rc < 0) {
		age_identities_done(&l);
		if (out_line)
			*out_line = line;
		return rc;
	}
	*out = l;
	return 0;
}
