/* The keystore backend "file": DIR/NAME, mode 0600, one file per blob.
 *
 * A blob is replaced by write, fsync, rename, fsync of the directory: a reader
 * sees the old one or the new one. The temporary file has a fixed name, so
 * that a crash leaves at most one behind, and the next put takes it over; a
 * lock on the directory keeps two processes from writing it at a time. Where
 * directories can't be locked (NFS), the slower of two gets an error. */
#include "auth/keystore_backend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/keystore.h"

#define TMP_NAME ".new"

struct keyfiles {
	int dir_fd;
	char *where;
};

/* mkdir -p with 0700 for what is missing. */
static int make_dirs(const char *dir)
{
	char *path = strdup(dir), *p;
	int rc = 0;

	if (!path)
		return -ENOMEM;
	for (p = path + 1; rc == 0 && *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			rc = -errno;
		*p = '/';
	}
	if (rc == 0 && mkdir(path, 0700) < 0 && errno != EEXIST)
		rc = -errno;
	free(path);
	return rc;
}

/* Nobody else may write here (or put another file in our file's place), and
 * nobody else has a reason to look. */
static int check_dir(int fd, const char *dir, char *why, size_t why_size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid()) {
		snprintf(why, why_size,
		         "%s belongs to another user (uid %u): "
		         "secrets are not kept there",
		         dir, (unsigned)st.st_uid);
		return -EPERM;
	}
	if (st.st_mode & 077) {
		snprintf(why, why_size,
		         "%s is open to other users: run chmod 700 %s", dir,
		         dir);
		return -EPERM;
	}
	return 0;
}

static int file_open(const struct keystore_options *opt, void **out_self,
                     char *why, size_t why_size)
{
	struct keyfiles *k;
	int rc;

	if (!opt->dir || !*opt->dir)
		return -EINVAL;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	rc = asprintf(&k->where, "file %s", opt->dir) < 0 ? -ENOMEM : 0;
	if (rc < 0)
		goto err_free;
	rc = make_dirs(opt->dir);
	k->dir_fd = rc < 0 ? rc
	                   : open(opt->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->dir_fd < 0) {
		if (rc == 0)
			rc = -errno;
		snprintf(why, why_size, "%s: %s", opt->dir, strerror(-rc));
		goto err_where;
	}
	rc = check_dir(k->dir_fd, opt->dir, why, why_size);
	if (rc < 0)
		goto err_close;
	*out_self = k;
	return 0;

err_close:
	close(k->dir_fd);
err_where:
	free(k->where);
err_free:
	free(k);
	return rc;
}

static void file_close(void *self)
{
	struct keyfiles *k = self;

	close(k->dir_fd);
	free(k->where);
	free(k);
}

static const char *file_where(const void *self)
{
	const struct keyfiles *k = self;

	return k->where;
}

static int check_file(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & 077))
		return -EPERM;
	return st.st_size > KEYSTORE_MAX_BLOB ? -EFBIG : 0;
}

static int read_all(int fd, char *buf, size_t *out_len)
{
	size_t len = 0;
	ssize_t n;

	while (len < KEYSTORE_MAX_BLOB) {
		n = read(fd, buf + len, KEYSTORE_MAX_BLOB - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*out_len = len;
	return 0;
}

static int file_get(void *self, const char *name, void *buf, size_t *out_len)
{
	struct keyfiles *k = self;
	int fd, rc;

	/* O_NONBLOCK: a fifo in the file's place must not hang us. */
	fd = openat(k->dir_fd, name,
	            O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ELOOP ? -EPERM : -errno;
	rc = check_file(fd);
	if (rc == 0)
		rc = read_all(fd, buf, out_len);
	close(fd);
	return rc;
}

/* A descriptor of its own: closing it unlocks, also when we are killed. */
static int lock_dir(const struct keyfiles *k)
{
	int fd;

	fd = openat(k->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX) < 0 && errno == EINTR)
		continue;
	return fd;
}

static int write_all(int fd, const char *data, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(fd, data, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_tmp(const struct keyfiles *k, const void *secret, size_t len)
{
	int fd, rc;

	/* A left-over goes first: it may have been opened by somebody. */
	if (unlinkat(k->dir_fd, TMP_NAME, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(k->dir_fd, TMP_NAME,
	            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	rc = fchmod(fd, 0600) < 0 ? -errno : 0; /* whatever the umask said */
	if (rc == 0)
		rc = write_all(fd, secret, len);
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	return rc;
}

static int file_put(void *self, const char *name, const void *secret,
                    size_t len)
{
	struct keyfiles *k = self;
	int lock, rc;

	lock = lock_dir(k);
	if (lock < 0)
		return lock;
	rc = write_tmp(k, secret, len);
	if (rc == 0 && renameat(k->dir_fd, TMP_NAME, k->dir_fd, name) < 0)
		rc = -errno;
	if (rc < 0)
		unlinkat(k->dir_fd, TMP_NAME, 0);
	else if (fsync(k->dir_fd) < 0)
		rc = -errno;
	close(lock);
	return rc;
}

static int file_del(void *self, const char *name)
{
	struct keyfiles *k = self;
	int lock, rc = 0;

	lock = lock_dir(k);
	if (lock < 0)
		return lock;
	if (unlinkat(k->dir_fd, name, 0) < 0 && errno != ENOENT)
		rc = -errno;
	if (rc == 0 && fsync(k->dir_fd) < 0)
		rc = -errno;
	close(lock);
	return rc;
}

const struct keystore_backend keystore_file = {
	.name = "file",
	.open = file_open,
	.close = file_close,
	.where = file_where,
	.get = file_get,
	.put = file_put,
	.del = file_del,
};
