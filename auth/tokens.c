#include "auth/tokens.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/keystore.h"
#include "auth/secret.h"
#include "auth/tokens_internal.h"
#include "net/clock.h"

#define LOOK_GAP_MS INT64_C(1000) /* between two looks that somebody asked */
#define MAX_QUEUE_MS                                                           \
	INT64_C(2000) /* longer than that nobody is kept waiting               \
	               */

/* ---- making and freeing -------------------------------------------------- */

static int init_locks(struct tokens *t)
{
	int rc;

	rc = -pthread_mutex_init(&t->lock, NULL);
	if (rc < 0)
		return rc;
	rc = -pthread_mutex_init(&t->blob_lock, NULL);
	if (rc < 0)
		goto err_lock;
	rc = -pthread_cond_init(&t->wake, NULL);
	if (rc < 0)
		goto err_blob_lock;
	return 0;

err_blob_lock:
	pthread_mutex_destroy(&t->blob_lock);
err_lock:
	pthread_mutex_destroy(&t->lock);
	return rc;
}

static void destroy_locks(struct tokens *t)
{
	pthread_cond_destroy(&t->wake);
	pthread_mutex_destroy(&t->blob_lock);
	pthread_mutex_destroy(&t->lock);
}

static bool can_go_on(int rc)
{
	return rc == -ENOENT || rc == -EBADMSG || rc == -ENOTSUP ||
	       rc == -EPERM;
}

static int load_first(struct tokens *t, char *why, size_t why_size)
{
	int rc;

	pthread_mutex_lock(&t->blob_lock);
	rc = tokens_load(t, why, why_size);
	if (rc < 0)
		tokens_take_nothing(t, why);
	pthread_mutex_unlock(&t->blob_lock);
	t->told_in = t->standing == TOKENS_IN;
	return rc > 0 ? 0 : rc;
}

int tokens_new(const struct tokens_options *opt, struct tokens **out_t,
               char *why, size_t why_size)
{
	struct tokens *t;
	int rc, loaded;

	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->http = opt->http;
	t->keystore = opt->keystore;
	t->cloud = *opt->cloud;
	t->changed = opt->changed;
	t->changed_arg = opt->changed_arg;
	snprintf(t->client_id, sizeof(t->client_id), "%s",
	         opt->client_id ? opt->client_id : "");
	rc = init_locks(t);
	if (rc < 0)
		goto err_free;
	loaded = load_first(t, why, why_size);
	rc = loaded;
	if (rc < 0 && !can_go_on(rc))
		goto err_blob;
	rc = -pthread_create(&t->thread, NULL, tokens_run, t);
	if (rc < 0)
		goto err_blob;
	*out_t = t;
	return loaded;

err_blob:
	tokens_take_nothing(t, "");
	destroy_locks(t);
err_free:
	free(t);
	return rc;
}

void tokens_stop(struct tokens *t)
{
	bool stopped;

	pthread_mutex_lock(&t->lock);
	atomic_store(&t->stop_ms, clock_mono_ms());
	stopped = atomic_exchange(&t->stop, true);
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
	if (stopped)
		return;
	pthread_join(t->thread, NULL);
	tokens_answer(t, -ECANCELED);
}

void tokens_free(struct tokens *t)
{
	if (!t)
		return;
	tokens_stop(t);
	tokens_take_nothing(t, "");
	destroy_locks(t);
	free(t);
}

/* ---- the account --------------------------------------------------------- */

int tokens_set(struct tokens *t, const struct oauth_token *token)
{
	return tokens_set_account(t, token, NULL);
}

int tokens_set_account(struct tokens *t, const struct oauth_token *token,
                       const struct tokens_account *account)
{
	struct token_blob b;
	int rc;

	pthread_mutex_lock(&t->blob_lock);
	rc = tokens_make_blob(t, account, token, NULL, &b);
	if (rc == 0)
		rc = tokens_store(t, &b, true);
	pthread_mutex_unlock(&t->blob_lock);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&t->lock);
	t->pace = (struct token_pace){ 0 };
	pthread_mutex_unlock(&t->lock);
	tokens_tell_change(t);
	return 0;
}

static int set_drive_locked(struct tokens *t, const char *drive_id)
{
	char why[512];

	tokens_load(t, why, sizeof(why)); /* don't overwrite a newer one */
	if (t->drive_id[0] && !graph_same_drive(t->drive_id, drive_id))
		return -EXDEV;
	pthread_mutex_lock(&t->lock);
	strcpy(t->drive_id, drive_id);
	pthread_mutex_unlock(&t->lock);
	if (t->standing == TOKENS_NONE || !strcmp(t->blob.drive_id, drive_id))
		return 0;
	pthread_mutex_lock(&t->lock);
	strcpy(t->blob.drive_id, drive_id);
	pthread_mutex_unlock(&t->lock);
	return tokens_save(t);
}

int tokens_set_drive(struct tokens *t, const char *drive_id)
{
	int rc;

	if (strlen(drive_id) >= sizeof(t->drive_id))
		return -ENAMETOOLONG;
	pthread_mutex_lock(&t->blob_lock);
	rc = set_drive_locked(t, drive_id);
	pthread_mutex_unlock(&t->blob_lock);
	return rc;
}

