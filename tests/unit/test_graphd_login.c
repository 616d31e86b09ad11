#include "tests/graphd/login.h"

#include <errno.h>
#include <stdlib.h>

#include "net/json.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

#define DEVICE_GRANT "grant_type=urn:ietf:params:oauth:grant-type:device_code"
#define TENANT       "6babcaad-604b-40ac-a9d7-9fd97c0b779f"

static struct login *l;

/* The last answer, taken apart. */
static struct {
	int status;
	cJSON *json;
	char error[64];
	int64_t code;
	char retry_after[64];
	char text[8192];
} got;

static void forget(void)
{
	cJSON_Delete(got.json);
	memset(&got, 0, sizeof(got));
}

static void start(const struct login_options *o, const char *settings)
{
	static const struct login_options none;
	cJSON *obj = json_parse(settings, strlen(settings));

	login_free(l);
	l = NULL;
	CHECK_EQ(login_new(o ? o : &none, &l), 0);
	CHECK_EQ(login_set(l, obj, 0), 0);
	cJSON_Delete(obj);
}

static int set(const char *text, int64_t now_ms)
{
	cJSON *obj = json_parse(text, strlen(text));
	int rc = login_set(l, obj, now_ms);

	cJSON_Delete(obj);
	return rc;
}

static int64_t stat(const char *name)
{
	cJSON *obj = login_stats(l, 0);
	int64_t value = json_i64(obj, name, -1);

	cJSON_Delete(obj);
	return value;
}

static void take(const struct login_reply *r)
{
	const char *error;

	forget();
	got.status = r->status;
	got.json = r->body.len ? json_parse(r->body.data, r->body.len) : NULL;
	error = json_str(got.json, "error");
	snprintf(got.error, sizeof(got.error), "%s", error ? error : "");
	got.code = json_i64(got.json, "none", 0);
	if (json_arr(got.json, "error_codes"))
		got.code = json_arr(got.json, "error_codes")->child->valueint;
	snprintf(got.text, sizeof(got.text), "%s",
	         r->body.data ? r->body.data : "");
	for (size_t i = 0; i < r->nheaders; i++)
		if (strcmp(r->headers[i].name, "Retry-After") == 0)
			snprintf(got.retry_after, sizeof(got.retry_after), "%s",
			         r->headers[i].value);
}

static void call(const char *method, const char *path, const char *query,
                 const char *form, int64_t now_ms)
{
	const struct login_request req = {
		.method = method,
		.host = "127.0.0.1:8080",
		.path = path,
		.query = query,
		.form = form,
		.form_len = strlen(form),
		.now_ms = now_ms,
	};
	struct login_reply r;

	login_handle(l, &req, &r);
	take(&r);
	login_reply_done(&r);
}

static char *copy(const char *name)
{
	const char *s = json_str(got.json, name);

	CHECK(s != NULL);
	return strdup(s ? s : "");
}

/* A new device code (free it); its user code in out_user. */
static char *new_code(const char *tenant, const char *scope, char out_user[10],
                      int64_t now_ms)
{
	char path[128], form[256];

	snprintf(path, sizeof(path), "/%s/oauth2/v2.0/devicecode", tenant);
	snprintf(form, sizeof(form), "client_id=app&scope=%s", scope);
	call("POST", path, "", form, now_ms);
	CHECK_EQ(got.status, 200);
	if (out_user) {
		const char *user = json_str(got.json, "user_code");

		snprintf(out_user, 10, "%s", user ? user : "");
	}
	return copy("device_code");
}

static void poll(const char *tenant, const char *code, int64_t now_ms)
{
	char path[128], form[256];

	snprintf(path, sizeof(path), "/%s/oauth2/v2.0/token", tenant);
	snprintf(form, sizeof(form),
	         DEVICE_GRANT "&client_id=app&device_code=%s", code);
	call("POST", path, "", form, now_ms);
}

static void refresh(const char *tenant, const char *token, const char *more,
                    int64_t now_ms)
{
	struct buf b = BUF_INIT;
	char path[128];

	snprintf(path, sizeof(path), "/%s/oauth2/v2.0/token", tenant);
	buf_add_str(&b, "grant_type=refresh_token&client_id=app"
	                "&refresh_token=");
	buf_add_percent(&b, token, strlen(token));
	buf_add_str(&b, more);
	call("POST", path, "", b.data, now_ms);
	buf_done(&b);
}

