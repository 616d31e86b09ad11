#include "tests/graphd/login_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define SLOW_DOWN_ADDS_MS 5000 /* RFC 8628, 3.5 */
#define EARLY_MS          100  /* a poll may be that early: clocks differ */
#define KEPT_MS           (INT64_C(3600) * 1000) /* after expiry */

void login_devices_free(struct login_device *d)
{
	struct login_device *next;

	for (; d; d = next) {
		next = d->next;
		free(d);
	}
}

/* ---- a new code ---------------------------------------------------------- */

/* Letters and digits that aren't mistaken for one another. */
static void random_user_code(char out[10])
{
	static const char alphabet[] = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

	for (int i = 0; i < 9; i++)
		out[i] = alphabet[randombytes_uniform(sizeof(alphabet) - 1)];
	out[9] = '\0';
}

static void drop_old(struct login *l, int64_t now_ms)
{
	struct login_device **at = &l->devices, *old;

	while ((old = *at)) {
		if (old->expires_ms + KEPT_MS > now_ms) {
			at = &old->next;
			continue;
		}
		*at = old->next;
		free(old);
	}
}

static struct login_device *
make_device(struct login *l, const struct login_call *call, unsigned scopes)
{
	struct login_device *d = calloc(1, sizeof(*d));
	unsigned char random[24];
	int64_t now_ms = call->req->now_ms;

	if (!d)
		return NULL;
	drop_old(l, now_ms);
	randombytes_buf(random, sizeof(random));
	memcpy(d->code, "KAQABAAEAAAD-", 13);
	sodium_bin2hex(d->code + 13, sizeof(d->code) - 13, random,
	               sizeof(random));
	random_user_code(d->user_code);
	d->via = call->via;
	memcpy(d->tenant, call->tenant, sizeof(d->tenant));
	d->client = login_client_hash(call->client_id);
	d->scopes = scopes;
	d->interval_ms = l->set.interval_s * 1000;
	d->expires_ms = now_ms + l->set.code_life_s * 1000;
	d->next = l->devices;
	l->devices = d;
	l->count.device_codes++;
	return d;
}

static char *verification_uri(const struct login *l,
                              const struct login_request *req)
{
	struct buf b = BUF_INIT;

	if (l->verification_uri)
		return strdup(l->verification_uri);
	buf_addf(&b, "%s://%s/devicelogin", req->https ? "https" : "http",
	         req->host ? req->host : "localhost");
	return buf_steal(&b);
}

/* ?mkt=de-DE, that is. */
static char *device_message(const struct login_request *req, const char *uri,
                            const char *code)
{
	const char *query = req->query ? req->query : "";
	char *mkt = login_form_get(query, strlen(query), "mkt");
	bool german = mkt && strncmp(mkt, "de", 2) == 0;
	struct buf b = BUF_INIT;

	free(mkt);
	if (german)
		buf_addf(&b,
		         "\303\226ffnen Sie zum Anmelden %s in einem Browser "
		         "und geben Sie den Code %s ein.",
		         uri, code);
	else
		buf_addf(&b,
		         "To sign in, open the page %s in a web browser and "
		         "enter the code %s.",
		         uri, code);
	return buf_steal(&b);
}

static void tell_device(struct login *l, const struct login_call *call,
                        const struct login_device *d, struct login_reply *reply)
{
	char *uri = verification_uri(l, call->req);
	char *message =
		uri ? device_message(call->req, uri, d->user_code) : NULL;
	cJSON *obj = message ? cJSON_CreateObject() : NULL;

	if (obj) {
		cJSON_AddStringToObject(obj, "user_code", d->user_code);
		cJSON_AddStringToObject(obj, "device_code", d->code);
		cJSON_AddStringToObject(obj, "verification_uri", uri);
		login_add_number(l, obj, "expires_in", l->set.code_life_s);
		if (!l->set.omit_interval)
			login_add_number(l, obj, "interval", l->set.interval_s);
		cJSON_AddStringToObject(obj, "message", message);
	}
	login_reply_json(reply, 200, obj);
	free(uri);
	free(message);
}

void login_device_new_locked(struct login *l, const struct login_call *call,
                             struct login_reply *reply)
{
	const struct login_request *req = call->req;
	char *scope = login_form_get(req->form, req->form_len, "scope");
	struct login_device *d;
	unsigned scopes = 0;
	int code;

	code = scope ? login_scope_parse(scope, &scopes) : 900144;
	free(scope);
	if (code) {
		login_error_code(code, code == 900144 ? "'scope'" : NULL,
		                 reply);
		return;
	}
	d = make_device(l, call, scopes);
	if (d)
		tell_device(l, call, d, reply);
	else
		reply->body.failed = true;
}

/* ---- deciding ------------------------------------------------------------ */

static bool is_open(const struct login_device *d, int64_t now_ms)
{
	return d->state == LOGIN_OPEN && now_ms < d->expires_ms;
}

/* People type lower case, spaces and hyphens. */
static bool same_code(const char *typed, const char *code)
{
	for (; *typed; typed++) {
		if (*typed == ' ' || *typed == '-')
			continue;
		if (toupper((unsigned char)*typed) != *code)
			return false;
		code++;
	}
	return *code == '\0';
}

