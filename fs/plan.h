/* clang-format off */
/* fs/plan.h -- the planner: what does one node need next on the server?
 *
 * Pure: local state, synced state, open attempts and what is known of the
 * surroundings go in, one action comes out. No I/O, no clock, no memory. It is
 * asked again after every change; nothing it says is stored.
 *
 * The rules, in the order in which they are tried; the first that fits wins.
 * "here" is the local tree, "there" the synced one (what the server last
 * confirmed); a node that is linked nowhere here was unlinked by a program.
 *
 *	attempt open
 *	  runs in this process                     -> WAIT_JOB
 *	  it replaces content, and that is held    -> HOLD
 *	  it is for what is still wanted           -> RESUME
 *	  it is not                                -> ABANDON (its outcome is
 *	                                              looked up first)
 *	unlinked here
 *	  not there                                -> FORGET
 *	  its folder there is unlinked here too    -> WAIT_NODE folder (held:
 *	                                              HOLD)
 *	  holds kept children there
 *	    in a ring of nodes that wait           -> ASIDE
 *	    else                                   -> WAIT_NODE such a child
 *	  a new file here wants its name           -> WAIT_NODE that (it adopts)
 *	  an item of ours wants its name           -> ASIDE
 *	  held                                     -> HOLD
 *	  a folder, no delta round since           -> WAIT_ROUND
 *	  else                                     -> DELETE
 *	linked, of a kind that stays here          -> CLEAN
 *	linked, a symlink without its target       -> READ_LINK
 *	linked, name can't be held there           -> BLOCK
 *	linked, not there
 *	  parent not there                         -> WAIT_NODE parent
 *	  parent's delete there is held            -> HOLD
 *	  name held by an unlinked file of ours,
 *	  and this is a file                       -> ADOPT it
 *	  name held by another node of ours        -> WAIT_NODE it
 *	  folder                                   -> MKDIR
 *	  file, sendable                           -> CREATE
 *	linked, there
 *	  content differs, and that is held        -> HOLD
 *	  place differs
 *	    its or its parent's delete there is held -> HOLD
 *	    in a ring of nodes that wait           -> ASIDE
 *	    new parent not there                   -> WAIT_NODE parent
 *	    new parent lies below it there         -> WAIT_NODE what must go
 *	                                              first
 *	    name held by another node of ours      -> WAIT_NODE it
 *	    else                                   -> MOVE
 *	    (differs in attributes only: after the content)
 *	  content differs, sendable                -> REPLACE, in a vault after
 *	                                              READ_HEADER if need be
 *	  only times differ, and they can be set   -> MOVE (times only)
 *	  equal                                    -> CLEAN
 *
 * "sendable": no writer has it open and it was quiet for the write-back delay;
 * or it was fsynced since, or is older than the maximum dirty age (up to twice
 * that if its writer fsyncs: then just after an fsync); and all of it is here.
 * While it stays open it is taken once in that time only, however often it is
 * fsynced: each time is a version on the server, of the whole file. While a
 * writer replaces a former version whole (NODE_FRESH) its age does not count,
 * only that nobody wrote for that long, and that there is something: half a dump
 * must not take the place of yesterday's.
 * Threads: any. */
/* clang-format on */
#ifndef NMB_PLAN_H
#define NMB_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/node.h"

enum plan_action {
	PLAN_CLEAN,      /* equal: the dirty mark can go */
	PLAN_FORGET,     /* nowhere any more: the row can go */
	PLAN_WAIT_TIME,  /* not before wait_ms from now */
	PLAN_WAIT_NODE,  /* not before node `on` has changed */
	PLAN_WAIT_ROUND, /* not before a delta round begun from now on is done
	                  */
	PLAN_WAIT_WHOLE, /* not before its content is all here: hydrate it */
	PLAN_WAIT_JOB,   /* its own request is under way */
	PLAN_HOLD,       /* not before a person decides (fs/hold.h) */
	PLAN_BLOCK,      /* can't be sent: rc, why */
	PLAN_RESUME,     /* go on with the open attempt, or look how it ended */
	PLAN_ABANDON,    /* end the open attempt, look how it ended */
	PLAN_ADOPT,      /* take over the item of unlinked node `on` */
	PLAN_MKDIR,
	PLAN_CREATE,      /* a new item with this content */
	PLAN_REPLACE,     /* new content for the item */
	PLAN_READ_LINK,   /* vault: the symlink's target is the item's content,
	                   * and not here yet */
	PLAN_READ_HEADER, /* first the header of what is there: the version
	                   * that follows it builds on it (vault) */
	PLAN_MOVE,        /* name, parent, times of the item */
	PLAN_ASIDE,       /* rename the item to a temporary name */
	PLAN_DELETE,
};

