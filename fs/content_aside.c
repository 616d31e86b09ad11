#include "fs/content_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/log.h"

#define MAX_COPIES 1000
#define COPY_BYTES (1u << 20)

static int make_and_open(int dirfd, const char *name)
{
	int fd;

	if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(dirfd, name,
	            O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* "name", or with a number. */
static void number_name(const char *name, int i, char out[NAME_MAX + 1])
{
	if (i)
		snprintf(out, NAME_MAX + 1, "%.240s.%d", name, i);
	else
		snprintf(out, NAME_MAX + 1, "%s", name);
}

/* Opens the directory below `dirfd`, made if need be; takes `dirfd` over. A
 * file may be there that was called so. */
static int enter(int dirfd, const char *name)
{
	char other[NAME_MAX + 1];
	int fd = -ENOTDIR;

	for (int i = 0; fd == -ENOTDIR && i < MAX_COPIES; i++) {
		number_name(name, i, other);
		fd = make_and_open(dirfd, other);
	}
	close(dirfd);
	return fd;
}

/* The directory of `path`; *out_name is its last part, in `path`, which gets
 * its slashes back. */
static int enter_all(int dirfd, char *path, const char **out_name)
{
	char *slash;

	path += strspn(path, "/");
	while (dirfd >= 0 && (slash = strchr(path, '/'))) {
		*slash = '\0';
		dirfd = enter(dirfd, path);
		*slash = '/';
		path = slash + strspn(slash, "/");
	}
	*out_name = path;
	return dirfd;
}

/* Where the file system has no hard links. */
static int copy(int from, int dirfd, const char *name)
{
	int to = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	                0600);
	uint8_t *buf = malloc(COPY_BYTES);
	uint64_t off = 0;
	ssize_t n = 1;
	int rc = to < 0 ? -errno : buf ? 0 : -ENOMEM;

	while (rc == 0 && n > 0) {
		n = content_pread_full(from, buf, COPY_BYTES, off);
		if (n < 0)
			rc = (int)n;
		else if (n > 0)
			content_pwrite_full(to, buf, (size_t)n, off, &rc);
		off += n > 0 ? (uint64_t)n : 0;
	}
	free(buf);
	if (to >= 0)
		close(to);
	if (rc < 0 && to >= 0)
		unlinkat(dirfd, name, 0);
	return rc;
}

/* An empty content may have no file yet. */
static int put(struct contents *cs, uint64_t cid, int dirfd, const char *name)
{
	char file[CONTENT_NAME_SIZE];
	int fd, rc;

	content_file_name(cid, "", file);
	if (linkat(cs->dirfd, file, dirfd, name, 0) == 0)
		return 0;
	if (errno == ENOENT) {
		fd = openat(dirfd, name,
		            O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0)
			return -errno;
		close(fd);
		return 0;
	}
	if (errno != EPERM && errno != EOPNOTSUPP && errno != EMLINK)
		return -errno;
	fd = content_file_open(cs, cid, "", O_RDONLY);
	rc = fd < 0 ? fd : copy(fd, dirfd, name);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Never replaces: a number is added. */
static int put_beside(struct contents *cs, uint64_t cid, int dirfd,
                      const char *name)
{
	char other[NAME_MAX + 1];
	int rc = -EEXIST;

	for (int i = 0; rc == -EEXIST && i < MAX_COPIES; i++) {
		number_name(name, i, other);
		rc = put(cs, cid, dirfd, other);
	}
	return rc;
}

int content_keep_aside(struct contents *cs, uint64_t cid, const char *dir,
                       const char *path)
{
	char *copy_of = strdup(path);
	const char *name = "";
	int fd = fcntl(cs->quarantine_fd, F_DUPFD_CLOEXEC, 0), rc;

	if (!copy_of || fd < 0) {
		rc = copy_of ? -errno : -ENOMEM;
		if (fd >= 0)
			close(fd);
		free(copy_of);
		return rc;
	}
	fd = enter(fd, dir);
	if (fd >= 0)
		fd = enter_all(fd, copy_of, &name);
	rc = fd < 0 ? fd : put_beside(cs, cid, fd, name);
	if (fd >= 0)
		close(fd);
	free(copy_of);
	if (rc < 0)
		log_warn("content cid=%" PRIx64 " can't be set aside: %s", cid,
		         strerror(-rc));
	return rc;
}
