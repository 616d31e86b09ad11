/* auth/tokens.h -- the access token of one account: cached, refreshed once for
 * all who ask, the refresh token rotated durably.
 *
 * The blob "token" in the keystore holds client id, tenant, refresh token,
 * access token and its expiry, and which account it is (drive id, once known):
 * facts/graph.md 1.5. A new refresh token is durable before it is used.
 * Refreshes run on a thread of their own, ahead of expiry when somebody asks,
 * and about once a week while idle. A refusal leaves the blob alone.
 *
 * Threads: any; tokens_get() may be called from the network thread, it never
 * blocks. */
#ifndef NMB_TOKENS_H
#define NMB_TOKENS_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/cloud.h"
#include "auth/oauth.h"
#include "net/graph.h"

struct http;
struct keystore;
struct tokens;

struct tokens_options {
	struct http *http;
	struct keystore *keystore;
	const struct cloud *cloud; /* copied */
	const char *client_id;     /* copied */
};

/* Loads the blob. 0; -ENOENT: nobody signed in yet (the object is made all the
 * same: tokens_get() says -EACCES until tokens_set()); -EBADMSG: the blob is
 * damaged: it is kept, the caller says so; -EPERM: readable by others. */
int tokens_new(const struct tokens_options *opt, struct tokens **out_t,
               char *why, size_t why_size);
void tokens_free(struct tokens *t);

/* After a sign-in; durable before it returns. */
int tokens_set(struct tokens *t, const struct oauth_token *token);

/* Forgets the token here and in the keystore. */
int tokens_forget(struct tokens *t);

bool tokens_signed_in(struct tokens *t);

/* Why a person must sign in ("" if not); for status and log. */
void tokens_get_trouble(struct tokens *t, char *out, size_t size);

/* graph_token_fn: tokens_arg is the struct tokens. */
void tokens_get(void *tokens_arg, const char *stale, graph_got_token_fn *got,
                void *arg);

#endif
