#include "fs/codec_vault_internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "auth/age_payload.h"
#include "fs/lock.h"
#include "net/log.h"

/* The size in a listing is a claim until the header was opened and the last
 * chunk too, as the last one (facts/age.md 7). So a reader wants two pieces
 * first: the beginning, with chunk 0 in it, and the end. */

#define HEAD_BYTES (DESCRIPTOR_HEADER_LEN + AGE_NONCE_SIZE + AGE_CHUNK_SEAL)

/* A chunk that came with a piece: kept until it is taken. */
struct kept {
	uint8_t *plain;
	size_t len;
	uint64_t idx;
};

struct codec_reader {
	struct vault *vault;
	uint64_t sealed;
	struct codec_bond known, bond;
	uint8_t *key; /* sodium_malloc(), AGE_PAYLOAD_KEY */

	pthread_mutex_t lock; /* LOCK_LEAF; until all needs are met */
	bool have_head, have_end;
	size_t header_len; /* as supposed, then as it is */
	uint64_t plain;    /* a claim until have_head and have_end */
	uint8_t *end;      /* the last chunk, sealed, before the header came */
	size_t end_len;
	uint64_t end_off;
	struct kept first, last;
	unsigned taken;
};

/* By the header's length; 0: no plaintext has that size. */
static uint64_t chunks_of(const struct codec_reader *r, uint64_t *out_plain)
{
	if (age_plain_size(r->header_len, r->sealed, out_plain) < 0)
		return 0;
	return age_chunk_count(*out_plain);
}

int vault_reader_new(const struct codec *c, uint64_t sealed,
                     const struct codec_bond *known,
                     struct codec_reader **out_r)
{
	struct codec_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->key = sodium_malloc(AGE_PAYLOAD_KEY);
	if (!r->key) {
		free(r);
		return -ENOMEM;
	}
	pthread_mutex_init(&r->lock, NULL);
	r->vault = vault_codec_get(c);
	r->sealed = sealed;
	r->known = *known;
	r->header_len = vault_header_len(r->vault);
	chunks_of(r, &r->plain);
	*out_r = r;
	return 0;
}

