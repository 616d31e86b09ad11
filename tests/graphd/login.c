#include "tests/graphd/login_internal.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "net/json.h"

#define WORK_TENANT  "6babcaad-604b-40ac-a9d7-9fd97c0b779f"
#define GRANT_DEVICE "urn:ietf:params:oauth:grant-type:device_code"

/* ---- the object ---------------------------------------------------------- */

/* Two of them, from the first or the second on. */
static const struct login_account default_accounts[] = {
	{ "ann@personal.example", LOGIN_MSA_TENANT },
	{ "ann@work.example", WORK_TENANT },
	{ "ann@personal.example", LOGIN_MSA_TENANT },
};

static const struct login_settings default_settings = {
	.mode_name = "ask",
	.audience = "any",
	.after_polls = 1,
	.refuse_code = 53003,
	.code_life_s = 900,
	.interval_s = 5,
	.token_life_s = 3600,
	.public_client = true,
};

static int copy_accounts(struct login *l, const struct login_account *from,
                         size_t n)
{
	l->accounts = calloc(n, sizeof(*l->accounts));
	if (!l->accounts)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct login_user *a = &l->accounts[i];

		l->naccounts++;
		a->name = strdup(from[i].name);
		a->tenant = strdup(from[i].tenant);
		if (!a->name || !a->tenant)
			return -ENOMEM;
	}
	return 0;
}

static int copy_options(struct login *l, const struct login_options *o)
{
	const struct login_account *accounts = o->accounts;
	size_t n = o->naccounts;

	if (n == 0) {
		accounts = default_accounts + (o->work ? 1 : 0);
		n = 2;
	}
	if (n > UINT8_MAX)
		return -EINVAL;
	if (o->client_id && !(l->client_id = strdup(o->client_id)))
		return -ENOMEM;
	if (o->verification_uri &&
	    !(l->verification_uri = strdup(o->verification_uri)))
		return -ENOMEM;
	return copy_accounts(l, accounts, n);
}

static void free_parts(struct login *l)
{
	for (size_t i = 0; i < l->naccounts; i++) {
		free(l->accounts[i].name);
		free(l->accounts[i].tenant);
	}
	free(l->accounts);
	free(l->client_id);
	free(l->verification_uri);
	free(l->used);
	login_devices_free(l->devices);
	free(l);
}

int login_new(const struct login_options *o, struct login **out_l)
{
	struct login *l;
	int rc;

	if (sodium_init() < 0)
		return -EIO;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->set = default_settings;
	l->access_dead_ms = l->refresh_dead_ms = INT64_MIN / 2;
	rc = copy_options(l, o);
	if (rc == 0)
		rc = -pthread_mutex_init(&l->lock, NULL);
	if (rc < 0) {
		free_parts(l);
		return rc;
	}
	*out_l = l;
	return 0;
}

void login_free(struct login *l)
{
	if (!l)
		return;
	pthread_mutex_destroy(&l->lock);
	free_parts(l);
}

/* ---- tenants ------------------------------------------------------------- */

bool login_is_personal(const struct login *l, unsigned account)
{
	return strcasecmp(l->accounts[account].tenant, LOGIN_MSA_TENANT) == 0;
}

static bool tenant_is(const struct login_user *a, const char *tenant)
{
	const char *at = strchr(a->name, '@');

	return strcasecmp(a->tenant, tenant) == 0 ||
	       (at && strcasecmp(at + 1, tenant) == 0);
}

bool login_admits_locked(const struct login *l, unsigned account,
                         enum login_via via, const char *tenant)
{
	bool personal = login_is_personal(l, account);

	switch (via) {
	case LOGIN_VIA_COMMON:
		return true;
	case LOGIN_VIA_ORGANIZATIONS:
		return !personal;
	case LOGIN_VIA_CONSUMERS:
		return personal;
	case LOGIN_VIA_TENANT:
		return !personal && tenant_is(&l->accounts[account], tenant);
	case LOGIN_VIA_NONE:
		break;
	}
	return false;
}

