/* auth/tokens.h -- the access token of one account: cached, refreshed once for
 * all who ask, the refresh token rotated durably.
 *
 * The blob "token" in the keystore (auth/token_blob.h) holds client id, tenant,
 * refresh token, access token and its expiry, and which account it is (drive
 * id, once known): facts/graph.md 1.5. A new refresh token is durable before
 * the old one is dropped; where the keystore can't be written the sign-in goes
 * on from memory and the write is tried again.
 *
 * Refreshes run on a thread of their own, ahead of expiry when somebody asks,
 * and about once a week while idle. Each one looks into the keystore first:
 * several programs share one sign-in. After a failure the next attempt waits
 * (auth/token_times.h). A refusal leaves the blob alone; while nobody is signed
 * in, the keystore is looked at now and then, so that `nmbackupfs auth` takes
 * effect in a running mount.
 *
 * Threads: any; tokens_get() may be called from the network thread, it never
 * blocks. tokens_set...() and tokens_forget() may block (disk). Errors: 0 or
 * -Exxx. */
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

/* Signed out, or in again: tokens_signed_in() changed. From any thread, with
 * no lock held; must not call tokens_free(). */
typedef void tokens_changed_fn(void *arg);

struct tokens_options {
	struct http *http;
	struct keystore *keystore;
	const struct cloud *cloud;  /* copied */
	const char *client_id;      /* copied; NULL: that of the blob */
	tokens_changed_fn *changed; /* may be NULL */
	void *changed_arg;
};

/* Loads the blob. 0; -ENOENT: nobody signed in yet, or at another service;
 * -EBADMSG: the blob is damaged: it is kept; -ENOTSUP: a newer release wrote
 * it; -EPERM: open to others. With these the object is made all the same
 * (tokens_get() says -EACCES until there is a token) and `why` has one line.
 * Any other error: *out_t is untouched. */
int tokens_new(const struct tokens_options *opt, struct tokens **out_t,
               char *why, size_t why_size);

/* Gives a refresh that is out two seconds to end; who waits then, or asks
 * later, gets -ECANCELED.
 * For the shutdown: graph_free() waits for the answers to its questions. Not
 * from a callback. */
void tokens_stop(struct tokens *t);

/* Stops if need be, frees. NULL is fine. */
void tokens_free(struct tokens *t);

/* What is known of the account beside the token; NULL: as configured (client
 * id, tenant, scope to ask for), not known yet (drive id). */
struct tokens_account {
	const char *client_id, *tenant, *scope, *drive_id;
};

/* After a sign-in; durable before it returns; `account` may be NULL. A token
 * without access token is refreshed at the first use. -EINVAL: no client id is
 * known, or a text is too long. */
int tokens_set(struct tokens *t, const struct oauth_token *token);
int tokens_set_account(struct tokens *t, const struct oauth_token *token,
                       const struct tokens_account *account);

/* The drive of the account, once somebody has asked the service. A blob of
 * another drive that turns up later is not taken (faults 50). -EXDEV: another
 * one is known already, nothing was changed (tokens_set_account() does change
 * it); -ENAMETOOLONG: over 255 bytes. */
int tokens_set_drive(struct tokens *t, const char *drive_id);

/* "" if not known. */
void tokens_get_drive(struct tokens *t, char *out, size_t size);

/* Forgets the token here and in the keystore. */
int tokens_forget(struct tokens *t);

bool tokens_signed_in(struct tokens *t);

/* Why a person must sign in ("" if not); for status and log. */
void tokens_get_trouble(struct tokens *t, char *out, size_t size);

/* graph_token_fn: tokens_arg is the struct tokens. `got` also gets -ENETUNREACH
 * while the back-off runs, -ENOMEM, -ECANCELED. */
void tokens_get(void *tokens_arg, const char *stale, graph_got_token_fn *got,
                void *arg);

/* The network may be back: the next tokens_get() asks the service at once. */
void tokens_kick(struct tokens *t);

#endif
