#include "fs/codec_vault_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "auth/age_payload.h"
#include "fs/cfile.h"
#include "net/clock.h"

/* A file key seals one immutable content, ever (facts/age.md 6, 13). The
 * content is read from a snapshot; besides, the tag of each chunk made so far
 * is kept, and a chunk that comes out with another tag the second time is not
 * given away. */

#define TAGS_PER_GROUP 1024

_Static_assert(CHUNK_SIZE == AGE_CHUNK, "chunks are age's chunks");
_Static_assert(AGE_FILE_KEY_SIZE + AGE_NONCE_SIZE <= CODEC_SECRET_MAX,
               "file key and nonce are the secret");
_Static_assert(DESCRIPTOR_HEADER_LEN <= CODEC_HEADER_MAX, "room for a header");

struct tags {
	uint8_t tag[TAGS_PER_GROUP][AGE_TAG_SIZE];
	bool known[TAGS_PER_GROUP];
};

struct codec_writer {
	uint64_t plain, chunks;
	uint32_t epoch; /* whose key opens it */
	uint8_t head[DESCRIPTOR_HEADER_LEN + AGE_NONCE_SIZE];
	uint8_t *key; /* sodium_malloc(), AGE_PAYLOAD_KEY */
	struct tags **tags;
	uint64_t groups;
	/* The chunk sealed last: fragments cut through chunks. */
	uint64_t at; /* UINT64_MAX: none */
	uint8_t seal[AGE_CHUNK_SEAL];
};

/* ---- making one ---------------------------------------------------------- */

static int fresh_seed(const struct vault *v, uint64_t plain,
                      const struct codec_bond *base, const char *path,
                      struct codec_seed *seed)
{
	uint8_t mac[AGE_MAC_SIZE];
	struct bind_fields f = { .version = 1,
		                 .size = plain,
		                 .sealed_ns = clock_real_ns() };
	int rc;

	if (vault_header_len(v) != DESCRIPTOR_HEADER_LEN)
		return -ENOTSUP;
	codec_seed_done(seed);
	randombytes_buf(seed->secret, AGE_FILE_KEY_SIZE + AGE_NONCE_SIZE);
	seed->secret_len = AGE_FILE_KEY_SIZE + AGE_NONCE_SIZE;
	if (base->known) {
		memcpy(f.file_id, base->file_id, sizeof(f.file_id));
		memcpy(f.previous, base->mac, sizeof(f.previous));
		f.version = base->version + 1;
	} else {
		randombytes_buf(f.file_id, sizeof(f.file_id));
	}
	while (*path == '/')
		path++;
	vault_path_tag(v, path, f.path_tag);
	rc = vault_seal_header(v, seed->secret, &f, seed->header, mac);
	if (rc < 0)
		return rc;
	seed->header_len = DESCRIPTOR_HEADER_LEN;
	seed->bond.known = true;
	seed->bond.version = f.version;
	memcpy(seed->bond.file_id, f.file_id, sizeof(f.file_id));
	memcpy(seed->bond.mac, mac, sizeof(seed->bond.mac));
	return 0;
}

/* Of what was sealed before a device was removed, say: by its header. */
static int epoch_of_seed(const struct vault *v, const struct codec_seed *seed,
                         uint32_t *out_epoch)
{
	struct vault_opened *o = sodium_malloc(sizeof(*o));
	int rc = -ENOMEM;

	if (!o)
		return rc;
	rc = vault_open_header(v, seed->header, seed->header_len, 0, o);
	if (rc == 0)
		*out_epoch = o->epoch;
	sodium_free(o);
	return rc == 0 || rc == -ENOMEM ? rc : -EUCLEAN;
}

static int use_seed(struct codec_writer *w, const struct codec_seed *seed)
{
	const uint8_t *nonce = seed->secret + AGE_FILE_KEY_SIZE;

	if (seed->header_len != DESCRIPTOR_HEADER_LEN ||
	    seed->secret_len != AGE_FILE_KEY_SIZE + AGE_NONCE_SIZE)
		return -EUCLEAN;
	memcpy(w->head, seed->header, DESCRIPTOR_HEADER_LEN);
	memcpy(w->head + DESCRIPTOR_HEADER_LEN, nonce, AGE_NONCE_SIZE);
	age_payload_key(seed->secret, nonce, w->key);
	return 0;
}

int vault_writer_new(const struct codec *c, uint64_t plain, bool fresh,
                     const struct codec_bond *base, const char *path,
                     struct codec_seed *seed, struct codec_writer **out_w)
{
	struct codec_writer *w = calloc(1, sizeof(*w));
	struct vault *v;
	int rc = 0;

