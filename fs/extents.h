/* fs/extents.h -- what programs wrote into chunks that are not here yet.
 *
 * Per absent chunk a sorted list of byte ranges, apart from each other. When
 * the chunk arrives from the server they win over it. As many ranges as it
 * takes: page write-out must never be told to come back later.
 *
 * Threads: guarded by the owner's content.lock. Errors: as fs/db.h, -ENOMEM;
 * after an error nothing changed. */
#ifndef NMB_EXTENTS_H
#define NMB_EXTENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;

struct extent { /* within one chunk, bytes; from < to <= CHUNK_SIZE */
	uint32_t from, to;
};

struct extent_list {
	uint64_t idx; /* of the chunk */
	struct extent *r;
	uint32_t n, cap; /* n == 0: to be removed from the store */
	bool changed;
};

struct extents {
	struct extent_list *lists; /* by idx */
	size_t n, cap;
	bool changed;
};

#define EXTENTS_INIT ((struct extents){ NULL, 0, 0, false })

/* Reads the rows of `cid` into an empty `e`. -EUCLEAN: no such ranges. */
int extents_load(struct extents *e, struct db *db, uint64_t cid);
void extents_done(struct extents *e);

/* Adds [from, to) to chunk `idx`, joining what touches. */
int extents_add(struct extents *e, uint64_t idx, uint32_t from, uint32_t to);

/* The ranges of a chunk, borrowed until the next change; their number. */
size_t extents_get(const struct extents *e, uint64_t idx,
                   const struct extent **out_r);

/* True if they cover [0, end) of the chunk. */
bool extents_cover(const struct extents *e, uint64_t idx, uint32_t end);

void extents_drop(struct extents *e, uint64_t idx);

/* Forgets what lies at and behind `size` of the file. */
void extents_cut(struct extents *e, uint64_t size);

/* As chunkmap_save() and chunkmap_saved(). */
int extents_save(struct extents *e, struct db *db, uint64_t cid);
void extents_saved(struct extents *e);

#endif
