/* auth/oauth_errors.h -- the refusals of the sign-in service, as tables.
 *
 * Source: facts/graph.md 1.2, 1.4, 1.7. Pure; threads: any. Internal to auth/.
 */
#ifndef NMB_OAUTH_ERRORS_H
#define NMB_OAUTH_ERRORS_H

#include "auth/oauth.h"
#include "net/json.h"

struct oauth_refusal {
	enum oauth_result result;
	const char *line; /* what happened and what to do; no full stop */
};

/* `error` is the member of that name of the error body `json`. Unknown errors
 * are OAUTH_SIGN_IN: somebody has to look. */
struct oauth_refusal oauth_find_refusal(const cJSON *json, const char *error);

#endif
