/* fs/remote_internal.h -- between remote.c (what is asked when) and
 * remote_apply.c (what is done to the rows). */
#ifndef NMB_REMOTE_INTERNAL_H
#define NMB_REMOTE_INTERNAL_H

#include "fs/remote.h"

struct remote {
	struct store *store;
	struct tree *tree;
	struct told *told;
	struct gather gather;
	struct gather rows; /* the same, rows only: within a transaction */
	uid_t uid;
	gid_t gid;
	const char *watched_name;
	void (*watched)(void *arg, const struct item *it);
	void *arg;
	char host[64];
	struct merge_view *view;
	struct merge_view *below; /* of a folder that goes as a whole */
	struct item *item;
	int64_t round; /* under way, or the last one */
};

/* Does v's ops within the edit. -EBUSY: something in a folder that is gone
 * can't go yet. */
int remote_apply_ops(struct remote *r, struct tree_edit *e, struct db *db,
                     const struct merge_view *v, unsigned ops);

/* An alias ends: the node is called `name`. -EEXIST: that is taken. */
int remote_name(struct remote *r, struct tree_edit *e, struct db *db,
                struct node *n, const char *name);

#endif
