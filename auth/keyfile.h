/* auth/keyfile.h -- small private files: checked when read, replaced whole.
 *
 * They lie in one directory per profile, 0700; for the keystore backends that
 * keep something there. A file is replaced by write, fsync, rename, fsync of
 * the directory: a reader sees the old one or the new one. The temporary file
 * has a fixed name, so that a crash leaves at most one behind, and the next
 * write takes it over; the lock keeps two processes from writing it at a time.
 * Where directories can't be locked (NFS), the slower of two gets an error.
 * Names are single parts of a path. Threads: any. Errors: 0 or -Exxx. */
#ifndef NMB_KEYFILE_H
#define NMB_KEYFILE_H

#include <stddef.h>

/* Makes `path` 0700 with its parents where it is missing. A descriptor, or
 * -EPERM (open to others, or somebody else's), -Exxx; `why` gets one line. */
int keydir_open(const char *path, char *why, size_t why_size);

/* Waits for other processes. A descriptor: closing it unlocks, also when we
 * are killed. */
int keydir_lock(int dir_fd);

/* -ENOENT; -EPERM: open to others, somebody else's or no plain file; -EFBIG:
 * more than `size` bytes. */
int keyfile_read(int dir_fd, const char *name, void *buf, size_t size,
                 size_t *out_len);

/* Both with the lock held; durable before they return. Removing what is not
 * there is 0. */
int keyfile_write(int dir_fd, const char *name, const void *data, size_t len);
int keyfile_remove(int dir_fd, const char *name);

/* keyfile_write() for who has neither directory nor lock open. */
int keyfile_put(const char *dir, const char *name, const void *data, size_t len,
                char *why, size_t why_size);

#endif
