/* fs/merge.h -- the merger: what does one observation of the server mean here?
 *
 * Pure, as fs/plan.h: an item as the server described it (feed, listing or
 * GET), the node that stands for it, and the surroundings go in; what to do to
 * the rows comes out. "there" is the server, "here" the local tree; "changed
 * there/here" is against the synced state.
 *
 * Nothing is lost in any cell; where two sides made something else of one
 * item, both survive, and the local one gets a name that says so:
 * `NAME (conflict HOST DATE).EXT`.
 *
 * there \ here      | unchanged      | content changed | moved, renamed |
 * unlinked
 * ------------------+----------------+-----------------+----------------+----------
 * unchanged         | nothing        | planner sends   | planner moves  |
 * planner deletes content changed   | new version    | both kept: ours | new
 * version,   | comes back |                | leaves by copy  | here's place   |
 * as there moved, renamed    | follows        | follows         | per field:
 * the | planner deletes |                |                 | side that      |
 * it there, wherever |                |                 | changed it;    | it
 * is |                |                 | both: here     | deleted           |
 * goes           | stays, is new   | stays if all   | done |                |
 * there again     | of it is here, | |                |                 | else
 * goes      | moved out of ours | as deleted     | as deleted      | as deleted
 * | done
 *
 * new there \ at that name here      |
 * -----------------------------------+---------------------------------------
 * nothing                            | comes
 * folder, and a folder new here      | one folder
 * file, and an equal file new here   | one file
 * else new here, or moved here       | ours gets the conflict name, theirs
 * comes an item whose delete we don't know | look at that item first its folder
 * was unlinked here       | the folder comes back with it
 *
 * vault: two items of one plain name  | both are shown: the one created first
 * (two devices made them)             | (then: smaller id) has the name, the
 *                                     | other an alias, until a person
 *                                     | resolves it; all devices agree
 *
 * vault: name, mode, owner, group and time are merged each for itself, and a
 * difference in them never makes a copy.
 *
 * moved there into what lies below it here (two devices made a ring): here
 * wins, the planner moves it back out.
 *
 * moved there into what lay below it there: waits for the news of that.
 *
 * Not applied at once but parked and asked again: while an attempt for the
 * item or for that name is open (what we see may be our own write), while a
 * program has the file open for writing, while the folder it lies in is not
 * known (to the end of the round, after a GET of the next one: then it is
 * outside), and deletes (to the end
 * of the round, deepest first). What undoes a write of ours is looked at by id
 * first: feeds lag. */
#ifndef NMB_MERGE_H
#define NMB_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/item.h"
#include "fs/node.h"

enum merge_verdict {
	MERGE_NOTHING, /* we know all that, or it is not ours */
	MERGE_APPLY,   /* do `ops` */
	MERGE_PARK,   /* ask again when the attempt, the writer, the round ended
	               */
	MERGE_ORPHAN, /* ask again when its folder is known */
	MERGE_LOOK,   /* GET it by id and merge that */
	MERGE_LOOK_AT, /* GET the item of the node that holds the name, merge
	                * that, then ask again */
};

enum merge_op {
	/* about another node */
	MERGE_RELINK_PARENT = 1 << 0, /* the folder comes back */
	MERGE_AT_ASIDE = 1 << 1,      /* `at` gets the conflict name */
	MERGE_AT_ALIAS = 1 << 15,     /* `at` is shown by an alias until its
	                               * own news comes: it has left, too */
	/* about the node */
	MERGE_INSERT = 1 << 2,   /* a new node */
	MERGE_ADOPT_AT = 1 << 3, /* `at` is that item */
	MERGE_SPLIT = 1 << 4,    /* ours leaves: it becomes a new node under the
	                          * conflict name; the item gets a fresh node */
	MERGE_RELINK = 1 << 5,   /* its unlink here is undone */
	MERGE_VERSION = 1 << 6,  /* content follows */
	MERGE_PARENT = 1 << 7,   /* local parent follows */
	MERGE_NAME = 1 << 8,     /* local name follows */
	MERGE_TIMES = 1 << 9,    /* local mtime follows */
	MERGE_SYNCED = 1 << 10,  /* the synced columns become what is there */
	MERGE_DETACH = 1 << 11,  /* it is no item any more: new here */
	MERGE_UNLINK = 1 << 12,  /* goes here */
	MERGE_TREE = 1 << 13,    /* a folder that is gone: first everything that
	                          * lies in it there, as deleted; then UNLINK if
	                          * nothing is left in it, else DETACH */
	MERGE_DIRTY = 1 << 14,   /* here still differs: wake the planner */
	MERGE_ATTRS = 1 << 16,   /* local attributes follow (merge_in.attrs) */
	MERGE_ALIAS = 1 << 17,   /* r is shown by its alias: a twin has the
	                          * name */
};

struct merge_in {
	const struct item *r;
	bool last;   /* the round is over: nothing more will come */
	bool looked; /* from a GET just now, not from a feed */

	const struct node *n;  /* has that id; NULL: unknown */
	const char *want_name; /* what n's local state asks for there; NULL: it
	                        * can't be held there */
	bool n_attempt; /* n has an open attempt, or a request under way */
	bool writers;   /* n is open for writing */
	bool whole;     /* all of n's content is here */
	/* Vault: names carry attributes, and each field is merged for itself.
	 */
	bool by_field;
	bool name_here, name_there; /* the plain name differs from the synced */
	unsigned attrs;             /* enum merge_attr: follow there */
	bool past_tag; /* r's tag is one the item had before what we know, or
	                * we deleted the item */

	/* where it lies there */
	uint64_t parent;    /* 0: no node of ours */
	bool parent_parked; /* ...yet: it waits in fs/seen itself */
	bool parent_unlinked;
	bool parent_below;  /* parent is n, or lies below it here */
	bool ring;          /* ...or there, as far as we know: the news that
	                     * undoes it has not been taken yet */
	bool place_attempt; /* an open attempt makes an item of that name */
	bool hidden;        /* the name does not open (vault): not ours; it is
	                     * left alone, and its folder stays for it */
	bool alias;         /* the name can't be shown as it is */

	/* Linked here where r would go (see merge_target()), not n itself. */
	const struct node *at;
	bool at_writers;
	bool at_left;  /* fs/seen has it at another place */
	bool at_same;  /* same content as r */
	bool at_twin;  /* vault: it lies in that folder there under the same
	                * plain name */
	bool at_first; /* ...and keeps it: r is shown by an alias */
};

struct merge_out {
	enum merge_verdict verdict;
	unsigned ops; /* enum merge_op */
};

struct merge_out merge_next(const struct merge_in *in);

/* Which attributes follow there: those changed there and not here; of two
 * times the later (design: "Vault"). `base` and `there` are what the names
 * say. */
enum merge_attr {
	MERGE_MODE = 1 << 0,
	MERGE_UID = 1 << 1,
	MERGE_GID = 1 << 2,
	MERGE_MTIME = 1 << 3,
};
unsigned merge_attrs(const struct node *base, const struct node *there,
                     const struct node *here);

/* What changed there, against the synced state. */
bool merge_content_changed(const struct merge_in *in);
/* Which parts of the local place follow the server's (MERGE_PARENT,
 * MERGE_NAME): the gatherer looks for `at` at the place that results. */
unsigned merge_target(const struct merge_in *in);

#endif
