#include "fs/content_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/crashpoint.h"

#define HASH_AT_ONCE 16 /* chunks under one lock, 1 MiB */

/* ---- transactions ------------------------------------------------------ */

static void describe_locked(struct content *c)
{
	struct stat st;

	if (c->fd >= 0 && fstat(c->fd, &st) == 0)
		c->row.blocks = (uint64_t)st.st_blocks;
	c->row.base_len = c->map.base_len;
	c->row.used = clock_real_ns() / NS_PER_SEC;
	c->row.flags &= ~(uint32_t)CFILE_WHOLE;
	if (c->map.whole)
		c->row.flags |= CFILE_WHOLE;
}

/* The edit says that the server has these bytes: from now on each chunk has a
 * base. */
static int take_base_locked(struct content *c)
{
	int rc = chunkmap_is_whole(&c->map, c->row.size);

	if (rc == 0 || c->row.flags & CFILE_SOFT)
		rc = -EINVAL;
	if (rc < 0)
		return rc;
	/* Only what is on the disk is taken for whole at the next start. */
	if (c->row.flags & CFILE_DOUBT) {
		c->row.base_len = c->row.size;
		return chunkmap_set_parts(&c->map, c->row.size);
	}
	chunkmap_set_whole(&c->map);
	c->map.base_len = c->row.base_len = c->row.size;
	c->row.flags |= CFILE_WHOLE;
	return 0;
}

static int edit_rows_locked(struct content *c, struct db *db,
                            content_edit_fn *edit, void *arg)
{
	bool clean = c->row.flags & CFILE_CLEAN;
	int rc = 0;

	describe_locked(c);
	if (edit)
		rc = edit(arg, db, &c->row);
	if (rc == 0 && !clean && c->row.flags & CFILE_CLEAN)
		rc = take_base_locked(c);
	if (rc == 0)
		rc = cfile_update(db, &c->row);
	return rc < 0 ? rc : chunkmap_save(&c->map, db);
}

/* What was written into chunks that are not here is told from the rest by the
 * map alone: no map is committed of bytes that a power cut could take. */
static int protect_map_locked(struct content *c)
{
	if (c->map.whole || c->row.flags & (CFILE_CLEAN | CFILE_FAILED))
		return 0;
	return content_sync_locked(c);
}

int content_transact_locked(struct content *c, content_edit_fn *edit, void *arg)
{
	struct cfile before;
	struct db *db;
	int rc = 0;

	if (c->unsaved)
		rc = protect_map_locked(c);
	before = c->row;
	if (rc == 0)
		rc = store_begin(c->cs->store, &db);
	if (rc < 0)
		return rc;
	rc = edit_rows_locked(c, db, edit, arg);
	rc = store_end(c->cs->store, rc);
	if (rc < 0) {
		c->row = before;
		return rc;
	}
	CRASH_POINT("content-saved");
	chunkmap_saved(&c->map);
	c->unsaved = false;
	c->arrived = 0;
	content_usage_change(c->cs, &before, &c->row);
	return 0;
}

int content_transact(struct content *c, content_edit_fn *edit, void *arg)
{
	int rc;

	lock_take(&c->lock, LOCK_CONTENT);
	rc = content_transact_locked(c, edit, arg);
	lock_drop(&c->lock, LOCK_CONTENT);
	return rc;
}

/* ---- settling ---------------------------------------------------------- */

struct settle {
	uint64_t touched, size; /* when the flush began */
	bool all;               /* nobody wrote meanwhile */
	uint64_t prev;
};

/* Bytes as of s->touched go to the disk; the long part runs without the lock.
 * A flush of the file system since then has done it already. */
static int flush_bytes(struct content *c, struct settle *s)
{
	bool done, entry;
	int fd, rc;

	lock_take(&c->lock, LOCK_CONTENT);
	s->touched = c->touched;
	s->size = c->row.size;
	rc = content_need_fd_locked(c, false);
	if (rc == 0 && c->row.flags & CFILE_FAILED)
		rc = -EIO;
	fd = c->fd;
	done = c->touched_at < atomic_load(&c->cs->flush_done);
	entry = c->new_entry;
	lock_drop(&c->lock, LOCK_CONTENT);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc; /* nothing was ever written */
	if (!done)
		rc = content_flush_fd(c->cs, c->cid, entry, fd);
	CRASH_POINT("content-flushed");
	lock_take(&c->lock, LOCK_CONTENT);
	content_note_flush_locked(c, s->touched, rc);
	lock_drop(&c->lock, LOCK_CONTENT);
	return rc;
}

