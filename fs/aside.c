#include "fs/aside.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "net/crashpoint.h"
#include "net/log.h"

int aside_move(int from_fd, const char *from, int to_fd, const char *to)
{
	struct stat st;

	if (renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* A file system that can't: nobody else moves things there. */
	if (fstatat(to_fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	return renameat(from_fd, from, to_fd, to) < 0 ? -errno : 0;
}

int aside_quarantine(int from_fd, const char *name, int quarantine_fd,
                     const char *why)
{
	const char *base = strrchr(name, '/');
	char to[NAME_MAX + 1];
	int rc = -EEXIST;

	base = base ? base + 1 : name;
	CRASH_POINT("quarantine-moves");
	for (unsigned i = 0; rc == -EEXIST && i < 1000; i++) {
		snprintf(to, sizeof(to), i ? "%s-%.200s.%u" : "%s-%.200s", why,
		         base, i);
		rc = aside_move(from_fd, name, quarantine_fd, to);
	}
	CRASH_POINT("quarantine-moved");
	if (rc == 0)
		log_warn("content file=\"%s\" moved_to=\"quarantine/%s\"", name,
		         to);
	else if (rc != -ENOENT)
		log_error("content file=\"%s\" can't be moved: %s", name,
		          strerror(-rc));
	return rc;
}
