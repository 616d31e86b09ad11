/* fs/syncer.h -- a thread that makes what was closed survive a power cut,
 * within a second (design: "Durability order").
 *
 * Sleeps while there is nothing to do. */
#ifndef NMB_SYNCER_H
#define NMB_SYNCER_H

struct syncer;
struct tree;

int syncer_new(struct syncer **out_s);
void syncer_start(struct syncer *s, struct tree *tree);
/* tree_events.unsynced: tree_sync() comes soon. Never blocks, any thread. */
void syncer_wake(struct syncer *s);
/* Ends the thread; the last tree_sync() is the caller's. It may still be
 * woken, in vain, until syncer_free(). NULL is fine for both. */
void syncer_stop(struct syncer *s);
void syncer_free(struct syncer *s);

#endif
