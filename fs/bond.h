/* fs/bond.h -- rows of what ties an item's content to its place: per item id,
 * the file id, version and header MAC of the newest version this device has
 * written or read (facts/names.md C4). A vault's memory against old versions
 * put back and contents exchanged on the server. Plain folders have none.
 *
 * Threads and errors: as fs/db.h. */
#ifndef NMB_BOND_H
#define NMB_BOND_H

#include "fs/codec.h"

struct db;

/* All zero if nothing is known: that is no error. */
int bond_get(struct db *db, const char *item_id, struct codec_bond *out);

/* Nothing happens if `b` is not known. */
int bond_put(struct db *db, const char *item_id, const struct codec_bond *b);

/* What comes next is believed, whatever it is. */
int bond_forget(struct db *db, const char *item_id);

#endif
