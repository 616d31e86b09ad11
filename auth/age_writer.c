#include "auth/age_stream.h"

#include <stdint.h>
#include <string.h>

#include <sodium.h>

#include "auth/age_payload.h"
#include "net/buf.h"

struct age_writer { /* in sodium_malloc() memory, for the keys and `chunk` */
	age_sink_fn *sink;
	void *arg;
	struct age_armor *armor; /* &armor_state, or NULL: binary */
	struct age_armor armor_state;
	int rc;           /* of what failed first */
	struct buf front; /* header and nonce, until they are written */
	uint8_t file_key[AGE_FILE_KEY_SIZE];
	uint8_t key[AGE_PAYLOAD_KEY];
	uint64_t idx;                  /* of the chunk that fills up */
	size_t fill;                   /* bytes in it */
	uint8_t chunk[AGE_CHUNK_SEAL]; /* sealed in place */
};

static int put(struct age_writer *w, const void *data, size_t len)
{
	if (w->armor)
		return age_armor_feed(w->armor, data, len);
	return w->sink(w->arg, data, len);
}

static int make_front(struct age_writer *w, const struct age_target *to)
{
	uint8_t nonce[AGE_NONCE_SIZE];
	int rc;

	randombytes_buf(w->file_key, sizeof(w->file_key));
	randombytes_buf(nonce, sizeof(nonce));
	age_payload_key(w->file_key, nonce, w->key);
	rc = age_header_build(w->file_key, to, &w->front);
	return rc < 0 ? rc : buf_add(&w->front, nonce, sizeof(nonce));
}

int age_writer_new(const struct age_target *to, bool armor, age_sink_fn *sink,
                   void *arg, struct age_writer **out_w)
{
	struct age_writer *w = sodium_malloc(sizeof(*w));
	int rc;

	if (!w)
		return -ENOMEM;
	memset(w, 0, sizeof(*w));
	w->sink = sink;
	w->arg = arg;
	if (armor) {
		w->armor = &w->armor_state;
		age_armor_init(w->armor, sink, arg);
	}
	rc = make_front(w, to);
	if (rc < 0) {
		age_writer_free(w);
		return rc;
	}
	*out_w = w;
	return 0;
}

void age_writer_free(struct age_writer *w)
{
	if (!w)
		return;
	buf_done(&w->front);
	sodium_free(w);
}

static int put_chunk(struct age_writer *w, bool last)
{
	int rc = 0;

	if (w->front.len > 0)
		rc = put(w, w->front.data, w->front.len);
	buf_clear(&w->front);
	if (rc < 0)
		return rc;
	age_chunk_seal(w->key, w->idx++, last, w->chunk, w->fill, w->chunk);
	rc = put(w, w->chunk, w->fill + AGE_TAG_SIZE);
	w->fill = 0;
	return rc;
}

int age_writer_feed(struct age_writer *w, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (w->rc == 0 && len > 0) {
		size_t n = AGE_CHUNK - w->fill;

		if (n == 0) { /* more follows, so it isn't the last */
			w->rc = put_chunk(w, false);
			continue;
		}
		n = len < n ? len : n;
		memcpy(w->chunk + w->fill, p, n);
		w->fill += n;
		p += n;
		len -= n;
	}
	return w->rc;
}

int age_writer_finish(struct age_writer *w)
{
	if (w->rc == 0)
		w->rc = put_chunk(w, true);
	if (w->rc == 0 && w->armor)
		w->rc = age_armor_finish(w->armor);
	return w->rc;
}
