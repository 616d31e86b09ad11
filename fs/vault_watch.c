#include "fs/vault_watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "auth/vault_store.h"
#include "fs/engine.h"
#include "fs/lock.h"
#include "fs/membership.h"
#include "fs/node.h"
#include "fs/session.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/log.h"

#define PATIENCE_MS  30000
#define RETRY_MIN_MS 500 /* also: the engine has not found the folder yet */
#define RETRY_MAX_MS 60000
#define REFUSED_MS   600000

struct vault_watch {
	struct vault_watch_options opt;
	pthread_t thread;
	struct vault_store *store;
	struct vault_mark mark;
	bool marked;
	int64_t retry_ms;

	pthread_mutex_t lock; /* LOCK_LEAF: all below */
	pthread_cond_t turn;
	bool stop, poked;
	bool calls; /* the engine: vault_watch_stop() waits */
};

/* ---- looking ------------------------------------------------------------- */

static void set_gate(struct vault_watch *w, bool open, const char *why)
{
	bool calls;

	lock_take(&w->lock, LOCK_LEAF);
	calls = w->calls = !w->stop;
	lock_drop(&w->lock, LOCK_LEAF);
	if (!calls)
		return;
	engine_set_gate(w->opt.engine, open, why);
	lock_take(&w->lock, LOCK_LEAF);
	w->calls = false;
	pthread_cond_broadcast(&w->turn);
	lock_drop(&w->lock, LOCK_LEAF);
}

static int open_store(struct vault_watch *w)
{
	struct node *n;
	struct db *db;
	int rc;

	if (w->store)
		return 0;
	n = malloc(sizeof(*n));
	rc = n ? store_reader(w->opt.store, &db) : -ENOMEM;
	if (rc == 0) {
		rc = node_get(db, NODE_ROOT, n);
		store_reader_done(w->opt.store, db);
	}
	if (rc == 0 && !node_on_server(n))
		rc = -EAGAIN; /* the engine is looking for it */
	if (rc == 0)
		rc = vault_store_new(w->opt.session->graph, n->s_id,
		                     PATIENCE_MS, &w->store);
	free(n);
	return rc;
}

static int load(struct vault_watch *w, char *why)
{
	struct membership *m = w->opt.membership;
	struct age_keys keys = membership_keys(m);
	uint64_t had = m->descriptor->generation;
	struct descriptor *d;
	struct pin pin;
	int rc = vault_store_load(w->store, &keys, membership_pin(m), &d, &pin,
	                          why);

	if (rc < 0)
		return rc;
	if (d->generation != had)
		log_info("vault generation=%llu was=%llu by=\"%s\"",
		         (unsigned long long)d->generation,
		         (unsigned long long)had, d->written_by);
	rc = membership_adopt(m, d, &pin, why);
	if (rc < 0) {
		descriptor_free(d);
		return rc;
	}
	w->marked = vault_store_get_mark(w->store, &w->mark) == 0;
	return 0;
}

/* Will it be otherwise in a while, by itself? */
static bool is_passing(int rc)
{
	switch (rc) {
	case VAULT_STORE_NOT_MEMBER:
	case -EKEYREJECTED:
	case -ESTALE:
	case -EUCLEAN:
	case -EXDEV:
	case -EBADMSG:
	case -ENOTSUP:
	case -ENOENT:
		return false;
	default:
		return true;
	}
}

/* When to look again, if nobody pokes: -1: never. */
static int64_t check(struct vault_watch *w)
{
	char why[MEMBERSHIP_WHY] = "";
	enum vault_mark_verdict v;
	int rc = open_store(w);

	if (rc == 0 && w->marked) {
		v = vault_mark_look(w->opt.session->graph, &w->mark,
		                    PATIENCE_MS);
		if (v == VAULT_MARK_UNKNOWN)
			rc = -EAGAIN;
		w->marked = v != VAULT_MARK_CHANGED;
	}
	if (rc == 0 && !w->marked)
		rc = load(w, why);
	if (rc == 0) {
		w->retry_ms = RETRY_MIN_MS;
		set_gate(w, true, NULL);
		return -1;
	}
	if (is_passing(rc)) {
		int64_t ms = w->retry_ms;

		w->retry_ms = ms * 2 < RETRY_MAX_MS ? ms * 2 : RETRY_MAX_MS;
		log_debug("vault: the descriptor can't be looked at: %s",
		          why[0] ? why : strerror(-rc));
		return ms;
	}
	if (!why[0])
		memcpy(why, vault_strerror(rc), strlen(vault_strerror(rc)) + 1);
	log_error("vault: %s action=nothing is sent", why);
	set_gate(w, false, why);
	return REFUSED_MS;
}

static void *watch_run(void *arg)
{
	struct vault_watch *w = arg;
	int64_t next_ms = 0;

	lock_take(&w->lock, LOCK_LEAF);
	while (!w->stop) {
		int64_t now = clock_mono_ms(), wait_ms;

		if (!w->poked && (next_ms < 0 || now < next_ms)) {
			lock_wait_until(&w->turn, &w->lock, next_ms);
			continue;
		}
		w->poked = false;
		lock_drop(&w->lock, LOCK_LEAF);
		wait_ms = check(w);
		next_ms = wait_ms < 0 ? -1 : clock_mono_ms() + wait_ms;
		lock_take(&w->lock, LOCK_LEAF);
	}
	lock_drop(&w->lock, LOCK_LEAF);
	return NULL;
}

/* ---- life ---------------------------------------------------------------- */

int vault_watch_new(const struct vault_watch_options *opt,
                    struct vault_watch **out_w)
{
	struct vault_watch *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return -ENOMEM;
	w->opt = *opt;
	w->retry_ms = RETRY_MIN_MS;
	pthread_mutex_init(&w->lock, NULL);
	lock_cond_init(&w->turn);
	rc = -pthread_create(&w->thread, NULL, watch_run, w);
	if (rc < 0) {
		pthread_cond_destroy(&w->turn);
		pthread_mutex_destroy(&w->lock);
		free(w);
		return rc;
	}
	*out_w = w;
	return 0;
}

void vault_watch_poke(struct vault_watch *w)
{
	engine_set_gate(w->opt.engine, false, NULL);
	lock_take(&w->lock, LOCK_LEAF);
	w->poked = true;
	pthread_cond_broadcast(&w->turn);
	lock_drop(&w->lock, LOCK_LEAF);
}

void vault_watch_stop(struct vault_watch *w)
{
	if (!w)
		return;
	lock_take(&w->lock, LOCK_LEAF);
	w->stop = true;
	pthread_cond_broadcast(&w->turn);
	while (w->calls)
		lock_wait(&w->turn, &w->lock);
	lock_drop(&w->lock, LOCK_LEAF);
}

void vault_watch_free(struct vault_watch *w)
{
	if (!w)
		return;
	pthread_join(w->thread, NULL);
	vault_store_free(w->store);
	pthread_cond_destroy(&w->turn);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
