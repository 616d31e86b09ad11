#include "fs/fetch_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/bond.h"
#include "fs/codec.h"
#include "fs/content.h"
#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/download.h"
#include "net/graph.h"
#include "net/log.h"
#include "net/work.h"

#define TICK_MS   250   /* how late a deadline may be noticed */
#define LINGER_MS 20000 /* the next random read needs no new URL */

static void pump(void *arg);

/* ---- ends ---------------------------------------------------------------- */

/* Lists that were taken out under the lock are called without it. */
static void call_waits(struct fetch_wait *list, int rc)
{
	while (list) {
		struct fetch_wait *w = list;

		list = w->next;
		w->wake(w->arg, rc);
		free(w);
	}
}

static void call_hydrates(struct hydrate_wait *list, int rc)
{
	while (list) {
		struct hydrate_wait *w = list;

		list = w->next;
		if (w->done)
			w->done(w->arg, rc);
		free(w);
	}
}

static void free_stream(void *arg)
{
	struct stream *s = arg;
	struct fetch *f = s->fetch;

	download_free(s->download);
	if (s->reader)
		f->opt.codec->ops->reader_free(s->reader);
	content_put(s->content);
	free(s);
	lock_take(&f->lock, LOCK_LEAF);
	f->nstreams--;
	pthread_cond_broadcast(&f->idle);
	lock_drop(&f->lock, LOCK_LEAF);
}

static bool has_work_locked(const struct stream *s)
{
	return s->waits || s->hydrate || s->nranges || s->pumping ||
	       s->resting || s->linger;
}

static void remove_stream_locked(struct stream *s);

static void linger_over(void *arg)
{
	struct stream *s = arg;
	struct fetch *f = s->fetch;

	lock_take(&f->lock, LOCK_LEAF);
	s->linger = NULL;
	if (!s->refs && !has_work_locked(s))
		remove_stream_locked(s);
	lock_drop(&f->lock, LOCK_LEAF);
}

void fetch_stream_unref_locked(struct stream *s)
{
	struct fetch *f = s->fetch;

	s->refs--;
	if (s->refs || has_work_locked(s))
		return;
	if (!s->rc && !f->stop && s->download && !s->whole &&
	    http_call_later(graph_http(f->opt.graph), LINGER_MS, linger_over, s,
	                    &s->linger) == 0)
		return;
	remove_stream_locked(s);
}

static void remove_stream_locked(struct stream *s)
{
	struct fetch *f = s->fetch;
	struct stream **pp;

	for (pp = &f->streams; *pp && *pp != s; pp = &(*pp)->next)
		;
	if (*pp)
		*pp = s->next;
	/* Its content may have to be saved: on a worker, without our lock. */
	if (work_submit(f->opt.work, free_stream, s) < 0)
		log_error("fetch: no memory, a stream stays behind");
}

void fetch_end_stream(struct stream *s, int rc)
{
	struct fetch *f = s->fetch;
	struct fetch_wait *waits;
	struct hydrate_wait *hydrates;

	lock_take(&f->lock, LOCK_LEAF);
	if (!s->rc)
		s->rc = rc;
	waits = s->waits;
	hydrates = s->hydrate_waits;
	s->waits = NULL;
	s->hydrate_waits = NULL;
	s->hydrate = false;
	s->ahead = 0;
	lock_drop(&f->lock, LOCK_LEAF);
	call_waits(waits, rc);
	call_hydrates(hydrates, rc);
}

/* ---- trouble ------------------------------------------------------------- */

void fetch_range_ended(struct stream *s, int rc)
{
	struct fetch *f = s->fetch;

	if (rc == -ESTALE || rc == -ENOENT) {
		if (fetch_meet_stale(s))
			return;
		if (f->opt.broken && !(s->base.flags & CFILE_CLEAN))
			f->opt.broken(f->opt.arg, s->base.ino, rc,
			              "the version this file was changed from "
			              "is no longer on OneDrive");
		rc = -ESTALE;
	}
	fetch_end_stream(s, rc);
}

