/* net/download_internal.h -- what the files of net/download share.
 *
 *	download.c        life of a download, what others call
 *	download_range.c  one range, from download_start() to `done`
 *	download_url.c    the pre-authenticated URL, fetched once for all
 *
 * All of it runs on the network thread but what download.h says of its
 * callers; download.lock is for the few members marked so. */
#ifndef NMB_DOWNLOAD_INTERNAL_H
#define NMB_DOWNLOAD_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "net/download.h"
#include "net/graph_internal.h"

struct download {
	struct graph *g;
	char *item_id, *etag, *version_id; /* etag, version_id: may be NULL */
	uint64_t size;

	pthread_mutex_t lock;
	unsigned refs; /* lock; owner, ranges, fetch, the closing mail */

	/* Network thread only. */
	LIST_HEAD(download_ranges, download_range) ranges;
	struct graph_mail close_mail;
	char *url;        /* guarded memory; NULL: must be fetched */
	uint64_t url_seq; /* counts them */
	/* What the content host called the content in its first answer on that
	 * URL, which need not be the item's eTag in its spelling. */
	char host_tag[256];
	bool fetching;
	bool led; /* the URL is where another one led to */
};

/* from        to         when                               moved by
 * NEW      -> URLLESS    there is no URL                    seek_url
 * NEW      -> WAITING    there is one                       seek_url
 * URLLESS  -> WAITING    it came                            range_url_came
 * WAITING  -> RECEIVING  its turn                           slot_granted
 * WAITING  -> URLLESS    its turn, but the URL is gone      slot_granted
 * RECEIVING-> WAITING    broken: on from the byte reached   give_up_or_wait
 * RECEIVING-> URLLESS    the URL is dead                    seek_url
 * all      -> ENDED      whole, refused, cancelled, out of  range_end
 *                        patience */
enum range_state {
	RANGE_NEW,
	RANGE_URLLESS, /* parked in the gate, for its patience only */
	RANGE_WAITING, /* in the gate */
	RANGE_RECEIVING,
	RANGE_ENDED, /* `done` is called; freed when nothing refers to it */
};

struct download_range {
	LIST_ENTRY(download_range) link;
	struct download *d;
	struct graph_mail begin_mail, cancel_mail;
	struct graph_slot slot;

	enum http_prio prio;
	int64_t patience_ms;
	download_data_fn *data;
	download_done_fn *done;
	void *arg;

	unsigned refs;            /* d->lock; the machine, the cancel mail */
	bool cancel;              /* d->lock; the mail was posted */
	struct http_request *req; /* d->lock; while it may be resumed */

	/* Network thread only. */
	enum range_state state;
	bool canceled;
	uint64_t off, end;   /* of what is still to be delivered */
	int64_t progress_ms; /* patience counts from here */
	unsigned attempt;    /* since the last progress */
	unsigned hops;       /* redirects followed */
	uint64_t url_seq;    /* of the URL in use */
	int last_rc;

	/* The answer. */
	long status;
	uint64_t skip; /* bytes of the body before `off` */
	bool moved;    /* something was delivered */
	bool infected;
	bool doubtful;      /* its size is not the content's */
	int own_rc;         /* -ESTALE, or what the owner said; 0: neither */
	struct buf trouble; /* body of another status, for its code */
};

/* download.c */
void download_ref(struct download *d);
void download_unref(struct download *d);

/* download_range.c. A range refers to its download. */
void range_unref(struct download_range *r);
void range_begin(struct graph_mail *m);
void range_cancel_here(struct download_range *r);
void range_url_came(struct download_range *r);
void range_end(struct download_range *r, int rc);

/* download_url.c: asks for a URL unless somebody does already; in the end all
 * ranges that wait for it hear of it. _drop: the one with that number is dead.
 * _replace: the service sent us on to another place. */
void download_fetch_url(struct download *d, const struct download_range *r);
void download_drop_url(struct download *d, uint64_t seq);
bool download_replace_url(struct download *d, const char *url);

#endif
