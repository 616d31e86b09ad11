/* tests/graphd/login.h -- the sign-in service: device codes, tokens, and the
 * page on which a person types the code.
 *
 * Pure: no sockets, no files, no clock but `now_ms`. The same clock must be
 * used in every call; any that never runs backwards will do, and tokens
 * outlive a restart if the clock does (milliseconds since boot or 1970).
 * Threads: any; every call takes the object's own lock and never waits.
 * Protocol: facts/graph.md 1.2 to 1.8; error bodies as in its 1.7.
 *
 *   POST /{tenant}/oauth2/v2.0/devicecode
 *   POST /{tenant}/oauth2/v2.0/token        device_code and refresh_token
 *   GET  /{tenant}/v2.0/.well-known/openid-configuration
 *   GET, POST /devicelogin                  the page; ?otc=CODE fills it in
 *   HEAD, GET /                             200 (clients test the network)
 *
 * {tenant}: common, organizations, consumers, the MSA tenant's GUID, the
 * tenant (GUID) of an account, or the domain after the @ of a work account.
 *
 * Tokens are opaque and carry a keyed checksum: whatever this program issued
 * is known again after a restart without any stored state. Revocations and
 * the memory of used refresh tokens (`strict_rotation`) live in the object. */
#ifndef NMB_TESTS_GRAPHD_LOGIN_H
#define NMB_TESTS_GRAPHD_LOGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "net/buf.h"

#define LOGIN_MSA_TENANT "9188040d-6c67-4c5b-b112-36a304b66dad"

struct login; /* opaque */

struct login_account {
	const char *name;   /* "ann@example.com"; unique */
	const char *tenant; /* GUID; LOGIN_MSA_TENANT makes it personal */
};

struct login_options {
	/* Copied. With none given: one personal, one work account. The first
	 * one the tenant segment admits is the one that signs in by itself. */
	const struct login_account *accounts;
	size_t naccounts;
	bool work;                    /* default accounts: the work one first */
	const char *client_id;        /* NULL: any. Others: AADSTS700016 */
	const char *verification_uri; /* NULL: made from the request's host */
};

int login_new(const struct login_options *o, struct login **out_l);
void login_free(struct login *l);

struct login_request {
	const char *method;
	const char *host; /* Host header; NULL: "localhost" */
	bool https;
	const char *path;  /* as it came, without the query */
	const char *query; /* raw, NULL or "" if none */
	const char *form;  /* body, application/x-www-form-urlencoded */
	size_t form_len;
	int64_t now_ms;
};

struct login_header {
	const char *name; /* static */
	char value[64];
};

struct login_reply {
	int status;
	const char *content_type; /* static */
	struct buf body;
	struct login_header headers[4]; /* Cache-Control, Retry-After, ... */
	size_t nheaders;
};

/* True for what login_handle() answers: the endpoints and the page on every
 * host, and all of a host whose name starts with "login.". */
bool login_owns(const char *host, const char *path);

/* Fills all of *out_reply; out of memory gives status 500 and no body. Free
 * with login_reply_done(). The body of a HEAD is empty. */
void login_handle(struct login *l, const struct login_request *req,
                  struct login_reply *out_reply);
void login_reply_done(struct login_reply *reply);

/* What an Authorization header is worth. All but OK are 401 for Graph, code
 * InvalidAuthenticationToken. */
enum login_bearer {
	LOGIN_BEARER_OK,
	LOGIN_BEARER_MISSING, /* NULL, empty, or not a bearer */
	LOGIN_BEARER_UNKNOWN, /* not one of ours */
	LOGIN_BEARER_EXPIRED,
	LOGIN_BEARER_REVOKED, /* by "expire_access" */
};

/* `bearer`: the header's value, "Bearer " in front or not. */
enum login_bearer login_check(struct login *l, const char *bearer,
                              int64_t now_ms);

/* The same, and whose it is. *out_who is set only with OK. */
struct login_who {
	unsigned account; /* index */
	bool personal;
	bool read_only;  /* no scope that writes */
	bool app_folder; /* Files.ReadWrite.AppFolder is all there is */
};
enum login_bearer login_check_who(struct login *l, const char *bearer,
                                  int64_t now_ms, struct login_who *out_who);

/* Tokens without the ceremony, for tests that are about something else. The
 * refresh token works with any client id. `account` NULL: the first one.
 * `scope` NULL: Files.ReadWrite.All offline_access. Adds to both buffers.
 * -ENOENT: no such account. */
int login_issue(struct login *l, const char *account, const char *scope,
                int64_t now_ms, struct buf *out_access,
                struct buf *out_refresh);

/* Decides on a code as the page would. `code` NULL: every code that is still
 * open. `account` NULL: the first one the code's tenant segment admits.
 * Returns how many codes were decided, or -ENOENT: none. */
int login_decide(struct login *l, const char *code, bool approve,
                 const char *account, int64_t now_ms);

/* Behaviour, from the control interface. Members of `settings`, all optional;
 * an unknown one or a wrong type is -EINVAL, and then nothing has changed.
 * -ENOENT: no code that "approve" or "decline" could decide.
 *
 *   mode            "ask" (default): codes wait for the page or "approve"
 *                   "approve", "decline", "expire", "refuse": codes are so
 *                   decided by themselves at poll number `after_polls`
 *   after_polls     number, default 1: the first poll
 *   refuse_code     AADSTS number for "refuse" (table in login_error.c), such
 *                   as 50076 MFA, 65001 consent, 53003 Conditional Access
 *   approve         user code or "*": decided at once, as login_decide()
 *   decline         likewise
 *   account         name of the account for these and for the modes
 *   audience        "any" (default), "personal", "work", or a tenant GUID:
 *                   who the app is registered for (AADSTS9002331, 9002332,
 *                   50194)
 *   public_client   false: invalid_client, at the token endpoint only
 *   common_trap     true: refresh tokens of personal accounts got through
 *                   /common are refused (AADSTS70000, bad_token; facts 1.2)
 *   refuse_refresh  AADSTS number: every refresh is so refused; 0: none
 *   strict_rotation true: a refresh token works once (AADSTS70000 after);
 *                   an answer lost on the way then costs the sign-in
 *   omit_refresh    true: refreshes answer without a new refresh token
 *   code_life_s     default 900
 *   interval_s      default 5; 0 = polls are never too fast
 *   omit_interval   true: `interval` is not sent (clients assume 5 s)
 *   token_life_s    access tokens issued from now on; default 3600
 *   string_numbers  true: numbers are sent as decimal strings
 *   rfc_names       true: access_denied for authorization_declined
 *   fail            {"count": n, "status": 503, "error": "server_error",
 *                   "code": AADSTS number, "retry_after_s": s, "html": true}
 *                   next n token requests; error or code or html
 *   expire_access   true: every access token issued so far is refused
 *   revoke_refresh  true: every refresh token issued so far is refused
 *                   (AADSTS50173), and access tokens go on to their end
 */
int login_set(struct login *l, const cJSON *settings, int64_t now_ms);

/* A new object, NULL if out of memory. Counters since login_new():
 * device_codes, polls, polls_too_fast, approved, declined, refreshes,
 * refreshes_refused, token_errors, secrets_sent (client_secret seen),
 * checks_ok, checks_refused; and the open codes: open_codes [user_code]. */
cJSON *login_stats(struct login *l, int64_t now_ms);

#endif
