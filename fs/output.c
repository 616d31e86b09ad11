#include "fs/output.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/clock.h"
#include "net/fdio.h"

static int join(char out[PATH_MAX], const char *dir, const char *name)
{
	size_t len = strlen(dir);
	bool slash = len && dir[len - 1] == '/';

	return snprintf(out, PATH_MAX, "%s%s%s", dir, slash ? "" : "/", name) >=
	                       PATH_MAX
	               ? -ENAMETOOLONG
	               : 0;
}

/* Where it goes, and whether something may be replaced there. */
static int settle_target(struct output *o, const char *path, const char *name)
{
	struct stat st;

	o->replace = true;
	if (stat(path, &st) < 0) {
		if (errno != ENOENT || !*path)
			return -errno;
		if (strlen(path) >= PATH_MAX)
			return -ENAMETOOLONG;
		strcpy(o->target, path);
		return 0;
	}
	if (!S_ISDIR(st.st_mode)) /* what a link leads to, not the link */
		return realpath(path, o->target) ? 0 : -errno;
	o->replace = false;
	if (join(o->target, path, name) < 0)
		return -ENAMETOOLONG;
	return lstat(o->target, &st) == 0 ? -EEXIST : 0;
}

/* As a shell's redirection would leave it: an old file keeps its mode. */
static int set_mode(const struct output *o)
{
	struct stat st;

	if (stat(o->target, &st) < 0)
		st.st_mode = o->mode;
	return fchmod(o->fd, st.st_mode & 07777) < 0 ? -errno : 0;
}

static int open_temporary(struct output *o)
{
	char copy[PATH_MAX];
	int rc;

	strcpy(copy, o->target);
	rc = join(o->temporary, dirname(copy), ".nmbackupfs-get.XXXXXX");
	if (rc < 0)
		return rc;
	o->fd = mkostemp(o->temporary, O_CLOEXEC);
	if (o->fd < 0) {
		o->temporary[0] = '\0';
		return -errno;
	}
	o->close = true;
	return set_mode(o);
}

static int open_special(struct output *o)
{
	o->fd = open(o->target, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	o->close = o->fd >= 0;
	return o->fd < 0 ? -errno : 0;
}

int output_open(const char *path, const char *name, mode_t mode,
                struct output *out)
{
	struct stat st;
	int rc;

	*out = (struct output){ .fd = STDOUT_FILENO, .mode = mode };
	if (!strcmp(path, "-"))
		return 0;
	rc = settle_target(out, path, name);
	if (rc < 0)
		return rc;
	if (stat(out->target, &st) == 0 && !S_ISREG(st.st_mode))
		return open_special(out);
	rc = open_temporary(out);
	return rc < 0 ? output_end(out, rc, 0) : 0;
}

int output_write(void *output, const void *data, size_t len)
{
	const struct output *o = output;

	return fdio_write_all(o->fd, data, len);
}

static int put_in_place(const struct output *o)
{
	struct stat st;

	if (!o->replace) {
		if (renameat2(AT_FDCWD, o->temporary, AT_FDCWD, o->target,
		              RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EINVAL) /* the file system can't say it so */
			return -errno;
		if (lstat(o->target, &st) == 0)
			return -EEXIST;
	}
	return rename(o->temporary, o->target) < 0 ? -errno : 0;
}

static void sync_directory(const struct output *o)
{
	char copy[PATH_MAX];
	int fd;

	strcpy(copy, o->target);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	fsync(fd); /* not every file system can; the file itself is synced */
	close(fd);
}

static int finish_file(const struct output *o, int64_t mtime_ns)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		                     clock_ns_to_timespec(mtime_ns) };

	if (mtime_ns)
		futimens(o->fd, times);
	return fsync(o->fd) < 0 ? -errno : put_in_place(o);
}

int output_end(struct output *o, int rc, int64_t mtime_ns)
{
	bool whole = o->temporary[0];

	if (rc == 0 && whole)
		rc = finish_file(o, mtime_ns);
	if (o->close && close(o->fd) < 0 && rc == 0)
		rc = -errno;
	o->close = false;
	if (rc < 0 && whole)
		unlink(o->temporary);
	else if (whole)
		sync_directory(o);
	return rc;
}
