/* auth/keystore.h -- where secrets rest: small named blobs of one profile.
 *
 * Backends: "file" (one 0600 file per blob in a 0700 directory); the others
 * come with the vault and join in auth/keystore_backend.h. A blob is at most 64
 * KiB. Names: [a-z0-9-]{1,40}; used are "token" (auth/tokens), later
 * "identity", "pin".
 *
 * Threads: any; calls are serialised and may block (disk, a key service): not
 * from the network thread. Secrets come back in sodium_malloc() memory, to be
 * freed with sodium_free(). */
#ifndef NMB_KEYSTORE_H
#define NMB_KEYSTORE_H

#include <stddef.h>

#define KEYSTORE_MAX_BLOB 65536

struct keystore;

struct keystore_options {
	const char *backend; /* "file"; NULL: the default */
	const char *dir;     /* of the file backend: made 0700 if need be, with
	                      * its parents */
};

/* 0, -EINVAL (unknown backend), -EPERM (the place is open to others, or owned
 * by somebody else: `why` says what to do), -Exxx. */
int keystore_open(const struct keystore_options *opt, struct keystore **out_k,
                  char *why, size_t why_size);
void keystore_close(struct keystore *k);

/* One line for people: "file /home/ann/.config/nmbackupfs/default.keys". */
const char *keystore_where(const struct keystore *k);

/* -ENOENT: none of that name; -EPERM: open to others or somebody else's:
 * refused untouched; -EFBIG: over 64 KiB; -EINVAL: no legal name. */
int keystore_get(struct keystore *k, const char *name, void **out_secret,
                 size_t *out_len);

/* Durable (write, fsync, rename, fsync of the directory) before it returns;
 * the old blob is intact until then. */
int keystore_put(struct keystore *k, const char *name, const void *secret,
                 size_t len);

/* 0 also if there was none. */
int keystore_delete(struct keystore *k, const char *name);

#endif
