/* auth/cloud.h -- which sign-in service and which Graph an account kind uses.
 *
 * Protocol: facts/graph.md 1.1 (hosts), 1.2 (tenant segment), 1.8 (scopes).
 * Pure; threads: any. */
#ifndef NMB_CLOUD_H
#define NMB_CLOUD_H

#include <stddef.h>

/* The tenant all personal accounts are in, facts 0. */
#define CLOUD_MSA_TENANT "9188040d-6c67-4c5b-b112-36a304b66dad"

struct cloud {
	char login_url[256]; /* "https://login..." with no slash at the end */
	char graph_url[256]; /* ".../v1.0" */
	char tenant[128];    /* segment of the sign-in URLs */
	char scope[256];     /* space separated */
};

/* `account`: "personal" (also NULL and ""), "work", "common", a tenant (GUID or
 * domain), "us-gov", "us-dod", "china", or one of the last three with a tenant:
 * "china/contoso.cn". `login_url`, `graph_url`: what replaces the hosts, or
 * NULL or "". 0, or -EINVAL with one line for the user in `why`: an unknown
 * account kind, or a URL that is neither https nor loopback http. */
int cloud_resolve(const char *account, const char *login_url,
                  const char *graph_url, struct cloud *out, char *why,
                  size_t why_size);

#endif
