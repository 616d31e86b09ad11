/* fs/metrics.h -- the numbers of a mount as a text file for Prometheus.
 *
 * The text format, version 0.0.4, as node_exporter's textfile collector reads
 * it from *.prom: HELP and TYPE, base units, _total for what only grows; every
 * sample names its profile, so that files of several mounts go together.
 * metrics_format() is pure. */
#ifndef NMB_METRICS_H
#define NMB_METRICS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/engine.h"

struct buf;

struct metrics {
	const char *profile, *mountpoint, *version;
	struct engine_status status;
	bool up;                                /* false: the process ends */
	uint64_t conflicts, failures, refusals; /* since the start */
	uint64_t requests, sent_bytes, received_bytes;
	uint64_t cached_bytes, cache_limit_bytes; /* 0: no limit */
	int64_t started_ns;                       /* since 1970 */
};

void metrics_format(const struct metrics *m, struct buf *out);

/* Puts `text` in the place of the file `path`, whole or not at all: a new file
 * beside it is renamed. It gets `mode`. 0 or -Exxx. */
int metrics_write(const char *path, const struct buf *text, mode_t mode);

#endif
