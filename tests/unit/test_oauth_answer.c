#include "auth/oauth_answer.h"

#include <errno.h>

#include <sodium.h>

#include "auth/secret.h"
#include "tests/unit/check.h"

#define TRACE                                                                  \
	" Trace ID: 2b7f0c1e Correlation ID: 90d4e3a7 Timestamp: 2026-11-22 "  \
	"10:14:05Z"

static enum oauth_next judge(enum oauth_step step, long status,
                             const char *body, struct oauth_error *err)
{
	struct oauth_answer a = {
		.status = status,
		.retry_after_ms = -1,
		.host = "login.example",
	};
	cJSON *json = json_parse(body, strlen(body));
	enum oauth_next next;

	a.json = json;
	next = oauth_judge(step, &a, err);
	cJSON_Delete(json);
	return next;
}

/* facts/graph.md 1.4, every row and then some. */
static void test_polling(void)
{
	static const struct {
		const char *error;
		int code; /* AADSTS; 0: none */
		long status;
		enum oauth_next next;
		enum oauth_result result;
		const char *says; /* part of the line for people */
	} cases[] = {
		{ "authorization_pending", 70016, 400, OAUTH_NEXT_POLL,
		  OAUTH_OK, "" },
		{ "slow_down", 0, 400, OAUTH_NEXT_SLOWER, OAUTH_OK, "" },
		{ "authorization_declined", 0, 400, OAUTH_NEXT_END,
		  OAUTH_DECLINED, "declined" },
		{ "access_denied", 0, 400, OAUTH_NEXT_END, OAUTH_DECLINED,
		  "declined" },
		{ "expired_token", 70019, 400, OAUTH_NEXT_END, OAUTH_EXPIRED,
		  "expired before" },
		{ "expired_token", 70020, 400, OAUTH_NEXT_END, OAUTH_EXPIRED,
		  "expired before" },
		{ "bad_verification_code", 70018, 400, OAUTH_NEXT_END,
		  OAUTH_SIGN_IN, "does not know this device code" },
		{ "invalid_client", 7000218, 401, OAUTH_NEXT_END, OAUTH_SETUP,
		  "Allow public client flows" },
		{ "invalid_client", 70002, 401, OAUTH_NEXT_END, OAUTH_SETUP,
		  "Allow public client flows" },
		{ "invalid_client", 0, 400, OAUTH_NEXT_END, OAUTH_SETUP,
		  "Allow public client flows" },
		{ "invalid_grant", 50076, 400, OAUTH_NEXT_END, OAUTH_SIGN_IN,
		  "another proof of identity" },
		{ "interaction_required", 50079, 400, OAUTH_NEXT_END,
		  OAUTH_SIGN_IN, "another proof of identity" },
		{ "invalid_grant", 65001, 400, OAUTH_NEXT_END, OAUTH_SIGN_IN,
		  "consent" },
		{ "consent_required", 0, 400, OAUTH_NEXT_END, OAUTH_SIGN_IN,
		  "consent" },
		{ "invalid_grant", 65004, 400, OAUTH_NEXT_END, OAUTH_DECLINED,
		  "not allowed" },
		{ "interaction_required", 90094, 400, OAUTH_NEXT_END,
		  OAUTH_SIGN_IN, "administrator" },
		{ "interaction_required", 90095, 400, OAUTH_NEXT_END,
		  OAUTH_SIGN_IN, "administrator" },
		{ "invalid_grant", 53003, 400, OAUTH_NEXT_END, OAUTH_SIGN_IN,
		  "Conditional Access" },
		{ "invalid_grant", 530032, 400, OAUTH_NEXT_END, OAUTH_SIGN_IN,
		  "--import-msal" },
		{ "unauthorized_client", 700016, 400, OAUTH_NEXT_END,
		  OAUTH_SETUP, "no app with this client id" },
		{ "unauthorized_client", 0, 400, OAUTH_NEXT_END, OAUTH_SETUP,
		  "check client_id" },
		{ "invalid_request", 9002331, 400, OAUTH_NEXT_END, OAUTH_SETUP,
		  "--account personal" },
		{ "invalid_request", 9002332, 400, OAUTH_NEXT_END, OAUTH_SETUP,
		  "--account work" },
		{ "invalid_request", 90120, 400, OAUTH_NEXT_END, OAUTH_SETUP,
		  "refuses the request" },
		{ "invalid_request", 900144, 400, OAUTH_NEXT_END, OAUTH_SETUP,
		  "refuses the request" },
		{ "temporarily_unavailable", 0, 400, OAUTH_NEXT_POLL,
		  OAUTH_OFFLINE, "has trouble" },
		{ "authorization_pending", 70016, 503, OAUTH_NEXT_POLL,
		  OAUTH_OFFLINE, "503" },
		{ "brand_new", 0, 400, OAUTH_NEXT_END, OAUTH_SIGN_IN,
		  "refuses" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct oauth_error err;
		char body[300];

		snprintf(body, sizeof(body),
		         "{\"error\":\"%s\",\"error_description\":"
		         "\"AADSTS%d: Words." TRACE "\",\"error_codes\":[%d]}",
		         cases[i].error, cases[i].code, cases[i].code);
		check_row("%s %d", cases[i].error, cases[i].code);
		CHECK_EQ(judge(OAUTH_STEP_POLL, cases[i].status, body, &err),
		         cases[i].next);
		CHECK_EQ(err.result, cases[i].result);
		if (!strstr(err.why, cases[i].says))
			CHECK_STR(err.why, cases[i].says);
		CHECK(!strstr(err.why, "Trace ID"));
	}
}

/* facts/graph.md 1.7. */
static void test_refreshing(void)
{
	static const struct {
		const char *error, *suberror;
		int code;
		long status;
		enum oauth_result result;
		const char *says;
	} cases[] = {
		{ "invalid_grant", "bad_token", 70000, 400, OAUTH_SIGN_IN,
		  "no longer valid; run `nmbackupfs auth`" },
		{ "invalid_grant", "", 70008, 400, OAUTH_SIGN_IN,
		  "not used for too long; run" },
		{ "invalid_grant", "bad_token", 700082, 400, OAUTH_SIGN_IN,
		  "not used for too long; run" },
		{ "invalid_grant", "token_expired", 0, 400, OAUTH_SIGN_IN,
		  "not used for too long; run" },
		{ "invalid_grant", "", 50173, 400, OAUTH_SIGN_IN, "revoked" },
		{ "invalid_grant", "", 50132, 400, OAUTH_SIGN_IN, "revoked" },
		{ "invalid_grant", "", 50133, 400, OAUTH_SIGN_IN, "revoked" },
		{ "invalid_grant", "", 70043, 400, OAUTH_SIGN_IN,
		  "now and then" },
		{ "invalid_grant", "basic_action", 50076, 400, OAUTH_SIGN_IN,
		  "another proof" },
		{ "invalid_grant", "", 50074, 400, OAUTH_SIGN_IN,
		  "another proof" },
		{ "invalid_grant", "", 50078, 400, OAUTH_SIGN_IN,
		  "another proof" },
		{ "invalid_grant", "", 50089, 400, OAUTH_SIGN_IN,
		  "no longer valid" },
		{ "invalid_grant", "", 700084, 400, OAUTH_SIGN_IN, "web page" },
		{ "invalid_grant", "", 54005, 400, OAUTH_SIGN_IN,
		  "used already" },
		{ "invalid_grant", "consent_required", 0, 400, OAUTH_SIGN_IN,
		  "consent" },
		{ "invalid_grant", "user_password_expired", 0, 400,
		  OAUTH_SIGN_IN, "password" },
		{ "invalid_grant", "client_mismatch", 0, 400, OAUTH_SIGN_IN,
		  "another client id" },
		{ "invalid_grant", "device_authentication_failed", 0, 400,
		  OAUTH_SIGN_IN, "Conditional Access" },
		{ "interaction_required", "", 0, 400, OAUTH_SIGN_IN,
		  "wants to see a person" },
		{ "invalid_scope", "", 70011, 400, OAUTH_SETUP,
		  "Files.ReadWrite" },
		{ "invalid_scope", "", 28002, 400, OAUTH_SETUP,
		  "Files.ReadWrite" },
		{ "invalid_request", "", 700022, 400, OAUTH_SETUP,
		  "Files.ReadWrite" },
		{ "invalid_resource", "", 0, 400, OAUTH_SETUP,
		  "Files.ReadWrite" },
		{ "unsupported_grant_type", "", 0, 400, OAUTH_SETUP,
		  "login_url" },
		{ "unauthorized_client", "", 7000112, 401, OAUTH_SETUP,
		  "disabled" },
		{ "invalid_request", "", 50194, 400, OAUTH_SETUP,
		  "one organisation" },
		{ "invalid_request", "", 90002, 400, OAUTH_SETUP,
		  "no such tenant" },
		{ "invalid_grant", "", 50020, 400, OAUTH_SETUP,
		  "does not belong" },
		{ "invalid_request", "", 50059, 400, OAUTH_SETUP,
		  "does not belong" },
		{ "invalid_request", "", 90038, 400, OAUTH_SETUP, "us-gov" },
		{ "invalid_request", "", 50134, 400, OAUTH_SETUP, "us-gov" },
		{ "invalid_grant", "", 65005, 400, OAUTH_SETUP,
		  "nobody manages it" },
		/* Trouble of the service, whatever it is called. */
		{ "invalid_grant", "", 50196, 400, OAUTH_OFFLINE,
		  "too many requests" },
		{ "invalid_grant", "", 90033, 400, OAUTH_OFFLINE, "trouble" },
		{ "invalid_request", "", 90024, 400, OAUTH_OFFLINE, "trouble" },
		{ "invalid_request", "", 90006, 400, OAUTH_OFFLINE, "trouble" },
		{ "invalid_request", "", 90012, 400, OAUTH_OFFLINE, "trouble" },
		{ "invalid_grant", "", 50033, 400, OAUTH_OFFLINE, "trouble" },
		{ "invalid_grant", "", 50087, 400, OAUTH_OFFLINE, "trouble" },
		{ "server_error", "", 0, 400, OAUTH_OFFLINE, "trouble" },
		{ "temporarily_unavailable", "", 90055, 429, OAUTH_OFFLINE,
		  "429" },
		{ "invalid_grant", "", 70000, 500, OAUTH_OFFLINE, "500" },
		/* Only a poll knows these. */
		{ "authorization_pending", "", 0, 400, OAUTH_SIGN_IN, "" },
		{ "slow_down", "", 0, 400, OAUTH_SIGN_IN, "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct oauth_error err;
		char body[300];

		snprintf(body, sizeof(body),
		         "{\"error\":\"%s\",\"suberror\":\"%s\","
		         "\"error_codes\":[%d]}",
		         cases[i].error, cases[i].suberror, cases[i].code);
		check_row("%s %s %d", cases[i].error, cases[i].suberror,
		          cases[i].code);
		CHECK_EQ(judge(OAUTH_STEP_REFRESH, cases[i].status, body, &err),
		         OAUTH_NEXT_END);
		CHECK_EQ(err.result, cases[i].result);
		if (!strstr(err.why, cases[i].says))
			CHECK_STR(err.why, cases[i].says);
	}
}

/* A network in between answers for the service: never a sign-out. */
static void test_answers_of_others(void)
{
	static const struct {
		long status;
		const char *body;
	} cases[] = {
		{ 200, "<html>Welcome to the hotel</html>" },
		{ 200, "" },
		{ 200, "[]" },
		{ 200, "\"x\"" },
		{ 200, "{\"error\":\"invalid_grant\"}" },
		{ 204, "" },
		{ 302, "" },
		{ 307, "{\"error\":\"invalid_grant\"}" },
		{ 400, "<html>Bad Request</html>" },
		{ 400, "{}" },
		{ 400, "{\"error\":{\"code\":\"x\"}}" },
		{ 400, "{\"error\":17}" },
		{ 403, "Forbidden" },
		{ 404, "" },
		{ 407, "proxy" },
		{ 502, "<html>" },
		{ 511, "Network Authentication Required" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct oauth_error err;

		check_row("%ld %s", cases[i].status, cases[i].body);
		judge(OAUTH_STEP_REFRESH, cases[i].status, cases[i].body, &err);
		CHECK_EQ(err.result, OAUTH_OFFLINE);
		CHECK(strstr(err.why, "login.example") != NULL);
	}
}

static void test_transport(void)
{
	static const struct {
		int rc;
		enum oauth_result result;
		const char *says;
	} cases[] = {
		{ -ENETUNREACH, OAUTH_OFFLINE, "can't reach login.example" },
		{ -ETIMEDOUT, OAUTH_OFFLINE, "can't reach login.example" },
		{ -ENETRESET, OAUTH_OFFLINE, "can't reach login.example" },
		{ -EPROTO, OAUTH_OFFLINE, "can't reach login.example" },
		{ -EFBIG, OAUTH_OFFLINE, "can't reach login.example" },
		{ -EKEYREJECTED, OAUTH_OFFLINE,
		  "certificate of login.example is not trusted" },
		{ -ECANCELED, OAUTH_CANCELED, "" },
		{ -ENOMEM, OAUTH_NO_MEMORY, "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct oauth_answer a = { .rc = cases[i].rc,
			                  .host = "login.example" };
		struct oauth_error err;

		check_row("%d", cases[i].rc);
		oauth_judge(OAUTH_STEP_REFRESH, &a, &err);
		CHECK_EQ(err.result, cases[i].result);
		CHECK(strstr(err.why, cases[i].says) != NULL);
	}
}

static void test_retry_after(void)
{
	static const struct {
		long status;
		int64_t header_ms, ms;
	} cases[] = {
		{ 429, 10000, 10000 },      { 429, -1, 5000 },
		{ 503, 7000, 7000 },        { 503, -1, 0 },
		{ 429, 86400000, 3600000 }, { 429, 0, 0 },
		{ 400, 3000, 3000 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct oauth_answer a = {
			.status = cases[i].status,
			.retry_after_ms = cases[i].header_ms,
			.host = "h",
		};
		struct oauth_error err;

		check_row("%ld %" PRId64, cases[i].status, cases[i].header_ms);
		oauth_judge(OAUTH_STEP_REFRESH, &a, &err);
		CHECK_EQ(err.retry_after_ms, cases[i].ms);
	}
}

static void test_description_is_shown_clean(void)
{
	struct oauth_error err;

	judge(OAUTH_STEP_POLL, 400,
	      "{\"error\":\"invalid_grant\",\"error_description\":"
	      "\"AADSTS53003: Access\\u001b[31m has been\\r\\nblocked.\\r\\n"
	      "Trace ID: 1\"}",
	      &err);
	CHECK_STR(err.why, "the sign-in is no longer valid (AADSTS53003: "
	                   "Access [31m has been blocked.)");
}

static void test_clean_text(void)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "plain", "plain" },
		{ "", "" },
		{ "a\r\n\r\nb\tc ", "a b c" },
		{ "\x1b[2Jx", "[2Jx" },
		{ "\xc3\xa4 \xe6\x97\xa5", "\xc3\xa4 \xe6\x97\xa5" },
		{ "a\xc2\x9b"
		  "b",
		  "a b" },
		{ "a\xe2\x80\xae"
		  "b",
		  "ab" },
		{ "a\xff\xfe"
		  "b\xc3",
		  "ab" },
		{ "12345678901234567890", "123456789012345" },
		{ "12345678901234\xc3\xa4", "12345678901234" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char out[16];

		check_row("%zu", i);
		oauth_clean_text(cases[i].in, out, sizeof(out));
		CHECK_STR(out, cases[i].out);
	}
}

/* ---- successes ----------------------------------------------------------- */

static enum oauth_result read_device(const char *body, struct oauth_device *d)
{
	cJSON *json = json_parse(body, strlen(body));
	struct oauth_error err = { .result = OAUTH_OK };
	enum oauth_result result = oauth_read_device(json, d, &err);

	CHECK_EQ(result, err.result);
	CHECK_EQ(result == OAUTH_OK, !err.why[0]);
	cJSON_Delete(json);
	return result;
}

static void test_device(void)
{
	struct oauth_device d;

	CHECK_EQ(read_device("{\"user_code\":\"KQ7MDX3FP\",\"device_code\":"
	                     "\"KAQ-x\",\"verification_uri\":"
	                     "\"https://login.microsoft.com/device\","
	                     "\"expires_in\":\"900\",\"interval\":5,"
	                     "\"message\":\"Open it.\"}",
	                     &d),
	         OAUTH_OK);
	CHECK_STR(d.user_code, "KQ7MDX3FP");
	CHECK_STR(d.device_code, "KAQ-x");
	CHECK_STR(d.verification_uri, "https://login.microsoft.com/device");
	CHECK_STR(d.message, "Open it.");
	CHECK_EQ(d.expires_in_s, 900);
	CHECK_EQ(d.interval_s, 5);
	oauth_device_done(&d);

	/* What MSAL assumes. */
	CHECK_EQ(read_device("{\"user_code\":\"K\",\"device_code\":\"D\","
	                     "\"verification_uri\":\"https://a.example/d\"}",
	                     &d),
	         OAUTH_OK);
	CHECK_STR(d.message, "To sign in, open https://a.example/d in a web "
	                     "browser and enter the code K.");
	CHECK_EQ(d.expires_in_s, 1800);
	CHECK_EQ(d.interval_s, 5);
	oauth_device_done(&d);
}

static void test_device_nonsense(void)
{
	static const char *const cases[] = {
		"{}",
		"{\"user_code\":\"K\",\"device_code\":\"D\"}",
		"{\"user_code\":\"K\",\"verification_uri\":\"https://a/d\"}",
		"{\"device_code\":\"D\",\"verification_uri\":\"https://a/d\"}",
		"{\"user_code\":\"K\",\"device_code\":\"D\\r\\nX: y\","
		"\"verification_uri\":\"https://a/d\"}",
		"{\"user_code\":\"K\\u001b[2J\",\"device_code\":\"D\","
		"\"verification_uri\":\"https://a/d\"}",
		"{\"user_code\":\"K\",\"device_code\":\"D\","
		"\"verification_uri\":\"javascript:alert(1)\"}",
		"{\"user_code\":\"K\",\"device_code\":\"D\","
		"\"verification_uri\":\"http://a.example/d\"}",
		"{\"user_code\":7,\"device_code\":\"D\","
		"\"verification_uri\":\"https://a/d\"}",
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct oauth_device d;

		check_row("%s", cases[i]);
		CHECK_EQ(read_device(cases[i], &d), OAUTH_OFFLINE);
	}
}

static enum oauth_result read_token(const char *body, struct oauth_token *t)
{
	cJSON *json = json_parse(body, strlen(body));
	struct oauth_error err = { .result = OAUTH_OK };
	enum oauth_result result = oauth_read_token(json, t, &err);

	CHECK_EQ(result, err.result);
	CHECK(!strstr(err.why, "SECRET"));
	json_wipe(json);
	return result;
}

static void test_token(void)
{
	struct oauth_token t;

	CHECK_EQ(read_token("{\"token_type\":\"bearer\",\"scope\":"
	                    "\"Files.ReadWrite User.Read\",\"expires_in\":"
	                    "3599,\"access_token\":\"A+/=.~\","
	                    "\"refresh_token\":\"M.C5!*$\",\"foci\":\"1\"}",
	                    &t),
	         OAUTH_OK);
	CHECK_STR(t.access, "A+/=.~");
	CHECK_STR(t.refresh, "M.C5!*$");
	CHECK_STR(t.scope, "Files.ReadWrite User.Read");
	CHECK_STR(t.tenant, "");
	CHECK_EQ(t.expires_in_s, 3599);
	oauth_token_done(&t);
	CHECK(!t.access && !t.refresh);

	CHECK_EQ(read_token("{\"access_token\":\"A\"}", &t), OAUTH_OK);
	CHECK(!t.refresh);
	CHECK_EQ(t.expires_in_s, 3600);
	oauth_token_done(&t);

	/* {"uid":"x","utid":"9188040d-..."} */
	CHECK_EQ(read_token("{\"access_token\":\"A\",\"expires_in\":\"-7\","
	                    "\"client_info\":\"eyJ1aWQiOiJ4IiwidXRpZCI6IjkxODg"
	                    "wNDBkLTZjNjctNGM1Yi1iMTEyLTM2YTMwNGI2NmRhZCJ9\"}",
	                    &t),
	         OAUTH_OK);
	CHECK_STR(t.tenant, CLOUD_MSA_TENANT);
	CHECK_EQ(t.expires_in_s, 1);
	oauth_token_done(&t);

	CHECK_EQ(read_token("{\"access_token\":\"A\",\"client_info\":\"%%%\"}",
	                    &t),
	         OAUTH_OK);
	CHECK_STR(t.tenant, "");
	oauth_token_done(&t);
}

static void test_token_nonsense(void)
{
	static const char *const cases[] = {
		"{}",
		"{\"access_token\":\"\"}",
		"{\"access_token\":7}",
		"{\"access_token\":\"SECRET\\r\\nX: y\"}",
		"{\"access_token\":\"SECRET \"}",
		"{\"access_token\":\"SECRET\",\"refresh_token\":\"SEC\\nRET\"}",
		"{\"access_token\":\"SECRET\",\"token_type\":\"mac\"}",
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct oauth_token t;

		check_row("%s", cases[i]);
		CHECK_EQ(read_token(cases[i], &t), OAUTH_OFFLINE);
	}
}

static void test_secret_is_token(void)
{
	static char big[SECRET_MAX_TOKEN + 1];

	memset(big, 'a', SECRET_MAX_TOKEN);
	CHECK(!secret_is_token(big));
	big[SECRET_MAX_TOKEN - 1] = '\0';
	CHECK(secret_is_token(big));
	CHECK(!secret_is_token(NULL));
	CHECK(!secret_is_token(""));
	CHECK(!secret_is_token("\xc3\xa4"));
}

static void test_scopes(void)
{
	static const struct {
		const char *granted, *wanted;
		bool covers;
	} cases[] = {
		{ "", "Files.ReadWrite offline_access", true },
		{ "Files.ReadWrite", "Files.ReadWrite offline_access", true },
		{ "profile openid files.readwrite email",
		  "Files.ReadWrite offline_access", true },
		{ "https://graph.microsoft.com/Files.ReadWrite",
		  "Files.ReadWrite offline_access", true },
		{ "Files.ReadWrite",
		  "https://graph.microsoft.us/Files.ReadWrite offline_access",
		  true },
		{ "Files.ReadWrite.All", "Files.ReadWrite", true },
		{ "Files.Read.All", "Files.ReadWrite", false },
		{ "Files.ReadWrite.AppFolder", "Files.ReadWrite", false },
		{ "Files.Read", "Files.ReadWrite", false },
		{ "User.Read", "Files.ReadWrite offline_access", false },
		{ " ", "Files.ReadWrite", false },
		{ "Files.ReadWrite", "Files.ReadWrite User.Read", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		check_row("%s / %s", cases[i].granted, cases[i].wanted);
		CHECK_EQ(oauth_scope_covers(cases[i].granted, cases[i].wanted),
		         cases[i].covers);
	}
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	RUN(test_polling);
	RUN(test_refreshing);
	RUN(test_answers_of_others);
	RUN(test_transport);
	RUN(test_retry_after);
	RUN(test_description_is_shown_clean);
	RUN(test_clean_text);
	RUN(test_device);
	RUN(test_device_nonsense);
	RUN(test_token);
	RUN(test_token_nonsense);
	RUN(test_secret_is_token);
	RUN(test_scopes);
	return check_report();
}
