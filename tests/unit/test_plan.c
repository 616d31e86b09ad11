#include "fs/plan.h"

#include <errno.h>

#include "net/clock.h"
#include "tests/unit/check.h"

/* One row per rule of the header's list, in its order, with the rows around
 * each edge. A row starts from a node in a known state and changes it. */

#define S_FILE 0100644
#define S_DIR  0040755
#define S_LINK 0120777

/* Linked in folder 20 as "n", in step with the server but for what follows. */
#define SYNCED(kind)                                                           \
	.ino = 30, .mode = (kind), .parent = 20, .name = "n", .gen = 3,        \
	.s_id = "ID", .s_parent = 20, .s_name = "n", .s_gen = 3
#define NEW(kind) .ino = 30, .mode = (kind), .parent = 20, .name = "n", .gen = 1
#define GONE(kind)                                                             \
	.ino = 30, .mode = (kind), .gen = 3, .s_id = "ID", .s_parent = 20,     \
	.s_name = "n", .s_gen = 3, .gone_round = 5

/* Rows change what these macros set. */
#pragma GCC diagnostic ignored "-Woverride-init"

/* A name the server can hold, a folder that is there, content all here. */
#define GOOD                                                                   \
	.sent = true, .want_name = "n", .parent_there = true, .whole = true,   \
	.now_ms = 100000, .quiet_ms = 1000, .max_age_ms = 300000