/* Signs in; the refresh token (free it). */
static char *sign_in(const char *tenant, int64_t now_ms)
{
	char *code = new_code(tenant, "Files.ReadWrite+offline_access", NULL,
	                      now_ms);

	CHECK(login_decide(l, NULL, true, NULL, now_ms) > 0);
	poll(tenant, code, now_ms);
	CHECK_EQ(got.status, 200);
	free(code);
	return copy("refresh_token");
}

/* ---- device codes -------------------------------------------------------- */

static void test_device_code(void)
{
	char *code;

	start(NULL, "{}");
	code = new_code("consumers", "Files.ReadWrite%20offline_access", NULL,
	                0);
	CHECK_EQ(json_i64(got.json, "expires_in", 0), 900);
	CHECK_EQ(json_i64(got.json, "interval", 0), 5);
	CHECK_STR(json_str(got.json, "verification_uri"),
	          "http://127.0.0.1:8080/devicelogin");
	CHECK(!json_get(got.json, "verification_uri_complete"));
	CHECK(strstr(json_str(got.json, "message"),
	             json_str(got.json, "user_code")));
	free(code);

	call("POST", "/consumers/oauth2/v2.0/devicecode", "mkt=de-DE",
	     "client_id=app&scope=Files.Read", 0);
	CHECK(strstr(got.text, "Anmelden"));

	CHECK_EQ(set("{\"string_numbers\": true, \"omit_interval\": true}", 0),
	         0);
	free(new_code("consumers", "Files.Read", NULL, 0));
	CHECK_STR(json_str(got.json, "expires_in"), "900");
	CHECK(!json_get(got.json, "interval"));
}

static void test_requests_refused(void)
{
	static const struct {
		const char *method, *path, *form;
		const char *error;
		int64_t code;
	} cases[] = {
		{ "POST", "/common/oauth2/v2.0/devicecode", "client_id=a",
		  "invalid_request", 900144 },
		{ "POST", "/common/oauth2/v2.0/devicecode", "scope=Files.Read",
		  "invalid_request", 900144 },
		{ "GET", "/common/oauth2/v2.0/devicecode", "",
		  "invalid_request", 900561 },
		{ "POST", "/common/oauth2/v2.0/devicecode",
		  "client_id=a&scope=Files.Red", "invalid_scope", 70011 },
		{ "POST", "/common/oauth2/v2.0/devicecode",
		  "client_id=a&scope=%20", "invalid_scope", 28002 },
		{ "POST", "/nowhere.example/oauth2/v2.0/devicecode",
		  "client_id=a&scope=Files.Read", "invalid_request", 90002 },
		{ "POST", "/common/oauth2/v2.0/token", "client_id=a",
		  "invalid_request", 900144 },
		{ "POST", "/common/oauth2/v2.0/token",
		  "client_id=a&grant_type=password", "unsupported_grant_type",
		  70003 },
		{ "POST", "/common/oauth2/v2.0/token",
		  "client_id=a&" DEVICE_GRANT, "invalid_request", 900144 },
		{ "POST", "/common/oauth2/v2.0/token",
		  "client_id=a&" DEVICE_GRANT "&device_code=x",
		  "bad_verification_code", 70018 },
		{ "POST", "/common/oauth2/v2.0/token",
		  "client_id=a&grant_type=refresh_token&refresh_token=x",
		  "invalid_grant", 70000 },
	};

	start(NULL, "{}");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		check_row("%s %s", cases[i].path, cases[i].form);
		call(cases[i].method, cases[i].path, "", cases[i].form, 0);
		CHECK_EQ(got.status, 400);
		CHECK_STR(got.error, cases[i].error);
		CHECK_EQ(got.code, cases[i].code);
	}
}

