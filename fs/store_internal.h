/* fs/store_internal.h -- shared by the store*.c files only. */
#ifndef NMB_STORE_INTERNAL_H
#define NMB_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "fs/store.h"

#define MAX_READERS 8

struct store {
	struct db *writer;
	char *path;           /* NULL: in memory */
	pthread_mutex_t lock; /* LOCK_STORE: the writer */

	pthread_mutex_t reader_lock; /* LOCK_LEAF */
	pthread_cond_t reader_free;
	struct db *readers[MAX_READERS];
	bool busy[MAX_READERS];

	int wal_fd; /* -1 until the first sync */
	uint64_t incarnation;

	atomic_bool unsafe;  /* a flush of the log failed */
	atomic_bool damaged; /* and it was told */
	store_damage_fn *on_damage;
	void *on_damage_arg;

	atomic_uint_fast64_t next_ino, next_cid;
};

/* store_damage.c: marks it and tells who wants to know, once. */
void store_note_damage(struct store *s);

#endif
