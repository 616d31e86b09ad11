/* fs/content_walk.h -- what lies in content/, by its name alone.
 *
 * Threads: any. Errors: 0 or -Exxx; what `each` returns ends the walk. */
#ifndef NMB_CONTENT_WALK_H
#define NMB_CONTENT_WALK_H

#include <stdint.h>

enum content_kind {
	CONTENT_FILE,    /* XX/CID: bytes of content `cid` */
	CONTENT_SNAP,    /* XX/CID.snap: what an upload is about */
	CONTENT_FOREIGN, /* not ours by its name; may be a directory */
};

/* `name` is relative to content/; it may be moved away. cid 0: FOREIGN. */
typedef int content_walk_fn(void *arg, const char *name, enum content_kind kind,
                            uint64_t cid);

/* Goes through the directory `dirfd`, content/. */
int content_walk(int dirfd, content_walk_fn *each, void *arg);

#endif
