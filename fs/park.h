/* fs/park.h -- FUSE requests that wait for something: a listing, chunks, room
 * on the disk.
 *
 * No FUSE thread waits. An operation that can't answer yet parks its request:
 * park_add() takes it over and gives a ticket for whatever will wake it (the
 * wait functions of fs/engine.h, fs/fetch.h, fs/space.h take park_wake() and
 * the ticket). When it wakes, the operation is run again from its beginning,
 * on a worker. It also ends when a fatal signal reaches the caller, or when
 * the mount ends; deadlines are the business of who wakes.
 *
 * Signals the caller handles don't end a wait, as on any disk: libfuse tells
 * of the first signal only, so who got one is looked at again and again.
 *
 * Threads: any. */
#ifndef NMB_PARK_H
#define NMB_PARK_H

#include <stdbool.h>

#include <fuse_lowlevel.h>

struct park;
struct parked; /* a ticket */
struct work;

/* Runs once for each parked call, on a worker. rc 0: look again; -Exxx: this
 * is the answer (-EINTR: killed). */
typedef void park_resume_fn(void *call, int rc);

int park_new(struct work *work, struct park **out_pk);

/* All that wait end with `rc`, now; later ones don't start to wait: park_add()
 * returns it. Waits until the last one was answered. */
void park_end(struct park *pk, int rc);

/* While the machine is about to sleep: all that wait end with -ETIMEDOUT, as if
 * that were the deadline, and those that would begin to wait get that from
 * park_add(). Waits until the last one was answered. Until it is over. */
void park_rest(struct park *pk, bool rest);

/* After park_end(), and after every source has woken its tickets. */
void park_free(struct park *pk);

/* From here on `call` belongs to `resume`, which may run before this returns.
 * Exactly one park_wake() or park_remove() must follow. Errors: nothing was
 * taken. */
int park_add(struct park *pk, fuse_req_t req, park_resume_fn *resume,
             void *call, struct parked **out_p);

/* A engine_wake_fn, fetch_wake_fn, space_wake_fn. */
void park_wake(void *ticket, int rc);

/* Nobody will wake it (the wait could not start). 0: `call` is the caller's
 * again; -EALREADY: it has been resumed meanwhile, hands off. */
int park_remove(struct parked *p);

#endif
