/* fs/recycle.h -- OneDrive's recycle bin, as far as it can be reached.
 *
 * Personal accounts give an item back by its id (facts/graph.md 3.3), whole:
 * what lay in a deleted folder comes with it and not alone. Accounts of work
 * and school don't: there the browser is the way. Threads and errors: as
 * fs/direct.h. */
#ifndef NMB_RECYCLE_H
#define NMB_RECYCLE_H

#include <stdbool.h>

#include "fs/direct.h"

/* Back into that folder, under the name it had. -ENOENT: it is not in the bin
 * (any more); -EEXIST: the name is taken; -EOPNOTSUPP: not on this account
 * (the line says what to do). */
int recycle_restore(struct direct *d, const char *id, const char *parent_id,
                    struct item *out);

/* The line for people about the browser. */
void recycle_say_browser(struct direct *d);

/* For reading what is in the bin: it is taken out into a folder of its own,
 * beside the backup folder, where no mount shows it, and put back. */
#define RECYCLE_FOLDER "nmbackupfs-restore"
struct recycle {
	char folder_id[NODE_ID_MAX + 1]; /* "": not made yet */
	bool made;                       /* by us */
	struct item item;                /* what is out; id "": nothing */
};

/* As recycle_restore(). */
int recycle_borrow(struct direct *d, struct recycle *r, const char *id);

/* Both also after a signal. An error says what stays where. */
int recycle_give_back(struct direct *d, struct recycle *r);
int recycle_done(struct direct *d, struct recycle *r);

#endif
