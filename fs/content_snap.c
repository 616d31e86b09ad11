#include "fs/content_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/lock.h"
#include "net/crashpoint.h"
#include "net/log.h"

/* What is set aside lies at its own offset in a sparse file beside the
 * content. After a restart that file is trusted chunk by chunk, by checksum:
 * a copy that the end of the program cut short is no copy. A plain copy, no
 * FICLONE: each chunk is read anyway, to be checked, and cloning would first
 * write the old bytes out under the lock. */
struct content_snapshot {
	uint64_t size, nchunks;
	const uint64_t *sums;
	uint8_t *aside; /* one bit per chunk */
	uint64_t cost;  /* bytes */
	int fd;         /* -1: nothing set aside yet */
	bool dead;      /* a chunk could not be kept */
};

static bool is_aside(const struct content_snapshot *s, uint64_t idx)
{
	return s->aside[idx / 8] >> (idx % 8) & 1;
}

static size_t snap_chunk_len(const struct content_snapshot *s, uint64_t idx)
{
	uint64_t left = s->size - idx * CHUNK_SIZE;

	return left < CHUNK_SIZE ? (size_t)left : CHUNK_SIZE;
}

static bool matches(const struct content_snapshot *s, uint64_t idx,
                    const uint8_t *buf)
{
	return content_sum(buf, snap_chunk_len(s, idx)) == s->sums[idx];
}

static int set_aside_locked(struct content *c, uint64_t idx, uint8_t *buf)
{
	struct content_snapshot *s = c->snap;
	size_t len = snap_chunk_len(s, idx);
	int rc;

	if (s->fd < 0) {
		rc = content_file_open(c->cs, c->cid, ".snap",
		                       O_RDWR | O_CREAT);
		if (rc < 0)
			return rc;
		s->fd = rc;
	}
	rc = content_read_chunk_locked(c, idx, buf);
	if (rc < 0)
		return rc;
	if (!matches(s, idx, buf))
		return -ESTALE;
	content_pwrite_full(s->fd, buf, len, idx * CHUNK_SIZE, &rc);
	if (rc < 0)
		return rc;
	CRASH_POINT("chunk-set-aside");
	s->aside[idx / 8] |= (uint8_t)(1u << (idx % 8));
	s->cost += CHUNK_SIZE;
	return 0;
}

void content_snapshot_protect_locked(struct content *c, uint64_t off,
                                     uint64_t len)
{
	struct content_snapshot *s = c->snap;
	uint64_t end, first, last;
	uint8_t *buf;
	int rc = 0;

	if (!s || s->dead || !len || off >= s->size)
		return;
	end = off + len < s->size ? off + len : s->size;
	first = off / CHUNK_SIZE;
	last = (end - 1) / CHUNK_SIZE;
	buf = malloc(CHUNK_SIZE);
	if (!buf)
		rc = -ENOMEM;
	for (uint64_t idx = first; idx <= last && rc == 0; idx++) {
		if (!is_aside(s, idx))
			rc = set_aside_locked(c, idx, buf);
	}
	free(buf);
	if (rc < 0) {
		log_warn("content cid=%" PRIx64 " snapshot given up: %s, its "
		         "upload starts over",
		         c->cid, strerror(-rc));
		s->dead = true;
	}
}

/* After a restart: takes up what was set aside, by checksum. */
static int find_aside_locked(struct content *c)
{
	struct content_snapshot *s = c->snap;
	off_t at = 0;
	uint8_t *buf;
	int fd = content_file_open(c->cs, c->cid, ".snap", O_RDWR);

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	s->fd = fd;
	buf = malloc(CHUNK_SIZE);
	if (!buf)
		return -ENOMEM;
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		uint64_t idx = (uint64_t)at / CHUNK_SIZE;
		size_t len;

		if (idx >= s->nchunks)
			break;
		len = snap_chunk_len(s, idx);
		if (content_pread_full(fd, buf, len, idx * CHUNK_SIZE) ==
		            (ssize_t)len &&
		    matches(s, idx, buf)) {
			s->aside[idx / 8] |= (uint8_t)(1u << (idx % 8));
			s->cost += CHUNK_SIZE;
		}
		at = (off_t)((idx + 1) * CHUNK_SIZE);
	}
	free(buf);
	return 0;
}

static void free_snapshot(struct content_snapshot *s)
{
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
	free(s->aside);
	free(s);
}