/* ---- the pump ------------------------------------------------------------ */

void fetch_pump_locked(struct stream *s)
{
	struct fetch *f = s->fetch;

	if (s->pumping) {
		s->again = true;
		return;
	}
	s->pumping = true;
	s->refs++;
	if (work_submit(f->opt.work, pump, s) < 0) {
		s->pumping = false;
		s->refs--;
	}
}

static void note_size(struct stream *s)
{
	struct fetch *f = s->fetch;
	uint64_t size = f->opt.codec->ops->reader_size(s->reader);

	if (size == s->base.base_len || !(s->base.flags & CFILE_CLEAN))
		return;
	if (content_set_base_size(s->content, size) == 0 && f->opt.resized)
		f->opt.resized(f->opt.arg, s->base.ino, s->base.cid, size);
}

/* What this device knows of the item's versions goes in, what this version is
 * comes out: an older one, put back, is not read (facts/names.md C4). */
static int new_reader(struct stream *s)
{
	struct fetch *f = s->fetch;
	struct codec_bond known = { 0 };
	struct db *db;
	int rc = 0;

	if (f->opt.codec->ops->header_size) {
		rc = store_reader(f->opt.store, &db);
		if (rc == 0) {
			rc = bond_get(db, s->base.base_id, &known);
			store_reader_done(f->opt.store, db);
		}
	}
	if (rc == 0)
		rc = f->opt.codec->ops->reader_new(
			f->opt.codec, s->base.base_size, &known, &s->reader);
	s->known = known;
	return rc;
}

static int note_bond(struct stream *s)
{
	struct fetch *f = s->fetch;
	struct codec_bond now;
	struct db *db;
	int rc;

	f->opt.codec->ops->reader_bond(s->reader, &now);
	if (!now.known ||
	    (s->known.known && !memcmp(now.mac, s->known.mac, sizeof(now.mac))))
		return 0;
	rc = store_begin(f->opt.store, &db);
	if (rc < 0)
		return rc;
	rc = bond_put(db, s->base.base_id, &now);
	return store_end(f->opt.store, rc);
}

/* Chunks that came with the header and the end need not be asked for again. */
static int store_fed(struct stream *s)
{
	const struct codec_ops *ops = s->fetch->opt.codec->ops;
	const void *plain;
	uint64_t idx;
	size_t len;
	int rc = 0;

	while (rc == 0 && ops->reader_take(s->reader, &idx, &plain, &len) == 1)
		rc = content_store_chunk(s->content, s->base.base_etag, idx,
		                         plain, len);
	return rc;
}

static unsigned ranges_now(struct stream *s)
{
	unsigned n;

	lock_take(&s->fetch->lock, LOCK_LEAF);
	n = s->nranges;
	lock_drop(&s->fetch->lock, LOCK_LEAF);
	return n;
}

/* A reader's, or only of who wants all of it some time. */
static enum http_prio prio_now(struct stream *s)
{
	bool waits;

	lock_take(&s->fetch->lock, LOCK_LEAF);
	waits = s->waits;
	lock_drop(&s->fetch->lock, LOCK_LEAF);
	return waits ? HTTP_PRIO_USER : HTTP_PRIO_BULK;
}

/* Those whose chunks are all here. */
static int wake_ready(struct stream *s)
{
	struct fetch *f = s->fetch;
	struct fetch_wait *w, **pp, *done = NULL;
	struct {
		uint64_t first, last;
	} list[64];
	size_t n = 0;
	int rc = 0;

	lock_take(&f->lock, LOCK_LEAF);
	for (w = s->waits; w && n < 64; w = w->next) {
		list[n].first = w->first;
		list[n++].last = w->last;
	}
	lock_drop(&f->lock, LOCK_LEAF);
	for (size_t i = 0; i < n && rc == 0; i++) {
		uint64_t absent;

		rc = content_next_absent(s->content, list[i].first,
		                         list[i].last, &absent);
		if (rc < 0 || absent <= list[i].last)
			continue;
		lock_take(&f->lock, LOCK_LEAF);
		for (pp = &s->waits; *pp;) {
			w = *pp;
			if (w->first < list[i].first ||
			    w->last > list[i].last) {
				pp = &w->next;
				continue;
			}
			*pp = w->next;
			w->next = done;
			done = w;
		}
		lock_drop(&f->lock, LOCK_LEAF);
	}
	call_waits(done, 0);
	return rc;
}

