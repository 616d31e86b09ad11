/* fs/past_fetch.h -- the content that an item had at a moment.
 *
 * Where the ledger says which one that was, it is the current content or the
 * version that has its size and hash; else the newest one that is not younger
 * than the moment, by the times of the service. Signals and threads: as
 * direct_get_part(). */
#ifndef NMB_PAST_FETCH_H
#define NMB_PAST_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/direct.h"

struct past_item;

/* Where it goes. Of several candidates all but one turn out to be wrong: each
 * begins anew, with nothing. */
struct past_sink {
	int (*begin)(void *arg);
	direct_sink_fn *write;
	void *arg;
};

struct past_got {
	bool sure;    /* by hash, or by size and genuine */
	int64_t time; /* of the version, by the service; 0: not known */
};

/* -ENOENT: the service has no such item (any more); -ENODATA: it keeps nothing
 * that old of it; else as direct_get_part(); the line is in d->why. */
int past_fetch(struct direct *d, const struct past_item *it, int64_t at,
               const struct past_sink *sink, struct past_got *out);

/* One version of an item, by its id ("current" too). -ENODATA: no such
 * version. */
int past_fetch_version(struct direct *d, const struct direct_file *f,
                       const char *version_id, const struct past_sink *sink,
                       struct past_got *out);

#endif