static void test_polling(void)
{
	char *code;

	start(NULL, "{}");
	code = new_code("consumers", "Files.ReadWrite+offline_access", NULL, 0);
	poll("consumers", code, 5000);
	CHECK_EQ(got.status, 400);
	CHECK_STR(got.error, "authorization_pending");
	CHECK_EQ(got.code, 70016);
	poll("consumers", code, 9000); /* a second too early */
	CHECK_STR(got.error, "slow_down");
	poll("consumers", code, 18000); /* 9 s later, 10 are due now */
	CHECK_STR(got.error, "slow_down");
	poll("consumers", code, 33000);
	CHECK_STR(got.error, "authorization_pending");
	poll("common", code, 60000); /* not where it was asked for */
	CHECK_STR(got.error, "bad_verification_code");

	CHECK_EQ(login_decide(l, NULL, true, NULL, 60000), 1);
	poll("consumers", code, 60001);
	CHECK_EQ(got.status, 200);
	CHECK_STR(json_str(got.json, "token_type"), "Bearer");
	CHECK_EQ(json_i64(got.json, "expires_in", 0), 3600);
	CHECK_STR(json_str(got.json, "scope"),
	          "Files.ReadWrite profile openid email");
	CHECK(json_str(got.json, "refresh_token") != NULL);
	CHECK_EQ(login_check(l, json_str(got.json, "access_token"), 60001),
	         LOGIN_BEARER_OK);
	poll("consumers", code, 70000);
	CHECK_STR(got.error, "invalid_request");
	CHECK_EQ(got.code, 54005);
	CHECK_EQ(stat("polls"), 7);
	CHECK_EQ(stat("polls_too_fast"), 2);
	free(code);
}

static void test_no_offline_access(void)
{
	char *code;

	start(NULL, "{\"mode\": \"approve\"}");
	code = new_code("common", "Files.Read", NULL, 0);
	poll("common", code, 0);
	CHECK_EQ(got.status, 200);
	CHECK(!json_get(got.json, "refresh_token"));
	free(code);
}

/* What libraries want besides: where to go, and who it was. */
static void test_discovery_and_identity(void)
{
	struct buf form = BUF_INIT;
	char *code;

	start(NULL, "{\"mode\": \"approve\"}");
	call("GET", "/consumers/v2.0/.well-known/openid-configuration", "", "",
	     0);
	CHECK_EQ(got.status, 200);
	CHECK_STR(json_str(got.json, "token_endpoint"),
	          "http://127.0.0.1:8080/consumers/oauth2/v2.0/token");
	call("GET", "/nobody/v2.0/.well-known/openid-configuration", "", "", 0);
	CHECK_EQ(got.code, 90002);

	code = new_code("consumers", "Files.Read+openid", NULL, 0);
	buf_addf(&form,
	         DEVICE_GRANT "&client_id=app&client_info=1"
	                      "&device_code=%s",
	         code);
	call("POST", "/consumers/oauth2/v2.0/token", "", form.data, 0);
	CHECK_EQ(got.status, 200);
	CHECK(strstr(json_str(got.json, "id_token"), "."));
	/* {"uid":"00000000-0000-0000- ... */
	CHECK_EQ(strncmp(json_str(got.json, "client_info"),
	                 "eyJ1aWQiOiIwMDAwMDAwMC0wMDAwLTAwMDAt", 36),
	         0);
	free(code);
	buf_done(&form);
}

