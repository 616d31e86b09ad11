/* fs/sample.h -- files picked at random, read back from the service and held
 * against what was confirmed: for `verify` and `drill`.
 *
 * Threads: one. Errors: 0 or -Exxx with a line in the direct's `why`: the
 * network or this machine, never what is there. */
#ifndef NMB_SAMPLE_H
#define NMB_SAMPLE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/compare.h"
#include "fs/direct.h"

struct db;

/* Inos of regular files here of which the service confirmed or told a content,
 * `n` of them, each set as likely as any other; UINT64_MAX: all, in order. The
 * caller frees. */
int sample_pick(struct db *db, uint64_t n, uint64_t **out_inos, size_t *out_n);

struct sample {
	enum compare_verdict verdict;
	bool gone; /* it is not on the server by the rows any more: no verdict
	            */
	char path[PATH_MAX];
	char id[NODE_ID_MAX + 1];
	uint64_t bytes;       /* plaintext that came */
	char why[DIRECT_WHY]; /* unless it is SAME: one line */
};

/* Reads one whole, authenticates it (vault), and compares size, quickXorHash
 * (plain folder) and, where one is kept, the plaintext's hash; `sink` (may be
 * NULL) gets it. After direct_enter(). -EINTR: a signal came. */
int sample_read(struct direct *d, struct db *db, uint64_t ino,
                direct_sink_fn *sink, void *sink_arg, struct sample *out);

#endif
