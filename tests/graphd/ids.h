/* tests/graphd/ids.h -- ids and tags in the three dialects.
 *
 * Source: facts/graph.md 2.4, 2.5. Texts are allocated (free()).
 * Threads: any. */
#ifndef NMB_TESTS_GRAPHD_IDS_H
#define NMB_TESTS_GRAPHD_IDS_H

#include <stdint.h>

#include "tests/graphd/drive.h"

void ids_guid(char out[37]); /* random, lower case */
char *ids_drive(enum drive_kind kind);
char *ids_root(enum drive_kind kind, const char *drive_id);
char *ids_item(enum drive_kind kind, const char *drive_id, uint64_t num,
               const char *guid);

char *ids_etag(enum drive_kind kind, const struct item *item, unsigned n);
/* NULL: this kind has none for this item. */
char *ids_ctag(enum drive_kind kind, const struct item *item, unsigned n);

char *ids_base64(const void *data, size_t len); /* without padding */

#endif
