#include "fs/plan.h"

#include <errno.h>
#include <string.h>

#include "net/clock.h"

bool plan_is_aside_name(const char *remote)
{
	return !strncmp(remote, PLAN_ASIDE_PREFIX,
	                sizeof(PLAN_ASIDE_PREFIX) - 1);
}

bool plan_place_differs(const struct node *n, const char *want_name)
{
	return n->s_parent != n->parent || strcmp(n->s_name, want_name) != 0;
}

bool plan_content_differs(const struct node *n)
{
	return node_is_file(n) && n->gen != n->s_gen;
}

static int64_t floor_s(int64_t ns)
{
	return ns / NS_PER_SEC - (ns % NS_PER_SEC < 0);
}

bool plan_times_differ(const struct node *n)
{
	return node_is_file(n) && floor_s(n->mtime) != floor_s(n->s_mtime);
}

static struct plan_out say(enum plan_action a)
{
	return (struct plan_out){ .action = a };
}

static struct plan_out wait_node(uint64_t ino)
{
	return (struct plan_out){ .action = PLAN_WAIT_NODE, .on = ino };
}

static struct plan_out wait_time(int64_t ms)
{
	return (struct plan_out){ .action = PLAN_WAIT_TIME,
		                  .wait_ms = ms < 1 ? 1 : ms };
}

/* ---- attempts ------------------------------------------------------------ */

/* What the attempt makes is still a step towards the local state: later
 * generations and renames follow it by item id. */
static bool attempt_is_wanted(const struct plan_in *in)
{
	const struct node *n = in->n;

	if (!n->parent || !in->attempt.resumable)
		return false;
	if (in->attempt.create)
		return !node_on_server(n);
	return node_on_server(n) && in->attempt.gen != n->s_gen;
}

static struct plan_out plan_attempt(const struct plan_in *in)
{
	if (in->attempt.running && in->n->parent)
		return say(PLAN_WAIT_JOB);
	if (!attempt_is_wanted(in))
		return say(PLAN_ABANDON);
	return say(in->held && !in->attempt.create ? PLAN_HOLD : PLAN_RESUME);
}

/* ---- unlinked here ------------------------------------------------------- */

static struct plan_out plan_unlinked(const struct plan_in *in)
{
	const struct node *n = in->n;

	if (!node_on_server(n))
		return say(PLAN_FORGET);
	if (in->s_parent_unlinked)
		return in->held ? say(PLAN_HOLD)
		                : wait_node(in->s_parent_unlinked);
	if (in->kept_child && in->ring && !(n->flags & NODE_ASIDE))
		return say(PLAN_ASIDE); /* it waits for this name */
	if (in->kept_child)
		return wait_node(in->kept_child);
	if (in->wanted.ino && !(n->flags & NODE_ASIDE)) {
		if (in->wanted.there)
			return say(PLAN_ASIDE);
		if (in->wanted.file && node_is_file(n))
			return wait_node(in->wanted.ino);
	}
	if (in->held)
		return say(PLAN_HOLD);
	if (node_is_dir(n) && in->round_done <= n->gone_round)
		return say(PLAN_WAIT_ROUND);
	return say(PLAN_DELETE);
}

/* ---- linked here --------------------------------------------------------- */

static int64_t last_change(const struct plan_in *in)
{
	return in->wrote_ms ? in->wrote_ms : in->dirty_ms;
}

bool plan_is_synced(const struct plan_in *in)
{
	return in->fsync_ms && in->fsync_ms >= last_change(in);
}

/* A writer has it, and it is due. One that fsyncs now and then says by that
 * when its file is of one piece: the next time is waited for, as long again.
 * Of another one what the kernel wrote out is taken, between two times. */
static struct plan_out plan_overdue(const struct plan_in *in, int64_t age,
                                    int64_t quiet)
{
	bool syncs = in->fsync_ms && in->fsync_ms >= in->dirty_ms;
	int64_t left = 2 * in->max_age_ms - age;

	if (plan_is_synced(in) || left <= 0 || quiet >= in->max_age_ms)
		return say(PLAN_CREATE);
	if (syncs)
		return wait_time(left < in->max_age_ms - quiet
		                         ? left
		                         : in->max_age_ms - quiet);
	if (quiet < in->quiet_ms)
		return wait_time(in->quiet_ms - quiet);
	return say(PLAN_CREATE);
}

/* Not yet sendable: what to wait for. PLAN_CREATE: send. */
static struct plan_out plan_sendable(const struct plan_in *in)
{
	int64_t since = last_change(in);
	int64_t quiet = in->now_ms - since;
	int64_t age = in->dirty_ms ? in->now_ms - in->dirty_ms : quiet;