static void test_modes(void)
{
	static const struct {
		const char *settings, *error;
		int64_t code;
		int status;
	} cases[] = {
		{ "{\"mode\": \"decline\"}", "authorization_declined", 0, 400 },
		{ "{\"mode\": \"decline\", \"rfc_names\": true}",
		  "access_denied", 0, 400 },
		{ "{\"mode\": \"expire\"}", "expired_token", 70019, 400 },
		{ "{\"mode\": \"refuse\", \"refuse_code\": 50076}",
		  "invalid_grant", 50076, 400 },
		{ "{\"mode\": \"refuse\", \"refuse_code\": 65001}",
		  "invalid_grant", 65001, 400 },
		{ "{\"mode\": \"refuse\", \"refuse_code\": 90094}",
		  "invalid_grant", 90094, 400 },
		{ "{\"mode\": \"refuse\", \"refuse_code\": 53003}",
		  "invalid_grant", 53003, 400 },
		{ "{\"public_client\": false}", "invalid_client", 7000218,
		  401 },
		{ "{\"mode\": \"approve\"}", "", 0, 200 },
		{ "{\"mode\": \"ask\"}", "authorization_pending", 70016, 400 },
		/* nobody of that name: nobody signs in */
		{ "{\"mode\": \"approve\", \"account\": \"x\"}",
		  "authorization_pending", 70016, 400 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *code;

		check_row("%s", cases[i].settings);
		start(NULL, cases[i].settings);
		code = new_code("common", "Files.Read", NULL, 0);
		poll("common", code, 0);
		CHECK_EQ(got.status, cases[i].status);
		CHECK_STR(got.error, cases[i].error);
		CHECK_EQ(got.code, cases[i].code);
		free(code);
	}
}

static void test_after_polls(void)
{
	char *code;

	start(NULL, "{\"mode\": \"approve\", \"after_polls\": 3}");
	code = new_code("common", "Files.Read", NULL, 0);
	poll("common", code, 0);
	CHECK_STR(got.error, "authorization_pending");
	poll("common", code, 5000);
	CHECK_STR(got.error, "authorization_pending");
	poll("common", code, 10000);
	CHECK_EQ(got.status, 200);
	free(code);
}

static void test_expiry(void)
{
	char *code;

	start(NULL, "{\"code_life_s\": 20, \"interval_s\": 0}");
	code = new_code("common", "Files.Read", NULL, 0);
	poll("common", code, 19999);
	CHECK_STR(got.error, "authorization_pending");
	poll("common", code, 20000);
	CHECK_STR(got.error, "expired_token");
	CHECK_EQ(login_decide(l, NULL, true, NULL, 20000), -ENOENT);
	free(code);
}

/* ---- tenants ------------------------------------------------------------- */

static void test_audience(void)
{
	static const struct {
		const char *audience, *tenant;
		int64_t code; /* 0: accepted */
	} cases[] = {
		{ "any", "common", 0 },
		{ "any", LOGIN_MSA_TENANT, 0 },
		{ "any", TENANT, 0 },
		{ "any", "work.example", 0 },
		{ "any", "personal.example", 90002 },
		{ "personal", "consumers", 0 },
		{ "personal", LOGIN_MSA_TENANT, 0 },
		{ "personal", "common", 9002331 },
		{ "personal", "organizations", 9002331 },
		{ "work", "organizations", 0 },
		{ "work", "common", 0 },
		{ "work", "consumers", 9002332 },
		{ TENANT, TENANT, 0 },
		{ TENANT, "common", 50194 },
		{ TENANT, "consumers", 9002332 },
	};

	start(NULL, "{}");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char settings[128], path[128];

		check_row("%s via %s", cases[i].audience, cases[i].tenant);
		snprintf(settings, sizeof(settings), "{\"audience\": \"%s\"}",
		         cases[i].audience);
		CHECK_EQ(set(settings, 0), 0);
		snprintf(path, sizeof(path), "/%s/oauth2/v2.0/devicecode",
		         cases[i].tenant);
		call("POST", path, "", "client_id=app&scope=Files.Read", 0);
		CHECK_EQ(got.code, cases[i].code);
		CHECK_EQ(got.status, cases[i].code ? 400 : 200);
	}
}

