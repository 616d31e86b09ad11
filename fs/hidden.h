/* fs/hidden.h -- rows of items that lie in folders of ours and are not shown:
 * their names are not the vault's. Somebody put them there in the browser, or a
 * newer program did; they are never touched, and so a folder that holds one is
 * not removed (facts/security.md 3.5).
 *
 * Threads and errors: as fs/db.h. */
#ifndef NMB_HIDDEN_H
#define NMB_HIDDEN_H

#include <stdint.h>

struct db;

/* It lies in that folder now. */
int hidden_put(struct db *db, const char *id, const char *parent_id);
/* It is gone, or shown now; also if there is no such row. */
int hidden_delete(struct db *db, const char *id);
/* Those that a full enumeration did not bring (listed_add(), fs/seen.h). */
int hidden_prune(struct db *db);

/* Those that are deleted, or lie elsewhere, by what was noted up to that round
 * (fs/seen.h). */
int hidden_drop_left(struct db *db, int64_t round);

/* Does that node's folder hold some? 1, 0, -Exxx. */
int hidden_is_in(struct db *db, uint64_t ino);

#endif
