#include "fs/engine_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fs/lock.h"
#include "net/clock.h"
#include "net/log.h"

/* OneDrive has no room (507, or a count that is at its limit; facts 14): what
 * would add to it waits, however much that is. One request at a time looks
 * whether there is room again, every 5 to 15 minutes, and at once after a
 * delete of ours or when a person asks for a flush. Deletes and renames go on,
 * so does everything here. */

#define FULL_FIRST_MS 300000
#define FULL_LAST_MS  900000
#define PROBE_MS      1000 /* the others look again meanwhile */

static void publish(struct engine *e)
{
	lock_take(&e->lock, LOCK_LEAF);
	e->status.full_until_ms = e->full.until_ms;
	lock_drop(&e->lock, LOCK_LEAF);
}

static void refused(struct engine *e, const struct job *j, int64_t now)
{
	struct engine_full *f = &e->full;

	f->wait_ms = f->until_ms ? f->wait_ms * 2 : FULL_FIRST_MS;
	if (f->wait_ms > FULL_LAST_MS)
		f->wait_ms = FULL_LAST_MS;
	f->until_ms = now + f->wait_ms;
	f->probe = j->action == PLAN_MKDIR ? j->ino : 0;
	publish(e);
	engine_set_error(e, "OneDrive is full: new content waits here, and is "
	                    "safe here only; delete something there, or get "
	                    "more room");
	log_warn("drive full status=%ld code=%s retry_in_ms=%" PRId64
	         " kept=local",
	         j->status, j->code, f->wait_ms);
}

void engine_full_note(struct engine *e, const struct job *j)
{
	struct engine_full *f = &e->full;
	struct todo_entry *t = todo_find(e->todo, j->ino);
	int64_t now = clock_mono_ms();

	/* Those that were on their way with the first say nothing new. */
	if (f->until_ms <= now || f->probe == j->ino)
		refused(e, j, now);
	if (t)
		todo_set_due(e->todo, t, f->until_ms);
}

bool engine_full_bars(struct engine *e, struct todo_entry *t)
{
	struct engine_full *f = &e->full;
	int64_t now = clock_mono_ms();
	const struct todo_entry *probe;

	if (!f->until_ms)
		return false;
	if (now < f->until_ms) {
		todo_set_due(e->todo, t, f->until_ms);
		return true;
	}
	probe = f->probe ? todo_find(e->todo, f->probe) : NULL;
	if (probe && probe != t && probe->job) {
		todo_set_due(e->todo, t, now + PROBE_MS);
		return true;
	}
	f->probe = t->ino;
	return false;
}

void engine_full_over(struct engine *e)
{
	if (!e->full.until_ms)
		return;
	memset(&e->full, 0, sizeof(e->full));
	publish(e);
	log_info("drive full=0");
	engine_load_dirty(e);
}

void engine_full_hurry(struct engine *e)
{
	if (!e->full.until_ms)
		return;
	e->full.until_ms = clock_mono_ms();
	engine_load_dirty(e);
}
