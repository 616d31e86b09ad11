#include "fs/content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "fs/content_internal.h"
#include "fs/lock.h"
#include "fs/store.h"

uint64_t content_sum(const void *data, size_t len)
{
	uint64_t sum = XXH3_64bits(data, len);

	return sum ? sum : 1;
}

/* ---- life --------------------------------------------------------------- */

struct content **content_slot_locked(struct contents *cs, uint64_t cid)
{
	struct content **pp = &cs->table[cid & (CONTENT_TABLE - 1)];

	while (*pp && (*pp)->cid != cid)
		pp = &(*pp)->next;
	return pp;
}

static int load(struct contents *cs, uint64_t cid, bool made_here,
                struct content **out_c)
{
	struct content *c = calloc(1, sizeof(*c));
	struct db *db;
	int rc;

	if (!c)
		return -ENOMEM;
	rc = store_reader(cs->store, &db);
	if (rc == 0) {
		rc = cfile_get(db, cid, &c->row);
		store_reader_done(cs->store, db);
	}
	if (rc == 0)
		rc = chunkmap_init(&c->map, cs->store, &c->row);
	if (rc < 0) {
		free(c);
		return rc;
	}
	c->cs = cs;
	c->refs = 1;
	c->cid = cid;
	c->ino = c->row.ino;
	c->fd = -1;
	c->made_here = made_here;
	c->frozen = !made_here;
	pthread_mutex_init(&c->lock, NULL);
	*out_c = c;
	return 0;
}

static void destroy(struct content *c)
{
	if (c->fd >= 0)
		close(c->fd);
	chunkmap_done(&c->map);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* The live object with one more reference, or NULL. */
static struct content *find_live(struct contents *cs, uint64_t cid)
{
	struct content *c;

	lock_take(&cs->lock, LOCK_LEAF);
	while (cs->evicting == cid)
		lock_wait(&cs->evicted, &cs->lock);
	c = *content_slot_locked(cs, cid);
	if (c)
		c->refs++;
	lock_drop(&cs->lock, LOCK_LEAF);
	return c;
}

int content_get(struct contents *cs, uint64_t cid, bool made_here,
                struct content **out_c)
{
	struct content *c = find_live(cs, cid), **pp, *mine;
	int rc;

	if (!c) {
		rc = load(cs, cid, made_here, &mine);
		if (rc < 0)
			return rc;
		lock_take(&cs->lock, LOCK_LEAF);
		pp = content_slot_locked(cs, cid);
		if (!*pp)
			*pp = mine;
		else
			(*pp)->refs++;
		c = *pp;
		lock_drop(&cs->lock, LOCK_LEAF);
		if (c != mine) /* another thread was faster */
			destroy(mine);
	}
	*out_c = c;
	return 0;
}

struct content *content_ref(struct content *c)
{
	lock_take(&c->cs->lock, LOCK_LEAF);
	c->refs++;
	lock_drop(&c->cs->lock, LOCK_LEAF);
	return c;
}

static void save_if_needed(struct content *c)
{
	bool unsaved;

	lock_take(&c->lock, LOCK_CONTENT);
	unsaved = c->unsaved;
	lock_drop(&c->lock, LOCK_CONTENT);
	if (unsaved)
		content_transact(c, NULL, NULL);
}

void content_put(struct content *c)
{
	struct contents *cs;
	bool last, orphan;

	if (!c)
		return;
	cs = c->cs;
	lock_take(&cs->lock, LOCK_LEAF);
	last = c->refs == 1;
	if (!last)
		c->refs--;
	lock_drop(&cs->lock, LOCK_LEAF);
	if (!last)
		return;
	/* Saved before it leaves the table, so that whoever loads it next
	 * finds everything. */
	save_if_needed(c);
	lock_take(&cs->lock, LOCK_LEAF);
	last = --c->refs == 0;
	orphan = c->orphan;
	if (last)
		*content_slot_locked(cs, c->cid) = c->next;
	lock_drop(&cs->lock, LOCK_LEAF);
	if (!last)
		return;
	if (orphan)
		content_collect(cs, c->cid);
	destroy(c);
}

uint64_t content_cid(const struct content *c)
{
	return c->cid;
}

uint64_t content_ino(const struct content *c)
{
	return c->ino;
}

void content_get_row(struct content *c, struct cfile *out_row)
{
	lock_take(&c->lock, LOCK_CONTENT);
	*out_row = c->row;
	lock_drop(&c->lock, LOCK_CONTENT);
}

uint64_t content_size(struct content *c)
{
	uint64_t size;

	lock_take(&c->lock, LOCK_CONTENT);
	size = c->row.size;
	lock_drop(&c->lock, LOCK_CONTENT);
	return size;
}

uint64_t content_gen(struct content *c)
{
	uint64_t gen;

	lock_take(&c->lock, LOCK_CONTENT);
	gen = c->row.gen;
	lock_drop(&c->lock, LOCK_CONTENT);
	return gen;
}

bool content_is_soft(struct content *c)
{
	bool soft;

	lock_take(&c->lock, LOCK_CONTENT);
	soft = c->row.flags & CFILE_SOFT;
	lock_drop(&c->lock, LOCK_CONTENT);
	return soft;
}

int content_is_whole(struct content *c)
{
	int rc;

	lock_take(&c->lock, LOCK_CONTENT);
	rc = chunkmap_is_whole(&c->map, c->row.size);
	lock_drop(&c->lock, LOCK_CONTENT);
	return rc;
}

uint64_t content_freeze(struct content *c)
{
	uint64_t gen;

	lock_take(&c->lock, LOCK_CONTENT);
	c->frozen = true;
	gen = c->row.gen;
	lock_drop(&c->lock, LOCK_CONTENT);
	return gen;
}

/* ---- the file ----------------------------------------------------------- */

int content_need_fd_locked(struct content *c, bool create)
{
	int flags = O_RDWR, fd;

	if (c->fd >= 0)
		return 0;
	if (create && c->made_here)
		flags |= O_CREAT | O_EXCL;
	else if (create)
		flags |= O_CREAT;
	fd = content_file_open(c->cs, c->cid, "", flags);
	if (fd < 0)
		return fd;
	if (create && ftruncate(fd, (off_t)c->row.size) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	c->made_here = false;
	c->fd = fd;
	return 0;
}

size_t content_chunk_len_locked(const struct content *c, uint64_t idx)
{
	uint64_t start = idx * CHUNK_SIZE;

	if (start >= c->row.size)
		return 0;
	return c->row.size - start < CHUNK_SIZE ? (size_t)(c->row.size - start)
	                                        : CHUNK_SIZE;
}

ssize_t content_pread_full(int fd, void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)buf + done, len - done,
		                  (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int content_pwrite_full(int fd, const void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(fd, (const char *)buf + done, len - done,
		                   (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

int content_read_chunk_locked(struct content *c, uint64_t idx, uint8_t *buf)
{
	size_t len = content_chunk_len_locked(c, idx);
	ssize_t n;
	int rc = content_need_fd_locked(c, false);

	if (rc == -ENOENT && c->row.flags & CFILE_WHOLE && !c->row.size)
		rc = 0; /* nothing was ever written */
	if (rc < 0)
		return rc;
	n = len ? content_pread_full(c->fd, buf, len, idx * CHUNK_SIZE) : 0;
	if (n < 0)
		return (int)n;
	memset(buf + n, 0, CHUNK_SIZE - (size_t)n);
	return 0;
}
