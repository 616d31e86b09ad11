/* fs/history_internal.h -- shared by the history*.c files only.
 *
 *	history.c       start, end, who waits and how long
 *	history_tree.c  directories and names
 *	history_list.c  lists of versions
 *	history_read.c  the content of one: open, chunks that are here, waiting
 *	history_range.c and how it comes */
#ifndef NMB_HISTORY_INTERNAL_H
#define NMB_HISTORY_INTERNAL_H

#include <pthread.h>

#include "fs/cfile.h"
#include "fs/codec.h"
#include "fs/history.h"
#include "fs/node.h"
#include "fs/when.h"
#include "net/buf.h"
#include "net/download.h"
#include "net/versions.h"

#define HISTORY_VERSION (HISTORY_FIRST | UINT64_C(1) << 61)

#define HISTORY_NAME_MAX (WHEN_TEXT + VERSION_ID_MAX + 2)

/* A version and the name it has, oldest first in its list. */
struct history_version {
	struct version v;
	char name[HISTORY_NAME_MAX];
};

/* What the service said of one item. */
struct history_list {
	struct history_list *next;
	char item_id[NODE_ID_MAX + 1];
	struct history_version *v;
	size_t n;
	int rc; /* it could not be had */
	bool asking, known;
	int64_t until_ms; /* and then it is asked again */
};

/* A version that the kernel knows. */
struct history_node {
	struct history_node *next;
	uint64_t nodeid, lookups;
	char item_id[NODE_ID_MAX + 1];
	char etag[NODE_ETAG_MAX + 1]; /* of the item, while current */
	struct version v;
	struct stat st;
};

/* Somebody waits for a list, or for chunks [first, last] of a file. */
struct history_wait {
	struct history_wait *next;
	struct history_list *list;
	struct history_file *file;
	uint64_t first, last;
	int64_t until_ms;
	history_wake_fn *wake;
	void *arg;
	int rc; /* once it is over */
};

struct history {
	struct history_options opt;
	pthread_mutex_t lock; /* LOCK_LEAF; all below */
	pthread_cond_t idle;
	bool stop, told;
	unsigned under_way; /* lists, files that are busy, the timer */
	struct http_timer *timer;
	struct history_wait *waits;
	struct history_list *lists;
	struct history_node *nodes;
	struct history_file *files;
	uint64_t next_node;
};

/* A chunk of an open file. */
struct history_slot {
	uint8_t *data; /* NULL: free */
	size_t len;
	uint64_t idx, used;
};

struct history_file {
	struct history_file *link; /* lock: all that are open */
	struct history *h;
	unsigned refs; /* lock: the opener, who works on it */
	struct version v;
	char item_id[NODE_ID_MAX + 1];
	char etag[NODE_ETAG_MAX + 1];
	uint64_t plain;
	struct codec_bond known;

	/* Of who has set `busy`: one at a time. */
	struct download *download;
	struct codec_reader *reader;
	bool moved;          /* it was said to be the current one */
	bool meta;           /* the range brings what the reader wants first */
	uint64_t off;        /* then: where it lies */
	uint64_t first, end; /* else: chunks */
	struct buf in;
	int range_rc;

	/* lock */
	bool busy, ready, closed;
	int rc; /* it can't be read, and won't ever be */
	struct download_range *range;
	uint64_t next; /* chunk where a sequential reader goes on */
	unsigned window;
	uint64_t clock;
	struct history_slot slot[HISTORY_CHUNKS];
};

/* ---- history.c ----------------------------------------------------------- */

/* Takes a copy of `w`; -ESHUTDOWN, -ENOMEM. */
int history_add_wait_locked(struct history *h, const struct history_wait *w);

/* Takes those out that `over` says 1 of, with the rc it has set. */
typedef bool history_over_fn(struct history_wait *w, void *arg);
struct history_wait *
history_take_waits_locked(struct history *h, history_over_fn *over, void *arg);
/* Without the lock. */
void history_wake(struct history_wait *list);

void history_done_locked(struct history *h); /* under_way - 1 */

/* ---- history_list.c ------------------------------------------------------ */

/* The list of an item: 0 and valid while the lock is held; -EAGAIN; -Exxx. */
int history_find_list_locked(struct history *h, const char *item_id,
                             struct history_list **out_l);
int history_ask_list(struct history *h, const char *item_id,
                     history_wake_fn *wake, void *arg);
void history_free_lists(struct history *h);

/* Names for versions as they come from the service: newest first. */
int history_name_versions(const struct version *v, size_t n,
                          struct history_version **out_v, size_t *out_n);

/* ---- history_read.c ------------------------------------------------------ */

struct history_slot *history_find_slot_locked(struct history_file *f,
                                              uint64_t idx);
bool history_has_chunks_locked(struct history_file *f, uint64_t first,
                               uint64_t last);
/* Without the lock. */
int history_keep_chunk(struct history_file *f, uint64_t idx, const void *plain,
                       size_t len);
void history_unref_file(struct history_file *f);

/* ---- history_range.c ----------------------------------------------------- */

/* On a worker, or here if there is no memory for that. */
void history_submit(struct history_file *f, void (*fn)(void *arg));

/* A work_fn of a struct history_file, by who has set `busy` (with a reference,
 * and under_way + 1): serves who can be served, and goes on while somebody
 * waits. */
void history_step(void *file);

void history_cancel_locked(struct history_file *f);

#endif
