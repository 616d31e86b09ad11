/* tests/unit/content_rig.h -- a state directory with contents to play with.
 *
 * crig_kill() leaves the directory as kill -9 would: what the kernel has is
 * there, what was in memory is not. Bytes of patterns are never 0 and tell
 * their offset and version apart. All functions CHECK what they do. */
#ifndef NMB_TESTS_CONTENT_RIG_H
#define NMB_TESTS_CONTENT_RIG_H

#include "fs/content.h"
#include "fs/store.h"
#include "tests/unit/check.h"

struct crig {
	char dir[64];
	struct store *store;
	struct contents *cs;
	struct content_recovery found; /* of the last start */
};

void crig_open(struct crig *r);
void crig_open_in(struct crig *r, const char *base); /* default: /tmp */
void crig_close(struct crig *r);

/* `live` (may be NULL) is what the test still held. `rebooted`: tells the
 * recovery so. */
void crig_kill(struct crig *r, struct content *live, bool rebooted);

/* The same in steps: a copy of what the kernel has, in a new directory, or
 * any that the test fills; the rig goes on with it, nothing being live. */
void crig_make_dir(char dir[64]);
void crig_start(struct crig *r);
void crig_copy(struct crig *r, const char *to);
void crig_move(struct crig *r, const char *dir, bool rebooted);

/* A file made here, and one of the server (item "ID", tag "E1") of which
 * nothing is here. They return the ino. */
uint64_t crig_add_file(struct crig *r, const char *name,
                       struct content **out_c);
uint64_t crig_add_remote(struct crig *r, const char *name, uint64_t size,
                         struct content **out_c);

/* The node's content, with a reference. */
struct content *crig_get(struct crig *r, uint64_t ino);
/* Truncation to nothing as the tree does it; returns the new content. */
struct content *crig_replace(struct crig *r, uint64_t ino);
struct node crig_node(struct crig *r, uint64_t ino); /* ino 0: none */
void crig_update(struct crig *r, const struct node *n);

/* One that is on its way, durable. */
void crig_add_attempt(struct crig *r, uint64_t ino, uint64_t gen);

/* Settles, and marks as uploaded ("ID", "E2"). */
void crig_settle(struct content *c);
void crig_upload(struct crig *r, struct content *c);

void crig_pattern(void *buf, size_t len, uint64_t off, unsigned version);
void crig_write(struct content *c, uint64_t off, size_t len, unsigned version);
void crig_arrive(struct content *c, uint64_t idx, unsigned version);
/* [off, off + len) has these bytes; version 0: zeros. */
void crig_expect(struct content *c, uint64_t off, size_t len, unsigned version);

/* Path of the content file, "" or ".snap" behind it. */
void crig_path(struct crig *r, uint64_t cid, const char *suffix, char out[128]);
void crig_flip(struct crig *r, uint64_t cid, const char *suffix, uint64_t off);
bool crig_has_file(struct crig *r, uint64_t cid, const char *suffix);
unsigned crig_count_quarantined(struct crig *r);

#endif