static enum login_via find_tenant(const struct login *l, const char *tenant)
{
	if (strcasecmp(tenant, "common") == 0)
		return LOGIN_VIA_COMMON;
	if (strcasecmp(tenant, "organizations") == 0)
		return LOGIN_VIA_ORGANIZATIONS;
	if (strcasecmp(tenant, "consumers") == 0 ||
	    strcasecmp(tenant, LOGIN_MSA_TENANT) == 0)
		return LOGIN_VIA_CONSUMERS;
	for (unsigned i = 0; i < l->naccounts; i++)
		if (!login_is_personal(l, i) &&
		    tenant_is(&l->accounts[i], tenant))
			return LOGIN_VIA_TENANT;
	return LOGIN_VIA_NONE;
}

/* Does the app's registration allow this segment? 0 or a code (facts 1.2). */
static int audience_refusal(const struct login *l, enum login_via via)
{
	const char *audience = l->set.audience;

	if (strcmp(audience, "any") == 0)
		return 0;
	if (strcmp(audience, "personal") == 0)
		return via == LOGIN_VIA_CONSUMERS ? 0 : 9002331;
	if (via == LOGIN_VIA_CONSUMERS)
		return 9002332;
	if (strcmp(audience, "work") == 0)
		return 0;
	return via == LOGIN_VIA_TENANT ? 0 : 50194;
}

/* ---- requests ------------------------------------------------------------ */

static void handle_token(struct login *l, const struct login_call *call,
                         struct login_reply *reply)
{
	const struct login_request *req = call->req;
	char *grant = login_form_get(req->form, req->form_len, "grant_type");

	if (!grant)
		login_error_code(900144, "'grant_type'", reply);
	else if (strcmp(grant, GRANT_DEVICE) == 0)
		login_device_poll_locked(l, call, reply);
	else if (strcmp(grant, "refresh_token") == 0)
		login_refresh_locked(l, call, reply);
	else
		login_error_code(70003, grant, reply);
	free(grant);
}

/* Refusals of any request on the two endpoints; 0 or a code. */
static int endpoint_refusal(struct login *l, const struct login_call *call,
                            bool token)
{
	if (strcasecmp(call->req->method, "POST") != 0)
		return 900561;
	if (call->via == LOGIN_VIA_NONE)
		return 90002;
	if (!call->client_id)
		return 900144;
	if (l->client_id && strcmp(l->client_id, call->client_id) != 0)
		return 700016;
	if (token && !l->set.public_client)
		return 7000218;
	return audience_refusal(l, call->via);
}

static bool fail_as_told(struct login *l, struct login_reply *reply)
{
	struct login_fail *f = &l->set.fail;
	struct login_error e = { (int)f->code,    400, f->error, NULL,
		                 "Told to fail.", 0 };
	const struct login_error *known;
	char seconds[24];

	if (f->count == 0)
		return false;
	f->count--;
	known = f->code ? login_error_find((int)f->code) : NULL;
	if (known)
		e = *known;
	if (f->error[0])
		e.error = f->error;
	if (f->status)
		e.status = (int)f->status;
	if (f->html) {
		reply->status = e.status;
		reply->content_type = "text/html";
		buf_add_str(&reply->body, "<html><body><h1>Our services "
		                          "aren't available right now</h1>");
	} else {
		login_error_reply(&e, NULL, reply);
	}
	snprintf(seconds, sizeof(seconds), "%lld", (long long)f->retry_after_s);
	if (f->retry_after_s)
		login_reply_header(reply, "Retry-After", seconds);
	return true;
}

static void handle_endpoint(struct login *l, const struct login_call *call,
                            bool token, struct login_reply *reply)
{
	int code;

	if (token && fail_as_told(l, reply))
		return;
	code = endpoint_refusal(l, call, token);
	if (code)
		login_error_code(code, code == 900144 ? "'client_id'" : NULL,
		                 reply);
	else if (token)
		handle_token(l, call, reply);
	else
		login_device_new_locked(l, call, reply);
}

