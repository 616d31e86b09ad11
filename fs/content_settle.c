#include "fs/content_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "net/clock.h"

/* ---- transactions ------------------------------------------------------- */

static void look_at_blocks_locked(struct content *c)
{
	struct stat st;

	if (c->fd >= 0 && fstat(c->fd, &st) == 0)
		c->row.blocks = (uint64_t)st.st_blocks;
}

/* Under c->lock. On failure nothing changed, in memory either. */
int content_transact_locked(struct content *c, content_edit_fn *edit, void *arg)
{
	struct cfile before = c->row;
	struct db *db;
	int rc = store_begin(c->cs->store, &db);

	if (rc < 0)
		return rc;
	look_at_blocks_locked(c);
	c->row.base_len = c->map.base_len;
	c->row.used = clock_real_ns() / NS_PER_SEC;
	if (edit)
		rc = edit(arg, db, &c->row);
	if (rc == 0)
		rc = cfile_update(db, &c->row);
	if (rc == 0)
		rc = chunkmap_save(&c->map, db);
	rc = rc < 0 ? store_rollback(c->cs->store, rc)
	            : store_commit(c->cs->store);
	if (rc < 0) {
		c->row = before;
		return rc;
	}
	chunkmap_saved(&c->map);
	c->unsaved = false;
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

/* ---- settling ----------------------------------------------------------- */

/* Notes the checksum of one present chunk that has none. `zero_sum` spares
 * reading the holes of a sparse file. */
static int settle_chunk_locked(struct content *c, uint64_t idx, uint8_t *buf)
{
	uint64_t sum;
	int rc = chunkmap_present(&c->map, idx);

	if (rc <= 0)
		return rc;
	rc = chunkmap_get_sum(&c->map, idx, &sum);
	if (rc < 0 || sum)
		return rc;
	rc = content_read_chunk_locked(c, idx, buf);
	if (rc == 0)
		rc = chunkmap_set(
			&c->map, idx,
			content_sum(buf, content_chunk_len_locked(c, idx)));
	c->unsaved = true;
	return rc;
}

static int settle_chunks(struct content *c)
{
	uint8_t *buf = malloc(CHUNK_SIZE);
	uint64_t idx = 0;
	bool more = true;
	int rc = 0;

	if (!buf)
		return -ENOMEM;
	while (more && rc == 0) { /* writers get in between */
		lock_take(&c->lock, LOCK_CONTENT);
		for (int i = 0; i < 16 && rc == 0; i++, idx++) {
			if (!content_chunk_len_locked(c, idx)) {
				more = false;
				break;
			}
			rc = settle_chunk_locked(c, idx, buf);
		}
		lock_drop(&c->lock, LOCK_CONTENT);
	}
	free(buf);
	return rc;
}

static int edit_settled(void *arg, struct db *db, struct cfile *row)
{
	uint64_t *prev = arg;

	(void)db;
	*prev = row->prev;
	row->prev = 0;
	row->flags &= ~(uint32_t)(CFILE_SOFT | CFILE_FRESH);
	return 0;
}

int content_settle(struct content *c, bool flushed)
{
	uint64_t writes, prev = 0;
	int fd, rc;

	lock_take(&c->lock, LOCK_CONTENT);
	writes = c->writes;
	rc = content_need_fd_locked(c, false);
	fd = c->fd;
	lock_drop(&c->lock, LOCK_CONTENT);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (fd >= 0 && !flushed && fdatasync(fd) < 0)
		return -errno;
	rc = settle_chunks(c);
	if (rc < 0)
		return rc;
	lock_take(&c->lock, LOCK_CONTENT);
	if (c->writes != writes)
		rc = 1;
	else if (c->row.flags & CFILE_SOFT || c->unsaved)
		rc = content_transact_locked(c, edit_settled, &prev);
	lock_drop(&c->lock, LOCK_CONTENT);
	if (prev)
		content_collect(c->cs, prev);
	return rc;
}

int content_get_sums(struct content *c, uint64_t **out_sums, size_t *out_n)
{
	uint64_t *sums;
	size_t n;
	int rc = 0;

	lock_take(&c->lock, LOCK_CONTENT);
	n = (size_t)((c->row.size + CHUNK_SIZE - 1) / CHUNK_SIZE);
	sums = malloc((n ? n : 1) * sizeof(*sums));
	if (!sums)
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