	if (!in->whole)
		return say(PLAN_WAIT_WHOLE);
	if (!since || in->hurry)
		return say(PLAN_CREATE);
	/* What replaces a former version whole is not sent half done, however
	 * long it takes; only if its writer seems to have stopped. One that
	 * has written nothing has not begun. */
	if (in->writers && in->n->flags & NODE_FRESH && node_on_server(in->n)) {
		if (!in->n->size)
			return wait_time(in->max_age_ms);
		age = quiet;
	}
	if (age >= in->max_age_ms)
		return in->writers ? plan_overdue(in, age, quiet)
		                   : say(PLAN_CREATE);
	if (in->writers && !plan_is_synced(in))
		return wait_time(in->max_age_ms - age);
	if (in->writers && in->taken_ms &&
	    in->now_ms - in->taken_ms < in->max_age_ms)
		return wait_time(in->max_age_ms - in->now_ms + in->taken_ms);
	/* After an fsync too: a rename over the former file is next. */
	if (quiet < in->quiet_ms)
		return wait_time(in->quiet_ms - quiet);
	return say(PLAN_CREATE);
}

static struct plan_out plan_new(const struct plan_in *in)
{
	const struct node *n = in->n;

	if (!in->parent_there)
		return wait_node(n->parent);
	if (in->place_held)
		return say(PLAN_HOLD);
	if (in->occupant.ino) {
		if (!in->occupant.linked && in->occupant.file &&
		    node_is_file(n) && !in->occupant.busy)
			return (struct plan_out){ .action = PLAN_ADOPT,
				                  .on = in->occupant.ino };
		return wait_node(in->occupant.ino);
	}
	return node_is_dir(n) ? say(PLAN_MKDIR) : plan_sendable(in);
}

static struct plan_out plan_place(const struct plan_in *in)
{
	if (in->place_held)
		return say(PLAN_HOLD);
	if (in->ring && !(in->n->flags & NODE_ASIDE))
		return say(PLAN_ASIDE);
	if (!in->parent_there)
		return wait_node(in->n->parent);
	if (in->below)
		return wait_node(in->below);
	if (in->occupant.ino)
		return wait_node(in->occupant.ino);
	return say(PLAN_MOVE);
}

/* Only what rides along with the name: after the content, with which it
 * changes, and not with every call that sets some of it. */
static struct plan_out plan_attrs(const struct plan_in *in)
{
	int64_t since =
		in->wrote_ms > in->dirty_ms ? in->wrote_ms : in->dirty_ms;
	int64_t quiet = in->now_ms - since;

	if (since && !in->hurry && quiet < in->quiet_ms)
		return wait_time(in->quiet_ms - quiet);
	return plan_place(in);
}

static struct plan_out plan_content(const struct plan_in *in)
{
	struct plan_out out = plan_sendable(in);

	if (out.action == PLAN_CREATE)
		out.action =
			in->header_wanted ? PLAN_READ_HEADER : PLAN_REPLACE;
	return out;
}

static struct plan_out plan_known(const struct plan_in *in)
{
	bool content = plan_content_differs(in->n);

	/* As a whole: what is taken back goes back to its name, too. */
	if (content && in->held)
		return say(PLAN_HOLD);
	if (plan_place_differs(in->n, in->want_name)) {
		if (!in->attrs_only)
			return plan_place(in);
		if (!content)
			return plan_attrs(in);
	}
	if (content)
		return plan_content(in);
	if (in->sets_times && plan_times_differ(in->n))
		return say(PLAN_MOVE);
	return say(PLAN_CLEAN);
}

struct plan_out plan_next(const struct plan_in *in)
{
	const struct node *n = in->n;

	if (n->flags & NODE_FOREIGN)
		return say(PLAN_CLEAN);
	if (in->attempt.open)
		return plan_attempt(in);
	if (!n->parent)
		return plan_unlinked(in);
	if (!in->sent)
		return say(PLAN_CLEAN);
	if (in->link_missing)
		return say(PLAN_READ_LINK);
	if (!in->want_name)
		return (struct plan_out){ .action = PLAN_BLOCK,
			                  .rc = in->name_rc,
			                  .why = in->name_why };
	return node_on_server(n) ? plan_known(in) : plan_new(in);
}

const char *plan_action_name(enum plan_action a)
{
	static const char *const names[] = {
		[PLAN_CLEAN] = "clean",
		[PLAN_FORGET] = "forget",
		[PLAN_WAIT_TIME] = "wait-time",
		[PLAN_WAIT_NODE] = "wait-node",
		[PLAN_WAIT_ROUND] = "wait-round",
		[PLAN_WAIT_WHOLE] = "wait-whole",
		[PLAN_WAIT_JOB] = "wait-job",
		[PLAN_HOLD] = "hold",
		[PLAN_BLOCK] = "block",
		[PLAN_RESUME] = "resume",
		[PLAN_ABANDON] = "abandon",
		[PLAN_ADOPT] = "adopt",
		[PLAN_MKDIR] = "mkdir",
		[PLAN_CREATE] = "create",
		[PLAN_REPLACE] = "replace",
		[PLAN_READ_LINK] = "read-link",
		[PLAN_READ_HEADER] = "read-header",
		[PLAN_MOVE] = "move",
		[PLAN_ASIDE] = "aside",
		[PLAN_DELETE] = "delete",
	};

	return names[a];
}
