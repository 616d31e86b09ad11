#include "fs/content_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fs/db.h"
#include "fs/hold.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "net/crashpoint.h"

static int edit_open_gen(void *arg, struct db *db, struct cfile *row)
{
	const bool *bump = arg;
	int rc;

	if (!(row->flags & CFILE_SOFT))
		row->hard = row->size;
	row->flags |= CFILE_SOFT;
	row->flags &= ~(uint32_t)CFILE_CLEAN;
	if (!*bump)
		return 0;
	row->gen++;
	rc = hold_note_content(db, row->ino);
	return rc < 0 ? rc : node_set_gen(db, row->ino, row->cid, row->gen);
}

/* Commits, before the first changed byte, that there is a new generation and
 * that bytes and checksums are in flux. Bytes that were durable need that on
 * the disk first: after a power cut their checksums must not be held against
 * half an edit. And as SOFT content is taken as it is found, what came from
 * the server must be on the disk too. */
static int open_generation_locked(struct content *c)
{
	bool soft = c->row.flags & CFILE_SOFT, bump = c->frozen;
	int rc = content_need_fd_locked(c, true);

	if (rc < 0 || (soft && !bump))
		return rc;
	rc = content_end_doubt_locked(c);
	if (rc == 0 && !soft)
		rc = content_sync_locked(c);
	if (rc == 0)
		rc = content_transact_locked(c, edit_open_gen, &bump);
	if (rc == 0 && !soft)
		rc = store_sync(c->cs->store);
	if (rc < 0)
		return rc;
	CRASH_POINT("generation-opened");
	c->frozen = false;
	if (bump && c->cs->changed)
		c->cs->changed(c->cs->changed_arg, c->ino);
	return 0;
}

/* A file that grows changes the length of its last chunk. */
static int forget_last_sum_locked(struct content *c)
{
	if (!(c->row.size % CHUNK_SIZE))
		return 0;
	return chunkmap_forget_sum(&c->map, c->row.size / CHUNK_SIZE);
}

/* The checksums of what [off, off + len) touches no longer hold. */
static int forget_sums_locked(struct content *c, uint64_t off, uint64_t len)
{
	uint64_t end = off + len;
	int rc = end > c->row.size ? forget_last_sum_locked(c) : 0;

	for (uint64_t idx = off / CHUNK_SIZE;
	     rc == 0 && len && idx <= (end - 1) / CHUNK_SIZE; idx++)
		rc = chunkmap_forget_sum(&c->map, idx);
	return rc;
}

/* All that can fail, before the first byte changes. */
static int prepare_write_locked(struct content *c, uint64_t off, uint64_t len)
{
	int rc = open_generation_locked(c);

	if (rc == 0)
		rc = forget_sums_locked(c, off, len);
	if (rc == 0)
		content_snapshot_protect_locked(c, off, len);
	return rc;
}

int content_write_begin(struct content *c, uint64_t off, size_t len,
                        int *out_fd)
{
	int rc;

	lock_take(&c->lock, LOCK_CONTENT);
	rc = prepare_write_locked(c, off, len);
	if (rc < 0)
		lock_drop(&c->lock, LOCK_CONTENT);
	else
		*out_fd = c->fd;
	CRASH_POINT("write-begins");
	return rc;
}

/* Calls chunkmap_written() for each chunk of [off, off + len). */
static int mark_written_locked(struct content *c, uint64_t off, uint64_t len)
{
	int rc = 0;

	while (len && rc == 0) {
		uint32_t from = (uint32_t)(off % CHUNK_SIZE);
		uint64_t n = CHUNK_SIZE - from < len ? CHUNK_SIZE - from : len;

		rc = chunkmap_written(&c->map, off / CHUNK_SIZE, from,
		                      (uint32_t)(from + n));
		off += n;
		len -= n;
	}
	return rc;
}

static int note_written_locked(struct content *c, uint64_t off, uint64_t len)
{
	if (off + len > c->row.size)
		c->row.size = off + len;
	return mark_written_locked(c, off, len);
}

int content_write_end(struct content *c, uint64_t off, ssize_t written)
{
	int rc = written < 0 ? (int)written : 0;

	CRASH_POINT("bytes-written");
	content_touch_locked(c);
	c->unsaved = true;
	if (written > 0)
		rc = note_written_locked(c, off, (uint64_t)written);
	/* What a failed write left behind the end must not show up when the
	 * file grows later. */
	if (rc < 0 && ftruncate(c->fd, (off_t)c->row.size) < 0)
		rc = -errno;
	lock_drop(&c->lock, LOCK_CONTENT);
	return rc;
}

int content_write(struct content *c, const void *buf, size_t len, uint64_t off)
{
	int fd, write_rc, rc = content_write_begin(c, off, len, &fd);
	size_t done;

	if (rc < 0)
		return rc;
	done = content_pwrite_full(fd, buf, len, off, &write_rc);
	rc = content_write_end(c, off, done || !len ? (ssize_t)done : write_rc);
	return rc < 0 ? rc : write_rc;
}

static int truncate_locked(struct content *c, uint64_t size)
{
	uint64_t old = c->row.size, sum;
	int rc;

	if (size == old)
		return 0;
	rc = open_generation_locked(c);
	if (rc == 0 && size > old)
		rc = forget_last_sum_locked(c);
	if (rc == 0) /* so that cutting the map can't fail below */
		rc = chunkmap_get_sum(&c->map, size / CHUNK_SIZE, &sum);
	if (rc < 0)
		return rc;
	if (size < old)
		content_snapshot_protect_locked(c, size, old - size);
	if (ftruncate(c->fd, (off_t)size) < 0)
		return -errno;
	CRASH_POINT("size-changed");
	content_touch_locked(c);
	c->unsaved = true;
	c->row.size = size;
	return size < old ? chunkmap_truncate(&c->map, size) : 0;
}

int content_truncate(struct content *c, uint64_t size)
{
	int rc;

	lock_take(&c->lock, LOCK_CONTENT);
	rc = truncate_locked(c, size);
	lock_drop(&c->lock, LOCK_CONTENT);
	return rc;
}

/* Disk blocks for what is inside the file anyway: no byte changes. */
static int reserve_locked(struct content *c, uint64_t off, uint64_t len)
{
	int rc = content_need_fd_locked(c, true);

	if (rc == 0 &&
	    fallocate(c->fd, FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len) < 0)
		rc = -errno;
	return rc;
}

static int fallocate_locked(struct content *c, int mode, uint64_t off,
                            uint64_t len)
{
	bool zeros = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
	uint64_t end = off + len;
	int rc;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE |
	             FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	if (mode & FALLOC_FL_KEEP_SIZE && end > c->row.size)
		end = c->row.size; /* nothing is reserved behind the end */
	if (end <= off)
		return 0;
	if (!zeros && end <= c->row.size)
		return reserve_locked(c, off, end - off);
	rc = prepare_write_locked(c, off, end - off);
	if (rc < 0)
		return rc;
	if (fallocate(c->fd, mode, (off_t)off, (off_t)(end - off)) < 0)
		return -errno;
	CRASH_POINT("blocks-changed");
	content_touch_locked(c);
	c->unsaved = true;
	if (end > c->row.size)
		c->row.size = end;
	return zeros ? mark_written_locked(c, off, end - off) : 0;
}

int content_fallocate(struct content *c, int mode, uint64_t off, uint64_t len)
{
	int rc;

	lock_take(&c->lock, LOCK_CONTENT);
	rc = fallocate_locked(c, mode, off, len);
	lock_drop(&c->lock, LOCK_CONTENT);
	return rc;
}
