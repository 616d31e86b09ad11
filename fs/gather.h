/* fs/gather.h -- reads the rows that the planner and the merger judge by.
 *
 * The views hold copies, so that a decision can be made after the reader was
 * given back. They are large: on the heap, one per thread, used again.
 * Threads: any, one view belongs to one. Errors: as fs/db.h. */
#ifndef NMB_GATHER_H
#define NMB_GATHER_H

#include <stdint.h>

#include "fs/attempt.h"
#include "fs/codec.h"
#include "fs/item.h"
#include "fs/merge.h"
#include "fs/node.h"
#include "fs/plan.h"

struct contents;
struct db;
struct hold;
struct told;
struct tree;

struct gather {
	const struct codec *codec;
	struct contents *contents; /* NULL: rows only */
	struct tree *tree;         /* NULL: nothing is open */
	struct told *told;         /* NULL: nothing was heard of before */
	/* Is a request for that node under way; one that makes a folder there?
	 * NULL: none is. */
	bool (*is_busy)(void *arg, uint64_t ino);
	bool (*is_making)(void *arg, const char *parent_id, const char *name);
	void *arg;
	struct hold *hold; /* fs/hold.h; NULL: nothing is held */
	bool personal;     /* a change of time alone makes no version there */
};

/* ---- for the planner ----------------------------------------------------- */

struct plan_view {
	struct node n;
	struct attempt *attempt; /* a buffer; valid if in.attempt.open */
	char want_name[NODE_REMOTE_MAX + 1];
	char parent_id[NODE_ID_MAX + 1]; /* of the folder it is in here */
	struct codec_bond bond;          /* of what its item holds; vault */
	struct plan_in in; /* ring, attempt.running, hurry, now_ms, quiet_ms,
	                    * max_age_ms are the caller's */
};

struct plan_view *plan_view_new(void);
void plan_view_free(struct plan_view *v);

/* -ENOENT: no such node. */
int gather_plan(const struct gather *g, struct db *db, uint64_t ino,
                struct plan_view *v);

/* Is all of a file's content here? `contents` is asked if its row can't tell.
 */
int gather_is_whole(const struct gather *g, struct db *db, const struct node *n,
                    bool *out_whole);

/* ---- for the merger ------------------------------------------------------ */

struct merge_view {
	struct node n, at, parent;
	char want_name[NODE_REMOTE_MAX + 1];
	struct node shown;  /* what the name says: name, and in a vault mode,
	                     * owner, times */
	char target[4096];  /* of a symlink whose name carries it */
	struct node base;   /* vault: what the synced name says */
	struct merge_in in; /* last, looked are the caller's and come first */
};

struct merge_view *merge_view_new(void);
void merge_view_free(struct merge_view *v);

/* v->in.last and .looked are set; `r` must live as long as the view is used. */
int gather_merge(const struct gather *g, struct db *db, const struct item *r,
                 struct merge_view *v);

/* Of two items with one plain name, does that of `at` keep it? On all devices
 * alike: the one created first (design: "Vault"). */
bool gather_is_first(const struct node *at, int64_t created, const char *id);

/* Where r would go here: parent ino and name, by merge_target(). */
void merge_view_place(const struct merge_view *v, uint64_t *out_parent,
                      const char **out_name);

/* The key for node_insert() and node_set_place(): NULL if it equals the name.
 * malloc'ed. */
int gather_fold(const struct codec *codec, const char *name, char **out_fold);

#endif
