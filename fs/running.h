/* fs/running.h -- the process that runs for a profile, or for a mounted path.
 *
 * Looked up by the lock of the state directory (fs/statelock.h) and by
 * /proc/self/mountinfo: never by touching the mount, which might not answer.
 * Threads: any. Errors: 0 or -Exxx with one line for people in `why`. */
#ifndef NMB_RUNNING_H
#define NMB_RUNNING_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct config;

struct running {
	char state_dir[PATH_MAX];
	char mountpoint[PATH_MAX]; /* "": unmounted, goes on to upload */
	long pid;
	bool mounted; /* mountpoint is a mount of ours right now */
};

/* The one of the configured profile. -ENOENT: nobody runs. */
int running_find(const struct config *cfg, struct running *out, char *why,
                 size_t why_size);

/* The one whose mount `path` lies in, of whatever profile: that of the config,
 * else all beside it. `out_path` (PATH_MAX): `path`, absolute, its directory
 * without links. -ENOENT: there is no such path; -ENOTTY: it is in no mount of
 * ours; -EHOSTDOWN: it is in one whose process isn't found (out->mountpoint is
 * set). */
int running_find_path(const struct config *cfg, const char *path,
                      struct running *out, char *out_path, char *why,
                      size_t why_size);

/* The innermost mount of ours that holds an absolute path. -ENOTTY: none. */
int running_mount_of(const char *path, char *out, size_t size);

#endif
