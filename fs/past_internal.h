/* fs/past_internal.h -- shared by past.c and past_place.c only. */
#ifndef NMB_PAST_INTERNAL_H
#define NMB_PAST_INTERNAL_H

#include "fs/past.h"

/* What has an id, or is a folder known by its path. */
struct thing {
	struct thing *next; /* all of them */
	char *id;           /* "": known by its path only */

	/* At the moment: in the index of places while it is alive. */
	struct thing *parent;
	char *name;
	bool alive;

	mode_t mode;
	int64_t mtime;
	char *target;
	bool known, has_hash, has_plain_hash;
	uint64_t size, plain_size;
	uint8_t hash[NODE_HASH_SIZE];
	uint8_t plain_hash[PLAINHASH_SIZE];
	int64_t confirmed;

	/* By all of the ledger. */
	bool noted, early; /* `early`: the first entry is no creation, and
	                    * later than the moment */
	bool ended;        /* the newest entry is a delete */
	int64_t ended_at, last_placed, last_filled;
	char *last_parent; /* id; "": not told */
	char *last_name;
	uint64_t last_size;
	bool last_has_hash;
	uint8_t last_hash[NODE_HASH_SIZE];

	bool present;
	unsigned doubts;
};

struct past {
	int64_t at;
	struct thing root;
	struct thing *things;
	void *by_id, *by_place; /* tsearch(3) */
};

/* ---- past_place.c: which thing is where ---------------------------------- */

/* NULL: none, or "" was asked for. */
struct thing *past_find(struct past *p, const char *id);
int past_add(struct past *p, const char *id, struct thing **out_t);

struct thing *past_child(struct past *p, const struct thing *parent,
                         const char *name);

/* It lies there from now on. What lay there under that name does not any more;
 * of a folder known by its path only, what is in it belongs to the new one. A
 * place within itself takes it out of the tree. */
int past_put(struct past *p, struct thing *t, struct thing *parent,
             const char *name, size_t name_len);
void past_take_out(struct past *p, struct thing *t);

/* The folder that holds the last part of `path`, which comes back in
 * *out_name; those on the way that are not known are made. */
int past_way(struct past *p, const char *path, struct thing **out_parent,
             const char **out_name);

bool past_is_below(const struct thing *t, const struct thing *above);

#endif
