#include "fs/attempt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fs/cfile.h"
#include "fs/db.h"

#define COLUMNS                                                                \
	"aid,ino,op,state,cid,gen,parent,parent_id,name,item_id,etag,mtime,"   \
	"size,plain_size,hash,url,next,started,header,secret,hash_state,"      \
	"bond"

struct attempt *attempt_alloc(void)
{
	return calloc(1, sizeof(struct attempt));
}

void attempt_free(struct attempt *a)
{
	if (!a)
		return;
	sodium_memzero(a, sizeof(*a));
	free(a);
}

int attempt_insert(struct db *db, struct attempt *a)
{
	int64_t aid;
	int rc = db_query_int(db, "SELECT max(aid)+1 FROM attempt", DB_NONE, 1,
	                      &aid);

	if (rc < 0)
		return rc;
	a->aid = (uint64_t)aid;
	return db_run(
		db,
		"INSERT INTO attempt(" COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?"
		",?,?,?,?,?,?,?,?,?,?,?)",
		DB_ARGS(DB_INT(a->aid), DB_INT(a->ino), DB_INT(a->op),
	                DB_INT(a->state), DB_INT(a->cid), DB_INT(a->gen),
	                DB_INT(a->parent), DB_TEXT(a->parent_id),
	                DB_TEXT(a->name), DB_TEXT(a->item_id), DB_TEXT(a->etag),
	                DB_INT(a->mtime), DB_INT(a->size),
	                DB_INT(a->plain_size),
	                DB_BLOB(a->has_hash ? a->hash : NULL, NODE_HASH_SIZE),
	                DB_TEXT(a->url), DB_INT(a->next), DB_INT(a->started),
	                DB_BLOB(a->seed.header, a->seed.header_len),
	                DB_BLOB(a->seed.secret, a->seed.secret_len),
	                DB_BLOB(a->has_hash_state ? &a->hash_state : NULL,
	                        sizeof(a->hash_state)),
	                DB_BLOB(a->seed.bond.known ? &a->seed.bond : NULL,
	                        sizeof(a->seed.bond))));
}

static bool read_blobs(struct sqlite3_stmt *q, struct attempt *a)
{
	size_t n = db_col_blob(q, 14, a->hash, sizeof(a->hash));

	a->has_hash = n == sizeof(a->hash);
	a->seed.header_len =
		db_col_blob(q, 18, a->seed.header, sizeof(a->seed.header));
	a->seed.secret_len =
		db_col_blob(q, 19, a->seed.secret, sizeof(a->seed.secret));
	n = db_col_blob(q, 20, &a->hash_state, sizeof(a->hash_state));
	a->has_hash_state = n == sizeof(a->hash_state);
	n = db_col_blob(q, 21, &a->seed.bond, sizeof(a->seed.bond));
	if (n != sizeof(a->seed.bond))
		memset(&a->seed.bond, 0, sizeof(a->seed.bond));
	return a->seed.header_len <= sizeof(a->seed.header) &&
	       a->seed.secret_len <= sizeof(a->seed.secret);
}

static int read_row(struct sqlite3_stmt *q, struct attempt *a)
{
	bool ok;

	memset(a, 0, sizeof(*a));
	a->aid = (uint64_t)db_col_int(q, 0);
	a->ino = (uint64_t)db_col_int(q, 1);
	a->op = (enum attempt_op)db_col_int(q, 2);
	a->state = (enum attempt_state)db_col_int(q, 3);
	a->cid = (uint64_t)db_col_int(q, 4);
	a->gen = (uint64_t)db_col_int(q, 5);
	a->parent = (uint64_t)db_col_int(q, 6);
	ok = db_col_text(q, 7, a->parent_id, sizeof(a->parent_id));
	ok &= db_col_text(q, 8, a->name, sizeof(a->name));
	ok &= db_col_text(q, 9, a->item_id, sizeof(a->item_id));
	ok &= db_col_text(q, 10, a->etag, sizeof(a->etag));
	a->mtime = db_col_int(q, 11);
	a->size = (uint64_t)db_col_int(q, 12);
	a->plain_size = (uint64_t)db_col_int(q, 13);
	ok &= db_col_text(q, 15, a->url, sizeof(a->url));
	a->next = (uint64_t)db_col_int(q, 16);
	a->started = db_col_int(q, 17);
	ok &= read_blobs(q, a);
	return ok ? 0 : -EUCLEAN;
}

