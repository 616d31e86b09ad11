/* fs/tree_internal.h -- shared by the tree*.c files only.
 *
 * Two locks: tree.lock (LOCK_TREE) orders changes of names and of the content
 * a node stands for; table_lock (LOCK_LEAF) guards what only memory knows. A
 * pointer to a live or version is used under table_lock only, except by who
 * has a handle, which keeps both alive. */
#ifndef NMB_TREE_INTERNAL_H
#define NMB_TREE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "fs/tree.h"

/* Attributes on their way into a row; `what` are bits of enum tree_set. */
struct attrs {
	unsigned what;
	mode_t mode; /* permission bits */
	uid_t uid;
	gid_t gid;
	uint64_t size;
	int64_t atime, mtime, ctime;
};

/* One inode of which the kernel knows a nodeid, or which is open. */
struct live {
	struct live *next; /* hash chain by ino */
	uint64_t ino;      /* set once */
	struct version *versions;
	struct version *current; /* NULL: the next lookup makes one */
	bool renumber;           /* its nodeid is not the ino any more */
	unsigned readers, writers;
	unsigned unflushed; /* of the writers: whose first FLUSH is to come */
	int64_t wrote_ms, dirty_ms, fsync_ms, taken_ms;
	bool gone;       /* unlinked: the engine waits for the close */
	bool unfinished; /* NODE_FRESH is set: a close takes it away */
	bool unsynced;   /* bytes changed since the syncer was told */

	/* Newer than the row; saved with its content (tree_flush()). */
	struct attrs pend;
	uint64_t pend_seq; /* changes with every change of `pend` */
	struct live *next_pend, **pprev_pend; /* NULL: not in the list */

	/* Directories: UTF-16 units of the path on the server. */
	unsigned path_units;
	uint64_t path_epoch; /* 0: unknown */
};

/* One nodeid: an inode with one remote content version. */
struct version {
	struct version *next_id; /* hash chain by nodeid */
	struct version *next;    /* of the same inode */
	struct live *live;
	uint64_t nodeid, lookups;
	unsigned handles;
	/* While open. Set under tree.lock(read) and table_lock, replaced under
	 * tree.lock(write) and table_lock. */
	struct content *content;
	bool outdated;
	bool renewed;   /* outdated, but the node's content is still the same */
	struct stat st; /* of an outdated one: what it was */
};

struct handle {
	struct version *version;
	bool write;
	bool flushed; /* table_lock; a close may have been answered */
};

struct tree {
	struct tree_options opt;
	pthread_rwlock_t lock;      /* LOCK_TREE */
	pthread_mutex_t table_lock; /* LOCK_LEAF */
	struct live **by_ino;
	struct version **by_id;
	size_t buckets, nversions; /* buckets: power of two, of both tables */
	uint64_t next_nodeid;
	_Atomic unsigned service_units;
	uint64_t epoch; /* of paths; changes when a directory may have moved */
	struct live *pending;

	/* For the syncer. */
	uint64_t *soft; /* contents to settle */
	size_t nsoft, soft_cap;
	atomic_bool unsynced; /* commits since the last store_sync() */
};

/* ---- tree.c: the table; `_locked`: under table_lock ---------------------- */

struct version *tree_find_locked(struct tree *t, uint64_t nodeid);
struct live *tree_find_live_locked(struct tree *t, uint64_t ino);

/* The version that lookups of `ino` get now, made if need be; not counted. */
int tree_enter_locked(struct tree *t, uint64_t ino, struct version **out_v);

/* Frees what nobody needs any more of it. */
void tree_leave_locked(struct tree *t, struct live *l);

/* Its ino; -ESTALE for a nodeid nobody was given, or an outdated one. */
int tree_get_ino(struct tree *t, uint64_t nodeid, uint64_t *out_ino);

/* A directory may have moved: path lengths are counted anew. */
void tree_forget_paths(struct tree *t);

void tree_fill_stat(const struct node *n, struct stat *st);

/* Counts one lookup of the node and fills `out` (row plus what memory knows
 * better). tree.lock. */
int tree_enter(struct tree *t, struct node *n, struct tree_entry *out);