static const struct row {
	const char *what;
	struct node n;
	struct plan_in in;
	enum plan_action action;
	uint64_t on;
	int64_t wait_ms;
} rows[] = {
	/* ---- attempts ---- */
	{ "a foreign item is never planned, whatever else",
	  { SYNCED(S_FILE), .flags = NODE_FOREIGN },
	  { GOOD, .attempt = { .open = true } },
	  .action = PLAN_CLEAN },
	{ "an attempt that runs",
	  { NEW(S_FILE) },
	  { GOOD, .attempt = { .open = true, .running = true } },
	  .action = PLAN_WAIT_JOB },
	{ "an attempt that runs, its file was unlinked",
	  { .ino = 30, .mode = S_FILE, .gen = 1 },
	  { GOOD,
	    .attempt = { .open = true, .running = true, .create = true } },
	  .action = PLAN_ABANDON },
	{ "a create that can go on",
	  { NEW(S_FILE) },
	  { GOOD, .attempt = { .open = true,
	                       .create = true,
	                       .gen = 1,
	                       .resumable = true } },
	  .action = PLAN_RESUME },
	{ "a create that can go on, renamed since",
	  { NEW(S_FILE) },
	  { GOOD, .want_name = "m",
	    .attempt = { .open = true,
	                 .create = true,
	                 .gen = 1,
	                 .name = "n",
	                 .resumable = true } },
	  .action = PLAN_RESUME },
	{ "a create that can't go on",
	  { NEW(S_FILE) },
	  { GOOD, .attempt = { .open = true, .create = true, .gen = 1 } },
	  .action = PLAN_ABANDON },
	{ "a create, but the node has an item by now",
	  { SYNCED(S_FILE) },
	  { GOOD, .attempt = { .open = true,
	                       .create = true,
	                       .gen = 3,
	                       .resumable = true } },
	  .action = PLAN_ABANDON },
	{ "a replace that can go on, written since",
	  { SYNCED(S_FILE), .gen = 5 },
	  { GOOD, .attempt = { .open = true, .gen = 4, .resumable = true } },
	  .action = PLAN_RESUME },
	{ "a replace whose content is there already",
	  { SYNCED(S_FILE) },
	  { GOOD, .attempt = { .open = true, .gen = 3, .resumable = true } },
	  .action = PLAN_ABANDON },
	{ "a replace of an item that is gone",
	  { NEW(S_FILE) },
	  { GOOD, .attempt = { .open = true, .gen = 1, .resumable = true } },
	  .action = PLAN_ABANDON },

	/* ---- unlinked ---- */
	{ "nowhere any more",
	  { .ino = 30, .mode = S_FILE },
	  { GOOD },
	  .action = PLAN_FORGET },
	{ "its folder goes too",
	  { GONE(S_FILE) },
	  { GOOD, .s_parent_unlinked = 20 },
	  .action = PLAN_WAIT_NODE,
	  20 },
	{ "its folder goes too, but a round is due: still the folder first",
	  { GONE(S_DIR) },
	  { GOOD, .s_parent_unlinked = 20, .kept_child = 40 },
	  .action = PLAN_WAIT_NODE,
	  20 },
	{ "something kept lies in it there",
	  { GONE(S_DIR) },
	  { GOOD, .kept_child = 40, .round_done = 6 },
	  .action = PLAN_WAIT_NODE,
	  40 },
	{ "a new file wants its name",
	  { GONE(S_FILE) },
	  { GOOD, .wanted = { .ino = 40, .linked = true, .file = true } },
	  .action = PLAN_WAIT_NODE,
	  40 },
	{ "a new folder wants a file's name",
	  { GONE(S_FILE) },
	  { GOOD, .wanted = { .ino = 40, .linked = true } },
	  .action = PLAN_DELETE },
	{ "a new file wants a folder's name: the folder must go",
	  { GONE(S_DIR) },
	  { GOOD, .round_done = 6,
	    .wanted = { .ino = 40, .linked = true, .file = true } },
	  .action = PLAN_DELETE },
	{ "an item of ours wants its name",
	  { GONE(S_FILE) },
	  { GOOD, .wanted = { .ino = 40,
	                      .linked = true,
	                      .file = true,
	                      .there = true } },
	  .action = PLAN_ASIDE },
	{ "the same, aside already",
	  { GONE(S_FILE), .flags = NODE_ASIDE },
	  { GOOD, .wanted = { .ino = 40,
	                      .linked = true,
	                      .file = true,
	                      .there = true } },
	  .action = PLAN_DELETE },
	{ "a folder that something linked still lies in there",
	  { GONE(S_DIR) },
	  { GOOD, .round_done = 6, .kept_child = 40 },
	  .action = PLAN_WAIT_NODE,
	  .on = 40 },
	{ "the same, and that waits for its name",
	  { GONE(S_DIR) },
	  { GOOD, .round_done = 6, .kept_child = 40, .ring = true },
	  .action = PLAN_ASIDE },
	{ "the same, aside already",
	  { GONE(S_DIR), .flags = NODE_ASIDE },
	  { GOOD, .round_done = 6, .kept_child = 40, .ring = true },
	  .action = PLAN_WAIT_NODE,
	  .on = 40 },
	{ "a folder, the round under way began before the unlink",
	  { GONE(S_DIR) },
	  { GOOD, .round_done = 5 },
	  .action = PLAN_WAIT_ROUND },
	{ "a folder, news of it are parked",
	  { GONE(S_DIR) },
	  { GOOD, .round_done = -1 },
	  .action = PLAN_WAIT_ROUND },
	{ "a folder, a later round is done",
	  { GONE(S_DIR) },
	  { GOOD, .round_done = 6 },
	  .action = PLAN_DELETE },
	{ "a file needs no round",
	  { GONE(S_FILE) },
	  { GOOD },
	  .action = PLAN_DELETE },
	{ "unlinked, of a kind that stays here, yet there: deleted",
	  { GONE(S_LINK) },
	  { GOOD, .sent = false },
	  .action = PLAN_DELETE },

	/* ---- linked ---- */
	{ "a kind that stays here",
	  { NEW(S_LINK) },
	  { GOOD, .sent = false },
	  .action = PLAN_CLEAN },
	{ "a name that can't be held",
	  { NEW(S_FILE) },
	  { GOOD, .want_name = NULL, .name_rc = -EINVAL },
	  .action = PLAN_BLOCK },
	{ "new, its folder is new",
	  { NEW(S_FILE) },
	  { GOOD, .parent_there = false },
	  .action = PLAN_WAIT_NODE,
	  20 },
	{ "new, an unlinked file of ours holds the name",
	  { NEW(S_FILE) },
	  { GOOD, .occupant = { .ino = 40, .file = true, .there = true } },
	  .action = PLAN_ADOPT,
	  40 },
	{ "the same, it has an open attempt",
	  { NEW(S_FILE) },
	  { GOOD, .occupant = { .ino = 40,
	                        .file = true,
	                        .there = true,
	                        .busy = true } },
	  .action = PLAN_WAIT_NODE,
	  40 },
	{ "new, an unlinked folder holds the name",
	  { NEW(S_FILE) },
	  { GOOD, .occupant = { .ino = 40, .there = true } },
	  .action = PLAN_WAIT_NODE,
	  40 },
	{ "a new folder, an unlinked file holds the name",
	  { NEW(S_DIR) },
	  { GOOD, .occupant = { .ino = 40, .file = true, .there = true } },
	  .action = PLAN_WAIT_NODE,
	  40 },
	{ "new, a file that is leaving holds the name",
	  { NEW(S_FILE) },
	  { GOOD, .occupant = { .ino = 40,
	                        .file = true,
	                        .there = true,
	                        .linked = true } },
	  .action = PLAN_WAIT_NODE,
	  40 },
	{ "a new folder", { NEW(S_DIR) }, { GOOD }, .action = PLAN_MKDIR },
	{ "a new file", { NEW(S_FILE) }, { GOOD }, .action = PLAN_CREATE },

	/* ---- sendable ---- */
	{ "not all here",
	  { NEW(S_FILE) },
	  { GOOD, .whole = false },
	  .action = PLAN_WAIT_WHOLE },
	{ "not all here, in a hurry all the same",
	  { NEW(S_FILE) },
	  { GOOD, .whole = false, .hurry = true },
	  .action = PLAN_WAIT_WHOLE },
	{ "written a moment ago",
	  { NEW(S_FILE) },
	  { GOOD, .wrote_ms = 99400, .dirty_ms = 99000 },
	  .action = PLAN_WAIT_TIME,
	  0,
	  400 },
	{ "written just long enough ago",
	  { NEW(S_FILE) },
	  { GOOD, .wrote_ms = 99000, .dirty_ms = 99000 },
	  .action = PLAN_CREATE },
	{ "open for writing",
	  { NEW(S_FILE) },
	  { GOOD, .writers = 1, .wrote_ms = 90000, .dirty_ms = 80000 },
	  .action = PLAN_WAIT_TIME,
	  0,
	  280000 },
	{ "open for writing, and older than may be",
	  { NEW(S_FILE) },
	  { GOOD, .now_ms = 400000, .writers = 1, .wrote_ms = 399999,
	    .dirty_ms = 100000 },
	  .action = PLAN_CREATE },
	{ "a writer that replaces a version, for long",
	  { SYNCED(S_FILE), .gen = 4, .flags = NODE_FRESH },
	  { GOOD, .now_ms = 400000, .writers = 1, .wrote_ms = 399000,
	    .dirty_ms = 50000 },
	  .action = PLAN_WAIT_TIME,
	  .wait_ms = 299000 },
	{ "a writer that replaced a version and stopped",
	  { SYNCED(S_FILE), .gen = 4, .flags = NODE_FRESH },
	  { GOOD, .now_ms = 400000, .writers = 1, .wrote_ms = 100000,
	    .dirty_ms = 50000 },
	  .action = PLAN_REPLACE },
	{ "what such a writer fsynced",
	  { SYNCED(S_FILE), .gen = 4, .flags = NODE_FRESH },
	  { GOOD, .writers = 1, .wrote_ms = 99000, .dirty_ms = 50000,
	    .fsync_ms = 99500 },
	  .action = PLAN_REPLACE },
	{ "its mark, after its writer died with the program",
	  { SYNCED(S_FILE), .gen = 4, .flags = NODE_FRESH },
	  { GOOD },
	  .action = PLAN_REPLACE },
	{ "open for writing, fsynced since, quiet",
	  { NEW(S_FILE) },
	  { GOOD, .writers = 1, .wrote_ms = 90000, .dirty_ms = 90000,
	    .fsync_ms = 90000 },
	  .action = PLAN_CREATE },
	{ "open for writing, fsynced before the last write",
	  { NEW(S_FILE) },
	  { GOOD, .writers = 1, .wrote_ms = 99900, .dirty_ms = 99900,
	    .fsync_ms = 99899 },
	  .action = PLAN_WAIT_TIME,
	  0,
	  299900 },
	{ "open for writing, somebody waits in flush",
	  { NEW(S_FILE) },
	  { GOOD, .writers = 1, .wrote_ms = 99900, .hurry = true },
	  .action = PLAN_CREATE },
	{ "made and open, nothing written yet",
	  { NEW(S_FILE) },
	  { GOOD, .writers = 1, .dirty_ms = 99900 },
	  .action = PLAN_WAIT_TIME,
	  0,
	  299900 },

	/* ---- known there ---- */
	{ "equal", { SYNCED(S_FILE) }, { GOOD }, .action = PLAN_CLEAN },
	{ "equal folder", { SYNCED(S_DIR) }, { GOOD }, .action = PLAN_CLEAN },
	{ "renamed",
	  { SYNCED(S_FILE), .s_name = "old" },
	  { GOOD },
	  .action = PLAN_MOVE },
	{ "an alias is no rename",
	  { SYNCED(S_FILE), .s_name = "old", .flags = NODE_ALIAS },
	  { GOOD, .want_name = "old" },
	  .action = PLAN_CLEAN },
	{ "an alias that was moved",
	  { SYNCED(S_FILE), .s_name = "old", .s_parent = 19,
	    .flags = NODE_ALIAS },
	  { GOOD, .want_name = "old" },
	  .action = PLAN_MOVE },
	{ "other attributes",
	  { SYNCED(S_FILE), .s_name = "old" },
	  { GOOD, .attrs_only = true },
	  .action = PLAN_MOVE },
	{ "other attributes, set just now",
	  { SYNCED(S_FILE), .s_name = "old" },
	  { GOOD, .attrs_only = true, .dirty_ms = 99700 },
	  .action = PLAN_WAIT_TIME,
	  .wait_ms = 700 },
	{ "the same, and somebody waits",
	  { SYNCED(S_FILE), .s_name = "old" },
	  { GOOD, .attrs_only = true, .dirty_ms = 99700, .hurry = true },
	  .action = PLAN_MOVE },
	{ "other attributes and content: content first",
	  { SYNCED(S_FILE), .s_name = "old", .gen = 4 },
	  { GOOD, .attrs_only = true },
	  .action = PLAN_REPLACE },
	{ "the same, still being written",
	  { SYNCED(S_FILE), .s_name = "old", .gen = 4 },
	  { GOOD, .attrs_only = true, .writers = 1, .wrote_ms = 99000,
	    .dirty_ms = 99000 },
	  .action = PLAN_WAIT_TIME,
	  .wait_ms = 299000 },
	{ "written over what nobody has read here",
	  { SYNCED(S_FILE), .gen = 4 },
	  { GOOD, .header_wanted = true },
	  .action = PLAN_READ_HEADER },
	{ "the same, but not yet sendable",
	  { SYNCED(S_FILE), .gen = 4 },
	  { GOOD, .header_wanted = true, .wrote_ms = 99500, .dirty_ms = 99500 },
	  .action = PLAN_WAIT_TIME,
	  .wait_ms = 500 },
	{ "moved, the new folder is not there",
	  { SYNCED(S_DIR), .s_parent = 19 },
	  { GOOD, .parent_there = false },
	  .action = PLAN_WAIT_NODE,
	  20 },
	{ "moved into a new folder that waits for its name",
	  { SYNCED(S_DIR), .s_parent = 19 },
	  { GOOD, .ring = true, .parent_there = false },
	  .action = PLAN_ASIDE },
	{ "moved, in a ring",
	  { SYNCED(S_DIR), .s_parent = 19 },
	  { GOOD, .ring = true, .occupant = { .ino = 40 } },
	  .action = PLAN_ASIDE },
	{ "moved, in a ring, aside already",
	  { SYNCED(S_DIR), .s_parent = 19, .flags = NODE_ASIDE },
	  { GOOD, .ring = true, .occupant = { .ino = 40 } },
	  .action = PLAN_WAIT_NODE,
	  40 },
	{ "moved below what lies in it there",
	  { SYNCED(S_DIR), .s_parent = 19 },
	  { GOOD, .below = 50, .occupant = { .ino = 40 } },
	  .action = PLAN_WAIT_NODE,
	  50 },
	{ "renamed, the name is held",
	  { SYNCED(S_FILE), .s_name = "old" },
	  { GOOD, .occupant = { .ino = 40 } },
	  .action = PLAN_WAIT_NODE,
	  40 },
	{ "the place first, then the content",
	  { SYNCED(S_FILE), .s_name = "old", .gen = 4 },
	  { GOOD },
	  .action = PLAN_MOVE },
	{ "written",
	  { SYNCED(S_FILE), .gen = 4 },
	  { GOOD },
	  .action = PLAN_REPLACE },
	{ "written, not all here",
	  { SYNCED(S_FILE), .gen = 4 },
	  { GOOD, .whole = false },
	  .action = PLAN_WAIT_WHOLE },
	{ "a folder has no content",
	  { SYNCED(S_DIR), .gen = 4 },
	  { GOOD },
	  .action = PLAN_CLEAN },
	{ "times differ and are sent",
	  { SYNCED(S_FILE), .mtime = 5 * NS_PER_SEC },
	  { GOOD, .sets_times = true },
	  .action = PLAN_MOVE },
	{ "times differ and are not sent",
	  { SYNCED(S_FILE), .mtime = 5 * NS_PER_SEC },
	  { GOOD },
	  .action = PLAN_CLEAN },
	{ "times differ within a second",
	  { SYNCED(S_FILE), .mtime = 5 * NS_PER_SEC + 7,
	    .s_mtime = 5 * NS_PER_SEC },
	  { GOOD, .sets_times = true },
	  .action = PLAN_CLEAN },
	{ "a second before 1970 is not the second after",
	  { SYNCED(S_FILE), .mtime = -1, .s_mtime = 1 },
	  { GOOD, .sets_times = true },
	  .action = PLAN_MOVE },
	{ "times of a folder stay here",
	  { SYNCED(S_DIR), .mtime = 5 * NS_PER_SEC },
	  { GOOD, .sets_times = true },
	  .action = PLAN_CLEAN },
};

