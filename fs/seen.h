/* fs/seen.h -- rows of what the server said and what could not be applied yet:
 * the remote tree, where it differs from the synced one.
 *
 * An observation goes in with the transaction that advances the feed's link,
 * and out with the one that applies it, so that none is lost. One row per
 * item: the last word wins (facts/graph.md 7.2).
 * Threads and errors: as fs/db.h. */
#ifndef NMB_SEEN_H
#define NMB_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/item.h"

struct db;

enum seen_flag {
	SEEN_HELD = 1 << 0,     /* its delete waits for a person (fs/hold.h) */
	SEEN_APPROVED = 1 << 1, /* ...who let it go */
};

/* Replaces what was there for that id; that it is deleted, once more, changes
 * no flags. `round`: begin number of the round
 * that brought it. */
int seen_put(struct db *db, const struct item *r, int64_t round);
int seen_get(struct db *db, const char *id, struct item *out);
/* The round it was noted for. */
int seen_get_round(struct db *db, const char *id, int64_t *out_round);
int seen_delete(struct db *db, const char *id);

/* In ascending id after `after` (""), at most `max`, none with a flag of
 * `without`: ids only, so that rows may be changed while they are gone through.
 * Returns how many, or -Exxx. */
int seen_list(struct db *db, const char *after, uint32_t without, int64_t max,
              char (*out_ids)[NODE_ID_MAX + 1]);
/* Those that lie in that folder. */
int seen_list_children(struct db *db, const char *parent_id, int64_t max,
                       char (*out_ids)[NODE_ID_MAX + 1]);
int seen_count(struct db *db, int64_t *out_n);
int seen_set_flags(struct db *db, const char *id, uint32_t flags);
/* 0 if there is no such row. */
int seen_get_flags(struct db *db, const char *id, uint32_t *out_flags);

/* Ids met by a full enumeration, to find out what it did not bring. One that
 * was broken off goes on in another round, with what it has met. */
int listed_add(struct db *db, const char *id, int64_t round);
int listed_clear(struct db *db);
/* Forgets what was noted up to that round, is unknown here, and was not met:
 * the service knows it no more, and an enumeration names no deletes. */
int listed_drop_unmet(struct db *db, int64_t round);
/* Ids of all nodes that are linked here, are on the server and not among them.
 */
typedef void listed_id_fn(void *arg, const char *id);
int listed_each_missing(struct db *db, listed_id_fn *each, void *arg);
/* Inos of nodes on the server that are not among them, after `after`, at most
 * `max`; `topmost`: not what lies in a folder that is not among them either. */
int listed_missing(struct db *db, bool topmost, uint64_t after, int64_t max,
                   uint64_t *out_inos);

#endif
