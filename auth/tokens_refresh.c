#include "auth/tokens_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "auth/secret.h"
#include "net/clock.h"
#include "net/log.h"

#define LOOK_MS       INT64_C(15000)
#define MAX_SLEEP_MS  INT64_C(3600000)
#define YOUNG_MS      INT64_C(60000)
#define IDLE_RETRY_MS INT64_C(3600000)
#define GRACE_MS      INT64_C(2000)

enum job {
	JOB_NONE,
	JOB_LOOK,   /* nobody is signed in: has somebody, elsewhere? */
	JOB_ANSWER, /* a token came by another way than a refresh */
	JOB_SAVE,   /* the keystore could not be written last time */
	JOB_REFRESH,
};

static int64_t min_i64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ---- refreshing ---------------------------------------------------------- */

/* What a refresh starts from; copies, since it goes on without a lock. */
struct attempt {
	struct tokens_hash seen;
	struct cloud cloud;
	char client_id[128];
	char *refresh;
};

/* A refresh that is out gets a moment to end: its answer may hold the only
 * refresh token that is still good, should the service revoke used ones. */
static bool is_out_of_time(void *arg)
{
	struct tokens *t = arg;

	return atomic_load(&t->stop) &&
	       clock_mono_ms() - atomic_load(&t->stop_ms) >= GRACE_MS;
}

static bool is_good(struct tokens *t)
{
	bool good;

	pthread_mutex_lock(&t->lock);
	good = tokens_good_locked(t);
	pthread_mutex_unlock(&t->lock);
	return good;
}

static void set_wanted(struct tokens *t, bool wanted)
{
	pthread_mutex_lock(&t->lock);
	t->wanted = wanted;
	pthread_mutex_unlock(&t->lock);
}

/* blob_lock held. 0 or -ENOMEM; out->refresh NULL: there is none. */
static int begin(const struct tokens *t, struct attempt *out)
{
	out->seen = t->seen;
	out->cloud = t->cloud;
	strcpy(out->cloud.tenant, t->blob.tenant);
	if (t->blob.scope[0])
		strcpy(out->cloud.scope, t->blob.scope);
	strcpy(out->client_id, t->blob.client_id);
	out->refresh = NULL;
	if (!t->blob.refresh)
		return 0;
	out->refresh = secret_strdup(t->blob.refresh);
	return out->refresh ? 0 : -ENOMEM;
}

static void on_offline(struct tokens *t, const struct oauth_error *err, int rc)
{
	int64_t now = clock_mono_ms(), wait;
	unsigned failures;

	pthread_mutex_lock(&t->lock);
	token_pace_failed(&t->pace, now, err->retry_after_ms,
	                  randombytes_random());
	failures = t->pace.failures;
	wait = t->pace.not_before_ms - now;
	t->wanted = false; /* whoever asks next sets it again */
	t->idle_ms = now + IDLE_RETRY_MS;
	pthread_mutex_unlock(&t->lock);
	log_write(failures == 1 ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG,
	          "tokens event=not-refreshed reason=\"%s\" "
	          "retry_in_ms=%" PRId64 " kept=token",
	          err->why, wait);
	tokens_answer(t, is_good(t) ? 0 : rc);
}

/* Before a refusal is believed: maybe another program has rotated the token,
 * or somebody has signed in anew. */
static void on_refused(struct tokens *t, const struct oauth_error *err)
{
	char why[512];
	int rc;

	pthread_mutex_lock(&t->blob_lock);
	rc = tokens_load(t, why, sizeof(why));
	if (rc == 0 || (rc < 0 && rc != -ENOENT && rc != -EACCES))
		tokens_refuse(t, err->why);
	pthread_mutex_unlock(&t->blob_lock);
	if (rc == 1) {
		set_wanted(t, !is_good(t));
		return;
	}
	log_warn("tokens event=refused reason=\"%s\" kept=token "
	         "do=\"nmbackupfs auth\"",
	         err->why);
	tokens_answer(t, -EACCES);
}

/* Stores the answer, unless the blob changed under our hands: then that one is
 * at least as new, and ours goes; the old refresh tokens stay valid (facts
 * 1.5). blob_lock held. */
static int finish_locked(struct tokens *t, const struct attempt *a,
                         const struct oauth_token *got)
{
	const struct tokens_account account = {
		.client_id = a->client_id,
		.tenant = a->cloud.tenant,
		.scope = a->cloud.scope,
		.drive_id = t->blob.drive_id,
	};
	struct token_blob b;
	char why[512];
	int rc;

	if (memcmp(&a->seen, &t->seen, sizeof(a->seen)))
		return 0;
	rc = tokens_load(t, why, sizeof(why));
	if (rc == 1 || rc == -ENOENT || rc == -EACCES)
		return 0;
	rc = tokens_make_blob(t, &account, got, a->refresh, &b);
	return rc < 0 ? rc : tokens_store(t, &b, false);
}

static void on_success(struct tokens *t, const struct attempt *a,
                       const struct oauth_token *got)
{
	bool young;
	int rc;

	pthread_mutex_lock(&t->lock);
	young = t->access_refused &&
	        clock_mono_ms() - t->life.issued_ms < YOUNG_MS;
	pthread_mutex_unlock(&t->lock);

	pthread_mutex_lock(&t->blob_lock);
	rc = finish_locked(t, a, got);
	pthread_mutex_unlock(&t->blob_lock);

	pthread_mutex_lock(&t->lock);
	token_pace_succeeded(&t->pace, clock_mono_ms(), young);
	t->wanted = false;
	pthread_mutex_unlock(&t->lock);
	log_info("tokens event=refreshed expires_in_s=%" PRId64,
	         got->expires_in_s);
	if (rc < 0)
		tokens_answer(t, rc);
}

