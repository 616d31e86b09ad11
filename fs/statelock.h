/* fs/statelock.h -- one process per state directory.
 *
 * `lock` in the directory is held (flock) by the running program and says who
 * it is. A second start asks the holder over the control socket to stop if it
 * only goes on to upload after its unmount, and waits for it.
 * Threads: the one that starts the mount. */
#ifndef NMB_STATELOCK_H
#define NMB_STATELOCK_H

#include <stddef.h>

/* Takes the lock; *out_fd is closed to let go (the end of the process does so
 * too). -EBUSY with the holder in `why`: it serves a mount, or did not end
 * within `wait_ms`. */
int statelock_take(const char *state_dir, const char *mountpoint, int wait_ms,
                   int *out_fd, char *why, size_t why_size);

/* Rewrites who holds it and for which mount point ("": draining). */
int statelock_note(int fd, const char *mountpoint);

/* Who holds it now: the process, and the directory it is mounted on, "" if it
 * only goes on to upload. -ENOENT: nobody; -ENAMETOOLONG. */
int statelock_read(const char *state_dir, long *out_pid, char *out_mountpoint,
                   size_t size);

/* Waits until nobody holds it; 0, -ETIMEDOUT (wait_ms < 0: no limit). */
int statelock_wait_free(const char *state_dir, int wait_ms);

#endif
