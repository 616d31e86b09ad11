#include "fs/history_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/lock.h"
#include "net/log.h"
#include "net/work.h"

/* One range at a time for each open version, and one who works on it: a worker
 * that starts a range or opens what came, or the network thread that receives.
 * First what the codec's reader wants to see, then chunks for who waits; who
 * reads in order gets more and more at a time. */

#define WINDOW_MAX 32

/* ---- a range ------------------------------------------------------------- */

static int on_data(void *arg, uint64_t off, const void *data, size_t len)
{
	struct history_file *f = arg;

	(void)off;
	return buf_add(&f->in, data, len);
}

static int feed(struct history_file *f)
{
	const struct codec_ops *ops = f->h->opt.codec->ops;
	const char *why = "it is damaged";
	int rc = ops->reader_feed(f->reader, f->off, f->in.data, f->in.len,
	                          &why);

	if (rc < 0)
		log_error("versions id=%s version=%s: %s", f->item_id, f->v.id,
		          why);
	return rc < 0 && rc != -ENOMEM ? -EIO : rc;
}

static int open_chunks(struct history_file *f)
{
	const struct codec_ops *ops = f->h->opt.codec->ops;
	uint8_t *plain = malloc(CHUNK_SIZE);
	size_t at = 0;
	int rc = plain ? 0 : -ENOMEM;

	for (uint64_t i = f->first; rc == 0 && i < f->end; i++) {
		uint64_t off, len;
		ssize_t n;

		ops->reader_range(f->reader, i, &off, &len);
		n = at + len <= f->in.len
		            ? ops->reader_open(f->reader, i, f->in.data + at,
		                               len, plain)
		            : -EBADMSG;
		if (n < 0) {
			log_error("versions id=%s version=%s chunk=%llu: it "
			          "is damaged",
			          f->item_id, f->v.id, (unsigned long long)i);
			rc = -EIO;
		} else {
			rc = history_keep_chunk(f, i, plain, (size_t)n);
		}
		at += len;
	}
	free(plain);
	return rc;
}

static bool is_of_file(struct history_wait *w, void *arg)
{
	const struct history_file *f = arg;

	w->rc = f->range_rc;
	return w->file == f;
}

/* Who waits gets `rc`; `for_ever`: and so does everybody after them. */
static void fail(struct history_file *f, int rc, bool for_ever)
{
	struct history_wait *waits;

	lock_take(&f->h->lock, LOCK_LEAF);
	if (for_ever)
		f->rc = rc;
	f->range_rc = rc;
	waits = history_take_waits_locked(f->h, is_of_file, f);
	lock_drop(&f->h->lock, LOCK_LEAF);
	history_wake(waits);
}

static void close_download(struct history_file *f)
{
	download_free(f->download);
	f->download = NULL;
}

/* What was the current content has become an old version meanwhile; or it has
 * not, and its tag moved by itself: then the service does not give it out as a
 * version, and it is asked for without a tag. */
static bool has_moved(struct history_file *f, int rc)
{
	if (rc == -ESTALE && f->v.current && !f->moved) {
		f->v.current = false;
		f->moved = true;
	} else if (f->moved && !f->v.current && f->etag[0]) {
		f->v.current = true;
		f->etag[0] = '\0';
	} else {
		return false;
	}
	close_download(f);
	return true;
}

static bool is_gone(int rc)
{
	return rc == -ESTALE || rc == -ENOENT;
}

static void range_over(void *arg)
{
	struct history_file *f = arg;
	int rc = f->range_rc;

	if (rc == 0)
		rc = f->meta ? feed(f) : open_chunks(f);
	buf_clear(&f->in);
	if (f->range_rc == 0 && rc < 0) {
		fail(f, rc, rc != -ENOMEM);
	} else if (rc < 0 && rc != -ECANCELED && has_moved(f, rc)) {
		log_debug("versions id=%s version=%s current=%d", f->item_id,
		          f->v.id, f->v.current);
	} else if (is_gone(rc)) {
		log_warn("versions id=%s version=%s: it is there no more",
		         f->item_id, f->v.id);
		fail(f, -EIO, true);
	} else if (rc < 0 && rc != -ECANCELED) {
		close_download(f); /* another URL, another connection */
		fail(f, -EIO, false);
	}
	history_step(f);
}

void history_submit(struct history_file *f, work_fn *fn)
{
	if (work_submit(f->h->opt.work, fn, f) < 0)
		fn(f);
}

static void on_done(void *arg, int rc)
{
	struct history_file *f = arg;

	lock_take(&f->h->lock, LOCK_LEAF);
	f->range = NULL;
	f->range_rc = rc;
	lock_drop(&f->h->lock, LOCK_LEAF);
	history_submit(f, range_over);
}

static int open_download(struct history_file *f)
{
	if (f->download)
		return 0;
	return download_new(f->h->opt.graph, f->item_id,
	                    f->v.current && f->etag[0] ? f->etag : NULL,
	                    f->v.size, NULL, f->v.current ? NULL : f->v.id,
	                    &f->download);
}

