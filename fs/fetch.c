#include "fs/fetch_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/codec.h"
#include "fs/content.h"
#include "fs/lock.h"
#include "net/clock.h"
#include "net/download.h"
#include "net/graph.h"
#include "net/log.h"
#include "net/work.h"

#define TICK_MS   250   /* how late a deadline may be noticed */
#define LINGER_MS 20000 /* the next random read needs no new URL */

/* ---- ends ---------------------------------------------------------------- */

void fetch_call_waits(struct fetch_wait *list, int rc)
{
	while (list) {
		struct fetch_wait *w = list;

		list = w->next;
		w->wake(w->arg, rc);
		free(w);
	}
}

void fetch_call_hydrates(struct hydrate_wait *list, int rc)
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
	struct piece *held;

	lock_take(&f->lock, LOCK_LEAF);
	if (!s->rc)
		s->rc = rc;
	held = s->held;
	s->held = NULL;
	waits = s->waits;
	hydrates = s->hydrate_waits;
	s->waits = NULL;
	s->hydrate_waits = NULL;
	s->hydrate = false;
	s->ahead = 0;
	lock_drop(&f->lock, LOCK_LEAF);
	while (held) {
		struct piece *p = held;

		held = p->next;
		fetch_submit_piece(p);
	}
	fetch_call_waits(waits, rc);
	fetch_call_hydrates(hydrates, rc);
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
	fetch_call_waits(late, -ETIMEDOUT);
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

/* As much ahead as comes in half a second: enough for any round trip, and not
 * for nothing on a slow line, or for a slow reader. */
static uint64_t widest_locked(const struct stream *s)
{
	uint64_t n = s->rate / CHUNK_SIZE;

	if (!s->rate)
		return FETCH_WINDOW_NEW;
	if (n < FETCH_WINDOW_LOW)
		return FETCH_WINDOW_LOW;
	return n < FETCH_WINDOW_MAX ? n : FETCH_WINDOW_MAX;
}

/* Somebody reads in order and needs `next` next. Once a whole request, or half
 * of the window, fits in again it is time for more: nothing runs dry, and
 * requests are large. True: there is more to ask for. */
static bool read_ahead_locked(struct stream *s, uint64_t next)
{
	uint64_t left = s->ahead > next ? s->ahead - next : 0;
	uint64_t step = s->window / 2, widest = widest_locked(s);

	if (step > FETCH_RANGE_MAX)
		step = FETCH_RANGE_MAX;
	s->seq = next;
	if (left + step > s->window)
		return false;
	s->window = s->ahead ? s->window * FETCH_GROWTH : FETCH_WINDOW_MIN;
	if (s->window > widest)
		s->window = widest;
	s->ahead = next + (s->window > left ? s->window : left);
	return true;
}

static void widen_locked(struct stream *s, const struct fetch_wait *w,
                         bool sequential)
{
	bool follows = w->first == s->seq || w->first + 1 == s->seq;

	if (sequential || (follows && s->seq)) {
		read_ahead_locked(s, w->last + 1);
		return;
	}
	s->ahead = s->window = 0;
	s->seq = w->last + 1;
}

void fetch_read_on(struct fetch *f, uint64_t cid, uint64_t off, size_t len)
{
	uint64_t next = (off + (len ? len : 1) - 1) / CHUNK_SIZE + 1;
	struct stream *s;

	lock_take(&f->lock, LOCK_LEAF);
	for (s = f->streams; s && (s->base.cid != cid || s->rc); s = s->next)
		;
	if (s && !f->stop && next > s->seq && next <= s->ahead &&
	    read_ahead_locked(s, next))
		fetch_pump_locked(s);
	lock_drop(&f->lock, LOCK_LEAF);
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
	if (rc)
		free(w);
	return rc;
}

void fetch_end_waits(struct fetch *f, int rc)
{
	struct fetch_wait *all;

	lock_take(&f->lock, LOCK_LEAF);
	all = take_expired_locked(f, INT64_MAX);
	lock_drop(&f->lock, LOCK_LEAF);
	fetch_call_waits(all, rc);
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
