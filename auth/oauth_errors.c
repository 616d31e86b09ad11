#include "auth/oauth_errors.h"

#include <stddef.h>
#include <string.h>

#define POLICY_LINE                                                            \
	"a policy of the organisation (Conditional Access) refuses this "      \
	"sign-in: ask its administrator, or bring a token with "               \
	"`nmbackupfs auth --import-msal`"
#define TENANT_LINE                                                            \
	"this account does not belong to the tenant that was asked: check "    \
	"--account"
#define CLOUD_LINE                                                             \
	"this account lives in a national cloud: use --account us-gov, "       \
	"us-dod or china"
#define MFA_LINE     "the organisation asks for another proof of identity"
#define REVOKED_LINE "the sign-in was revoked, or the password changed"
#define UNUSED_LINE  "the sign-in was not used for too long"
#define ADMIN_LINE   "an administrator of the organisation has to approve the app"
#define SECRET_LINE                                                            \
	"the app registration asks for a secret: in the portal, under "        \
	"Authentication, set \"Allow public client flows\" to Yes"
#define SCOPE_LINE                                                             \
	"the service refuses the permissions asked for: give the app the "     \
	"delegated permissions Files.ReadWrite and offline_access"
#define SERVICE_LINE "the sign-in service has trouble"

/* By `error`: this decides. */
static const struct {
	const char *error;
	struct oauth_refusal refusal;
} errors[] = {
	{ "authorization_declined",
	  { OAUTH_DECLINED, "the sign-in was declined" } },
	{ "access_denied", { OAUTH_DECLINED, "the sign-in was declined" } },
	{ "expired_token",
	  { OAUTH_EXPIRED, "the code expired before somebody typed it" } },
	{ "bad_verification_code",
	  { OAUTH_SIGN_IN,
	    "the service does not know this device code (any more)" } },
	{ "invalid_client", { OAUTH_SETUP, SECRET_LINE } },
	{ "unauthorized_client",
	  { OAUTH_SETUP,
	    "the app may not sign in this kind of account: check client_id "
	    "and --account" } },
	{ "invalid_request",
	  { OAUTH_SETUP, "the service refuses the request: check client_id "
	                 "and --account" } },
	{ "unsupported_grant_type",
	  { OAUTH_SETUP, "the service does not offer this kind of sign-in: "
	                 "check login_url" } },
	{ "invalid_resource", { OAUTH_SETUP, SCOPE_LINE } },
	{ "invalid_scope", { OAUTH_SETUP, SCOPE_LINE } },
	{ "invalid_grant",
	  { OAUTH_SIGN_IN, "the sign-in is no longer valid" } },
	{ "interaction_required",
	  { OAUTH_SIGN_IN, "the service wants to see a person" } },
	{ "login_required",
	  { OAUTH_SIGN_IN, "the service wants to see a person" } },
	{ "consent_required",
	  { OAUTH_SIGN_IN, "nobody has given the app consent yet" } },
	{ "temporarily_unavailable", { OAUTH_OFFLINE, SERVICE_LINE } },
	{ "server_error", { OAUTH_OFFLINE, SERVICE_LINE } },
};

/* By `suberror`: better words for invalid_grant. */
static const struct {
	const char *suberror, *line;
} suberrors[] = {
	{ "consent_required", "nobody has given the app consent yet" },
	{ "token_expired", UNUSED_LINE },
	{ "user_password_expired",
	  "the account's password has run out: change it" },
	{ "client_mismatch", "the token belongs to another client id" },
	{ "device_authentication_failed", POLICY_LINE },
	{ "protection_policy_required", POLICY_LINE },
};

/* By AADSTS number: better words, and a few that say how it stands. Numbers
 * may change: what is missing here still has its `error`. */