void vault_reader_free(struct codec_reader *r)
{
	if (!r)
		return;
	vault_unref(r->vault);
	sodium_free(r->key);
	free(r->end);
	free(r->first.plain);
	free(r->last.plain);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static bool needs_end_locked(const struct codec_reader *r, uint64_t *out_off,
                             uint64_t *out_len)
{
	uint64_t plain, n = chunks_of(r, &plain);
	size_t len;

	/* A single chunk comes with the head, unless the header turned out to
	 * be longer than was thought. */
	if (r->have_end || n < (r->have_head ? 1 : 2))
		return false;
	age_chunk_range(r->header_len, plain, n - 1, out_off, &len);
	*out_len = len;
	return !r->end || r->end_off != *out_off || r->end_len != len;
}

int vault_reader_needs(struct codec_reader *r, unsigned i, uint64_t *out_off,
                       uint64_t *out_len)
{
	int some = 0;

	lock_take(&r->lock, LOCK_LEAF);
	if (!r->have_head && i-- == 0) {
		*out_off = 0;
		*out_len = r->sealed < HEAD_BYTES ? r->sealed : HEAD_BYTES;
		some = 1;
	} else if (needs_end_locked(r, out_off, out_len) && i == 0) {
		some = 1;
	}
	lock_drop(&r->lock, LOCK_LEAF);
	return some;
}

/* ---- the beginning ------------------------------------------------------- */

static int keep_chunk(struct codec_reader *r, struct kept *k, uint64_t idx,
                      bool last, const void *sealed, size_t len)
{
	uint8_t *plain = malloc(len);

	if (!plain)
		return -ENOMEM;
	if (age_chunk_open(r->key, idx, last, sealed, len, plain) < 0) {
		free(plain);
		return -EBADMSG;
	}
	k->plain = plain;
	k->len = len - AGE_TAG_SIZE;
	k->idx = idx;
	return 0;
}

static int judge(struct codec_reader *r, const struct vault_opened *o,
                 const char **out_why)
{
	struct bind_known known = { .known = r->known.known,
		                    .version = r->known.version };
	enum bind_verdict v;

	memcpy(known.file_id, r->known.file_id, sizeof(known.file_id));
	memcpy(known.mac, r->known.mac, sizeof(known.mac));
	v = bind_judge(&known, &o->bind, o->mac);
	switch (v) {
	case BIND_FINE:
	case BIND_NEWER:
	case BIND_UNKNOWN:
		break;
	case BIND_FORKED:
		log_warn("content version=%llu two devices wrote at once; "
		         "the other one is among the versions on OneDrive",
		         (unsigned long long)o->bind.version);
		break;
	case BIND_ROLLED_BACK:
		*out_why = "an older version than the one known here lies on "
			   "the server; `nmbackupfs vault accept PATH` takes "
			   "it";
		return -EBADMSG;
	case BIND_SWAPPED:
		*out_why = "another file's content lies there on the server; "
			   "`nmbackupfs vault accept PATH` takes it";
		return -EBADMSG;
	}
	r->bond.known = true;
	r->bond.version = o->bind.version;
	memcpy(r->bond.file_id, o->bind.file_id, sizeof(r->bond.file_id));
	memcpy(r->bond.mac, o->mac, sizeof(r->bond.mac));
	return 0;
}

static int take_header(struct codec_reader *r, const struct vault_opened *o,
                       const uint8_t *data, size_t len, const char **out_why)
{
	uint64_t plain, n;
	size_t at = o->header_len + AGE_NONCE_SIZE, size;
	int rc;

	r->header_len = o->header_len;
	n = chunks_of(r, &plain);
	*out_why = "it is cut short, or has something behind its end";
	if (!n || len < at || (o->bound && o->bind.size != plain))
		return -EBADMSG;
	rc = judge(r, o, out_why);
	if (rc < 0)
		return rc;
	r->plain = plain;
	age_payload_key(o->file_key, data + o->header_len, r->key);
	size = n == 1 ? (size_t)(r->sealed - at) : AGE_CHUNK_SEAL;
	if (len - at < size)
		return 0; /* a longer header than ours: asked for again */
	*out_why = "its first chunk is damaged";
	rc = keep_chunk(r, &r->first, 0, n == 1, data + at, size);
	r->have_end = n == 1;
	return rc;
}

static int feed_head_locked(struct codec_reader *r, const void *data,
                            size_t len, const char **out_why)
{
	struct vault_opened *o = sodium_malloc(sizeof(*o));
	int rc = -ENOMEM;

	if (!o)
		return rc;
	rc = vault_open_header(r->vault, data, len, 0, o);
	if (rc < 0)
		*out_why = vault_strerror(rc == -EAGAIN ? AGE_BAD_HEADER : rc);
	else
		rc = take_header(r, o, data, len, out_why);
	sodium_free(o);
	r->have_head = rc == 0;
	return rc == 0 || rc == -ENOMEM || rc == AGE_NO_MATCH ? rc : -EBADMSG;
}

/* ---- the end ------------------------------------------------------------- */

static int feed_end_locked(struct codec_reader *r, uint64_t off,
                           const void *data, size_t len)
{
	free(r->end);
	r->end = malloc(len);
	if (!r->end)
		return -ENOMEM;
	memcpy(r->end, data, len);
	r->end_len = len;
	r->end_off = off;
	return 0;
}

/* Once both are there. */
static int open_end_locked(struct codec_reader *r, const char **out_why)
{
	uint64_t off, len, n = age_chunk_count(r->plain);
	int rc;

	if (!r->have_head || r->have_end || !r->end ||
	    needs_end_locked(r, &off, &len))
		return 0;
	*out_why = "its end is damaged or missing";
	rc = keep_chunk(r, &r->last, n - 1, true, r->end, r->end_len);
	r->have_end = rc == 0;
	free(r->end);
	r->end = NULL;
	return rc;
}

int vault_reader_feed(struct codec_reader *r, uint64_t off, const void *data,
                      size_t len, const char **out_why)
{
	int rc;

	lock_take(&r->lock, LOCK_LEAF);
	rc = off ? feed_end_locked(r, off, data, len)
	         : feed_head_locked(r, data, len, out_why);
	if (rc == 0)
		rc = open_end_locked(r, out_why);
	lock_drop(&r->lock, LOCK_LEAF);
	return rc;
}

/* ---- afterwards ---------------------------------------------------------- */

int vault_reader_take(struct codec_reader *r, uint64_t *out_idx,
                      const void **out_plain, size_t *out_len)
{
	while (r->taken < 2) {
		struct kept *k = r->taken++ ? &r->last : &r->first;

		if (!k->plain || !k->len)
			continue;
		*out_idx = k->idx;
		*out_plain = k->plain;
		*out_len = k->len;
		return 1;
	}
	free(r->first.plain);
	free(r->last.plain);
	r->first.plain = r->last.plain = NULL;
	return 0;
}

void vault_reader_range(struct codec_reader *r, uint64_t idx, uint64_t *out_off,
                        uint64_t *out_len)
{
	size_t len;

	age_chunk_range(r->header_len, r->plain, idx, out_off, &len);
	*out_len = len;
}

ssize_t vault_reader_open(struct codec_reader *r, uint64_t idx,
                          const void *sealed, size_t len, void *out)
{
	bool last = idx + 1 == age_chunk_count(r->plain);

	if (len < AGE_TAG_SIZE ||
	    age_chunk_open(r->key, idx, last, sealed, len, out) < 0)
		return -EBADMSG;
	return (ssize_t)(len - AGE_TAG_SIZE);
}

uint64_t vault_reader_size(struct codec_reader *r)
{
	return r->plain;
}

void vault_reader_bond(struct codec_reader *r, struct codec_bond *out)
{
	*out = r->bond;
}

int vault_read_header(const struct codec *c, const void *data, size_t len,
                      struct codec_bond *out, const char **out_why)
{
	struct vault_opened *o = sodium_malloc(sizeof(*o));
	struct vault *v = vault_codec_get(c);
	int rc = o ? vault_open_header(v, data, len, 0, o) : -ENOMEM;

	if (rc < 0) {
		*out_why = vault_strerror(rc == -EAGAIN ? AGE_BAD_HEADER : rc);
		rc = rc == -ENOMEM ? rc : -EBADMSG;
	} else {
		out->known = true;
		out->version = o->bind.version;
		memcpy(out->file_id, o->bind.file_id, sizeof(out->file_id));
		memcpy(out->mac, o->mac, sizeof(out->mac));
	}
	sodium_free(o);
	vault_unref(v);
	return rc;
}
