#include "fs/alert.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void alert_init(struct alert *a, int64_t run_ms)
{
	*a = (struct alert){ .run_ms = run_ms };
}

/* ---- when ---------------------------------------------------------------- */

static void at_latest(int64_t *next, int64_t ms)
{
	if (ms < *next)
		*next = ms;
}

/* Its pause is over; else it comes up when that is. */
static bool may_tell(const struct alert *a, enum alert_kind kind, int64_t now,
                     int64_t *next)
{
	int64_t at = a->told_ms[kind] + ALERT_PAUSE_MS;

	if (!a->was_told[kind] || now >= at)
		return true;
	at_latest(next, at);
	return false;
}

static enum alert_kind tell(struct alert *a, enum alert_kind kind, int64_t now)
{
	a->told_ms[kind] = now;
	a->was_told[kind] = true;
	return kind;
}

static bool is_signed_out(struct alert *a, const struct alert_view *v,
                          int64_t now, int64_t *next)
{
	if (!v->signed_out)
		a->signed_out = false;
	if (!v->signed_out || a->signed_out ||
	    !may_tell(a, ALERT_SIGNED_OUT, now, next))
		return false;
	a->signed_out = true;
	return true;
}

static void lower(uint64_t *known, uint64_t now)
{
	if (*known > now)
		*known = now;
}

/* Something is there that was not told yet. What went counts as new when it
 * comes again. */
static bool needs_person(struct alert *a, const struct alert_view *v,
                         int64_t now, int64_t *next)
{
	bool more;

	lower(&a->known.blocked, v->blocked);
	lower(&a->known.held, v->held);
	a->known.full = a->known.full && v->full;
	more = v->blocked > a->known.blocked || v->held > a->known.held ||
	       v->conflicts > a->known.conflicts || v->full > a->known.full;
	if (!more) {
		a->first_ms = 0;
		return false;
	}
	if (!a->first_ms)
		a->first_ms = now;
	if (now < a->first_ms + ALERT_GATHER_MS) {
		at_latest(next, a->first_ms + ALERT_GATHER_MS);
		return false;
	}
	return may_tell(a, ALERT_PERSON, now, next);
}

/* Short breaks belong to the run. */
static bool is_done(struct alert *a, const struct alert_view *v, int64_t now,
                    int64_t *next)
{
	int64_t quiet = a->run_ms < ALERT_QUIET_MS ? a->run_ms : ALERT_QUIET_MS;
	bool was_long;

	/* One that was over before anybody looked is seen by what it sent. */
	if (!a->busy_ms && (v->busy || v->uploaded > a->seen)) {
		a->busy_ms = now;
		a->uploaded = a->seen;
	}
	a->seen = v->uploaded;
	if (v->busy) {
		a->idle_ms = 0;
		return false;
	}
	if (!a->busy_ms)
		return false;
	if (!a->idle_ms)
		a->idle_ms = now;
	if (now < a->idle_ms + quiet) {
		at_latest(next, a->idle_ms + quiet);
		return false;
	}
	was_long = a->idle_ms - a->busy_ms >= a->run_ms;
	a->run_files = v->uploaded - a->uploaded;
	a->busy_ms = a->idle_ms = 0;
	/* That it ended long ago is no news: it is not told later. */
	return was_long && a->run_files &&
	       may_tell(a, ALERT_DONE, now, &(int64_t){ 0 });
}

enum alert_kind alert_next(struct alert *a, const struct alert_view *v,
                           int64_t now_ms, int64_t *out_next_ms)
{
	*out_next_ms = ALERT_NEVER;
	if (is_signed_out(a, v, now_ms, out_next_ms))
		return tell(a, ALERT_SIGNED_OUT, now_ms);
	if (needs_person(a, v, now_ms, out_next_ms)) {
		a->first_ms = 0;
		a->known = *v;
		return tell(a, ALERT_PERSON, now_ms);
	}
	if (is_done(a, v, now_ms, out_next_ms))
		return tell(a, ALERT_DONE, now_ms);
	return ALERT_NONE;
}

/* ---- what ---------------------------------------------------------------- */

static void add(char text[ALERT_TEXT], const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void add(char text[ALERT_TEXT], const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list args;

	va_start(args, fmt);
	vsnprintf(text + len, ALERT_TEXT - len, fmt, args);
	va_end(args);
}

static void add_some(char text[ALERT_TEXT], uint64_t n, const char *what)
{
	if (n)
		add(text, "%s%" PRIu64 " %s", text[0] ? ", " : "", n, what);
}

static void add_person(const struct alert *a, char text[ALERT_TEXT])
{
	const struct alert_view *v = &a->known;

	add_some(text, v->held, "held deletes or overwrites");
	add_some(text, v->blocked, "refused files");
	add_some(text, v->conflicts, "conflicts since the start");
	if (v->full)
		add(text, "%sOneDrive is full", text[0] ? ", " : "");
	add(text, ". See nmbackupfs status");
}

void alert_words(const struct alert *a, enum alert_kind kind,
                 const char *profile, char title[ALERT_TEXT],
                 char text[ALERT_TEXT])
{
	static const char *const titles[] = {
		[ALERT_NONE] = "nmbackupfs",
		[ALERT_SIGNED_OUT] = "nmbackupfs: signed out",
		[ALERT_PERSON] = "nmbackupfs waits for you",
		[ALERT_DONE] = "nmbackupfs: all is uploaded",
	};

	snprintf(title, ALERT_TEXT, "%s", titles[kind]);
	text[0] = '\0';
	if (kind == ALERT_SIGNED_OUT)
		add(text, "Nothing is sent before you sign in again. Run "
		          "nmbackupfs auth");
	else if (kind == ALERT_PERSON)
		add_person(a, text);
	else
		add(text, "%" PRIu64 " files in this run.", a->run_files);
	if (strcmp(profile, "default") != 0)
		add(text, "%s --profile %s", kind == ALERT_DONE ? " With" : "",
		    profile);
}
