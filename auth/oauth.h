/* auth/oauth.h -- device-code sign-in and refresh: requests and answers.
 *
 * Protocol: facts/graph.md 1.3 to 1.7; RFC 8628. Blocking calls, not from the
 * network thread; any other may call, each call stands alone. Secrets are in
 * sodium_malloc() memory and wiped by the _done functions. */
#ifndef NMB_OAUTH_H
#define NMB_OAUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/cloud.h"

struct http;

struct oauth_token {
	char *access;  /* sodium_malloc */
	char *refresh; /* sodium_malloc; NULL: the answer had none */
	int64_t expires_in_s;
	char scope[512]; /* as granted; "": as asked for */
	char tenant[64]; /* of the account (utid); "": unknown */
};
void oauth_token_done(struct oauth_token *t);

enum oauth_result {
	OAUTH_OK,
	OAUTH_SIGN_IN,  /* refused for good: a person must sign in again */
	OAUTH_SETUP,    /* the app registration is wrong; `why` says what */
	OAUTH_DECLINED, /* the person said no */
	OAUTH_EXPIRED,  /* nobody typed the code in time */
	OAUTH_OFFLINE,  /* network or service trouble: the token still counts */
	OAUTH_CANCELED,
	OAUTH_NO_MEMORY,
};

struct oauth_error {
	enum oauth_result result;
	char why[512];          /* one line for people, with what to do next */
	int64_t retry_after_ms; /* OAUTH_OFFLINE: not before that; 0: no idea */
};

struct oauth_device {
	char *device_code; /* sodium_malloc */
	char user_code[64];
	char verification_uri[512];
	char message[1024]; /* as the service words it, control chars removed */
	int64_t expires_in_s, interval_s;
};
void oauth_device_done(struct oauth_device *d);

enum oauth_result oauth_device_start(struct http *http,
                                     const struct cloud *cloud,
                                     const char *client_id,
                                     struct oauth_device *out,
                                     struct oauth_error *err);

/* Asked about every 200 ms; true ends the call with OAUTH_CANCELED. May be
 * NULL. */
typedef bool oauth_cancel_fn(void *arg);

/* Polls until an end; network trouble is waited out until the code expires. */
enum oauth_result
oauth_device_wait(struct http *http, const struct cloud *cloud,
                  const char *client_id, const struct oauth_device *d,
                  oauth_cancel_fn *cancel, void *cancel_arg,
                  struct oauth_token *out, struct oauth_error *err);

/* One request, not repeated. An answer without a refresh token leaves
 * out->refresh NULL: the old one goes on. */
enum oauth_result oauth_refresh(struct http *http, const struct cloud *cloud,
                                const char *client_id, const char *refresh,
                                oauth_cancel_fn *cancel, void *cancel_arg,
                                struct oauth_token *out,
                                struct oauth_error *err);

/* True if `granted` (struct oauth_token.scope) holds each scope of `wanted`
 * but offline_access, in short or full form, in any order and case; also if
 * `granted` is "". Files.ReadWrite.All holds Files.ReadWrite. The service may
 * grant more and spell it differently (facts 1.6). */
bool oauth_scope_covers(const char *granted, const char *wanted);

/* True if that very scope (short name) is in the list. */
bool oauth_scope_has(const char *granted, const char *name);

#endif
