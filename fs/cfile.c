#include "fs/cfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/db.h"

#define COLUMNS                                                                \
	"cid,ino,size,flags,gen,prev,base_id,base_etag,base_size,base_len,"    \
	"used,blocks,base_hash,hard"

static int read_row(struct sqlite3_stmt *q, struct cfile *f)
{
	bool ok = true;

	f->cid = (uint64_t)db_col_int(q, 0);
	f->ino = (uint64_t)db_col_int(q, 1);
	f->size = (uint64_t)db_col_int(q, 2);
	f->flags = (uint32_t)db_col_int(q, 3);
	f->gen = (uint64_t)db_col_int(q, 4);
	f->prev = (uint64_t)db_col_int(q, 5);
	ok &= db_col_text(q, 6, f->base_id, sizeof(f->base_id));
	ok &= db_col_text(q, 7, f->base_etag, sizeof(f->base_etag));
	f->base_size = (uint64_t)db_col_int(q, 8);
	f->base_len = (uint64_t)db_col_int(q, 9);
	f->used = db_col_int(q, 10);
	f->blocks = (uint64_t)db_col_int(q, 11);
	f->base_hashed = db_col_blob(q, 12, f->base_hash,
	                             sizeof(f->base_hash)) == NODE_HASH_SIZE;
	f->hard = (uint64_t)db_col_int(q, 13);
	return ok ? 0 : -EUCLEAN;
}

#define VALUES(f)                                                              \
	DB_INT((f)->ino), DB_INT((f)->size), DB_INT((f)->flags),               \
		DB_INT((f)->gen), DB_INT((f)->prev), DB_TEXT((f)->base_id),    \
		DB_TEXT((f)->base_etag), DB_INT((f)->base_size),               \
		DB_INT((f)->base_len), DB_INT((f)->used), DB_INT((f)->blocks), \
		DB_BLOB((f)->base_hashed ? (f)->base_hash : NULL,              \
	                NODE_HASH_SIZE),                                       \
		DB_INT((f)->hard)

int cfile_insert(struct db *db, const struct cfile *f)
{
	return db_run(db,
	              "INSERT INTO cfile(" COLUMNS
	              ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
	              DB_ARGS(DB_INT(f->cid), VALUES(f)));
}

int cfile_get(struct db *db, uint64_t cid, struct cfile *out_f)
{
	struct sqlite3_stmt *q;
	int rc = db_query(db, "SELECT " COLUMNS " FROM cfile WHERE cid=?",
	                  DB_ARGS(DB_INT(cid)), &q);

	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1)
		rc = read_row(q, out_f);
	else if (rc == 0)
		rc = -ENOENT;
	db_finish(q);
	return rc;
}

int cfile_update(struct db *db, const struct cfile *f)
{
	return db_run(db,
	              "UPDATE cfile SET ino=?,size=?,flags=?,gen=?,prev=?,"
	              "base_id=?,base_etag=?,base_size=?,base_len=?,used=?,"
	              "blocks=?,base_hash=?,hard=? WHERE cid=?",
	              DB_ARGS(VALUES(f), DB_INT(f->cid)));
}

int cfile_delete(struct db *db, uint64_t cid)
{
	int rc = db_run(db, "DELETE FROM cfile WHERE cid=?",
	                DB_ARGS(DB_INT(cid)));

	if (rc == 0)
		rc = db_run(db, "DELETE FROM chunk WHERE cid=?",
		            DB_ARGS(DB_INT(cid)));
	if (rc == 0)
		rc = db_run(db, "DELETE FROM partial WHERE cid=?",
		            DB_ARGS(DB_INT(cid)));
	return rc;
}

int cfile_is_needed(struct db *db, uint64_t cid)
{
	int64_t v;
	int rc = db_query_int(
		db,
		"SELECT EXISTS(SELECT 1 FROM cfile f JOIN node n ON"
		" n.ino=f.ino WHERE f.cid=?1 AND n.cid=?1) OR"
		" EXISTS(SELECT 1 FROM cfile f JOIN attempt a ON"
		" a.ino=f.ino WHERE f.cid=?1 AND a.cid=?1) OR"
		" EXISTS(SELECT 1 FROM cfile WHERE prev=?1)",
		DB_ARGS(DB_INT(cid)), 0, &v);

	return rc < 0 ? rc : (int)v;
}

int cfile_set_header(struct db *db, uint64_t cid, const void *h, size_t len)
{
	return db_run(db, "UPDATE cfile SET header=? WHERE cid=?",
	              DB_ARGS(DB_BLOB(h, len), DB_INT(cid)));
}

ssize_t cfile_get_header(struct db *db, uint64_t cid, void *out, size_t size)
{
	struct sqlite3_stmt *q;
	ssize_t rc = db_query(db, "SELECT header FROM cfile WHERE cid=?",
	                      DB_ARGS(DB_INT(cid)), &q);

	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1)
		rc = (ssize_t)db_col_blob(q, 0, out, size);
	db_finish(q);
	return rc > (ssize_t)size ? -EUCLEAN : rc;
}

