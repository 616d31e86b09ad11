#include "auth/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/crashpoint.h"
#include "net/fdio.h"

#define TMP_NAME ".new"

/* ---- the directory ------------------------------------------------------- */

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

int keydir_open(const char *path, char *why, size_t why_size)
{
	int rc = make_dirs(path), fd = -1;

	if (rc == 0) {
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		rc = fd < 0 ? -errno : 0;
	}
	if (rc < 0) {
		snprintf(why, why_size, "%s: %s", path, strerror(-rc));
		return rc;
	}
	rc = check_dir(fd, path, why, why_size);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

/* A descriptor of its own, not a duplicate: locks belong to what open()
 * made. */
int keydir_lock(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX) < 0 && errno == EINTR)
		continue;
	return fd;
}

/* ---- reading ------------------------------------------------------------- */

static int check_file(int fd, size_t size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & 077))
		return -EPERM;
	return st.st_size > (off_t)size ? -EFBIG : 0;
}

static int read_all(int fd, char *buf, size_t size, size_t *out_len)
{
	size_t len = 0;
	ssize_t n;

	while (len < size) {
		n = read(fd, buf + len, size - len);
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

int keyfile_read(int dir_fd, const char *name, void *buf, size_t size,
                 size_t *out_len)
{
	int fd, rc;

	/* O_NONBLOCK: a fifo in the file's place must not hang us. */
	fd = openat(dir_fd, name,
	            O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ELOOP ? -EPERM : -errno;
	rc = check_file(fd, size);
	if (rc == 0)
		rc = read_all(fd, buf, size, out_len);
	close(fd);
	return rc;
}

/* ---- writing ------------------------------------------------------------- */

static int write_tmp(int dir_fd, const void *data, size_t len)
{
	int fd, rc;

	/* A left-over goes first: it may have been opened by somebody. */
	if (unlinkat(dir_fd, TMP_NAME, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(dir_fd, TMP_NAME,
	            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	rc = fchmod(fd, 0600) < 0 ? -errno : 0; /* whatever the umask said */
	if (rc == 0)
		rc = fdio_write_all(fd, data, len);
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	return rc;
}

int keyfile_write(int dir_fd, const char *name, const void *data, size_t len)
{
	int rc = write_tmp(dir_fd, data, len);

	CRASH_POINT("secret-written");
	if (rc == 0 && renameat(dir_fd, TMP_NAME, dir_fd, name) < 0)
		rc = -errno;
	if (rc < 0) {
		unlinkat(dir_fd, TMP_NAME, 0);
		return rc;
	}
	CRASH_POINT("secret-renamed");
	return fsync(dir_fd) < 0 ? -errno : 0;
}

int keyfile_remove(int dir_fd, const char *name)
{
	if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	return fsync(dir_fd) < 0 ? -errno : 0;
}

int keyfile_put(const char *dir, const char *name, const void *data, size_t len,
                char *why, size_t why_size)
{
	int fd = keydir_open(dir, why, why_size), lock, rc;

	if (fd < 0)
		return fd;
	lock = keydir_lock(fd);
	rc = lock < 0 ? lock : keyfile_write(fd, name, data, len);
	if (lock >= 0)
		close(lock);
	close(fd);
	return rc;
}
