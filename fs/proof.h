/* fs/proof.h -- what the rows can prove of one file: that the service has it,
 * since when, and by which hashes.
 *
 * Only reads (fs/ledger.h, fs/node.h), so it works beside a running mount.
 * Threads and errors: as fs/db.h. */
#ifndef NMB_PROOF_H
#define NMB_PROOF_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/node.h"
#include "fs/plainhash.h"

struct db;

enum proof_state {
	PROOF_CONFIRMED, /* sent from here; the service said size and hash */
	PROOF_TOLD,      /* another device sent it; the service told of it */
	PROOF_OLDER,     /* what is there is older than what is here */
	PROOF_NOT_THERE,
};

struct proof {
	enum proof_state state;
	uint64_t ino;
	mode_t mode;
	char path[PATH_MAX]; /* below the mount point, "/" in front */
	uint64_t local_size; /* bytes here */

	/* Of the version there; nothing of it if PROOF_NOT_THERE. */
	char id[NODE_ID_MAX + 1];
	uint64_t size;   /* plaintext bytes */
	uint64_t stored; /* bytes there (sealed) */
	bool has_hash;   /* quickXorHash of those */
	uint8_t hash[NODE_HASH_SIZE];
	bool has_plain_hash; /* of the plaintext, taken when it was sealed */
	uint8_t plain_hash[PLAINHASH_SIZE];
	int64_t confirmed; /* ns since 1970, by the clock here; 0: not by us */
};

/* "confirmed", "listed", "older", "missing": for scripts, they stay. */
const char *proof_state_name(enum proof_state s);

/* Of one node that is no directory; out->path stays as it is. The structs are
 * large: not on a deep stack. */
int proof_of(struct db *db, const struct node *n, struct proof *out);

/* Of all that is not a directory from `ino` down, by name; a directory before
 * what lies in it. `each` ends it with anything but 0, which comes back. */
typedef int proof_each_fn(void *arg, const struct proof *p);
int proof_each(struct db *db, uint64_t ino, proof_each_fn *each, void *arg);

#endif
