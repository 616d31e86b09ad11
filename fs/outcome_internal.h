/* fs/outcome_internal.h -- shared by outcome.c and outcome_sent.c only. All are
 * called within the transaction. */
#ifndef NMB_OUTCOME_INTERNAL_H
#define NMB_OUTCOME_INTERNAL_H

#include "fs/ledger.h"
#include "fs/outcome.h"

struct db;

/* The folder the item is in; `parent` if that is not known. */
uint64_t outcome_folder_of(struct db *db, const struct item *it,
                           uint64_t parent);

/* After the row: what the service confirmed of it, kept for ever under the
 * item's id. Feeds lag, and what they bring later is known as ours by it. `a`:
 * verified, if it is about content. */
int outcome_note_ledger(struct db *db, enum ledger_what what,
                        const struct node *n, const struct item *it,
                        const struct attempt *a);

/* The service may have given another name than the one sent (trailing dots
 * stripped): then that is how the item is called, and ours how it is shown;
 * unless ours is another one by now, which is sent next. */
void outcome_note_alias(const struct outcome *o, struct db *db, struct node *n,
                        const char *sent);

#endif