static void handle_oauth(struct login *l, const struct login_request *req,
                         const char *tenant, size_t len, bool token,
                         struct login_reply *reply)
{
	struct login_call call = { .req = req };
	char *secret;

	if (len < sizeof(call.tenant))
		memcpy(call.tenant, tenant, len);
	call.client_id = login_form_get(req->form, req->form_len, "client_id");
	secret = login_form_get(req->form, req->form_len, "client_secret");
	pthread_mutex_lock(&l->lock);
	call.via = find_tenant(l, call.tenant);
	l->count.secrets_sent += secret != NULL;
	handle_endpoint(l, &call, token, reply);
	l->count.token_errors += token && reply->status != 200;
	pthread_mutex_unlock(&l->lock);
	free(secret);
	free(call.client_id);
}

static void decide_on_page(struct login *l, const struct login_request *req,
                           const char *code, struct login_reply *reply)
{
	char *action = login_form_get(req->form, req->form_len, "action");
	char *account = login_form_get(req->form, req->form_len, "account");
	bool yes = action && strcmp(action, "approve") == 0;

	if (!login_device_find_locked(l, code, req->now_ms))
		login_page(l, code, "That code didn't work. Check it.", reply);
	else if (login_decide_locked(l, code, yes, account, req->now_ms) < 0)
		login_page(l, code, "That account can't sign in here.", reply);
	else if (yes)
		login_page(l, NULL,
		           "You have signed in. You may close this window.",
		           reply);
	else
		login_page(l, NULL, "You have declined.", reply);
	free(account);
	free(action);
}

static void handle_page(struct login *l, const struct login_request *req,
                        struct login_reply *reply)
{
	const char *query = req->query ? req->query : "";
	bool post = strcasecmp(req->method, "POST") == 0;
	char *code;

	code = post ? login_form_get(req->form, req->form_len, "user_code")
	            : login_form_get(query, strlen(query), "otc");
	pthread_mutex_lock(&l->lock);
	if (post && code)
		decide_on_page(l, req, code, reply);
	else
		login_page(l, code, NULL, reply);
	pthread_mutex_unlock(&l->lock);
	free(code);
}

/* "/{tenant}/oauth2/v2.0/{verb}": where the verb begins, or NULL. */
static const char *oauth_verb(const char *path, size_t *out_tenant_len)
{
	static const char middle[] = "/oauth2/v2.0/";
	size_t n = path[0] == '/' ? strcspn(path + 1, "/") : 0;

	if (n == 0 || strncasecmp(path + 1 + n, middle, strlen(middle)) != 0)
		return NULL;
	*out_tenant_len = n;
	return path + 1 + n + strlen(middle);
}

bool login_owns(const char *host, const char *path)
{
	size_t n;

	return oauth_verb(path, &n) || strcasecmp(path, "/devicelogin") == 0 ||
	       (host && strncasecmp(host, "login.", 6) == 0);
}

static void route(struct login *l, const struct login_request *req,
                  struct login_reply *reply)
{
	const char *verb;
	size_t n = 0;

	verb = oauth_verb(req->path, &n);
	if (verb && strcasecmp(verb, "devicecode") == 0) {
		handle_oauth(l, req, req->path + 1, n, false, reply);
	} else if (verb && strcasecmp(verb, "token") == 0) {
		handle_oauth(l, req, req->path + 1, n, true, reply);
	} else if (strcasecmp(req->path, "/devicelogin") == 0) {
		handle_page(l, req, reply);
	} else {
		reply->status = strcmp(req->path, "/") == 0 ? 200 : 404;
		reply->content_type = "text/html";
	}
}

