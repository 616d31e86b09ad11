/* tests/graphd/drive_internal.h -- shared by drive.c and drive_change.c. */
#ifndef NMB_TESTS_GRAPHD_DRIVE_INTERNAL_H
#define NMB_TESTS_GRAPHD_DRIVE_INTERNAL_H

#include "tests/graphd/drive.h"

struct item *drive_new_item(struct drive *d, const char *id, uint64_t num);
void drive_index_name(struct drive *d, struct item *item, bool add);
void drive_link(struct item *item, struct item *parent); /* at the end */
void drive_unlink(struct item *item);
void drive_place_last(struct drive *d, struct item *item, int64_t now_ns);
void drive_append_change(struct drive *d, struct item *item);
int64_t drive_bytes_of(const struct item *item); /* with versions */
/* Adds to the sizes of `folder` and those above it. */
void drive_add_size(struct item *folder, int64_t more);
void drive_free_shown(struct item_shown *s, struct blob_store *blobs);

#endif
