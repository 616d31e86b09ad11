/* fs/mount.h -- one mount: made of its parts, run, taken apart.
 *
 * Threads: one. */
#ifndef NMB_MOUNT_H
#define NMB_MOUNT_H

#include <stddef.h>

struct config;
struct keystore;
struct membership;

/* Told once the mount is usable: programs may look into it from here on. */
typedef void mount_ready_fn(void *arg);

/* Mounts on `mountpoint` (absolute, mountpoint_prepare()) and serves until it
 * is unmounted or a signal comes; then what is unsent goes on being sent until
 * it is done, or a signal comes. Needs no network. `keystore` is lent: it is
 * open already, since it may have asked a person; `membership` too (NULL: a
 * plain folder), its vault is in the slot. Returns an exit status
 * (fs/exit.h) with one line in `why` unless it is EXIT_OK. */
int mount_run(const struct config *cfg, struct keystore *keystore,
              struct membership *membership, const char *mountpoint,
              mount_ready_fn *ready, void *arg, char *why, size_t why_size);

#endif
