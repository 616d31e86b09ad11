#include "fs/unseal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "auth/age_payload.h"
#include "auth/age_stream.h"
#include "auth/vault.h"
#include "net/buf.h"

/* Below that a header may still go on. */
#define HEADER_ROOM (AGE_HEADER_MAX + AGE_NONCE_SIZE)

struct unseal {
	struct unseal_options opt;
	struct age_reader *reader; /* without a vault: all is in there */

	struct vault_opened *opened; /* sodium_malloc() */
	uint8_t *key;                /* the same, AGE_PAYLOAD_KEY */
	struct buf in;               /* what was not used yet */
	bool have_header;
	uint64_t plain, chunks, next;
	int rc; /* of the first failure: stays */
	uint8_t chunk[AGE_CHUNK];
};

int unseal_new(const struct unseal_options *opt, struct unseal **out_u)
{
	struct unseal *u = calloc(1, sizeof(*u));
	int rc = 0;

	if (!u)
		return -ENOMEM;
	u->opt = *opt;
	if (!opt->vault) {
		rc = age_reader_new(opt->keys, opt->sink, opt->arg, &u->reader);
	} else {
		u->opened = sodium_malloc(sizeof(*u->opened));
		u->key = sodium_malloc(AGE_PAYLOAD_KEY);
		if (!u->opened || !u->key)
			rc = -ENOMEM;
	}
	if (rc < 0)
		unseal_free(u);
	else
		*out_u = u;
	return rc;
}

void unseal_free(struct unseal *u)
{
	if (!u)
		return;
	age_reader_free(u->reader);
	sodium_free(u->opened);
	sodium_free(u->key);
	buf_done(&u->in);
	sodium_memzero(u->chunk, sizeof(u->chunk));
	free(u);
}

/* 0, -EAGAIN: it goes on. */
static int open_header(struct unseal *u)
{
	size_t len;
	int rc = vault_open_header(u->opt.vault, u->in.data, u->in.len, 0,
	                           u->opened);

	if (rc == -EAGAIN && u->in.len > HEADER_ROOM)
		return AGE_BAD_HEADER;
	if (rc < 0)
		return rc;
	len = u->opened->header_len;
	if (u->in.len < len + AGE_NONCE_SIZE)
		return -EAGAIN;
	rc = age_plain_size(len, u->opt.sealed, &u->plain);
	if (rc == 0 && u->opened->bind.size != u->plain)
		rc = AGE_BAD_CONTENT;
	if (rc == 0 && u->opt.header)
		rc = u->opt.header(u->opt.arg, u->opened);
	if (rc < 0)
		return rc;
	age_payload_key(u->opened->file_key, (uint8_t *)u->in.data + len,
	                u->key);
	u->chunks = age_chunk_count(u->plain);
	buf_drop(&u->in, len + AGE_NONCE_SIZE);
	u->have_header = true;
	return 0;
}

/* All chunks that are there as a whole. */
static int open_chunks(struct unseal *u)
{
	size_t used = 0, len;
	uint64_t off;
	int rc = 0;

	while (rc == 0 && u->next < u->chunks) {
		age_chunk_range(u->opened->header_len, u->plain, u->next, &off,
		                &len);
		if (u->in.len - used < len)
			break;
		rc = age_chunk_open(u->key, u->next, u->next + 1 == u->chunks,
		                    u->in.data + used, len, u->chunk);
		if (rc == 0)
			rc = u->opt.sink(u->opt.arg, u->chunk,
			                 len - AGE_TAG_SIZE);
		used += len;
		u->next++;
	}
	buf_drop(&u->in, used);
	return rc;
}

int unseal_feed(void *unseal, const void *data, size_t len)
{
	struct unseal *u = unseal;

	if (u->rc < 0)
		return u->rc;
	if (u->reader) {
		u->rc = age_reader_feed(u->reader, data, len);
		return u->rc;
	}
	u->rc = buf_add(&u->in, data, len);
	if (u->rc == 0 && !u->have_header) {
		int rc = open_header(u);

		if (rc == -EAGAIN)
			return 0;
		u->rc = rc;
	}
	if (u->rc == 0)
		u->rc = open_chunks(u);
	return u->rc;
}

int unseal_finish(struct unseal *u)
{
	if (u->rc < 0)
		return u->rc;
	if (u->reader)
		return age_reader_finish(u->reader);
	if (!u->have_header)
		return AGE_BAD_HEADER;
	return u->next == u->chunks && !u->in.len ? 0 : AGE_BAD_CONTENT;
}

int unseal_error(const struct unseal *u)
{
	return u->rc;
}
