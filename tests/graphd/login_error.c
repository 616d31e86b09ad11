#include "tests/graphd/login_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "net/clock.h"

/* facts/graph.md 1.2 to 1.7. The texts are ours; clients don't read them. */
static const struct login_error errors[] = {
	{ LOGIN_SLOW_DOWN, 400, "slow_down", NULL, "Polling too often.", 0 },
	{ LOGIN_DECLINED, 400, "authorization_declined", NULL,
	  "The user refused the request.", 0 },
	{ LOGIN_DENIED, 400, "access_denied", NULL,
	  "The user refused the request.", 0 },
	{ 70016, 400, "authorization_pending", NULL,
	  "The user has not finished signing in yet.", 0 },
	{ 70018, 400, "bad_verification_code", NULL,
	  "The device code is not known.", 0 },
	{ 70019, 400, "expired_token", NULL, "The device code is too old.", 0 },
	{ 70020, 400, "expired_token", NULL, "The device code is too old.", 0 },

	{ 7000218, 401, "invalid_client", NULL,
	  "A client secret or assertion is required.", 0 },
	{ 70002, 401, "invalid_client", NULL,
	  "The client has to authenticate itself.", 0 },
	{ 700016, 400, "unauthorized_client", NULL,
	  "The application was not found in the directory.", 0 },
	{ 7000112, 400, "unauthorized_client", NULL,
	  "The application is disabled.", 0 },
	{ 65005, 400, "unauthorized_client", NULL,
	  "The application can't be used in an unmanaged tenant.", 0 },

	{ 900144, 400, "invalid_request", NULL,
	  "The request body lacks a required parameter", 0 },
	{ 900561, 400, "invalid_request", NULL,
	  "The endpoint accepts only POST requests.", 0 },
	{ 90002, 400, "invalid_request", NULL, "The tenant was not found.", 0 },
	{ 90038, 400, "invalid_request", NULL,
	  "The tenant is in another cloud: use its endpoint.", 0 },
	{ 90120, 400, "invalid_request", NULL, "The request is not allowed.",
	  0 },
	{ 9002331, 400, "invalid_request", NULL,
	  "The application is for personal accounts only: use /consumers.", 0 },
	{ 9002332, 400, "invalid_request", NULL,
	  "The application is for work accounts only: don't use /consumers.",
	  0 },
	{ 50194, 400, "invalid_request", NULL,
	  "The application is for one tenant: don't use /common.", 0 },
	{ 54005, 400, "invalid_request", NULL, "The code was redeemed already.",
	  0 },
	{ 50196, 400, "invalid_request", NULL, "The client is in a loop.", 0 },
	{ 70003, 400, "unsupported_grant_type", NULL,
	  "The grant type is not supported.", 0 },
	{ 70011, 400, "invalid_scope", NULL, "The scope is not valid.", 0 },
	{ 28002, 400, "invalid_scope", NULL, "The scope is empty.", 0 },
	{ 700022, 400, "invalid_scope", NULL,
	  "The scope names more than one resource.", 0 },

	{ 70000, 400, "invalid_grant", "bad_token",
	  "The grant is expired or not valid.", 0 },
	{ 700082, 400, "invalid_grant", "bad_token",
	  "The refresh token was not used for 90.00:00:00.", 0 },
	{ 70008, 400, "invalid_grant", "bad_token",
	  "The grant has expired for lack of use.", 0 },
	{ 50173, 400, "invalid_grant", "bad_token",
	  "The grant was revoked: sign in again.", 0 },
	{ 70043, 400, "invalid_grant", "bad_token",
	  "The tenant's sign-in frequency demands a new sign-in.", 0 },
	{ 50132, 400, "invalid_grant", "bad_token", "The session was revoked.",
	  0 },
	{ 50133, 400, "invalid_grant", "bad_token", "The session was revoked.",
	  0 },
	{ 50020, 400, "invalid_grant", NULL,
	  "The account does not exist in this tenant.", 0 },
	{ 50076, 400, "invalid_grant", "basic_action",
	  "Multi-factor authentication is required.", true },
	{ 50079, 400, "invalid_grant", "basic_action",
	  "Enrolment in multi-factor authentication is required.", true },
	{ 50074, 400, "invalid_grant", "basic_action",
	  "Strong authentication is required.", true },
	{ 50078, 400, "invalid_grant", "basic_action",
	  "Multi-factor authentication has expired.", true },
	{ 53003, 400, "invalid_grant", "message_only",
	  "Access is blocked by Conditional Access policies.", true },
	{ 530032, 400, "invalid_grant", "message_only",
	  "Access is blocked by a security policy of the organisation.", true },
	{ 65001, 400, "invalid_grant", "consent_required",
	  "The user or an administrator has not consented.", 0 },
	{ 65004, 400, "invalid_grant", "consent_required",
	  "The user declined to consent.", 0 },
	{ 90094, 400, "invalid_grant", "consent_required",
	  "An administrator has to consent.", 0 },
	{ 90095, 400, "invalid_grant", "consent_required",
	  "An administrator has to consent; a request can be made.", 0 },

	{ 90033, 503, "temporarily_unavailable", NULL,
	  "The service is not available for the moment.", 0 },
	{ 90055, 429, "temporarily_unavailable", NULL, "Too many requests.",
	  0 },
	{ 50033, 500, "server_error", NULL, "A transient error.", 0 },
};

