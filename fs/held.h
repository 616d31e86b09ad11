/* fs/held.h -- what a hold keeps back (fs/hold.h): counting, naming, letting
 * go.
 *
 * HOLD_OUT: nodes whose delete or new content is not sent: they differ from
 * their items. HOLD_IN: items whose delete on the server is not done here:
 * they wait in fs/seen, and what lies in them is held with them.
 * Threads and errors: as fs/db.h. */
#ifndef NMB_HELD_H
#define NMB_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/hold.h"
#include "fs/node.h"

struct db;

#define HELD_EXAMPLES 5

struct held {
	int64_t deletes, overwrites;
};

/* As the rows are, whether or not a hold is on. */
int held_count(struct db *db, enum hold_dir dir, struct held *out);

/* Paths from the root, "/" in front, of some; what was unlinked is named as it
 * was. Returns 0 to go on, 1 to stop, or -Exxx. */
typedef int held_path_fn(void *arg, const char *path);
int held_each_path(struct db *db, enum hold_dir dir, int64_t max,
                   held_path_fn *each, void *arg);

/* The path of one, as it was if it is unlinked; of a long one its end. */
int held_path(struct db *db, uint64_t ino, char *out, size_t size);

/* Is the node one of HOLD_OUT? */
bool held_is(const struct node *n);

/* Inos of HOLD_OUT in ascending order after `after`, at most `max`; how many,
 * or -Exxx. */
int held_list(struct db *db, uint64_t after, int64_t max, uint64_t *out_inos);

/* All that is held now may go, what comes later is counted anew. */
int held_approve(struct db *db, enum hold_dir dir);

#endif
