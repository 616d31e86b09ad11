#include "fs/direct_internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/cfile.h"
#include "fs/interrupt.h"
#include "fs/lock.h"
#include "fs/session.h"
#include "net/buf.h"
#include "net/clock.h"
#include "net/download.h"
#include "net/quickxor.h"

/* A range: the network thread fills a queue, the caller's empties it: a slow
 * disk or pipe holds up nobody else. A file: what the codec's reader wants to
 * see first, then chunk after chunk in one range. */

#define QUEUE_BYTES (4u << 20)
#define LOOK_MS     200
#define PATIENCE_MS 300000 /* without a byte */

struct inflow {
	pthread_mutex_t lock; /* LOCK_LEAF, all below */
	pthread_cond_t moved;
	struct buf queue;
	struct download_range *range; /* NULL once it has ended */
	bool paused, ended;
	int rc;
};

static int on_data(void *arg, uint64_t off, const void *data, size_t len)
{
	struct inflow *in = arg;
	int rc = 0;

	(void)off;
	lock_take(&in->lock, LOCK_LEAF);
	if (in->queue.len && in->queue.len + len > QUEUE_BYTES) {
		in->paused = true;
		rc = 1;
	} else {
		rc = buf_add(&in->queue, data, len);
		pthread_cond_signal(&in->moved);
	}
	lock_drop(&in->lock, LOCK_LEAF);
	return rc;
}

static void on_done(void *arg, int rc)
{
	struct inflow *in = arg;

	lock_take(&in->lock, LOCK_LEAF);
	in->range = NULL;
	in->ended = true;
	in->rc = rc;
	pthread_cond_signal(&in->moved);
	lock_drop(&in->lock, LOCK_LEAF);
}

/* Waits for more, or for the end: 0, with `out` empty at the end. */
static int take_some(struct inflow *in, struct buf *out)
{
	int rc = 0;

	buf_clear(out);
	lock_take(&in->lock, LOCK_LEAF);
	while (!in->queue.len && !in->ended && !interrupt_seen())
		lock_wait_until(&in->moved, &in->lock,
		                clock_mono_ms() + LOOK_MS);
	if (interrupt_seen()) {
		rc = -EINTR;
	} else if (in->queue.len) {
		struct buf full = in->queue;

		in->queue = *out;
		*out = full;
		if (in->paused && in->range) {
			in->paused = false;
			download_resume(in->range);
		}
	} else {
		rc = in->rc;
	}
	lock_drop(&in->lock, LOCK_LEAF);
	return rc;
}

static int pump(struct inflow *in, direct_sink_fn *sink, void *arg)
{
	struct buf piece = BUF_INIT;
	int rc;

	for (;;) {
		rc = take_some(in, &piece);
		if (rc < 0 || !piece.len)
			break;
		rc = sink(arg, piece.data, piece.len);
		if (rc < 0)
			break;
	}
	buf_done(&piece);
	return rc;
}

static int read_range(struct download *dl, uint64_t off, uint64_t len,
                      direct_sink_fn *sink, void *arg)
{
	struct inflow in = { .rc = 0 };
	struct download_range *range;
	int rc;

	pthread_mutex_init(&in.lock, NULL);
	lock_cond_init(&in.moved);
	lock_take(&in.lock, LOCK_LEAF); /* `done` waits until range is set */
	rc = download_start(dl, off, len, HTTP_PRIO_USER, PATIENCE_MS, on_data,
	                    on_done, &in, &range);
	if (rc == 0)
		in.range = range;
	lock_drop(&in.lock, LOCK_LEAF);
	if (rc == 0) {
		rc = pump(&in, sink, arg);
		lock_take(&in.lock, LOCK_LEAF);
		if (in.range)
			download_cancel(in.range);
		while (!in.ended)
			lock_wait(&in.moved, &in.lock);
		lock_drop(&in.lock, LOCK_LEAF);
	}
	buf_done(&in.queue);
	pthread_cond_destroy(&in.moved);
	pthread_mutex_destroy(&in.lock);
	return rc;
}

