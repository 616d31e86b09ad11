#include "fs/watch_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "fs/cmd_common.h"
#include "fs/term_text.h"
#include "net/buf.h"
#include "net/clock.h"
#include "net/json.h"

#define LABEL_COLS  11
#define BAR_CELLS   20
#define WIDE_COLS   70 /* from here on there is room for a bar */
#define MIN_RATE    1024.0
#define MAX_EXAMPLE 512

/* ---- words --------------------------------------------------------------- */

static const char *text_of(const cJSON *o, const char *name)
{
	const char *s = json_str(o, name);

	return s ? s : "";
}

static void format_size(int64_t bytes, char out[CMD_SIZE_TEXT])
{
	cmd_format_size(bytes > 0 ? (uint64_t)bytes : 0, out);
}

/* "14:05:09" here, of an RFC 3339 text; "" if that is none. */
static void format_clock(const char *rfc3339, char out[16])
{
	struct timespec ts;
	struct tm tm;
	int64_t ns;

	out[0] = '\0';
	if (!rfc3339 || clock_parse_rfc3339(rfc3339, &ns) < 0)
		return;
	ts = clock_ns_to_timespec(ns);
	if (localtime_r(&ts.tv_sec, &tm))
		strftime(out, 16, "%H:%M:%S", &tm);
}

static void add_state(struct buf *b, const cJSON *status)
{
	const char *state = text_of(status, "state");
	const char *until =
		json_str(status, !strcmp(state, "full") ? "full_until"
	                                                : "throttled_until");
	char at[16];

	if (!strcmp(state, "idle") && json_i64(status, "pending_changes", 0))
		buf_add_str(b, "idle");
	else
		buf_add_str(b, cmd_state_in_words(state));
	format_clock(until, at);
	if (at[0])
		buf_addf(b, ", until %s", at);
	if (!json_bool(status, "listed", true))
		buf_add_str(b, "; the first listing is not complete yet");
}

static int64_t bytes_left(const cJSON *status)
{
	int64_t left = json_i64(status, "pending_bytes", 0);
	const cJSON *u;

	cJSON_ArrayForEach (u, json_arr(status, "uploading"))
		left -= json_i64(u, "sent", 0);
	return left > 0 ? left : 0;
}

/* Only while something leaves: else nobody knows. */
static void add_time_left(struct buf *b, int64_t bytes, double rate)
{
	double s;

	if (!bytes || rate < MIN_RATE)
		return;
	s = (double)bytes / rate;
	if (s < 100)
		buf_addf(b, ", about %.0f s", s < 1 ? 1 : s);
	else if (s < 6000)
		buf_addf(b, ", about %.0f min", s / 60);
	else if (s < 360000)
		buf_addf(b, ", about %.0f h", s / 3600);
	else
		buf_addf(b, ", about %.0f days", s / 86400);
}

static void add_left(struct buf *b, const struct watch_view *v)
{
	int64_t changes = json_i64(v->status, "pending_changes", 0);
	int64_t files = json_i64(v->status, "pending_files", 0);
	int64_t left = bytes_left(v->status);
	char size[CMD_SIZE_TEXT];

	format_size(left, size);
	if (files)
		buf_addf(b, "%" PRId64 " files, %s", files, size);
	else
		buf_addf(b, "%" PRId64 " changes", changes);
	add_time_left(b, left, v->up);
}

static void add_speed(struct buf *b, const struct watch_view *v)
{
	char up[CMD_SIZE_TEXT], down[CMD_SIZE_TEXT];

	format_size((int64_t)v->up, up);
	format_size((int64_t)v->down, down);
	buf_addf(b, "up %s/s, down %s/s", up, down);
}

/* ---- lines --------------------------------------------------------------- */

struct screen {
	struct buf *out;
	unsigned cols, rows, row;
};

/* "label      ", or as much as fits; returns the columns behind it. */
static unsigned begin_line(struct screen *s, const char *label)
{
	unsigned cols = s->cols < 3 * LABEL_COLS ? 0 : LABEL_COLS;

	term_add_padded(s->out, label, cols, TERM_CUT_END);
	return s->cols - cols;
}

