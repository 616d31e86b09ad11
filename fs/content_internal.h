/* fs/content_internal.h -- shared by the content*.c files only. */
#ifndef NMB_CONTENT_INTERNAL_H
#define NMB_CONTENT_INTERNAL_H

#include <pthread.h>

#include "fs/chunkmap.h"
#include "fs/content.h"

#define CONTENT_TABLE 1024 /* power of two */

struct contents {
	struct store *store;
	char *state_dir;
	int dirfd;         /* content/ */
	int quarantine_fd; /* quarantine/ */
	content_changed_fn *changed;
	void *changed_arg;

	pthread_mutex_t lock; /* LOCK_LEAF: the table, usage, evicting */
	pthread_cond_t evicted;
	struct content *table[CONTENT_TABLE];
	uint64_t evicting;             /* cid nobody may load now; 0: none */
	uint64_t used_all, used_clean; /* bytes */
};

struct content_snapshot; /* fs/content_snap.c */

struct content {
	struct contents *cs;
	struct content *next; /* contents.lock */
	unsigned refs;        /* contents.lock */
	bool orphan;          /* contents.lock: collect at the last put */
	uint64_t cid, ino;    /* set once */

	pthread_mutex_t lock; /* LOCK_CONTENT: all below */
	struct cfile row;
	struct chunkmap map;
	int fd;          /* -1: no file yet */
	bool made_here;  /* there is no file before the first write */
	bool frozen;     /* the next write opens a generation */
	bool unsaved;    /* row or map differ from the store */
	uint64_t writes; /* counts changes of bytes */
	struct content_snapshot *snap;
};

/* The place in the table of `cid`, with contents.lock held. */
struct content **content_slot_locked(struct contents *cs, uint64_t cid);

/* content_files.c: paths and files. `suffix` "" or ".snap". */
#define CONTENT_NAME_SIZE 48
void content_file_name(uint64_t cid, const char *suffix,
                       char out[CONTENT_NAME_SIZE]);
int content_file_open(struct contents *cs, uint64_t cid, const char *suffix,
                      int flags);
void content_file_remove(struct contents *cs, uint64_t cid, const char *suffix);
void content_usage_change(struct contents *cs, const struct cfile *before,
                          const struct cfile *after);

/* With c->lock held. Opens the file; makes it if `create`. -ENOENT. */
int content_need_fd_locked(struct content *c, bool create);

/* How many bytes of chunk `idx` belong to the file. */
size_t content_chunk_len_locked(const struct content *c, uint64_t idx);

/* Reads chunk `idx` whole into `buf` (CHUNK_SIZE); holes and what lies behind
 * the file's end are zeros. */
int content_read_chunk_locked(struct content *c, uint64_t idx, uint8_t *buf);

/* All of it, unless the file ends before; bytes or -Exxx. */
ssize_t content_pread_full(int fd, void *buf, size_t len, uint64_t off);
int content_pwrite_full(int fd, const void *buf, size_t len, uint64_t off);

/* content_settle.c. On failure nothing changed, in memory either. */
int content_transact_locked(struct content *c, content_edit_fn *edit,
                            void *arg);

/* content_snap.c: sets aside what [off, off+len) still holds of the snapshot.
 * Never fails the write: a snapshot it can't keep is given up. */
void content_snapshot_protect_locked(struct content *c, uint64_t off,
                                     uint64_t len);

#endif