void tokens_get_drive(struct tokens *t, char *out, size_t size)
{
	pthread_mutex_lock(&t->lock);
	snprintf(out, size, "%s", t->drive_id);
	pthread_mutex_unlock(&t->lock);
}

int tokens_forget(struct tokens *t)
{
	int rc;

	pthread_mutex_lock(&t->blob_lock);
	rc = tokens_erase(t);
	pthread_mutex_unlock(&t->blob_lock);
	tokens_tell_change(t);
	return rc;
}

bool tokens_signed_in(struct tokens *t)
{
	bool in;

	pthread_mutex_lock(&t->lock);
	in = t->standing == TOKENS_IN;
	pthread_mutex_unlock(&t->lock);
	return in;
}

void tokens_get_trouble(struct tokens *t, char *out, size_t size)
{
	pthread_mutex_lock(&t->lock);
	snprintf(out, size, "%s", t->trouble);
	pthread_mutex_unlock(&t->lock);
}

void tokens_tell_change(struct tokens *t)
{
	bool news;

	pthread_mutex_lock(&t->lock);
	news = (t->standing == TOKENS_IN) != t->told_in;
	t->told_in = t->standing == TOKENS_IN;
	pthread_mutex_unlock(&t->lock);
	if (news && t->changed)
		t->changed(t->changed_arg);
}

/* ---- handing out --------------------------------------------------------- */

static struct bearer *bearer_ref(struct bearer *b)
{
	if (b)
		atomic_fetch_add(&b->refs, 1);
	return b;
}

void bearer_unref(struct bearer *b)
{
	if (!b || atomic_fetch_sub(&b->refs, 1) > 1)
		return;
	secret_free(b->text);
	free(b);
}

void tokens_answer(struct tokens *t, int rc)
{
	struct waiter *list, *next;
	struct bearer *access;

	pthread_mutex_lock(&t->lock);
	list = t->waiters;
	t->waiters = NULL;
	access = rc == 0 ? bearer_ref(t->access) : NULL;
	pthread_mutex_unlock(&t->lock);
	if (rc == 0 && !access)
		rc = -EACCES;
	for (; list; list = next) {
		next = list->next;
		list->got(list->arg, rc, access ? access->text : NULL);
		free(list);
	}
	bearer_unref(access);
}

/* Wakes the thread; 1: `got` comes later. */
static int queue_locked(struct tokens *t, graph_got_token_fn *got, void *arg)
{
	struct waiter *w = malloc(sizeof(*w));

	if (!w)
		return -ENOMEM;
	*w = (struct waiter){ got, arg, t->waiters };
	t->waiters = w;
	pthread_cond_signal(&t->wake);
	return 1;
}

static void note_stale_locked(struct tokens *t, const char *stale)
{
	if (stale && t->access && !strcmp(t->access->text, stale))
		t->access_refused = true;
}

bool tokens_good_locked(const struct tokens *t)
{
	return t->standing == TOKENS_IN && t->access && !t->access_refused &&
	       token_life_usable(&t->life, clock_mono_ms());
}

/* Without a refresh token the present one is used to its end. */
static void want_early_locked(struct tokens *t, int64_t now)
{
	if (t->wanted || !t->blob.refresh ||
	    !token_life_due(&t->life, now, clock_real_ns() / NS_PER_SEC))
		return;
	t->wanted = true;
	pthread_cond_signal(&t->wake);
}

/* 0: *out_access is good; 1: queued; or what to say at once. */
static int get_locked(struct tokens *t, const char *stale,
                      graph_got_token_fn *got, void *arg,
                      struct bearer **out_access)
{
	int64_t now = clock_mono_ms();

	if (atomic_load(&t->stop))
		return -ECANCELED;
	if (t->standing != TOKENS_IN) {
		if (now - t->looked_ms < LOOK_GAP_MS && !t->waiters)
			return -EACCES;
		return queue_locked(t, got, arg);
	}
	note_stale_locked(t, stale);
	if (tokens_good_locked(t)) {
		want_early_locked(t, now);
		*out_access = bearer_ref(t->access);
		return 0;
	}
	if (now < t->pace.not_before_ms &&
	    (t->pace.failures || t->pace.not_before_ms - now > MAX_QUEUE_MS))
		return -ENETUNREACH;
	return queue_locked(t, got, arg);
}

void tokens_get(void *tokens_arg, const char *stale, graph_got_token_fn *got,
                void *arg)
{
	struct tokens *t = tokens_arg;
	struct bearer *access = NULL;
	int rc;

	pthread_mutex_lock(&t->lock);
	rc = get_locked(t, stale, got, arg, &access);
	pthread_mutex_unlock(&t->lock);
	if (rc <= 0)
		got(arg, rc, access ? access->text : NULL);
	bearer_unref(access);
}

void tokens_kick(struct tokens *t)
{
	pthread_mutex_lock(&t->lock);
	token_pace_kick(&t->pace);
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
}
