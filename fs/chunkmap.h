/* fs/chunkmap.h -- which bytes of one content file are here, and their
 * checksums.
 *
 * A chunk is *present* when its bit is set, when it lies wholly beyond what
 * the base (the version on the server) still covers, or when the whole file
 * was made here. An absent chunk may have *written extents*: bytes a program
 * wrote before the rest arrived; they win over what arrives.
 *
 * Groups of 1,024 chunks are loaded from the store when first touched.
 * Threads: guarded by the owner's content.lock. Errors: as fs/db.h, -ENOMEM. */
#ifndef NMB_CHUNKMAP_H
#define NMB_CHUNKMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/cfile.h"

struct store;
struct chunk_group;
struct chunk_partial;

struct chunkmap {
	struct store *store;
	uint64_t cid;
	bool whole;
	uint64_t base_len; /* bytes the base still covers */
	struct chunk_group **groups;
	size_t ngroups;
	uint64_t gone_from; /* stored groups from this one on are outdated */
	struct chunk_partial *partials; /* list, few */
	bool partials_changed;
};

struct chunk_range { /* within one chunk, bytes */
	uint32_t from, to;
};
#define CHUNK_MAX_RANGES 64

int chunkmap_init(struct chunkmap *m, struct store *store,
                  const struct cfile *row);
void chunkmap_done(struct chunkmap *m);

/* 1 or 0, or -Exxx. */
int chunkmap_present(struct chunkmap *m, uint64_t idx);

/* The first absent chunk in [first, last], or last + 1; -Exxx in *out_rc. */
int chunkmap_next_absent(struct chunkmap *m, uint64_t first, uint64_t last,
                         uint64_t *out_idx);

/* The checksum of a present chunk; 0: unknown. */
int chunkmap_get_sum(struct chunkmap *m, uint64_t idx, uint64_t *out_sum);

/* The chunk is here (again) with that checksum (0: not known yet); forgets
 * its extents. */
int chunkmap_set(struct chunkmap *m, uint64_t idx, uint64_t sum);

/* The chunk isn't here after all (it failed its check). */
int chunkmap_unset(struct chunkmap *m, uint64_t idx);

/* Checked on this mount: later reads may skip it. Cleared by chunkmap_set()
 * of an unknown sum and by chunkmap_written(). */
bool chunkmap_is_verified(struct chunkmap *m, uint64_t idx);
void chunkmap_set_verified(struct chunkmap *m, uint64_t idx);

/* Bytes [from, to) of chunk `idx` were written; `end` is where the base ends
 * within this chunk (0..CHUNK_SIZE). The chunk's checksum becomes unknown; it
 * becomes present once its extents cover [0, end). -ENOBUFS: too many
 * extents: fetch the chunk first. */
int chunkmap_written(struct chunkmap *m, uint64_t idx, uint32_t from,
                     uint32_t to, uint32_t end);

/* The written extents of an absent chunk; their number. */
size_t chunkmap_extents(struct chunkmap *m, uint64_t idx,
                        struct chunk_range out[CHUNK_MAX_RANGES]);

/* The file is cut to `size` bytes: what lies behind is forgotten, the base
 * covers no more than that; the chunk at the new end loses its checksum. */
int chunkmap_truncate(struct chunkmap *m, uint64_t size);

/* Writes what changed since the last save, within the caller's transaction.
 * After a rollback call chunkmap_save() again: nothing is marked saved before
 * chunkmap_saved(). */
int chunkmap_save(struct chunkmap *m, struct db *db);
void chunkmap_saved(struct chunkmap *m);

/* True if all of [0, size) is here. */
int chunkmap_is_whole(struct chunkmap *m, uint64_t size);

#endif
