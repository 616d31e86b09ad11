#include "auth/cloud.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "net/http.h"

/* facts/graph.md 1.1. Account kinds that are not in here are tenants of the
 * global cloud. Short scope names mean the Graph of the cloud that signs in;
 * the national clouds get the full form, which is documented for them. */
static const struct account_kind {
	const char *name, *login, *graph, *tenant;
	bool full_scope;
} kinds[] = {
	{ "personal", "https://login.microsoftonline.com",
	  "https://graph.microsoft.com", "consumers", false },
	{ "work", "https://login.microsoftonline.com",
	  "https://graph.microsoft.com", "organizations", false },
	{ "common", "https://login.microsoftonline.com",
	  "https://graph.microsoft.com", "common", false },
	{ "us-gov", "https://login.microsoftonline.us",
	  "https://graph.microsoft.us", "organizations", true },
	{ "us-dod", "https://login.microsoftonline.us",
	  "https://dod-graph.microsoft.us", "organizations", true },
	{ "china", "https://login.chinacloudapi.cn",
	  "https://microsoftgraph.chinacloudapi.cn", "organizations", true },
};
#define GLOBAL (&kinds[0])

static bool is_set(const char *s)
{
	return s && *s;
}

static bool is_guid(const char *s)
{
	size_t i;

	for (i = 0; s[i]; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' : !isxdigit((unsigned char)s[i]))
			return false;
	}
	return i == 36;
}

/* Letters, digits, dots and hyphens, with a dot inside. */
static bool is_domain(const char *s)
{
	size_t len = strlen(s);

	if (!len || s[0] == '.' || s[0] == '-' || s[len - 1] == '.' ||
	    !strchr(s, '.') || strstr(s, ".."))
		return false;
	for (; *s; s++) {
		if (!isalnum((unsigned char)*s) && *s != '.' && *s != '-')
			return false;
	}
	return true;
}

static bool is_tenant(const char *s)
{
	return strlen(s) < sizeof(((struct cloud *)0)->tenant) &&
	       (is_guid(s) || is_domain(s));
}

/* "us-gov/contoso.onmicrosoft.us": a tenant of a national cloud. */
static const struct account_kind *find_kind(const char *account,
                                            const char **out_tenant)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		size_t n = strlen(kinds[i].name);

		if (strncasecmp(account, kinds[i].name, n))
			continue;
		*out_tenant = kinds[i].tenant;
		if (!account[n])
			return &kinds[i];
		*out_tenant = account + n + 1;
		if (account[n] == '/' && kinds[i].full_scope &&
		    is_tenant(*out_tenant))
			return &kinds[i];
	}
	*out_tenant = account;
	return is_tenant(account) ? GLOBAL : NULL;
}

static int set_url(const char *option, const char *url, const char *tail,
                   char *out, size_t size, char *why, size_t why_size)
{
	int len = snprintf(out, size, "%s%s", url, tail);

	if (len < 0 || (size_t)len >= size) {
		snprintf(why, why_size, "%s is too long", option);
		return -EINVAL;
	}
	while (len > 0 && out[len - 1] == '/')
		out[--len] = '\0';
	if (strpbrk(out, "?#@ ") || !http_url_allowed(out)) {
		snprintf(why, why_size,
		         "%s must be an https:// address without a query "
		         "(http:// is for loopback addresses only)",
		         option);
		return -EINVAL;
	}
	return 0;
}

static void set_scope(const struct account_kind *kind, struct cloud *out)
{
	snprintf(out->scope, sizeof(out->scope),
	         "%s%sFiles.ReadWrite offline_access",
	         kind->full_scope ? kind->graph : "",
	         kind->full_scope ? "/" : "");
}

int cloud_resolve(const char *account, const char *login_url,
                  const char *graph_url, struct cloud *out, char *why,
                  size_t why_size)
{
	const struct account_kind *kind;
	struct cloud c = { 0 };
	const char *tenant;
	int rc;

	kind = find_kind(is_set(account) ? account : GLOBAL->name, &tenant);
	if (!kind) {
		snprintf(
			why, why_size,
			"account \"%.64s\" is neither personal, work, common, "
			"us-gov, us-dod, china nor a tenant (its id or domain)",
			account);
		return -EINVAL;
	}
	if (!strcasecmp(tenant, CLOUD_MSA_TENANT))
		tenant = GLOBAL->tenant;
	strcpy(c.tenant, tenant); /* is_tenant() checked the length */
	set_scope(kind, &c);
	rc = set_url("login_url", is_set(login_url) ? login_url : kind->login,
	             "", c.login_url, sizeof(c.login_url), why, why_size);
	if (!rc)
		rc = set_url("graph_url",
		             is_set(graph_url) ? graph_url : kind->graph,
		             is_set(graph_url) ? "" : "/v1.0", c.graph_url,
		             sizeof(c.graph_url), why, why_size);
	if (!rc)
		*out = c;
	return rc;
}
