#include "fs/content_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "fs/lock.h"
#include "net/log.h"

/* The file lost a chunk that the base has. Whole content becomes one with a
 * base: a clean one has all of its bytes there. */
static int lose_chunk_locked(struct content *c, uint64_t idx)
{
	int rc = 0;

	log_warn("content cid=%" PRIx64 " chunk=%" PRIu64
	         " damaged action=fetch_again",
	         c->cid, idx);
	if (c->map.whole)
		rc = chunkmap_set_parts(&c->map, c->row.size);
	if (rc == 0)
		rc = chunkmap_unset(&c->map, idx);
	c->unsaved = true;
	return rc < 0 ? rc : -EAGAIN;
}

/* Compares a present chunk with its checksum, once per mount. */
static int verify_chunk_locked(struct content *c, uint64_t idx)
{
	uint8_t buf[CHUNK_SIZE];
	uint64_t sum;
	int rc;

	if (chunkmap_is_verified(&c->map, idx))
		return 0;
	rc = chunkmap_get_sum(&c->map, idx, &sum);
	if (rc < 0 || (!sum && !c->suspect))
		return rc;
	rc = content_read_chunk_locked(c, idx, buf);
	if (rc < 0 && rc != -EIO)
		return rc;
	if (rc == 0 &&
	    content_sum(buf, content_chunk_len_locked(c, idx)) == sum) {
		chunkmap_set_verified(&c->map, idx);
		return 0;
	}
	if (cfile_is_base(&c->row))
		return lose_chunk_locked(c, idx);
	log_error("content cid=%" PRIx64 " ino=%" PRIu64 " chunk=%" PRIu64
	          " damaged, not on the server kept=yes",
	          c->cid, c->ino, idx);
	return -EIO;
}

int content_end_doubt_locked(struct content *c)
{
	uint64_t n = (c->row.size + CHUNK_SIZE - 1) / CHUNK_SIZE;
	int rc;

	if (!(c->row.flags & CFILE_DOUBT))
		return 0;
	rc = content_need_fd_locked(c, false);
	if (rc == -ENOENT)
		rc = 0; /* and the map says so by now */
	for (uint64_t idx = 0; idx < n && rc >= 0; idx++) {
		rc = chunkmap_present(&c->map, idx);
		if (rc == 1)
			rc = verify_chunk_locked(c, idx);
		if (rc == -EAGAIN)
			rc = 0;
	}
	if (rc < 0)
		return rc;
	c->row.flags &= ~(uint32_t)CFILE_DOUBT;
	c->unsaved = true;
	return 0;
}

static int read_locked(struct content *c, uint64_t off, size_t len,
                       struct content_span *out)
{
	uint64_t first, last, absent;
	int rc;

	if (off >= c->row.size)
		len = 0;
	else if (len > c->row.size - off)
		len = (size_t)(c->row.size - off);
	*out = (struct content_span){
		.fd = -1, .off = off, .len = len, .partial = !c->map.whole
	};
	if (!len)
		return 0;
	first = off / CHUNK_SIZE;
	last = (off + len - 1) / CHUNK_SIZE;
	rc = content_need_fd_locked(c, false);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	rc = chunkmap_next_absent(&c->map, first, last, &absent);
	if (rc < 0)
		return rc;
	out->absent = absent;
	if (absent <= last)
		return -EAGAIN;
	for (uint64_t idx = first; idx <= last; idx++) {
		out->absent = idx;
		rc = verify_chunk_locked(c, idx);
		if (rc < 0)
			return rc;
	}
	out->fd = c->fd;
	return c->fd >= 0 ? 0 : -EIO;
}

int content_read(struct content *c, uint64_t off, size_t len,
                 struct content_span *out)
{
	int rc;

	lock_take(&c->lock, LOCK_CONTENT);
	rc = read_locked(c, off, len, out);
	lock_drop(&c->lock, LOCK_CONTENT);
	return rc;
}

ssize_t content_pread(struct content *c, void *buf, size_t len, uint64_t off)
{
	struct content_span span;
	ssize_t n;

	lock_take(&c->lock, LOCK_CONTENT);
	n = read_locked(c, off, len, &span);
	if (n == 0 && span.len)
		n = content_pread_full(span.fd, buf, span.len, off);
	lock_drop(&c->lock, LOCK_CONTENT);
	return n >= 0 && (size_t)n < span.len ? -EIO : n;
}

int content_next_absent(struct content *c, uint64_t first, uint64_t last,
                        uint64_t *out_idx)
{
	int rc;

	lock_take(&c->lock, LOCK_CONTENT);
	rc = chunkmap_next_absent(&c->map, first, last, out_idx);
	lock_drop(&c->lock, LOCK_CONTENT);
	return rc;
}

static int seek_locked(struct content *c, uint64_t off, int whence,
                       uint64_t *out_off)
{
	off_t at;
	int rc;

	if (off >= c->row.size)
		return -ENXIO;
	rc = content_need_fd_locked(c, false);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	rc = chunkmap_is_whole(&c->map, c->row.size);
	if (rc < 0)
		return rc;
	if (!rc || c->fd < 0) { /* absent bytes may be anything: data */
		*out_off = whence == SEEK_DATA ? off : c->row.size;
		return 0;
	}
	at = lseek(c->fd, (off_t)off, whence);
	if (at < 0)
		return -errno;
	*out_off = (uint64_t)at < c->row.size ? (uint64_t)at : c->row.size;
	return 0;
}

int content_seek(struct content *c, uint64_t off, int whence, uint64_t *out_off)
{
	int rc;

	lock_take(&c->lock, LOCK_CONTENT);
	rc = seek_locked(c, off, whence, out_off);
	lock_drop(&c->lock, LOCK_CONTENT);
	return rc;
}
