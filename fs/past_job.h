/* fs/past_job.h -- one entry of a tree as it was, made again in a directory.
 *
 * Names are what a ledger, or a server, says: none leads out of the directory,
 * none through a link. Threads: any, an object belongs to one; signals are the
 * caller's. */
#ifndef NMB_PAST_JOB_H
#define NMB_PAST_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/past.h"

struct direct;
struct past_got;

/* As past_each() told it, with strings of its own. */
struct past_job {
	struct past_item it;
	char *id, *path, *target;
	const char *rel; /* in the destination */
	bool binned;     /* for the second round */
};

int past_job_init(struct past_job *j, const struct past_item *it, size_t skip);
void past_job_done(struct past_job *j);

/* What is no folder, content included; `at`: the moment. Errors: those of
 * past_fetch() and fs/restore.h; -EINVAL: such a name can't be; -ENODATA: it
 * was something that can't be made again. */
int past_job_restore(struct past_job *j, struct direct *d, int dest, int64_t at,
                     struct past_got *got);

/* A folder; and its mode, once all is in it. */
int past_job_enter(const struct past_job *j, int dest);
void past_job_leave(const struct past_job *j, int dest);

#endif
