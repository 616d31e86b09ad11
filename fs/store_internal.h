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
	atomic_uint_fast64_t next_ino, next_cid;
};

/* store_damage.c: a check of the last run found it damaged. */
bool store_is_marked(const char *dir);

#endif