/* tree.lock(write) and a transaction. tree_end() commits if rc is 0, else
 * rolls back, and drops the lock. tree_commit() keeps it. */
int tree_begin(struct tree *t, struct db **out_db);
int tree_commit(struct tree *t, int rc);
int tree_end(struct tree *t, int rc);

/* Something is newer than the disk: wakes the syncer. No lock held but LEAF
 * excluded. */
void tree_note_unsynced(struct tree *t);
void tree_note_dirty(struct tree *t, uint64_t ino);

/* ---- tree_attr.c --------------------------------------------------------- */

void tree_apply(const struct attrs *a, struct node *n);
void tree_pend_locked(struct tree *t, struct live *l, const struct attrs *a);

/* Saves what is pending for `ino`, with its content's row if `c`. `closing`:
 * the caller is about to close its writer. */
int tree_save(struct tree *t, uint64_t ino, struct content *c, bool closing);

/* Gives the node an empty content; the old one stays as what a power cut falls
 * back to. Who has it open gets the new one. `a`: other attributes. */
int tree_truncate(struct tree *t, uint64_t ino, const struct attrs *a);

/* ---- tree_guard.c -------------------------------------------------------- */

/* -EPERM if append_only says that `n` stays as it is. Also within a
 * transaction. */
int tree_guard(struct tree *t, struct db *db, const struct node *n);
/* The same for its content, about to be opened for writing, or truncated.
 * Whoever has it open for writing may truncate it. */
int tree_guard_content(struct tree *t, const struct node *n);

/* ---- tree_names.c ----------------------------------------------------------
 */

int tree_copy_name(const char *name, char *out);

/* The row of a directory that still has its place. */
int tree_get_dir(struct tree *t, struct db *db, uint64_t nodeid,
                 struct node *out_n);

/* Does the folder hold items that are not shown (fs/hidden.h)? 1 with a line
 * in the log, 0, -Exxx. */
int tree_holds_hidden(struct db *db, const struct node *dir);

/* Takes the row's place away, for the planner to see. */
int tree_unlink_row(struct db *db, struct node *n, uint64_t replaced_by,
                    int64_t now);

/* Its last close tells the engine. */
void tree_note_gone(struct tree *t, uint64_t ino);

/* ---- tree_open.c -----------------------------------------------------------
 */

/* Gives a file that has none its content, from what the server has. Changes
 * `n`, which the caller saves. */
int tree_add_content(struct tree *t, struct db *db, struct node *n);

/* Under tree.lock(write), after a commit gave `ino` content `cid`: open
 * handles get it. Returns the former one for the caller to put, unlocked. */
struct content *tree_swap_content(struct tree *t, uint64_t ino, uint64_t cid);

/* A reference to the content that is open now; NULL if none. No lock. */
struct content *tree_get_open(struct tree *t, uint64_t ino);

/* Registers a handle for the version, and takes it away. Returns content that
 * nobody has open any more, for the caller to put, unlocked. */
void tree_open_locked(struct version *v, struct handle *h);
struct content *tree_close_locked(struct tree *t, struct handle *h);

/* ---- tree_sync.c --------------------------------------------------------- */

/* Bytes or size of `ino` changed, its content is `cid`: times, the syncer, and
 * the engine if nobody is going to close it. */
void tree_note_written(struct tree *t, uint64_t ino, uint64_t cid);

/* The same, as a write begins. */
void tree_stamp(struct tree *t, uint64_t ino);

/* Content `cid` is closed or flushed: the syncer settles it. */
void tree_queue_soft(struct tree *t, uint64_t cid);

/* What the last run left SOFT. */
int tree_queue_all_soft(struct tree *t);

/* ---- tree_place.c -----------------------------------------------------------
 */

/* Whether the server can hold `n` (with its new name) in folder `parent`;
 * `target`: of a symlink that is no row yet; `except`: a node there that goes
 * away. *out_fold is malloc'ed or NULL. */
int tree_check_place(struct tree *t, struct db *db, uint64_t parent,
                     const struct node *n, const char *target, uint64_t except,
                     char **out_fold);

#endif
