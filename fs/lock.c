#include "fs/lock.h"

#include <assert.h>
#include <stdbool.h>
#include <time.h>

#include "net/clock.h"

static _Thread_local bool held[LOCK_RANKS];

static void note_taken(enum lock_rank rank)
{
	for (int r = (int)rank; r < LOCK_RANKS; r++)
		assert(!held[r]);
	held[rank] = true;
}

static void note_dropped(enum lock_rank rank)
{
	assert(held[rank]);
	held[rank] = false;
}

void lock_take(pthread_mutex_t *m, enum lock_rank rank)
{
	int rc;

	note_taken(rank);
	rc = pthread_mutex_lock(m);
	assert(rc == 0);
}

void lock_drop(pthread_mutex_t *m, enum lock_rank rank)
{
	note_dropped(rank);
	pthread_mutex_unlock(m);
}

void lock_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	assert(held[LOCK_LEAF]);
	pthread_cond_wait(c, m);
}

void lock_cond_init(pthread_cond_t *c)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(c, &attr);
	pthread_condattr_destroy(&attr);
}

void lock_wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t until_ms)
{
	struct timespec ts;
	int64_t left_ms;

	if (until_ms < 0) {
		lock_wait(c, m);
		return;
	}
	assert(held[LOCK_LEAF]);
	/* Condition variables know no clock that goes on in sleep: what is left
	 * is waited for on the one that does not, and looked at again. */
	left_ms = until_ms - clock_mono_ms();
	if (left_ms <= 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts = clock_ns_to_timespec(clock_timespec_to_ns(ts) + left_ms * 1000000);
	pthread_cond_timedwait(c, m, &ts);
}

void lock_read(pthread_rwlock_t *l, enum lock_rank rank)
{
	int rc;

	note_taken(rank);
	rc = pthread_rwlock_rdlock(l);
	assert(rc == 0);
}

void lock_write(pthread_rwlock_t *l, enum lock_rank rank)
{
	int rc;

	note_taken(rank);
	rc = pthread_rwlock_wrlock(l);
	assert(rc == 0);
}

void lock_rw_drop(pthread_rwlock_t *l, enum lock_rank rank)
{
	note_dropped(rank);
	pthread_rwlock_unlock(l);
}

void lock_assert_none(void)
{
	for (int r = 0; r < LOCK_RANKS; r++)
		assert(!held[r]);
}