static void end_line(struct screen *s)
{
	buf_add_char(s->out, '\n');
	s->row++;
}

static bool has_room(const struct screen *s)
{
	return s->row < s->rows;
}

static void line(struct screen *s, const char *label, const char *text,
                 enum term_cut cut)
{
	if (!has_room(s))
		return;
	term_add(s->out, text, begin_line(s, label), cut);
	end_line(s);
}

static void line_of(struct screen *s, const char *label, struct buf *text)
{
	line(s, label, text->data ? text->data : "", TERM_CUT_END);
	buf_done(text);
}

/* `before`, then of a path the end. */
static void path_line(struct screen *s, const char *label, const char *before,
                      const char *path)
{
	unsigned cols;

	if (!has_room(s))
		return;
	cols = begin_line(s, label);
	cols -= term_add(s->out, before, cols, TERM_CUT_END);
	term_add(s->out, path, cols, TERM_CUT_START);
	end_line(s);
}

/* ---- parts --------------------------------------------------------------- */

static void draw_head(struct screen *s, const struct watch_view *v)
{
	struct buf b = BUF_INIT;

	line(s, "mount", text_of(v->status, "mountpoint"), TERM_CUT_START);
	if (v->silent)
		buf_add_str(&b, "the mount does not answer; as of then: ");
	add_state(&b, v->status);
	line_of(s, "state", &b);
	if (json_i64(v->status, "pending_changes", 0)) {
		add_left(&b, v);
		line_of(s, "left", &b);
	}
	add_speed(&b, v);
	line_of(s, "speed", &b);
}

static void draw_upload(struct screen *s, const char *label, const cJSON *u)
{
	int64_t sent = json_i64(u, "sent", 0), total = json_i64(u, "total", 0);
	int percent = total > 0 ? (int)((double)sent * 100 / (double)total) : 0;
	char size[CMD_SIZE_TEXT], bar[BAR_CELLS + 1], before[96];

	percent = percent < 0 ? 0 : percent > 100 ? 100 : percent;
	for (int i = 0; i < BAR_CELLS; i++)
		bar[i] = i < percent * BAR_CELLS / 100 ? '#' : '.';
	bar[BAR_CELLS] = '\0';
	format_size(total, size);
	if (s->cols >= WIDE_COLS)
		snprintf(before, sizeof(before), "[%s] %3d %% of %-9s ", bar,
		         percent, size);
	else
		snprintf(before, sizeof(before), "%3d %% ", percent);
	path_line(s, label, before, text_of(u, "path"));
}

static void draw_waiting(struct screen *s, const char *label, const cJSON *w)
{
	char size[CMD_SIZE_TEXT], before[CMD_SIZE_TEXT + 16];

	format_size(json_i64(w, "size", 0), size);
	snprintf(before, sizeof(before), "%9s  ", size);
	path_line(s, label, before, text_of(w, "path"));
}

static void draw_blocked(struct screen *s, const char *label, const cJSON *b)
{
	char text[MAX_EXAMPLE * 2];

	snprintf(text, sizeof(text), "%.*s: %.*s", MAX_EXAMPLE - 2,
	         text_of(b, "path"), MAX_EXAMPLE, text_of(b, "reason"));
	line(s, label, text, TERM_CUT_END);
}

static void draw_held(struct screen *s, const char *label, const cJSON *h)
{
	char text[CMD_HELD_TEXT];

	cmd_format_held(h, text);
	line(s, label, text, TERM_CUT_END);
}

typedef void draw_fn(struct screen *s, const char *label, const cJSON *entry);

/* At most `max` lines of a list; the last one counts those that are left. */
static void draw_list(struct screen *s, const char *label, const cJSON *list,
                      unsigned max, draw_fn *draw)
{
	unsigned n = (unsigned)cJSON_GetArraySize(list), shown = 0;
	const cJSON *entry;
	char more[32];

	if (max > s->rows - s->row)
		max = s->rows - s->row;
	cJSON_ArrayForEach (entry, list) {
		if (shown == max || (shown + 1 == max && n > max && max > 1))
			break;
		draw(s, shown++ ? "" : label, entry);
	}
	if (shown && shown < n && shown < max) {
		snprintf(more, sizeof(more), "... and %u more", n - shown);
		line(s, "", more, TERM_CUT_END);
	}
}

