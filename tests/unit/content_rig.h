/* tests/unit/content_rig.h -- a state directory with contents to play with.
 *
 * rig_kill() leaves the directory as kill -9 would: what the kernel has is
 * there, what was in memory is not. Bytes of patterns are never 0 and tell
 * their offset and version apart. All functions CHECK what they do. */
#ifndef NMB_TESTS_CONTENT_RIG_H
#define NMB_TESTS_CONTENT_RIG_H

#include "fs/content.h"
#include "fs/store.h"
#include "tests/unit/check.h"

struct rig {
	char dir[64];
	struct store *store;
	struct contents *cs;
	struct content_recovery found; /* of the last start */
};

void rig_open(struct rig *r);
void rig_open_in(struct rig *r, const char *base); /* default: /tmp */
void rig_close(struct rig *r);

/* `live` (may be NULL) is what the test still held. `rebooted`: tells the
 * recovery so. */
void rig_kill(struct rig *r, struct content *live, bool rebooted);

/* The same in steps: a copy of what the kernel has, in a new directory, or
 * any that the test fills; the rig goes on with it, nothing being live. */
void rig_make_dir(char dir[64]);
void rig_copy(struct rig *r, const char *to);
void rig_move(struct rig *r, const char *dir, bool rebooted);

/* A file made here, and one of the server (item "ID", tag "E1") of which
 * nothing is here. They return the ino. */
uint64_t rig_add_file(struct rig *r, const char *name, struct content **out_c);
uint64_t rig_add_remote(struct rig *r, const char *name, uint64_t size,
                        struct content **out_c);

/* The node's content, with a reference. */
struct content *rig_get(struct rig *r, uint64_t ino);
/* Truncation to nothing as the tree does it; returns the new content. */
struct content *rig_replace(struct rig *r, uint64_t ino);
struct node rig_node(struct rig *r, uint64_t ino); /* ino 0: none */
void rig_update(struct rig *r, const struct node *n);

/* Settles, and marks as uploaded ("ID", "E2"). */
void rig_settle(struct content *c);
void rig_upload(struct rig *r, struct content *c);

void rig_pattern(void *buf, size_t len, uint64_t off, unsigned version);
void rig_write(struct content *c, uint64_t off, size_t len, unsigned version);
void rig_arrive(struct content *c, uint64_t idx, unsigned version);
/* [off, off + len) has these bytes; version 0: zeros. */
void rig_expect(struct content *c, uint64_t off, size_t len, unsigned version);

/* Path of the content file, "" or ".snap" behind it. */
void rig_path(struct rig *r, uint64_t cid, const char *suffix, char out[128]);
void rig_flip(struct rig *r, uint64_t cid, const char *suffix, uint64_t off);
bool rig_has_file(struct rig *r, uint64_t cid, const char *suffix);
unsigned rig_count_quarantined(struct rig *r);

#endif
