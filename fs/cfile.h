/* fs/cfile.h -- rows about content files: which chunks are here, whose they
 * are, what may be thrown away.
 *
 * The bytes lie in content/XX/CID (fs/content.h). A chunk is 64 KiB of
 * plaintext; chunk rows hold 1,024 of them (64 MiB) each.
 * Threads and errors: as fs/db.h. */
#ifndef NMB_CFILE_H
#define NMB_CFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/node.h"

struct db;

#define CHUNK_SIZE   65536u
#define GROUP_CHUNKS 1024u

enum cfile_flag {
	CFILE_CLEAN = 1 << 0,  /* the server has it: may be evicted */
	CFILE_SOFT = 1 << 1,   /* bytes or size may not be on the disk yet, the
	                        * checksums may be behind */
	CFILE_WHOLE = 1 << 2,  /* every chunk is here */
	CFILE_FRESH = 1 << 3,  /* made empty here: nothing of it was ever
	                        * durable; a power cut falls back to `prev` */
	CFILE_GONE = 1 << 4,   /* evicted: only the file is still there */
	CFILE_FAILED = 1 << 5, /* the disk refused a flush: these bytes are
	                        * never called safe */
	CFILE_DOUBT = 1 << 6,  /* the machine died since this came from the
	                        * base: a chunk whose checksum doesn't hold is
	                        * not here */
};

struct cfile {
	uint64_t cid;
	uint64_t ino;
	uint32_t flags;
	uint64_t size; /* plaintext bytes; while SOFT the file's own counts */
	uint64_t gen;  /* generation of the node it holds */
	uint64_t prev; /* content to go back to until durable; 0: none */
	uint64_t hard; /* size of what was durable last; 0: not known */

	/* Where absent chunks come from. */
	char base_id[NODE_ID_MAX + 1]; /* "": nothing is absent */
	char base_etag[NODE_ETAG_MAX + 1];
	uint64_t base_size; /* on the server, sealed */
	uint64_t base_len;  /* plaintext bytes of it that still count */
	bool base_hashed;
	uint8_t base_hash[NODE_HASH_SIZE]; /* of the sealed bytes, by which
	                                    * it is found among versions */

	int64_t used;    /* last use, s since 1970 */
	uint64_t blocks; /* allocated, 512 bytes each, at the last look */
};

int cfile_insert(struct db *db, const struct cfile *f);
int cfile_get(struct db *db, uint64_t cid, struct cfile *out_f);
int cfile_update(struct db *db, const struct cfile *f);

/* Removes the row and all its chunk rows; the file itself is the caller's. */
int cfile_delete(struct db *db, uint64_t cid);

/* 1 if a node, an attempt or another row's `prev` needs it, 0 if not. */
int cfile_is_needed(struct db *db, uint64_t cid);

/* The sealed header of the base, kept once seen (vault). Length, 0 if none. */
int cfile_set_header(struct db *db, uint64_t cid, const void *h, size_t len);
ssize_t cfile_get_header(struct db *db, uint64_t cid, void *out, size_t size);

/* One group of chunks: bitmap of those present and a checksum each (0:
 * unknown). Arrays hold GROUP_CHUNKS entries; missing rows give zeros. */
int cfile_get_group(struct db *db, uint64_t cid, uint64_t grp,
                    uint64_t present[GROUP_CHUNKS / 64], uint64_t *sums);
int cfile_set_group(struct db *db, uint64_t cid, uint64_t grp,
                    const uint64_t present[GROUP_CHUNKS / 64],
                    const uint64_t *sums, size_t nsums);
int cfile_drop_groups(struct db *db, uint64_t cid, uint64_t from_grp);
int cfile_drop_sums(struct db *db, uint64_t cid);

/* After the machine died: sets CFILE_DOUBT of all clean content, but of that
 * which was made here: it was flushed before it was sent. */
int cfile_doubt_fetched(struct db *db);

/* A chunk of it that is damaged, or a file that is missing, comes from the
 * base again: all that is here is the base's. */
static inline bool cfile_is_base(const struct cfile *f)
{
	return f->flags & (CFILE_CLEAN | CFILE_DOUBT);
}

/* Written extents of chunks that are otherwise absent, as fs/extents.h packs
 * them. len 0 removes the row. */
int cfile_set_partial(struct db *db, uint64_t cid, uint64_t idx,
                      const void *extents, size_t len);
typedef int cfile_partial_fn(void *arg, uint64_t idx, const void *extents,
                             size_t len);
int cfile_each_partial(struct db *db, uint64_t cid, cfile_partial_fn *each,
                       void *arg);

typedef int cfile_each_fn(void *arg, const struct cfile *f);
int cfile_each_soft(struct db *db, cfile_each_fn *each, void *arg);
int cfile_each(struct db *db, uint64_t after, cfile_each_fn *each, void *arg);

/* Clean content, least recently used first. */
int cfile_each_evictable(struct db *db, cfile_each_fn *each, void *arg);

/* Allocated bytes of all rows that are not GONE, and of those that may be
 * evicted. */
int cfile_sum_blocks(struct db *db, uint64_t *out_all, uint64_t *out_clean);

#endif
