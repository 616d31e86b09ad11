/* fs/nmb.h -- one running mount: everything it is made of.
 *
 * Made in fs/mount.c, passed down; all state hangs from it. Members are set
 * once, in the order below, and torn down in reverse. */
#ifndef NMB_NMB_H
#define NMB_NMB_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct ahead;
struct codec;
struct config;
struct contents;
struct control;
struct engine;
struct events;
struct fetch;
struct file;
struct history;
struct fuse_session;
struct keystore;
struct membership;
struct notify;
struct park;
struct pulse;
struct readers;
struct report;
struct service;
struct session;
struct space;
struct store;
struct sysbus;
struct tree;
struct vault_watch;
struct work;

struct nmb {
	const struct config *config;
	struct keystore *keystore; /* lent by who called mount_run() */
	char state_dir[4096];
	char mountpoint[4096]; /* absolute */
	int lock_fd;           /* state_dir/lock */

	struct events *events;         /* what happens, for who wants to know */
	struct work *work;             /* ciphers, disk, parked requests */
	struct session *session;       /* http, tokens, graph (fs/session.h) */
	struct membership *membership; /* lent, too; NULL: a plain folder */
	struct codec *codec;
	struct store *store;
	struct contents *contents;
	struct space *space;
	struct notify *notify;   /* tells the kernel, own thread */
	struct park *park;       /* FUSE requests that wait */
	struct readers *readers; /* programs that are not waited for */
	struct tree *tree;
	struct fetch *fetch;
	struct ahead *ahead;     /* what is read next; may be NULL */
	struct history *history; /* .versions; NULL: not wanted */
	struct engine *engine;
	struct vault_watch *watch; /* of a vault's descriptor */
	struct control *control;   /* the socket */
	struct pulse *pulse;       /* of the FUSE loop */
	struct report *report;     /* desktop, numbers; NULL: not asked for */
	struct sysbus *sysbus;     /* sleep, metered connections; or NULL */
	struct service *service;   /* what a service manager is told; or NULL */
	struct fuse_session *fuse;
	pthread_mutex_t files_lock; /* LOCK_LEAF */
	struct file *files;         /* open ones (fs/ops_internal.h) */

	/* Ends the process soon, keeping what is unsent: any thread. */
	void (*stop)(struct nmb *nmb);

	bool read_only;
	int64_t deadline_ms; /* a reader waits at most */
	double entry_timeout_s, attr_timeout_s;
};

#endif
