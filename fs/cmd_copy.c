#include "fs/cmd_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/interrupt.h"
#include "net/fdio.h"

#define PIECE (1u << 20)

/* The directories on the way to `path`, which lies below `len` bytes of it,
 * with the modes that the caller of the command gives to new ones. */
static int make_way(char *path, size_t len, mode_t mask)
{
	mode_t ours = umask(mask);
	int rc = 0;

	for (char *p = path + len; rc == 0 && (p = strchr(p, '/')); p++) {
		*p = '\0';
		if (mkdir(path, 0777) < 0 && errno != EEXIST)
			rc = -errno;
		*p = '/';
	}
	umask(ours);
	return rc;
}

static int copy_all(const struct cmd_copy *c, int from, int to)
{
	char *piece = malloc(PIECE);
	uint64_t done = 0;
	ssize_t n = -1;
	int rc = piece ? 0 : -ENOMEM;

	while (rc == 0 && n != 0) {
		n = read(from, piece, PIECE);
		if (n < 0)
			rc = -errno;
		else
			rc = fdio_write_all(to, piece, (size_t)n);
		if (interrupt_seen())
			rc = -EINTR;
		done += n > 0 ? (uint64_t)n : 0;
		if (c->progress)
			c->progress(c->arg, done, c->size);
	}
	free(piece);
	return rc;
}

/* It is synced only after it has its name: a file that is synced may be sent,
 * and should have it by then. */
static int copy_and_rename(const struct cmd_copy *c, int from)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, c->mtime };
	char temporary[PATH_MAX];
	int to, rc;

	if (snprintf(temporary, sizeof(temporary), "%.*s.nmbackupfs-put.XXXXXX",
	             (int)(strrchr(c->target, '/') + 1 - c->target),
	             c->target) >= (int)sizeof(temporary))
		return -ENAMETOOLONG;
	to = mkostemp(temporary, O_CLOEXEC);
	if (to < 0)
		return -errno;
	rc = copy_all(c, from, to);
	if (rc == 0 && (fchmod(to, c->mode) < 0 || futimens(to, times) < 0 ||
	                rename(temporary, c->target) < 0))
		rc = -errno;
	if (rc < 0)
		unlink(temporary);
	else if (fsync(to) < 0)
		rc = -errno;
	if (close(to) < 0 && rc == 0)
		rc = -errno;
	return rc;
}

int cmd_copy_in(int from, const struct cmd_copy *c)
{
	int rc = make_way(c->target, c->top, c->mask);

	return rc < 0 ? rc : copy_and_rename(c, from);
}