struct login_device *
login_device_find_locked(struct login *l, const char *user_code, int64_t now_ms)
{
	struct login_device *d;

	for (d = l->devices; d; d = d->next)
		if (is_open(d, now_ms) && same_code(user_code, d->user_code))
			return d;
	return NULL;
}

/* The named account, or the first one that may: false if there is none. */
static bool choose_account(const struct login *l, const struct login_device *d,
                           const char *name, unsigned *out_account)
{
	for (unsigned i = 0; i < l->naccounts; i++) {
		if (name && name[0] && strcmp(name, l->accounts[i].name) != 0)
			continue;
		if (!login_admits_locked(l, i, d->via, d->tenant))
			continue;
		*out_account = i;
		return true;
	}
	return false;
}

static void decline(struct login *l, struct login_device *d)
{
	d->state = LOGIN_REFUSED;
	d->refusal = l->set.rfc_names ? LOGIN_DENIED : LOGIN_DECLINED;
	l->count.declined++;
}

static bool approve(struct login *l, struct login_device *d,
                    const char *account)
{
	if (!choose_account(l, d, account, &d->account))
		return false;
	d->state = LOGIN_APPROVED;
	l->count.approved++;
	return true;
}

int login_decide_locked(struct login *l, const char *code, bool yes,
                        const char *account, int64_t now_ms)
{
	int decided = 0;

	for (struct login_device *d = l->devices; d; d = d->next) {
		if (!is_open(d, now_ms) ||
		    (code && !same_code(code, d->user_code)))
			continue;
		if (!yes)
			decline(l, d);
		else if (!approve(l, d, account))
			continue;
		decided++;
	}
	return decided ? decided : -ENOENT;
}

/* ---- polling ------------------------------------------------------------- */

static struct login_device *
find_polled(struct login *l, const struct login_call *call, const char *code)
{
	struct login_device *d;

	for (d = l->devices; d; d = d->next)
		if (strcmp(d->code, code) == 0)
			break;
	if (!d || d->client != login_client_hash(call->client_id) ||
	    d->via != call->via || strcmp(d->tenant, call->tenant) != 0)
		return NULL;
	return d;
}

static bool too_fast(struct login *l, struct login_device *d, int64_t now_ms)
{
	bool early = d->polled && d->interval_ms > 0 &&
	             now_ms - d->last_poll_ms < d->interval_ms - EARLY_MS;

	d->polled = true;
	d->last_poll_ms = now_ms;
	if (!early)
		return false;
	d->interval_ms += SLOW_DOWN_ADDS_MS;
	l->count.polls_too_fast++;
	return true;
}

/* What the mode says, once enough polls have been. */
static void decide_by_mode(struct login *l, struct login_device *d)
{
	if (d->polls < l->set.after_polls)
		return;
	switch (l->set.mode) {
	case LOGIN_MODE_ASK:
		break;
	case LOGIN_MODE_APPROVE:
		approve(l, d, l->set.account);
		break;
	case LOGIN_MODE_DECLINE:
		decline(l, d);
		break;
	case LOGIN_MODE_EXPIRE:
		d->state = LOGIN_REFUSED;
		d->refusal = 70019;
		break;
	case LOGIN_MODE_REFUSE:
		d->state = LOGIN_REFUSED;
		d->refusal = (int)l->set.refuse_code;
		break;
	}
}

static void redeem(struct login *l, const struct login_call *call,
                   struct login_device *d, struct login_reply *reply)
{
	struct login_token like = {
		.client = d->client,
		.scopes = d->scopes,
		.account = (uint8_t)d->account,
		.via = (uint8_t)d->via,
		.personal = login_is_personal(l, d->account),
	};

	d->state = LOGIN_REDEEMED;
	login_grant_locked(l, call, &like, d->scopes & SCOPE_OFFLINE, reply);
}

/* 0: redeemed, reply is filled. */
static int poll_device(struct login *l, const struct login_call *call,
                       struct login_device *d, struct login_reply *reply)
{
	int64_t now_ms = call->req->now_ms;

	if (d->state == LOGIN_OPEN && now_ms >= d->expires_ms)
		return 70019;
	if (d->state == LOGIN_OPEN && too_fast(l, d, now_ms))
		return LOGIN_SLOW_DOWN;
	d->polls++;
	if (d->state == LOGIN_OPEN)
		decide_by_mode(l, d);
	switch (d->state) {
	case LOGIN_OPEN:
		return 70016;
	case LOGIN_REFUSED:
		return d->refusal;
	case LOGIN_REDEEMED:
		return 54005;
	case LOGIN_APPROVED:
		redeem(l, call, d, reply);
		return 0;
	}
	return 90120;
}

void login_device_poll_locked(struct login *l, const struct login_call *call,
                              struct login_reply *reply)
{
	const struct login_request *req = call->req;
	char *code = login_form_get(req->form, req->form_len, "device_code");
	struct login_device *d;
	int rc;

	l->count.polls++;
	d = code ? find_polled(l, call, code) : NULL;
	if (!code)
		rc = 900144;
	else if (!d)
		rc = 70018;
	else
		rc = poll_device(l, call, d, reply);
	if (rc)
		login_error_code(rc, code ? NULL : "'device_code'", reply);
	free(code);
}