static void say_transfer(struct direct *d, const struct direct_file *f, int rc)
{
	const char *name = f->node.name;

	switch (rc) {
	case -EINTR:
		direct_say(d, "interrupted");
		break;
	case -ESTALE:
		direct_say(d,
		           "\"%s\" was replaced while it was read; try again",
		           name);
		break;
	case -EPERM:
		direct_say(d,
		           "\"%s\": the service takes it for malware and does "
		           "not give it out",
		           name);
		break;
	default:
		direct_say(d, "\"%s\": %s", name, strerror(-rc));
	}
}

int direct_download(struct direct *d, const struct direct_file *f, uint64_t off,
                    uint64_t len, direct_sink_fn *sink, void *sink_arg)
{
	const struct item *it = &f->item;
	struct download *dl;
	int rc = len ? download_new(d->session->graph, it->id, it->etag,
	                            it->size, NULL, NULL, &dl)
	             : 0;

	if (rc == 0 && len) {
		rc = read_range(dl, off, len, sink, sink_arg);
		download_free(dl);
	}
	if (rc < 0)
		say_transfer(d, f, rc);
	return rc;
}

/* ---- chunks -------------------------------------------------------------- */

struct chunk {
	size_t len;
	uint8_t data[CHUNK_SIZE + CODEC_TAG];
};

struct opening {
	const struct codec_ops *ops;
	struct codec_reader *reader;
	uint64_t next, end;  /* chunks to be read: [next, end) */
	struct chunk sealed; /* of `next`, as far as it came */
	struct chunk plain;
	struct chunk last;    /* came with what was needed, for the end */
	struct quickxor hash; /* of what the service has */
	const char *trouble;  /* why the content is not taken */

	direct_sink_fn *sink;
	void *sink_arg;
	direct_progress_fn *progress;
	void *arg;
	uint64_t done, total; /* plaintext bytes */
};

static int deliver(struct opening *o, const void *data, size_t len)
{
	int rc = o->sink(o->sink_arg, data, len);

	o->done += len;
	if (rc == 0 && o->progress)
		o->progress(o->arg, o->done, o->total);
	return rc;
}

static int open_chunk(struct opening *o)
{
	ssize_t n = o->ops->reader_open(o->reader, o->next, o->sealed.data,
	                                o->sealed.len, o->plain.data);

	if (n < 0) {
		o->trouble = "a part of it is damaged";
		return (int)n;
	}
	o->sealed.len = 0;
	o->next++;
	return deliver(o, o->plain.data, (size_t)n);
}

/* direct_sink_fn */
static int on_sealed(void *arg, const void *data, size_t len)
{
	struct opening *o = arg;
	const uint8_t *at = data;
	int rc = 0;

	quickxor_update(&o->hash, data, len);
	while (rc == 0 && len) {
		uint64_t off, want;
		size_t n;

		o->ops->reader_range(o->reader, o->next, &off, &want);
		assert(o->next < o->end && want <= sizeof(o->sealed.data));
		n = want - o->sealed.len < len ? want - o->sealed.len : len;
		memcpy(o->sealed.data + o->sealed.len, at, n);
		o->sealed.len += n;
		at += n;
		len -= n;
		if (o->sealed.len == want)
			rc = open_chunk(o);
	}
	return rc;
}

/* direct_sink_fn */
static int add_piece(void *arg, const void *data, size_t len)
{
	return buf_add(arg, data, len);
}

static int feed(struct opening *o, struct download *dl)
{
	struct buf piece = BUF_INIT;
	uint64_t off, len;
	int rc = 0;

	while (rc == 0 && o->ops->reader_needs(o->reader, 0, &off, &len)) {
		buf_clear(&piece);
		rc = read_range(dl, off, len, add_piece, &piece);
		if (rc == 0)
			rc = o->ops->reader_feed(o->reader, off, piece.data,
			                         piece.len, &o->trouble);
	}
	buf_done(&piece);
	return rc;
}

