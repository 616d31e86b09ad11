#include "fs/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <fuse_lowlevel.h>

#include "fs/lock.h"
#include "net/log.h"

struct note {
	struct note *next;
	uint64_t nodeid;
	char name[]; /* "": the node's attributes */
};

struct notify {
	pthread_mutex_t lock; /* LOCK_LEAF: all below */
	pthread_cond_t changed;
	struct note *first, **last;
	struct fuse_session *se; /* NULL: not started, or stopping */
	pthread_t thread;
};

int notify_new(struct notify **out_n)
{
	struct notify *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->last = &n->first;
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->changed, NULL);
	*out_n = n;
	return 0;
}

static void drop_all_locked(struct notify *n)
{
	struct note *next;

	for (struct note *note = n->first; note; note = next) {
		next = note->next;
		free(note);
	}
	n->first = NULL;
	n->last = &n->first;
}

void notify_free(struct notify *n)
{
	if (!n)
		return;
	drop_all_locked(n);
	pthread_cond_destroy(&n->changed);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

static int expire(struct fuse_session *se, uint64_t parent, const char *name)
{
#if FUSE_VERSION < FUSE_MAKE_VERSION(3, 15)
	return fuse_lowlevel_notify_expire_entry(se, parent, name, strlen(name),
	                                         FUSE_LL_EXPIRE_ONLY);
#else
	return fuse_lowlevel_notify_expire_entry(se, parent, name,
	                                         strlen(name));
#endif
}

/* The next access looks the name up again. Forgetting the entry at once would
 * also take the current directory away from under a program that is in it,
 * though nothing changed there; kernels before 6.2 know no other way. */
static int forget_entry(struct fuse_session *se, uint64_t parent,
                        const char *name)
{
	int rc = expire(se, parent, name);

	return rc == -ENOSYS ? fuse_lowlevel_notify_inval_entry(
				       se, parent, name, strlen(name))
	                     : rc;
}

static void tell(struct fuse_session *se, const struct note *note)
{
	int rc;

	lock_assert_none();
	if (note->name[0])
		rc = forget_entry(se, note->nodeid, note->name);
	else
		rc = fuse_lowlevel_notify_inval_inode(se, note->nodeid, -1, 0);
	/* It may not know it, or be about to leave. */
	if (rc < 0 && rc != -ENOENT && rc != -ENOTDIR && rc != -ENODEV)
		log_warn("notify nodeid=%" PRIu64 " failed: %s", note->nodeid,
		         strerror(-rc));
}

static void *run(void *arg)
{
	struct notify *n = arg;

	lock_take(&n->lock, LOCK_LEAF);
	while (n->se) {
		struct fuse_session *se = n->se;
		struct note *note = n->first;

		if (!note) {
			lock_wait(&n->changed, &n->lock);
			continue;
		}
		n->first = note->next;
		if (!n->first)
			n->last = &n->first;
		lock_drop(&n->lock, LOCK_LEAF);
		tell(se, note);
		free(note);
		lock_take(&n->lock, LOCK_LEAF);
	}
	lock_drop(&n->lock, LOCK_LEAF);
	return NULL;
}

int notify_start(struct notify *n, struct fuse_session *se)
{
	int rc;

	lock_take(&n->lock, LOCK_LEAF);
	n->se = se;
	lock_drop(&n->lock, LOCK_LEAF);
	rc = -pthread_create(&n->thread, NULL, run, n);
	if (rc < 0)
		n->se = NULL;
	return rc;
}

void notify_stop(struct notify *n)
{
	bool running;

	if (!n)
		return;
	lock_take(&n->lock, LOCK_LEAF);
	running = n->se;
	n->se = NULL;
	drop_all_locked(n);
	pthread_cond_signal(&n->changed);
	lock_drop(&n->lock, LOCK_LEAF);
	if (running)
		pthread_join(n->thread, NULL);
}

static void queue(struct notify *n, uint64_t nodeid, const char *name)
{
	struct note *note = malloc(sizeof(*note) + strlen(name) + 1);

	if (!note) {
		log_error("notify nodeid=%" PRIu64 " dropped: no memory",
		          nodeid);
		return;
	}
	note->next = NULL;
	note->nodeid = nodeid;
	strcpy(note->name, name);
	lock_take(&n->lock, LOCK_LEAF);
	if (n->se) {
		*n->last = note;
		n->last = &note->next;
		note = NULL;
		pthread_cond_signal(&n->changed);
	}
	lock_drop(&n->lock, LOCK_LEAF);
	free(note);
}

void notify_entry(struct notify *n, uint64_t parent_nodeid, const char *name)
{
	queue(n, parent_nodeid, name);
}

void notify_attr(struct notify *n, uint64_t nodeid)
{
	queue(n, nodeid, "");
}
