#include "fs/content_internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/lock.h"
#include "net/crashpoint.h"

/* What a kill may cost of a long download: the map is saved that often. */
#define SAVE_EVERY 256 /* chunks, 16 MiB */

/* Puts the part of a chunk that the base has under what was written here. */
static int fill_gaps_locked(struct content *c, uint64_t idx, const char *data,
                            size_t len, bool *out_pure)
{
	const struct extent *r;
	size_t n = chunkmap_extents(&c->map, idx, &r), at = 0;
	int rc = 0;

	*out_pure = n == 0;
	for (size_t i = 0; i <= n && rc == 0 && at < len; i++) {
		size_t to = i < n && r[i].from < len ? r[i].from : len;

		if (to > at)
			content_pwrite_full(c->fd, data + at, to - at,
			                    idx * CHUNK_SIZE + at, &rc);
		if (i < n && r[i].to > at)
			at = r[i].to;
	}
	return rc;
}

static int store_chunk_locked(struct content *c, const char *base_etag,
                              uint64_t idx, const void *data, size_t len)
{
	size_t want;
	bool pure;
	int rc = content_need_fd_locked(c, true);

	if (rc == 0)
		rc = chunkmap_present(&c->map, idx);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	if (base_etag && strcmp(base_etag, c->row.base_etag))
		return -ESTALE;
	want = CHUNK_SIZE;
	if (c->map.base_len - idx * CHUNK_SIZE < CHUNK_SIZE)
		want = (size_t)(c->map.base_len - idx * CHUNK_SIZE);
	if (len < want)
		return -EIO; /* the version is shorter than it claimed */
	rc = fill_gaps_locked(c, idx, data, want, &pure);
	CRASH_POINT("chunk-arrived");
	content_touch_locked(c);
	if (rc < 0)
		return rc;
	pure = pure && want == content_chunk_len_locked(c, idx);
	rc = chunkmap_set(&c->map, idx, pure ? content_sum(data, want) : 0);
	if (rc < 0)
		return rc;
	c->unsaved = true;
	/* A failure to save costs nothing yet: it is tried again. */
	if (++c->arrived >= SAVE_EVERY) {
		content_transact_locked(c, NULL, NULL);
		CRASH_POINT("chunk-map-saved");
	}
	return 0;
}

int content_store_chunk(struct content *c, const char *base_etag, uint64_t idx,
                        const void *data, size_t len)
{
	int rc;

	lock_take(&c->lock, LOCK_CONTENT);
	rc = store_chunk_locked(c, base_etag, idx, data, len);
	lock_drop(&c->lock, LOCK_CONTENT);
	return rc;
}

static int set_base_size_locked(struct content *c, uint64_t size)
{
	uint64_t edge = (size < c->row.size ? size : c->row.size) / CHUNK_SIZE;
	int rc;

	if (c->row.size == size)
		return 0;
	if (!(c->row.flags & CFILE_CLEAN) || c->map.whole)
		return -EBUSY;
	rc = content_need_fd_locked(c, false);
	if (rc == 0 && ftruncate(c->fd, (off_t)size) < 0)
		rc = -errno;
	if (rc < 0 && rc != -ENOENT)
		return rc;
	rc = chunkmap_truncate(&c->map, size);
	/* The chunk at the old or new end has another length now. */
	if (rc == 0)
		rc = chunkmap_unset(&c->map, edge);
	if (rc < 0)
		return rc;
	content_touch_locked(c);
	c->unsaved = true;
	c->row.size = size;
	c->map.base_len = size;
	return 0;
}

static bool is_claim_locked(const struct content *c)
{
	return !c->row.size && c->row.flags & CFILE_CLEAN &&
	       !(c->row.flags & CFILE_WHOLE) && c->row.base_id[0];
}

bool content_is_claim(struct content *c)
{
	bool claim;

	lock_take(&c->lock, LOCK_CONTENT);
	claim = is_claim_locked(c);
	lock_drop(&c->lock, LOCK_CONTENT);
	return claim;
}

void content_note_empty(struct content *c)
{
	lock_take(&c->lock, LOCK_CONTENT);
	if (is_claim_locked(c)) {
		c->row.flags |= CFILE_WHOLE;
		c->map.whole = true;
		c->unsaved = true;
	}
	lock_drop(&c->lock, LOCK_CONTENT);
}

int content_set_base_size(struct content *c, uint64_t plain_size)
{
	int rc;

	lock_take(&c->lock, LOCK_CONTENT);
	rc = set_base_size_locked(c, plain_size);
	lock_drop(&c->lock, LOCK_CONTENT);
	return rc;
}
