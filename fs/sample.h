/* fs/sample.h -- files picked at random, read back from the service and held
 * against what was confirmed: for `verify` and `drill`.
 *
 * Errors: 0 or -Exxx with a line in the direct's `why`: the network or this
 * machine, never what is there. */
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
	char path[PATH_MAX];
	char id[NODE_ID_MAX + 1];
	uint64_t bytes;       /* plaintext that came */
	char why[DIRECT_WHY]; /* unless it is SAME: one line */
};

/* What is confirmed of one: 1, with out->path and ->id; 0: it is not on the
 * server by the rows any more; -Exxx. Threads: the db's. */
struct sample_row;
int sample_look(struct db *db, uint64_t ino, struct sample_row **out_row,
                struct sample *out);

/* Reads it whole, authenticates it (vault), and compares size, quickXorHash
 * (plain folder) and, where one is kept, the plaintext's hash; `sink` (may be
 * NULL) gets it. Takes the row. After direct_enter(). Signals and threads: as
 * direct_raw_read(). -EINTR: a signal came. */
int sample_fetch(struct direct *d, struct sample_row *row, direct_sink_fn *sink,
                 void *sink_arg, struct sample *out);

#endif