/* 1: ready; 0: something is on its way. */
static int make_ready(struct stream *s)
{
	const struct codec_ops *ops = s->fetch->opt.codec->ops;
	uint64_t off, len;
	unsigned i;
	int rc;

	if (s->ready)
		return 1;
	if (!s->reader) {
		rc = new_reader(s);
		if (rc < 0)
			return rc;
	}
	if (ranges_now(s))
		return 0;
	for (i = 0; (rc = ops->reader_needs(s->reader, i, &off, &len)) == 1;
	     i++) {
		rc = fetch_start_meta(s, off, len, prio_now(s));
		if (rc < 0)
			return rc;
	}
	if (rc < 0 || i)
		return rc;
	note_size(s);
	rc = note_bond(s);
	if (rc == 0)
		rc = store_fed(s);
	if (rc < 0)
		return rc;
	s->ready = true;
	rc = wake_ready(s); /* what was fed may be all that is waited for */
	return rc < 0 ? rc : 1;
}

static bool is_coming(struct stream *s, uint64_t idx, uint64_t *out_end)
{
	struct fetch *f = s->fetch;
	bool found = false;

	lock_take(&f->lock, LOCK_LEAF);
	for (struct range *r = s->ranges; r && !found; r = r->next) {
		/* What was handed to a worker is about to be here. */
		found = !r->meta && idx < r->end &&
		        idx + r->pieces + 1 > r->idx;
		*out_end = r->end;
	}
	lock_drop(&f->lock, LOCK_LEAF);
	return found;
}

/* Where the chunks that are coming begin, in [from, to). */
static uint64_t next_coming(struct stream *s, uint64_t from, uint64_t to)
{
	struct fetch *f = s->fetch;

	lock_take(&f->lock, LOCK_LEAF);
	for (struct range *r = s->ranges; r; r = r->next) {
		if (!r->meta && r->idx >= from && r->idx < to)
			to = r->idx;
	}
	lock_drop(&f->lock, LOCK_LEAF);
	return to;
}

static int want_chunks(struct stream *s, uint64_t first, uint64_t last,
                       enum http_prio prio)
{
	struct fetch *f = s->fetch;
	uint64_t at = first;

	while (at <= last && ranges_now(s) < FETCH_RANGES) {
		uint64_t absent, end, present;
		int rc = content_next_absent(s->content, at, last, &absent);

		if (rc < 0 || absent > last)
			return rc;
		if (is_coming(s, absent, &end)) {
			at = end;
			continue;
		}
		end = absent + 1;
		while (end <= last && end - absent < FETCH_RANGE_MAX) {
			rc = content_next_absent(s->content, end, end,
			                         &present);
			if (rc < 0)
				return rc;
			if (present != end)
				break;
			end++;
		}
		end = next_coming(s, absent, end);
		if (f->opt.room &&
		    f->opt.room(f->opt.arg, (end - absent) * CHUNK_SIZE) < 0)
			return -ENOSPC;
		rc = fetch_start_range(s, absent, end, prio);
		if (rc < 0)
			return rc;
		at = end;
	}
	return 0;
}

static uint64_t last_chunk(struct stream *s)
{
	uint64_t len = s->base.base_len;

	return len ? (len - 1) / CHUNK_SIZE : 0;
}

