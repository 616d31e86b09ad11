/* fs/tree.h -- the local tree as the kernel sees it: names, attributes, live
 * nodes, open handles.
 *
 * Rows live in the store (fs/node.h); this module adds what only memory knows:
 * which nodeids the kernel holds (lookup counts), which content version each
 * stands for, who has it open. A *nodeid* names one inode **and one remote
 * content version**: when the server's content replaces ours, or a provisional
 * size is corrected, the node gets a new nodeid with the same st_ino; the old
 * one keeps the old content until it is closed and forgotten, and opening it
 * gives -ESTALE (the kernel then looks the name up again). A nodeid equals the
 * ino until the first such change; later ones are >= TREE_NODEID_FIRST.
 *
 * Every change here is one transaction, marks the node NODE_DIRTY and tells
 * the engine. Nothing here touches the network, and nothing waits.
 *
 * Attributes of a file that is open for writing (mode, owner, times, size) are
 * collected in memory and saved with its first flush, at the latest by the
 * syncer, within a second: so a small file costs one transaction to make and
 * one to close. Once all its writers were flushed, as programs see it closed,
 * each change is saved before it is answered. Everything here shows the newest
 * values.
 *
 * Who writes what of a file's row and content (fs/content.h):
 *  - node.cid: set here (make, first use, truncation to nothing), by a
 *    tree_edit (a new version) and by eviction (0);
 *  - node.gen: starts at 1 here, +1 here with a new cid for a truncation;
 *    otherwise fs/content opens a generation with the first write after
 *    content_freeze() (node_set_gen(), content_changed_fn);
 *  - node.size: here, in the transaction that saves the content's own row;
 *  - NODE_FRESH: set by a truncation to nothing under an open writer, cleared
 *    here when the last writer closes;
 *  - CFILE_SOFT: cleared by content_settle(): the syncer's after a close or
 *    flush, fsync's, or the engine's before it seals.
 *
 * Lock: tree.lock (rank LOCK_TREE, rwlock): read for lookups, write for
 * changes. Threads: any. Errors: POSIX errnos, negative. */
#ifndef NMB_TREE_H
#define NMB_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "fs/node.h"

#define TREE_NODEID_FIRST (UINT64_C(1) << 48)

struct codec;
struct content;
struct contents;
struct handle; /* one open file */
struct store;
struct tree;

/* What others want to hear; called with no lock held, `dirty` maybe under a
 * content.lock: it must only queue. */
struct tree_events {
	void *arg;
	/* A local change: the node (or its content) may have to be sent. */
	void (*dirty)(void *arg, uint64_t ino);
	/* A file got its last writer closed, or was fsynced. */
	void (*settled)(void *arg, uint64_t ino);
	/* The kernel's knowledge is old (fs/notify): an entry, attributes. */
	void (*stale_entry)(void *arg, uint64_t parent_nodeid,
	                    const char *name);
	void (*stale_attr)(void *arg, uint64_t nodeid);
	/* There is something for tree_sync() to do. */
	void (*unsynced)(void *arg);
};

/* What is counted in front of our folder's path until the service has said more
 * (facts/graph.md 11.1), in UTF-16 units; learned in table meta. */
#define TREE_SERVICE_UNITS 40
#define TREE_SERVICE_KEY   "service_units"

struct tree_options {
	struct store *store;
	struct contents *contents;
	const struct codec *codec; /* names: what can be held there */
	unsigned path_units; /* UTF-16 units of our folder's path on the drive,
	                      * counted against the service's limit */
	bool read_only;
	bool append_only;
	uid_t uid; /* of the root and of what other devices made */
	gid_t gid;
	struct tree_events events;
};

/* append_only: what was sent, or is being sent, stays as it is: unlink, rmdir,
 * renaming over it or exchanging it, truncating and opening it for writing are
 * -EPERM. What is new may be written and removed until then; whoever still has
 * it open from before goes on, and what he wrote is sent when he is done. A
 * rename to a free name, modes and times are no harm. What other devices do is
 * not asked. */

/* After contents_recover(); what that left SOFT is the first tree_sync()'s.
 * Makes the root row in an empty store; takes contents_set_changed().
 * tree_free(): no handle is open, tree_sync() comes before. */
