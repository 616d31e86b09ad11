#include "auth/pin.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "auth/bech32.h"
#include "auth/keystore.h"
#include "net/json.h"

#define CONTEXT     "nmbackupfs/v1/pin"
#define CODE_PREFIX "vault"
#define CODE_BYTES  (BIND_VAULT_SIZE + PIN_SIZE)
#define VERSION     1
#define BLOB_MAX    1024

static_assert(BECH32_LEN(sizeof(CODE_PREFIX) - 1, CODE_BYTES) + 1 ==
                      PIN_CODE_SIZE,
              "length of a code");

/* ---- checking ------------------------------------------------------------ */

static void make_pin(const uint8_t vault_id[BIND_VAULT_SIZE],
                     const uint8_t auth_key[BIND_AUTH_SIZE],
                     uint8_t out[PIN_SIZE])
{
	crypto_generichash_state st;

	crypto_generichash_init(&st, NULL, 0, PIN_SIZE);
	crypto_generichash_update(&st, (const uint8_t *)CONTEXT,
	                          sizeof(CONTEXT) - 1);
	crypto_generichash_update(&st, vault_id, BIND_VAULT_SIZE);
	crypto_generichash_update(&st, auth_key, BIND_AUTH_SIZE);
	crypto_generichash_final(&st, out, PIN_SIZE);
	sodium_memzero(&st, sizeof(st));
}

static bool fits(const struct pin *p, const uint8_t auth_key[BIND_AUTH_SIZE])
{
	uint8_t pin[PIN_SIZE];

	make_pin(p->vault_id, auth_key, pin);
	return sodium_memcmp(pin, p->pin, PIN_SIZE) == 0;
}

static enum pin_verdict judge(const struct pin *p, const struct descriptor *d)
{
	bool same_key = fits(p, d->auth_key);

	if (memcmp(p->vault_id, d->vault_id, BIND_VAULT_SIZE) != 0)
		return PIN_OTHER_VAULT;
	if (!same_key && !(d->has_previous && fits(p, d->previous)))
		return PIN_FORGED;
	if (d->generation < p->generation)
		return PIN_ROLLED_BACK;
	if (d->generation > p->generation)
		return same_key ? PIN_NEWER : PIN_MOVED;
	return memcmp(p->hash, d->hash, sizeof(p->hash)) ? PIN_DIFFERS
	                                                 : PIN_SAME;
}

enum pin_verdict pin_check(const struct pin *p, const struct descriptor *d,
                           struct pin *out_next)
{
	enum pin_verdict v = judge(p, d);

	if (out_next && pin_verdict_rc(v) == 0)
		pin_of(d, out_next);
	else if (out_next)
		*out_next = *p;
	return v;
}

void pin_of(const struct descriptor *d, struct pin *out)
{
	struct pin p = { .generation = d->generation };

	memcpy(p.vault_id, d->vault_id, sizeof(p.vault_id));
	make_pin(d->vault_id, d->auth_key, p.pin);
	memcpy(p.hash, d->hash, sizeof(p.hash));
	*out = p;
}

int pin_verdict_rc(enum pin_verdict v)
{
	switch (v) {
	case PIN_SAME:
	case PIN_NEWER:
	case PIN_MOVED:
		return 0;
	case PIN_OTHER_VAULT:
		return -EXDEV;
	case PIN_FORGED:
		return -EKEYREJECTED;
	case PIN_ROLLED_BACK:
		return -ESTALE;
	case PIN_DIFFERS:
		return -EUCLEAN;
	}
	return -EKEYREJECTED;
}

const char *pin_verdict_text(enum pin_verdict v)
{
	switch (v) {
	case PIN_SAME:
	case PIN_NEWER:
	case PIN_MOVED:
		return "";
	case PIN_OTHER_VAULT:
		return "another vault lies there than the one this device "
		       "belongs to; nothing was changed";
	case PIN_FORGED:
		return "vault.age was not written by a member that this device "
		       "knows: forged, or the vault's keys were changed more "
		       "than once while this device was away; if so, get a new "
		       "enrolment code from a member";
	case PIN_ROLLED_BACK:
		return "vault.age is older than what this device has seen "
		       "before: somebody put back an old one";
	case PIN_DIFFERS:
		return "vault.age is not the one this device has seen, under "
		       "the same number: two devices changed it at once, or it "
		       "is forged";
	}
	return "";
}

/* ---- enrolment code ------------------------------------------------------ */