static int new_snapshot(uint64_t size, const uint64_t *sums,
                        struct content_snapshot **out_s)
{
	struct content_snapshot *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->fd = -1;
	s->size = size;
	s->nchunks = (size + CHUNK_SIZE - 1) / CHUNK_SIZE;
	s->sums = sums;
	s->aside = calloc(1, (size_t)(s->nchunks / 8 + 1));
	if (!s->aside) {
		free(s);
		return -ENOMEM;
	}
	*out_s = s;
	return 0;
}

/* A snapshot taken now starts from settled bytes; one that goes on finds out
 * chunk by chunk what is left. */
static int begin_locked(struct content *c, struct content_snapshot *s,
                        bool resumed)
{
	int rc;

	if (c->snap)
		return -EBUSY;
	if (!resumed) {
		rc = chunkmap_is_whole(&c->map, c->row.size);
		if (rc < 0)
			return rc;
		if (!rc || c->row.flags & CFILE_SOFT || s->size != c->row.size)
			return -ESTALE;
		content_file_remove(c->cs, c->cid, ".snap");
	}
	c->snap = s;
	rc = resumed ? find_aside_locked(c) : 0;
	if (rc < 0)
		c->snap = NULL;
	return rc;
}

int content_snapshot_begin(struct content *c, uint64_t size,
                           const uint64_t *sums, bool resumed)
{
	struct content_snapshot *s;
	int rc = new_snapshot(size, sums, &s);

	if (rc < 0)
		return rc;
	lock_take(&c->lock, LOCK_CONTENT);
	rc = begin_locked(c, s, resumed);
	lock_drop(&c->lock, LOCK_CONTENT);
	CRASH_POINT("snapshot-begun");
	if (rc < 0)
		free_snapshot(s);
	return rc;
}

static int read_snap_chunk_locked(struct content *c, uint64_t idx, uint8_t *buf)
{
	struct content_snapshot *s = c->snap;
	size_t len = snap_chunk_len(s, idx);
	int rc = 0;

	if (!is_aside(s, idx))
		rc = content_read_chunk_locked(c, idx, buf);
	else if (content_pread_full(s->fd, buf, len, idx * CHUNK_SIZE) !=
	         (ssize_t)len)
		rc = -EIO;
	return rc == 0 && !matches(s, idx, buf) ? -ESTALE : rc;
}

/* Bytes of one chunk from `off` on; 0 at the end. */
static ssize_t read_snap_part(struct content *c, void *out, size_t len,
                              uint64_t off)
{
	uint8_t chunk[CHUNK_SIZE];
	size_t in = (size_t)(off % CHUNK_SIZE), n = 0;
	int rc = 0;

	lock_take(&c->lock, LOCK_CONTENT);
	if (!c->snap || c->snap->dead) {
		rc = -ESTALE;
	} else if (off < c->snap->size) {
		n = snap_chunk_len(c->snap, off / CHUNK_SIZE) - in;
		rc = read_snap_chunk_locked(c, off / CHUNK_SIZE, chunk);
	}
	lock_drop(&c->lock, LOCK_CONTENT);
	if (rc < 0)
		return rc;
	n = n < len ? n : len;
	memcpy(out, chunk + in, n);
	return (ssize_t)n;
}

ssize_t content_snapshot_read(struct content *c, void *buf, size_t len,
                              uint64_t off)
{
	size_t done = 0;
	ssize_t n = 1;

	while (done < len && n > 0) {
		n = read_snap_part(c, (uint8_t *)buf + done, len - done,
		                   off + done);
		done += n > 0 ? (size_t)n : 0;
	}
	return n < 0 ? n : (ssize_t)done;
}

uint64_t content_snapshot_cost(struct content *c)
{
	uint64_t cost;

	lock_take(&c->lock, LOCK_CONTENT);
	cost = c->snap ? c->snap->cost : 0;
	lock_drop(&c->lock, LOCK_CONTENT);
	return cost;
}

void content_snapshot_end(struct content *c)
{
	struct content_snapshot *s;

	lock_take(&c->lock, LOCK_CONTENT);
	s = c->snap;
	c->snap = NULL;
	lock_drop(&c->lock, LOCK_CONTENT);
	CRASH_POINT("snapshot-ends");
	if (s && s->fd >= 0)
		content_file_remove(c->cs, c->cid, ".snap");
	free_snapshot(s);
}

void content_snapshot_drop(struct content *c)
{
	free_snapshot(c->snap);
	c->snap = NULL;
}