static int pump_waits(struct stream *s)
{
	struct fetch *f = s->fetch;
	struct {
		uint64_t first, last;
	} list[64];
	uint64_t ahead, seq;
	size_t n = 0;
	int rc = 0;

	lock_take(&f->lock, LOCK_LEAF);
	for (struct fetch_wait *w = s->waits; w && n < 64; w = w->next) {
		list[n].first = w->first;
		list[n++].last = w->last;
	}
	ahead = s->ahead;
	seq = s->seq;
	lock_drop(&f->lock, LOCK_LEAF);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = want_chunks(s, list[i].first, list[i].last,
		                 HTTP_PRIO_USER);
	if (rc == 0 && ahead > seq) {
		uint64_t to = ahead - 1;

		if (to > last_chunk(s))
			to = last_chunk(s);
		if (to >= seq)
			rc = want_chunks(s, seq, to, HTTP_PRIO_USER);
	}
	return rc;
}

static int pump_hydrate(struct stream *s)
{
	struct fetch *f = s->fetch;
	struct hydrate_wait *done;
	uint64_t absent;
	int rc;

	lock_take(&f->lock, LOCK_LEAF);
	rc = s->hydrate;
	lock_drop(&f->lock, LOCK_LEAF);
	if (!rc)
		return 0;
	rc = content_next_absent(s->content, 0, last_chunk(s), &absent);
	if (rc < 0)
		return rc;
	if (absent <= last_chunk(s))
		return want_chunks(s, absent, last_chunk(s), HTTP_PRIO_BULK);
	lock_take(&f->lock, LOCK_LEAF);
	s->hydrate = false;
	s->whole = true;
	done = s->hydrate_waits;
	s->hydrate_waits = NULL;
	lock_drop(&f->lock, LOCK_LEAF);
	call_hydrates(done, 0);
	return 0;
}

static int pump_once(struct stream *s)
{
	struct fetch *f = s->fetch;
	int rc = wake_ready(s);
	bool idle;

	lock_take(&f->lock, LOCK_LEAF);
	idle = s->rc || s->resting || (!s->waits && !s->hydrate);
	lock_drop(&f->lock, LOCK_LEAF);
	if (rc < 0 || idle)
		return rc;
	rc = fetch_open_download(s);
	if (rc == 0)
		rc = make_ready(s);
	if (rc <= 0)
		return rc;
	rc = pump_waits(s);
	return rc == 0 ? pump_hydrate(s) : rc;
}

static void pump(void *arg)
{
	struct stream *s = arg;
	struct fetch *f = s->fetch;
	bool again;

	do {
		int rc;

		lock_take(&f->lock, LOCK_LEAF);
		s->again = false;
		lock_drop(&f->lock, LOCK_LEAF);
		rc = pump_once(s);
		if (rc < 0)
			fetch_range_ended(s, rc);
		lock_take(&f->lock, LOCK_LEAF);
		again = s->again && !s->rc;
		if (!again) {
			s->pumping = false;
			fetch_stream_unref_locked(s);
		}
		lock_drop(&f->lock, LOCK_LEAF);
	} while (again);
}

/* ---- deadlines ----------------------------------------------------------- */

static void tick(void *arg);

static void arm_tick_locked(struct fetch *f)
{
	if (f->ticking || f->stop)
		return;
	f->ticking = true;
	f->timers++;
	if (http_call_later(graph_http(f->opt.graph), TICK_MS, tick, f, NULL)) {
		f->ticking = false;
		f->timers--;
	}
}

static void note_late_locked(struct fetch *f, const struct stream *s,
                             const struct fetch_wait *w, int64_t now_ms)
{
	f->late[f->nlate++ % FETCH_LATE] =
		(struct late){ s->base.cid, w->first, w->last, now_ms };
}

static bool is_late_locked(const struct fetch *f, uint64_t cid,
                           const struct fetch_wait *w, int64_t now_ms)
{
	for (size_t i = 0; i < FETCH_LATE; i++) {
		const struct late *l = &f->late[i];

		if (l->ms && l->cid == cid && l->first <= w->last &&
		    l->last >= w->first && now_ms - l->ms < FETCH_LATE_MS)
			return true;
	}
	return false;
}

void fetch_forget_late_locked(struct fetch *f, uint64_t cid)
{
	for (size_t i = 0; i < FETCH_LATE; i++) {
		if (f->late[i].cid == cid)
			f->late[i].ms = 0;
	}
}

