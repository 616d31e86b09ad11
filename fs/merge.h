/* clang-format off */
/* fs/merge.h -- the merger: what does one observation of the server mean here?
 *
 * Pure, as fs/plan.h: an item as the server described it (feed, listing or
 * GET), the node that stands for it, and the surroundings go in; what to do to
 * the rows comes out. "there" is the server, "here" the local tree; "changed
 * there/here" is against the synced state. Each cell below has its rows in
 * tests/unit/test_merge.c, under its name: THERE/HERE.
 *
 * Nothing is lost in any cell. A change beats a delete that did not know of it,
 * on either side. Where both made another content of one item, both survive,
 * and the one that comes later to the server, ours, gets a name that says so:
 * `NAME (conflict HOST DATE).EXT`.
 *
 * A known item:
 *
 *  there \ here | same       | content        | place          | unlinked
 *  -------------+------------+----------------+----------------+---------------
 *  same         | nothing    | nothing (the   | nothing (the   | nothing (the
 *               |            | planner sends) | planner moves) | planner deletes)
 *  content      | follows    | equal: one;    | follows, here's| comes back
 *               |            | else both: ours| place stays    |
 *               |            | leaves by copy |                |
 *  place        | follows    | follows, the   | parent, name   | comes back;
 *               |            | planner sends  | each: whoever  | a folder with
 *               |            |                | changed it;    | all that lies
 *               |            |                | both: here     | in it
 *  content,     | follows    | both: theirs   | content        | comes back
 *   place       |            | at the place   | follows, place | at the place
 *               |            | there, ours    | as above       | there
 *               |            | by copy        |                |
 *  gone         | goes       | stays, is new  | stays, is new, | done
 *               |            |                | if all of it is|
 *               |            |                | here; else goes|
 *
 *  "gone" is deleted, or moved to where our folder is not. A folder that is
 *  gone: each thing in it as gone, and what lies in a folder that was moved or
 *  renamed here as moved; the folder goes if nothing is left, else it is new.
 *  What the service may have lost itself (item.keep) is "gone" only here: it
 *  stays, is new, if all of it is here.
 *  An item never changes its kind: a folder replaced by a file is gone, and new.
 *  In a vault name, mode, owner, group and time are merged each for itself, and
 *  a difference in them is no change in the sense of this table.
 *
 * New there, or come to a place there: who stands at it here (`at`)?
 *
 *  there \ at    | nobody | new folder | new file    | moved here | known there
 *  -------------+--------+------------+-------------+------------+-------------
 *  new folder   | comes  | one folder | ours aside  | ours aside | look at that
 *  new file     | comes  | ours aside | equal: one; | ours aside | look at that
 *               |        |            | ours aside  |            |
 *  new other    | comes  | ours aside | ours aside  | ours aside | look at that
 *  moved        | comes  | ours aside | ours aside  | ours aside | look at that
 *
 *  "aside": it gets the conflict name, the item there has the right to its own.
 *  "known there": as far as we know that lies there under this name itself, and
 *  two can't. Unless fs/seen knows that it has left (two changed places): then
 *  it is shown by its alias until its own news comes.
 *  Vault: two can (two devices made them): both are shown, and the one created
 *  first (then: of the smaller id) has the name, the other an alias, until a
 *  person resolves it; all devices agree.
 *
 * The folder that it lies in there:
 *
 *  unlinked here        comes back
 *  below it here        two devices made a ring: here wins, the planner moves
 *                       it back out
 *  below it there       waits for the news of that; at the end of the round
 *                       it is looked at, and else stays where it was
 *  not known            waits to the end of the round; then, after a GET if it
 *                       was one that brought it, it is outside: gone
 *
 * Not ours: a name that does not open (vault) is not shown, not touched, and
 * its folder is kept for it; something that is neither file nor folder (a
 * notebook) is shown, and nothing else.
 *
 * Parked and asked again: while an attempt for the item or for that name is
 * open (what we see may be our own write); while a program has the file open
 * for writing; gone, to the end of the round, since a move may yet come.
 * Looked at by id first: what undoes a write or a delete of ours, for feeds
 * lag; and what changed its kind. */
/* clang-format on */
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
	MERGE_EQUAL = 1 << 18,   /* what is here is what came to be there */
};

struct merge_in {
	const struct item *r;
	bool last;   /* the round is over: nothing more will come */
	bool looked; /* from a GET just now, not from a feed */

	const struct node *n;  /* has that id; NULL: unknown */
	const char *want_name; /* what n's local state asks for there; NULL: it
	                        * can't be held there */
	bool n_attempt;   /* n has an open attempt, or a request under way */
	bool writers;     /* n is open for writing */
	bool whole;       /* all of n's content is here */
	bool same;        /* written here, and equal to what r has */
	bool above_moved; /* n lies in a folder that is gone there, too, and was
	                   * moved or renamed here */
	/* Vault: names carry attributes, and each field is merged for itself.
	 */
	bool by_field;
	bool name_here, name_there; /* the plain name differs from the synced */
	unsigned attrs;             /* enum merge_attr: follow there */
	bool past_tag; /* r's tag is one the item had before what we know, or
	                * we deleted the item */

	bool recent; /* we sent something to it not an hour ago */

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
	bool at_errand;  /* a rename of it is under way, who knows how far, or
	                  * what makes it, perhaps under another name */
	bool at_attempt; /* an open attempt makes it, or its content */
	bool at_left;    /* fs/seen has it at another place */
	bool at_same;    /* same content as r */
	bool at_twin;    /* vault: it lies in that folder there under the same
	                  * plain name */
	bool at_first;   /* ...and keeps it: r is shown by an alias */
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

/* What changed there, or here, against the synced state. */
bool merge_moved_here(const struct merge_in *in);
bool merge_content_changed(const struct merge_in *in);
/* Which parts of the local place follow the server's (MERGE_PARENT,
 * MERGE_NAME): the gatherer looks for `at` at the place that results. */
unsigned merge_target(const struct merge_in *in);

#endif