	if (!w)
		return -ENOMEM;
	w->plain = plain;
	w->chunks = age_chunk_count(plain);
	w->groups = (w->chunks + TAGS_PER_GROUP - 1) / TAGS_PER_GROUP;
	w->at = UINT64_MAX;
	w->key = sodium_malloc(AGE_PAYLOAD_KEY);
	w->tags = calloc(w->groups, sizeof(*w->tags));
	if (!w->key || !w->tags)
		rc = -ENOMEM;
	v = vault_codec_get(c);
	w->epoch = vault_epoch(v);
	if (rc == 0 && fresh)
		rc = fresh_seed(v, plain, base, path, seed);
	else if (rc == 0)
		rc = epoch_of_seed(v, seed, &w->epoch);
	if (rc == 0 && w->epoch != vault_epoch(v))
		rc = -ESTALE;
	vault_unref(v);
	if (rc == 0)
		rc = use_seed(w, seed);
	if (rc < 0) {
		vault_writer_free(w);
		return rc;
	}
	*out_w = w;
	return 0;
}

void vault_writer_free(struct codec_writer *w)
{
	if (!w)
		return;
	for (uint64_t i = 0; w->tags && i < w->groups; i++)
		free(w->tags[i]);
	free(w->tags);
	sodium_free(w->key);
	free(w);
}

bool vault_writer_is_current(const struct codec *c,
                             const struct codec_writer *w)
{
	struct vault *v = vault_codec_get(c);
	bool current = w->epoch == vault_epoch(v);

	vault_unref(v);
	return current;
}

/* ---- tags ---------------------------------------------------------------- */

static struct tags *group_of(struct codec_writer *w, uint64_t idx)
{
	struct tags **g = &w->tags[idx / TAGS_PER_GROUP];

	if (!*g)
		*g = calloc(1, sizeof(**g));
	return *g;
}

/* Is this chunk what it was before? */
static int check_tag(struct codec_writer *w, uint64_t idx, const uint8_t *tag)
{
	struct tags *g = group_of(w, idx);
	size_t i = idx % TAGS_PER_GROUP;

	if (!g)
		return -ENOMEM;
	if (g->known[i])
		return sodium_memcmp(g->tag[i], tag, AGE_TAG_SIZE) ? -ESTALE
		                                                   : 0;
	memcpy(g->tag[i], tag, AGE_TAG_SIZE);
	g->known[i] = true;
	return 0;
}

size_t vault_writer_tags(struct codec_writer *w, uint64_t first, size_t n,
                         void *out)
{
	uint8_t *at = out;
	size_t got = 0;

	for (; got < n && first + got < w->chunks; got++) {
		uint64_t idx = first + got;
		struct tags *g = w->tags[idx / TAGS_PER_GROUP];

		if (!g || !g->known[idx % TAGS_PER_GROUP])
			break;
		memcpy(at + got * AGE_TAG_SIZE, g->tag[idx % TAGS_PER_GROUP],
		       AGE_TAG_SIZE);
	}
	return got;
}

int vault_writer_expect(struct codec_writer *w, uint64_t first, size_t n,
                        const void *tags)
{
	const uint8_t *at = tags;

	for (size_t i = 0; i < n && first + i < w->chunks; i++) {
		int rc = check_tag(w, first + i, at + i * AGE_TAG_SIZE);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- bytes --------------------------------------------------------------- */

static int seal_chunk(struct codec_writer *w, codec_source_fn *source,
                      void *arg, uint64_t idx)
{
	uint64_t off = idx * AGE_CHUNK;
	uint64_t left = w->plain - off;
	size_t len = left < AGE_CHUNK ? (size_t)left : AGE_CHUNK;
	int rc = len ? source(arg, w->seal, len, off) : 0;

	w->at = UINT64_MAX;
	if (rc < 0)
		return rc;
	age_chunk_seal(w->key, idx, idx + 1 == w->chunks, w->seal, len,
	               w->seal);
	rc = check_tag(w, idx, w->seal + len);
	if (rc == 0)
		w->at = idx;
	else
		sodium_memzero(w->seal, sizeof(w->seal));
	return rc;
}

static size_t copy_part(uint8_t *buf, size_t len, const uint8_t *from,
                        uint64_t skip, uint64_t total)
{
	uint64_t left = total - skip;
	size_t n = left < len ? (size_t)left : len;

	memcpy(buf, from + skip, n);
	return n;
}

int vault_writer_read(struct codec_writer *w, codec_source_fn *source,
                      void *arg, void *buf, size_t len, uint64_t off)
{
	uint64_t total = age_sealed_size(DESCRIPTOR_HEADER_LEN, w->plain);
	uint8_t *out = buf;

	if (off > total || len > total - off)
		return -EINVAL;
	while (len) {
		size_t n;

		if (off < sizeof(w->head)) {
			n = copy_part(out, len, w->head, off, sizeof(w->head));
		} else {
			uint64_t idx = (off - sizeof(w->head)) / AGE_CHUNK_SEAL;
			uint64_t at;
			size_t size;
			int rc = idx == w->at ? 0
			                      : seal_chunk(w, source, arg, idx);

			if (rc < 0)
				return rc;
			age_chunk_range(DESCRIPTOR_HEADER_LEN, w->plain, idx,
			                &at, &size);
			n = copy_part(out, len, w->seal, off - at, size);
		}
		out += n;
		off += n;
		len -= n;
	}
	return 0;
}
