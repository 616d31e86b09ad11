/* fs/check.h -- a state directory examined while nothing is mounted from it.
 *
 * Looking changes nothing. Repairing goes by three rules: what is not
 * understood is moved to quarantine/, never removed or cut; rows are put in
 * order in one transaction; whatever the server has is taken from there again
 * (the next mount lists it anew), so nothing here becomes a DELETE. It may die
 * anywhere and be repeated, and it needs no network.
 *
 * Threads: one. The caller holds the state's lock (fs/statelock.h). */
#ifndef NMB_CHECK_H
#define NMB_CHECK_H

#include <stdbool.h>
#include <stdint.h>

enum check_level {
	CHECK_NOTE,   /* good to know: the program deals with it by itself */
	CHECK_DAMAGE, /* should not be so */
};

struct check_finding {
	enum check_level level;
	const char *kind;   /* a word for scripts: "database", "lost", ... */
	const char *path;   /* in the mount, or in the directory; "" if none */
	const char *text;   /* what is wrong */
	const char *advice; /* what a person can do; "" if nothing is needed */
	bool repaired;
};

typedef void check_report_fn(void *arg, const struct check_finding *f);

/* `total` 0: not known. */
typedef void check_progress_fn(void *arg, uint64_t done, uint64_t total);

struct check_options {
	const char *state_dir;
	bool repair;
	check_report_fn *report;
	check_progress_fn *progress;
	void *arg;
};

struct check_result {
	unsigned notes;
	unsigned damages;  /* all that were found */
	unsigned repaired; /* of those */
};

/* 0: all was looked at. -Exxx: it could not be (-ENOSPC, -EROFS: not
 * repaired); what was found until then was reported. */
int check_state(const struct check_options *opt, struct check_result *out);

#endif
