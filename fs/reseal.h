/* fs/reseal.h -- files of older epochs are sealed anew with the active one.
 *
 * A file is read, opened and sealed chunk by chunk into an unnamed file in the
 * state directory, which holds sealed bytes only, and replaces its item by id
 * if that is still the version that was read. Names don't change. What is up to
 * date is told by its header alone, so a run that was cut short goes on with
 * the next. Threads: one. */
#ifndef NMB_RESEAL_H
#define NMB_RESEAL_H

#include <stdint.h>

struct vault_admin;

struct reseal_counts {
	uint64_t done, bytes, current, failed;
};

/* Everything at and below `path` (plain names; "": all). a->d is loaded and
 * this device is a member. What fails is said on standard error and counted.
 * -ENOENT: no such path; -EINTR; -Exxx with a line in a->why. */
int reseal_run(struct vault_admin *a, const char *path,
               struct reseal_counts *out);

/* ---- within -------------------------------------------------------------- */

struct direct;
struct item;

/* New content of an item: `size` bytes of `fd`. -ESTALE: it is not what `known`
 * says any more, nothing was replaced. */
int reseal_send(struct direct *d, const struct item *known, int fd,
                uint64_t size);

#endif
