/* fs/mount_internal.h -- shared by the mount*.c files only. */
#ifndef NMB_MOUNT_INTERNAL_H
#define NMB_MOUNT_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>

#include "fs/mount.h"
#include "fs/nmb.h"
#include "fs/store.h"

struct syncer;

/* One more than the struct nmb that all parts see: what only these files
 * need. */
struct mount {
	struct nmb nmb; /* first: nmb->stop() finds us by it */
	struct store_found found;
	struct syncer *syncer;
	bool clean;         /* all is settled */
	bool unmounted;     /* by somebody else: it was not we who ended */
	bool is_ready;      /* and it was told */
	int64_t rebuilt_ms; /* when the database last had to be */

	pthread_mutex_t lock; /* LOCK_LEAF: all below */
	pthread_cond_t turn;
	unsigned stops;  /* signals, and `stop` over the socket */
	bool damaged;    /* the database turned out to be, in use */
	bool loop_ended; /* unmounted */
};

/* ---- mount_parts.c: in the order of struct nmb; closing undoes what was
 * reached ---- */
int mount_open_parts(struct mount *m, char *why, size_t size);
void mount_close_parts(struct mount *m);

/* ---- mount_state.c ---- */

/* Database and content. A damaged database is rebuilt from the server; it and
 * all content that only it knew are set aside, for a person to look at. */
int mount_open_state(struct mount *m, char *why, size_t size);

/* Something is to be made durable soon; `arg`: the struct mount. */
void mount_on_unsynced(void *arg);

/* For the kind of folder that this state is of, if it is of this one. */
int mount_open_codec(struct mount *m, char *why, size_t size);

/* ---- mount_serve.c ---- */

/* Mounts, serves until unmounted or stopped; the connection to the kernel is
 * closed when it returns. An exit status. */
int mount_serve(struct mount *m, mount_ready_fn *ready, void *arg, char *why,
                size_t size);

#endif
