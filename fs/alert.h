/* fs/alert.h -- when a person who is not looking should be told something, and
 * what.
 *
 * Only three things: something waits for a person; nobody is signed in; all is
 * done after a long run. Each at most once in ten minutes; what comes up
 * meanwhile is told then, if it still is so. The texts hold numbers and the
 * profile, nothing of files, accounts or keys: others may see the screen.
 * Pure; one thread. */
#ifndef NMB_ALERT_H
#define NMB_ALERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum alert_kind {
	ALERT_NONE,
	ALERT_SIGNED_OUT,
	ALERT_PERSON,
	ALERT_DONE,
	ALERT_KINDS,
};

#define ALERT_PAUSE_MS  600000 /* between two of a kind */
#define ALERT_GATHER_MS 1000   /* what comes together is told together */
#define ALERT_QUIET_MS  10000  /* a run is over when nothing followed */
#define ALERT_NEVER     INT64_MAX

/* How the mount stands. */
struct alert_view {
	bool signed_out;
	bool full;          /* OneDrive, and something waits for room */
	uint64_t blocked;   /* refused: files, folders */
	uint64_t held;      /* deletes, overwrites, of either side */
	uint64_t conflicts; /* since the start */
	bool busy;          /* something is on its way, or could be */
	uint64_t uploaded;  /* files since the start */
};

struct alert {
	int64_t run_ms; /* a run is long from here on */
	int64_t told_ms[ALERT_KINDS];
	bool was_told[ALERT_KINDS];
	bool signed_out;          /* it is so, and was told */
	struct alert_view known;  /* of what needs a person: what was told */
	int64_t first_ms;         /* since when something was not; 0: nothing */
	int64_t busy_ms, idle_ms; /* the run: since when, until when; 0: none */
	uint64_t uploaded;        /* when it began */
	uint64_t run_files;       /* in the one that is told */
	uint64_t seen;            /* uploaded, when last asked */
};

void alert_init(struct alert *a, int64_t run_ms);

/* What is to be told now, as if it was; *out_next_ms: when to ask again though
 * nothing changes. `now_ms` > 0. */
enum alert_kind alert_next(struct alert *a, const struct alert_view *v,
                           int64_t now_ms, int64_t *out_next_ms);

#define ALERT_TEXT 512
void alert_words(const struct alert *a, enum alert_kind kind,
                 const char *profile, char title[ALERT_TEXT],
                 char text[ALERT_TEXT]);

#endif
