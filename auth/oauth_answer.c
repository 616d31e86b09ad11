#include "auth/oauth_answer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>
#include <utf8proc.h>

#include "auth/oauth_errors.h"
#include "auth/secret.h"
#include "net/http.h"

#define MAX_RETRY_AFTER_MS INT64_C(3600000) /* as MSAL does, facts 1.7 */
#define NO_RETRY_AFTER_MS  INT64_C(5000)    /* 429 without a header */

/* ---- text ---------------------------------------------------------------- */

static bool is_bidi_control(utf8proc_int32_t c)
{
	return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static bool is_control(utf8proc_int32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 ||
	       c == 0x2029;
}

void oauth_clean_text(const char *in, char *out, size_t size)
{
	utf8proc_int32_t c;
	utf8proc_ssize_t n;
	size_t len = 0;

	while (*in) {
		n = utf8proc_iterate((const utf8proc_uint8_t *)in, -1, &c);
		if (n <= 0 || is_bidi_control(c)) {
			in += n > 0 ? n : 1;
			continue;
		}
		if (len + (size_t)n >= size)
			break;
		if (!is_control(c)) {
			memcpy(out + len, in, (size_t)n);
			len += (size_t)n;
		} else if (len > 0 && out[len - 1] != ' ') {
			out[len++] = ' ';
		}
		in += n;
	}
	while (len > 0 && out[len - 1] == ' ')
		len--;
	out[len] = '\0';
}

/* The description without trace ids and time, which follow its text. */
static void describe(const cJSON *json, char *out, size_t size)
{
	const char *text = json_str(json, "error_description");
	char *tail;

	out[0] = '\0';
	if (!text)
		return;
	oauth_clean_text(text, out, size);
	tail = strstr(out, " Trace ID:");
	if (tail)
		*tail = '\0';
}

/* ---- answers that are no success ----------------------------------------- */

static void set_offline(struct oauth_error *err, int64_t retry_after_ms)
{
	err->result = OAUTH_OFFLINE;
	err->retry_after_ms = retry_after_ms > MAX_RETRY_AFTER_MS
	                              ? MAX_RETRY_AFTER_MS
	                              : retry_after_ms;
	if (err->retry_after_ms < 0)
		err->retry_after_ms = 0;
}

static void judge_transport(const struct oauth_answer *a,
                            struct oauth_error *err)
{
	const char *detail =
		a->detail && *a->detail ? a->detail : strerror(-a->rc);

	set_offline(err, 0);
	if (a->rc == -ECANCELED)
		err->result = OAUTH_CANCELED;
	else if (a->rc == -ENOMEM)
		err->result = OAUTH_NO_MEMORY;
	if (a->rc == -EKEYREJECTED)
		snprintf(err->why, sizeof(err->why),
		         "the certificate of %s is not trusted (%s)", a->host,
		         detail);
	else
		snprintf(err->why, sizeof(err->why), "can't reach %s: %s",
		         a->host, detail);
}

static void judge_trouble(const struct oauth_answer *a, struct oauth_error *err)
{
	int64_t wait = a->retry_after_ms;

	if (wait < 0 && a->status == 429)
		wait = NO_RETRY_AFTER_MS;
	set_offline(err, wait);
	snprintf(err->why, sizeof(err->why),
	         "the sign-in service %s has trouble (HTTP status %ld)",
	         a->host, a->status);
}

/* HTML, or JSON of another kind: a proxy, a captive portal, a wrong URL. */
static void judge_nonsense(const struct oauth_answer *a,
                           struct oauth_error *err)
{
	set_offline(err, a->retry_after_ms);
	snprintf(err->why, sizeof(err->why),
	         "what answers at %s is not the sign-in service (HTTP status "
	         "%ld): does this network want a login page first, or is "
	         "login_url wrong?",
	         a->host, a->status);
}

static void judge_refusal(enum oauth_step step, const struct oauth_answer *a,
                          const struct oauth_refusal *r,
                          struct oauth_error *err)
{
	char text[224];

	err->result = r->result;
	if (r->result == OAUTH_OFFLINE)
		set_offline(err, a->retry_after_ms);
	describe(a->json, text, sizeof(text));
	snprintf(err->why, sizeof(err->why), "%s%s%s%s%s", r->line,
	         step == OAUTH_STEP_REFRESH && r->result == OAUTH_SIGN_IN
	                 ? "; run `nmbackupfs auth` to sign in again"
	                 : "",
	         *text ? " (" : "", text, *text ? ")" : "");
}

enum oauth_next oauth_judge(enum oauth_step step, const struct oauth_answer *a,
                            struct oauth_error *err)
{
	const char *error = json_str(a->json, "error");
	struct oauth_refusal r;

	*err = (struct oauth_error){ .result = OAUTH_OK };
	if (a->rc < 0) {
		judge_transport(a, err);
	} else if (a->status == 200 && cJSON_IsObject(a->json) && !error) {
		return OAUTH_NEXT_END;
	} else if (a->status >= 500 || a->status == 429 || a->status == 408) {
		judge_trouble(a, err);
	} else if (!error || a->status < 400) {
		judge_nonsense(a, err);
	} else if (step == OAUTH_STEP_POLL &&
	           !strcmp(error, "authorization_pending")) {
		return OAUTH_NEXT_POLL;
	} else if (step == OAUTH_STEP_POLL && !strcmp(error, "slow_down")) {
		return OAUTH_NEXT_SLOWER;
	} else {
		r = oauth_find_refusal(a->json, error);
		judge_refusal(step, a, &r, err);
	}
	return step == OAUTH_STEP_POLL && err->result == OAUTH_OFFLINE
	               ? OAUTH_NEXT_POLL
	               : OAUTH_NEXT_END;
}

/* ---- successes ----------------------------------------------------------- */

static enum oauth_result nonsense(struct oauth_error *err, const char *what)
{
	*err = (struct oauth_error){ .result = OAUTH_OFFLINE };
	snprintf(err->why, sizeof(err->why),
	         "the sign-in service's answer has no usable %s", what);
	return err->result;
}

static enum oauth_result no_memory(struct oauth_error *err)
{
	*err = (struct oauth_error){ .result = OAUTH_NO_MEMORY };
	snprintf(err->why, sizeof(err->why), "no memory");
	return err->result;
}

static int64_t clamp(int64_t v, int64_t min, int64_t max)
{
	return v < min ? min : v > max ? max : v;
}

/* Text that must fit whole and be clean already, or it is none. */
static bool copy_clean(const char *in, char *out, size_t size)
{
	if (!in || !*in)
		return false;
	oauth_clean_text(in, out, size);
	return !strcmp(in, out);
}

enum oauth_result oauth_read_device(const cJSON *json, struct oauth_device *out,
                                    struct oauth_error *err)
{
	const char *code = json_str(json, "device_code");
	const char *message = json_str(json, "message");
	struct oauth_device d = { 0 };

	if (!secret_is_token(code))
		return nonsense(err, "device code");
	if (!copy_clean(json_str(json, "user_code"), d.user_code,
	                sizeof(d.user_code)))
		return nonsense(err, "code to type");
	if (!copy_clean(json_str(json, "verification_uri"), d.verification_uri,
	                sizeof(d.verification_uri)) ||
	    !http_url_allowed(d.verification_uri))
		return nonsense(err, "address to open");
	if (message)
		oauth_clean_text(message, d.message, sizeof(d.message));
	if (!d.message[0])
		snprintf(d.message, sizeof(d.message),
		         "To sign in, open %s in a web browser and enter the "
		         "code %s.",
		         d.verification_uri, d.user_code);
	/* Defaults as MSAL's, facts 1.3. */
	d.expires_in_s = clamp(json_i64(json, "expires_in", 1800), 1, 86400);
	d.interval_s = clamp(json_i64(json, "interval", 5), 1, 300);
	d.device_code = secret_strdup(code);
	if (!d.device_code)
		return no_memory(err);
	*out = d;
	return OAUTH_OK;
}

/* client_info: base64url of {"uid":...,"utid":...}, facts 1.6. */
static void read_tenant(const char *client_info, char *out, size_t size)
{
	unsigned char text[512];
	const char *tenant;
	size_t len;
	cJSON *json;

	if (!client_info ||
	    sodium_base642bin(text, sizeof(text), client_info,
	                      strlen(client_info), "=", &len, NULL,
	                      sodium_base64_VARIANT_URLSAFE_NO_PADDING) < 0)
		return;
	json = json_parse((const char *)text, len);
	tenant = json_str(json, "utid");
	if (tenant && !copy_clean(tenant, out, size))
		out[0] = '\0';
	cJSON_Delete(json);
}

enum oauth_result oauth_read_token(const cJSON *json, struct oauth_token *out,
                                   struct oauth_error *err)
{
	const char *access = json_str(json, "access_token");
	const char *refresh = json_str(json, "refresh_token");
	const char *type = json_str(json, "token_type");
	const char *scope = json_str(json, "scope");
	struct oauth_token t = { 0 };

	if (!secret_is_token(access))
		return nonsense(err, "access token");
	if (type && strcasecmp(type, "Bearer"))
		return nonsense(err, "token type");
	if (refresh && !secret_is_token(refresh))
		return nonsense(err, "refresh token");
	if (scope)
		oauth_clean_text(scope, t.scope, sizeof(t.scope));
	read_tenant(json_str(json, "client_info"), t.tenant, sizeof(t.tenant));
	t.expires_in_s = clamp(json_i64(json, "expires_in", 3600), 1,
	                       INT64_C(30) * 86400);
	t.access = secret_strdup(access);
	if (refresh)
		t.refresh = secret_strdup(refresh);
	if (!t.access || (refresh && !t.refresh)) {
		oauth_token_done(&t);
		return no_memory(err);
	}
	*out = t;
	return OAUTH_OK;
}

void oauth_token_done(struct oauth_token *t)
{
	secret_free(t->access);
	secret_free(t->refresh);
	*t = (struct oauth_token){ 0 };
}

void oauth_device_done(struct oauth_device *d)
{
	secret_free(d->device_code);
	sodium_memzero(d, sizeof(*d));
}
