#include "fs/history_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/bond.h"
#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "net/log.h"
#include "net/work.h"

/* One range at a time for each open version, and one who works on it: a worker
 * that starts a range or opens what came, or the network thread that receives.
 * First what the codec's reader wants to see, then chunks for who waits; who
 * reads in order gets more and more at a time. */

#define WINDOW_MAX 32

/* ---- chunks that are here ------------------------------------------------ */

static struct history_slot *find_slot(struct history_file *f, uint64_t idx)
{
	for (size_t i = 0; i < HISTORY_CHUNKS; i++) {
		if (f->slot[i].data && f->slot[i].idx == idx)
			return &f->slot[i];
	}
	return NULL;
}

/* The one that was used longest ago gives way. */
static struct history_slot *oldest_slot(struct history_file *f)
{
	struct history_slot *old = &f->slot[0];

	for (size_t i = 0; i < HISTORY_CHUNKS; i++) {
		if (!f->slot[i].data)
			return &f->slot[i];
		if (f->slot[i].used < old->used)
			old = &f->slot[i];
	}
	return old;
}

static int keep_chunk(struct history_file *f, uint64_t idx, const void *plain,
                      size_t len)
{
	uint8_t *data = malloc(len ? len : 1);
	struct history_slot *s;

	if (!data)
		return -ENOMEM;
	memcpy(data, plain, len);
	lock_take(&f->h->lock, LOCK_LEAF);
	s = find_slot(f, idx);
	if (!s)
		s = oldest_slot(f);
	free(s->data);
	s->data = data;
	s->len = len;
	s->idx = idx;
	s->used = ++f->clock;
	lock_drop(&f->h->lock, LOCK_LEAF);
	return 0;
}

static bool has_chunks(struct history_file *f, uint64_t first, uint64_t last)
{
	for (; first <= last; first++) {
		if (!find_slot(f, first))
			return false;
	}
	return true;
}

/* Sealed, and nothing of it seen yet: that it is empty is only a claim. */
static bool is_claim(const struct history_file *f)
{
	return !f->ready && f->h->opt.codec->ops->authenticates;
}

ssize_t history_read(struct history *h, struct history_file *f, uint64_t off,
                     void *buf, size_t len)
{
	ssize_t rc = 0;

	lock_take(&h->lock, LOCK_LEAF);
	if (f->rc < 0)
		rc = f->rc;
	else if (is_claim(f))
		rc = -EAGAIN;
	if (off >= f->plain)
		len = 0;
	else if (len > f->plain - off)
		len = (size_t)(f->plain - off);
	for (size_t done = 0; rc >= 0 && done < len; rc = (ssize_t)done) {
		uint64_t at = off + done;
		struct history_slot *s = find_slot(f, at / CHUNK_SIZE);
		size_t from = at % CHUNK_SIZE, n;

		if (!s || s->len <= from) {
			rc = s ? -EIO : -EAGAIN;
			break;
		}
		n = s->len - from < len - done ? s->len - from : len - done;
		memcpy((uint8_t *)buf + done, s->data + from, n);
		s->used = ++f->clock;
		done += n;
	}
	lock_drop(&h->lock, LOCK_LEAF);
	return rc;
}

/* ---- a range ------------------------------------------------------------- */

static void step(void *arg);

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
			rc = keep_chunk(f, i, plain, (size_t)n);
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
	if (rc == -ESTALE && f->v.current && f->etag[0]) {
		f->v.current = false;
		f->moved = true;
	} else if (f->moved && !f->v.current) {
		f->v.current = true;
		f->moved = false;
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
	step(f);
}

static void submit(struct history_file *f, work_fn *fn)
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
	submit(f, range_over);
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
		rc = keep_chunk(f, idx, plain, len);
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
	return f->rc < 0 || (f->ready && (w->first >= chunks_of(f) ||
	                                  has_chunks(f, w->first, w->last)));
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
	while (first < w->last && find_slot(f, first))
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
static void step(void *arg)
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

int history_wait_read(struct history *h, struct history_file *f, uint64_t off,
                      size_t len, history_wake_fn *wake, void *arg)
{
	struct history_wait w = {
		.file = f, .first = off / CHUNK_SIZE, .wake = wake, .arg = arg
	};
	bool begin = false;
	int rc;

	w.last = len && off + len <= f->plain ? (off + len - 1) / CHUNK_SIZE
	         : f->plain                   ? (f->plain - 1) / CHUNK_SIZE
	                                      : 0;
	lock_take(&h->lock, LOCK_LEAF);
	rc = history_add_wait_locked(h, &w);
	if (rc == 0 && !f->busy) {
		begin = f->busy = true;
		f->refs++;
		h->under_way++;
	}
	lock_drop(&h->lock, LOCK_LEAF);
	if (begin)
		submit(f, step);
	return rc;
}

/* ---- open and closed ----------------------------------------------------- */

static void read_bond(struct history *h, struct history_file *f)
{
	struct db *db;

	if (store_reader(h->opt.store, &db) < 0)
		return;
	if (bond_get(db, f->item_id, &f->known) < 0)
		memset(&f->known, 0, sizeof(f->known));
	store_reader_done(h->opt.store, db);
	/* An older version than the one known is what is asked for; another
	 * file's bytes are not. */
	f->known.version = 0;
}

int history_open(struct history *h, uint64_t nodeid, struct history_file **out)
{
	struct history_file *f;
	struct history_node *n;
	int rc = -ESTALE;

	if (nodeid < HISTORY_VERSION)
		return -EISDIR;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->h = h;
	f->refs = 1;
	lock_take(&h->lock, LOCK_LEAF);
	n = h->nodes;
	while (n && n->nodeid != nodeid)
		n = n->next;
	if (n) {
		f->v = n->v;
		f->plain = (uint64_t)n->st.st_size;
		memcpy(f->item_id, n->item_id, sizeof(f->item_id));
		memcpy(f->etag, n->etag, sizeof(f->etag));
		rc = 0;
	}
	lock_drop(&h->lock, LOCK_LEAF);
	if (rc < 0) {
		free(f);
		return rc;
	}
	read_bond(h, f);
	lock_take(&h->lock, LOCK_LEAF);
	f->link = h->files;
	h->files = f;
	lock_drop(&h->lock, LOCK_LEAF);
	*out = f;
	return 0;
}

void history_unref_file(struct history_file *f)
{
	struct history *h = f->h;
	bool last;

	lock_take(&h->lock, LOCK_LEAF);
	last = --f->refs == 0;
	lock_drop(&h->lock, LOCK_LEAF);
	if (!last)
		return;
	download_free(f->download);
	h->opt.codec->ops->reader_free(f->reader);
	buf_done(&f->in);
	for (size_t i = 0; i < HISTORY_CHUNKS; i++)
		free(f->slot[i].data);
	free(f);
}

void history_close(struct history *h, struct history_file *f)
{
	struct history_file **at = &h->files;

	lock_take(&h->lock, LOCK_LEAF);
	f->closed = true;
	history_cancel_locked(f);
	while (*at && *at != f)
		at = &(*at)->link;
	if (*at)
		*at = f->link;
	lock_drop(&h->lock, LOCK_LEAF);
	history_unref_file(f);
}