static void ask_service(struct tokens *t, struct attempt *a)
{
	struct oauth_token got = { 0 };
	struct oauth_error err;

	oauth_refresh(t->http, &a->cloud, a->client_id, a->refresh,
	              is_out_of_time, t, &got, &err);
	switch (err.result) {
	case OAUTH_OK:
		on_success(t, a, &got);
		break;
	case OAUTH_SIGN_IN:
	case OAUTH_SETUP:
	case OAUTH_DECLINED:
	case OAUTH_EXPIRED:
		on_refused(t, &err);
		break;
	case OAUTH_OFFLINE:
		on_offline(t, &err, -ENETUNREACH);
		break;
	case OAUTH_NO_MEMORY:
		on_offline(t, &err, -ENOMEM);
		break;
	case OAUTH_CANCELED: /* tokens_free() answers who waits */
		break;
	}
	oauth_token_done(&got);
}

static void refresh(struct tokens *t)
{
	static const struct oauth_error no_refresh_token = {
		.result = OAUTH_SIGN_IN,
		.why = "the sign-in can't be renewed (the app lacks the "
		       "permission offline_access): run `nmbackupfs auth`",
	};
	static const struct oauth_error no_memory = {
		.result = OAUTH_NO_MEMORY,
		.why = "no memory",
	};
	struct attempt a = { 0 };
	char why[512];
	int rc;

	pthread_mutex_lock(&t->blob_lock);
	rc = tokens_load(t, why, sizeof(why));
	if (rc == -ENOENT || rc == -EACCES) {
		pthread_mutex_unlock(&t->blob_lock);
		log_warn("tokens event=signed-out reason=\"%s\"", why);
		tokens_answer(t, -EACCES);
		return;
	}
	if (rc == 1 && is_good(t)) { /* another program was quicker */
		pthread_mutex_unlock(&t->blob_lock);
		set_wanted(t, false);
		return;
	}
	rc = begin(t, &a);
	pthread_mutex_unlock(&t->blob_lock);
	if (rc < 0)
		on_offline(t, &no_memory, rc);
	else if (!a.refresh)
		on_refused(t, &no_refresh_token);
	else
		ask_service(t, &a);
	secret_free(a.refresh);
}

/* ---- looking and saving -------------------------------------------------- */

static void look(struct tokens *t)
{
	char why[512];
	bool in;
	int rc;

	pthread_mutex_lock(&t->blob_lock);
	rc = tokens_load(t, why, sizeof(why));
	pthread_mutex_unlock(&t->blob_lock);
	if (rc == 1)
		log_info("tokens event=signed-in by=another-program");
	pthread_mutex_lock(&t->lock);
	in = t->standing == TOKENS_IN;
	if (in)
		t->pace = (struct token_pace){ 0 };
	pthread_mutex_unlock(&t->lock);
	if (!in)
		tokens_answer(t, -EACCES);
}

static void save(struct tokens *t)
{
	char why[512];

	pthread_mutex_lock(&t->blob_lock);
	if (tokens_load(t, why, sizeof(why)) != 1 && t->standing == TOKENS_IN)
		tokens_save(t);
	pthread_mutex_unlock(&t->blob_lock);
}

/* ---- the thread ---------------------------------------------------------- */

static int64_t refresh_due_locked(const struct tokens *t)
{
	int64_t due = t->wanted || t->waiters ? 0 : t->idle_ms;

	return due > t->pace.not_before_ms ? due : t->pace.not_before_ms;
}

/* What to do now, or JOB_NONE and how long to sleep. */
static enum job next_job_locked(const struct tokens *t, int64_t *out_ms)
{
	int64_t now = clock_mono_ms(), due = now + MAX_SLEEP_MS;

	if (t->standing != TOKENS_IN) {
		due = min_i64(due, t->looked_ms + LOOK_MS);
		if (t->waiters || now >= due)
			return JOB_LOOK;
	} else {
		if (t->waiters && tokens_good_locked(t))
			return JOB_ANSWER;
		due = min_i64(due, refresh_due_locked(t));
		if (now >= due)
			return JOB_REFRESH;
		if (t->unsaved)
			due = min_i64(due, t->save_ms);
		if (now >= due)
			return JOB_SAVE;
	}
	*out_ms = due - now;
	return JOB_NONE;
}

static void sleep_locked(struct tokens *t, int64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until = clock_ns_to_timespec(clock_timespec_to_ns(until) +
	                             ms * 1000000);
	pthread_cond_clockwait(&t->wake, &t->lock, CLOCK_MONOTONIC, &until);
}

static void run_job(struct tokens *t, enum job job)
{
	switch (job) {
	case JOB_NONE:
		break;
	case JOB_LOOK:
		look(t);
		break;
	case JOB_ANSWER:
		tokens_answer(t, 0);
		break;
	case JOB_SAVE:
		save(t);
		break;
	case JOB_REFRESH:
		refresh(t);
		break;
	}
}

void *tokens_run(void *tokens)
{
	struct tokens *t = tokens;

	pthread_mutex_lock(&t->lock);
	while (!atomic_load(&t->stop)) {
		int64_t ms = 0;
		enum job job = next_job_locked(t, &ms);

		if (job == JOB_NONE) {
			sleep_locked(t, ms);
			continue;
		}
		pthread_mutex_unlock(&t->lock);
		run_job(t, job);
		tokens_tell_change(t);
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}
