/* fs/ahead.h -- read-ahead across files: what is likely to be read next.
 *
 * Restoring a tree of small files one by one costs two round trips each. When
 * files of a folder are read from their beginnings, one after another in the
 * order of the listing or of the names, those that follow are fetched before
 * they are asked for: 4, then twice as many for each that was used, up to
 * AHEAD_FILES, on into the next folder. The first one read out of order ends
 * that. Only small files that the server has and nobody changed here, only
 * while the cache has room without evicting anything, and behind whatever a
 * reader waits for (HTTP_PRIO_BULK). Download URLs come 20 at a time.
 *
 * Nothing depends on it: what fails here is fetched when it is read.
 * Threads: ahead_note() from any, it only queues; the rest is done by one job
 * at a time on a worker. */
#ifndef NMB_AHEAD_H
#define NMB_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

struct ahead;
struct fetch;
struct space;
struct store;
struct tree;
struct work;

#define AHEAD_FILES      64u                  /* fetched and not yet read */
#define AHEAD_FILE_BYTES (UINT64_C(1) << 20)  /* larger ones: fs/fetch.h */
#define AHEAD_BYTES      (UINT64_C(16) << 20) /* on their way */

struct ahead_options {
	struct store *store;
	struct tree *tree;
	struct space *space;
	struct fetch *fetch;
	struct work *work;
};

int ahead_new(const struct ahead_options *opt, struct ahead **out_a);

/* No new fetch starts from here on; before fetch_stop(). */
void ahead_stop(struct ahead *a);
void ahead_free(struct ahead *a); /* after fetch_stop() */

/* A program reads the file from its first byte. `missed`: it had to wait for
 * the network. Cheap if neither that nor fetched by us. NULL does nothing. */
void ahead_note(struct ahead *a, uint64_t ino, bool missed);

#endif
