#include "fs/fetch_internal.h"

#include <stdlib.h>

#include "fs/codec.h"
#include "fs/lock.h"
#include "net/download.h"
#include "net/work.h"

/* Where the chunks of a sealed file lie is known once its header and its end
 * were read, but mostly it can be told before: all headers that we write are
 * equally long. So what is waited for is asked for together with these two, a
 * round trip earlier. It is kept, sealed as it is, until they were opened; was
 * the guess wrong, it is thrown away and asked for again.
 *
 * One guess per stream, about one download. The first and the last chunk come
 * with header and end. The reader is asked for places before these are on their
 * way: workers feed it. */

struct guess {
	uint64_t first, last; /* chunks */
};

/* `len` bytes, as far as is known. */
static bool find_locked(const struct stream *s, uint64_t len, struct guess *out)
{
	uint64_t end = len ? (len - 1) / CHUNK_SIZE : 0; /* the last one */

	if (!s->waits || s->guessed || end < 2)
		return false;
	out->first = UINT64_MAX;
	out->last = 0;
	for (const struct fetch_wait *w = s->waits; w; w = w->next) {
		if (w->first < out->first)
			out->first = w->first;
		if (w->last > out->last)
			out->last = w->last;
	}
	if (s->ahead && s->ahead - 1 > out->last)
		out->last = s->ahead - 1;
	if (!out->first)
		out->first = 1;
	if (out->last >= end)
		out->last = end - 1;
	return out->first <= out->last &&
	       out->last - out->first < FETCH_RANGE_MAX;
}

int fetch_guess(struct stream *s, enum http_prio prio)
{
	struct fetch *f = s->fetch;
	uint64_t claim = f->opt.codec->ops->reader_size(s->reader), len;
	struct guess g;
	bool found;

	/* Where it lies is by the size there, which may be damaged. */
	if (claim > s->base.base_len)
		claim = s->base.base_len;
	lock_take(&f->lock, LOCK_LEAF);
	found = find_locked(s, claim, &g);
	s->guessed = true;
	lock_drop(&f->lock, LOCK_LEAF);
	if (!found ||
	    (f->opt.room &&
	     f->opt.room(f->opt.arg, (g.last - g.first + 1) * CHUNK_SIZE) < 0))
		return 0;
	s->guess_first = g.first;
	s->guess_last = g.last;
	f->opt.codec->ops->reader_range(s->reader, g.first, &s->guess_off,
	                                &len);
	return fetch_start_range(s, g.first, g.last + 1, prio);
}

static bool is_right(struct stream *s)
{
	const struct codec_ops *ops = s->fetch->opt.codec->ops;
	uint64_t off, len, size = ops->reader_size(s->reader);

	if (!size || s->guess_last >= (size - 1) / CHUNK_SIZE)
		return false; /* it is the last one, or none */
	ops->reader_range(s->reader, s->guess_first, &off, &len);
	return off == s->guess_off;
}

static void drop_ranges_locked(struct stream *s)
{
	for (struct range *r = s->ranges; r; r = r->next) {
		if (!r->guess)
			continue;
		r->wrong = r->dropped = true;
		if (r->req)
			download_cancel(r->req);
	}
}

/* Those that came too early go to workers, which see whether they are of any
 * use. */
static void release(struct stream *s, bool right)
{
	struct fetch *f = s->fetch;
	struct piece *held;

	lock_take(&f->lock, LOCK_LEAF);
	if (!right)
		drop_ranges_locked(s);
	held = s->held;
	s->held = NULL;
	lock_drop(&f->lock, LOCK_LEAF);
	while (held) {
		struct piece *p = held;

		held = p->next;
		fetch_submit_piece(p);
	}
}

void fetch_guess_ready(struct stream *s)
{
	struct fetch *f = s->fetch;
	bool right = !s->guess_last || is_right(s);

	if (!right)
		release(s, false);
	lock_take(&f->lock, LOCK_LEAF);
	s->ready = true;
	lock_drop(&f->lock, LOCK_LEAF);
	if (right)
		release(s, true);
}

void fetch_guess_drop(struct stream *s)
{
	if (!s->ready)
		release(s, false);
}