int tree_new(const struct tree_options *opt, struct tree **out_t);

/* The service counts that much in front of all paths: names that are made from
 * now on are measured by it. */
void tree_set_service_units(struct tree *t, unsigned units);
void tree_free(struct tree *t);

/* ---- what FUSE asks ------------------------------------------------------ */

struct tree_entry {
	uint64_t nodeid; /* 0: negative entry never; -ENOENT instead */
	struct stat st;
};

/* All that fill an entry count one kernel lookup of its nodeid.
 * tree_lookup(): -ENOENT; -EAGAIN: the folder's children are not known yet:
 * ask again when the engine has listed it (*out_list: its ino). */
int tree_lookup(struct tree *t, uint64_t parent, const char *name,
                struct tree_entry *out, uint64_t *out_list);
void tree_forget(struct tree *t, uint64_t nodeid, uint64_t count);
int tree_get_attr(struct tree *t, uint64_t nodeid, struct stat *out_st);
/* The row as of now; -ESTALE for an outdated nodeid. */
int tree_get_node(struct tree *t, uint64_t nodeid, struct node *out_n);

/* Bits of `what`; sizes go through content (a size 0 takes a new content
 * number, so that what was there survives until the next settle). */
enum tree_set {
	TREE_SET_MODE = 1 << 0,
	TREE_SET_UID = 1 << 1,
	TREE_SET_GID = 1 << 2,
	TREE_SET_SIZE = 1 << 3,
	TREE_SET_ATIME = 1 << 4,
	TREE_SET_MTIME = 1 << 5,
	TREE_SET_CTIME = 1 << 6,
};
int tree_set_attr(struct tree *t, uint64_t nodeid, const struct stat *st,
                  unsigned what, struct stat *out_st);

/* Any kind: the type bits of `mode` decide. -EEXIST, -ENAMETOOLONG (name or
 * path limit of the service), -EINVAL (a name the service refuses), -EEXIST
 * also for a name the service holds equal (plain folders). */
int tree_make(struct tree *t, uint64_t parent, const char *name, mode_t mode,
              uint64_t rdev, uid_t uid, gid_t gid, struct tree_entry *out);
/* Makes a file and opens it; if the name came up meanwhile, opens that (unless
 * O_EXCL). */
int tree_create(struct tree *t, uint64_t parent, const char *name, mode_t mode,
                int flags, uid_t uid, gid_t gid, struct tree_entry *out,
                struct handle **out_h);
int tree_symlink(struct tree *t, uint64_t parent, const char *name,
                 const char *target, uid_t uid, gid_t gid,
                 struct tree_entry *out);
ssize_t tree_read_link(struct tree *t, uint64_t nodeid, char *out, size_t size);
/* The row of what is removed or replaced stays, without a place, until the
 * planner is done with it: with parent 0, gone_round and maybe replaced_by.
 * -EAGAIN as in tree_lookup(): whether the directory is empty is not known. */
int tree_unlink(struct tree *t, uint64_t parent, const char *name);
int tree_rmdir(struct tree *t, uint64_t parent, const char *name,
               uint64_t *out_list);
/* `flags`: RENAME_NOREPLACE or RENAME_EXCHANGE or 0. */
int tree_rename(struct tree *t, uint64_t parent, const char *name,
                uint64_t new_parent, const char *new_name, unsigned flags,
                uint64_t *out_list);

/* Entries of a directory in ascending ino after `after` (stable offsets: an
 * entry's offset is its ino). `plus`: fills out->nodeid and counts a lookup;
 * each returns 1 if the entry did not fit (then it was not counted).
 * -EAGAIN as in tree_lookup(). */
typedef int tree_dir_fn(void *arg, const char *name, uint64_t ino,
                        const struct tree_entry *e);
int tree_each_entry(struct tree *t, uint64_t nodeid, uint64_t after, bool plus,
                    tree_dir_fn *each, void *arg, uint64_t *out_list);
int tree_get_parent(struct tree *t, uint64_t nodeid, uint64_t *out_ino);

/* ---- open files ---------------------------------------------------------- */

/* O_TRUNC is done here. Opening for writing a file that is not wholly here is
 * fine: fetch hydrates it (fs/fetch.h). -ESTALE: an outdated nodeid; -EISDIR;
 * -EROFS; -EPERM (foreign item, append_only). */
