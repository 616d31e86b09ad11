/* fs/content.h -- content files: the plaintext bytes of nodes on this disk.
 *
 * One sparse file per content number (cid) in <state>/content/XX/, with a row
 * in the store (fs/cfile.h). A node has one live content; a new content
 * number is taken where the old bytes must stay readable beside the new ones:
 * truncation to nothing, a new version from the server, rename over a file.
 *
 * States of the bytes: SOFT from the first write until content_settle() has
 * flushed them, noted every chunk's checksum and committed; only settled
 * content is sealed for an upload session. The *generation* names one
 * immutable state: content_freeze() pins it, and the next write first commits
 * the next number, so that nothing written later can pass for it. To seal one:
 * freeze, settle until 0, then content_gen() is still what freeze said.
 *
 * The row of a live content is changed through content_transact() only.
 *
 * Threads: any; each call takes the object's content.lock (rank LOCK_CONTENT)
 * and the writer below it; it may wait for this disk, never for the network.
 * Not within a transaction and not while holding a store_reader().
 * Errors: 0 or -Exxx; -EIO with a log line when bytes fail their checksum, or
 * are missing, and can't be fetched again. */
#ifndef NMB_CONTENT_H
#define NMB_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/cfile.h"

struct store;
struct db;
struct contents; /* all of them */
struct content;  /* one, live */

/* A node's content became different from the server's (a generation was
 * opened). Called under content.lock: may take LOCK_LEAF, must only queue. */
typedef void content_changed_fn(void *arg, uint64_t ino);

/* Makes `state_dir`/content and quarantine if need be. */
int contents_new(const char *state_dir, struct store *store,
                 struct contents **out_cs);
void contents_set_changed(struct contents *cs, content_changed_fn *changed,
                          void *arg);
void contents_free(struct contents *cs); /* no content is live any more */

/* Flushes the whole file system (syncfs): spares content_settle() the flush of
 * each file written before it. Worth it for many files. Errors of other
 * programs' files may show here (since Linux 5.8): settle one by one then. */
int contents_flush(struct contents *cs);

/* Housekeeping, soon after `untidy` and after evicting: makes commits durable
 * (store_sync()) and then removes the files they made useless; saves what
 * could not be saved when its last user left (full disk, or it was changed
 * just then). -EAGAIN: some is left, to be saved the next time. */
int contents_tidy(struct contents *cs);

/* There is something for contents_tidy(). Called with no lock of this module,
 * from any of its functions that drop something; must only queue. */
typedef void contents_untidy_fn(void *arg);
void contents_set_untidy(struct contents *cs, contents_untidy_fn *untidy,
                         void *arg);

/* Bytes allocated as last seen: all, evictable. */
void contents_get_usage(struct contents *cs, uint64_t *out_all,
                        uint64_t *out_clean);

/* Free bytes of the file system that holds them. */
int contents_get_free(struct contents *cs, uint64_t *out_bytes);

/* Adds an empty, FRESH content for a node, in the caller's transaction, which
 * makes the node point to it too. `prev`: what a power cut falls back to: the
 * content it replaces, another node's in a rename; 0: nothing. It may be FRESH
 * itself. The file comes with the first write. */
int content_add_empty(struct contents *cs, struct db *db, uint64_t ino,
                      uint64_t gen, uint64_t prev, uint64_t *out_cid);

/* Adds a content of which nothing is here yet: `row` says where it comes from
 * (base_*, size, gen, ino); its cid is given out here. */
int content_add_absent(struct contents *cs, struct db *db, struct cfile *row);

/* A reference to the live object; loads it if need be. content_put() of the
 * last one saves what changed. `made_here`: right after content_add_empty()'s
 * commit, spares the first write a commit. -ENOENT: it was evicted or
 * collected meanwhile: look at the node again. */
int content_get(struct contents *cs, uint64_t cid, bool made_here,
                struct content **out_c);
struct content *content_ref(struct content *c);
void content_put(struct content *c);