/* What came with that: the first chunks are given on, the last one waits. */
static int take(struct opening *o)
{
	uint64_t idx;
	const void *plain;
	size_t len;
	int rc = 0;

	o->total = o->ops->reader_size(o->reader);
	o->end = (o->total + CHUNK_SIZE - 1) / CHUNK_SIZE;
	while (rc == 0 &&
	       o->ops->reader_take(o->reader, &idx, &plain, &len) == 1) {
		if (idx == o->next) {
			o->next++;
			rc = deliver(o, plain, len);
		} else if (idx + 1 == o->end) {
			o->end--;
			o->last.len = len;
			memcpy(o->last.data, plain, len);
		}
	}
	return rc;
}

static int read_chunks(struct opening *o, struct download *dl)
{
	uint64_t from, last, len;
	int rc = feed(o, dl);

	if (rc == 0)
		rc = take(o);
	if (rc == 0 && o->next < o->end) {
		o->ops->reader_range(o->reader, o->next, &from, &len);
		o->ops->reader_range(o->reader, o->end - 1, &last, &len);
		rc = read_range(dl, from, last + len - from, on_sealed, o);
	}
	if (rc == 0 && o->last.len)
		rc = deliver(o, o->last.data, o->last.len);
	if (rc == 0 && o->done != o->total)
		rc = -EIO;
	return rc;
}

/* Where chunks carry no tag. */
static int check_hash(struct direct *d, const struct direct_file *f,
                      const struct quickxor *hash)
{
	uint8_t got[QUICKXOR_SIZE];

	quickxor_final(hash, got);
	if (!f->item.has_hash || !memcmp(got, f->item.hash, sizeof(got)))
		return 0;
	direct_say(d,
	           "\"%s\": other bytes came than the service has by its own "
	           "hash; try again",
	           f->node.name);
	return -EBADMSG;
}

static int open_reader(struct direct *d, const struct direct_file *f,
                       struct opening *o)
{
	struct codec_bond known;

	direct_known_bond(d, f->item.id, &known);
	return o->ops->reader_new(d->codec, f->item.size, &known, &o->reader);
}

static int get_content(struct direct *d, const struct direct_file *f,
                       struct opening *o)
{
	const struct item *it = &f->item;
	struct download *dl;
	int rc = open_reader(d, f, o);

	if (rc < 0)
		return rc;
	quickxor_init(&o->hash);
	if (it->size) {
		rc = download_new(d->session->graph, it->id, it->etag, it->size,
		                  NULL, NULL, &dl);
		if (rc == 0) {
			rc = read_chunks(o, dl);
			download_free(dl);
		}
	} else if (o->ops->header_size) {
		o->trouble = "it is empty, which no sealed file is";
		rc = -EBADMSG;
	}
	o->ops->reader_free(o->reader);
	if (rc == 0 && !o->ops->authenticates)
		rc = check_hash(d, f, &o->hash);
	return rc;
}

int direct_get(struct direct *d, const struct direct_file *f,
               direct_sink_fn *sink, void *sink_arg,
               direct_progress_fn *progress, void *arg)
{
	struct interrupt signals;
	struct opening *o;
	int rc;

	if (f->item.kind != ITEM_FILE || !S_ISREG(f->node.mode)) {
		direct_say(d, "\"%s\" is no file", f->node.name);
		return -EISDIR;
	}
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->ops = d->codec->ops;
	o->sink = sink;
	o->sink_arg = sink_arg;
	o->progress = progress;
	o->arg = arg;
	d->why[0] = '\0';
	interrupt_catch(&signals);
	rc = get_content(d, f, o);
	interrupt_release(&signals);
	if (rc < 0 && o->trouble && !interrupt_seen())
		direct_say(d, "\"%s\": %s", f->node.name, o->trouble);
	else if (rc < 0 && !d->why[0])
		say_transfer(d, f, rc);
	free(o);
	return rc;
}
