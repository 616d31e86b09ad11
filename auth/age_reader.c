#include "auth/age_stream.h"

#include <stdint.h>
#include <string.h>

#include <sodium.h>

#include "auth/age_payload.h"
#include "net/buf.h"

/* from   -> to      when                          moved by
 * START  -> HEADER  the first byte came           age_reader_feed
 * HEADER -> NONCE   the header opens              open_header
 * NONCE  -> CHUNKS  16 bytes are there            take_nonce */
enum reader_state {
	READER_START,
	READER_HEADER, /* `front` fills up */
	READER_NONCE,  /* so does `chunk`, from here on */
	READER_CHUNKS,
};

struct age_reader { /* in sodium_malloc() memory, for the keys and `chunk` */
	age_sink_fn *sink;
	void *arg;
	const struct age_keys *keys;
	struct age_dearmor *dearmor; /* &dearmor_state, or NULL: binary */
	struct age_dearmor dearmor_state;
	int rc; /* of what failed first */
	enum reader_state state;
	struct buf front;
	uint8_t file_key[AGE_FILE_KEY_SIZE];
	uint8_t key[AGE_PAYLOAD_KEY];
	uint64_t idx;                  /* of the chunk that fills up */
	size_t fill;                   /* bytes in it */
	uint8_t chunk[AGE_CHUNK_SEAL]; /* opened in place */
};

int age_reader_new(const struct age_keys *keys, age_sink_fn *sink, void *arg,
                   struct age_reader **out_r)
{
	struct age_reader *r = sodium_malloc(sizeof(*r));

	if (!r)
		return -ENOMEM;
	memset(r, 0, sizeof(*r));
	r->sink = sink;
	r->arg = arg;
	r->keys = keys;
	*out_r = r;
	return 0;
}

void age_reader_free(struct age_reader *r)
{
	if (!r)
		return;
	buf_done(&r->front);
	sodium_free(r);
}

/* ---- the header ---------------------------------------------------------- */

/* True if the header's last line is there, or parsing would find an error: only
 * then it is worth to parse. "---" can start no other line. */
static bool header_is_whole(const struct buf *b)
{
	const char *footer = memmem(b->data, b->len, "\n---", 4);

	if (b->len >= AGE_HEADER_MAX)
		return true;
	return footer && memchr(footer + 1, '\n',
	                        b->len - (size_t)(footer + 1 - b->data));
}

/* What is left in `front` comes after the header. */
static int open_header(struct age_reader *r)
{
	struct age_header *h;
	int rc;

	rc = age_header_parse(r->front.data, r->front.len, &h);
	if (rc == -EAGAIN) /* whole, or at the file's end */
		rc = AGE_BAD_HEADER;
	if (rc < 0)
		return rc;
	rc = age_header_open(h, r->keys, r->file_key, NULL);
	buf_drop(&r->front, age_header_len(h));
	age_header_free(h);
	r->state = READER_NONCE;
	return rc;
}

/* ---- the payload --------------------------------------------------------- */

static void take_nonce(struct age_reader *r)
{
	age_payload_key(r->file_key, r->chunk, r->key);
	r->fill = 0;
	r->state = READER_CHUNKS;
}

static int put_chunk(struct age_reader *r, bool last)
{
	int rc = age_chunk_open(r->key, r->idx++, last, r->chunk, r->fill,
	                        r->chunk);

	if (rc == 0 && r->fill > AGE_TAG_SIZE)
		rc = r->sink(r->arg, r->chunk, r->fill - AGE_TAG_SIZE);
	r->fill = 0;
	return rc;
}

static int take_payload(struct age_reader *r, const uint8_t *p, size_t len)
{
	int rc = 0;

	while (rc == 0 && len > 0) {
		size_t goal = r->state == READER_NONCE ? AGE_NONCE_SIZE
		                                       : AGE_CHUNK_SEAL;
		size_t n = goal - r->fill;

		n = len < n ? len : n;
		memcpy(r->chunk + r->fill, p, n);
		r->fill += n;
		p += n;
		len -= n;
		if (r->state == READER_NONCE && r->fill == goal)
			take_nonce(r);
		else if (r->fill == goal && len > 0)
			rc = put_chunk(r, false); /* more follows */
	}
	return rc;
}

/* ---- both ---------------------------------------------------------------- */

/* age_sink_fn for bytes of the binary file */
static int take(void *reader, const void *data, size_t len)
{
	struct age_reader *r = reader;
	size_t n = AGE_HEADER_MAX - r->front.len;
	int rc;

	if (r->state != READER_HEADER)
		return take_payload(r, data, len);
	n = len < n ? len : n;
	rc = buf_add(&r->front, data, n);
	if (rc < 0 || !header_is_whole(&r->front))
		return rc;
	rc = open_header(r);
	if (rc == 0)
		rc = take_payload(r, (const uint8_t *)r->front.data,
		                  r->front.len);
	buf_done(&r->front);
	if (rc == 0)
		rc = take_payload(r, (const uint8_t *)data + n, len - n);
	return rc;
}

int age_reader_feed(struct age_reader *r, const void *data, size_t len)
{
	if (r->rc < 0 || len == 0)
		return r->rc;
	if (r->state == READER_START) {
		r->state = READER_HEADER;
		if (age_is_armor(data, len)) {
			r->dearmor = &r->dearmor_state;
			age_dearmor_init(r->dearmor, take, r);
		}
	}
	if (r->dearmor)
		r->rc = age_dearmor_feed(r->dearmor, data, len);
	else
		r->rc = take(r, data, len);
	return r->rc;
}

static int finish(struct age_reader *r)
{
	int rc = r->dearmor ? age_dearmor_finish(r->dearmor) : 0;

	if (rc == 0 && r->state == READER_HEADER)
		rc = open_header(r);
	if (rc < 0)
		return rc;
	if (r->state != READER_CHUNKS)
		return AGE_BAD_HEADER; /* it ended before its nonce did */
	return put_chunk(r, true);
}

int age_reader_finish(struct age_reader *r)
{
	if (r->rc == 0)
		r->rc = finish(r);
	return r->rc;
}
