#include "fs/content_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/fs.h>

#include "fs/lock.h"
#include "net/log.h"

/* What is set aside lies at its own offset in a sparse file beside the
 * content. After a restart that file is trusted chunk by chunk, by checksum:
 * a copy that the end of the program cut short is no copy. */
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
	int rc = 0;

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
	if (pwrite(s->fd, buf, len, (off_t)(idx * CHUNK_SIZE)) != (ssize_t)len)
		return errno ? -errno : -ENOSPC;
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

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	s->fd = fd;
	buf = calloc(1, CHUNK_SIZE);
	if (!buf)
		return -ENOMEM;
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		uint64_t idx = (uint64_t)at / CHUNK_SIZE;
		size_t len;

		if (idx >= s->nchunks)
			break;
		len = snap_chunk_len(s, idx);
		if (pread(fd, buf, len, (off_t)(idx * CHUNK_SIZE)) ==
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

int content_snapshot_begin(struct content *c, uint64_t aid, uint64_t size,
                           const uint64_t *sums, bool resumed)
{
	struct content_snapshot *s = calloc(1, sizeof(*s));
	int rc = 0;

	(void)aid;
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
	lock_take(&c->lock, LOCK_CONTENT);
	if (c->snap)
		rc = -EBUSY;
	else
		c->snap = s;
	if (rc == 0 && resumed)
		rc = find_aside_locked(c);
	lock_drop(&c->lock, LOCK_CONTENT);
	if (rc == -EBUSY) {
		free(s->aside);
		free(s);
	} else if (rc < 0) {
		content_snapshot_end(c);
	}
	return rc;
}

static int read_snap_chunk_locked(struct content *c, uint64_t idx, uint8_t *buf)
{
	struct content_snapshot *s = c->snap;
	size_t len = snap_chunk_len(s, idx);
	int rc = 0;

	if (is_aside(s, idx)) {
		if (pread(s->fd, buf, len, (off_t)(idx * CHUNK_SIZE)) !=
		    (ssize_t)len)
			rc = -EIO;
	} else {
		rc = content_read_chunk_locked(c, idx, buf);
	}
	if (rc == 0 && !matches(s, idx, buf))
		rc = -ESTALE;
	return rc;
}

ssize_t content_snapshot_read(struct content *c, void *buf, size_t len,
                              uint64_t off)
{
	uint8_t chunk[CHUNK_SIZE];
	size_t done = 0;
	int rc = 0;

	while (done < len && rc == 0) {
		uint64_t at = off + done, idx = at / CHUNK_SIZE;
		size_t in = (size_t)(at % CHUNK_SIZE), n;

		lock_take(&c->lock, LOCK_CONTENT);
		if (!c->snap || c->snap->dead)
			rc = -ESTALE;
		else if (at >= c->snap->size)
			rc = 1;
		else
			rc = read_snap_chunk_locked(c, idx, chunk);
		n = rc == 0 ? snap_chunk_len(c->snap, idx) - in : 0;
		lock_drop(&c->lock, LOCK_CONTENT);
		n = n < len - done ? n : len - done;
		memcpy((uint8_t *)buf + done, chunk + in, n);
		done += n;
	}
	return rc < 0 ? rc : (ssize_t)done;
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
	if (!s)
		return;
	if (s->fd >= 0) {
		close(s->fd);
		content_file_remove(c->cs, c->cid, ".snap");
	}
	free(s->aside);
	free(s);
}