static int get_one(struct db *db, const char *sql, const struct db_val *args,
                   struct attempt *out_a)
{
	struct sqlite3_stmt *q;
	int rc = db_query(db, sql, args, &q);

	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1)
		rc = read_row(q, out_a);
	else if (rc == 0)
		rc = -ENOENT;
	db_finish(q);
	return rc;
}

int attempt_get(struct db *db, uint64_t aid, struct attempt *out_a)
{
	return get_one(db, "SELECT " COLUMNS " FROM attempt WHERE aid=?",
	               DB_ARGS(DB_INT(aid)), out_a);
}

int attempt_get_by_ino(struct db *db, uint64_t ino, struct attempt *out_a)
{
	return get_one(db, "SELECT " COLUMNS " FROM attempt WHERE ino=?",
	               DB_ARGS(DB_INT(ino)), out_a);
}

static int exists(struct db *db, const char *sql, const struct db_val *args)
{
	int64_t v;
	int rc = db_query_int(db, sql, args, 0, &v);

	return rc < 0 ? rc : (int)v;
}

int attempt_is_open(struct db *db, uint64_t ino)
{
	int64_t v;
	int rc = db_query_int(db, "SELECT 1 FROM attempt WHERE ino=? LIMIT 1",
	                      DB_ARGS(DB_INT(ino)), 0, &v);

	return rc < 0 ? rc : (int)v;
}

int attempt_is_at(struct db *db, const char *parent_id, const char *name)
{
	return exists(db,
	              "SELECT 1 FROM attempt WHERE parent_id=? AND name=?"
	              " AND op=0 LIMIT 1",
	              DB_ARGS(DB_TEXT(parent_id), DB_TEXT(name)));
}

int attempt_is_for(struct db *db, const char *item_id)
{
	return exists(db, "SELECT 1 FROM attempt WHERE item_id=? LIMIT 1",
	              DB_ARGS(DB_TEXT(item_id)));
}

int attempt_set_state(struct db *db, uint64_t aid, enum attempt_state state)
{
	return db_run(db, "UPDATE attempt SET state=? WHERE aid=?",
	              DB_ARGS(DB_INT(state), DB_INT(aid)));
}

int attempt_set_progress(struct db *db, uint64_t aid, const char *url,
                         uint64_t next, const struct quickxor *state)
{
	return db_run(db,
	              "UPDATE attempt SET url=?,next=?,"
	              "hash_state=coalesce(?,hash_state) WHERE aid=?",
	              DB_ARGS(DB_TEXT(url), DB_INT(next),
	                      DB_BLOB(state, sizeof(*state)), DB_INT(aid)));
}

int attempt_set_hash(struct db *db, uint64_t aid,
                     const uint8_t hash[NODE_HASH_SIZE])
{
	return db_run(db, "UPDATE attempt SET hash=? WHERE aid=?",
	              DB_ARGS(DB_BLOB(hash, NODE_HASH_SIZE), DB_INT(aid)));
}

int attempt_doubt_all(struct db *db)
{
	return db_run(db,
	              "UPDATE attempt SET state=? WHERE url IS NULL OR"
	              " url=''",
	              DB_ARGS(DB_INT(ATTEMPT_LOOK)));
}

int attempt_delete(struct db *db, uint64_t aid)
{
	int rc = db_run(db, "DELETE FROM attempt WHERE aid=?",
	                DB_ARGS(DB_INT(aid)));

	return rc < 0 ? rc
	              : db_run(db, "DELETE FROM attempt_chunk WHERE aid=?",
	                       DB_ARGS(DB_INT(aid)));
}