const struct login_error *login_error_find(int code)
{
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		if (errors[i].code == code)
			return &errors[i];
	return NULL;
}

static void random_uuid(char out[37])
{
	unsigned char b[16];

	randombytes_buf(b, sizeof(b));
	b[6] = (b[6] & 0x0F) | 0x40;
	b[8] = (b[8] & 0x3F) | 0x80;
	snprintf(out, 37,
	         "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
	         "%02x%02x%02x%02x%02x%02x",
	         b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9],
	         b[10], b[11], b[12], b[13], b[14], b[15]);
}

/* "2026-11-22 10:14:05Z": not RFC 3339's T. */
static void timestamp_now(char out[CLOCK_RFC3339_SIZE])
{
	clock_format_rfc3339(clock_real_ns(), 0, out);
	out[10] = ' ';
}

/* Both separators are seen in the wild (facts 1.7). */
static char *describe(const struct login_error *e, const char *detail,
                      const char *trace, const char *correlation,
                      const char *timestamp)
{
	const char *sep = e->suberror ? "\r\n" : " ";
	struct buf b = BUF_INIT;

	buf_addf(&b, "AADSTS%d: %s%s%s", e->code, e->text, detail ? ": " : "",
	         detail ? detail : "");
	buf_addf(&b, "%sTrace ID: %s%sCorrelation ID: %s%sTimestamp: %s", sep,
	         trace, sep, correlation, sep, timestamp);
	return buf_steal(&b);
}

static void add_ids(cJSON *obj, const struct login_error *e, const char *detail)
{
	char trace[37], correlation[37], timestamp[CLOCK_RFC3339_SIZE];
	char uri[64];
	char *text;

	random_uuid(trace);
	random_uuid(correlation);
	timestamp_now(timestamp);
	text = describe(e, detail, trace, correlation, timestamp);
	snprintf(uri, sizeof(uri),
	         "https://login.microsoftonline.com/error?code=%d", e->code);
	cJSON_AddStringToObject(obj, "error_description", text ? text : "");
	cJSON_AddItemToObject(obj, "error_codes",
	                      cJSON_CreateIntArray(&e->code, 1));
	cJSON_AddStringToObject(obj, "timestamp", timestamp);
	cJSON_AddStringToObject(obj, "trace_id", trace);
	cJSON_AddStringToObject(obj, "correlation_id", correlation);
	cJSON_AddStringToObject(obj, "error_uri", uri);
	free(text);
}

void login_error_reply(const struct login_error *e, const char *detail,
                       struct login_reply *reply)
{
	cJSON *obj = cJSON_CreateObject();

	cJSON_AddStringToObject(obj, "error", e->error);
	if (e->code > 0)
		add_ids(obj, e, detail);
	else
		cJSON_AddStringToObject(obj, "error_description", e->text);
	if (e->suberror)
		cJSON_AddStringToObject(obj, "suberror", e->suberror);
	if (e->claims)
		cJSON_AddStringToObject(
			obj, "claims",
			"{\"access_token\":{\"capolids\":{\"essential\":true,"
			"\"values\":[\"e0c1\"]}}}");
	login_reply_json(reply, e->status, obj);
}

void login_error_code(int code, const char *detail, struct login_reply *reply)
{
	static const struct login_error unknown = {
		90120, 400, "invalid_request", NULL, "Unknown", 0
	};
	const struct login_error *e = login_error_find(code);

	login_error_reply(e ? e : &unknown, detail, reply);
}

void login_reply_header(struct login_reply *reply, const char *name,
                        const char *value)
{
	struct login_header *h;

	if (reply->nheaders == ARRAY_LEN(reply->headers))
		return;
	h = &reply->headers[reply->nheaders++];
	h->name = name;
	snprintf(h->value, sizeof(h->value), "%s", value);
}

void login_reply_json(struct login_reply *reply, int status, cJSON *obj)
{
	char *text = cJSON_PrintUnformatted(obj);

	cJSON_Delete(obj);
	reply->status = status;
	reply->content_type = "application/json; charset=utf-8";
	buf_clear(&reply->body);
	if (text)
		buf_add_str(&reply->body, text);
	else
		reply->body.failed = true;
	cJSON_free(text);
	login_reply_header(reply, "Cache-Control", "no-store, no-cache");
	login_reply_header(reply, "Pragma", "no-cache");
}