static struct fetch_wait *take_expired_locked(struct fetch *f, int64_t now_ms)
{
	struct fetch_wait *done = NULL;

	for (struct stream *s = f->streams; s; s = s->next) {
		bool late = false;

		for (struct fetch_wait **pp = &s->waits; *pp;) {
			struct fetch_wait *w = *pp;

			if (w->until_ms > now_ms) {
				pp = &w->next;
				continue;
			}
			*pp = w->next;
			w->next = done;
			done = w;
			late = true;
			if (now_ms != INT64_MAX)
				note_late_locked(f, s, w, now_ms);
		}
		if (late && now_ms != INT64_MAX)
			fetch_drop_stuck_locked(s, now_ms);
	}
	return done;
}

static void expire(void *arg)
{
	struct fetch *f = arg;
	struct fetch_wait *late;
	bool more = false;

	lock_take(&f->lock, LOCK_LEAF);
	late = take_expired_locked(f, clock_mono_ms());
	for (struct stream *s = f->streams; s; s = s->next)
		more |= s->waits != NULL;
	f->ticking = false;
	f->timers--;
	if (more)
		arm_tick_locked(f);
	pthread_cond_broadcast(&f->idle);
	lock_drop(&f->lock, LOCK_LEAF);
	call_waits(late, -ETIMEDOUT);
}

/* On the network thread, where nobody may be woken: over to a worker. */
static void tick(void *arg)
{
	struct fetch *f = arg;

	if (work_submit(f->opt.work, expire, f) < 0) {
		lock_take(&f->lock, LOCK_LEAF);
		f->ticking = false;
		f->timers--;
		arm_tick_locked(f);
		lock_drop(&f->lock, LOCK_LEAF);
	}
}

/* ---- what others call ---------------------------------------------------- */

int fetch_new(const struct fetch_options *opt, struct fetch **out_f)
{
	struct fetch *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->opt = *opt;
	pthread_mutex_init(&f->lock, NULL);
	lock_cond_init(&f->idle);
	*out_f = f;
	return 0;
}

/* The stream of that content, with its base; made if there is none. Called
 * with the lock, which it gives up to look at the content. */
static int get_stream_locked(struct fetch *f, struct content *c,
                             struct stream **out_s)
{
	uint64_t cid = content_cid(c);
	struct stream *s, *made;

	for (s = f->streams; s; s = s->next) {
		if (s->base.cid == cid && !s->rc) {
			*out_s = s;
			return 0;
		}
	}
	lock_drop(&f->lock, LOCK_LEAF);
	made = calloc(1, sizeof(*made));
	if (made) {
		made->fetch = f;
		made->content = content_ref(c);
		content_get_row(c, &made->base);
		made->window = FETCH_WINDOW_MIN;
	}
	lock_take(&f->lock, LOCK_LEAF);
	if (!made)
		return -ENOMEM;
	if (f->stop) { /* meanwhile */
		lock_drop(&f->lock, LOCK_LEAF);
		content_put(made->content);
		free(made);
		lock_take(&f->lock, LOCK_LEAF);
		return -ECANCELED;
	}
	/* Two of one content do no harm, and are rare. */
	made->next = f->streams;
	f->streams = made;
	f->nstreams++;
	*out_s = made;
	return 0;
}

static void widen_locked(struct stream *s, const struct fetch_wait *w,
                         bool sequential)
{
	bool follows = w->first == s->seq || w->first + 1 == s->seq;

	if (!sequential && !(follows && s->seq)) {
		s->window = FETCH_WINDOW_MIN;
		s->ahead = 0;
	} else {
		s->ahead = w->last + 1 + s->window;
		if (s->window < FETCH_WINDOW_MAX)
			s->window *= 2;
	}
	s->seq = w->last + 1;
}

