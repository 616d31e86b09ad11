/* tests/graphd/login_internal.h -- what the files of the sign-in service share.
 *
 * login.c         the object, tenants, bearers
 * login_control.c settings and statistics
 * login_serve.c   requests to endpoints
 * login_device.c  device codes: made, decided, polled
 * login_token.c   tokens and scopes
 * login_grant.c   tokens handed out: success bodies, refreshing
 * login_error.c   the table of errors, their bodies
 * login_form.c    forms
 * login_page.c    the page where the code is typed
 * Functions named _locked want the object's lock held; the others are pure. */
#ifndef NMB_TESTS_GRAPHD_LOGIN_INTERNAL_H
#define NMB_TESTS_GRAPHD_LOGIN_INTERNAL_H

#include "tests/graphd/login.h"

#include <pthread.h>

#include "tests/graphd/settings.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ---- errors -------------------------------------------------------------- */

struct login_error {
	int code; /* AADSTS number; negative: one that has none */
	int status;
	const char *error;
	const char *suberror; /* or NULL */
	const char *text;
	bool claims; /* a claims challenge comes along */
};

enum {
	LOGIN_SLOW_DOWN = -1,
	LOGIN_DECLINED = -2,
	LOGIN_DENIED = -3, /* RFC 8628's name for it */
};

/* NULL if there is no such code. */
const struct login_error *login_error_find(int code);

/* Fills reply; `detail` NULL or a clause put after the text. */
void login_error_reply(const struct login_error *e, const char *detail,
                       struct login_reply *reply);
void login_error_code(int code, const char *detail, struct login_reply *reply);

/* Prints `obj` (NULL: out of memory), frees it. */
void login_reply_json(struct login_reply *reply, int status, cJSON *obj);
void login_reply_header(struct login_reply *reply, const char *name,
                        const char *value);

/* ---- forms --------------------------------------------------------------- */

/* The decoded value of a member, allocated; NULL: not there (or no memory,
 * which a test program may treat alike). The first one counts. */
char *login_form_get(const char *form, size_t len, const char *name);

/* ---- scopes and tokens --------------------------------------------------- */

enum {
	SCOPE_FILES_READ = 1 << 0,
	SCOPE_FILES_READ_ALL = 1 << 1,
	SCOPE_FILES_READWRITE = 1 << 2,
	SCOPE_FILES_READWRITE_ALL = 1 << 3,
	SCOPE_APP_FOLDER = 1 << 4,
	SCOPE_USER_READ = 1 << 5,
	SCOPE_SITES_READ_ALL = 1 << 6,
	SCOPE_SITES_READWRITE_ALL = 1 << 7,
	SCOPE_OFFLINE = 1 << 8,
	SCOPE_OPENID = 1 << 9,
	SCOPE_PROFILE = 1 << 10,
	SCOPE_EMAIL = 1 << 11,
};
#define SCOPE_ALWAYS (SCOPE_OPENID | SCOPE_PROFILE | SCOPE_EMAIL)
#define SCOPE_WRITES                                                           \
	(SCOPE_FILES_READWRITE | SCOPE_FILES_READWRITE_ALL |                   \
	 SCOPE_APP_FOLDER | SCOPE_SITES_READWRITE_ALL)
#define SCOPE_DRIVE                                                            \
	(SCOPE_FILES_READ | SCOPE_FILES_READ_ALL | SCOPE_FILES_READWRITE |     \
	 SCOPE_FILES_READWRITE_ALL | SCOPE_SITES_READ_ALL |                    \
	 SCOPE_SITES_READWRITE_ALL)

/* Returns 0, 70011 (a scope nobody knows) or 28002 (none at all). */
int login_scope_parse(const char *text, unsigned *out_scopes);

/* As an answer spells it: no offline_access, OpenID's always there. */
int login_scope_format(unsigned scopes, struct buf *out);

/* Which tenant segment was used. */
enum login_via {
	LOGIN_VIA_NONE, /* unknown: AADSTS90002 */
	LOGIN_VIA_COMMON,
	LOGIN_VIA_ORGANIZATIONS,
	LOGIN_VIA_CONSUMERS,
	LOGIN_VIA_TENANT, /* a work tenant, see `tenant` beside it */
};

enum login_token_kind { LOGIN_ACCESS = 1, LOGIN_REFRESH = 2 };

/* What a token says, byte for byte what its checksum covers. */
struct login_token {
	uint64_t serial; /* random */
	int64_t issued_ms;
	int64_t expires_ms;
	uint64_t client; /* login_client_hash(); 0: any */
	uint32_t scopes;
	uint8_t kind;
	uint8_t account;
	uint8_t via;
	uint8_t personal;
};