int attempt_delete_all(struct db *db)
{
	int rc = db_run(db, "DELETE FROM attempt", DB_NONE);

	return rc < 0 ? rc : db_run(db, "DELETE FROM attempt_chunk", DB_NONE);
}

int attempt_count(struct db *db, int64_t *out_n)
{
	return db_query_int(db, "SELECT count(*) FROM attempt", DB_NONE, 0,
	                    out_n);
}

int attempt_list(struct db *db, uint64_t after, int64_t max, uint64_t *out_inos)
{
	struct sqlite3_stmt *q;
	int n = 0, rc = db_query(db,
	                         "SELECT ino FROM attempt WHERE ino>?"
	                         " ORDER BY ino LIMIT ?",
	                         DB_ARGS(DB_INT(after), DB_INT(max)), &q);

	while (rc == 0 && (rc = db_next(db, q)) == 1) {
		out_inos[n++] = (uint64_t)db_col_int(q, 0);
		rc = 0;
	}
	db_finish(q);
	return rc < 0 ? rc : n;
}

int attempt_set_sums(struct db *db, uint64_t aid, const uint64_t *sums,
                     size_t n)
{
	int rc = 0;

	for (size_t at = 0; at < n && rc == 0; at += GROUP_CHUNKS) {
		size_t part = n - at < GROUP_CHUNKS ? n - at : GROUP_CHUNKS;

		rc = db_run(db,
		            "INSERT OR REPLACE INTO attempt_chunk(aid,grp,sums)"
		            " VALUES(?,?,?)",
		            DB_ARGS(DB_INT(aid), DB_INT(at / GROUP_CHUNKS),
		                    DB_BLOB(sums + at, part * sizeof(*sums))));
	}
	return rc;
}

int attempt_get_sums(struct db *db, uint64_t aid, size_t n, uint64_t **out_sums)
{
	uint64_t *sums = calloc(n ? n : 1, sizeof(*sums));
	struct sqlite3_stmt *q;
	size_t got = 0;
	int rc;

	if (!sums)
		return -ENOMEM;
	rc = db_query(db,
	              "SELECT grp,sums FROM attempt_chunk WHERE aid=?"
	              " ORDER BY grp",
	              DB_ARGS(DB_INT(aid)), &q);
	while (rc == 0 && (rc = db_next(db, q)) == 1) {
		size_t room = (n - got) * sizeof(*sums);

		rc = (size_t)db_col_int(q, 0) * GROUP_CHUNKS == got ? 0
		                                                    : -EUCLEAN;
		got += db_col_blob(q, 1, sums + got, room) / sizeof(*sums);
		if (got > n)
			rc = -EUCLEAN;
	}
	db_finish(q);
	if (rc == 0 && got != n)
		rc = got ? -EUCLEAN : -ENOENT;
	if (rc < 0) {
		free(sums);
		return rc;
	}
	*out_sums = sums;
	return 0;
}

int attempt_set_tags(struct db *db, uint64_t aid, uint64_t grp,
                     const uint8_t (*tags)[CODEC_TAG], size_t n)
{
	return db_run(db,
	              "UPDATE attempt_chunk SET tags=? WHERE aid=? AND grp=?",
	              DB_ARGS(DB_BLOB(tags, n * CODEC_TAG), DB_INT(aid),
	                      DB_INT(grp)));
}

int attempt_get_tags(struct db *db, uint64_t aid, uint64_t grp,
                     uint8_t (*out_tags)[CODEC_TAG], size_t *out_n)
{
	struct sqlite3_stmt *q;
	int rc = db_query(
		db, "SELECT tags FROM attempt_chunk WHERE aid=? AND grp=?",
		DB_ARGS(DB_INT(aid), DB_INT(grp)), &q);
	size_t len = 0;

	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1) {
		len = db_col_blob(q, 0, out_tags, ATTEMPT_GROUP * CODEC_TAG);
		rc = len <= ATTEMPT_GROUP * CODEC_TAG ? 0 : -EUCLEAN;
	}
	db_finish(q);
	*out_n = len / CODEC_TAG;
	return rc;
}
