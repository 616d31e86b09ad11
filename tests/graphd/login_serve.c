#include "tests/graphd/login_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define GRANT_DEVICE "urn:ietf:params:oauth:grant-type:device_code"

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
                         size_t len, bool token, struct login_reply *reply)
{
	struct login_call call = { .req = req };
	char *secret;

	if (len < sizeof(call.tenant))
		memcpy(call.tenant, req->path + 1, len);
	call.client_id = login_form_get(req->form, req->form_len, "client_id");
	secret = login_form_get(req->form, req->form_len, "client_secret");
	pthread_mutex_lock(&l->lock);
	call.via = login_via_of(l, call.tenant);
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

/* ---- routing ------------------------------------------------------------- */

enum endpoint { NONE, DEVICECODE, TOKEN, DISCOVERY };

static const struct {
	const char *rest; /* after "/{tenant}" */
	enum endpoint endpoint;
} endpoints[] = {
	{ "/oauth2/v2.0/devicecode", DEVICECODE },
	{ "/oauth2/v2.0/token", TOKEN },
	{ "/v2.0/.well-known/openid-configuration", DISCOVERY },
};

/* And the length of the tenant segment, which begins at path + 1. */
static enum endpoint find_endpoint(const char *path, size_t *out_len)
{
	size_t n = path[0] == '/' ? strcspn(path + 1, "/") : 0;

	*out_len = n;
	for (size_t i = 0; n > 0 && i < ARRAY_LEN(endpoints); i++)
		if (strcasecmp(path + 1 + n, endpoints[i].rest) == 0)
			return endpoints[i].endpoint;
	return NONE;
}

bool login_owns(const char *host, const char *path)
{
	size_t n;

	return find_endpoint(path, &n) != NONE ||
	       strcasecmp(path, "/devicelogin") == 0 ||
	       (host && strncasecmp(host, "login.", 6) == 0);
}

static void add_url(cJSON *obj, const char *name,
                    const struct login_request *req, const char *tenant,
                    const char *rest)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "%s://%s/%s%s", req->https ? "https" : "http",
	         req->host ? req->host : "localhost", tenant, rest);
	if (!b.failed)
		cJSON_AddStringToObject(obj, name, b.data);
	buf_done(&b);
}

/* What libraries ask first (OpenID Connect Discovery 1.0, 4). */
static void handle_discovery(struct login *l, const struct login_request *req,
                             size_t len, struct login_reply *reply)
{
	char tenant[SETTING_TEXT_SIZE] = "";
	cJSON *obj;

	if (len < sizeof(tenant))
		memcpy(tenant, req->path + 1, len);
	if (login_via_of(l, tenant) == LOGIN_VIA_NONE) {
		login_error_code(90002, NULL, reply);
		return;
	}
	obj = cJSON_CreateObject();
	add_url(obj, "issuer", req, tenant, "/v2.0");
	add_url(obj, "authorization_endpoint", req, tenant,
	        "/oauth2/v2.0/authorize");
	add_url(obj, "token_endpoint", req, tenant, "/oauth2/v2.0/token");
	add_url(obj, "device_authorization_endpoint", req, tenant,
	        "/oauth2/v2.0/devicecode");
	login_reply_json(reply, 200, obj);
}

static void route(struct login *l, const struct login_request *req,
                  struct login_reply *reply)
{
	enum endpoint endpoint;
	size_t len;

	endpoint = find_endpoint(req->path, &len);
	switch (endpoint) {
	case DEVICECODE:
	case TOKEN:
		handle_oauth(l, req, len, endpoint == TOKEN, reply);
		return;
	case DISCOVERY:
		handle_discovery(l, req, len, reply);
		return;
	case NONE:
		break;
	}
	if (strcasecmp(req->path, "/devicelogin") == 0) {
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