int login_token_seal(const struct login_token *t, struct buf *out);

/* False: not one of ours, or of the other kind. */
bool login_token_open(const char *text, enum login_token_kind kind,
                      struct login_token *out_t);

uint64_t login_client_hash(const char *client_id); /* never 0 */

/* ---- device codes -------------------------------------------------------- */

enum login_device_state {
	LOGIN_OPEN,
	LOGIN_APPROVED, /* account is set */
	LOGIN_REFUSED,  /* final, with `refusal`: declined, expired, policy */
	LOGIN_REDEEMED, /* final */
};

struct login_device {
	struct login_device *next;
	char code[64];
	char user_code[10];
	enum login_device_state state;
	int refusal; /* code of a login_error */
	enum login_via via;
	char tenant[SETTING_TEXT_SIZE];
	uint64_t client;
	unsigned scopes;
	unsigned account;
	unsigned polls;
	bool polled;
	int64_t last_poll_ms;
	int64_t interval_ms;
	int64_t expires_ms;
};

enum login_mode {
	LOGIN_MODE_ASK,
	LOGIN_MODE_APPROVE,
	LOGIN_MODE_DECLINE,
	LOGIN_MODE_EXPIRE,
	LOGIN_MODE_REFUSE,
};

struct login_settings {
	char mode_name[SETTING_TEXT_SIZE];
	enum login_mode mode; /* from mode_name */
	char audience[SETTING_TEXT_SIZE];
	char account[SETTING_TEXT_SIZE];
	char approve[SETTING_TEXT_SIZE]; /* at once, not kept */
	char decline[SETTING_TEXT_SIZE];
	int64_t after_polls, refuse_code, refuse_refresh;
	int64_t code_life_s, interval_s, token_life_s;
	bool public_client, common_trap, strict_rotation, omit_refresh;
	bool omit_interval, string_numbers, rfc_names;
	bool expire_access, revoke_refresh; /* at once, not kept */
	struct login_fail {
		int64_t count, status, code, retry_after_s;
		char error[SETTING_TEXT_SIZE];
		bool html;
	} fail;
};

struct login_user { /* a login_account, owned */
	char *name;
	char *tenant;
};

struct login {
	pthread_mutex_t lock;
	struct login_user *accounts;
	size_t naccounts;
	char *client_id;
	char *verification_uri;
	struct login_settings set;
	struct login_device *devices;
	int64_t access_dead_ms; /* tokens issued until then are refused */
	int64_t refresh_dead_ms;
	uint64_t *used; /* serials, with strict_rotation */
	size_t nused;
	struct login_counts {
		int64_t device_codes, polls, polls_too_fast;
		int64_t approved, declined;
		int64_t refreshes, refreshes_refused, token_errors;
		int64_t secrets_sent, checks_ok, checks_refused;
	} count;
};

/* One request, taken apart. */
struct login_call {
	const struct login_request *req;
	enum login_via via;
	char tenant[SETTING_TEXT_SIZE];
	char *client_id; /* owned */
};

bool login_is_personal(const struct login *l, unsigned account);

enum login_via login_via_of(const struct login *l, const char *tenant);

/* May this account sign in through that segment? */
bool login_admits_locked(const struct login *l, unsigned account,
                         enum login_via via, const char *tenant);

/* As `string_numbers` wants it. */
void login_add_number(const struct login *l, cJSON *obj, const char *name,
                      int64_t value);

void login_device_new_locked(struct login *l, const struct login_call *call,
                             struct login_reply *reply);
void login_device_poll_locked(struct login *l, const struct login_call *call,
                              struct login_reply *reply);
int login_decide_locked(struct login *l, const char *code, bool approve,
                        const char *account, int64_t now_ms);
struct login_device *login_device_find_locked(struct login *l,
                                              const char *user_code,
                                              int64_t now_ms);
void login_devices_free(struct login_device *d);

/* New tokens like `old` (kind is ignored), as a success body. */
void login_grant_locked(struct login *l, const struct login_call *call,
                        const struct login_token *old, bool refresh,
                        struct login_reply *reply);
int login_mint_locked(struct login *l, const struct login_token *like,
                      enum login_token_kind kind, int64_t now_ms,
                      struct buf *out);
void login_refresh_locked(struct login *l, const struct login_call *call,
                          struct login_reply *reply);

/* The page; `note` tells what the last try did, NULL at first. */
void login_page(const struct login *l, const char *prefill, const char *note,
                struct login_reply *reply);

#endif
