/* fs/mountpoint.h -- makes sure that a directory can be mounted on.
 *
 * Threads: the one that starts the mount. */
#ifndef NMB_MOUNTPOINT_H
#define NMB_MOUNTPOINT_H

#include <stdbool.h>
#include <stddef.h>

/* Absolute path of a directory, without a link or a slash at its end; a mount
 * whose program died (ENOTCONN) is detached first. -ENOTDIR, -ENOENT, -EBUSY
 * (a live FUSE mount of ours is there), with one line in `why`. One that is not
 * empty is taken, with a warning. */
int mountpoint_prepare(const char *path, char *out, size_t size, char *why,
                       size_t why_size);

/* Detaches whatever of FUSE is mounted there, busy or not (lazily): what is
 * open goes on. 0 or -Exxx. */
int mountpoint_detach(const char *path, int lazy);

/* What is mounted there is a FUSE mount whose program has died. */
bool mountpoint_is_dead(const char *path);

#endif