void pin_format_code(const struct pin *p, char out[PIN_CODE_SIZE])
{
	uint8_t bytes[CODE_BYTES];

	memcpy(bytes, p->vault_id, BIND_VAULT_SIZE);
	memcpy(bytes + BIND_VAULT_SIZE, p->pin, PIN_SIZE);
	bech32_encode(CODE_PREFIX, bytes, sizeof(bytes), out);
}

/* In lower case, without what people put in to read it better. */
static bool tidy(const char *text, char out[PIN_CODE_SIZE])
{
	size_t n = 0;

	for (; *text; text++) {
		if (strchr(" \t\r\n-", *text))
			continue;
		if (n == PIN_CODE_SIZE - 1)
			return false;
		out[n++] = *text >= 'A' && *text <= 'Z'
		                   ? (char)(*text - 'A' + 'a')
		                   : *text;
	}
	out[n] = '\0';
	return n == PIN_CODE_SIZE - 1;
}

int pin_parse_code(const char *text, struct pin *out)
{
	char code[PIN_CODE_SIZE], prefix[sizeof(CODE_PREFIX)];
	uint8_t bytes[CODE_BYTES];
	size_t len;

	if (!tidy(text, code) ||
	    bech32_decode(code, strlen(code), prefix, sizeof(prefix), bytes,
	                  sizeof(bytes), &len) < 0 ||
	    strcmp(prefix, CODE_PREFIX) != 0 || len != sizeof(bytes))
		return -EINVAL;
	*out = (struct pin){ 0 };
	memcpy(out->vault_id, bytes, BIND_VAULT_SIZE);
	memcpy(out->pin, bytes + BIND_VAULT_SIZE, PIN_SIZE);
	return 0;
}

/* ---- at rest ------------------------------------------------------------- */

static bool take_hex(const cJSON *json, const char *name, uint8_t *out,
                     size_t size)
{
	const char *s = json_str(json, name);
	size_t n;

	return s && strlen(s) == 2 * size &&
	       sodium_hex2bin(out, size, s, 2 * size, NULL, &n, NULL) == 0 &&
	       n == size;
}

static int parse_blob(const void *text, size_t len, struct pin *out)
{
	cJSON *json = json_parse(text, len);
	int64_t version = json_i64(json, "v", 0);
	int64_t generation = json_i64(json, "generation", -1);
	struct pin p = { 0 };
	int rc = 0;

	if (version > VERSION)
		rc = -ENOTSUP;
	else if (version != VERSION || generation < 0 ||
	         !take_hex(json, "vault_id", p.vault_id, sizeof(p.vault_id)) ||
	         !take_hex(json, "pin", p.pin, sizeof(p.pin)) ||
	         !take_hex(json, "hash", p.hash, sizeof(p.hash)))
		rc = -EBADMSG;
	cJSON_Delete(json);
	if (rc == 0) {
		p.generation = (uint64_t)generation;
		*out = p;
	}
	return rc;
}

int pin_load(struct keystore *k, struct pin *out)
{
	size_t len;
	void *blob;
	int rc = keystore_get(k, PIN_BLOB_NAME, &blob, &len);

	if (rc < 0)
		return rc;
	rc = parse_blob(blob, len, out);
	sodium_free(blob);
	return rc;
}

static bool add_hex(cJSON *json, const char *name, const uint8_t *bytes,
                    size_t len)
{
	char hex[2 * PIN_SIZE + 1];

	sodium_bin2hex(hex, sizeof(hex), bytes, len);
	return cJSON_AddStringToObject(json, name, hex);
}

int pin_save(struct keystore *k, const struct pin *p)
{
	cJSON *json = cJSON_CreateObject();
	char text[BLOB_MAX];
	int rc = -ENOMEM;

	if (json && cJSON_AddNumberToObject(json, "v", VERSION) &&
	    add_hex(json, "vault_id", p->vault_id, sizeof(p->vault_id)) &&
	    add_hex(json, "pin", p->pin, sizeof(p->pin)) &&
	    cJSON_AddNumberToObject(json, "generation",
	                            (double)p->generation) &&
	    add_hex(json, "hash", p->hash, sizeof(p->hash)) &&
	    cJSON_PrintPreallocated(json, text, sizeof(text), false))
		rc = keystore_put(k, PIN_BLOB_NAME, text, strlen(text));
	cJSON_Delete(json);
	return rc;
}
