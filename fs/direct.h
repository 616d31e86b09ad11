/* fs/direct.h -- the folder on the drive without a mount: find, put, get.
 *
 * For commands that are done after a few files: a session of their own, no
 * state on disk, every call waits for its end. Names go through net/names as
 * in a plain folder. A name that is taken is replaced by id and tag, never
 * blindly; what was sent and what came is compared by size and quickXorHash.
 * Waits a minute for a network that is not there, ten for a service that asks
 * to wait. SIGINT, SIGTERM and SIGHUP end a transfer in order (-EINTR).
 * Threads: one, which must not be the network's. Errors: 0 or -Exxx with one
 * line for people in `why` (DIRECT_WHY bytes). */
#ifndef NMB_DIRECT_H
#define NMB_DIRECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/item.h"

struct config;
struct keystore;
struct session;

#define DIRECT_WHY 1024

struct direct {
	struct session *session;
	const struct config *config;
	bool business; /* the stricter rules for names */
	char *why;
};

/* Opens the session (`k`: see session_open()) and asks whose drive it is.
 * -EACCES: nobody is signed in; -EXDEV: the profile's files belong to another
 * drive. `why` is used by all calls until direct_close(). */
int direct_open(const struct config *cfg, struct keystore *k,
                struct direct *out, char *why);
void direct_close(struct direct *d);

/* Where `path` lies: below the configured folder, its parts separated by '/'.
 * `make`: folders on the way are made. *out_name: the last part as it is
 * called there. -ENOENT: a folder is not there. */
struct direct_place {
	char parent_id[NODE_ID_MAX + 1];
	char name[NODE_REMOTE_MAX + 1];
};
int direct_find(struct direct *d, const char *path, bool make,
                struct direct_place *out);

/* The id of the configured folder itself; `make` as above. */
int direct_folder(struct direct *d, bool make, char out_id[NODE_ID_MAX + 1]);

/* What has that name; -ENOENT: nothing; -EEXIST: something of a name that the
 * service holds equal to it. */
int direct_look(struct direct *d, const struct direct_place *at,
                struct item *out);

/* -ENOENT: no such id. */
int direct_look_id(struct direct *d, const char *id, struct item *out);

/* Progress of a transfer; from the calling thread. */
typedef void direct_progress_fn(void *arg, uint64_t done, uint64_t total);

/* Sends all of a regular file, from its beginning, with its mtime. -ESTALE:
 * somebody else changed what has the name meanwhile: nothing was replaced;
 * -EBUSY: the file changes while it is read; -EBADMSG: the service has other
 * bytes than were sent. */
int direct_put(struct direct *d, const struct direct_place *at, int fd,
               direct_progress_fn *progress, void *arg, struct item *out);

/* Writes the content of an item in order; 0 or -Exxx. */
typedef int direct_sink_fn(void *arg, const void *data, size_t len);

/* -ESTALE: it was replaced meanwhile; -EBADMSG: other bytes came than the
 * service has by its own hash (the sink got them already). */
int direct_get(struct direct *d, const struct item *it, direct_sink_fn *sink,
               void *sink_arg, direct_progress_fn *progress, void *arg);

#endif
