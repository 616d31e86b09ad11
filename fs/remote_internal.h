/* fs/remote_internal.h -- between remote.c (what is asked when),
 * remote_apply.c (what is done to the rows), remote_folder.c (folders that go
 * or come back as a whole) remote_hold.c (what is too
 * much), remote_undo.c (what a person takes back) and remote_news.c (what
 * others hear of all that). */
#ifndef NMB_REMOTE_INTERNAL_H
#define NMB_REMOTE_INTERNAL_H

#include "fs/events.h"
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
	struct node_inos whole; /* see remote_gone_look() */
	struct hold *hold;      /* or NULL */
	uint64_t mark; /* the greatest ino when the last round was over */
	bool held;     /* the item that was tried last waits for a person */
	int64_t round; /* under way, or the last one */
	struct events *events;
	struct remote_news *news,
		**news_tail; /* of the transaction under way */
};

/* Notes an event (fs/events.h), with the path of the node as it is now; it is
 * told once the transaction has been committed: remote_told() with its outcome,
 * which it returns. */
void remote_tell(struct remote *r, struct db *db, enum event_kind kind,
                 uint64_t ino, const char *text);
int remote_told(struct remote *r, int rc);

/* Does v's ops within the edit. -EBUSY: something in a folder that is gone
 * can't go yet. */
int remote_apply_ops(struct remote *r, struct tree_edit *e, struct db *db,
                     const struct merge_view *v, unsigned ops);

/* Sets a node's local place; the key under which the service holds names equal
 * goes along. */
int remote_place(struct remote *r, struct tree_edit *e, struct db *db,
                 const struct node *n, uint64_t parent, const char *name);
/* The node makes room where it is: it gets the conflict name. */
int remote_place_aside(struct remote *r, struct tree_edit *e, struct db *db,
                       struct node *n);
/* "NAME (conflict HOST DATE).EXT", with a number if that is taken too. */
int remote_conflict_name(const struct remote *r, struct db *db, uint64_t parent,
                         const char *name, char out[NODE_NAME_MAX + 1]);

/* What is here of n goes: it is the server's version again, not fetched yet. */
void remote_drop_content(struct tree_edit *e, struct node *n);

/* A folder that is unlinked here comes back, with those it lies in... */
int remote_relink_above(struct remote *r, struct tree_edit *e, struct db *db,
                        uint64_t ino);
/* ...or, it being back, what lies in it there. */
int remote_relink_below(struct remote *r, struct tree_edit *e, struct db *db,
                        uint64_t ino);

/* MERGE_TREE. Before its transaction: which files below are here in full,
 * though their rows don't say so yet (content comes before the store in the
 * order of locks). */
int remote_gone_look(struct remote *r, struct db *db, uint64_t ino);
int remote_gone_tree(struct remote *r, struct tree_edit *e, struct db *db,
                     uint64_t ino);
/* A folder that is gone there and stays here (struct item: keep): so does what
 * lies in it, as far as all of it is here. remote_gone_look() as well. */
int remote_keep_tree(struct remote *r, struct tree_edit *e, struct db *db,
                     uint64_t ino);

/* fs/remote_hold.c. Everything that the notes would remove is counted... */
int remote_hold_count(struct remote *r);
/* ...before item `id` takes node `ino` along, with what lies in it. 1: it must
 * wait; its row in fs/seen, if it has one, says so. 0: it may go. */
int remote_hold_judge(struct remote *r, const char *id, uint64_t ino);
/* A round is over: what comes later is new. */
int remote_hold_mark(struct remote *r);

/* An alias ends: the node is called `name`. -EEXIST: that is taken. */
int remote_name(struct remote *r, struct tree_edit *e, struct db *db,
                struct node *n, const char *name);

#endif