int cfile_get_group(struct db *db, uint64_t cid, uint64_t grp,
                    uint64_t present[GROUP_CHUNKS / 64], uint64_t *sums)
{
	struct sqlite3_stmt *q;
	int rc = db_query(db,
	                  "SELECT present,sums FROM chunk WHERE cid=? AND"
	                  " grp=?",
	                  DB_ARGS(DB_INT(cid), DB_INT(grp)), &q);

	memset(present, 0, GROUP_CHUNKS / 8);
	memset(sums, 0, GROUP_CHUNKS * sizeof(*sums));
	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1) {
		db_col_blob(q, 0, present, GROUP_CHUNKS / 8);
		db_col_blob(q, 1, sums, GROUP_CHUNKS * sizeof(*sums));
		rc = 0;
	}
	db_finish(q);
	return rc;
}

static size_t used_words(const uint64_t *words, size_t n)
{
	while (n && !words[n - 1])
		n--;
	return n;
}

int cfile_set_group(struct db *db, uint64_t cid, uint64_t grp,
                    const uint64_t present[GROUP_CHUNKS / 64],
                    const uint64_t *sums, size_t nsums)
{
	size_t np = used_words(present, GROUP_CHUNKS / 64);
	size_t ns = used_words(sums, nsums);

	return db_run(db, "INSERT OR REPLACE INTO chunk VALUES(?,?,?,?)",
	              DB_ARGS(DB_INT(cid), DB_INT(grp),
	                      DB_BLOB(present, np * sizeof(*present)),
	                      DB_BLOB(sums, ns * sizeof(*sums))));
}

int cfile_drop_groups(struct db *db, uint64_t cid, uint64_t from_grp)
{
	return db_run(db, "DELETE FROM chunk WHERE cid=? AND grp>=?",
	              DB_ARGS(DB_INT(cid), DB_INT(from_grp)));
}

int cfile_drop_sums(struct db *db, uint64_t cid)
{
	return db_run(db, "UPDATE chunk SET sums=NULL WHERE cid=?",
	              DB_ARGS(DB_INT(cid)));
}

int cfile_doubt_fetched(struct db *db)
{
	return db_run(db,
	              "UPDATE cfile INDEXED BY cfile_evict SET flags=flags|64"
	              " WHERE flags & 1 AND NOT flags & 68",
	              DB_NONE);
}

int cfile_set_partial(struct db *db, uint64_t cid, uint64_t idx,
                      const void *extents, size_t len)
{
	if (!len)
		return db_run(db, "DELETE FROM partial WHERE cid=? AND idx=?",
		              DB_ARGS(DB_INT(cid), DB_INT(idx)));
	return db_run(db, "INSERT OR REPLACE INTO partial VALUES(?,?,?)",
	              DB_ARGS(DB_INT(cid), DB_INT(idx), DB_BLOB(extents, len)));
}

static int one_partial(struct sqlite3_stmt *q, cfile_partial_fn *each,
                       void *arg)
{
	uint8_t none[1];
	size_t len = db_col_blob(q, 1, none, 0);
	void *extents = malloc(len ? len : 1);
	int rc;

	if (!extents)
		return -ENOMEM;
	db_col_blob(q, 1, extents, len);
	rc = each(arg, (uint64_t)db_col_int(q, 0), extents, len);
	free(extents);
	return rc;
}

int cfile_each_partial(struct db *db, uint64_t cid, cfile_partial_fn *each,
                       void *arg)
{
	struct sqlite3_stmt *q;
	int rc = db_query(db, "SELECT idx,extents FROM partial WHERE cid=?",
	                  DB_ARGS(DB_INT(cid)), &q);

	while (rc == 0 && (rc = db_next(db, q)) == 1)
		rc = one_partial(q, each, arg);
	db_finish(q);
	return rc;
}

static int each_row(struct db *db, const char *sql, const struct db_val *args,
                    cfile_each_fn *each, void *arg)
{
	struct sqlite3_stmt *q;
	struct cfile f;
	int rc = db_query(db, sql, args, &q);

	while (rc == 0 && (rc = db_next(db, q)) == 1) {
		rc = read_row(q, &f);
		if (rc == 0)
			rc = each(arg, &f);
	}
	db_finish(q);
	return rc < 0 ? rc : 0;
}

int cfile_each_soft(struct db *db, cfile_each_fn *each, void *arg)
{
	return each_row(db,
	                "SELECT " COLUMNS " FROM cfile INDEXED BY cfile_soft"
	                " WHERE flags & 2",
	                DB_NONE, each, arg);
}

int cfile_each(struct db *db, uint64_t after, cfile_each_fn *each, void *arg)
{
	return each_row(
		db, "SELECT " COLUMNS " FROM cfile WHERE cid>? ORDER BY cid",
		DB_ARGS(DB_INT(after)), each, arg);
}

int cfile_each_evictable(struct db *db, cfile_each_fn *each, void *arg)
{
	return each_row(db,
	                "SELECT " COLUMNS " FROM cfile INDEXED BY cfile_evict"
	                " WHERE flags & 1 ORDER BY used",
	                DB_NONE, each, arg);
}

int cfile_sum_blocks(struct db *db, uint64_t *out_all, uint64_t *out_clean)
{
	int64_t all, clean;
	int rc = db_query_int(db,
	                      "SELECT sum(blocks) FROM cfile WHERE"
	                      " NOT flags & 16",
	                      DB_NONE, 0, &all);

	if (rc == 0)
		rc = db_query_int(db,
		                  "SELECT sum(blocks) FROM cfile WHERE"
		                  " flags & 1",
		                  DB_NONE, 0, &clean);
	if (rc < 0)
		return rc;
	*out_all = (uint64_t)all * 512;
	*out_clean = (uint64_t)clean * 512;
	return 0;
}
