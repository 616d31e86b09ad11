/* fs/fetch_internal.h -- between fetch.c (who waits; life of streams),
 * fetch_pump.c (what to ask for next), fetch_range.c (what is on the wire),
 * fetch_guess.c (what can be asked for before its place is known) and
 * fetch_base.c (which content is read).
 *
 * Everything is guarded by fetch.lock (LOCK_LEAF), unless it says otherwise. A
 * stream is planned on a worker by one *pump* at a time, which looks into the
 * content (a lock that comes before ours) without holding ours. */
#ifndef NMB_FETCH_INTERNAL_H
#define NMB_FETCH_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/cfile.h"
#include "fs/codec.h"
#include "fs/fetch.h"
#include "net/http.h"
#include "net/version_find.h"

struct codec_reader;
struct download;
struct download_range;

#define FETCH_WINDOW_MIN 16u  /* chunks ahead of a sequential reader: 1 MiB */
#define FETCH_GROWTH     8u   /* a round trip costs megabytes, so: soon... */
#define FETCH_WINDOW_NEW 512u /* ...32 MiB, until it is known... */
#define FETCH_WINDOW_LOW 64u  /* ...what comes in FETCH_RATE_MS: that... */
#define FETCH_WINDOW_MAX 768u /* ...but 4 to 48 MiB */
#define FETCH_RATE_MS    500
#define FETCH_RANGE_MAX  128u /* chunks of one request: 8 MiB */
#define FETCH_RANGES     6u   /* requests of one stream at a time */
#define FETCH_STUCK_MS   1000 /* without a byte, after a deadline */
#define FETCH_PIECES     96u  /* chunks between network and disk */
#define FETCH_SEARCHES   3u   /* for a base, of one stream */
#define FETCH_LATE       64u  /* vain waits remembered... */
#define FETCH_LATE_MS    500  /* ...for so long */

struct fetch_wait {
	struct fetch_wait *next;
	uint64_t first, last; /* chunks */
	int64_t until_ms;
	fetch_wake_fn *wake;
	void *arg;
};

/* One sealed chunk on its way from the network thread to the disk. */
struct piece {
	struct piece *next;
	struct range *range;
	uint64_t idx;
	size_t len;
	uint8_t data[];
};

struct range {
	struct range *next;
	struct stream *stream;
	struct download_range *req; /* NULL once it ended */
	uint64_t first;             /* chunk */
	uint64_t idx, end;          /* chunks [idx, end) still to come */
	uint8_t *buf;               /* the sealed chunk that is arriving */
	size_t len, want;
	bool meta;   /* bytes for the reader itself, not chunks */
	uint64_t at; /* of meta bytes */
	bool paused, ended;
	bool dropped;     /* cancelled for standing still: asked anew */
	bool guess;       /* begun before the reader was ready... */
	bool wrong;       /* ...at another place than it turned out to be */
	int64_t moved_ms; /* when the last byte came, or it was started */
	unsigned pieces;  /* chunks handed to workers and not yet stored */
};

struct stream {
	struct stream *next;
	struct fetch *fetch;
	struct content *content;      /* a reference */
	struct cfile base;            /* as it was when the stream began */
	char etag[NODE_ETAG_MAX + 1]; /* of the download; base.base_etag guards
	                               * the content */
	struct codec_reader *reader;  /* the pump's until ready */
	struct codec_bond known;      /* of the item's versions, before */
	bool ready;                   /* set by the pump */
	bool guessed;                 /* what can be was asked for before */
	uint64_t guess_first, guess_last,
		guess_off;  /* the pump's; last 0: no */
	struct piece *held; /* of a guess, until the reader is ready */
	struct download *download;
	struct fetch_wait *waits;
	struct range *ranges;
	unsigned nranges;
	uint64_t window, ahead; /* chunks; read-ahead goes up to `ahead` */
	uint64_t came;          /* bytes since `since_ms` */
	int64_t since_ms;       /* 0: nothing came yet */
	uint64_t rate;          /* bytes in FETCH_RATE_MS; 0: not known */
	uint64_t seq;           /* the chunk a sequential reader asks next */
	bool hydrate, whole;    /* all of it shall be here; is here */
	struct hydrate_wait *hydrate_waits;
	bool pumping, again;
	int rc;                    /* the stream is over with that */
	unsigned stale;            /* how often another version was met */
	bool resting;              /* waits for the engine to look, or for the
	                            * search */
	struct version_find *find; /* the search for a base that was replaced */
	unsigned searches;
	/* What it found: at most one is set. */
	char found_etag[NODE_ETAG_MAX + 1];
	char found_version[VERSION_ID_MAX + 1];
	bool reopen; /* the download in use is of something else */
	struct http_timer *linger; /* idle, kept a while for its URL */
	unsigned refs;             /* ranges, pump, timers */
};

