/* fs/session.h -- everything between a config and requests to the service:
 * http, keystore, graph, tokens; opened in this order, closed in reverse.
 *
 * For the mount and for every command that talks to the service. The members
 * of an open session are set once and may be used by any thread until
 * session_close(). */
#ifndef NMB_SESSION_H
#define NMB_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/cloud.h"

struct bwlimit;
struct config;
struct graph;
struct http;
struct keystore;
struct tokens;

struct session {
	struct cloud cloud;
	char client_id[128]; /* as configured; "": none */
	struct http *http;
	struct bwlimit *bwlimit; /* NULL: no timetable */
	struct keystore *keystore;
	bool lent; /* the keystore is the caller's */
	struct tokens *tokens;
	struct graph *graph;
	int tokens_rc; /* of tokens_new(): 0, or why nobody is signed in */
};

/* Strings are copied where they are needed; NULL and "" mean the default. */
struct session_options {
	const char *account, *client_id, *login_url, *graph_url, *ca_file;
	const char *keystore, *keystore_dir, *profile;
	const char *passphrase_command, *key_command;
	bool http2;
	bool http2_any;                        /* net/http.h */
	const char *bwlimit_up, *bwlimit_down; /* fs/bwlimit.h */
};

enum session_flags {
	SESSION_ANY = 0,
	SESSION_SIGNED_IN = 1, /* nobody is: -EACCES */
};

/* Where secrets rest: as configured, in or noted in <profile>.keys beside the
 * config. As keystore_open(). */
int session_open_keystore(const struct config *cfg, struct keystore **out_k,
                          char *why, size_t why_size);

/* keystore_find_place() and keystore_move(). */
int session_find_keystore(const struct config *cfg, const char **out_place,
                          char *why, size_t why_size);
int session_move_keystore(const struct config *cfg, const char *place,
                          char *why, size_t why_size);

/* `keystore` is lent for the session's life; NULL: as session_open_keystore().
 * 0; -EINVAL: the config is wrong; -EACCES: see the flags; -Exxx, also of
 * keystore_open(). On an error `why` has one line for people. */
int session_open(const struct config *cfg, struct keystore *keystore,
                 unsigned flags, struct session **out_s, char *why,
                 size_t why_size);
int session_open_options(const struct session_options *opt, unsigned flags,
                         struct session **out_s, char *why, size_t why_size);

/* Ends what is under way with -ECANCELED. NULL is fine. */
void session_close(struct session *s);

/* The network may be back, or the machine woke up: tries what waits now. */
void session_kick(struct session *s);

/* The exit status (fs/exit.h) for an error of session_open() and of fs/signin.h
 * functions. */
int session_exit_status(int rc);

#endif
