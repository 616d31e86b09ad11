/* fs/content_internal.h -- shared by the content*.c files only.
 *
 * What makes a crash harmless, in one place:
 *  - Bytes go straight to the content file; the kernel has them when the
 *    program dies. What is in memory only is the row and the map.
 *  - The first write to settled bytes commits SOFT, durably, before it: from
 *    then on a restart takes the size from the file and drops all checksums.
 *    The file and what arrived in it are on the disk before that commit.
 *  - A map that says "this chunk, or extent, is here" about bytes that can't
 *    be fetched again is committed only after the bytes are on the disk.
 *  - The map of what can be fetched again may be ahead of the bytes. After the
 *    machine died that is in doubt (CFILE_DOUBT) until all of it was compared
 *    with its checksums: chunk by chunk as it is read, and before anything
 *    that would make the rest count as ours, by one who edits or sends it.
 *  - A flush that failed once is never called done (CFILE_FAILED).
 *  - A file is removed only after the commit that made it useless is on the
 *    disk (contents_tidy()). */
#ifndef NMB_CONTENT_INTERNAL_H
#define NMB_CONTENT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "fs/chunkmap.h"
#include "fs/content.h"

#define CONTENT_TABLE 1024 /* power of two */

struct contents {
	struct store *store;
	int dirfd;         /* content/ */
	int quarantine_fd; /* quarantine/ */
	content_changed_fn *changed;
	void *changed_arg;
	contents_untidy_fn *untidy;
	void *untidy_arg;

	/* Numbers of the last file system flush begun and of the last one done:
	 * it covers a change that saw a smaller `flush_begun` than its own. */
	atomic_uint_fast64_t flush_begun, flush_done;

	pthread_mutex_t lock; /* LOCK_LEAF: all below */
	pthread_cond_t ready; /* a busy entry is not busy any more, or gone */
	struct content *table[CONTENT_TABLE];
	unsigned nidle;                /* in the table with refs == 0 */
	uint64_t used_all, used_clean; /* bytes */
	uint64_t *doomed;              /* numbers for contents_tidy() */
	size_t ndoomed, doomed_cap;
};

struct content_snapshot; /* fs/content_snap.c */

struct content {
	struct contents *cs;
	struct content *next; /* contents.lock */
	unsigned refs;        /* contents.lock; 0: could not be saved yet */
	bool busy;            /* contents.lock: being loaded or removed */
	bool orphan;          /* contents.lock: collect at the last put */
	uint64_t cid, ino;    /* set once */

	pthread_mutex_t lock; /* LOCK_CONTENT: all below */
	struct cfile row;
	struct chunkmap map;
	int fd;           /* -1: not opened, or no file yet */
	bool fd_readonly; /* the file system is */
	bool made_here;   /* there is no file before the first write */
	bool new_entry;   /* the directories were not synced since it came */
	bool frozen;      /* the next write opens a generation */
	bool unsaved;     /* row or map differ from the store */
	bool suspect;     /* was FAILED when it was loaded */
	unsigned arrived; /* chunks since the map was saved */

	/* Counts changes of bytes; as far as `synced` they are on the disk.
	 * `touched_at`: contents.flush_begun as of the last one. */
	uint64_t touched, synced, touched_at;
	struct content_snapshot *snap;
};

/* ---- content.c --------------------------------------------------------- */

/* Makes sure that nobody has, or gets, the live object of `cid`, until
 * content_release_claim(). -EBUSY: it is live; `orphan`: whoever has it then
 * gives it to contents_tidy(). */
int content_claim(struct contents *cs, uint64_t cid, bool orphan,
                  struct content **out_claim);
void content_release_claim(struct content *claim);

/* There is something to tidy. */
void content_note_untidy(struct contents *cs);

/* Frees one that could not be saved, whatever that loses. */
void content_forget_idle(struct content *c);

/* ---- contents.c -------------------------------------------------------- */

/* Reads the usage from the store. */
int contents_count(struct contents *cs);
void content_usage_change(struct contents *cs, const struct cfile *before,
                          const struct cfile *after);

/* ---- content_files.c; `suffix` is "" or ".snap" ------------------------ */

#define CONTENT_NAME_SIZE 48
void content_file_name(uint64_t cid, const char *suffix,
                       char out[CONTENT_NAME_SIZE]);
int content_file_open(struct contents *cs, uint64_t cid, const char *suffix,
                      int flags);
void content_file_remove(struct contents *cs, uint64_t cid, const char *suffix);

/* Syncs the directories that lead to the file. */
int content_file_sync_entry(struct contents *cs, uint64_t cid);
/* With c->lock held. Opens the file; makes it if `create`. -ENOENT: there is
 * none, rightly. -EIO: there should be one. */
int content_need_fd_locked(struct content *c, bool create);

/* Bytes of the file were changed. */
void content_touch_locked(struct content *c);

/* Puts all bytes and the file's name on the disk, if they may not be there. */
int content_sync_locked(struct content *c);

/* The same in steps, for who drops the lock between: flush, then tell how it
 * went. `touched`: c->touched before. */
int content_flush_fd(struct contents *cs, uint64_t cid, bool entry, int fd);
void content_note_flush_locked(struct content *c, uint64_t touched, int rc);

/* How many bytes of chunk `idx` belong to the file. */
size_t content_chunk_len_locked(const struct content *c, uint64_t idx);

/* Reads chunk `idx` whole into `buf` (CHUNK_SIZE); holes and what lies behind
 * the file's end are zeros. */
int content_read_chunk_locked(struct content *c, uint64_t idx, uint8_t *buf);

/* All of it, unless the file ends before; bytes or -Exxx. */
ssize_t content_pread_full(int fd, void *buf, size_t len, uint64_t off);

/* Bytes written, less than `len` only after an error (*out_rc); 0 bytes and
 * an error are told the same way. */
size_t content_pwrite_full(int fd, const void *buf, size_t len, uint64_t off,
                           int *out_rc);

/* ---- content_read.c ---------------------------------------------------- */

/* Reads what is in doubt (CFILE_DOUBT), all of it: what is damaged is absent
 * from now on, the rest is on the disk. Before bytes change, or go away. */
int content_end_doubt_locked(struct content *c);

/* ---- content_settle.c -------------------------------------------------- */

/* On failure nothing changed, in memory either. */
int content_transact_locked(struct content *c, content_edit_fn *edit,
                            void *arg);

/* ---- content_snap.c ---------------------------------------------------- */

/* Sets aside what [off, off+len) still holds of the snapshot. Never fails the
 * write: a snapshot it can't keep is given up. */
void content_snapshot_protect_locked(struct content *c, uint64_t off,
                                     uint64_t len);

/* Forgets the snapshot, keeps what was set aside for a resume. */
void content_snapshot_drop(struct content *c);

#endif
