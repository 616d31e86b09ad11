#include "fs/fetch_internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/codec.h"
#include "fs/content.h"
#include "fs/lock.h"
#include "net/clock.h"
#include "net/download.h"
#include "net/log.h"
#include "net/work.h"

static const struct codec_ops *ops_of(const struct stream *s)
{
	return s->fetch->opt.codec->ops;
}

static void remove_range_locked(struct range *r)
{
	struct range **pp = &r->stream->ranges;

	while (*pp != r)
		pp = &(*pp)->next;
	*pp = r->next;
	r->stream->nranges--;
}

/* The last piece is stored and the request is over. */
static void finish_locked(struct range *r)
{
	struct stream *s = r->stream;

	if (!r->ended || r->pieces)
		return;
	remove_range_locked(r);
	free(r->buf);
	free(r);
	fetch_pump_locked(s);
	fetch_stream_unref_locked(s);
}

/* ---- chunks, on workers -------------------------------------------------- */

static int store_chunk(struct piece *p)
{
	struct stream *s = p->range->stream;
	uint8_t *plain = malloc(CHUNK_SIZE);
	ssize_t n;
	int rc;

	if (!plain)
		return -ENOMEM;
	n = ops_of(s)->reader_open(s->reader, p->idx, p->data, p->len, plain);
	rc = n < 0 ? (int)n : 0;
	if (rc == 0)
		rc = content_store_chunk(s->content, s->base.base_etag, p->idx,
		                         plain, (size_t)n);
	free(plain);
	if (rc < 0)
		log_error("fetch ino=%" PRIu64 " chunk=%" PRIu64 ": %s",
		          s->base.ino, p->idx,
		          rc == -EBADMSG ? "the content is damaged on the "
		                           "server"
		                         : strerror(-rc));
	return rc == -EBADMSG ? -EIO : rc;
}

/* Whoever was held up because too much was on its way goes on; the request
 * lives as long as `req` is set, which its end takes our lock for. */
static void resume_one_locked(struct fetch *f)
{
	for (struct stream *o = f->streams; o; o = o->next) {
		for (struct range *q = o->ranges; q; q = q->next) {
			if (!q->paused || !q->req)
				continue;
			q->paused = false;
			download_resume(q->req);
			return;
		}
	}
}

/* Of a guess, before it is known whether that was right. */
static bool hold_piece(struct piece *p)
{
	struct stream *s = p->range->stream;
	struct fetch *f = s->fetch;
	bool hold;

	lock_take(&f->lock, LOCK_LEAF);
	hold = p->range->guess && !p->range->wrong && !s->ready && !s->rc;
	if (hold) {
		p->next = s->held;
		s->held = p;
	}
	lock_drop(&f->lock, LOCK_LEAF);
	return hold;
}

static void work_chunk(void *arg)
{
	struct piece *p = arg;
	struct range *r = p->range;
	struct stream *s = r->stream;
	struct fetch *f = s->fetch;
	bool useless;
	int rc = 0;

	if (hold_piece(p))
		return;
	lock_take(&f->lock, LOCK_LEAF);
	useless = r->wrong || (r->guess && !s->ready);
	lock_drop(&f->lock, LOCK_LEAF);
	if (!useless)
		rc = store_chunk(p);
	free(p);
	if (rc < 0)
		fetch_range_ended(s, rc);
	lock_take(&f->lock, LOCK_LEAF);
	f->pieces--;
	r->pieces--;
	if (rc == 0 && !useless)
		fetch_forget_late_locked(f, s->base.cid);
	resume_one_locked(f);
	fetch_pump_locked(s);
	finish_locked(r);
	lock_drop(&f->lock, LOCK_LEAF);
}

void fetch_submit_piece(struct piece *p)
{
	struct fetch *f = p->range->stream->fetch;

	if (work_submit(f->opt.work, work_chunk, p) < 0)
		work_chunk(p);
}

