/* fs/direct.h -- the folder on the drive without a mount: find, put, get.
 *
 * For commands that are done after a few files: a session of their own, every
 * call waits for its end. How names and bytes look on the server is the codec's
 * matter (fs/codec.h), for vaults and plain folders alike. On this disk nothing
 * changes, but for what a vault's members remember (fs/membership.h).
 *
 * A name that is taken is replaced by id and tag, never blindly; what was sent
 * and what came is compared by size and quickXorHash, or by the tag of each
 * chunk. Waits a minute for a network that is not there, ten for a service that
 * asks to wait. SIGINT, SIGTERM and SIGHUP end a transfer in order (-EINTR).
 * Threads: one, which must not be the network's. Errors: 0 or -Exxx with one
 * line for people in `why` (DIRECT_WHY bytes). */
#ifndef NMB_DIRECT_H
#define NMB_DIRECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/item.h"
#include "fs/node.h"

struct codec;
struct config;
struct direct_vault;
struct keystore;
struct session;

#define DIRECT_WHY      1024
#define DIRECT_PATH     4096
#define DIRECT_TRIAL_MS 20000
#define DIRECT_TARGET   4096 /* bytes of a link target, NUL included */

struct direct {
	struct session *session;
	const struct config *config;
	struct codec *plain; /* how the configured folder is called */
	struct codec *codec; /* what is in it; NULL before direct_enter() */
	struct direct_vault *vault; /* NULL: a plain folder */
	char folder_id[NODE_ID_MAX + 1];
	bool personal;      /* the kind of the drive */
	char web_url[1024]; /* of the drive, for a browser; "": not told */
	bool trial; /* direct_put() takes an upload session for small files,
	             * too, and a transfer gives up after DIRECT_TRIAL_MS */
	char *why;
};

/* Opens the session (`k`: see session_open()) and asks whose drive it is.
 * -EACCES: nobody is signed in; -EXDEV: the profile's files belong to another
 * drive. `why` is used by all calls until direct_close(). */
int direct_open(const struct config *cfg, struct keystore *k,
                struct direct *out, char *why);
void direct_close(struct direct *d);

/* The id of the configured folder; `make`: folders on the way are made.
 * -ENOENT: one is not there. */
int direct_folder(struct direct *d, bool make, char out_id[NODE_ID_MAX + 1]);

/* Enters the configured folder: as a member of its vault, or, if the config
 * says so, as a plain folder. `make`: one is made where there is none, as by a
 * first mount. Errors: also those of vault_setup_newest(). All calls below come
 * after this one; direct_look_id() and direct_get() also if a plain folder was
 * not there (-ENOENT, and `codec` is set). */
int direct_enter(struct direct *d, bool make);

/* Where `path` lies in it, its parts separated by '/'. `make`: as above.
 * -ENOENT: a folder is not there. */
struct direct_place {
	char parent_id[NODE_ID_MAX + 1];
	char name[NODE_NAME_MAX + 1]; /* as it is called here */
	char path[DIRECT_PATH];       /* the same with the way to it */
};
int direct_find(struct direct *d, const char *path, bool make,
                struct direct_place *out);

/* What is there. */
struct direct_file {
	struct item item;
	struct node node; /* what its name says: name, type, mode, mtime */
};

/* What has that name; -ENOENT: nothing; -EEXIST: something of a name that the
 * service holds equal to it. Of several (in a vault) the one that mounts show
 * under it. */
int direct_look(struct direct *d, const struct direct_place *at,
                struct direct_file *out);

/* -ENOENT: no such id. A name that does not open is shown as it is. */
int direct_look_id(struct direct *d, const char *id, struct direct_file *out);

/* Fills f->node, and the target of a symlink ("" if its name does not hold it)
 * unless NULL, from f->item, by its name. -EINVAL: the name does not open. */
int direct_describe(struct direct *d, struct direct_file *f,
                    char target[DIRECT_TARGET]);

/* Progress of a transfer; from the calling thread. */
typedef void direct_progress_fn(void *arg, uint64_t done, uint64_t total);

