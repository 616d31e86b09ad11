#include "tests/sim/sim.h"

#include <assert.h>
#include <pthread.h>
#include <setjmp.h>
#include <string.h>

#include "fs/lock.h"
#include "fs/store.h"

/* The death of a device in the middle of what it does: at one of its next
 * commits, just before or just after it. What stays is what a kill leaves:
 * committed rows and bytes in files. All of it is one thread, so locks only
 * check their order, and a death forgets them. */

unsigned crash_count;

static struct device *doomed;
static unsigned commits_left;
static jmp_buf death;
static bool held[LOCK_RANKS];

void crash_arm(struct device *d, unsigned commits)
{
	doomed = d;
	commits_left = commits;
}

void crash_disarm(void)
{
	doomed = NULL;
}

void crash_run(void (*step)(void))
{
	if (setjmp(death) == 0) {
		step();
		return;
	}
	memset(held, 0, sizeof(held));
	device_crash(doomed);
	doomed = NULL;
}

int __real_store_commit(struct store *s);
int __wrap_store_commit(struct store *s);

int __wrap_store_commit(struct store *s)
{
	if (!doomed || s != doomed->store || --commits_left)
		return __real_store_commit(s);
	if (sim_chance(50))
		__real_store_commit(s);
	else
		store_rollback(s, 0);
	longjmp(death, 1);
}

/* ---- locks --------------------------------------------------------------- */

void __wrap_lock_take(pthread_mutex_t *m, enum lock_rank rank);
void __wrap_lock_drop(pthread_mutex_t *m, enum lock_rank rank);
void __wrap_lock_read(pthread_rwlock_t *l, enum lock_rank rank);
void __wrap_lock_write(pthread_rwlock_t *l, enum lock_rank rank);
void __wrap_lock_rw_drop(pthread_rwlock_t *l, enum lock_rank rank);

static void take(enum lock_rank rank)
{
	for (int r = (int)rank; r < LOCK_RANKS; r++)
		assert(!held[r]);
	held[rank] = true;
}

void __wrap_lock_take(pthread_mutex_t *m, enum lock_rank rank)
{
	(void)m;
	take(rank);
}

void __wrap_lock_drop(pthread_mutex_t *m, enum lock_rank rank)
{
	(void)m;
	assert(held[rank]);
	held[rank] = false;
}

void __wrap_lock_read(pthread_rwlock_t *l, enum lock_rank rank)
{
	(void)l;
	take(rank);
}

void __wrap_lock_write(pthread_rwlock_t *l, enum lock_rank rank)
{
	(void)l;
	take(rank);
}

void __wrap_lock_rw_drop(pthread_rwlock_t *l, enum lock_rank rank)
{
	(void)l;
	assert(held[rank]);
	held[rank] = false;
}