uint64_t content_cid(const struct content *c);
uint64_t content_ino(const struct content *c);
uint64_t content_size(struct content *c);
uint64_t content_gen(struct content *c);
bool content_is_soft(struct content *c);
int content_is_whole(struct content *c); /* 1, 0, -Exxx */

/* The row as it stands in memory. */
void content_get_row(struct content *c, struct cfile *out_row);

/* ---- reading ----------------------------------------------------------- */

struct content_span {
	int fd;          /* valid while the reference is held; -1 if len 0 */
	uint64_t off;    /* in the file */
	size_t len;      /* 0: at or behind the end */
	uint64_t absent; /* with -EAGAIN: the first chunk that is not here */
	bool partial;    /* something elsewhere is perhaps not here */
};

/* [off, off + len), clipped to the size. 0: all of it is here and checked, to
 * be read from `fd`, without a lock: who reads while others write gets old or
 * new bytes, who reads what is truncated meanwhile may get less. -EAGAIN:
 * something has to be fetched first (`absent`). -EIO. */
int content_read(struct content *c, uint64_t off, size_t len,
                 struct content_span *out);

/* Copies bytes that must be here; for tests, sealing small files. Short only
 * at the end. */
ssize_t content_pread(struct content *c, void *buf, size_t len, uint64_t off);

/* The first chunk in [first, last] that is absent; last + 1 if none. */
int content_next_absent(struct content *c, uint64_t first, uint64_t last,
                        uint64_t *out_idx);

/* lseek: SEEK_DATA and SEEK_HOLE; an absent chunk counts as data. */
int content_seek(struct content *c, uint64_t off, int whence,
                 uint64_t *out_off);

/* A chunk of the base has arrived: `data` is its plaintext as the base has it
 * (CHUNK_SIZE, or less at the base's end). What was written here meanwhile
 * wins. `base_etag` guards against a base that was replaced: -ESTALE. */
int content_store_chunk(struct content *c, const char *base_etag, uint64_t idx,
                        const void *data, size_t len);

/* Where chunks are authenticated: that a file of the server is empty is a claim
 * until its header and end were seen. A program that reads it would never ask,
 * so it is asked at open. */
bool content_is_claim(struct content *c);
void content_note_empty(struct content *c);

/* The base's true plaintext size became known (the listing's was a claim).
 * Only before anything was written here: -EBUSY otherwise. */
int content_set_base_size(struct content *c, uint64_t plain_size);

/* ---- writing ----------------------------------------------------------- */

/* Holds content.lock from a successful begin to the end, by the same thread.
 * In between the caller puts bytes into *out_fd at `off` (splice from a pipe
 * that has them), blocking on nothing but this disk, and calls nothing of
 * ours. content_write_end() with what arrived (or -Exxx), which it returns. */
int content_write_begin(struct content *c, uint64_t off, size_t len,
                        int *out_fd);
int content_write_end(struct content *c, uint64_t off, ssize_t written);

/* One call for both, from memory. */
int content_write(struct content *c, const void *buf, size_t len, uint64_t off);

/* Sets the size in place; growing adds a hole. To nothing: take a new content
 * instead, a power cut must not leave a file empty. */
int content_truncate(struct content *c, uint64_t size);

/* fallocate(2) modes 0, KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE; -EOPNOTSUPP for
 * others, and where the file system can't. */
int content_fallocate(struct content *c, int mode, uint64_t off, uint64_t len);

/* Flushes bytes, notes checksums, commits. What was written before the call
 * survives a power cut after store_sync(), which is the caller's. 0: it is not
 * SOFT any more; 1: somebody wrote meanwhile, it still is. A flush that failed
 * (-EIO, -ENOSPC) fails for ever: the kernel reports it once and then calls
 * the lost bytes clean. */
int content_settle(struct content *c);

