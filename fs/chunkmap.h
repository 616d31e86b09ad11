/* fs/chunkmap.h -- which bytes of one content file are here, and their
 * checksums.
 *
 * A chunk is *present* when its bit is set, when it lies wholly beyond what
 * the base (the version on the server) still covers, or when the map is whole:
 * made here from nothing, or once all of it had arrived. An absent chunk may
 * have *written extents* (fs/extents.h), which win over what arrives.
 *
 * Groups of 1,024 chunks are loaded from the store when first touched; what
 * was touched stays in memory (8 KiB for 64 MiB of file).
 * Threads: guarded by the owner's content.lock. Errors: as fs/db.h, -ENOMEM;
 * after an error nothing changed. */
#ifndef NMB_CHUNKMAP_H
#define NMB_CHUNKMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/cfile.h"
#include "fs/extents.h"

struct store;
struct chunk_group;

struct chunkmap {
	struct store *store;
	uint64_t cid;
	bool whole;
	uint64_t base_len; /* bytes the base still covers */
	struct chunk_group **groups;
	size_t ngroups;
	uint64_t gone_from; /* stored groups from this one on are outdated */
	struct extents extents;
};

int chunkmap_init(struct chunkmap *m, struct store *store,
                  const struct cfile *row);
void chunkmap_done(struct chunkmap *m);

/* 1 or 0, or -Exxx. */
int chunkmap_present(struct chunkmap *m, uint64_t idx);

/* The first absent chunk in [first, last], or last + 1. */
int chunkmap_next_absent(struct chunkmap *m, uint64_t first, uint64_t last,
                         uint64_t *out_idx);

/* The first present chunk in [first, last] with an unknown checksum, or
 * last + 1. */
int chunkmap_next_unsummed(struct chunkmap *m, uint64_t first, uint64_t last,
                           uint64_t *out_idx);

/* 1 if all of [0, size) is here, 0 if not, or -Exxx. */
int chunkmap_is_whole(struct chunkmap *m, uint64_t size);

/* The checksum of a present chunk; 0: unknown. */
int chunkmap_get_sum(struct chunkmap *m, uint64_t idx, uint64_t *out_sum);

/* The chunk is here (again) with that checksum (0: not known yet); forgets
 * its extents. */
int chunkmap_set(struct chunkmap *m, uint64_t idx, uint64_t sum);

/* The chunk isn't here after all (it failed its check); not in a whole map. */
int chunkmap_unset(struct chunkmap *m, uint64_t idx);

/* The chunk's bytes, or how many there are, are about to change. */
int chunkmap_forget_sum(struct chunkmap *m, uint64_t idx);

/* Checked on this mount: later reads may skip it. Cleared with the sum. */
bool chunkmap_is_verified(struct chunkmap *m, uint64_t idx);
void chunkmap_set_verified(struct chunkmap *m, uint64_t idx);

/* Bytes [from, to) of chunk `idx` were written, after its checksum was
 * forgotten; an absent chunk becomes present once its extents cover what the
 * base has of it. */
int chunkmap_written(struct chunkmap *m, uint64_t idx, uint32_t from,
                     uint32_t to);

/* The written extents of an absent chunk, as extents_get(). */
size_t chunkmap_extents(const struct chunkmap *m, uint64_t idx,
                        const struct extent **out_r);

/* The file is cut to `size` bytes: what lies behind is forgotten, the base
 * covers no more than that; the chunk at the new end loses its checksum.
 * Can't fail if the group of chunk size / CHUNK_SIZE was touched before. */
int chunkmap_truncate(struct chunkmap *m, uint64_t size);

/* Nothing is here, and the base covers `base_len` bytes. */
void chunkmap_reset(struct chunkmap *m, uint64_t base_len);

/* All is here, and stays so whatever the size. */
void chunkmap_set_whole(struct chunkmap *m);

/* A whole map that has a base of `base_len` bytes: all of its chunks are here,
 * but may be unset from now on. */
int chunkmap_set_parts(struct chunkmap *m, uint64_t base_len);

/* Writes what changed since the last save, within the caller's transaction.
 * After a rollback call chunkmap_save() again: nothing is marked saved before
 * chunkmap_saved(). */
int chunkmap_save(struct chunkmap *m, struct db *db);
void chunkmap_saved(struct chunkmap *m);

#endif
