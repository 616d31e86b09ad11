/* fs/past_read.h -- reads what fs/past.h is made of: this machine's ledger, and
 * what is on the drive now.
 *
 * The ledger is read as it is now, whether a mount writes it or not. Threads
 * and errors: as fs/direct.h, with the line in d->why. */
#ifndef NMB_PAST_READ_H
#define NMB_PAST_READ_H

#include <stddef.h>
#include <stdint.h>

#include "fs/node.h"

struct config;
struct db;
struct direct;
struct direct_file;
struct past;

/* The state's database, to look at. -ENOENT: this machine has none. */
int past_open_db(const struct config *cfg, struct db **out_db);

/* Deletes of this device: the item of each that was asked for, in the order of
 * time. What lay in it has entries of the same time. */
struct past_delete {
	int64_t time;
	char id[NODE_ID_MAX + 1];
};

struct past_deletes {
	struct past_delete *v;
	size_t n, cap;
};

/* The one of that time; NULL: none. */
const struct past_delete *past_delete_at(const struct past_deletes *l,
                                         int64_t time);
void past_deletes_done(struct past_deletes *l);

/* From the ledger. Without one, the past is what the service tells of it. */
int past_read_ledger(struct direct *d, int64_t at, struct past **out_p,
                     struct past_deletes *out_deletes);

/* All that is in the folder now: one request a folder. */
int past_see_all(struct direct *d, struct past *p);

/* One item only; `path`: where it lies, in the folder. */
int past_see_one(struct past *p, const struct direct_file *f, const char *path);

#endif
