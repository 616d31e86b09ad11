#include "tests/graphd/login_internal.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "net/json.h"

#define WORK_TENANT "6babcaad-604b-40ac-a9d7-9fd97c0b779f"

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

enum login_via login_via_of(const struct login *l, const char *tenant)
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