/* One transaction over this content and its node: under content.lock begins
 * it, calls `edit` (which may change row->flags, base_id, base_etag, base_size
 * and any other rows through `db`), saves row and map, commits. `edit` NULL
 * just saves: what a close promises. Its -Exxx rolls everything back. An edit
 * that sets CFILE_CLEAN says that the base is now all that is here; -EINVAL if
 * it is SOFT or not whole. */
typedef int content_edit_fn(void *arg, struct db *db, struct cfile *row);
int content_transact(struct content *c, content_edit_fn *edit, void *arg);

/* ---- uploads ----------------------------------------------------------- */

/* Pins the present generation; the next write opens another one. Returns its
 * number. */
uint64_t content_freeze(struct content *c);

/* Keeps the present generation readable while later writes go on: chunks are
 * copied aside before they change. One per content, else -EBUSY. `sums` (of
 * content_get_sums(), owned by the caller until the end) are what the chunks
 * must have. -ESTALE: not settled, not whole, or of another size. `resumed`:
 * after a restart, the generation as it was then: what it had set aside is
 * looked for. Hold a reference until the end; dropping the last one without
 * content_snapshot_end() keeps what was set aside for a resume. */
int content_snapshot_begin(struct content *c, uint64_t size,
                           const uint64_t *sums, bool resumed);

/* Bytes of the snapshot; every chunk touched is checked against its sum.
 * -ESTALE: it is nowhere any more. */
ssize_t content_snapshot_read(struct content *c, void *buf, size_t len,
                              uint64_t off);

/* Bytes set aside so far. */
uint64_t content_snapshot_cost(struct content *c);

/* The attempt is over: what was set aside goes. */
void content_snapshot_end(struct content *c);

/* Checksums of all chunks of a settled content, malloc'ed. -EAGAIN: not all of
 * it is here, perhaps found just now. */
int content_get_sums(struct content *c, uint64_t **out_sums, size_t *out_n);

/* ---- disposal ---------------------------------------------------------- */

/* Content that may have lost its last use: call after the transaction that
 * dropped it. contents_tidy() removes it once that is durable, if no row needs
 * it; if somebody has it open, after the last content_put(). */
void content_collect(struct contents *cs, uint64_t cid);

/* Throws away a clean content that nobody has open; the node's cid becomes 0.
 * -EBUSY if it is in use or not clean. Its bytes are free after
 * contents_tidy(). */
int content_evict(struct contents *cs, uint64_t cid);

/* Moves the file of `cid` to quarantine/ (name: why-cid). Never replaces. */
int content_quarantine(struct contents *cs, uint64_t cid, const char *why);

/* Its bytes get a second name, quarantine/`dir`/`path` (with its directories;
 * a number behind it if that is taken): they stay when the content goes. On
 * disk after contents_flush(). */
int content_keep_aside(struct contents *cs, uint64_t cid, const char *dir,
                       const char *path);

/* Brings the SOFT rows of the last run in order, at each start, before
 * anything is live. `rebooted`: of store_open(). Without a reboot the bytes
 * are as they were: sizes come from the files, checksums are dropped. After
 * one, what was never durable falls back to `prev`, or to the server's
 * version, or its node goes; the file goes to quarantine; what had come from
 * the server is here as far as its checksums hold (CFILE_DOUBT). Rows that stay
 * are still SOFT: settle them (cfile_each_soft()). */
struct content_recovery {
	unsigned resized, reverted, quarantined;
	unsigned lost; /* bytes that are on no disk: logged, kept as they are,
	                * reading gives -EIO, settling too */
};
int contents_recover(struct contents *cs, bool rebooted,
                     struct content_recovery *out);

/* Compares directory and rows, after an unclean end: unknown files go to
 * quarantine, rows nothing needs are collected. Slow; any time, any thread,
 * beside everything else. */
struct content_scan {
	unsigned moved, collected;
	unsigned lost; /* as above */
};
int contents_scan(struct contents *cs, struct content_scan *out);

/* Checksum used for chunks (XXH3, never 0). */
uint64_t content_sum(const void *data, size_t len);

#endif