static int start_range(struct history_file *f, uint64_t off, uint64_t len)
{
	struct history *h = f->h;
	struct download_range *range;
	int rc = open_download(f);

	if (rc < 0)
		return rc;
	buf_clear(&f->in);
	lock_take(&h->lock, LOCK_LEAF); /* on_done() waits until it is set */
	rc = h->stop || f->closed
	             ? -ESHUTDOWN
	             : download_start(f->download, off, len, HTTP_PRIO_USER,
	                              h->opt.deadline_ms, on_data, on_done, f,
	                              &range);
	if (rc == 0)
		f->range = range;
	lock_drop(&h->lock, LOCK_LEAF);
	return rc;
}

void history_cancel_locked(struct history_file *f)
{
	if (f->range)
		download_cancel(f->range);
}

/* ---- what next ----------------------------------------------------------- */

static int open_reader(struct history_file *f)
{
	const struct codec *c = f->h->opt.codec;

	return f->reader ? 0
	                 : c->ops->reader_new(c, f->v.size, &f->known,
	                                      &f->reader);
}

/* All that was wanted first is there; chunks that came along are kept. */
static int get_ready(struct history_file *f)
{
	const struct codec_ops *ops = f->h->opt.codec->ops;
	const void *plain;
	uint64_t idx;
	size_t len;
	int rc = 0;

	if (ops->reader_size(f->reader) != f->plain) {
		log_error("versions id=%s version=%s: it has another size than "
		          "it should",
		          f->item_id, f->v.id);
		return -EIO;
	}
	while (rc == 0 && ops->reader_take(f->reader, &idx, &plain, &len) == 1)
		rc = history_keep_chunk(f, idx, plain, len);
	lock_take(&f->h->lock, LOCK_LEAF);
	f->ready = rc == 0;
	lock_drop(&f->h->lock, LOCK_LEAF);
	return rc;
}

static uint64_t chunks_of(const struct history_file *f)
{
	return (f->plain + CHUNK_SIZE - 1) / CHUNK_SIZE;
}

static bool is_served(struct history_wait *w, void *arg)
{
	struct history_file *f = arg;

	if (w->file != f)
		return false;
	w->rc = f->rc;
	return f->rc < 0 ||
	       (f->ready && (w->first >= chunks_of(f) ||
	                     history_has_chunks_locked(f, w->first, w->last)));
}

/* The first chunks that somebody waits for: false: nobody waits. */
static bool next_chunks_locked(struct history_file *f, uint64_t *out_first,
                               uint64_t *out_end)
{
	const struct history_wait *w = f->h->waits;
	uint64_t first, end;

	while (w && w->file != f)
		w = w->next;
	if (!w)
		return false;
	first = w->first;
	while (first < w->last && history_find_slot_locked(f, first))
		first++;
	f->window = first == f->next && f->window ? f->window * 2 : 1;
	if (f->window > WINDOW_MAX)
		f->window = WINDOW_MAX;
	end = w->last + 1;
	if (end < first + f->window)
		end = first + f->window;
	if (end > first + HISTORY_CHUNKS / 2)
		end = first + HISTORY_CHUNKS / 2;
	if (end > chunks_of(f))
		end = chunks_of(f);
	f->next = end;
	*out_first = first;
	*out_end = end;
	return true;
}

static int start_next(struct history_file *f, uint64_t first, uint64_t end)
{
	const struct codec_ops *ops = f->h->opt.codec->ops;
	uint64_t off, len, last;
	int rc = open_reader(f);

	if (rc < 0)
		return rc;
	f->meta = ops->reader_needs(f->reader, 0, &off, &len) == 1;
	if (f->meta) {
		f->off = off;
		return start_range(f, off, len);
	}
	if (!f->ready) {
		rc = get_ready(f);
		return rc < 0 ? rc : 1; /* maybe it is all there */
	}
	f->first = first;
	f->end = end;
	ops->reader_range(f->reader, first, &off, &len);
	ops->reader_range(f->reader, end - 1, &last, &len);
	return start_range(f, off, last + len - off);
}

/* The one who works on it: serves who can be served, and goes on while somebody
 * waits. */
void history_step(void *arg)
{
	struct history_file *f = arg;
	struct history *h = f->h;
	int rc = 1;

	while (rc == 1) {
		struct history_wait *served;
		uint64_t first, end;
		bool more;

		lock_take(&h->lock, LOCK_LEAF);
		served = history_take_waits_locked(h, is_served, f);
		more = !h->stop && next_chunks_locked(f, &first, &end);
		if (!more)
			f->busy = false;
		lock_drop(&h->lock, LOCK_LEAF);
		history_wake(served);
		if (!more)
			break;
		rc = start_next(f, first, end);
		if (rc < 0) {
			fail(f, rc == -ENOMEM ? rc : -EIO, rc == -EIO);
			rc = 1;
		}
	}
	if (rc == 0)
		return; /* a range is under way */
	history_unref_file(f);
	lock_take(&h->lock, LOCK_LEAF);
	history_done_locked(h);
	lock_drop(&h->lock, LOCK_LEAF);
}
