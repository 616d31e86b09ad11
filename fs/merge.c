#include "fs/merge.h"

#include <errno.h>
#include <string.h>

#include "fs/plan.h"

static struct merge_out say(enum merge_verdict v)
{
	return (struct merge_out){ .verdict = v };
}

static struct merge_out apply(unsigned ops)
{
	return (struct merge_out){ .verdict = MERGE_APPLY, .ops = ops };
}

/* ---- what changed -------------------------------------------------------- */

bool merge_content_changed(const struct merge_in *in)
{
	const struct node *n = in->n;
	const uint8_t *hash = n->flags & NODE_HASHED ? n->s_hash : NULL;
	int same;

	if (!node_is_file(n) || in->r->kind != ITEM_FILE)
		return false;
	same = item_same_content(in->r, n->s_size, hash);
	if (same >= 0)
		return !same;
	/* No hash to compare (facts 13 #21): the time tells. */
	return in->r->mtime != n->s_mtime;
}

static bool name_changed_here(const struct merge_in *in)
{
	const struct node *n = in->n;

	if (in->by_field)
		return in->name_here;
	return !in->want_name || strcmp(in->want_name, n->s_name) != 0;
}

bool merge_moved_here(const struct merge_in *in)
{
	return in->n->parent != in->n->s_parent || name_changed_here(in);
}

static bool name_changed_there(const struct merge_in *in)
{
	if (in->by_field)
		return in->name_there;
	return strcmp(in->r->name, in->n->s_name) != 0;
}

/* A temporary name is nobody's wish, and gives way to another one at most: a
 * node here bears one for good if nothing else was ever heard of it. */
static bool is_wish(const struct merge_in *in)
{
	return !plan_is_aside_name(in->r->name) ||
	       plan_is_aside_name(in->n->s_name);
}

unsigned merge_attrs(const struct node *base, const struct node *there,
                     const struct node *here)
{
	unsigned follow = 0;

	if (there->mode != base->mode && here->mode == base->mode)
		follow |= MERGE_MODE;
	if (there->uid != base->uid && here->uid == base->uid)
		follow |= MERGE_UID;
	if (there->gid != base->gid && here->gid == base->gid)
		follow |= MERGE_GID;
	if (there->mtime != base->mtime && !node_is_dir(here) &&
	    (here->mtime == base->mtime || there->mtime > here->mtime))
		follow |= MERGE_MTIME;
	return follow;
}

unsigned merge_target(const struct merge_in *in)
{
	const struct node *n = in->n;
	unsigned ops = 0;

	if (!n || !n->parent)
		return n && n->name[0] && plan_is_aside_name(in->r->name)
		               ? MERGE_PARENT
		               : MERGE_PARENT | MERGE_NAME;
	if (in->parent != n->s_parent && n->parent == n->s_parent &&
	    !in->parent_below)
		ops |= MERGE_PARENT;
	if ((name_changed_there(in) || (ops && n->flags & NODE_ALIAS)) &&
	    !name_changed_here(in) && is_wish(in))
		ops |= MERGE_NAME;
	return ops;
}

/* ---- gone there ---------------------------------------------------------- */

/* `n` was deleted there, or moved out of our folder. */
static struct merge_out merge_gone(const struct merge_in *in)
{
	const struct node *n = in->n;

	if (!n)
		return say(MERGE_NOTHING);
	if (!in->last || in->n_attempt)
		return say(MERGE_PARK);
	if (!n->parent)
		return apply(MERGE_DETACH | MERGE_DIRTY);
	if (in->r->keep && (node_is_dir(n) || in->whole))
		return apply(MERGE_DETACH | MERGE_DIRTY);
	if (node_is_dir(n))
		return apply(MERGE_TREE);
	if (in->writers)
		return say(MERGE_PARK);
	if (plan_content_differs(n))
		return apply(MERGE_DETACH | MERGE_DIRTY);
	if (in->whole && (merge_moved_here(in) || in->above_moved))
		return apply(MERGE_DETACH | MERGE_DIRTY);
	return apply(MERGE_DETACH | MERGE_UNLINK);
}

/* ---- new there ----------------------------------------------------------- */

/* Somebody of ours stands where r must go. */
static struct merge_out make_room(const struct merge_in *in, unsigned ops)
{
	const struct node *at = in->at;
	bool there_too = in->at_twin ||
	                 (node_on_server(at) && at->s_parent == in->parent &&
	                  !strcmp(at->s_name, in->r->name));

	if (in->at_errand)
		return say(MERGE_PARK);
	if (in->at_writers && !node_on_server(at) && !in->last)
		return say(MERGE_PARK);
	if (node_on_server(at) && !in->last)
		return say(MERGE_PARK); /* its own news may still come */
	if (in->at_twin && !in->at_left)
		return apply(ops |
		             (in->at_first ? MERGE_ALIAS : MERGE_AT_ALIAS));
	if (there_too)
		return in->at_left ? apply(MERGE_AT_ALIAS | ops)
		                   : say(MERGE_LOOK_AT);
	return apply(MERGE_AT_ASIDE | ops);
}