/* Sends all of a regular file, from its beginning, with its mtime and, as far
 * as the folder keeps it, its mode without `mask`. -ESTALE: somebody else
 * changed what has the name meanwhile: nothing was replaced; -EBUSY: the file
 * changes while it is read; -EPERM: the name is taken, and the config says
 * append_only; -EBADMSG: the service has other bytes than were
 * sent. */
int direct_put(struct direct *d, const struct direct_place *at, int fd,
               mode_t mask, direct_progress_fn *progress, void *arg,
               struct item *out);

/* Writes the content of an item in order; 0 or -Exxx. */
typedef int direct_sink_fn(void *arg, const void *data, size_t len);

/* -ESTALE: it was replaced meanwhile; -EBADMSG: damaged, or older than what is
 * known here, or other bytes came than the service has by its own hash (the
 * sink may have got a part by then). */
int direct_get(struct direct *d, const struct direct_file *f,
               direct_sink_fn *sink, void *sink_arg,
               direct_progress_fn *progress, void *arg);

/* ---- what it was ----------------------------------------------------------
 */

/* Stored versions of an item, newest first; `time` is the service's, ns since
 * 1970. Which bytes a version has the service does not say by a hash: who
 * knows one from elsewhere (fs/ledger.h) finds it by reading. */
struct direct_versions {
	struct version *v; /* net/versions.h */
	size_t n;
};

/* -ENOENT: no such item. The caller frees with direct_versions_done(). */
int direct_versions(struct direct *d, const struct direct_file *f,
                    struct direct_versions *out);
void direct_versions_done(struct direct_versions *v);

/* A part of one version's content; the end of the file ends it. Sealed content
 * is authenticated chunk by chunk; `hash`, if known, is held against all bytes
 * when all are read. */
struct direct_part {
	const char *version_id; /* NULL: the current one */
	uint64_t size;          /* bytes there, of that version */
	uint64_t off, len;      /* of its plaintext; UINT64_MAX: to its end */
	const uint8_t *hash;    /* quickXorHash of what is there, or NULL */
};

/* As direct_get(), but signals and threads are as below ("as it is there").
 * -ENOENT: that version is there no more. -EBADMSG: also, it has another hash.
 */
int direct_get_part(struct direct *d, const struct direct_file *f,
                    const struct direct_part *part, direct_sink_fn *sink,
                    void *sink_arg, direct_progress_fn *progress, void *arg);

/* ---- as it is there ------------------------------------------------------ */

/* For who goes through a whole vault, whichever it is: items and bytes as the
 * service has them, without direct_enter(). Signals are the caller's:
 * interrupt_seen() ends a transfer. Threads: any, each with a struct direct of
 * its own, a copy with another `why`. */

int direct_raw_root(struct direct *d, struct item *out);
int direct_raw_item(struct direct *d, const char *id, struct item *out);
/* -ENOENT: nothing of exactly that name. */
int direct_raw_child(struct direct *d, const char *parent_id, const char *name,
                     struct item *out);

/* To the recycle bin, by id and tag; a tag that moved by itself is followed.
 * -ESTALE: it has another content by now. */
int direct_raw_delete(struct direct *d, const struct item *it);

/* Each child of a folder; `each` ends it with anything but 0, which comes back.
 * No snapshot: what changes meanwhile may be missed, or come twice. */
typedef int direct_each_fn(void *arg, const struct item *it);
int direct_raw_list(struct direct *d, const char *folder_id,
                    direct_each_fn *each, void *arg);

/* Everything that lies below a folder, by one enumeration of the feed: pages of
 * up to 1,000 items. An item may come more than once (the last word counts), as
 * deleted, and from outside of the folder; with NULL all begins anew.
 * `personal`: the kind of the drive. */
int direct_raw_feed(struct direct *d, const char *folder_id, bool personal,
                    direct_each_fn *each, void *arg);

/* A range of an item's bytes, in order. */
int direct_raw_read(struct direct *d, const struct item *it, uint64_t off,
                    uint64_t len, direct_sink_fn *sink, void *arg);

#endif