/* The open attempt of the node: an upload whose outcome is not noted yet. */
struct plan_attempt {
	bool open;
	bool running;      /* in this process */
	bool create;       /* makes a new item; else new content for s_id */
	uint64_t gen, cid; /* what it sends */
	uint64_t parent;   /* of a create: folder, by ino */
	const char *name;  /* of a create */
	bool resumable;    /* a session with its bytes still at hand */
};

/* Another node that holds, or wants, a place there. */
struct plan_other {
	uint64_t ino; /* 0: none */
	bool linked;  /* here */
	bool file;
	bool there; /* has an item */
	bool busy;  /* has an open attempt */
};

struct plan_in {
	const struct node *n;
	struct plan_attempt attempt;

	bool sent;             /* this kind goes to the server at all */
	const char *want_name; /* on the server, for the local state; NULL: */
	int name_rc;           /* ...can't be, because */
	const char *name_why;
	bool sets_times; /* a change of mtime alone is sent */
	bool attrs_only; /* vault: want_name and s_name are one plain name with
	                  * different attributes */
	bool place_held; /* what it lies in, or would, was deleted there, and
	                  * that waits for a person */
	bool held; /* deletes and overwrites wait, this one is not approved */
	bool link_missing;  /* vault: a symlink whose target is not here */
	bool header_wanted; /* vault: nothing is known of the item's versions */

	/* linked: the folder it is in here */
	bool parent_there;
	uint64_t below; /* the new parent lies below n there: the node to move
	                 * first; 0: it doesn't */
	struct plan_other occupant; /* holds the wanted place there */
	bool ring; /* following WAIT_NODE from n leads back to n */

	/* unlinked */
	uint64_t s_parent_unlinked; /* the folder it lies in there, if that
	                             * is unlinked here and still there */
	uint64_t kept_child;        /* a node linked here that lies in it
	                             * there; 0: none */
	struct plan_other wanted;   /* linked, wants n's place there */
	int64_t round_done;         /* begin number of the last full round */

	/* content of a file */
	bool whole;
	unsigned writers;
	/* clock_mono_ms(); 0: never */
	int64_t wrote_ms, dirty_ms, fsync_ms;
	int64_t taken_ms; /* for sending, while it was open */
	bool hurry;       /* somebody waits in `flush` */

	int64_t now_ms;
	int64_t quiet_ms, max_age_ms;
};

struct plan_out {
	enum plan_action action;
	int64_t wait_ms;
	uint64_t on;
	int rc;
	const char *why; /* static */
};

struct plan_out plan_next(const struct plan_in *in);

/* Nothing was written since a program's last fsync: what is here is what that
 * program calls of one piece. */
bool plan_is_synced(const struct plan_in *in);

const char *plan_action_name(enum plan_action a);

/* Temporary names on the server (PLAN_ASIDE): never somebody's wish, so no
 * device takes one over; whoever has the node gives it its name back. */
#define PLAN_ASIDE_PREFIX "nmbackupfs-aside-"
bool plan_is_aside_name(const char *remote);

/* What differs there; used by the planner, status and tests. */
bool plan_place_differs(const struct node *n, const char *want_name);
bool plan_content_differs(const struct node *n);
/* By whole seconds: the service keeps no more everywhere (facts 2.3). */
bool plan_times_differ(const struct node *n);

#endif
