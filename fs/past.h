/* fs/past.h -- what a tree was at a moment in the past.
 *
 * The ledger (fs/ledger.h) says which requests of this device the service
 * confirmed, and when: replayed up to that moment it gives names, places and
 * contents. What is there now says the rest: what other devices made, and what
 * is gone. Pure: no I/O, no clock.
 *
 *	past_new()
 *	past_note() for each entry of the ledger, oldest first
 *	past_see() for each item that is there now, folders before what is in
 *	           them; of a few items only: the others count as gone
 *	past_each()
 *
 * Items are told by id; folders of which only the path is known, because
 * something lay in them, have none. Times are ns since 1970, the ledger's by
 * the clock of this machine, `created` by the service's. Threads: one at a
 * time per object. Errors: -ENOMEM. */
#ifndef NMB_PAST_H
#define NMB_PAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/node.h"
#include "fs/plainhash.h"

struct ledger_entry;
struct past;

/* `root_id`: of the folder itself, or "". */
int past_new(int64_t at, const char *root_id, struct past **out_p);
void past_free(struct past *p); /* takes NULL */

int past_note(struct past *p, const struct ledger_entry *e);

struct past_seen {
	const char *id, *parent_id;
	const char *path;  /* as the folder shows it, no slash in front */
	const char *alias; /* its name where another one has that; or NULL */
	mode_t mode;       /* with the type bits */
	int64_t mtime;
	const char *target; /* of a symlink, or NULL */
	uint64_t size;      /* bytes there */
	bool has_hash;
	uint8_t hash[NODE_HASH_SIZE];
	int64_t created;
};
int past_see(struct past *p, const struct past_seen *s);

enum past_doubt {
	/* Another device made it, or gave it other content: which one it had
	 * then only the service's times tell. */
	PAST_FOREIGN = 1 << 0,
	/* Another device moved it: where it lay then is not known. */
	PAST_MOVED = 1 << 1,
	/* It is older than what the ledger says of it. */
	PAST_EARLY = 1 << 2,
	/* It was deleted here, and is there again since some time: whether it
	 * was there is not known. Told so that it can be said; it is no part
	 * of the tree. */
	PAST_BACK = 1 << 3,
	/* It was not deleted here and is gone: maybe it was gone already. */
	PAST_VANISHED = 1 << 4,
};

struct past_item {
	const char *id;   /* "": a folder of which no more is known */
	const char *path; /* then; no slash in front */
	mode_t mode;      /* with the type bits, and permissions if known */
	int64_t mtime;    /* 0: not known */
	const char *target;

	bool known; /* the ledger says which content it had: */
	uint64_t size, plain_size;
	bool has_hash, has_plain_hash;
	uint8_t hash[NODE_HASH_SIZE];
	uint8_t plain_hash[PLAINHASH_SIZE];
	int64_t confirmed; /* when it was noted */

	bool present; /* it is there now */
	/* When it was deleted here, and by which request: those of one number
	 * went at once, with the topmost of them. 0: it was not. */
	int64_t deleted;
	unsigned doubts; /* enum past_doubt */
};

/* All there were at that moment, by path: folders before what is in them. The
 * callback's item is borrowed; anything but 0 ends it and comes back. */
typedef int past_each_fn(void *arg, const struct past_item *it);
int past_each(struct past *p, past_each_fn *each, void *arg);

#endif
