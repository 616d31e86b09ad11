#include "auth/msal.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "auth/oauth_answer.h"
#include "auth/secret.h"
#include "net/json.h"

#define MIN_LIFE_S 60

void msal_found_done(struct msal_found *f)
{
	oauth_token_done(&f->token);
	*f = (struct msal_found){ 0 };
}

/* ---- does an entry fit? -------------------------------------------------- */

/* Names of one and the same sign-in host, facts 1.10. */
static const char *const global_hosts[] = {
	"login.microsoftonline.com",
	"login.windows.net",
	"sts.windows.net",
	"login.microsoft.com",
};

static bool is_global(const char *host, size_t len)
{
	for (size_t i = 0; i < sizeof(global_hosts) / sizeof(*global_hosts);
	     i++) {
		if (strlen(global_hosts[i]) == len &&
		    !strncasecmp(global_hosts[i], host, len))
			return true;
	}
	return false;
}

static bool is_same_host(const char *environment, const struct cloud *cloud)
{
	const char *host = strstr(cloud->login_url, "://");
	size_t len, env_len = strlen(environment);

	if (!host)
		return false;
	host += 3;
	len = strcspn(host, "/");
	if (is_global(host, len))
		return is_global(environment, env_len);
	if (env_len == len && !strncasecmp(environment, host, len))
		return true;
	len = strcspn(host, ":/"); /* the cache may leave the port out */
	return env_len == len && !strncasecmp(environment, host, len);
}

/* home_account_id is "uid.utid". */
static const char *home_tenant(const cJSON *entry)
{
	const char *home = json_str(entry, "home_account_id");
	const char *dot = home ? strrchr(home, '.') : NULL;

	return dot ? dot + 1 : NULL;
}

static bool is_personal(const cJSON *entry)
{
	const char *tenant = home_tenant(entry);

	return tenant && !strcasecmp(tenant, CLOUD_MSA_TENANT);
}

static bool is_right_kind(const cJSON *entry, const struct cloud *cloud)
{
	if (!home_tenant(entry))
		return false; /* an application without a person */
	if (!strcmp(cloud->tenant, "common"))
		return true;
	return is_personal(entry) == !strcmp(cloud->tenant, "consumers");
}

static bool is_usable(const cJSON *entry, const struct cloud *cloud)
{
	const char *environment = json_str(entry, "environment");
	const char *client_id = json_str(entry, "client_id");

	return environment && is_same_host(environment, cloud) && client_id &&
	       *client_id && strlen(client_id) < 128 &&
	       is_right_kind(entry, cloud) &&
	       secret_is_token(json_str(entry, "secret"));
}

/* ---- which is best? ------------------------------------------------------ */

/* No target: nothing is known against it. */
static bool covers(const cJSON *entry, const char *scope)
{
	const char *target = json_str(entry, "target");

	return !target || oauth_scope_covers(target, scope);
}

static bool is_better(const cJSON *a, const cJSON *b, const struct cloud *cloud,
                      const char *client_id)
{
	const char *name = client_id ? client_id : "";
	bool a_is, b_is;

	if (!b)
		return true;
	a_is = !strcasecmp(json_str(a, "client_id"), name);
	b_is = !strcasecmp(json_str(b, "client_id"), name);
	if (a_is != b_is)
		return a_is;
	a_is = covers(a, cloud->scope);
	b_is = covers(b, cloud->scope);
	if (a_is != b_is)
		return a_is;
	return json_i64(a, "last_modification_time", 0) >
	       json_i64(b, "last_modification_time", 0);
}

static const cJSON *find_refresh(const cJSON *cache, const struct cloud *cloud,
                                 const char *client_id)
{
	const cJSON *entry, *best = NULL;

	cJSON_ArrayForEach (entry, json_obj(cache, "RefreshToken")) {
		if (is_usable(entry, cloud) &&
		    is_better(entry, best, cloud, client_id))
			best = entry;
	}
	return best;
}

static bool is_same(const cJSON *a, const cJSON *b, const char *member)
{
	const char *x = json_str(a, member), *y = json_str(b, member);

	return x && y && !strcasecmp(x, y);
}