int tree_open(struct tree *t, uint64_t nodeid, int flags,
              struct handle **out_h);
/* Only after the last use of `h`. */
void tree_release(struct tree *t, struct handle *h);

/* The content the handle's nodeid stands for now; a reference for the caller
 * (content_put()). Made on first use for what the server has. */
int tree_handle_content(struct tree *t, struct handle *h,
                        struct content **out_c);
/* A reference to what `ino` has as content now, made if need be. */
int tree_load_content(struct tree *t, uint64_t ino, struct content **out_c);
bool handle_can_write(const struct handle *h);
uint64_t handle_nodeid(const struct handle *h);
uint64_t handle_ino(const struct handle *h);

/* True if the server's version replaced it since: then *out_size is the size
 * that the kernel knows, and reads up to there end in full or with an error. */
bool tree_handle_outdated(struct tree *t, struct handle *h, uint64_t *out_size);

/* After bytes of `c` were written: size and times, saved later. `cached`: the
 * kernel wrote its pages back; it keeps the times itself and sends them. */
void tree_wrote(struct tree *t, struct handle *h, struct content *c,
                bool cached);

/* FLUSH: what was written so far survives the death of the program. fsync():
 * and a power cut (content, row, name); `h` NULL: the names of all
 * directories. */
int tree_flush(struct tree *t, struct handle *h);
int tree_fsync(struct tree *t, struct handle *h);

/* The syncer: makes every commit so far survive a power cut; contents_tidy().
 * Called within a second of an event `unsynced`, and now and then. */
int tree_sync(struct tree *t);

/* ---- what the engine needs ----------------------------------------------- */

struct tree_use {
	unsigned readers, writers; /* open handles, all nodeids of the ino */
	int64_t wrote_ms; /* last write or size change; 0: not on this mount*/
	int64_t dirty_ms; /* first change since the last close or snapshot */
	int64_t fsync_ms; /* last fsync by a program; 0: none */
	int64_t taken_ms; /* last snapshot while a writer had it; 0: none */
};
/* clock_mono_ms() times; zeros if it is not live. */
void tree_get_use(struct tree *t, uint64_t ino, struct tree_use *out);

/* The engine has taken what an open file holds now: dirty_ms starts anew. */
void tree_note_snapshot(struct tree *t, uint64_t ino);

/* A change that did not come from a program here. tree_edit_begin() takes
 * tree.lock for writing and begins a transaction; rows are edited through
 * `db`; notes say what memory and kernel must learn; tree_edit_end() commits
 * (rc 0) or rolls back (rc < 0) and returns the outcome. No network, no other
 * tree call in between. */
struct tree_edit;
int tree_edit_begin(struct tree *t, struct tree_edit **out_e,
                    struct db **out_db);
/* tree_get_use() within an edit. */
void tree_edit_get_use(struct tree_edit *e, uint64_t ino, struct tree_use *out);
/* The entry `name` in folder `parent` (inos) came, went or changed. */
void tree_edit_entry(struct tree_edit *e, uint64_t parent, const char *name);
/* The node stands for another content now (row's cid changed, or became 0), or
 * its size was corrected: new nodeid, old one outdated. Not while somebody has
 * it open for writing, whose writes would be lost (tree_get_use()), except for
 * a size. Without this a changed cid is the content's own business. */
void tree_edit_version(struct tree_edit *e, uint64_t ino);
/* Mode, owner, times that programs should see; not needed for s_ columns. A
 * closed file gets a new nodeid, since the kernel believes its own times. */
void tree_edit_attr(struct tree_edit *e, uint64_t ino);
/* A closed file gets a new nodeid, for the same content: attributes may be
 * asked and set by the old one still, until the kernel has heard of it. */
void tree_edit_renew(struct tree_edit *e, uint64_t ino);
/* Wake the engine for it after the commit. */
void tree_edit_dirty(struct tree_edit *e, uint64_t ino);
/* Content that lost a user: collected after the commit when nobody has it. */
void tree_edit_drop(struct tree_edit *e, uint64_t cid);
int tree_edit_end(struct tree_edit *e, int rc);

#endif
