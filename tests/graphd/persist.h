/* tests/graphd/persist.h -- the drive on disk, so that a stopped graphd comes
 * back with it: SQLite for items and sessions, files for contents.
 *
 * Written after each change, without fsync: it survives a kill of graphd, not
 * a power cut. Threads: lock. */
#ifndef NMB_TESTS_GRAPHD_PERSIST_H
#define NMB_TESTS_GRAPHD_PERSIST_H

#include "tests/graphd/graphd.h"

int persist_make_dir(const char *dir);

/* Loads what is there into g->drive and g->sessions. -EINVAL: the directory
 * belongs to a drive of another kind. */
int persist_open(struct graphd *g, const char *dir);
void persist_close(struct graphd *g); /* g->persist may be NULL */
void persist_save(struct graphd *g);

#endif
