#include "fs/content_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/crashpoint.h"
#include "net/log.h"

/* ---- names ------------------------------------------------------------- */

void content_file_name(uint64_t cid, const char *suffix,
                       char out[CONTENT_NAME_SIZE])
{
	snprintf(out, CONTENT_NAME_SIZE, "%02x/%016" PRIx64 "%s",
	         (unsigned)(cid & 0xff), cid, suffix);
}

int content_file_open(struct contents *cs, uint64_t cid, const char *suffix,
                      int flags)
{
	char name[CONTENT_NAME_SIZE], shard[3];
	int fd;

	flags |= O_CLOEXEC | O_NOFOLLOW;
	content_file_name(cid, suffix, name);
	fd = openat(cs->dirfd, name, flags, 0600);
	if (fd < 0 && errno == ENOENT && flags & O_CREAT) {
		memcpy(shard, name, 2);
		shard[2] = '\0';
		if (mkdirat(cs->dirfd, shard, 0700) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(cs->dirfd, name, flags, 0600);
	}
	return fd < 0 ? -errno : fd;
}

void content_file_remove(struct contents *cs, uint64_t cid, const char *suffix)
{
	char name[CONTENT_NAME_SIZE];

	content_file_name(cid, suffix, name);
	if (unlinkat(cs->dirfd, name, 0) < 0 && errno != ENOENT)
		log_warn("content cid=%" PRIx64 " can't be removed: %s", cid,
		         strerror(errno));
}

int content_file_sync_entry(struct contents *cs, uint64_t cid)
{
	char name[CONTENT_NAME_SIZE];
	int fd, rc = 0;

	content_file_name(cid, "", name);
	name[2] = '\0';
	fd = openat(cs->dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno; /* no file, no entry */
	if (fsync(fd) < 0 || fsync(cs->dirfd) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

/* ---- the open file ----------------------------------------------------- */

static int make_file_locked(struct content *c)
{
	int rc, fd = content_file_open(c->cs, c->cid, "",
	                               O_RDWR | O_CREAT | O_EXCL);

	if (fd < 0)
		return fd;
	if (ftruncate(fd, (off_t)c->row.size) < 0) {
		rc = -errno;
		close(fd);
		content_file_remove(c->cs, c->cid, "");
		return rc;
	}
	CRASH_POINT("content-made");
	c->made_here = false;
	c->new_entry = true;
	content_touch_locked(c);
	return fd;
}

/* There is no file: what does that mean? */
static int explain_missing_locked(struct content *c)
{
	if (c->made_here || (c->map.whole && !c->row.size))
		return -ENOENT; /* nothing was ever written */
	if (cfile_is_base(&c->row)) {
		if (c->row.flags & CFILE_WHOLE || c->row.blocks) {
			log_warn("content cid=%" PRIx64
			         " file missing action=fetch_again",
			         c->cid);
			c->unsaved = true;
		}
		chunkmap_reset(&c->map, c->row.size);
		return -ENOENT;
	}
	log_error("content cid=%" PRIx64 " ino=%" PRIu64
	          " file missing, not on the server",
	          c->cid, c->ino);
	return -EIO;
}

int content_need_fd_locked(struct content *c, bool create)
{
	int fd = -ENOENT;

	if (c->fd >= 0)
		return create && c->fd_readonly ? -EROFS : 0;
	if (!c->made_here)
		fd = content_file_open(c->cs, c->cid, "", O_RDWR);
	if (fd == -EROFS && !create) {
		fd = content_file_open(c->cs, c->cid, "", O_RDONLY);
		c->fd_readonly = fd >= 0;
	}
	if (fd == -EISDIR || fd == -ELOOP) { /* somebody put that there */
		content_quarantine(c->cs, c->cid, "foreign");
		fd = -ENOENT;
	}
	if (fd == -ENOENT) {
		fd = explain_missing_locked(c);
		if (fd == -ENOENT && create)
			fd = make_file_locked(c);
	}
	if (fd < 0)
		return fd;
	c->fd = fd;
	return 0;
}

void content_touch_locked(struct content *c)
{
	c->touched++;
	c->touched_at = atomic_load(&c->cs->flush_begun);
}

int content_flush_fd(struct contents *cs, uint64_t cid, bool entry, int fd)
{
	if (fd >= 0 && fdatasync(fd) < 0)
		return -errno;
	return entry ? content_file_sync_entry(cs, cid) : 0;
}

void content_note_flush_locked(struct content *c, uint64_t touched, int rc)
{
	if (rc == 0) {
		c->new_entry = false;
		if (c->synced < touched)
			c->synced = touched;
	} else if (rc != -EMFILE && rc != -ENFILE &&
	           !(c->row.flags & CFILE_FAILED)) {
		/* The kernel tells it once and then takes the lost pages for
		 * clean: nothing may call these bytes safe from now on. */
		log_error("content cid=%" PRIx64 " ino=%" PRIu64
		          " flush failed: %s kept=yes sent=no",
		          c->cid, c->ino, strerror(-rc));
		c->row.flags |= CFILE_FAILED;
		c->unsaved = true;
	}
}

int content_sync_locked(struct content *c)
{
	int rc;

	if (c->synced == c->touched && !c->new_entry)
		return 0;
	if (c->row.flags & CFILE_FAILED)
		return -EIO;
	rc = content_flush_fd(c->cs, c->cid, c->new_entry, c->fd);
	content_note_flush_locked(c, c->touched, rc);
	return rc;
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

size_t content_pwrite_full(int fd, const void *buf, size_t len, uint64_t off,
                           int *out_rc)
{
	size_t done = 0;

	*out_rc = 0;
	while (done < len) {
		ssize_t n = pwrite(fd, (const char *)buf + done, len - done,
		                   (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			*out_rc = -errno;
			break;
		}
		done += (size_t)n;
	}
	return done;
}

int content_read_chunk_locked(struct content *c, uint64_t idx, uint8_t *buf)
{
	size_t len = content_chunk_len_locked(c, idx);
	ssize_t n = 0;
	int rc = len ? content_need_fd_locked(c, false) : 0;

	if (rc < 0)
		return rc;
	if (len)
		n = content_pread_full(c->fd, buf, len, idx * CHUNK_SIZE);
	if (n < 0)
		return (int)n;
	memset(buf + n, 0, CHUNK_SIZE - (size_t)n);
	return 0;
}