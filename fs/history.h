/* fs/history.h -- .versions: what the service keeps of each file, as files.
 *
 *	.versions/            not listed; by its name only
 *	.versions/DIR/        as the tree here: its directories and files...
 *	.versions/DIR/FILE/   ...files as directories, in which are
 *	.versions/DIR/FILE/2026-11-24T21-14-02Z
 *	                      its stored versions, by the service's time (UTC);
 *	                      of several in one second the later ones have
 *	                      "-ID" behind it
 *
 * All of it is read-only, and none of it is in the store. Nodeids are from
 * HISTORY_FIRST on: of directories they follow from the node's ino, versions
 * get theirs when they are looked up. A version's content comes by ranges as it
 * is read, each chunk opened, and is kept in memory a while (HISTORY_CHUNKS per
 * open file); nothing of it goes to the disk.
 *
 * Nothing waits here: -EAGAIN, and then one of the wait functions, which call
 * `wake` on any thread without a lock: 0: look again; -Exxx. They return 0, or
 * -Exxx, and then `wake` does not come. Threads: any. Lock: one, LOCK_LEAF. */
#ifndef NMB_HISTORY_H
#define NMB_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define HISTORY_NAME   ".versions"
#define HISTORY_FIRST  (UINT64_C(1) << 62)
#define HISTORY_CHUNKS 96

struct codec;
struct graph;
struct history;
struct history_file; /* an open version */
struct store;
struct work;

struct history_options {
	struct graph *graph;
	struct store *store;
	struct work *work;
	const struct codec *codec;
	int64_t deadline_ms; /* nobody waits longer: -ETIMEDOUT */
};

int history_new(const struct history_options *opt, struct history **out_h);

/* Nobody waits any more, nothing is under way when it returns; ends the graph's
 * calls, too. NULL is fine. */
void history_stop(struct history *h);
void history_free(struct history *h); /* after the workers' end */

static inline bool history_owns(uint64_t nodeid)
{
	return nodeid >= HISTORY_FIRST;
}

typedef void history_wake_fn(void *arg, int rc);

struct history_entry {
	uint64_t nodeid; /* of a version: one more lookup is counted */
	struct stat st;
};

/* Something in the tree has that name, and is shown: says so, once. NULL is
 * fine. */
void history_note_taken(struct history *h);

/* .versions itself. */
int history_get_top(struct history *h, struct history_entry *out);

/* -ENOENT; -EAGAIN: *out_list is a directory that the engine has to list first
 * (its ino), or 0: history_wait_list(). */
int history_lookup(struct history *h, uint64_t parent, const char *name,
                   struct history_entry *out, uint64_t *out_list);
void history_forget(struct history *h, uint64_t nodeid, uint64_t count);
int history_get_attr(struct history *h, uint64_t nodeid, struct stat *out_st);

/* In order of their offsets, those after `after` (0: all); a callback that
 * returns 1 ends it: no room. -EAGAIN as above; -ENOTDIR. */
typedef int history_each_fn(void *arg, const char *name, uint64_t off,
                            mode_t mode);
int history_each(struct history *h, uint64_t nodeid, uint64_t after,
                 history_each_fn *each, void *arg, uint64_t *out_list);

int history_wait_list(struct history *h, uint64_t nodeid, history_wake_fn *wake,
                      void *arg);

/* -EISDIR. Closed also by history_free(). */
int history_open(struct history *h, uint64_t nodeid, struct history_file **out);
void history_close(struct history *h, struct history_file *f);

/* All of [off, off + len) as far as the file goes; -EAGAIN:
 * history_wait_read(). -EIO: damaged, or it is there no more. */
ssize_t history_read(struct history *h, struct history_file *f, uint64_t off,
                     void *buf, size_t len);
int history_wait_read(struct history *h, struct history_file *f, uint64_t off,
                      size_t len, history_wake_fn *wake, void *arg);

#endif
