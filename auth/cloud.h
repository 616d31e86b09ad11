/* auth/cloud.h -- which sign-in service and which Graph an account kind uses.
 *
 * Protocol: facts/graph.md 1.1 (hosts), 1.2 (tenant segment), 1.8 (scopes).
 * Pure; threads: any. */
#ifndef NMB_CLOUD_H
#define NMB_CLOUD_H

#include <stddef.h>

struct cloud {
	char login_url[256]; /* "https://login..." with no slash at the end */
	char graph_url[256]; /* ".../v1.0" */
	char tenant[128];    /* segment of the sign-in URLs */
	char scope[256];     /* space separated */
};

/* `account`: "personal", "work", a tenant (GUID or domain), "us-gov",
 * "us-dod", "china". `login_url`, `graph_url`: what replaces the hosts, or
 * NULL. 0, or -EINVAL with one line for the user in `why`: an unknown account
 * kind, or a URL that is neither https nor loopback http. */
int cloud_resolve(const char *account, const char *login_url,
                  const char *graph_url, struct cloud *out, char *why,
                  size_t why_size);

#endif
