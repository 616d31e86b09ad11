#include "fs/session.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/keystore.h"
#include "auth/tokens.h"
#include "fs/bwlimit.h"
#include "fs/config.h"
#include "fs/exit.h"
#include "fs/paths.h"
#include "net/error_text.h"
#include "net/graph.h"
#include "net/http.h"

/* Undecorated traffic is throttled first, facts 10.1. */
#define USER_AGENT "NONISV|nmbackupfs|nmbackupfs/" NMB_VERSION

static const char *set_or_null(const char *s)
{
	return s && *s ? s : NULL;
}

static const char *set_or(const char *s, const char *other)
{
	return s && *s ? s : other;
}

static int open_http(struct session *s, const struct session_options *opt,
                     char *why, size_t why_size)
{
	struct http_options http = {
		.user_agent = USER_AGENT,
		.ca_file = set_or_null(opt->ca_file),
		.http2 = opt->http2,
		.http2_any = opt->http2_any,
	};
	const char *up = set_or(opt->bwlimit_up, "0");
	const char *down = set_or(opt->bwlimit_down, "0");
	int rc = bwlimit_now(up, &http.up_bytes_per_s);

	if (rc == 0)
		rc = bwlimit_now(down, &http.down_bytes_per_s);
	if (rc < 0) {
		snprintf(why, why_size, "bwlimit: %s, %s", up, down);
		return rc;
	}
	rc = http_new(&http, &s->http);
	if (rc == 0)
		return bwlimit_new(s->http, up, down, &s->bwlimit);
	if (rc == -EINVAL)
		snprintf(why, why_size, "ca_file %s is not a PEM file",
		         opt->ca_file);
	return rc;
}

static struct keystore_options keystore_of(const struct session_options *opt)
{
	return (struct keystore_options){
		.backend = set_or_null(opt->keystore),
		.profile = set_or_null(opt->profile),
		.dir = opt->keystore_dir,
		.passphrase_command = set_or_null(opt->passphrase_command),
		.key_command = set_or_null(opt->key_command),
	};
}

static int open_keystore(const struct session_options *opt,
                         struct keystore **out_k, char *why, size_t why_size)
{
	const struct keystore_options keystore = keystore_of(opt);

	return keystore_open(&keystore, out_k, why, why_size);
}

/* Calls come only once the session is open: `tokens` is set by then. */
static void get_token(void *arg, const char *stale, graph_got_token_fn *got,
                      void *got_arg)
{
	struct session *s = arg;

	tokens_get(s->tokens, stale, got, got_arg);
}

static int open_graph(struct session *s)
{
	struct graph_options graph = {
		.http = s->http,
		.base_url = s->cloud.graph_url,
		.token = get_token,
		.token_arg = s,
	};

	return graph_new(&graph, &s->graph);
}

/* Runs when somebody has signed in (or out) elsewhere. */
static void on_tokens_changed(void *arg)
{
	struct session *s = arg;

	graph_kick(s->graph);
}

/* That nobody is signed in is an error only if the flags say so. */
static int open_tokens(struct session *s, unsigned flags, char *why,
                       size_t why_size)
{
	struct tokens_options tokens = {
		.http = s->http,
		.keystore = s->keystore,
		.cloud = &s->cloud,
		.client_id = set_or_null(s->client_id),
		.changed = on_tokens_changed,
		.changed_arg = s,
	};

	s->tokens_rc = tokens_new(&tokens, &s->tokens, why, why_size);
	if (!s->tokens)
		return s->tokens_rc;
	if (s->tokens_rc < 0 && flags & SESSION_SIGNED_IN)
		return -EACCES;
	return 0;
}

static int open_all(struct session *s, struct keystore *lent,
                    const struct session_options *opt, unsigned flags,
                    char *why, size_t why_size)
{
	int rc;

	rc = cloud_resolve(opt->account, opt->login_url, opt->graph_url,
	                   &s->cloud, why, why_size);
	if (rc == 0)
		rc = open_http(s, opt, why, why_size);
	s->lent = lent != NULL;
	if (s->lent)
		s->keystore = lent;
	else if (rc == 0)
		rc = open_keystore(opt, &s->keystore, why, why_size);
	if (rc == 0)
		rc = open_graph(s);
	if (rc == 0)
		rc = open_tokens(s, flags, why, why_size);
	return rc;
}

static int open_session(const struct session_options *opt,
                        struct keystore *lent, unsigned flags,
                        struct session **out_s, char *why, size_t why_size)
{
	struct session *s;
	int rc;