void login_handle(struct login *l, const struct login_request *req,
                  struct login_reply *out_reply)
{
	*out_reply = (struct login_reply){ .content_type = "text/plain" };
	route(l, req, out_reply);
	if (out_reply->body.failed) {
		buf_done(&out_reply->body);
		buf_init(&out_reply->body);
		out_reply->status = 500;
	}
	if (strcasecmp(req->method, "HEAD") == 0)
		buf_clear(&out_reply->body);
}

void login_reply_done(struct login_reply *reply)
{
	buf_done(&reply->body);
}

/* ---- bearers ------------------------------------------------------------- */

static enum login_bearer check_locked(const struct login *l, const char *bearer,
                                      int64_t now_ms, struct login_token *out_t)
{
	if (bearer && strncasecmp(bearer, "Bearer ", 7) == 0)
		bearer += 7;
	if (!bearer || !*bearer)
		return LOGIN_BEARER_MISSING;
	if (!login_token_open(bearer, LOGIN_ACCESS, out_t) ||
	    out_t->account >= l->naccounts)
		return LOGIN_BEARER_UNKNOWN;
	if (out_t->issued_ms <= l->access_dead_ms)
		return LOGIN_BEARER_REVOKED;
	if (out_t->expires_ms <= now_ms)
		return LOGIN_BEARER_EXPIRED;
	return LOGIN_BEARER_OK;
}

enum login_bearer login_check_who(struct login *l, const char *bearer,
                                  int64_t now_ms, struct login_who *out_who)
{
	struct login_token t;
	enum login_bearer got;

	pthread_mutex_lock(&l->lock);
	got = check_locked(l, bearer, now_ms, &t);
	if (got == LOGIN_BEARER_OK) {
		l->count.checks_ok++;
		out_who->account = t.account;
		out_who->personal = t.personal;
		out_who->read_only = !(t.scopes & SCOPE_WRITES);
		out_who->app_folder = (t.scopes & SCOPE_APP_FOLDER) &&
		                      !(t.scopes & SCOPE_DRIVE);
	} else {
		l->count.checks_refused++;
	}
	pthread_mutex_unlock(&l->lock);
	return got;
}

enum login_bearer login_check(struct login *l, const char *bearer,
                              int64_t now_ms)
{
	struct login_who who;

	return login_check_who(l, bearer, now_ms, &who);
}

/* ---- control ------------------------------------------------------------- */

static int find_account(const struct login *l, const char *name,
                        unsigned *out_account)
{
	for (unsigned i = 0; i < l->naccounts; i++) {
		if (name && strcmp(name, l->accounts[i].name) != 0)
			continue;
		*out_account = i;
		return 0;
	}
	return -ENOENT;
}

int login_issue(struct login *l, const char *account, const char *scope,
                int64_t now_ms, struct buf *out_access, struct buf *out_refresh)
{
	struct login_token like = { .via = LOGIN_VIA_NONE };
	unsigned index, scopes;
	int rc;

	if (login_scope_parse(scope ? scope
	                            : "Files.ReadWrite.All offline_access",
	                      &scopes) != 0)
		return -EINVAL;
	rc = find_account(l, account, &index);
	if (rc < 0)
		return rc;
	like.scopes = scopes;
	like.account = (uint8_t)index;
	like.personal = login_is_personal(l, index);
	pthread_mutex_lock(&l->lock);
	rc = login_mint_locked(l, &like, LOGIN_ACCESS, now_ms, out_access);
	if (rc == 0)
		rc = login_mint_locked(l, &like, LOGIN_REFRESH, now_ms,
		                       out_refresh);
	pthread_mutex_unlock(&l->lock);
	return rc;
}

int login_decide(struct login *l, const char *code, bool approve,
                 const char *account, int64_t now_ms)
{
	int rc;

	pthread_mutex_lock(&l->lock);
	rc = login_decide_locked(l, code, approve, account, now_ms);
	pthread_mutex_unlock(&l->lock);
	return rc;
}