int fetch_want(struct fetch *f, struct content *c, uint64_t off, size_t len,
               bool sequential, int64_t deadline_ms, fetch_wake_fn *wake,
               void *arg)
{
	struct fetch_wait *w = calloc(1, sizeof(*w));
	struct stream *s;
	int rc;

	if (!w)
		return -ENOMEM;
	w->first = off / CHUNK_SIZE;
	w->last = (off + (len ? len : 1) - 1) / CHUNK_SIZE;
	w->until_ms = clock_mono_ms() + deadline_ms;
	w->wake = wake;
	w->arg = arg;
	lock_take(&f->lock, LOCK_LEAF);
	if (f->stop)
		rc = -ECANCELED;
	else if (is_late_locked(f, content_cid(c), w, clock_mono_ms()))
		rc = -EIO;
	else
		rc = get_stream_locked(f, c, &s);
	if (rc < 0) {
		lock_drop(&f->lock, LOCK_LEAF);
		free(w);
		return rc;
	}
	w->next = s->waits;
	s->waits = w;
	widen_locked(s, w, sequential);
	arm_tick_locked(f);
	fetch_pump_locked(s);
	lock_drop(&f->lock, LOCK_LEAF);
	return 0;
}

int fetch_hydrate(struct fetch *f, struct content *c, fetch_wake_fn *done,
                  void *arg)
{
	struct hydrate_wait *w = calloc(1, sizeof(*w));
	struct stream *s;
	int rc;

	if (!w)
		return -ENOMEM;
	w->done = done;
	w->arg = arg;
	lock_take(&f->lock, LOCK_LEAF);
	rc = f->stop ? -ECANCELED : get_stream_locked(f, c, &s);
	if (rc == 0) {
		w->next = s->hydrate_waits;
		s->hydrate_waits = w;
		s->hydrate = true;
		fetch_pump_locked(s);
	}
	lock_drop(&f->lock, LOCK_LEAF);
	if (rc < 0)
		free(w);
	return rc;
}

void fetch_end_waits(struct fetch *f, int rc)
{
	struct fetch_wait *all;

	lock_take(&f->lock, LOCK_LEAF);
	all = take_expired_locked(f, INT64_MAX);
	lock_drop(&f->lock, LOCK_LEAF);
	call_waits(all, rc);
}

void fetch_kick(struct fetch *f)
{
	lock_take(&f->lock, LOCK_LEAF);
	for (struct stream *s = f->streams; s; s = s->next)
		fetch_pump_locked(s);
	lock_drop(&f->lock, LOCK_LEAF);
}

uint64_t fetch_bytes(struct fetch *f)
{
	uint64_t n;

	lock_take(&f->lock, LOCK_LEAF);
	n = f->bytes;
	lock_drop(&f->lock, LOCK_LEAF);
	return n;
}

static void cancel_all_locked(struct fetch *f)
{
	for (struct stream *s = f->streams; s; s = s->next) {
		for (struct range *r = s->ranges; r; r = r->next) {
			if (r->req)
				download_cancel(r->req);
		}
		fetch_cancel_search_locked(s);
	}
}

void fetch_stop(struct fetch *f)
{
	struct stream *s;

	if (!f)
		return;
	lock_take(&f->lock, LOCK_LEAF);
	f->stop = true;
	cancel_all_locked(f);
	for (s = f->streams; s; s = s->next) {
		if (s->linger && http_cancel_timer(s->linger))
			s->linger = NULL;
	}
	do {
		for (s = f->streams; s && s->rc; s = s->next)
			;
		if (s) {
			s->refs++;
			lock_drop(&f->lock, LOCK_LEAF);
			fetch_end_stream(s, -ECANCELED);
			lock_take(&f->lock, LOCK_LEAF);
			fetch_stream_unref_locked(s);
		}
	} while (s);
	while (f->nstreams || f->timers)
		lock_wait(&f->idle, &f->lock);
	lock_drop(&f->lock, LOCK_LEAF);
}

void fetch_free(struct fetch *f)
{
	if (!f)
		return;
	fetch_stop(f);
	pthread_cond_destroy(&f->idle);
	pthread_mutex_destroy(&f->lock);
	free(f);
}
