/* tests/graphd/blob.h -- contents: immutable byte strings, one file each.
 *
 * A draft is content on its way in. It is written front to back; draft_keep()
 * marks a boundary, and draft_claim() drops what came after the last one, as an
 * upload session drops a broken fragment (facts/graph.md 5.2).
 *
 * Threads: counts and the lists belong to the caller's lock (graphd.lock).
 * A draft has its own lock: a writer that was overtaken by a newer one on the
 * same draft (draft_claim()) gets -ECANCELED and does no harm. */
#ifndef NMB_TESTS_GRAPHD_BLOB_H
#define NMB_TESTS_GRAPHD_BLOB_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

#include "net/quickxor.h"

struct blob_store;

struct blob {
	uint64_t num; /* names the file */
	uint64_t size;
	unsigned refs;
	char quickxor[QUICKXOR_TEXT];
	char sha1[41]; /* upper-case hex; "" unless the store makes them */
};

/* `dir` is created if missing; NULL: a temporary one that goes away with
 * blob_store_close(). `sha1`: compute those too (reads each content twice). */
int blob_store_open(const char *dir, bool sha1, struct blob_store **out_s);
void blob_store_close(struct blob_store *s);
/* Files stay from now on, whatever is freed: the store is about to be closed
 * and may be opened again. */
void blob_store_freeze(struct blob_store *s);
const char *blob_store_dir(const struct blob_store *s);

/* A known content of a store that was opened again. The draft of a session
 * likewise; its hash is computed anew. */
struct blob *blob_adopt(struct blob_store *s, uint64_t num, uint64_t size,
                        const char *quickxor, const char *sha1);

struct blob *blob_ref(struct blob *b); /* NULL stays NULL */
void blob_unref(struct blob_store *s, struct blob *b);
int blob_open(const struct blob_store *s, const struct blob *b); /* fd, -Exxx */

/* From memory; never NULL. */
struct blob *blob_from(struct blob_store *s, const void *data, size_t len);

struct draft;

int draft_new(struct blob_store *s, struct draft **out_d);
int draft_adopt(struct blob_store *s, uint64_t num, uint64_t kept,
                struct draft **out_d);
struct draft *draft_ref(struct draft *d);
/* The last one drops the bytes, unless they were taken. NULL is fine. */
void draft_free(struct draft *d);
uint64_t draft_num(const struct draft *d);

/* Becomes the only writer, at the kept boundary; returns a ticket. */
unsigned draft_claim(struct draft *d);
int draft_write(struct draft *d, unsigned ticket, const void *data, size_t len);
uint64_t draft_size(struct draft *d); /* kept and not */
uint64_t draft_kept(struct draft *d);
int draft_keep(struct draft *d, unsigned ticket);

/* Makes the kept bytes a blob with one reference; the draft is empty then and
 * can only be freed. */
struct blob *draft_take(struct draft *d);

#endif
