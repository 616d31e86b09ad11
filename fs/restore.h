/* fs/restore.h -- files, links and the like appear below a directory, whole,
 * with mode, owner and time; never over something, never through a link.
 *
 * Everything goes by directory descriptor and single names. What is there
 * already with the same type, size and time (links: target) counts as done: a
 * restore that was cut short goes on. Owners are set by root only. Threads:
 * any, an object belongs to one. Errors: -EEXIST: something else is there, it
 * stays; -EALREADY: it is done already; -EINVAL: no name to make here; -Exxx.
 */
#ifndef NMB_RESTORE_H
#define NMB_RESTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/node.h"

#define RESTORE_NOBODY ((uid_t)-1) /* the owner is not told */

struct restore_item {
	char name[NODE_NAME_MAX + 1];
	mode_t mode; /* with the type bits */
	uid_t uid;   /* or RESTORE_NOBODY */
	gid_t gid;
	uint64_t rdev;
	int64_t mtime; /* ns since 1970; not of directories */
	uint64_t size; /* of regular files */
	const char *target;
};

/* A directory, entered; it may be there already. Its mode comes at the end, so
 * that it can be filled. */
int restore_enter(int parent, const struct restore_item *it, int *out_fd);
int restore_leave(int fd, const struct restore_item *it); /* closes */

/* What has no content: links, fifos, sockets, devices. */
int restore_node(int parent, const struct restore_item *it);

/* A regular file: under another name until its end. */
struct restore_file {
	int parent, fd;
	char temporary[40];
};
int restore_begin(int parent, const struct restore_item *it,
                  struct restore_file *out);
int restore_write(void *file, const void *data, size_t len);

/* rc < 0: it failed, nothing stays. Returns rc, or what went wrong. */
int restore_end(struct restore_file *f, const struct restore_item *it, int rc);

#endif
