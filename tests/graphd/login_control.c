#include "tests/graphd/login_internal.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "net/json.h"

#define AT(member) offsetof(struct login_settings, member)

static const struct setting table[] = {
	{ "mode", SETTING_TEXT, AT(mode_name) },
	{ "after_polls", SETTING_I64, AT(after_polls) },
	{ "refuse_code", SETTING_I64, AT(refuse_code) },
	{ "approve", SETTING_TEXT, AT(approve) },
	{ "decline", SETTING_TEXT, AT(decline) },
	{ "account", SETTING_TEXT, AT(account) },
	{ "audience", SETTING_TEXT, AT(audience) },
	{ "public_client", SETTING_BOOL, AT(public_client) },
	{ "common_trap", SETTING_BOOL, AT(common_trap) },
	{ "refuse_refresh", SETTING_I64, AT(refuse_refresh) },
	{ "strict_rotation", SETTING_BOOL, AT(strict_rotation) },
	{ "omit_refresh", SETTING_BOOL, AT(omit_refresh) },
	{ "code_life_s", SETTING_I64, AT(code_life_s) },
	{ "interval_s", SETTING_I64, AT(interval_s) },
	{ "omit_interval", SETTING_BOOL, AT(omit_interval) },
	{ "token_life_s", SETTING_I64, AT(token_life_s) },
	{ "string_numbers", SETTING_BOOL, AT(string_numbers) },
	{ "rfc_names", SETTING_BOOL, AT(rfc_names) },
	{ "fail", SETTING_OTHER, 0 },
	{ "expire_access", SETTING_BOOL, AT(expire_access) },
	{ "revoke_refresh", SETTING_BOOL, AT(revoke_refresh) },
};

#define FAIL_AT(member) offsetof(struct login_fail, member)

static const struct setting fail_table[] = {
	{ "count", SETTING_I64, FAIL_AT(count) },
	{ "status", SETTING_I64, FAIL_AT(status) },
	{ "code", SETTING_I64, FAIL_AT(code) },
	{ "error", SETTING_TEXT, FAIL_AT(error) },
	{ "retry_after_s", SETTING_I64, FAIL_AT(retry_after_s) },
	{ "html", SETTING_BOOL, FAIL_AT(html) },
};

static const char *const mode_names[] = {
	[LOGIN_MODE_ASK] = "ask",         [LOGIN_MODE_APPROVE] = "approve",
	[LOGIN_MODE_DECLINE] = "decline", [LOGIN_MODE_EXPIRE] = "expire",
	[LOGIN_MODE_REFUSE] = "refuse",
};

static int parse_mode(struct login_settings *s)
{
	for (size_t i = 0; i < ARRAY_LEN(mode_names); i++) {
		if (strcmp(s->mode_name, mode_names[i]) != 0)
			continue;
		s->mode = (enum login_mode)i;
		return 0;
	}
	return -EINVAL;
}

static bool knows_code(int64_t code)
{
	return code <= INT32_MAX && login_error_find((int)code);
}

static int parse_fail(const cJSON *obj, struct login_fail *out)
{
	*out = (struct login_fail){ .count = 1 };
	if (settings_apply(fail_table, ARRAY_LEN(fail_table), obj, out) < 0)
		return -EINVAL;
	if (!out->html && !out->error[0] && !knows_code(out->code))
		return -EINVAL;
	if (out->status && (out->status < 400 || out->status > 599))
		return -EINVAL;
	return 0;
}

static int parse(struct login_settings *s, const cJSON *obj)
{
	const cJSON *fail = json_get(obj, "fail");

	s->approve[0] = s->decline[0] = '\0';
	s->expire_access = s->revoke_refresh = false;
	if (settings_apply(table, ARRAY_LEN(table), obj, s) < 0 ||
	    parse_mode(s) < 0)
		return -EINVAL;
	if (!knows_code(s->refuse_code) ||
	    (s->refuse_refresh && !knows_code(s->refuse_refresh)))
		return -EINVAL;
	return fail ? parse_fail(fail, &s->fail) : 0;
}

static int decide_now(struct login *l, const char *code, bool yes,
                      int64_t now_ms)
{
	const char *account = l->set.account[0] ? l->set.account : NULL;

	if (!code[0])
		return 0;
	return login_decide_locked(l, strcmp(code, "*") == 0 ? NULL : code, yes,
	                           account, now_ms);
}

int login_set(struct login *l, const cJSON *settings, int64_t now_ms)
{
	struct login_settings s;
	int rc;

	pthread_mutex_lock(&l->lock);
	s = l->set;
	rc = parse(&s, settings);
	if (rc == 0) {
		l->set = s;
		if (s.expire_access)
			l->access_dead_ms = now_ms;
		if (s.revoke_refresh)
			l->refresh_dead_ms = now_ms;
		rc = decide_now(l, s.approve, true, now_ms);
		if (rc >= 0)
			rc = decide_now(l, s.decline, false, now_ms);
	}
	pthread_mutex_unlock(&l->lock);
	return rc < 0 ? rc : 0;
}

static bool add_open_codes(const struct login *l, cJSON *obj, int64_t now_ms)
{
	cJSON *codes = cJSON_AddArrayToObject(obj, "open_codes");
	struct login_device *d;
	cJSON *code;

	for (d = l->devices; codes && d; d = d->next) {
		if (d->state != LOGIN_OPEN || now_ms >= d->expires_ms)
			continue;
		code = cJSON_CreateString(d->user_code);
		if (!code || !cJSON_AddItemToArray(codes, code))
			return false;
	}
	return codes != NULL;
}

cJSON *login_stats(struct login *l, int64_t now_ms)
{
	cJSON *obj = cJSON_CreateObject();
	const struct login_counts *n = &l->count;
	bool ok = obj != NULL;

	pthread_mutex_lock(&l->lock);
	const struct {
		const char *name;
		int64_t value;
	} rows[] = {
		{ "device_codes", n->device_codes },
		{ "polls", n->polls },
		{ "polls_too_fast", n->polls_too_fast },
		{ "approved", n->approved },
		{ "declined", n->declined },
		{ "refreshes", n->refreshes },
		{ "refreshes_refused", n->refreshes_refused },
		{ "token_errors", n->token_errors },
		{ "secrets_sent", n->secrets_sent },
		{ "checks_ok", n->checks_ok },
		{ "checks_refused", n->checks_refused },
	};

	for (size_t i = 0; ok && i < ARRAY_LEN(rows); i++)
		ok = cJSON_AddNumberToObject(obj, rows[i].name,
		                             (double)rows[i].value);
	ok = ok && add_open_codes(l, obj, now_ms);
	pthread_mutex_unlock(&l->lock);
	if (ok)
		return obj;
	cJSON_Delete(obj);
	return NULL;
}
