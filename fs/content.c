#include "fs/content.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "fs/content_internal.h"
#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/log.h"

uint64_t content_sum(const void *data, size_t len)
{
	uint64_t sum = XXH3_64bits(data, len);

	return sum ? sum : 1;
}

/* ---- life ---------------------------------------------------------------- */

static struct content **find_slot_locked(struct contents *cs, uint64_t cid)
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
	c = *find_slot_locked(cs, cid);
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
		pp = find_slot_locked(cs, cid);
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
		*find_slot_locked(cs, c->cid) = c->next;
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

/* ---- the file --------------------------------------------------------------
 */

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

static ssize_t pread_full(int fd, void *buf, size_t len, uint64_t off)
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

static int pwrite_full(int fd, const void *buf, size_t len, uint64_t off)
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
	n = len ? pread_full(c->fd, buf, len, idx * CHUNK_SIZE) : 0;
	if (n < 0)
		return (int)n;
	memset(buf + n, 0, CHUNK_SIZE - (size_t)n);
	return 0;
}

/* ---- reading
 * ----------------------------------------------------------------- */

/* The file lost a chunk that can be had again: forget it. A file that was made
 * here and is clean has its base in the server's copy. */
static int lose_chunk_locked(struct content *c, uint64_t idx)
{
	uint64_t n = (c->row.size + CHUNK_SIZE - 1) / CHUNK_SIZE;
	int rc = 0;

	if (c->map.whole) {
		for (uint64_t i = 0; i < n && rc == 0; i++) {
			uint64_t sum;

			rc = chunkmap_get_sum(&c->map, i, &sum);
			if (rc == 0)
				rc = chunkmap_set(&c->map, i, sum);
		}
		c->map.whole = false;
		c->map.base_len = c->row.base_len = c->row.size;
		c->row.flags &= ~(uint32_t)CFILE_WHOLE;
	}
	c->unsaved = true;
	return rc < 0 ? rc : chunkmap_unset(&c->map, idx);
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
	if (rc < 0 || !sum)
		return rc;
	rc = content_read_chunk_locked(c, idx, buf);
	if (rc == 0 &&
	    content_sum(buf, content_chunk_len_locked(c, idx)) == sum) {
		chunkmap_set_verified(&c->map, idx);
		return 0;
	}
	if (c->row.flags & CFILE_CLEAN && c->row.base_id[0]) {
		log_warn("content cid=%" PRIx64 " chunk=%" PRIu64
		         " damaged action=fetch_again",
		         c->cid, idx);
		rc = lose_chunk_locked(c, idx);
		return rc < 0 ? rc : -EAGAIN;
	}
	log_error("content cid=%" PRIx64 " ino=%" PRIu64 " chunk=%" PRIu64
	          " damaged, not on the server kept=yes",
	          c->cid, c->ino, idx);
	return -EIO;
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
	*out = (struct content_span){ .fd = -1, .off = off, .len = len };
	if (!len)
		return 0;
	first = off / CHUNK_SIZE;
	last = (off + len - 1) / CHUNK_SIZE;
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
	rc = content_need_fd_locked(c, c->map.whole);
	out->fd = c->fd;
	return rc;
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
	int rc;

	lock_take(&c->lock, LOCK_CONTENT);
	rc = read_locked(c, off, len, &span);
	n = rc < 0     ? rc
	    : span.len ? pread_full(span.fd, buf, span.len, off)
	               : 0;
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
	rc = chunkmap_is_whole(&c->map, c->row.size);
	if (rc < 0)
		return rc;
	if (!rc) { /* absent bytes may be anything: all of it is data */
		*out_off = whence == SEEK_DATA ? off : c->row.size;
		return 0;
	}
	rc = content_need_fd_locked(c, true);
	if (rc < 0)
		return rc;
	at = lseek(c->fd, (off_t)off, whence);
	if (at < 0)
		return -errno;
	*out_off = (uint64_t)at;
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
			rc = pwrite_full(c->fd, data + at, to - at,
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

/* ---- transactions
 * ------------------------------------------------------------ */

static void look_at_blocks_locked(struct content *c)
{
	struct stat st;

	if (c->fd >= 0 && fstat(c->fd, &st) == 0)
		c->row.blocks = (uint64_t)st.st_blocks;
}

/* Under c->lock. On failure nothing changed, in memory either. */
static int transact_locked(struct content *c, content_edit_fn *edit, void *arg)
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
	rc = transact_locked(c, edit, arg);
	lock_drop(&c->lock, LOCK_CONTENT);
	return rc;
}

/* ---- writing
 * ----------------------------------------------------------------- */

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
	rc = transact_locked(c, edit_open_gen, &o);
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
	rc = pwrite_full(fd, buf, len, off);
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

/* ---- settling
 * ---------------------------------------------------------------- */

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
		rc = transact_locked(c, edit_settled, &prev);
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

/* ---- disposal
 * ---------------------------------------------------------------- */

/* Makes sure that nobody has, or gets, the live object of `cid`. */
static int lock_out(struct contents *cs, uint64_t cid, bool mark_orphan)
{
	struct content *c;
	int rc = 0;

	lock_take(&cs->lock, LOCK_LEAF);
	while (cs->evicting)
		lock_wait(&cs->evicted, &cs->lock);
	c = *find_slot_locked(cs, cid);
	if (c) {
		c->orphan |= mark_orphan;
		rc = -EBUSY;
	} else {
		cs->evicting = cid;
	}
	lock_drop(&cs->lock, LOCK_LEAF);
	return rc;
}

static void let_in(struct contents *cs)
{
	lock_take(&cs->lock, LOCK_LEAF);
	cs->evicting = 0;
	pthread_cond_broadcast(&cs->evicted);
	lock_drop(&cs->lock, LOCK_LEAF);
}

static int collect_row(struct contents *cs, uint64_t cid, uint64_t *out_prev)
{
	struct cfile row;
	struct db *db;
	int rc = store_begin(cs->store, &db);

	if (rc < 0)
		return rc;
	rc = cfile_get(db, cid, &row);
	if (rc == 0)
		rc = cfile_is_needed(db, cid) ? -EBUSY : 0;
	if (rc == 0)
		rc = cfile_delete(db, cid);
	rc = rc < 0 ? store_rollback(cs->store, rc) : store_commit(cs->store);
	if (rc == 0) {
		content_usage_change(cs, &row, NULL);
		*out_prev = row.prev;
	}
	return rc;
}

void content_collect(struct contents *cs, uint64_t cid)
{
	while (cid) {
		uint64_t prev = 0;

		if (lock_out(cs, cid, true) < 0)
			return;
		if (collect_row(cs, cid, &prev) == 0)
			content_file_remove(cs, cid, "");
		let_in(cs);
		cid = prev; /* what it would have fallen back to */
	}
}

static int evict_row(struct contents *cs, uint64_t cid)
{
	struct cfile row;
	struct node n;
	struct db *db;
	int rc = store_begin(cs->store, &db);

	if (rc < 0)
		return rc;
	rc = cfile_get(db, cid, &row);
	if (rc == 0 && (!(row.flags & CFILE_CLEAN) || row.flags & CFILE_SOFT))
		rc = -EBUSY;
	if (rc == 0)
		rc = node_get(db, row.ino, &n);
	if (rc == 0 && n.cid == cid) {
		if (n.gen != n.s_gen) /* never evict what is not there */
			rc = -EBUSY;
		n.cid = 0;
		if (rc == 0)
			rc = node_update(db, &n);
	}
	if (rc == 0 && cfile_is_needed(db, cid))
		rc = -EBUSY;
	if (rc == 0)
		rc = cfile_delete(db, cid);
	rc = rc < 0 ? store_rollback(cs->store, rc) : store_commit(cs->store);
	if (rc == 0)
		content_usage_change(cs, &row, NULL);
	return rc;
}

int content_evict(struct contents *cs, uint64_t cid)
{
	int rc = lock_out(cs, cid, false);

	if (rc < 0)
		return rc;
	rc = evict_row(cs, cid);
	if (rc == 0)
		content_file_remove(cs, cid, "");
	let_in(cs);
	return rc;
}
