/* fs/node.h -- a row of the tree: one node with its local and synced state.
 *
 * A node is what POSIX calls an inode. Its *local* columns are what programs
 * see here; its *synced* columns (s_...) are what the server last confirmed
 * for the item s_id. The *remote* state, where it differs from the synced one,
 * lives in fs/seen.h. Nothing here decides anything.
 *
 * Invariants of stored rows:
 *  - (parent, name) is unique among linked nodes; parent is a directory row.
 *  - s_id is unique; without s_id the other s_ columns mean nothing.
 *  - content of a file differs from the server's iff gen != s_gen; s_gen 0
 *    means the server never had content of this node.
 *  - NODE_DIRTY is set wherever local and synced may differ: the planner
 *    clears it, every local change sets it.
 *
 * Times are ns since 1970. Threads: as fs/db.h. Errors: as fs/db.h, and
 * -ENOENT where a single row was asked for and is not there. */
#ifndef NMB_NODE_H
#define NMB_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct db;

#define NODE_ROOT       1  /* ino of the mount's root */
#define NODE_FIRST      16 /* smaller numbers are reserved */
#define NODE_NAME_MAX   255
#define NODE_ID_MAX     255
#define NODE_ETAG_MAX   255
#define NODE_REMOTE_MAX 1023 /* bytes of a name on the server: 255 UTF-16 */
#define NODE_HASH_SIZE  20   /* quickXorHash */

enum node_flag {
	NODE_DIRTY = 1 << 0,
	NODE_ALIAS = 1 << 1,    /* name is only how we show s_name (clash, too
	                         * long): it is no local rename */
	NODE_UNLISTED = 1 << 2, /* directory whose children are not known yet */
	NODE_FOREIGN = 1 << 3,  /* notebook, shortcut...: shown, not touched */
	NODE_MALWARE = 1 << 4,  /* the service refuses its content */
	NODE_HASHED = 1 << 5,   /* s_hash is set */
	NODE_ASIDE = 1 << 6,    /* s_name is a temporary name of ours */
	NODE_APPROVED = 1 << 7, /* a person let its delete or overwrite go
	                         * (fs/hold.h); until that is done */
	NODE_FRESH = 1 << 8,    /* local content replaced the former one whole
	                         * and no writer has finished it yet */
};

struct node {
	uint64_t ino;
	uint32_t flags;

	/* local */
	mode_t mode; /* with the type bits */
	uid_t uid;
	gid_t gid;
	uint64_t rdev;
	uint64_t parent; /* 0: unlinked here */
	char name[NODE_NAME_MAX + 1];
	int64_t mtime, ctime, atime;
	uint64_t size; /* plaintext bytes */
	uint64_t cid;  /* content file (fs/cfile.h); 0: none here */
	uint64_t gen;  /* generation of the local content; 0: no content kind */

	/* synced */
	char s_id[NODE_ID_MAX + 1]; /* "": not on the server */
	uint64_t s_parent;          /* ino of the folder it lies in there */
	char s_name[NODE_REMOTE_MAX + 1];
	char s_etag[NODE_ETAG_MAX + 1];
	uint64_t s_gen;  /* the local generation that the item holds */
	uint64_t s_size; /* bytes on the server (sealed) */
	uint64_t s_len;  /* plaintext bytes of that */
	uint8_t s_hash[NODE_HASH_SIZE];
	int64_t s_mtime;
	int64_t s_created; /* server's createdDateTime */

	/* bookkeeping */
	int64_t gone_round;   /* delta round under way or done when unlinked */
	uint64_t replaced_by; /* ino that took its place by rename */
};

static inline bool node_is_dir(const struct node *n)
{
	return (n->mode & 0170000) == 0040000;
}

static inline bool node_is_file(const struct node *n)
{
	return (n->mode & 0170000) == 0100000;
}

static inline bool node_on_server(const struct node *n)
{
	return n->s_id[0] != '\0';
}

/* All columns equal. */
bool node_same(const struct node *a, const struct node *b);

int node_get(struct db *db, uint64_t ino, struct node *out_n);
int node_get_child(struct db *db, uint64_t parent, const char *name,
                   struct node *out_n);
int node_get_by_id(struct db *db, const char *item_id, struct node *out_n);

/* The linked child of `parent` whose name is equal under the service's
 * comparison (net/names.h); `fold` is the key of the name looked for. */
int node_get_twin(struct db *db, uint64_t parent, const char *fold,
                  struct node *out_n);