#define SAME (-1)
static const struct {
	int code;
	int result; /* SAME: as `error` says */
	const char *line;
} codes[] = {
	{ 7000218, OAUTH_SETUP, SECRET_LINE },
	{ 70002, SAME, SECRET_LINE },
	{ 700016, OAUTH_SETUP,
	  "no app with this client id is known for this kind of account: check "
	  "client_id and --account" },
	{ 7000112, OAUTH_SETUP, "the app registration is disabled" },
	{ 9002331, OAUTH_SETUP,
	  "this app is for personal accounts only: use --account personal" },
	{ 9002332, OAUTH_SETUP,
	  "this app is for work accounts only: use --account work" },
	{ 50194, OAUTH_SETUP,
	  "this app belongs to one organisation: use --account with its tenant "
	  "id or domain" },
	{ 90002, OAUTH_SETUP, "there is no such tenant: check --account" },
	{ 50020, OAUTH_SETUP, TENANT_LINE },
	{ 50059, OAUTH_SETUP, TENANT_LINE },
	{ 90038, OAUTH_SETUP, CLOUD_LINE },
	{ 50134, OAUTH_SETUP, CLOUD_LINE },
	{ 65005, OAUTH_SETUP,
	  "the app can't be used in this organisation: nobody manages it" },
	{ 70011, OAUTH_SETUP, SCOPE_LINE },
	{ 28002, OAUTH_SETUP, SCOPE_LINE },
	{ 700022, OAUTH_SETUP, SCOPE_LINE },
	{ 65001, SAME, "nobody has given the app consent yet" },
	{ 65004, OAUTH_DECLINED, "the app was not allowed to see the files" },
	{ 90094, SAME, ADMIN_LINE },
	{ 90095, SAME, ADMIN_LINE },
	{ 53003, SAME, POLICY_LINE },
	{ 530032, SAME, POLICY_LINE },
	{ 50074, SAME, MFA_LINE },
	{ 50076, SAME, MFA_LINE },
	{ 50078, SAME, MFA_LINE },
	{ 50079, SAME, MFA_LINE },
	{ 70008, SAME, UNUSED_LINE },
	{ 700082, SAME, UNUSED_LINE },
	{ 700084, SAME,
	  "the token came from a web page and lived for a day only" },
	{ 50173, SAME, REVOKED_LINE },
	{ 50132, SAME, REVOKED_LINE },
	{ 50133, SAME, REVOKED_LINE },
	{ 70043, SAME, "the organisation asks for a new sign-in now and then" },
	{ 54005, SAME, "the code was used already" },
	{ 50196, OAUTH_OFFLINE,
	  "the sign-in service has had too many requests from here" },
	{ 90033, OAUTH_OFFLINE, SERVICE_LINE },
	{ 90024, OAUTH_OFFLINE, SERVICE_LINE },
	{ 90006, OAUTH_OFFLINE, SERVICE_LINE },
	{ 90012, OAUTH_OFFLINE, SERVICE_LINE },
	{ 50033, OAUTH_OFFLINE, SERVICE_LINE },
	{ 50087, OAUTH_OFFLINE, SERVICE_LINE },
};

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static void apply_code(double code, struct oauth_refusal *r)
{
	for (size_t i = 0; i < LEN(codes); i++) {
		if (codes[i].code != code)
			continue;
		r->line = codes[i].line;
		if (codes[i].result != SAME)
			r->result = (enum oauth_result)codes[i].result;
	}
}

static void apply_suberror(const char *suberror, struct oauth_refusal *r)
{
	for (size_t i = 0; suberror && i < LEN(suberrors); i++) {
		if (!strcmp(suberrors[i].suberror, suberror))
			r->line = suberrors[i].line;
	}
}

struct oauth_refusal oauth_find_refusal(const cJSON *json, const char *error)
{
	struct oauth_refusal r = { OAUTH_SIGN_IN,
		                   "the sign-in service refuses" };
	const cJSON *list = json_arr(json, "error_codes"), *code;

	for (size_t i = 0; i < LEN(errors); i++) {
		if (!strcmp(errors[i].error, error))
			r = errors[i].refusal;
	}
	apply_suberror(json_str(json, "suberror"), &r);
	cJSON_ArrayForEach (code, list) {
		if (cJSON_IsNumber(code))
			apply_code(code->valuedouble, &r);
	}
	return r;
}
