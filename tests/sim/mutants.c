#include "tests/sim/sim.h"

#include <string.h>

#include "fs/ledger.h"
#include "fs/merge.h"
#include "fs/plan.h"
#include "fs/told.h"

/* Deliberate mistakes: each changes what goes into a decision or what comes out
 * of it, by linker wrapping, so that the program itself has no switches. The
 * simulation must find every one of them (main.c: --mutants). */

const char *sim_broken = "";

bool sim_breaks(const char *what)
{
	return !strcmp(sim_broken, what);
}

const struct sim_mutant sim_mutants[] = {
	{ "service-ignores-tags", 21 },
	{ "merge-forgets-attempts", 0 },
	{ "merge-forgets-writers", 0 },
	{ "merge-does-not-wait-for-the-round", 88 },
	{ "merge-overwrites-instead-of-splitting", 25 },
	{ "merge-drops-what-is-unsent", 3 },
	{ "merge-believes-old-tags", 0 },
	{ "merge-takes-all-files-for-equal", 1 },
	{ "merge-leaves-folders-unlinked", 6 },
	{ "merge-knows-no-rings", 0 },
	{ "merge-drops-orphans", 32 },
	{ "merge-keeps-what-is-not-here", 0 },
	{ "merge-does-not-wake-the-planner", 0 },
	{ "plan-sends-what-is-not-whole", 111 },
	{ "plan-does-not-wait-for-the-round", 0 },
	{ "plan-forgets-kept-children", 25 },
	{ "plan-makes-no-room", 21 },
	{ "plan-calls-unsent-content-clean", 4 },
	{ "plan-forgets-attempts", 6 },
	{ "plan-forgets-who-holds-a-name", 0 },
	{ "answers-overtake-each-other", 0 },
	{ NULL, 0 },
};

/* ---- the merger ---------------------------------------------------------- */

struct merge_out __real_merge_next(const struct merge_in *in);
struct merge_out __wrap_merge_next(const struct merge_in *in);

static void break_merge_in(struct merge_in *in)
{
	if (sim_breaks("merge-forgets-attempts"))
		in->n_attempt = in->place_attempt = false;
	if (sim_breaks("merge-forgets-writers"))
		in->writers = in->at_writers = false;
	if (sim_breaks("merge-does-not-wait-for-the-round"))
		in->last = true;
	if (sim_breaks("merge-believes-old-tags"))
		in->past_tag = false;
	if (sim_breaks("merge-takes-all-files-for-equal"))
		in->at_same = true;
	if (sim_breaks("merge-knows-no-rings"))
		in->ring = in->parent_below = false;
	if (sim_breaks("merge-drops-orphans") && !in->parent) {
		in->parent_parked = false;
		in->last = true;
	}
	if (sim_breaks("merge-keeps-what-is-not-here"))
		in->whole = true;
}

struct merge_out __wrap_merge_next(const struct merge_in *in)
{
	struct merge_in broken = *in;
	struct merge_out out;

	break_merge_in(&broken);
	out = __real_merge_next(&broken);
	if (sim_breaks("merge-overwrites-instead-of-splitting") &&
	    out.ops & MERGE_SPLIT)
		out.ops = MERGE_VERSION | MERGE_SYNCED;
	if (sim_breaks("merge-drops-what-is-unsent") && in->r->deleted &&
	    out.ops == (MERGE_DETACH | MERGE_DIRTY))
		out.ops = MERGE_DETACH | MERGE_UNLINK;
	if (sim_breaks("merge-leaves-folders-unlinked"))
		out.ops &= ~(unsigned)MERGE_RELINK_PARENT;
	if (sim_breaks("merge-does-not-wake-the-planner"))
		out.ops &= ~(unsigned)MERGE_DIRTY;
	return out;
}

/* ---- the planner --------------------------------------------------------- */

struct plan_out __real_plan_next(const struct plan_in *in);
struct plan_out __wrap_plan_next(const struct plan_in *in);

static void break_plan_in(struct plan_in *in)
{
	if (sim_breaks("plan-sends-what-is-not-whole"))
		in->whole = true;
	if (sim_breaks("plan-does-not-wait-for-the-round"))
		in->round_done = INT64_MAX;
	if (sim_breaks("plan-forgets-kept-children"))
		in->kept_child = 0;
	if (sim_breaks("plan-forgets-attempts"))
		in->attempt.open = in->attempt.running;
	if (sim_breaks("plan-forgets-who-holds-a-name"))
		in->occupant.ino = 0;
}

struct plan_out __wrap_plan_next(const struct plan_in *in)
{
	struct plan_in broken = *in;
	struct plan_out out;

	break_plan_in(&broken);
	out = __real_plan_next(&broken);
	if (sim_breaks("plan-makes-no-room") && out.action == PLAN_ASIDE)
		out = (struct plan_out){ .action = PLAN_WAIT_TIME,
			                 .wait_ms = 1000 };
	if (sim_breaks("plan-calls-unsent-content-clean") &&
	    out.action == PLAN_REPLACE)
		out.action = PLAN_CLEAN;
	return out;
}

/* ---- others -------------------------------------------------------------- */

bool __real_told_since(const struct told *t, const char *id, uint64_t moment);
bool __wrap_told_since(const struct told *t, const char *id, uint64_t moment);

bool __wrap_told_since(const struct told *t, const char *id, uint64_t moment)
{
	return !sim_breaks("answers-overtake-each-other") &&
	       __real_told_since(t, id, moment);
}
