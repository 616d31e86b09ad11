/* auth/tokens_internal.h -- shared by auth/tokens.c (who asks),
 * auth/tokens_store.c (blob and memory) and auth/tokens_refresh.c (the thread
 * that gets new ones).
 *
 * Locks, outermost first: `blob_lock` (whoever changes blob and memory
 * together; held over keystore calls), `lock` (held for moments, never over a
 * call to keystore, service or waiter). Members written under both may be read
 * under either. */
#ifndef NMB_TOKENS_INTERNAL_H
#define NMB_TOKENS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "auth/token_blob.h"
#include "auth/token_times.h"
#include "auth/tokens.h"

#define TOKENS_NOT_SIGNED_IN "not signed in: run `nmbackupfs auth`"

/* from -> to       when                                    moved by
 * any  -> NONE     no blob that can be used                tokens_take_nothing
 * any  -> IN       a blob was loaded, set or turned up     take_blob
 * IN   -> REFUSED  the service refuses the refresh token   tokens_refuse */
enum tokens_standing {
	TOKENS_NONE,
	TOKENS_IN,
	TOKENS_REFUSED,
};

struct bearer {
	atomic_uint refs;
	char *text; /* sodium_malloc */
};

struct waiter {
	graph_got_token_fn *got;
	void *arg;
	struct waiter *next;
};

struct tokens_hash {
	uint8_t b[32];
};

struct tokens {
	struct http *http; /* to `changed_arg`: set once */
	struct keystore *keystore;
	struct cloud cloud;
	char client_id[128];
	tokens_changed_fn *changed;
	void *changed_arg;
	pthread_t thread;
	atomic_bool stop;
	atomic_llong stop_ms; /* mono; when it was set */

	pthread_mutex_t blob_lock;
	struct tokens_hash seen; /* blob_lock; of the keystore's blob when it
	                          * was last read or written; zero: none */

	pthread_mutex_t lock;
	pthread_cond_t wake; /* the thread has something to look at */

	enum tokens_standing standing; /* both locks, down to `life` */
	char trouble[512];             /* "" if TOKENS_IN */
	struct token_blob blob;        /* empty if TOKENS_NONE; its `access` is
	                                * NULL, the token is in `access` */
	char drive_id[256];            /* outlives the blob; "": not known */
	struct bearer *access;         /* NULL: none */
	struct token_life life;        /* of `access` */

	bool access_refused; /* lock, from here on; Graph said 401 to it */
	struct token_pace pace;
	bool wanted;            /* a refresh, as soon as `pace` allows */
	bool unsaved;           /* memory is newer than the keystore */
	bool told_in;           /* what `changed` was last called for */
	int64_t looked_ms;      /* mono; last look into the keystore */
	int64_t save_ms;        /* mono; next try while unsaved */
	int64_t idle_ms;        /* mono; refresh although nobody asks */
	struct waiter *waiters; /* for a refresh, or a look while signed out */
};

/* ---- auth/tokens.c ------------------------------------------------------- */

void bearer_unref(struct bearer *b); /* NULL is fine */

/* Answers all who wait; rc 0 hands out the access token. No lock held. */
void tokens_answer(struct tokens *t, int rc);

/* IN, and the access token can be handed out. Lock held. */
bool tokens_good_locked(const struct tokens *t);

/* Calls `changed` if signing in or out is news. No lock held. */
void tokens_tell_change(struct tokens *t);

/* ---- auth/tokens_store.c; blob_lock held, `lock` not --------------------- */

/* Takes what the keystore has. 1: something new was taken; 0: nothing new;
 * -ENOENT, -EACCES (another account's): TOKENS_NONE now; -EBADMSG, -ENOTSUP,
 * -EPERM, -Exxx: what is in memory goes on. `why`: one line for people if
 * rc < 0. */
int tokens_load(struct tokens *t, char *why, size_t why_size);

/* Makes `b`, fresh from the service, the account's token; `b` is empty
 * afterwards. `must_save`: on a keystore error nothing changes; else memory
 * goes on alone and the write is tried again. */
int tokens_store(struct tokens *t, struct token_blob *b, bool must_save);

/* Writes what is in memory again. */
int tokens_save(struct tokens *t);

/* Deletes the blob; TOKENS_NONE. */
int tokens_erase(struct tokens *t);

void tokens_take_nothing(struct tokens *t, const char *why);
void tokens_refuse(struct tokens *t, const char *why);

/* Makes a blob of a token; `old_refresh` (may be NULL) goes on if the token
 * has no refresh token. 0, -ENOMEM, -EINVAL (no client id, or too long). */
int tokens_make_blob(const struct tokens *t,
                     const struct tokens_account *account,
                     const struct oauth_token *token, const char *old_refresh,
                     struct token_blob *out);

/* ---- auth/tokens_refresh.c ----------------------------------------------- */

void *tokens_run(void *tokens);

#endif