/* The dirty node whose synced place is that one: it holds the name on the
 * server although it has left, or will leave, the place here. */
int node_get_occupant(struct db *db, uint64_t s_parent, const char *s_name,
                      struct node *out_n);

/* The node that was unlinked here under that name and still lies in that folder
 * there; of several the one unlinked last. */
int node_get_left(struct db *db, uint64_t s_parent, const char *name,
                  struct node *out_n);

/* Inserts under n->ino (store_next_ino()). `fold` is NULL if it equals the
 * name (always in a vault). -EEXIST if the name is taken. */
int node_insert(struct db *db, const struct node *n, const char *fold);

/* Writes the row back, all but its local place (parent, name). */
int node_update(struct db *db, const struct node *n);

/* Only if the node still has content `cid`: a new generation (marks it dirty);
 * another size. */
int node_set_gen(struct db *db, uint64_t ino, uint64_t cid, uint64_t gen);
int node_set_size(struct db *db, uint64_t ino, uint64_t cid, uint64_t size);

/* Only the local place; `fold` as in node_insert(). parent 0 unlinks. */
int node_set_place(struct db *db, uint64_t ino, uint64_t parent,
                   const char *name, const char *fold);

/* Sets and clears flags of one row. */
int node_set_flags(struct db *db, uint64_t ino, uint32_t set, uint32_t clear);

/* Marks a directory's times as changed (entry added or removed). */
int node_touch(struct db *db, uint64_t ino, int64_t now_ns);

/* Removes the row with its link target and blocked reason. */
int node_delete(struct db *db, uint64_t ino);

/* Link targets and blocked reasons are rare and live beside the row.
 * node_get_target() returns the length, or -Exxx; `size` 4096 always fits. */
int node_set_target(struct db *db, uint64_t ino, const char *target);
ssize_t node_get_target(struct db *db, uint64_t ino, char *out, size_t size);
int node_set_blocked(struct db *db, uint64_t ino, int rc, const char *reason);
int node_get_blocked(struct db *db, uint64_t ino, int *out_rc, char *out,
                     size_t size); /* -ENOENT: not blocked */

/* Children in ascending ino, after `after`. The callback gets the row in a
 * buffer of the call and returns 0 to go on, 1 to stop (that row counts as
 * not seen), or -Exxx. It may ask other queries, but not this one. */
typedef int node_each_fn(void *arg, const struct node *n);
int node_each_child(struct db *db, uint64_t parent, uint64_t after,
                    node_each_fn *each, void *arg);
/* The same by name, in ascending order of its bytes. */
int node_each_named_child(struct db *db, uint64_t parent, const char *after,
                          node_each_fn *each, void *arg);
/* By synced parent: what lies in that folder on the server. */
int node_each_synced_child(struct db *db, uint64_t s_parent, node_each_fn *each,
                           void *arg);
/* Collects inos: a node_each_fn whose `arg` is a struct node_inos; the caller
 * frees `ino`. */
struct node_inos {
	uint64_t *ino;
	size_t n, cap;
};
int node_add_ino(void *arg, const struct node *n);

int node_each_dirty(struct db *db, uint64_t after, node_each_fn *each,
                    void *arg);
int node_each_blocked(struct db *db, node_each_fn *each, void *arg);
int node_each_unlinked(struct db *db, node_each_fn *each, void *arg);

/* 1 if it has a linked child, 0 if not, or -Exxx. */
int node_has_children(struct db *db, uint64_t parent);
/* Has it a name here (the root has)? 1, 0, -Exxx. */
int node_is_linked(struct db *db, uint64_t ino);
/* 1 if something on the server lies in it that is not unlinked here. */
int node_has_kept_synced_child(struct db *db, uint64_t s_parent);

int node_count_dirty(struct db *db, int64_t *out_n);
int node_count_linked(struct db *db, int64_t *out_n);

/* Path from the root, "/" in front; "" for unlinked. -ENAMETOOLONG if it does
 * not fit, -ELOOP if the rows are damaged. */
int node_path(struct db *db, uint64_t ino, char *out, size_t size);

/* The ino of a path below the root; slashes in front, behind and doubled are
 * fine. -ENOENT, -ENAMETOOLONG. */
int node_find(struct db *db, const char *path, uint64_t *out_ino);

/* 1 if `ino` is `ancestor` or lies below it in the local tree. */
int node_is_below(struct db *db, uint64_t ino, uint64_t ancestor);

#endif
