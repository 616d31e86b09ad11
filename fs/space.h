/* fs/space.h -- the disk budget: eviction and back-pressure.
 *
 * Counts allocated bytes of content/ (fs/content.h) against `--cache-size` and
 * the free-space floor of the file system. Clean content goes by least recent
 * use; dirty, pinned and open content never. Where eviction can't help,
 * create, open for writing, growing setattr and fallocate wait in the order in
 * which they came, as long as something is sent, however slowly. They get
 * -ENOSPC when nothing was for the deadline (offline, throttled), all that
 * come later at once until something is; and at once if nothing can be
 * (blocked, quota full, signed out). Page write-out is always answered: from a
 * reserve, then ENOSPC.
 *
 * Threads: any; `wake` runs on a worker with no lock held. */
#ifndef NMB_SPACE_H
#define NMB_SPACE_H

#include <stdbool.h>
#include <stdint.h>

struct contents;
struct space;
struct store;
struct work;

struct space_options {
	struct contents *contents;
	struct store *store;
	struct work *work;
	uint64_t budget_bytes; /* 0: no budget, the floor only */
	uint64_t floor_bytes;  /* keep that much free on the file system */
	/* Whether waiting may help: uploads are making progress or could.
	 * *out_sent grows with every byte. */
	bool (*drains)(void *arg, uint64_t *out_sent);
	void *arg;
};

int space_new(const struct space_options *opt, struct space **out_s);

/* Wakes all who wait with -ECANCELED; evicts no more and calls nobody. */
void space_stop(struct space *s);
void space_free(struct space *s);

/* May a program start to write? 0; -EAGAIN: not now, wait with space_wait();
 * -ENOSPC. Never blocks. Starts an eviction in the background when the budget
 * is nearly used. */
int space_admit(struct space *s);

/* For bytes already on their way (write-out, chunks that arrive): 0 or
 * -ENOSPC, from the reserve. */
int space_take(struct space *s, uint64_t bytes);

/* There is room for `bytes` more without anything having to go: for what nobody
 * asked for. */
bool space_is_roomy(struct space *s, uint64_t bytes);

/* Near the limit files open with direct I/O, so that no page can be dirtied
 * that could not be written out. */
bool space_is_tight(struct space *s);

/* `wake` exactly once: 0, who waited may start and does not ask again;
 * -ENOSPC; -ECANCELED. `deadline_ms` counts anew whenever something was sent.
 */
typedef void space_wake_fn(void *arg, int rc);
int space_wait(struct space *s, int64_t deadline_ms, space_wake_fn *wake,
               void *arg);

/* Something became clean or went: look again. */
void space_changed(struct space *s);
/* The same if the budget is nearly used: a file was closed, and only now is it
 * known how much of it came. */
void space_check(struct space *s);

void space_get(struct space *s, uint64_t *out_used, uint64_t *out_budget);

#endif