static void draw_recent(struct screen *s, const struct watch_view *v)
{
	for (unsigned i = 0; i < v->nrecent; i++)
		line(s, i ? "" : "lately", v->recent[i], TERM_CUT_END);
}

static void draw_foot(struct screen *s, const struct watch_view *v)
{
	const cJSON *q = json_obj(v->status, "quota");
	char a[CMD_SIZE_TEXT], at[16];
	struct buf b = BUF_INIT;

	format_size(json_i64(v->status, "uploaded_bytes", 0), a);
	buf_addf(&b, "%" PRId64 " files, %s since the start",
	         json_i64(v->status, "uploaded_files", 0), a);
	if (json_i64(q, "remaining", -1) >= 0) {
		format_size(json_i64(q, "remaining", 0), a);
		buf_addf(&b, "; OneDrive has room for %s", a);
	}
	line_of(s, "uploaded", &b);
	format_clock(json_str(v->status, "last_sync"), at);
	buf_addf(&b, "%s; q ends this view, not the mount",
	         at[0] ? at : "never");
	line_of(s, "last sync", &b);
}

#define FOOT_ROWS 2

void watch_draw(const struct watch_view *v, unsigned cols, unsigned rows,
                struct buf *out)
{
	struct screen s = { .out = out, .cols = cols, .rows = rows };
	unsigned few = rows / 5 > 2 ? rows / 5 : 2;

	if (!v->status) {
		line(&s, "", "the mount does not answer yet", TERM_CUT_END);
		return;
	}
	draw_head(&s, v);
	if (rows > s.row + FOOT_ROWS)
		s.rows -= FOOT_ROWS;
	draw_list(&s, "held", json_arr(v->status, "held"), 2, draw_held);
	draw_list(&s, "blocked", json_arr(v->status, "blocked"), few,
	          draw_blocked);
	draw_list(&s, "uploading", json_arr(v->status, "uploading"),
	          rows / 3 + 1, draw_upload);
	if (few < (s.rows - s.row) / 2)
		few = (s.rows - s.row) / 2;
	draw_list(&s, "waiting", json_arr(v->status, "waiting"), few,
	          draw_waiting);
	draw_recent(&s, v);
	s.rows = rows;
	draw_foot(&s, v);
}

void watch_summary(const struct watch_view *v, struct buf *out)
{
	struct buf b = BUF_INIT;

	if (!v->status)
		return;
	add_state(&b, v->status);
	if (json_i64(v->status, "pending_changes", 0)) {
		buf_add_str(&b, "; ");
		add_left(&b, v);
	}
	if (watch_is_busy(v->status)) {
		buf_add_str(&b, "; ");
		add_speed(&b, v);
	}
	term_add(out, b.data ? b.data : "", UINT16_MAX, TERM_CUT_END);
	buf_done(&b);
}

/* ---- events -------------------------------------------------------------- */

char *watch_describe(const cJSON *e)
{
	static const char *const shown[] = { "uploaded", "blocked", "failed",
		                             "conflict", "remote",  "held",
		                             "lost" };
	const char *name = text_of(e, "event"), *path = text_of(e, "path");
	const char *more = text_of(e, "reason");
	char at[16], *text = NULL;
	bool is = false;

	for (size_t i = 0; i < sizeof(shown) / sizeof(*shown); i++)
		is |= !strcmp(name, shown[i]);
	if (!is)
		return NULL;
	if (!strcmp(name, "remote"))
		name = text_of(e, "change");
	if (!strcmp(name, "lost"))
		more = "more happened than could be shown";
	format_clock(json_str(e, "time"), at);
	if (asprintf(&text, "%s %-8s %s%s%s", at, name, path,
	             path[0] && more[0] ? ": " : "", more) < 0)
		return NULL;
	return text;
}

/* In other states nothing moves, and what ends them is an event. */
bool watch_is_busy(const cJSON *status)
{
	const char *state = text_of(status, "state");

	return !strcmp(state, "syncing") || !strcmp(state, "full");
}
