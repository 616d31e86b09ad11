#include "tests/graphd/login_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "net/clock.h"

#define ENCODING sodium_base64_VARIANT_URLSAFE_NO_PADDING

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

void login_add_number(const struct login *l, cJSON *obj, const char *name,
                      int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, value);
	if (l->set.string_numbers)
		cJSON_AddStringToObject(obj, name, text);
	else
		cJSON_AddNumberToObject(obj, name, (double)value);
}

/* ---- who signed in ------------------------------------------------------- */

/* A GUID that is always the same for an account; personal ones begin with
 * zeros (facts/graph.md 1.10). */
static void account_uid(const struct login *l, unsigned account, char out[37])
{
	uint64_t h = login_client_hash(l->accounts[account].name);
	uint32_t head = login_is_personal(l, account) ? 0 : (uint32_t)~h;

	snprintf(out, 37, "%08" PRIx32 "-0000-0000-%04x-%012" PRIx64, head,
	         (unsigned)(h >> 48), h & 0xFFFFFFFFFFFF);
}

/* Prints and deletes `obj`, adds it base64url. */
static void add_encoded(struct buf *b, cJSON *obj)
{
	char *text = cJSON_PrintUnformatted(obj);
	size_t len = text ? strlen(text) : 0;
	size_t size = sodium_base64_ENCODED_LEN(len, ENCODING);

	cJSON_Delete(obj);
	if (text && buf_reserve(b, size) == 0) {
		sodium_bin2base64(b->data + b->len, size,
		                  (const unsigned char *)text, len, ENCODING);
		b->len += size - 1;
	}
	cJSON_free(text);
}

static void add_id_token(const struct login *l, const struct login_call *call,
                         unsigned account, cJSON *out)
{
	int64_t now_s = clock_real_ns() / NS_PER_SEC;
	const struct login_user *user = &l->accounts[account];
	cJSON *head = cJSON_CreateObject(), *body = cJSON_CreateObject();
	struct buf b = BUF_INIT, iss = BUF_INIT;
	char uid[37];

	account_uid(l, account, uid);
	buf_addf(&iss, "https://login.microsoftonline.com/%s/v2.0",
	         user->tenant);
	cJSON_AddStringToObject(head, "typ", "JWT");
	cJSON_AddStringToObject(head, "alg", "none");
	cJSON_AddStringToObject(body, "ver", "2.0");
	cJSON_AddStringToObject(body, "iss", iss.data);
	cJSON_AddStringToObject(body, "aud", call->client_id);
	cJSON_AddStringToObject(body, "sub", uid);
	cJSON_AddStringToObject(body, "oid", uid);
	cJSON_AddStringToObject(body, "tid", user->tenant);
	cJSON_AddStringToObject(body, "preferred_username", user->name);
	cJSON_AddNumberToObject(body, "iat", (double)now_s);
	cJSON_AddNumberToObject(body, "nbf", (double)now_s);
	cJSON_AddNumberToObject(body, "exp", (double)(now_s + 3600));
	add_encoded(&b, head);
	buf_add_char(&b, '.');
	add_encoded(&b, body);
	buf_add_str(&b, ".c2ln");
	cJSON_AddStringToObject(out, "id_token", b.data);
	buf_done(&b);
	buf_done(&iss);
}

/* Only for those who ask by client_info=1. */
static void add_client_info(const struct login *l,
                            const struct login_call *call, unsigned account,
                            cJSON *out)
{
	const struct login_request *req = call->req;
	char *asked = login_form_get(req->form, req->form_len, "client_info");
	cJSON *info;
	struct buf b = BUF_INIT;
	char uid[37];

	if (asked && strcmp(asked, "1") == 0) {
		account_uid(l, account, uid);
		info = cJSON_CreateObject();
		cJSON_AddStringToObject(info, "uid", uid);
		cJSON_AddStringToObject(info, "utid",
		                        l->accounts[account].tenant);
		add_encoded(&b, info);
		cJSON_AddStringToObject(out, "client_info", b.data);
		buf_done(&b);
	}
	free(asked);
}

/* ---- success ------------------------------------------------------------- */

void login_grant_locked(struct login *l, const struct login_call *call,
                        const struct login_token *old, bool refresh,
                        struct login_reply *reply)
{
	struct buf access = BUF_INIT, next = BUF_INIT, scope = BUF_INIT;
	int64_t now_ms = call->req->now_ms;
	cJSON *obj = NULL;
	int rc;

	rc = login_scope_format(old->scopes, &scope);
	if (rc == 0)
		rc = login_mint_locked(l, old, LOGIN_ACCESS, now_ms, &access);
	if (rc == 0 && refresh)
		rc = login_mint_locked(l, old, LOGIN_REFRESH, now_ms, &next);
	if (rc < 0)
		goto out;
	obj = cJSON_CreateObject();
	cJSON_AddStringToObject(obj, "token_type", "Bearer");
	cJSON_AddStringToObject(obj, "scope", scope.data);
	login_add_number(l, obj, "expires_in", l->set.token_life_s);
	login_add_number(l, obj, "ext_expires_in", l->set.token_life_s);
	cJSON_AddStringToObject(obj, "access_token", access.data);
	if (refresh)
		cJSON_AddStringToObject(obj, "refresh_token", next.data);
	if (old->scopes & SCOPE_OPENID)
		add_id_token(l, call, old->account, obj);
	add_client_info(l, call, old->account, obj);
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
		login_grant_locked(l, call, &t, next, reply);
	} else {
		l->count.refreshes_refused++;
		login_error_code(code, NULL, reply);
	}
	free(text);
	free(asked);
}
