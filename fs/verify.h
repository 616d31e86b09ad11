/* fs/verify.h -- all that the service confirmed, held against what it says now.
 *
 * One enumeration of the drive (fs/survey.h), no content. What does not agree
 * is asked for once more by id, with its row read anew: feeds lag, and a
 * running mount goes on. Threads: one; its callbacks come one at a time. */
#ifndef NMB_VERIFY_H
#define NMB_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/compare.h"

struct direct;
struct records;
struct survey;

#define VERIFY_ASK_MAX 1000 /* so many are asked for by id */

struct verify_finding {
	enum compare_verdict verdict;
	bool moved_out; /* MISSING: it lies elsewhere on the drive */
	bool asked;     /* the answer to a GET by id says so, too */
	const char *path, *id;
	const char *why; /* one line */
};

struct verify_result {
	uint64_t checked;  /* files there by the rows */
	uint64_t unhashed; /* of them: only the size could be compared */
	uint64_t folders;  /* checked to be there */
	uint64_t pending;  /* files here that are not there, or older */
	uint64_t missing, changed, damaged;
	uint64_t extra; /* there, and not known here */
};

/* Called in the order in which things are found. */
struct verify_calls {
	void *arg;
	void (*progress)(void *arg, const char *what, uint64_t done,
	                 uint64_t total);
	void (*finding)(void *arg, const struct verify_finding *f);
	/* What is there and not known here: its path by the names there. */
	void (*extra)(void *arg, const char *path, const char *id);
};

/* 0, also if nothing agrees; -ENOENT: our folder itself is not on the drive;
 * -EINTR: a signal (fs/interrupt.h); -Exxx with a line in the direct's `why`.
 * `r` is refreshed meanwhile. */
int verify_all(struct direct *d, struct records *r,
               const struct verify_calls *calls, struct verify_result *out);

struct verify_read {
	uint64_t files, bytes; /* read back */
	uint64_t failed;       /* each of them was a finding */
	uint64_t unhashed;     /* nothing is known to compare them with */
};

/* Reads files back, several at a time: `n` picked at random, or all of them
 * (UINT64_MAX). After direct_enter(), within interrupt_catch(). Errors as
 * above. */
int verify_read_back(struct direct *d, struct records *r, uint64_t n,
                     const struct verify_calls *calls, struct verify_read *out);

#endif
