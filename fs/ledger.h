/* fs/ledger.h -- what the service confirmed of our own requests, by item id.
 *
 * Kept after the node is gone: an id in here was ours, whatever a feed says;
 * `undelete` and `receipt` read it, and so does who wonders whether a tag seen
 * somewhere was one of ours. Entries are observations, in the order in which
 * they were noted; never a queue of work.
 *
 * Of each item the newest LEDGER_KEEP entries stay. Times are ns since 1970.
 * Threads and errors: as fs/db.h, and -ENOENT where one entry was asked for
 * and there is none. */
#ifndef NMB_LEDGER_H
#define NMB_LEDGER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/node.h"
#include "fs/plainhash.h"

struct db;

#define LEDGER_KEEP   32
#define LEDGER_TARGET 4095 /* bytes of a link target */

enum ledger_what {
	LEDGER_CREATED = 1, /* a folder, or a file with its content */
	LEDGER_CONTENT,     /* new content for it */
	LEDGER_MOVED,       /* another name, folder or times */
	LEDGER_DELETED,
	LEDGER_BACK, /* seen there again after DELETED: somebody took it out of
	              * the recycle bin, some time before that */
};

struct ledger_entry {
	uint64_t seq; /* given by ledger_add(); ascending */
	int64_t time;
	enum ledger_what what;
	char id[NODE_ID_MAX + 1];
	char path[PATH_MAX];          /* "" : as in the entry before */
	char etag[NODE_ETAG_MAX + 1]; /* as confirmed; "": not told */
	uint64_t size;                /* bytes there */
	uint64_t plain_size;
	bool has_hash; /* of what is there */
	uint8_t hash[NODE_HASH_SIZE];
	/* What it was here at that moment, so that a tree can be made again as
	 * it was: */
	char parent_id[NODE_ID_MAX + 1]; /* the folder there; "": not told */
	mode_t mode; /* with the type bits; 0: noted before that was kept */
	int64_t mtime;
	char target[LEDGER_TARGET + 1]; /* of a symlink */
	bool has_plain_hash; /* of the plaintext, if it was read in one go */
	uint8_t plain_hash[PLAINHASH_SIZE];
};

/* Adds one, in the transaction that notes the outcome; sets e->seq. For MOVED
 * and DELETED, path (if "") and content columns are taken from the newest
 * entry of the item. The struct is large: not on a deep stack. */
int ledger_add(struct db *db, struct ledger_entry *e);

/* DELETED for the item of `ino` and all that lies in it on the server (synced
 * parents), before their rows forget the ids: its own entry is the first of
 * that time. */
int ledger_add_deleted(struct db *db, uint64_t ino, int64_t time);

/* BACK for the item of a node that was just made for it, if the newest entry
 * is DELETED. `parent_id` as in struct ledger_entry. */
int ledger_add_back(struct db *db, const struct node *n, const char *parent_id,
                    int64_t time);

/* The newest entry of an item. */
int ledger_get(struct db *db, const char *id, struct ledger_entry *out_e);

/* The entry that tells of the item's newest content that is from here; of an
 * item that was moved LEDGER_KEEP times since, the oldest one left. */
int ledger_get_content(struct db *db, const char *id,
                       struct ledger_entry *out_e);

/* 1 if the service once gave us that tag for that item; 0 if not, or if that
 * is more than LEDGER_KEEP entries ago. */
int ledger_had_tag(struct db *db, const char *id, const char *etag);

/* All there are, oldest first. The callback gets the entry in a buffer of the
 * call; 1 stops. */
typedef int ledger_each_fn(void *arg, const struct ledger_entry *e);
int ledger_each_entry(struct db *db, ledger_each_fn *each, void *arg);

/* Newest first, before entry `before` (0: from the newest). */
int ledger_each(struct db *db, const char *id, ledger_each_fn *each, void *arg);
/* Items whose newest entry is DELETED. */
int ledger_each_deleted(struct db *db, uint64_t before, ledger_each_fn *each,
                        void *arg);

#endif
