/* fs/lock.h -- mutexes with a rank: the written lock order, checked.
 *
 * Order, outermost first; a thread takes only downwards:
 *
 *	LOCK_TREE     tree.lock: names, kernel references, live nodes (rwlock)
 *	LOCK_CONTENT  one per content file: chunk map, dirty bytes, snapshot
 *	LOCK_STORE    the SQLite writer
 *	LOCK_LEAF     queues; nothing else is taken under it
 *
 * No lock is held across a network wait, a fuse_reply_*() or a
 * fuse_lowlevel_notify_*(): lock_assert_none() stands before those. No
 * callback from net/ runs with one of these held. */
#ifndef NMB_LOCK_H
#define NMB_LOCK_H

#include <pthread.h>
#include <stdint.h>

enum lock_rank {
	LOCK_TREE,
	LOCK_CONTENT,
	LOCK_STORE,
	LOCK_LEAF,
	LOCK_RANKS,
};

void lock_take(pthread_mutex_t *m, enum lock_rank rank);
void lock_drop(pthread_mutex_t *m, enum lock_rank rank);

/* Waits on `c` with `m` (rank LOCK_LEAF only). */
void lock_wait(pthread_cond_t *c, pthread_mutex_t *m);

/* The same, at most until `until_ms` of clock_mono_ms(); < 0: no limit. The
 * condition must come from lock_cond_init(). */
void lock_cond_init(pthread_cond_t *c);
void lock_wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t until_ms);

void lock_read(pthread_rwlock_t *l, enum lock_rank rank);
void lock_write(pthread_rwlock_t *l, enum lock_rank rank);
void lock_rw_drop(pthread_rwlock_t *l, enum lock_rank rank);

/* The calling thread holds none of them. */
void lock_assert_none(void);

#endif
