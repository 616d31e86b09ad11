/* fs/notify.h -- tells the kernel what it must forget.
 *
 * A notification can block on the kernel's side (on write-out, on a directory
 * in which a lookup waits for us), so they come from a thread of their own and
 * nobody waits for them. Before notify_start() and after notify_stop() they
 * are dropped: the kernel knows nothing then.
 *
 * Threads: any; never blocks. What memory can't hold is dropped with a log
 * line: the kernel then shows the old state until it asks again. */
#ifndef NMB_NOTIFY_H
#define NMB_NOTIFY_H

#include <stdint.h>

struct fuse_session;
struct notify;

int notify_new(struct notify **out_n);
void notify_free(struct notify *n); /* after notify_stop() */

int notify_start(struct notify *n, struct fuse_session *se);

/* What is queued is dropped; waits for the one under way: unmount first, that
 * ends it. Before fuse_session_destroy(). */
void notify_stop(struct notify *n);

/* The entry `name` of the folder: look it up again. */
void notify_entry(struct notify *n, uint64_t parent_nodeid, const char *name);

/* Attributes, not the bytes. */
void notify_attr(struct notify *n, uint64_t nodeid);

#endif
