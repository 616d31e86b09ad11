/* fs/ahead_next.h -- the order in which the files of a tree are read.
 *
 * Programs go through a folder as it is listed (ascending ino: cp, tar) or by
 * name (rsync, a shell's asterisk), and then on to the next folder beside it.
 * Threads: as fs/db.h. Errors: as fs/db.h; -ENOENT: a row is gone. */
#ifndef NMB_AHEAD_NEXT_H
#define NMB_AHEAD_NEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/node.h"

struct db;

enum ahead_order { AHEAD_LISTED, AHEAD_NAMED };

/* A file or folder among its siblings; ino 0, name "": before the first. */
struct ahead_place {
	uint64_t parent, ino;
	char name[NODE_NAME_MAX + 1];
};

#define AHEAD_NEAR 8u /* siblings that may be left out in between */

/* 0 or -ENOENT. */
int ahead_place_of(struct db *db, uint64_t ino, struct ahead_place *out);

/* 1: `to` comes soon after `from` in the same folder; 0: no. */
int ahead_follows(struct db *db, enum ahead_order order,
                  const struct ahead_place *from, const struct ahead_place *to);

struct ahead_file {
	uint64_t ino, size;
};

/* Files after *at that are small, on the server and unchanged here, at most
 * `n` of them; *at moves behind the last one looked at. *out_n < n: there is
 * nothing more near here. */
int ahead_next(struct db *db, enum ahead_order order, uint64_t max_size,
               struct ahead_place *at, struct ahead_file *out, size_t n,
               size_t *out_n);

#endif
