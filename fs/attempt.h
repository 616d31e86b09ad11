/* fs/attempt.h -- rows of open attempts: content on its way to the server,
 * whose outcome is not noted yet.
 *
 * An attempt sends one immutable generation of one node. Its row is durable
 * before its first byte leaves, and goes in the transaction that notes the
 * outcome; it outlives rewrite, rename and unlink of its node, so that a
 * commit of ours which landed late is known as ours (design: "Write path").
 * At most one per node. The session URL and the seed's secret are secrets:
 * they stay in this database, and go with the row.
 * Threads and errors: as fs/db.h. */
#ifndef NMB_ATTEMPT_H
#define NMB_ATTEMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/codec.h"
#include "fs/node.h"
#include "fs/plainhash.h"
#include "net/quickxor.h"

struct db;

#define ATTEMPT_URL_MAX 8191

enum attempt_op {
	ATTEMPT_CREATE,  /* a new item: parent_id, name */
	ATTEMPT_REPLACE, /* new content for item_id, guarded by etag */
};

enum attempt_state {
	ATTEMPT_SENT,    /* one PUT; it may have arrived */
	ATTEMPT_SESSION, /* an upload session; `url` once it is open */
	ATTEMPT_LOOK,    /* nothing more is sent; how it ended must be looked
	                  * up */
};

struct attempt {
	uint64_t aid; /* given by attempt_insert() */
	uint64_t ino;
	enum attempt_op op;
	enum attempt_state state;
	uint64_t cid, gen; /* what is sent */
	uint64_t parent;   /* ino of the folder */
	char parent_id[NODE_ID_MAX + 1];
	char name[NODE_REMOTE_MAX + 1]; /* on the server */
	char item_id[NODE_ID_MAX + 1];  /* "": CREATE */
	char etag[NODE_ETAG_MAX + 1];
	int64_t mtime; /* of the generation, ns since 1970 */
	uint64_t size; /* bytes there */
	uint64_t plain_size;
	bool has_hash; /* `hash` of all that is sent is known */
	uint8_t hash[NODE_HASH_SIZE];
	bool has_plain_hash; /* known only to the run that read all of it:
	                      * not in the row */
	uint8_t plain_hash[PLAINHASH_SIZE];
	char url[ATTEMPT_URL_MAX + 1];
	uint64_t next;   /* confirmed by the service */
	int64_t started; /* s since 1970 */
	struct codec_seed seed;
	bool has_hash_state; /* of the first hash_state.len sealed bytes */
	struct quickxor hash_state;
};

/* The struct is large: on the heap. attempt_free() wipes it. */
struct attempt *attempt_alloc(void);
void attempt_free(struct attempt *a);

int attempt_insert(struct db *db, struct attempt *a); /* sets a->aid */
int attempt_get(struct db *db, uint64_t aid, struct attempt *out_a);
/* The open one of that node: -ENOENT if none. */
int attempt_get_by_ino(struct db *db, uint64_t ino, struct attempt *out_a);
/* 1 if there is one, 0 if not. */
int attempt_is_open(struct db *db, uint64_t ino);
/* 1 if one makes an item of that name in that folder, 0 if not. */
int attempt_is_at(struct db *db, const char *parent_id, const char *name);
/* 1 if one sends new content to that item. */
int attempt_is_for(struct db *db, const char *item_id);

int attempt_set_state(struct db *db, uint64_t aid, enum attempt_state state);
/* The session goes on: `state` NULL if the hash of [0, next) is not at hand. */
int attempt_set_progress(struct db *db, uint64_t aid, const char *url,
                         uint64_t next, const struct quickxor *state);
int attempt_set_hash(struct db *db, uint64_t aid,
                     const uint8_t hash[NODE_HASH_SIZE]);
/* After a power cut: what has no URL here may have had one that was not on the
 * disk yet. How all these ended must be looked up. */
int attempt_doubt_all(struct db *db);
int attempt_delete(struct db *db, uint64_t aid);
int attempt_delete_all(struct db *db);
int attempt_count(struct db *db, int64_t *out_n);

/* Inos of the nodes that have one, after `after`, at most `max`; how many. */
int attempt_list(struct db *db, uint64_t after, int64_t max,
                 uint64_t *out_inos);

/* Checksums of the generation's chunks (fs/content.h), to find it again after
 * a restart: one array of `n`, kept in rows of 1,024. attempt_get_sums() gives
 * malloc'ed memory; -ENOENT: none are stored. */
int attempt_set_sums(struct db *db, uint64_t aid, const uint64_t *sums,
                     size_t n);
int attempt_get_sums(struct db *db, uint64_t aid, size_t n,
                     uint64_t **out_sums);

/* Tags of sealed chunks made so far (fs/codec.h): the first `n` of the 1,024 of
 * group `grp`, whose sums are stored already. attempt_get_tags() says how many
 * there are. */
#define ATTEMPT_GROUP 1024
int attempt_set_tags(struct db *db, uint64_t aid, uint64_t grp,
                     const uint8_t (*tags)[CODEC_TAG], size_t n);
int attempt_get_tags(struct db *db, uint64_t aid, uint64_t grp,
                     uint8_t (*out_tags)[CODEC_TAG], size_t *out_n);

#endif