/* Who signs in by itself, and who may refresh where. */
static void test_accounts(void)
{
	static const struct {
		const char *tenant;
		bool work_first, personal;
	} cases[] = {
		{ "common", false, true },   { "common", true, false },
		{ "consumers", true, true }, { "organizations", false, false },
		{ TENANT, false, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct login_options o = { .work = cases[i].work_first };
		struct login_who who = { 0 };

		check_row("%s", cases[i].tenant);
		start(&o, "{}");
		free(sign_in(cases[i].tenant, 0));
		CHECK_EQ(login_check_who(l, json_str(got.json, "access_token"),
		                         0, &who),
		         LOGIN_BEARER_OK);
		CHECK_EQ(who.personal, cases[i].personal);
		CHECK(!who.read_only && !who.app_folder);
	}
}

static void test_common_trap(void)
{
	char *token;

	start(NULL, "{\"common_trap\": true}");
	token = sign_in("common", 0);
	refresh("common", token, "", 1000);
	CHECK_STR(got.error, "invalid_grant");
	CHECK_EQ(got.code, 70000);
	CHECK_STR(json_str(got.json, "suberror"), "bad_token");
	free(token);
	token = sign_in("consumers", 0);
	refresh("consumers", token, "", 1000);
	CHECK_EQ(got.status, 200);
	free(token);
}

/* ---- refreshing ---------------------------------------------------------- */

static void test_rotation(void)
{
	char *first, *second;

	start(NULL, "{}");
	first = sign_in("consumers", 0);
	refresh("consumers", first, "", 1000);
	CHECK_EQ(got.status, 200);
	second = copy("refresh_token");
	CHECK(strcmp(first, second) != 0);
	refresh("consumers", first, "", 2000); /* goes on being good */
	CHECK_EQ(got.status, 200);

	CHECK_EQ(set("{\"strict_rotation\": true}", 3000), 0);
	refresh("consumers", second, "", 3000);
	CHECK_EQ(got.status, 200);
	refresh("consumers", second, "", 4000);
	CHECK_STR(got.error, "invalid_grant");
	CHECK_EQ(stat("refreshes"), 4);
	CHECK_EQ(stat("refreshes_refused"), 1);
	free(first);
	free(second);
}

static void test_refresh_scopes(void)
{
	static const struct {
		const char *more;
		int64_t code;
		bool refresh_token;
	} cases[] = {
		{ "", 0, true },
		{ "&scope=Files.ReadWrite%20offline_access", 0, true },
		{ "&scope=Files.ReadWrite", 0, false },
		{ "&scope=https://graph.microsoft.com/Files.ReadWrite+"
		  "offline_access+openid",
		  0, true },
		{ "&scope=Files.ReadWrite.All%20offline_access", 65001, false },
		{ "&scope=nonsense", 70011, false },
	};
	char *token;

	start(NULL, "{}");
	token = sign_in("consumers", 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		check_row("%s", cases[i].more);
		refresh("consumers", token, cases[i].more, 0);
		CHECK_EQ(got.code, cases[i].code);
		CHECK_EQ(json_get(got.json, "refresh_token") != NULL,
		         cases[i].refresh_token);
	}
	free(token);
}

static void test_refresh_refused(void)
{
	static const int64_t day_ms = INT64_C(24) * 3600 * 1000;
	char *token;

	start(NULL, "{}");
	token = sign_in("consumers", 0);
	refresh("organizations", token, "", 0);
	CHECK_EQ(got.code, 50020);
	refresh("consumers", token, "", 90 * day_ms - 1);
	CHECK_EQ(got.status, 200);
	refresh("consumers", token, "", 90 * day_ms);
	CHECK_EQ(got.code, 700082);
	token[strlen(token) - 2] ^= 1; /* as good as any other forgery */
	refresh("consumers", token, "", 0);
	CHECK_EQ(got.code, 70000);
	token[strlen(token) - 2] ^= 1;

	CHECK_EQ(set("{\"refuse_refresh\": 50076}", 0), 0);
	refresh("consumers", token, "", 0);
	CHECK_EQ(got.code, 50076);
	CHECK_STR(json_str(got.json, "suberror"), "basic_action");
	CHECK(json_str(got.json, "claims") != NULL);
	CHECK_EQ(set("{\"refuse_refresh\": 0, \"revoke_refresh\": true}", 500),
	         0);
	refresh("consumers", token, "", 500);
	CHECK_EQ(got.code, 50173);
	free(token);

	token = sign_in("consumers", 500); /* the same millisecond, but after */
	refresh("consumers", token, "", 500);
	CHECK_EQ(got.status, 200);
	CHECK_EQ(set("{\"omit_refresh\": true}", 500), 0);
	refresh("consumers", token, "", 500);
	CHECK_EQ(got.status, 200);
	CHECK(!json_get(got.json, "refresh_token"));
	free(token);
}

static void test_other_client(void)
{
	static const struct login_options o = { .client_id = "app" };
	struct buf access = BUF_INIT, any = BUF_INIT, form = BUF_INIT;
	char *token;

	start(&o, "{}");
	call("POST", "/common/oauth2/v2.0/devicecode", "",
	     "client_id=other&scope=Files.Read", 0);
	CHECK_STR(got.error, "unauthorized_client");
	CHECK_EQ(got.code, 700016);

	start(NULL, "{}");
	token = sign_in("consumers", 0);
	buf_add_str(&form, "grant_type=refresh_token&client_id=other&"
	                   "refresh_token=");
	buf_add_percent(&form, token, strlen(token));
	call("POST", "/consumers/oauth2/v2.0/token", "", form.data, 0);
	CHECK_EQ(got.code, 70000);

	/* Issued without ceremony: anybody's. */
	CHECK_EQ(login_issue(l, "ann@work.example", NULL, 0, &access, &any), 0);
	CHECK_EQ(login_check(l, access.data, 0), LOGIN_BEARER_OK);
	refresh("common", any.data, "&client_secret=s", 0);
	CHECK_EQ(got.status, 200);
	CHECK_EQ(stat("secrets_sent"), 1);
	CHECK_EQ(login_issue(l, "nobody", NULL, 0, &access, &any), -ENOENT);
	free(token);
	buf_done(&access);
	buf_done(&any);
	buf_done(&form);
}

static void test_told_to_fail(void)
{
	char *token;

	start(NULL, "{}");
	token = sign_in("consumers", 0);
	CHECK_EQ(set("{\"fail\": {\"count\": 2, \"code\": 90055, "
	             "\"retry_after_s\": 10}}",
	             0),
	         0);
	for (int i = 0; i < 2; i++) {
		refresh("consumers", token, "", 0);
		CHECK_EQ(got.status, 429);
		CHECK_STR(got.error, "temporarily_unavailable");
		CHECK_STR(got.retry_after, "10");
	}
	refresh("consumers", token, "", 0);
	CHECK_EQ(got.status, 200);
	CHECK_EQ(set("{\"fail\": {\"status\": 502, \"html\": true}}", 0), 0);
	refresh("consumers", token, "", 0);
	CHECK_EQ(got.status, 502);
	CHECK(got.json == NULL);
	CHECK(strstr(got.text, "<html>"));
	CHECK_EQ(set("{\"fail\": {\"status\": 500, \"error\": \"server_error\""
	             "}}",
	             0),
	         0);
	refresh("consumers", token, "", 0);
	CHECK_EQ(got.status, 500);
	CHECK_STR(got.error, "server_error");
	free(token);
}

/* ---- bearers ------------------------------------------------------------- */

static void test_bearers(void)
{
	struct buf header = BUF_INIT, rest = BUF_INIT;
	struct login_options again = { .work = false };
	struct login_who who;

	start(NULL, "{}");
	CHECK_EQ(login_check(l, NULL, 0), LOGIN_BEARER_MISSING);
	CHECK_EQ(login_check(l, "", 0), LOGIN_BEARER_MISSING);
	CHECK_EQ(login_check(l, "Bearer ", 0), LOGIN_BEARER_MISSING);
	CHECK_EQ(login_check(l, "Bearer nonsense", 0), LOGIN_BEARER_UNKNOWN);
	CHECK_EQ(login_check(l, "Basic YTpi", 0), LOGIN_BEARER_UNKNOWN);

	buf_add_str(&header, "bearer ");
	CHECK_EQ(login_issue(l, NULL, "Files.Read", 1000, &header, &rest), 0);
	CHECK_EQ(login_check_who(l, header.data, 1000, &who), LOGIN_BEARER_OK);
	CHECK(who.read_only && who.personal);
	CHECK_EQ(login_check(l, rest.data, 1000), LOGIN_BEARER_UNKNOWN);
	CHECK_EQ(login_check(l, header.data, 3600999), LOGIN_BEARER_OK);
	CHECK_EQ(login_check(l, header.data, 3601000), LOGIN_BEARER_EXPIRED);

	start(&again, "{}"); /* a restart knows its tokens */
	CHECK_EQ(login_check(l, header.data, 1000), LOGIN_BEARER_OK);
	CHECK_EQ(set("{\"expire_access\": true}", 2000), 0);
	CHECK_EQ(login_check(l, header.data, 2000), LOGIN_BEARER_REVOKED);
	buf_clear(&header);
	CHECK_EQ(login_issue(l, NULL, "Files.ReadWrite.AppFolder", 2000,
	                     &header, &rest),
	         0);
	CHECK_EQ(login_check_who(l, header.data, 2000, &who), LOGIN_BEARER_OK);
	CHECK(who.app_folder && !who.read_only);
	CHECK_EQ(stat("checks_ok"), 2);
	CHECK_EQ(stat("checks_refused"), 1);
	buf_done(&header);
	buf_done(&rest);
}

/* ---- the page ------------------------------------------------------------ */

static void test_page(void)
{
	char user[10], form[128], lower[10];
	char *code;

	start(NULL, "{}");
	call("GET", "/devicelogin", "otc=ABC%22%3E%3Cb%3E", "", 0);
	CHECK_EQ(got.status, 200);
	CHECK(strstr(got.text, "<form"));
	CHECK(strstr(got.text, "ABC&quot;&gt;&lt;b&gt;"));

	code = new_code("consumers", "Files.Read", user, 0);
	call("POST", "/devicelogin", "", "user_code=WRONG&action=approve", 0);
	CHECK(strstr(got.text, "didn't work"));
	snprintf(form, sizeof(form),
	         "user_code=%s&action=approve&account=ann%%40work.example",
	         user);
	call("POST", "/devicelogin", "", form, 0);
	CHECK(strstr(got.text, "can't sign in here"));
	for (int i = 0; i < 10; i++) /* as people type it */
		lower[i] = user[i] >= 'A' ? (char)(user[i] | 0x20) : user[i];
	snprintf(form, sizeof(form),
	         "user_code=+%.4s-%s&action=approve&account=", lower,
	         lower + 4);
	call("POST", "/devicelogin", "", form, 0);
	CHECK(strstr(got.text, "You have signed in"));
	poll("consumers", code, 0);
	CHECK_EQ(got.status, 200);
	free(code);

	code = new_code("consumers", "Files.Read", user, 0);
	snprintf(form, sizeof(form), "user_code=%s&action=decline", user);
	call("POST", "/devicelogin", "", form, 0);
	poll("consumers", code, 0);
	CHECK_STR(got.error, "authorization_declined");
	free(code);
}

static void test_owns(void)
{
	CHECK(login_owns("127.0.0.1", "/common/oauth2/v2.0/token"));
	CHECK(login_owns(NULL, "/devicelogin"));
	CHECK(login_owns("login.microsoftonline.com", "/"));
	CHECK(!login_owns("graph.microsoft.com", "/"));
	CHECK(!login_owns(NULL, "/v1.0/me/drive"));
	start(NULL, "{}");
	call("HEAD", "/", "", "", 0);
	CHECK_EQ(got.status, 200);
	CHECK_STR(got.text, "");
}

/* ---- control ------------------------------------------------------------- */

static void test_bad_settings(void)
{
	static const char *const bad[] = {
		"[]",
		"{\"mod\": \"approve\"}",
		"{\"mode\": \"aprove\"}",
		"{\"mode\": 1}",
		"{\"mode\": \"approve\", \"refuse_code\": 1}",
		"{\"mode\": \"approve\", \"refuse_refresh\": 123}",
		"{\"mode\": \"approve\", \"fail\": {\"count\": 1}}",
		"{\"mode\": \"approve\", \"fail\": {\"cont\": 1}}",
		"{\"fail\": {\"code\": 90055, \"status\": 200}}",
		"{\"mode\": \"approve\", \"fail\": 1}",
	};
	char *code;

	start(NULL, "{}");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		check_row("%s", bad[i]);
		CHECK_EQ(set(bad[i], 0), -EINVAL);
	}
	CHECK_EQ(set("{\"approve\": \"*\"}", 0), -ENOENT);
	code = new_code("common", "Files.Read", NULL, 0);
	poll("common", code, 0);
	CHECK_STR(got.error, "authorization_pending");
	CHECK_EQ(set("{\"approve\": \"*\"}", 0), 0);
	poll("common", code, 0);
	CHECK_EQ(got.status, 200);
	free(code);
}