struct summing {
	uint8_t *buf;
	uint64_t idx, data_at; /* the next chunk, the next byte that is there */
	uint64_t hole_sum;     /* of a whole chunk of zeros; 0: not known yet */
};

/* Holes are not read, and hashed once: files may have millions of them. */
static uint64_t sum_hole(struct summing *s, size_t len)
{
	uint64_t sum = len == CHUNK_SIZE ? s->hole_sum : 0;

	if (sum)
		return sum;
	memset(s->buf, 0, len);
	sum = content_sum(s->buf, len);
	if (len == CHUNK_SIZE)
		s->hole_sum = sum;
	return sum;
}

/* Notes the checksum of a chunk. */
static int sum_chunk_locked(struct content *c, struct summing *s)
{
	uint64_t start = s->idx * CHUNK_SIZE, sum;
	size_t len = content_chunk_len_locked(c, s->idx);
	int rc = content_need_fd_locked(c, false);

	if (rc < 0)
		return rc;
	if (s->data_at < start) {
		off_t at = lseek(c->fd, (off_t)start, SEEK_DATA);

		s->data_at = at >= 0 ? (uint64_t)at
		                     : (errno == ENXIO ? UINT64_MAX : start);
	}
	if (s->data_at >= start + len) {
		sum = sum_hole(s, len);
	} else {
		rc = content_read_chunk_locked(c, s->idx, s->buf);
		if (rc < 0)
			return rc;
		sum = content_sum(s->buf, len);
	}
	return chunkmap_set(&c->map, s->idx, sum);
}

static int sum_some_locked(struct content *c, struct summing *s)
{
	uint64_t last;
	int rc = 0;

	if (!content_chunk_len_locked(c, s->idx))
		return 1;
	last = (c->row.size - 1) / CHUNK_SIZE;
	s->data_at = 0; /* somebody may have written */
	for (int i = 0; i < HASH_AT_ONCE && rc == 0; i++, ++s->idx) {
		rc = chunkmap_next_unsummed(&c->map, s->idx, last, &s->idx);
		if (rc == 0 && s->idx > last)
			return 1;
		if (rc == 0)
			rc = sum_chunk_locked(c, s);
		c->unsaved = true;
	}
	return rc;
}

static int sum_chunks(struct content *c)
{
	struct summing s = { .buf = malloc(CHUNK_SIZE) };
	int rc = 0;

	if (!s.buf)
		return -ENOMEM;
	while (rc == 0) { /* writers get in between */
		lock_take(&c->lock, LOCK_CONTENT);
		rc = sum_some_locked(c, &s);
		lock_drop(&c->lock, LOCK_CONTENT);
	}
	free(s.buf);
	return rc < 0 ? rc : 0;
}

static int edit_settled(void *arg, struct db *db, struct cfile *row)
{
	struct settle *s = arg;

	(void)db;
	s->prev = row->prev;
	row->prev = 0;
	row->hard = s->size;
	row->flags &= ~(uint32_t)CFILE_FRESH;
	if (s->all)
		row->flags &= ~(uint32_t)CFILE_SOFT;
	return 0;
}

int content_settle(struct content *c)
{
	struct settle s = { .prev = 0 };
	int rc = flush_bytes(c, &s);

	if (rc == 0)
		rc = sum_chunks(c);
	if (rc < 0)
		return rc;
	lock_take(&c->lock, LOCK_CONTENT);
	s.all = c->touched == s.touched;
	if (c->row.flags & CFILE_SOFT || c->unsaved)
		rc = content_transact_locked(c, edit_settled, &s);
	lock_drop(&c->lock, LOCK_CONTENT);
	CRASH_POINT("content-settled");
	if (rc == 0 && s.prev)
		content_collect(c->cs, s.prev);
	return rc == 0 && !s.all ? 1 : rc;
}

int content_get_sums(struct content *c, uint64_t **out_sums, size_t *out_n)
{
	uint64_t *sums;
	size_t n;
	int rc = 0;

	lock_take(&c->lock, LOCK_CONTENT);
	rc = content_end_doubt_locked(c);
	if (rc == 0)
		rc = chunkmap_is_whole(&c->map, c->row.size);
	if (rc >= 0)
		rc = rc ? 0 : -EAGAIN;
	n = (size_t)((c->row.size + CHUNK_SIZE - 1) / CHUNK_SIZE);
	sums = malloc((n ? n : 1) * sizeof(*sums));
	if (!sums && rc == 0)
		rc = -ENOMEM;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = chunkmap_get_sum(&c->map, i, &sums[i]);
	lock_drop(&c->lock, LOCK_CONTENT);
	if (rc < 0) {
		free(sums);
		return rc;
	}
	*out_sums = sums;
	*out_n = n;
	return 0;
}
