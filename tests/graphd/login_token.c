#include "tests/graphd/login_internal.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#define ENCODING    sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define TAG_BYTES   16
#define BLOB_BYTES  (sizeof(struct login_token) + TAG_BYTES)
#define TOKEN_CHARS (sodium_base64_ENCODED_LEN(BLOB_BYTES, ENCODING) - 1)

_Static_assert(sizeof(struct login_token) == 40, "no padding to checksum");

/* No secret: graphd guards nothing. A fixed key lets a restarted graphd know
 * the tokens of the one before. */
static const unsigned char token_key[32] = "graphd: made-up tokens for test";

/* ---- scopes -------------------------------------------------------------- */

static const struct {
	const char *name;
	unsigned bit;
} scope_names[] = {
	{ "Files.Read", SCOPE_FILES_READ },
	{ "Files.Read.All", SCOPE_FILES_READ_ALL },
	{ "Files.ReadWrite", SCOPE_FILES_READWRITE },
	{ "Files.ReadWrite.All", SCOPE_FILES_READWRITE_ALL },
	{ "Files.ReadWrite.AppFolder", SCOPE_APP_FOLDER },
	{ "User.Read", SCOPE_USER_READ },
	{ "Sites.Read.All", SCOPE_SITES_READ_ALL },
	{ "Sites.ReadWrite.All", SCOPE_SITES_READWRITE_ALL },
	{ "profile", SCOPE_PROFILE },
	{ "openid", SCOPE_OPENID },
	{ "email", SCOPE_EMAIL },
	{ "offline_access", SCOPE_OFFLINE },
	{ ".default", SCOPE_FILES_READWRITE },
};

/* Full names carry the Graph host of their cloud (facts 1.1). */
static const char *const scope_prefixes[] = {
	"https://graph.microsoft.com/",
	"https://graph.microsoft.us/",
	"https://dod-graph.microsoft.us/",
	"https://microsoftgraph.chinacloudapi.cn/",
};

static unsigned scope_bit(const char *word, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(scope_prefixes); i++) {
		size_t n = strlen(scope_prefixes[i]);

		if (len > n && strncasecmp(word, scope_prefixes[i], n) == 0) {
			word += n;
			len -= n;
			break;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(scope_names); i++)
		if (strlen(scope_names[i].name) == len &&
		    strncasecmp(word, scope_names[i].name, len) == 0)
			return scope_names[i].bit;
	return 0;
}

int login_scope_parse(const char *text, unsigned *out_scopes)
{
	unsigned scopes = 0, bit;

	for (;;) {
		size_t len;

		text += strspn(text, " ");
		len = strcspn(text, " ");
		if (len == 0)
			break;
		bit = scope_bit(text, len);
		if (!bit)
			return 70011;
		scopes |= bit;
		text += len;
	}
	if (!scopes)
		return 28002;
	*out_scopes = scopes;
	return 0;
}

int login_scope_format(unsigned scopes, struct buf *out)
{
	const char *sep = "";

	scopes |= SCOPE_ALWAYS;
	for (size_t i = 0; i < ARRAY_LEN(scope_names); i++) {
		unsigned bit = scope_names[i].bit;

		if (!(scopes & bit) || bit == SCOPE_OFFLINE)
			continue;
		buf_addf(out, "%s%s", sep, scope_names[i].name);
		scopes &= ~bit; /* ".default" has another's bit */
		sep = " ";
	}
	return out->failed ? -ENOMEM : 0;
}

/* ---- tokens -------------------------------------------------------------- */

static void checksum(const void *data, size_t len, unsigned char out[TAG_BYTES])
{
	crypto_generichash(out, TAG_BYTES, data, len, token_key,
	                   sizeof(token_key));
}

uint64_t login_client_hash(const char *client_id)
{
	unsigned char sum[TAG_BYTES];
	uint64_t h;

	checksum(client_id, strlen(client_id), sum);
	memcpy(&h, sum, sizeof(h));
	return h ? h : 1;
}

/* As tokens look in the wild; the signs in a personal refresh token break
 * clients that don't encode their forms. */
static const char *token_prefix(const struct login_token *t)
{
	if (t->kind == LOGIN_ACCESS)
		return t->personal ? "EwB4A8l6" : "eyJ0eXAiOiJub25jZSJ9.";
	return t->personal ? "M.C512_BL2.0.U.-!*$" : "1.AXkA";
}

int login_token_seal(const struct login_token *t, struct buf *out)
{
	unsigned char blob[BLOB_BYTES];
	char text[TOKEN_CHARS + 1];
	int rc;

	memcpy(blob, t, sizeof(*t));
	checksum(t, sizeof(*t), blob + sizeof(*t));
	sodium_bin2base64(text, sizeof(text), blob, sizeof(blob), ENCODING);
	rc = buf_add_str(out, token_prefix(t));
	return rc < 0 ? rc : buf_add_str(out, text);
}

bool login_token_open(const char *text, enum login_token_kind kind,
                      struct login_token *out_t)
{
	unsigned char blob[BLOB_BYTES], tag[TAG_BYTES];
	size_t len = strlen(text), got;
	struct login_token t;

	if (len < TOKEN_CHARS ||
	    sodium_base642bin(blob, sizeof(blob), text + len - TOKEN_CHARS,
	                      TOKEN_CHARS, NULL, &got, NULL, ENCODING) != 0 ||
	    got != sizeof(blob))
		return false;
	memcpy(&t, blob, sizeof(t));
	checksum(&t, sizeof(t), tag);
	if (sodium_memcmp(tag, blob + sizeof(t), TAG_BYTES) != 0 ||
	    t.kind != kind)
		return false;
	*out_t = t;
	return true;
}
