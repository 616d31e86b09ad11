/* auth/oauth_post.h -- one form, posted to the sign-in service.
 *
 * Blocking; not from the network thread. Form and answer hold secrets: both
 * stay in sodium_malloc() memory here. Internal to auth/. */
#ifndef NMB_OAUTH_POST_H
#define NMB_OAUTH_POST_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/cloud.h"
#include "auth/oauth.h"
#include "auth/oauth_answer.h"
#include "net/json.h"

struct http;

struct oauth_form {
	char *text; /* sodium_malloc; NULL: no memory */
	size_t len;
	bool failed; /* no memory, or over 64 KiB */
};

void oauth_form_init(struct oauth_form *f);
void oauth_form_done(struct oauth_form *f);
void oauth_form_add(struct oauth_form *f, const char *name, const char *value);

/* Posts to {login}/{tenant}/oauth2/v2.0/{endpoint}. `a` and *out_json are
 * filled whatever happened: judge them next. The caller wipes *out_json
 * (json_wipe()); a->host and a->detail live in `post`. */
struct oauth_post {
	char host[256];
	char detail[160];
};
void oauth_post(struct http *http, const struct cloud *cloud,
                const char *endpoint, const struct oauth_form *form,
                oauth_cancel_fn *cancel, void *cancel_arg,
                struct oauth_post *post, struct oauth_answer *a,
                cJSON **out_json);

#endif