struct hydrate_wait {
	struct hydrate_wait *next;
	fetch_wake_fn *done;
	void *arg;
};

/* Somebody waited a whole deadline for these chunks in vain. The kernel asks
 * for a page once for its read-ahead, once more for the page, and then for
 * each of those who queued up behind: they would wait one after the other. */
struct late {
	uint64_t cid, first, last;
	int64_t ms; /* 0: nothing */
};

struct fetch {
	struct fetch_options opt;
	pthread_mutex_t lock; /* LOCK_LEAF */
	pthread_cond_t idle;
	struct stream *streams;
	unsigned nstreams;
	unsigned pieces;
	bool stop, ticking;
	unsigned timers;
	struct late late[FETCH_LATE];
	unsigned nlate; /* counts on */
	uint64_t bytes;
};

/* ---- fetch.c ------------------------------------------------------------- */

void fetch_stream_unref_locked(struct stream *s);

/* Everybody who waits for this stream gets `rc`; it ends. */
void fetch_end_stream(struct stream *s, int rc);

/* Lists that were taken out under the lock are called without it. */
void fetch_call_waits(struct fetch_wait *list, int rc);
void fetch_call_hydrates(struct hydrate_wait *list, int rc);

/* A chunk of that content came: who asks may wait again. */
void fetch_forget_late_locked(struct fetch *f, uint64_t cid);

/* ---- fetch_pump.c -------------------------------------------------------- */

/* Wakes a pump for the stream, on a worker. */
void fetch_pump_locked(struct stream *s);

/* A chunk is stored, a range ended: rc as of download_done_fn. */
void fetch_range_ended(struct stream *s, int rc);

/* ---- fetch_range.c ------------------------------------------------------- */

/* The pump's part: starts requests for chunks [first, last]. -Exxx ends the
 * stream. */
int fetch_start_range(struct stream *s, uint64_t first, uint64_t end,
                      enum http_prio prio);
int fetch_start_meta(struct stream *s, uint64_t off, uint64_t len,
                     enum http_prio prio);

/* Hands a chunk to a worker, which stores it, or throws it away if the stream
 * has ended or the guess was wrong. */
void fetch_submit_piece(struct piece *p);

/* Ends requests of the stream that stand still: somebody waited for them in
 * vain, and the next one gets a new connection. */
void fetch_drop_stuck_locked(struct stream *s, int64_t now_ms);

/* ---- fetch_guess.c, the pump's ------------------------------------------- */

/* Header and end are about to be asked for: what is waited for, too. 0 or
 * -Exxx. */
int fetch_guess(struct stream *s, enum http_prio prio);

/* They were opened: the stream is ready, what came early is stored. */
void fetch_guess_ready(struct stream *s);

/* They will come from another download, or never. */
void fetch_guess_drop(struct stream *s);

/* ---- fetch_base.c -------------------------------------------------------- */

/* The pump's: s->download is open, of the content that is meant. */
int fetch_open_download(struct stream *s);

/* The item has another content than the stream reads, or is gone: waits for
 * the engine to look, then searches. False: it is nowhere. */
bool fetch_meet_stale(struct stream *s);

/* Ends a search, soon. */
void fetch_cancel_search_locked(struct stream *s);

#endif
