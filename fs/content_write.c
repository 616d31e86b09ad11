#include "fs/content_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"

struct open_gen {
	struct content *c;
	bool bump;
};

static int edit_open_gen(void *arg, struct db *db, struct cfile *row)
{
	const struct open_gen *o = arg;

	row->flags |= CFILE_SOFT;
	row->flags &= ~(uint32_t)CFILE_CLEAN;
	if (!o->bump)
		return 0;
	row->gen++;
	return node_set_gen(db, row->ino, row->cid, row->gen);
}

/* Commits, before the first changed byte, that there is a new generation and
 * that bytes and checksums are in flux. A file whose bytes were durable needs
 * that on the disk first: after a power cut its checksums must not be held
 * against half an edit. */
static int open_generation_locked(struct content *c)
{
	struct open_gen o = { .c = c, .bump = c->frozen };
	bool soft = c->row.flags & CFILE_SOFT;
	int rc;

	if (soft && !c->frozen)
		return 0;
	rc = content_transact_locked(c, edit_open_gen, &o);
	if (rc == 0 && !soft)
		rc = store_sync(c->cs->store);
	if (rc < 0)
		return rc;
	c->frozen = false;
	if (o.bump && c->cs->changed)
		c->cs->changed(c->cs->changed_arg, c->ino);
	return 0;
}

static uint32_t base_end_in(const struct content *c, uint64_t idx)
{
	uint64_t start = idx * CHUNK_SIZE;

	if (c->map.base_len <= start)
		return 0;
	return c->map.base_len - start < CHUNK_SIZE
	               ? (uint32_t)(c->map.base_len - start)
	               : CHUNK_SIZE;
}

/* Calls chunkmap_written() for each chunk of [off, off + len). */
static int mark_written_locked(struct content *c, uint64_t off, uint64_t len)
{
	int rc = 0;

	while (len && rc == 0) {
		uint64_t idx = off / CHUNK_SIZE;
		uint32_t from = (uint32_t)(off % CHUNK_SIZE);
		uint64_t n = CHUNK_SIZE - from < len ? CHUNK_SIZE - from : len;

		rc = chunkmap_written(&c->map, idx, from, (uint32_t)(from + n),
		                      base_end_in(c, idx));
		off += n;
		len -= n;
	}
	return rc;
}

/* An absent chunk with no room for one more extent must be fetched first. */
static int has_room_locked(struct content *c, uint64_t idx)
{
	struct chunk_range r[CHUNK_MAX_RANGES];
	int rc = chunkmap_present(&c->map, idx);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	return chunkmap_extents(&c->map, idx, r) < CHUNK_MAX_RANGES - 1
	               ? 0
	               : -EAGAIN;
}

static int prepare_write_locked(struct content *c, uint64_t off, uint64_t len)
{
	int rc = has_room_locked(c, off / CHUNK_SIZE);

	if (rc == 0 && len)
		rc = has_room_locked(c, (off + len - 1) / CHUNK_SIZE);
	if (rc == 0)
		rc = open_generation_locked(c);
	if (rc == 0)
		rc = content_need_fd_locked(c, true);
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
	return rc;
}

/* The last chunk grows when the file does: its checksum no longer holds. */
static int grow_locked(struct content *c, uint64_t size)
{
	int rc = 0;

	if (size <= c->row.size)
		return 0;
	if (c->row.size % CHUNK_SIZE) {
		uint64_t idx = c->row.size / CHUNK_SIZE;

		rc = chunkmap_present(&c->map, idx);
		if (rc == 1)
			rc = chunkmap_set(&c->map, idx, 0);
	}
	c->row.size = size;
	return rc;
}

int content_write_end(struct content *c, uint64_t off, ssize_t written)
{
	int rc = written < 0 ? (int)written : 0;

	if (written > 0) {
		c->writes++;
		c->unsaved = true;
		rc = grow_locked(c, off + (uint64_t)written);
		if (rc == 0)
			rc = mark_written_locked(c, off, (uint64_t)written);
	}
	lock_drop(&c->lock, LOCK_CONTENT);
	return rc;
}

int content_write(struct content *c, const void *buf, size_t len, uint64_t off)
{
	int fd, rc = content_write_begin(c, off, len, &fd);

	if (rc < 0)
		return rc;
	rc = content_pwrite_full(fd, buf, len, off);
	return content_write_end(c, off, rc < 0 ? rc : (ssize_t)len);
}

static int truncate_locked(struct content *c, uint64_t size)
{
	uint64_t from = size < c->row.size ? size : c->row.size;
	int rc;

	if (size == c->row.size)
		return 0;
	rc = open_generation_locked(c);
	if (rc == 0)
		rc = content_need_fd_locked(c, true);
	if (rc < 0)
		return rc;
	content_snapshot_protect_locked(c, from, c->row.size - from);
	if (ftruncate(c->fd, (off_t)size) < 0)
		return -errno;
	c->writes++;
	c->unsaved = true;
	if (size > c->row.size)
		return grow_locked(c, size);
	c->row.size = size;
	return chunkmap_truncate(&c->map, size);
}

int content_truncate(struct content *c, uint64_t size)
{
	int rc;

	lock_take(&c->lock, LOCK_CONTENT);
	rc = truncate_locked(c, size);
	lock_drop(&c->lock, LOCK_CONTENT);
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
	rc = prepare_write_locked(c, off, end - off);
	if (rc < 0)
		return rc;
	/* A plain reservation inside the file may fill holes only. */
	if (fallocate(c->fd, mode, (off_t)off, (off_t)(end - off)) < 0)
		return -errno;
	c->writes++;
	c->unsaved = true;
	rc = grow_locked(c, end);
	return rc == 0 && zeros ? mark_written_locked(c, off, end - off) : rc;
}

int content_fallocate(struct content *c, int mode, uint64_t off, uint64_t len)
{
	int rc;

	lock_take(&c->lock, LOCK_CONTENT);
	rc = fallocate_locked(c, mode, off, len);
	lock_drop(&c->lock, LOCK_CONTENT);
	return rc;
}
