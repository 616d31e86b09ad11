/* fs/remote.h -- brings what the server said into the rows: asks fs/merge,
 * does what it answers.
 *
 * Observations come from three sides: pages of the feed (remote_take_page()),
 * listings, and items looked at by id. What can't be applied yet is kept in
 * fs/seen and asked again by remote_settle(): after an attempt ended, a writer
 * closed, a round ended. Threads: the engine's only. Errors: 0 or -Exxx. */
#ifndef NMB_REMOTE_H
#define NMB_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/gather.h"
#include "fs/item.h"

struct contents;
struct db;
struct events;
struct hold;
struct remote;
struct store;
struct tree;
struct told;
struct tree_edit;

struct remote_options {
	struct store *store;
	struct tree *tree;
	struct gather gather;
	struct told *told;
	struct hold *hold; /* NULL: off */
	struct events
		*events; /* what is taken over, conflicts, holds; or NULL */
	uid_t uid;       /* of what other devices made */
	gid_t gid;
	const char *host;         /* for conflict names; copied */
	const char *watched_name; /* a file that somebody wants to know of, */
	void (*watched)(void *arg, const struct item *it); /* ...or NULL */
	void *arg;
};

int remote_new(const struct remote_options *opt, struct remote **out_r);
void remote_free(struct remote *r);

/* One page of a feed or listing, in one transaction: what is simply new or
 * known is applied at once, the rest noted in fs/seen; `note` (may be NULL)
 * adds the link that comes after it. `mark`: a full enumeration, ids are noted
 * as listed. `asked`: a listing that was asked for at that moment (fs/told.h):
 * what was heard of since is left out; 0: the feed. */
typedef int remote_note_fn(void *arg, struct db *db);
int remote_take_page(struct remote *r, const struct item *items, size_t n,
                     int64_t round, bool mark, uint64_t asked,
                     remote_note_fn *note, void *arg);

/* Merges one item that was looked at just now, and forgets what was noted of
 * it before. 0: applied or nothing to do; -EAGAIN: parked. */
int remote_take_looked(struct remote *r, const struct item *item);

/* Goes through fs/seen. `last`: the round is over (deletes are applied,
 * unknown parents are outside). What needs a GET is handed to `look`; its
 * outcome comes back by remote_take_looked(). Deletes that would remove too
 * much are held (promise 4; fs/hold.h): they stay there, with SEEN_HELD. */
typedef int remote_look_fn(void *arg, const char *id);
int remote_settle(struct remote *r, bool last, remote_look_fn *look, void *arg);

/* A full enumeration did not bring so many nodes: are that too many, should
 * they all be gone? Then what is found to be gone is held. */
int remote_hold_missing(struct remote *r, int64_t missing);

/* A person keeps what is here of the items whose delete is held: it is new, and
 * will be uploaded again. What is not wholly here goes. */
struct remote_kept {
	int64_t done, lost;
};
int remote_keep_held(struct remote *r, struct remote_kept *out);

/* A held delete or overwrite of node `ino` (fs/held.h) is taken back: it is
 * again what the server has, in that place. Content written here is set aside
 * first, in `dir` of the quarantine (content_keep_aside()); *out_kept: it was.
 * 0, also if there is nothing to take back; -EBUSY: a program writes it. */
int remote_undo(struct remote *r, uint64_t ino, struct contents *cs,
                const char *dir, bool *out_kept);

/* Writes r's columns over n's synced ones; `parent`: ino of its folder. */
void remote_set_synced(const struct gather *g, struct node *n,
                       const struct item *r, uint64_t parent);
/* The node is no item any more. */
void remote_clear_synced(struct node *n);

#endif