static void test_open_codes(void)
{
	char user[10];
	cJSON *obj;

	start(NULL, "{}");
	free(new_code("common", "Files.Read", NULL, 0));
	CHECK_EQ(set("{\"decline\": \"*\"}", 0), 0);
	free(new_code("common", "Files.Read", user, 0));
	obj = login_stats(l, 0);
	CHECK_EQ(cJSON_GetArraySize(json_get(obj, "open_codes")), 1);
	CHECK_STR(json_get(obj, "open_codes")->child->valuestring, user);
	cJSON_Delete(obj);
}

static void test_out_of_memory(void)
{
	static const struct login_options o = { .client_id = "app",
		                                .verification_uri = "u" };

	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct login *one = NULL;
		int rc = login_new(&o, &one);

		CHECK(rc == 0 || rc == -ENOMEM);
		login_free(one);
	}
	alloc_fail_off();
}

int main(void)
{
	RUN(test_device_code);
	RUN(test_requests_refused);
	RUN(test_polling);
	RUN(test_no_offline_access);
	RUN(test_discovery_and_identity);
	RUN(test_modes);
	RUN(test_after_polls);
	RUN(test_expiry);
	RUN(test_audience);
	RUN(test_accounts);
	RUN(test_common_trap);
	RUN(test_rotation);
	RUN(test_refresh_scopes);
	RUN(test_refresh_refused);
	RUN(test_other_client);
	RUN(test_told_to_fail);
	RUN(test_bearers);
	RUN(test_page);
	RUN(test_owns);
	RUN(test_bad_settings);
	RUN(test_open_codes);
	RUN(test_out_of_memory);
	forget();
	login_free(l);
	return check_report();
}