/* ---- the network's side -------------------------------------------------- */

static void expect_chunk(struct range *r)
{
	uint64_t off, len;

	r->len = 0;
	if (r->guess && r->idx < r->end)
		return; /* all of one size */
	r->want = 0;
	if (r->idx >= r->end)
		return;
	ops_of(r->stream)->reader_range(r->stream->reader, r->idx, &off, &len);
	r->want = (size_t)len;
}

static int hand_over(struct range *r)
{
	struct fetch *f = r->stream->fetch;
	struct piece *p = malloc(sizeof(*p) + r->len);
	int rc;

	if (!p)
		return -ENOMEM;
	p->range = r;
	p->len = r->len;
	memcpy(p->data, r->buf, r->len);
	lock_take(&f->lock, LOCK_LEAF);
	p->idx = r->idx++;
	f->pieces++;
	r->pieces++;
	lock_drop(&f->lock, LOCK_LEAF);
	rc = work_submit(f->opt.work, work_chunk, p);
	if (rc < 0) {
		lock_take(&f->lock, LOCK_LEAF);
		f->pieces--;
		r->pieces--;
		lock_drop(&f->lock, LOCK_LEAF);
		free(p);
	}
	expect_chunk(r);
	return rc;
}

static bool must_pause(struct range *r)
{
	struct fetch *f = r->stream->fetch;
	bool pause;

	lock_take(&f->lock, LOCK_LEAF);
	pause = f->pieces >= FETCH_PIECES;
	r->paused = pause;
	lock_drop(&f->lock, LOCK_LEAF);
	return pause;
}

static void note_rate_locked(struct stream *s, size_t len, int64_t now_ms)
{
	int64_t spent = now_ms - s->since_ms;

	if (!s->since_ms || spent >= 4 * FETCH_RATE_MS) { /* it stood still */
		s->since_ms = now_ms;
		s->came = 0;
	} else if (spent >= FETCH_RATE_MS) {
		s->rate = s->came * FETCH_RATE_MS / (uint64_t)spent;
		s->since_ms = now_ms;
		s->came = 0;
	}
	s->came += len;
}

static int chunk_data(void *arg, uint64_t off, const void *data, size_t len)
{
	struct range *r = arg;
	const uint8_t *in = data;
	int rc = 0;

	(void)off; /* without gaps, from the range's first byte on */
	if (must_pause(r))
		return 1;
	lock_take(&r->stream->fetch->lock, LOCK_LEAF);
	r->stream->fetch->bytes += len;
	r->moved_ms = clock_mono_ms();
	note_rate_locked(r->stream, len, r->moved_ms);
	lock_drop(&r->stream->fetch->lock, LOCK_LEAF);
	while (len && rc == 0) {
		size_t n = r->want - r->len < len ? r->want - r->len : len;

		if (!n)
			return -EPROTO; /* more than was asked for */
		memcpy(r->buf + r->len, in, n);
		r->len += n;
		in += n;
		len -= n;
		if (r->len == r->want)
			rc = hand_over(r);
	}
	return rc;
}

static int meta_data(void *arg, uint64_t off, const void *data, size_t len)
{
	struct range *r = arg;

	(void)off;
	if (len > r->want - r->len)
		return -EPROTO;
	memcpy(r->buf + r->len, data, len);
	r->len += len;
	return 0;
}

static void work_meta(void *arg)
{
	struct range *r = arg;
	struct stream *s = r->stream;
	struct fetch *f = s->fetch;
	const char *why = "damaged";
	int rc = ops_of(s)->reader_feed(s->reader, r->at, r->buf, r->len, &why);

	if (rc < 0) {
		log_error("fetch ino=%" PRIu64 " id=%s: %s", s->base.ino,
		          s->base.base_id, why);
		fetch_range_ended(s, rc == -EBADMSG ? -EIO : rc);
	}
	lock_take(&f->lock, LOCK_LEAF);
	r->pieces--;
	finish_locked(r);
	lock_drop(&f->lock, LOCK_LEAF);
}

