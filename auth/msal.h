/* auth/msal.h -- takes a sign-in out of a token cache of MSAL for Python.
 *
 * Format and import rule: facts/graph.md 1.10 (SerializableTokenCache). Keys
 * are never parsed, entries are picked by their members. Importing does not
 * break the other program: old refresh tokens are not revoked by use.
 * Pure; threads: any. */
#ifndef NMB_MSAL_H
#define NMB_MSAL_H

#include <stddef.h>
#include <stdint.h>

#include "auth/cloud.h"
#include "auth/oauth.h"

struct msal_found {
	/* The refresh token, and an access token if one is there that is good
	 * for another minute; its expires_in_s counts from `now_s`. */
	struct oauth_token token;
	char client_id[128]; /* a refresh token works only with its own */
	char tenant[128];    /* segment to refresh through */
	char scope[256];     /* to ask for */
	char username[256];  /* for people; "" if not known */
};
void msal_found_done(struct msal_found *f);

/* The best refresh token for this cloud: of `client_id` (may be NULL) if there
 * is one, then one that was granted what we need, then the newest. `now_s`:
 * seconds since 1970. 0; -EBADMSG: no such cache, or an encrypted one; -ENOENT:
 * nothing in it fits; -ENOMEM. On an error `why` has one line for people. */
int msal_parse(const char *text, size_t len, const struct cloud *cloud,
               const char *client_id, int64_t now_s, struct msal_found *out,
               char *why, size_t why_size);

#endif