static bool is_one_with(const struct merge_in *in)
{
	const struct node *at = in->at;

	if (node_on_server(at))
		return false;
	return (in->r->kind == ITEM_FOLDER && node_is_dir(at)) ||
	       (in->r->kind == ITEM_FILE && node_is_file(at) && in->at_same);
}

static struct merge_out merge_new(const struct merge_in *in)
{
	unsigned ops = MERGE_INSERT;

	if (in->hidden) /* left alone, and so is the folder it lies in */
		return in->parent_unlinked ? apply(MERGE_RELINK_PARENT)
		                           : say(MERGE_NOTHING);
	if (in->past_tag && !in->looked)
		return say(MERGE_LOOK); /* deleted by us, and the feed lags */
	if (in->place_attempt)
		return say(MERGE_PARK);
	if (in->parent_unlinked)
		ops |= MERGE_RELINK_PARENT;
	if (!in->at)
		return apply(ops);
	if (is_one_with(in)) /* it may become another item under our hands */
		return in->at_errand || in->at_attempt
		               ? say(MERGE_PARK)
		               : apply(MERGE_ADOPT_AT | MERGE_SYNCED |
		                       MERGE_DIRTY);
	return make_room(in, ops);
}

/* ---- known --------------------------------------------------------------- */

static struct merge_out merge_version(const struct merge_in *in)
{
	const struct node *n = in->n;

	if (!n->parent)
		return apply(MERGE_RELINK | MERGE_VERSION | MERGE_SYNCED |
		             (in->parent_unlinked ? MERGE_RELINK_PARENT : 0));
	if (in->writers)
		return say(MERGE_PARK);
	if (in->same)
		return apply(MERGE_EQUAL | MERGE_SYNCED);
	if (plan_content_differs(n))
		return apply(MERGE_SPLIT |
		             (in->parent_unlinked ? MERGE_RELINK_PARENT : 0));
	return apply(MERGE_VERSION | MERGE_SYNCED);
}

static bool tells_nothing_new(const struct merge_in *in)
{
	const struct item *r = in->r;
	const struct node *n = in->n;

	return r->etag[0] && !strcmp(r->etag, n->s_etag) &&
	       in->parent == n->s_parent && !strcmp(r->name, n->s_name) &&
	       !merge_content_changed(in);
}

static bool moved_there(const struct merge_in *in)
{
	return !in->hidden && !plan_is_aside_name(in->r->name) &&
	       (in->parent != in->n->s_parent || name_changed_there(in));
}

/* Something else than what the service confirmed to us a moment ago: it may be
 * what was before, under a tag in between that we never heard of. */
static bool may_be_stale(const struct merge_in *in)
{
	if (in->looked)
		return false;
	return in->past_tag ||
	       (in->recent &&
	        (merge_content_changed(in) || in->parent != in->n->s_parent ||
	         strcmp(in->r->name, in->n->s_name) != 0));
}

static bool kind_differs(const struct merge_in *in)
{
	if (in->n->flags & NODE_FOREIGN)
		return in->r->kind != ITEM_OTHER;
	return (in->r->kind == ITEM_FOLDER) != node_is_dir(in->n);
}

static struct merge_out merge_known(const struct merge_in *in)
{
	const struct node *n = in->n;
	struct merge_out out = apply(MERGE_SYNCED);
	unsigned follow;

	if (in->n_attempt)
		return say(MERGE_PARK);
	if (in->ring)
		return say(in->last && !in->looked ? MERGE_LOOK : MERGE_PARK);
	if (kind_differs(in))
		return say(in->looked ? MERGE_NOTHING : MERGE_LOOK);
	if (tells_nothing_new(in))
		return say(MERGE_NOTHING);
	if (may_be_stale(in))
		return say(MERGE_LOOK);
	if (merge_content_changed(in)) {
		out = merge_version(in);
		if (out.verdict != MERGE_APPLY || out.ops & MERGE_SPLIT)
			return out;
	} else if (!in->by_field && node_is_file(n) && !plan_times_differ(n)) {
		out.ops |= MERGE_TIMES;
	}
	if (in->attrs)
		out.ops |= MERGE_ATTRS;
	if (!n->parent && !(out.ops & MERGE_RELINK)) {
		if (!moved_there(in))
			return apply(MERGE_SYNCED | MERGE_DIRTY);
		if (!in->looked)
			return say(MERGE_LOOK);
		out.ops |= MERGE_RELINK;
		if (in->parent_unlinked)
			out.ops |= MERGE_RELINK_PARENT;
	}
	follow = merge_target(in);
	if (follow && in->at) {
		struct merge_out room = make_room(in, 0);

		if (room.verdict != MERGE_APPLY)
			return room;
		out.ops |= room.ops;
	}
	if (follow & MERGE_PARENT && in->parent_unlinked)
		out.ops |= MERGE_RELINK_PARENT;
	out.ops |= follow | MERGE_DIRTY;
	return out;
}

struct merge_out merge_next(const struct merge_in *in)
{
	if (in->r->deleted)
		return merge_gone(in);
	if (!in->parent) {
		if (!in->last || in->looked || in->parent_parked)
			return say(MERGE_ORPHAN);
		return merge_gone(in); /* it lies outside now */
	}
	return in->n ? merge_known(in) : merge_new(in);
}
