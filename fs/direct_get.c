#include "fs/direct_internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/cfile.h"
#include "fs/interrupt.h"
#include "fs/session.h"
#include "net/buf.h"
#include "net/download.h"
#include "net/quickxor.h"

/* What the codec's reader wants to see first, then chunk after chunk in one
 * range. */

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
	struct quickxor hash; /* of what the service has... */
	uint64_t at, hashed;  /* ...where the next bytes lie; how many came */
	const char *trouble;  /* why the content is not taken */

	direct_sink_fn *sink;
	void *sink_arg;
	direct_progress_fn *progress;
	void *arg;
	uint64_t from, to;    /* plaintext bytes that are wanted: [from, to) */
	uint64_t done, total; /* plaintext bytes: given on, of the file */
};

/* Of a chunk, what is wanted. */
static int deliver(struct opening *o, uint64_t idx, const uint8_t *data,
                   size_t len)
{
	uint64_t at = idx * CHUNK_SIZE, end = at + len;
	uint64_t from = at < o->from ? o->from : at;
	uint64_t to = end > o->to ? o->to : end;
	int rc;

	if (from >= to)
		return 0;
	rc = o->sink(o->sink_arg, data + (from - at), (size_t)(to - from));
	o->done += to - from;
	if (rc == 0 && o->progress)
		o->progress(o->arg, o->done, o->to - o->from);
	return rc;
}

/* Pieces may come in any order, each once. */
static void add_to_hash(struct opening *o, const void *data, size_t len)
{
	quickxor_update_at(&o->hash, o->at, data, len);
	o->at += len;
	o->hashed += len;
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
	return deliver(o, o->next++, o->plain.data, (size_t)n);
}

/* direct_sink_fn */
static int on_sealed(void *arg, const void *data, size_t len)
{
	struct opening *o = arg;
	const uint8_t *at = data;
	int rc = 0;

	add_to_hash(o, data, len);
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

static int feed(struct opening *o, const struct direct *d, struct download *dl)
{
	struct buf piece = BUF_INIT;
	uint64_t off, len;
	int rc = 0;

	while (rc == 0 && o->ops->reader_needs(o->reader, 0, &off, &len)) {
		buf_clear(&piece);
		rc = direct_read_range(d, dl, off, len, add_piece, &piece);
		o->at = off;
		if (rc == 0)
			add_to_hash(o, piece.data, piece.len);
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
	if (o->to > o->total)
		o->to = o->total;
	if (o->from > o->to)
		o->from = o->to;
	o->next = o->from / CHUNK_SIZE;
	o->end = (o->to + CHUNK_SIZE - 1) / CHUNK_SIZE;
	while (rc == 0 &&
	       o->ops->reader_take(o->reader, &idx, &plain, &len) == 1) {
		if (idx == o->next) {
			o->next++;
			rc = deliver(o, idx, plain, len);
		} else if (idx > o->next && idx + 1 == o->end) {
			o->end--;
			o->last.len = len;
			memcpy(o->last.data, plain, len);
		}
	}
	return rc;
}

static int read_chunks(struct opening *o, const struct direct *d,
                       struct download *dl)
{
	uint64_t from, last, len;
	int rc = feed(o, d, dl);

	if (rc == 0)
		rc = take(o);
	if (rc == 0 && o->next < o->end) {
		o->ops->reader_range(o->reader, o->next, &from, &len);
		o->ops->reader_range(o->reader, o->end - 1, &last, &len);
		o->at = from;
		rc = direct_read_range(d, dl, from, last + len - from,
		                       on_sealed, o);
	}
	if (rc == 0 && o->last.len)
		rc = deliver(o, o->end, o->last.data, o->last.len);
	if (rc == 0 && o->done != o->to - o->from)
		rc = -EIO;
	return rc;
}

/* All bytes came, and they are not those. Where chunks carry no tag that is all
 * there is to tell by; else it tells versions of one size from each other. */
static bool is_other(const struct opening *o, const struct direct_part *part,
                     uint64_t sealed)
{
	uint8_t got[QUICKXOR_SIZE];

	if (!part->hash || o->hashed != sealed)
		return false;
	quickxor_final(&o->hash, got);
	return memcmp(got, part->hash, sizeof(got)) != 0;
}

static int open_reader(struct direct *d, const struct direct_file *f,
                       const struct direct_part *part, struct opening *o)
{
	struct codec_bond known;

	direct_known_bond(d, f->item.id, &known);
	/* An older version than the one known is what is asked for; another
	 * file's bytes are not. */
	if (part->version_id)
		known.version = 0;
	return o->ops->reader_new(d->codec, part->size, &known, &o->reader);
}

static int get_content(struct direct *d, const struct direct_file *f,
                       const struct direct_part *part, struct opening *o)
{
	const struct item *it = &f->item;
	const char *version = part->version_id;
	struct download *dl;
	int rc = open_reader(d, f, part, o);

	if (rc < 0)
		return rc;
	quickxor_init(&o->hash);
	if (part->size) {
		rc = download_new(d->session->graph, it->id,
		                  version ? NULL : it->etag, part->size, NULL,
		                  version, &dl);
		if (rc == 0) {
			rc = read_chunks(o, d, dl);
			download_free(dl);
		}
	} else if (o->ops->header_size) {
		o->trouble = "it is empty, which no sealed file is";
		rc = -EBADMSG;
	}
	o->ops->reader_free(o->reader);
	if (rc == 0 && is_other(o, part, part->size)) {
		o->trouble = "other bytes came than the service has by its own "
			     "hash; try again";
		rc = -EBADMSG;
	}
	return rc;
}

int direct_get_part(struct direct *d, const struct direct_file *f,
                    const struct direct_part *part, direct_sink_fn *sink,
                    void *sink_arg, direct_progress_fn *progress, void *arg)
{
	struct opening *o;
	int rc;

	if (f->item.kind != ITEM_FILE) {
		direct_say(d, "\"%s\" is no file", f->node.name);
		return -EISDIR;
	}
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->ops = d->codec->ops;
	o->from = part->off;
	o->to = part->len > UINT64_MAX - part->off ? UINT64_MAX
	                                           : part->off + part->len;
	o->sink = sink;
	o->sink_arg = sink_arg;
	o->progress = progress;
	o->arg = arg;
	d->why[0] = '\0';
	rc = get_content(d, f, part, o);
	if (rc < 0 && o->trouble && !interrupt_seen())
		direct_say(d, "\"%s\": %s", f->node.name, o->trouble);
	else if (rc < 0 && !d->why[0])
		direct_say_transfer(d, f, rc);
	free(o);
	return rc;
}

int direct_get(struct direct *d, const struct direct_file *f,
               direct_sink_fn *sink, void *sink_arg,
               direct_progress_fn *progress, void *arg)
{
	struct direct_part all = { .size = f->item.size, .len = UINT64_MAX };
	struct interrupt signals;
	int rc;

	if (!S_ISREG(f->node.mode)) {
		direct_say(d, "\"%s\" is no file", f->node.name);
		return -EISDIR;
	}
	if (f->item.has_hash && !d->codec->ops->authenticates)
		all.hash = f->item.hash;
	interrupt_catch(&signals);
	rc = direct_get_part(d, f, &all, sink, sink_arg, progress, arg);
	interrupt_release(&signals);
	return rc;
}
