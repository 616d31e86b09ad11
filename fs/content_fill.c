#include "fs/content_internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/lock.h"

/* Puts the part of a chunk that the base has under what was written here. */
static int fill_gaps_locked(struct content *c, uint64_t idx, const char *data,
                            size_t len, bool *out_pure)
{
	struct chunk_range r[CHUNK_MAX_RANGES];
	size_t n = chunkmap_extents(&c->map, idx, r), at = 0;
	int rc = 0;

	*out_pure = n == 0;
	for (size_t i = 0; i <= n && rc == 0 && at < len; i++) {
		size_t to = i < n && r[i].from < len ? r[i].from : len;

		if (to > at)
			rc = content_pwrite_full(c->fd, data + at, to - at,
			                         idx * CHUNK_SIZE + at);
		if (i < n && r[i].to > at)
			at = r[i].to;
	}
	return rc;
}

static int store_chunk_locked(struct content *c, const char *base_etag,
                              uint64_t idx, const void *data, size_t len)
{
	uint64_t start = idx * CHUNK_SIZE, base = c->map.base_len;
	size_t want;
	bool pure;
	int rc = chunkmap_present(&c->map, idx);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	if (base_etag && strcmp(base_etag, c->row.base_etag))
		return -ESTALE;
	want = base - start < CHUNK_SIZE ? (size_t)(base - start) : CHUNK_SIZE;
	if (len < want)
		return -EIO; /* the version is shorter than it claimed */
	rc = content_need_fd_locked(c, true);
	if (rc == 0)
		rc = fill_gaps_locked(c, idx, data, want, &pure);
	if (rc < 0)
		return rc;
	pure = pure && want == content_chunk_len_locked(c, idx);
	c->unsaved = true;
	return chunkmap_set(&c->map, idx, pure ? content_sum(data, want) : 0);
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

int content_set_base_size(struct content *c, uint64_t plain_size)
{
	int rc = 0;

	lock_take(&c->lock, LOCK_CONTENT);
	if (c->row.size != plain_size) {
		if (c->row.flags & CFILE_CLEAN) {
			c->row.size = plain_size;
			c->row.base_len = c->map.base_len = plain_size;
			c->unsaved = true;
			if (c->fd >= 0 &&
			    ftruncate(c->fd, (off_t)plain_size) < 0)
				rc = -errno;
		} else {
			rc = -EBUSY;
		}
	}
	lock_drop(&c->lock, LOCK_CONTENT);
	return rc;
}