static void range_done(void *arg, int rc)
{
	struct range *r = arg;
	struct stream *s = r->stream;
	struct fetch *f = s->fetch;
	bool feed = r->meta && rc == 0; /* not after a drop */

	lock_take(&f->lock, LOCK_LEAF);
	r->req = NULL;
	r->ended = true;
	if (r->dropped && rc < 0)
		rc = 0; /* the pump asks for what did not come */
	/* One is ours: with the last chunk stored meanwhile, a worker would
	 * take the range from under us. */
	r->pieces += 1 + feed;
	lock_drop(&f->lock, LOCK_LEAF);
	if (feed && work_submit(f->opt.work, work_meta, r) < 0) {
		rc = -ENOMEM;
		lock_take(&f->lock, LOCK_LEAF);
		r->pieces--;
		lock_drop(&f->lock, LOCK_LEAF);
	}
	if (rc < 0)
		fetch_range_ended(s, rc);
	lock_take(&f->lock, LOCK_LEAF);
	r->pieces--;
	finish_locked(r);
	lock_drop(&f->lock, LOCK_LEAF);
}

void fetch_drop_stuck_locked(struct stream *s, int64_t now_ms)
{
	for (struct range *r = s->ranges; r; r = r->next) {
		if (!r->req || r->paused || r->dropped ||
		    now_ms - r->moved_ms < FETCH_STUCK_MS)
			continue;
		r->dropped = true;
		download_cancel(r->req);
	}
}

/* ---- starting ------------------------------------------------------------ */

static int start(struct range *r, uint64_t off, uint64_t len,
                 enum http_prio prio)
{
	struct stream *s = r->stream;
	struct fetch *f = s->fetch;
	struct download_range *req;
	int rc;

	lock_take(&f->lock, LOCK_LEAF);
	r->next = s->ranges;
	s->ranges = r;
	s->nranges++;
	s->refs++;
	r->pieces++; /* ours: the request may end before this returns */
	lock_drop(&f->lock, LOCK_LEAF);
	rc = download_start(s->download, off, len, prio, -1,
	                    r->meta ? meta_data : chunk_data, range_done, r,
	                    &req);
	lock_take(&f->lock, LOCK_LEAF);
	if (rc < 0)
		r->ended = true;
	else if (!r->ended)
		r->req = req;
	r->pieces--;
	finish_locked(r);
	lock_drop(&f->lock, LOCK_LEAF);
	return rc;
}

static struct range *range_new(struct stream *s, size_t room)
{
	struct range *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->stream = s;
	r->moved_ms = clock_mono_ms();
	r->buf = malloc(room);
	if (!r->buf) {
		free(r);
		return NULL;
	}
	return r;
}

int fetch_start_range(struct stream *s, uint64_t first, uint64_t end,
                      enum http_prio prio)
{
	uint64_t off, len, last_off, last_len;
	struct range *r = range_new(s, CHUNK_SIZE + 256);

	if (!r)
		return -ENOMEM;
	ops_of(s)->reader_range(s->reader, first, &off, &len);
	ops_of(s)->reader_range(s->reader, end - 1, &last_off, &last_len);
	r->first = r->idx = first;
	r->end = end;
	expect_chunk(r);
	r->guess = !s->ready;
	assert(len <= CHUNK_SIZE + 256 && len > 0);
	return start(r, off, last_off + last_len - off, prio);
}

int fetch_start_meta(struct stream *s, uint64_t off, uint64_t len,
                     enum http_prio prio)
{
	struct range *r;

	if (len > (UINT64_C(1) << 20))
		return -EBADMSG;
	r = range_new(s, (size_t)len);
	if (!r)
		return -ENOMEM;
	r->meta = true;
	r->at = off;
	r->want = (size_t)len;
	return start(r, off, len, prio);
}