	why[0] = '\0';
	if (opt->client_id && strlen(opt->client_id) >= sizeof(s->client_id)) {
		snprintf(why, why_size, "client_id is too long");
		return -EINVAL;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	if (opt->client_id)
		strcpy(s->client_id, opt->client_id);
	rc = open_all(s, lent, opt, flags, why, why_size);
	if (rc < 0) {
		if (!why[0])
			snprintf(why, why_size, "%s", error_text(rc));
		session_close(s);
		return rc;
	}
	*out_s = s;
	return 0;
}

int session_open_options(const struct session_options *opt, unsigned flags,
                         struct session **out_s, char *why, size_t why_size)
{
	return open_session(opt, NULL, flags, out_s, why, why_size);
}

/* ---- from a config ------------------------------------------------------- */

/* `keys` has PATH_MAX bytes and must live as long as *out. */
static int fill_options(const struct config *cfg, char *keys,
                        struct session_options *out, char *why, size_t why_size)
{
	char dir[PATH_MAX];
	int rc = paths_config_dir(dir, sizeof(dir));

	if (rc == 0 && snprintf(keys, PATH_MAX, "%s/%s.keys", dir,
	                        config_text(cfg, CONFIG_PROFILE)) >= PATH_MAX)
		rc = -ENAMETOOLONG;
	if (rc < 0) {
		snprintf(why, why_size, "no place for secrets: %s",
		         error_text(rc));
		return rc;
	}
	*out = (struct session_options){
		.account = config_text(cfg, CONFIG_ACCOUNT),
		.client_id = config_text(cfg, CONFIG_CLIENT_ID),
		.login_url = config_text(cfg, CONFIG_LOGIN_URL),
		.graph_url = config_text(cfg, CONFIG_GRAPH_URL),
		.ca_file = config_text(cfg, CONFIG_CA_FILE),
		.keystore = config_text(cfg, CONFIG_KEYSTORE),
		.keystore_dir = keys,
		.profile = config_text(cfg, CONFIG_PROFILE),
		.passphrase_command =
			config_text(cfg, CONFIG_PASSPHRASE_COMMAND),
		.key_command = config_text(cfg, CONFIG_KEY_COMMAND),
		.http2 = config_bool(cfg, CONFIG_HTTP2),
		.http2_any = config_bool(cfg, CONFIG_HTTP2_ANY),
		.bwlimit_up = config_text(cfg, CONFIG_BWLIMIT_UP),
		.bwlimit_down = config_text(cfg, CONFIG_BWLIMIT_DOWN),
	};
	return 0;
}

int session_open_keystore(const struct config *cfg, struct keystore **out_k,
                          char *why, size_t why_size)
{
	struct session_options opt;
	char keys[PATH_MAX];
	int rc;

	why[0] = '\0';
	rc = fill_options(cfg, keys, &opt, why, why_size);
	if (rc == 0)
		rc = open_keystore(&opt, out_k, why, why_size);
	if (rc < 0 && !why[0])
		snprintf(why, why_size, "keystore: %s", error_text(rc));
	return rc;
}

int session_find_keystore(const struct config *cfg, const char **out_place,
                          char *why, size_t why_size)
{
	struct keystore_options keystore;
	struct session_options opt;
	char keys[PATH_MAX];
	int rc = fill_options(cfg, keys, &opt, why, why_size);

	if (rc < 0)
		return rc;
	keystore = keystore_of(&opt);
	return keystore_find_place(&keystore, out_place, why, why_size);
}

int session_move_keystore(const struct config *cfg, const char *place,
                          char *why, size_t why_size)
{
	struct keystore_options keystore;
	struct session_options opt;
	char keys[PATH_MAX];
	int rc = fill_options(cfg, keys, &opt, why, why_size);

	if (rc < 0)
		return rc;
	keystore = keystore_of(&opt);
	keystore.backend = place;
	return keystore_move(&keystore, why, why_size);
}

int session_open(const struct config *cfg, struct keystore *keystore,
                 unsigned flags, struct session **out_s, char *why,
                 size_t why_size)
{
	struct session_options opt;
	char keys[PATH_MAX];
	int rc = fill_options(cfg, keys, &opt, why, why_size);

	return rc < 0 ? rc
	              : open_session(&opt, keystore, flags, out_s, why,
	                             why_size);
}

void session_close(struct session *s)
{
	if (!s)
		return;
	/* The graph waits for answers of the tokens, which wait for http. */
	if (s->tokens)
		tokens_stop(s->tokens);
	if (s->graph)
		graph_free(s->graph);
	tokens_free(s->tokens);
	if (!s->lent)
		keystore_close(s->keystore);
	if (s->http)
		http_free(s->http);
	bwlimit_free(s->bwlimit);
	free(s);
}

void session_kick(struct session *s)
{
	http_drop_connections(s->http);
	tokens_kick(s->tokens);
	graph_kick(s->graph);
}

int session_exit_status(int rc)
{
	switch (rc) {
	case 0:
		return EXIT_OK;
	case -EINVAL:
		return EXIT_USAGE;
	case -EACCES:
	case -EXDEV:
		return EXIT_SIGN_IN;
	case -EBADMSG:
		return EXIT_DAMAGED;
	case -ENOTTY:
		return EXIT_NO_TERMINAL;
	default:
		return EXIT_FAILED;
	}
}
