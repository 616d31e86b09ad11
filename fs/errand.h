/* fs/errand.h -- rows of requests that make a folder, or give an item another
 * place, and whose outcome is not noted yet: what fs/attempt.h is for content.
 *
 * A row is committed before its request leaves, and goes in the transaction
 * that notes the outcome, or once it is known that there was none. So a rename
 * of ours that landed while we died is known as ours, never as a stranger's.
 * After a start whoever has one is looked at before anything else is planned
 * for it. One per node.
 *
 * Nobody waits for the disk (store_sync()) before the request: a power cut
 * keeps a beginning of all commits, so a row is lost only together with all
 * that was changed here after it. Then
 *  - the change that it was for is lost, too: the item has another place, or
 *    is new, there and is unchanged, or unknown, here. It follows, or comes,
 *    which is what the program had asked for;
 *  - or that change is on the disk: both sides have made the same of it, which
 *    is one folder, or a place that is right there already (fs/merge.h);
 *  - a temporary name is nobody's wish (plan_is_aside_name()): whoever has the
 *    node gives it its own back.
 * An attempt is another case: a file key must never be forgotten once bytes
 * under it have left (fs/attempt.h).
 * Threads and errors: as fs/db.h. */
#ifndef NMB_ERRAND_H
#define NMB_ERRAND_H

#include <stdint.h>

#include "fs/node.h"

struct db;

struct errand {
	char parent_id[NODE_ID_MAX + 1]; /* "": its folder stays */
	char name[NODE_REMOTE_MAX + 1];
};

/* In place of the one before. */
int errand_put(struct db *db, uint64_t ino, const char *parent_id,
               const char *name);
int errand_get(struct db *db, uint64_t ino, struct errand *out); /* -ENOENT */
int errand_delete(struct db *db, uint64_t ino); /* also if there is none */
/* The item changes hands: what was asked of it is known to its new node. */
int errand_hand_over(struct db *db, uint64_t from, uint64_t to);
/* 1 if there is one, 0 if not. */
int errand_is_open(struct db *db, uint64_t ino);
/* 1 if one makes a folder of that name there. */
int errand_is_at(struct db *db, const char *parent_id, const char *name);

#endif
