/* fs/watch_view.h -- the picture that `status --watch` shows, as text.
 *
 * Pure: no terminal, no clock. `status` is an answer to "status" with `waiting`
 * (fs/control_status.h). Threads: any. */
#ifndef NMB_WATCH_VIEW_H
#define NMB_WATCH_VIEW_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct cJSON;

#define WATCH_RECENT 64

struct watch_view {
	const struct cJSON *status; /* NULL: none came yet */
	double up, down;            /* bytes a second */
	bool silent;                /* the mount doesn't answer */
	/* What happened lately, the newest first; n <= WATCH_RECENT. */
	char *recent[WATCH_RECENT];
	unsigned nrecent;
};

/* At most `rows` lines of at most `cols` columns, each ended by '\n'; safe for
 * a terminal. */
void watch_draw(const struct watch_view *v, unsigned cols, unsigned rows,
                struct buf *out);

/* All of it in one line, without '\n': for what is no terminal. */
void watch_summary(const struct watch_view *v, struct buf *out);

/* An event (fs/control.h) in one line, in malloc'ed memory; NULL: it is not
 * worth one. */
char *watch_describe(const struct cJSON *event);

/* Something is going on that should be looked at now and then. */
bool watch_is_busy(const struct cJSON *status);

#endif