static void test_rules(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct plan_in in = rows[i].in;
		struct plan_out out;

		check_row("%s", rows[i].what);
		in.n = &rows[i].n;
		out = plan_next(&in);
		CHECK_STR(plan_action_name(out.action),
		          plan_action_name(rows[i].action));
		CHECK_EQ(out.on, rows[i].on);
		CHECK_EQ(out.wait_ms, rows[i].wait_ms);
	}
}

/* A refusal says why; a wait is never for no time. */
static void test_details(void)
{
	struct node n = { NEW(S_FILE) };
	struct plan_in in = { .n = &n, GOOD };
	struct plan_out out;

	in.want_name = NULL;
	in.name_rc = -ENAMETOOLONG;
	in.name_why = "too long";
	out = plan_next(&in);
	CHECK_EQ(out.rc, -ENAMETOOLONG);
	CHECK_STR(out.why, "too long");
	in.want_name = "n";
	in.writers = 1;
	for (int64_t t = 0; t < 4; t++) {
		in.dirty_ms = 100000 - in.max_age_ms + t + 1;
		if (in.dirty_ms <= 0)
			in.dirty_ms = 1;
		out = plan_next(&in);
		CHECK(out.action != PLAN_WAIT_TIME || out.wait_ms >= 1);
	}
}

int main(void)
{
	RUN(test_rules);
	RUN(test_details);
	return check_report();
}
