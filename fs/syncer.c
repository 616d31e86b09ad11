#include "fs/syncer.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fs/lock.h"
#include "fs/tree.h"
#include "net/clock.h"
#include "net/log.h"

#define GATHER_MS 400 /* closes that come together share one sync */
#define RETRY_MS  5000

struct syncer {
	pthread_t thread;
	pthread_mutex_t lock; /* LOCK_LEAF */
	pthread_cond_t turn;
	struct tree *tree;
	bool wanted, stop, started;
};

static void *syncer_run(void *arg)
{
	struct syncer *s = arg;
	int64_t due = -1;
	bool stop;
	int rc;

	for (;;) {
		lock_take(&s->lock, LOCK_LEAF);
		while (!s->stop && !s->wanted && due < 0)
			lock_wait(&s->turn, &s->lock);
		if (due < 0)
			due = clock_mono_ms() + GATHER_MS;
		while (!s->stop && clock_mono_ms() < due)
			lock_wait_until(&s->turn, &s->lock, due);
		s->wanted = false;
		stop = s->stop;
		lock_drop(&s->lock, LOCK_LEAF);
		if (stop)
			return NULL;
		rc = tree_sync(s->tree);
		due = rc < 0 ? clock_mono_ms() + RETRY_MS : -1;
		if (rc < 0)
			log_error("sync: %s retry_in_ms=%d", strerror(-rc),
			          RETRY_MS);
	}
}

int syncer_new(struct syncer **out_s)
{
	struct syncer *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	lock_cond_init(&s->turn);
	*out_s = s;
	return 0;
}

void syncer_start(struct syncer *s, struct tree *tree)
{
	s->tree = tree;
	s->wanted = true; /* what the last run left */
	s->started = pthread_create(&s->thread, NULL, syncer_run, s) == 0;
	if (!s->started)
		log_error("sync: no thread; only fsync() makes files durable");
}

void syncer_wake(struct syncer *s)
{
	lock_take(&s->lock, LOCK_LEAF);
	s->wanted = true;
	pthread_cond_signal(&s->turn);
	lock_drop(&s->lock, LOCK_LEAF);
}

void syncer_stop(struct syncer *s)
{
	if (!s)
		return;
	lock_take(&s->lock, LOCK_LEAF);
	s->stop = true;
	pthread_cond_signal(&s->turn);
	lock_drop(&s->lock, LOCK_LEAF);
	if (s->started)
		pthread_join(s->thread, NULL);
	s->started = false;
}

void syncer_free(struct syncer *s)
{
	if (!s)
		return;
	syncer_stop(s);
	pthread_cond_destroy(&s->turn);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
