#include "tests/graphd/login_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
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

/* ---- issuing ------------------------------------------------------------- */

#define REFRESH_LIFE_MS (INT64_C(90) * 24 * 3600 * 1000)

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int login_mint_locked(struct login *l, const struct login_token *like,
                      enum login_token_kind kind, int64_t now_ms,
                      struct buf *out)
{
	struct login_token t = *like;
	bool access = kind == LOGIN_ACCESS;

	randombytes_buf(&t.serial, sizeof(t.serial));
	t.kind = (uint8_t)kind;
	/* A token issued in the very millisecond of a revocation is new. */
	t.issued_ms = later(
		now_ms, 1 + (access ? l->access_dead_ms : l->refresh_dead_ms));
	t.expires_ms = now_ms +
	               (access ? l->set.token_life_s * 1000 : REFRESH_LIFE_MS);
	return login_token_seal(&t, out);
}

static void add_number(const struct login *l, cJSON *obj, const char *name,
                       int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, value);
	if (l->set.string_numbers)
		cJSON_AddStringToObject(obj, name, text);
	else
		cJSON_AddNumberToObject(obj, name, (double)value);
}

void login_grant_locked(struct login *l, const struct login_token *old,
                        bool refresh, int64_t now_ms, struct login_reply *reply)
{
	struct buf access = BUF_INIT, next = BUF_INIT, scope = BUF_INIT;
	cJSON *obj = cJSON_CreateObject();
	int rc;

	rc = login_scope_format(old->scopes, &scope);
	if (rc == 0)
		rc = login_mint_locked(l, old, LOGIN_ACCESS, now_ms, &access);
	if (rc == 0 && refresh)
		rc = login_mint_locked(l, old, LOGIN_REFRESH, now_ms, &next);
	if (rc < 0) {
		cJSON_Delete(obj);
		obj = NULL;
		goto out;
	}
	cJSON_AddStringToObject(obj, "token_type", "Bearer");
	cJSON_AddStringToObject(obj, "scope", scope.data);
	add_number(l, obj, "expires_in", l->set.token_life_s);
	add_number(l, obj, "ext_expires_in", l->set.token_life_s);
	cJSON_AddStringToObject(obj, "access_token", access.data);
	if (refresh)
		cJSON_AddStringToObject(obj, "refresh_token", next.data);
	if (old->scopes & SCOPE_OPENID)
		cJSON_AddStringToObject(obj, "id_token",
		                        "eyJ0eXAiOiJKV1QifQ.e30.c2ln");
out:
	login_reply_json(reply, 200, obj);
	buf_done(&access);
	buf_done(&next);
	buf_done(&scope);
}

/* ---- refreshing ---------------------------------------------------------- */

static bool already_used(const struct login *l, uint64_t serial)
{
	for (size_t i = 0; i < l->nused; i++)
		if (l->used[i] == serial)
			return true;
	return false;
}

static void remember_used(struct login *l, uint64_t serial)
{
	uint64_t *grown;

	grown = realloc(l->used, (l->nused + 1) * sizeof(*grown));
	if (!grown)
		return;
	l->used = grown;
	l->used[l->nused++] = serial;
}

/* 0, or why this token gets nothing now. */
static int refusal_of(const struct login *l, const struct login_call *call,
                      const struct login_token *t)
{
	if (l->set.refuse_refresh)
		return (int)l->set.refuse_refresh;
	if (t->account >= l->naccounts ||
	    (t->client && (!call->client_id ||
	                   t->client != login_client_hash(call->client_id))))
		return 70000;
	if (t->issued_ms <= l->refresh_dead_ms)
		return 50173;
	if (t->expires_ms <= call->req->now_ms)
		return 700082;
	if (l->set.common_trap && t->personal && t->via == LOGIN_VIA_COMMON)
		return 70000;
	if (l->set.strict_rotation && already_used(l, t->serial))
		return 70000;
	if (!login_admits_locked(l, t->account, call->via, call->tenant))
		return 50020;
	return 0;
}

/* Narrows t's scopes to those asked for, if any were. */
static int narrow_scopes(struct login_token *t, const char *asked)
{
	unsigned scopes;
	int code;

	if (!asked)
		return 0;
	code = login_scope_parse(asked, &scopes);
	if (code)
		return code;
	if (scopes & ~(t->scopes | SCOPE_ALWAYS))
		return 65001;
	t->scopes = scopes;
	return 0;
}

void login_refresh_locked(struct login *l, const struct login_call *call,
                          struct login_reply *reply)
{
	const struct login_request *req = call->req;
	char *text = login_form_get(req->form, req->form_len, "refresh_token");
	char *asked = login_form_get(req->form, req->form_len, "scope");
	struct login_token t;
	bool next;
	int code;

	l->count.refreshes++;
	if (!text)
		code = 900144;
	else if (!login_token_open(text, LOGIN_REFRESH, &t))
		code = 70000;
	else
		code = refusal_of(l, call, &t);
	if (code == 0)
		code = narrow_scopes(&t, asked);
	if (code == 0) {
		remember_used(l, t.serial);
		next = (t.scopes & SCOPE_OFFLINE) && !l->set.omit_refresh;
		login_grant_locked(l, &t, next, req->now_ms, reply);
	} else {
		l->count.refreshes_refused++;
		login_error_code(code, NULL, reply);
	}
	free(text);
	free(asked);
}
