/* fs/outcome.h -- notes in the rows what a request did on the server.
 *
 * Each function is one transaction that moves the synced state to what the
 * service confirmed, and nothing else; the planner is asked again afterwards.
 * Items given here are answers to our own requests.
 * Threads: the engine's only. Errors: 0 or -Exxx; on error nothing changed. */
#ifndef NMB_OUTCOME_H
#define NMB_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/attempt.h"
#include "fs/gather.h"
#include "fs/item.h"

struct outcome {
	struct store *store;
	struct tree *tree;
	struct contents *contents;
	struct gather gather;
	struct told *told; /* notes the items */
};

/* Local equals synced: the dirty mark goes, if that is still so (1), else it
 * stays (0). */
int outcome_clean(const struct outcome *o, struct plan_view *v);

/* Linked nowhere, known nowhere: the row goes. */
int outcome_forget(const struct outcome *o, uint64_t ino);

/* A folder was made in the folder `parent`. */
int outcome_made(const struct outcome *o, uint64_t ino, uint64_t parent,
                 const struct item *it);

/* The attempt's content is on the server as `it`, verified by size and hash
 * (`verified`; if what is there can't even be read back, it is not evictable).
 * The row of the attempt goes; content becomes clean if nothing was written
 * since. */
int outcome_sent(const struct outcome *o, const struct attempt *a,
                 const struct item *it, bool verified);

/* The attempt had no effect. `gone`: its item is no more. */
int outcome_not_sent(const struct outcome *o, uint64_t aid);

/* The item was renamed to `sent`, moved, or its times were set. `aside`: to a
 * temporary name. */
int outcome_moved(const struct outcome *o, uint64_t ino, uint64_t parent,
                  const char *sent, const struct item *it, bool aside);

/* The item is gone by our request, and what lay in it. 1: the node is linked
 * again, news of its item came meanwhile; its rows are left to the merger. */
int outcome_deleted(const struct outcome *o, uint64_t ino);

/* `ino` takes over the item of the unlinked node `from`: its next content
 * becomes a new version of it. */
int outcome_adopted(const struct outcome *o, uint64_t ino, uint64_t from);

int outcome_blocked(const struct outcome *o, uint64_t ino, int rc,
                    const char *why);
int outcome_unblocked(const struct outcome *o, uint64_t ino);

#endif
