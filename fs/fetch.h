/* fs/fetch.h -- brings absent chunks here: read misses, read-ahead, hydration.
 *
 * One *stream* per content number being fetched; it shares its ranged
 * requests, its download URL and its codec reader between all who wait. Misses
 * of readers go first (HTTP_PRIO_USER), read-ahead grows on sequential
 * access and collapses on random access, hydration of files opened for
 * writing runs behind (HTTP_PRIO_BULK). Every chunk is opened on a worker,
 * stored with content_store_chunk() and wakes who waits for it, as it arrives.
 *
 * A tag that moved: the engine looks (`outdated`) and notes the new tag if the
 * content is the same; then the fetch goes on. If the base was replaced, it is
 * looked for among the versions of its item, by size and hash. If it is there
 * no more, who waits gets -ESTALE, and a file with changes of its own is told
 * so (`broken`).
 *
 * Threads: any. `wake` runs on a worker with no lock held. */
#ifndef NMB_FETCH_H
#define NMB_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct codec;
struct content;
struct fetch;
struct graph;
struct store;
struct work;

struct fetch_options {
	struct graph *graph;
	struct store *store; /* which tag a node's item has by now */
	struct work *work;
	const struct codec *codec;
	void *arg;
	/* The true plaintext size of a content became known and differs from
	 * the listing's claim. */
	void (*resized)(void *arg, uint64_t ino, uint64_t cid, uint64_t size);
	/* The item is another version by now, or gone: the engine looks. */
	void (*outdated)(void *arg, uint64_t ino);
	/* Chunks of a changed file can't be had any more. */
	void (*broken)(void *arg, uint64_t ino, int rc, const char *why);
	/* Room for `bytes` more on the disk: 0 or -ENOSPC. */
	int (*room)(void *arg, uint64_t bytes);
};

int fetch_new(const struct fetch_options *opt, struct fetch **out_f);

/* Everybody waiting gets -ECANCELED, and who comes later too; no callback comes
 * once it has returned. Stops the graph if that takes a request that can't be
 * cancelled by itself. */
void fetch_stop(struct fetch *f);
void fetch_free(struct fetch *f);

/* rc 0: try the read again (it may miss again, further on); else -Exxx for the
 * reader: -EIO, -ESTALE, -EACCES, -EPERM, -EBUSY, -ENOSPC, -ENOMEM,
 * -ETIMEDOUT. */
typedef void fetch_wake_fn(void *arg, int rc);

/* Wants plaintext [off, off + len) of `c`; comes back exactly once through
 * `wake`, at the latest after `deadline_ms` from now with -ETIMEDOUT (the
 * fetch goes on). -EIO at once: somebody has just waited in vain for the same.
 * `sequential`: the handle's guess, widens the window. */
int fetch_want(struct fetch *f, struct content *c, uint64_t off, size_t len,
               bool sequential, int64_t deadline_ms, fetch_wake_fn *wake,
               void *arg);

/* A sequential reader got [off, off + len) of content `cid`, which was here:
 * what is being read ahead of it is prolonged before it runs dry. Cheap; does
 * nothing if nothing is read ahead. */
void fetch_read_on(struct fetch *f, uint64_t cid, uint64_t off, size_t len);

/* Brings all of it, in the background. `done` may be NULL. */
int fetch_hydrate(struct fetch *f, struct content *c, fetch_wake_fn *done,
                  void *arg);

/* Every waiting reader ends with -EIO now (sleep announced, unmount). */
void fetch_end_waits(struct fetch *f, int rc);

/* The network is back, or the sign-in: tries again at once. */
void fetch_kick(struct fetch *f);

/* Bytes fetched since the start. */
uint64_t fetch_bytes(struct fetch *f);

#endif