static bool is_same_account(const cJSON *a, const cJSON *b)
{
	return is_same(a, b, "home_account_id") && is_same(a, b, "environment");
}

static const cJSON *find_access(const cJSON *cache, const cJSON *refresh,
                                const struct cloud *cloud, int64_t now_s)
{
	const cJSON *entry;

	cJSON_ArrayForEach (entry, json_obj(cache, "AccessToken")) {
		const char *target = json_str(entry, "target");

		if (is_same_account(entry, refresh) &&
		    is_same(entry, refresh, "client_id") && target &&
		    oauth_scope_covers(target, cloud->scope) &&
		    json_i64(entry, "expires_on", 0) >= now_s + MIN_LIFE_S &&
		    secret_is_token(json_str(entry, "secret")))
			return entry;
	}
	return NULL;
}

/* ---- taking it out ------------------------------------------------------- */

static void set_username(const cJSON *cache, const cJSON *refresh, char *out,
                         size_t size)
{
	const cJSON *entry;

	cJSON_ArrayForEach (entry, json_obj(cache, "Account")) {
		const char *name = json_str(entry, "username");

		if (name && is_same_account(entry, refresh))
			oauth_clean_text(name, out, size);
	}
}

/* What the person consented to is what can be asked for: a cache that only
 * knows the wider permission is asked for that one. */
static void set_scope(const cJSON *refresh, const struct cloud *cloud,
                      char *out, size_t size)
{
	static const char narrow[] = "Files.ReadWrite";
	const char *target = json_str(refresh, "target");
	const char *name = strstr(cloud->scope, narrow);

	if (name && target && !oauth_scope_has(target, narrow) &&
	    oauth_scope_has(target, "Files.ReadWrite.All"))
		snprintf(out, size, "%.*s%s.All%s", (int)(name - cloud->scope),
		         cloud->scope, narrow, name + strlen(narrow));
	else
		snprintf(out, size, "%s", cloud->scope);
}

static int take_out(const cJSON *cache, const cJSON *refresh,
                    const struct cloud *cloud, int64_t now_s,
                    struct msal_found *f)
{
	const cJSON *access = find_access(cache, refresh, cloud, now_s);

	f->token.refresh = secret_strdup(json_str(refresh, "secret"));
	if (!f->token.refresh)
		return -ENOMEM;
	if (access) {
		f->token.access = secret_strdup(json_str(access, "secret"));
		if (!f->token.access)
			return -ENOMEM;
		f->token.expires_in_s =
			json_i64(access, "expires_on", 0) - now_s;
	}
	strcpy(f->client_id, json_str(refresh, "client_id"));
	strcpy(f->tenant, is_personal(refresh) ? "consumers" : cloud->tenant);
	set_scope(refresh, cloud, f->scope, sizeof(f->scope));
	set_username(cache, refresh, f->username, sizeof(f->username));
	return 0;
}

static int find(const cJSON *cache, const struct cloud *cloud,
                const char *client_id, int64_t now_s, struct msal_found *out,
                char *why, size_t why_size)
{
	const cJSON *refresh;
	int rc;

	if (!cJSON_IsObject(cache)) {
		snprintf(why, why_size,
		         "this is no token cache of MSAL for Python (an "
		         "encrypted one can't be imported)");
		return -EBADMSG;
	}
	refresh = find_refresh(cache, cloud, client_id);
	if (!refresh) {
		snprintf(why, why_size,
		         "the cache holds no refresh token for this kind of "
		         "account: is --account right?");
		return -ENOENT;
	}
	rc = take_out(cache, refresh, cloud, now_s, out);
	if (rc < 0)
		snprintf(why, why_size, "no memory");
	return rc;
}

int msal_parse(const char *text, size_t len, const struct cloud *cloud,
               const char *client_id, int64_t now_s, struct msal_found *out,
               char *why, size_t why_size)
{
	struct msal_found f = { 0 };
	cJSON *cache = json_parse(text, len);
	int rc;

	rc = find(cache, cloud, client_id, now_s, &f, why, why_size);
	json_wipe(cache);
	if (rc < 0)
		msal_found_done(&f);
	else
		*out = f;
	return rc;
}
