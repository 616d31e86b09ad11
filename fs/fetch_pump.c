#include "fs/fetch_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fs/bond.h"
#include "fs/codec.h"
#include "fs/content.h"
#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "net/work.h"

static void pump(void *arg);

/* ---- trouble ------------------------------------------------------------- */

/* What a read may fail with (fetch.h); the log has the rest. */
static int reader_rc(int rc)
{
	switch (-rc) {
	case ESTALE:
	case EACCES:
	case EPERM:
	case EBUSY:
	case ENOSPC:
	case ENOMEM:
	case ECANCELED:
		return rc;
	default:
		return -EIO;
	}
}

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
	fetch_end_stream(s, reader_rc(rc));
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
	fetch_call_waits(done, 0);
	return rc;
}

/* Something for the reader itself is on its way. */
static bool needs_come(struct stream *s)
{
	bool some = false;

	lock_take(&s->fetch->lock, LOCK_LEAF);
	for (const struct range *r = s->ranges; r; r = r->next)
		some |= r->meta;
	lock_drop(&s->fetch->lock, LOCK_LEAF);
	return some;
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
	if (needs_come(s))
		return 0;
	if (ops->reader_needs(s->reader, 0, &off, &len) == 1) {
		rc = fetch_guess(s, prio_now(s));
		if (rc < 0)
			return rc;
	}
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
	content_note_empty(s->content);
	fetch_guess_ready(s);
	rc = wake_ready(s); /* what was fed may be all that is waited for */
	return rc < 0 ? rc : 1;
}

static bool is_coming(struct stream *s, uint64_t idx, uint64_t *out_end)
{
	struct fetch *f = s->fetch;
	bool found = false;

	lock_take(&f->lock, LOCK_LEAF);
	for (struct range *r = s->ranges; r && !found; r = r->next) {
		/* What was handed to workers is about to be here; they store
		 * it in any order. */
		found = !r->meta && !r->wrong && idx >= r->first &&
		        idx < r->end && (idx >= r->idx || r->pieces);
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
		if (!r->meta && !r->wrong && r->idx >= from && r->idx < to)
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
		rc = fetch_open_download(s);
		if (rc == 0)
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
	fetch_call_hydrates(done, 0);
	return 0;
}

static int pump_once(struct stream *s)
{
	struct fetch *f = s->fetch;
	bool claim = !s->ready && f->opt.codec->ops->authenticates &&
	             content_is_claim(s->content);
	int rc = claim ? 0 : wake_ready(s);
	bool idle;

	lock_take(&f->lock, LOCK_LEAF);
	idle = s->rc || s->resting ||
	       (!s->waits && !s->hydrate && s->ahead <= s->seq);
	lock_drop(&f->lock, LOCK_LEAF);
	if (rc < 0 || idle)
		return rc;
	rc = s->ready ? 1 : fetch_open_download(s);
	if (rc == 0)
		rc = make_ready(s);
	if (rc <= 0)
		return rc;
	rc = pump_waits(s);
	return rc == 0 ? pump_hydrate(s) : rc;
}

/* What was read to its end needs no URL any more, and may be evicted. Its last
 * chunk is looked at first: it is mostly the last one to come. */
static void note_whole(struct stream *s)
{
	struct fetch *f = s->fetch;
	uint64_t last = last_chunk(s), absent;
	bool idle;

	lock_take(&f->lock, LOCK_LEAF);
	idle = !s->waits && !s->whole && s->ready;
	lock_drop(&f->lock, LOCK_LEAF);
	if (!idle || content_next_absent(s->content, last, last, &absent) < 0 ||
	    absent == last || content_is_whole(s->content) != 1)
		return;
	lock_take(&f->lock, LOCK_LEAF);
	s->whole = true;
	if (s->linger && http_cancel_timer(s->linger))
		s->linger = NULL;
	lock_drop(&f->lock, LOCK_LEAF);
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
		note_whole(s);
		lock_take(&f->lock, LOCK_LEAF);
		again = s->again && !s->rc;
		if (!again) {
			s->pumping = false;
			fetch_stream_unref_locked(s);
		}
		lock_drop(&f->lock, LOCK_LEAF);
	} while (again);
}
