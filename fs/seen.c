#include "fs/seen.h"

#include <errno.h>
#include <string.h>

#include "fs/db.h"

/* Bits of the column `kind`. */
#define KIND_MASK    0x0f
#define KIND_MALWARE 0x10
#define KIND_ROOT    0x20
#define KIND_KEEP    0x40

int seen_put(struct db *db, const struct item *r, int64_t round)
{
	int64_t kind = (int64_t)r->kind | (r->malware ? KIND_MALWARE : 0) |
	               (r->root ? KIND_ROOT : 0) | (r->keep ? KIND_KEEP : 0);

	return db_run(
		db,
		"INSERT OR REPLACE INTO seen(id,parent_id,name,kind,"
		"etag,size,hash,mtime,created,deleted,children,round,"
		"parked,flags) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,"
		"0,coalesce((SELECT flags FROM seen WHERE id=?1 AND deleted AND"
		" ?10),0))",
		DB_ARGS(DB_TEXT(r->id), DB_TEXT(r->parent_id), DB_TEXT(r->name),
	                DB_INT(kind), DB_TEXT(r->etag), DB_INT(r->size),
	                DB_BLOB(r->has_hash ? r->hash : NULL, NODE_HASH_SIZE),
	                DB_INT(r->mtime), DB_INT(r->created),
	                DB_INT(r->deleted), DB_INT(r->children),
	                DB_INT(round)));
}

static int read_item(struct sqlite3_stmt *q, struct item *r)
{
	int64_t kind = db_col_int(q, 3);
	bool ok;

	memset(r, 0, sizeof(*r));
	ok = db_col_text(q, 0, r->id, sizeof(r->id));
	ok &= db_col_text(q, 1, r->parent_id, sizeof(r->parent_id));
	ok &= db_col_text(q, 2, r->name, sizeof(r->name));
	r->kind = (enum item_kind)(kind & KIND_MASK);
	r->malware = kind & KIND_MALWARE;
	r->root = kind & KIND_ROOT;
	r->keep = kind & KIND_KEEP;
	ok &= db_col_text(q, 4, r->etag, sizeof(r->etag));
	r->size = (uint64_t)db_col_int(q, 5);
	r->has_hash =
		db_col_blob(q, 6, r->hash, NODE_HASH_SIZE) == NODE_HASH_SIZE;
	r->mtime = db_col_int(q, 7);
	r->created = db_col_int(q, 8);
	r->deleted = db_col_int(q, 9);
	r->children = db_col_int(q, 10);
	return ok && r->kind <= ITEM_OTHER ? 0 : -EUCLEAN;
}

int seen_get(struct db *db, const char *id, struct item *out)
{
	struct sqlite3_stmt *q;
	int rc = db_query(db,
	                  "SELECT id,parent_id,name,kind,etag,size,hash,mtime,"
	                  "created,deleted,children FROM seen WHERE id=?",
	                  DB_ARGS(DB_TEXT(id)), &q);

	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1)
		rc = read_item(q, out);
	else if (rc == 0)
		rc = -ENOENT;
	db_finish(q);
	return rc;
}

int seen_get_round(struct db *db, const char *id, int64_t *out_round)
{
	return db_query_int(db, "SELECT round FROM seen WHERE id=?",
	                    DB_ARGS(DB_TEXT(id)), 0, out_round);
}

int seen_delete(struct db *db, const char *id)
{
	return db_run(db, "DELETE FROM seen WHERE id=?", DB_ARGS(DB_TEXT(id)));
}

static int list_ids(struct db *db, const char *sql, const struct db_val *args,
                    char (*out_ids)[NODE_ID_MAX + 1])
{
	struct sqlite3_stmt *q;
	int n = 0, rc = db_query(db, sql, args, &q);

	while (rc == 0 && (rc = db_next(db, q)) == 1) {
		rc = db_col_text(q, 0, out_ids[n++], NODE_ID_MAX + 1)
		             ? 0
		             : -EUCLEAN;
	}
	db_finish(q);
	return rc < 0 ? rc : n;
}

int seen_list(struct db *db, const char *after, uint32_t without, int64_t max,
              char (*out_ids)[NODE_ID_MAX + 1])
{
	return list_ids(db,
	                "SELECT id FROM seen WHERE id>? AND NOT flags & ?"
	                " ORDER BY id LIMIT ?",
	                DB_ARGS(DB_TEXT(after), DB_INT(without), DB_INT(max)),
	                out_ids);
}

int seen_list_children(struct db *db, const char *parent_id, int64_t max,
                       char (*out_ids)[NODE_ID_MAX + 1])
{
	return list_ids(db, "SELECT id FROM seen WHERE parent_id=? LIMIT ?",
	                DB_ARGS(DB_TEXT(parent_id), DB_INT(max)), out_ids);
}

int seen_count(struct db *db, int64_t *out_n)
{
	return db_query_int(db, "SELECT count(*) FROM seen", DB_NONE, 0, out_n);
}

int seen_set_flags(struct db *db, const char *id, uint32_t flags)
{
	return db_run(db, "UPDATE seen SET flags=? WHERE id=?",
	              DB_ARGS(DB_INT(flags), DB_TEXT(id)));
}

int seen_get_flags(struct db *db, const char *id, uint32_t *out_flags)
{
	int64_t v;
	int rc = db_query_int(db, "SELECT flags FROM seen WHERE id=?",
	                      DB_ARGS(DB_TEXT(id)), 0, &v);

	if (rc == 0)
		*out_flags = (uint32_t)v;
	return rc;
}

int listed_add(struct db *db, const char *id, int64_t round)
{
	return db_run(db, "INSERT OR REPLACE INTO listed VALUES(?,?)",
	              DB_ARGS(DB_TEXT(id), DB_INT(round)));
}

int listed_drop_unmet(struct db *db, int64_t round)
{
	return db_run(db,
	              "DELETE FROM seen WHERE round<=? AND NOT deleted"
	              " AND id NOT IN (SELECT id FROM listed)"
	              " AND NOT EXISTS(SELECT 1 FROM node WHERE s_id=seen.id)",
	              DB_ARGS(DB_INT(round)));
}

int listed_clear(struct db *db)
{
	return db_run(db, "DELETE FROM listed", DB_NONE);
}

int listed_each_missing(struct db *db, listed_id_fn *each, void *arg)
{
	struct sqlite3_stmt *q;
	char id[NODE_ID_MAX + 1];
	int rc = db_query(db,
	                  "SELECT s_id FROM node WHERE s_id IS NOT NULL AND"
	                  " ino<>1 AND parent IS NOT NULL AND NOT EXISTS(SELECT"
	                  " 1 FROM listed WHERE id=s_id)",
	                  DB_NONE, &q);

	while (rc == 0 && (rc = db_next(db, q)) == 1) {
		rc = 0;
		if (db_col_text(q, 0, id, sizeof(id)))
			each(arg, id);
	}
	db_finish(q);
	return rc;
}

int listed_missing(struct db *db, bool topmost, uint64_t after, int64_t max,
                   uint64_t *out_inos)
{
	struct sqlite3_stmt *q;
	int n = 0, rc;

	rc = db_query(
		db,
		"SELECT ino FROM node WHERE s_id IS NOT NULL AND ino>?1 AND"
		" ino<>1 AND NOT EXISTS(SELECT 1 FROM listed WHERE id=s_id)"
		" AND (NOT ?2 OR s_parent=1 OR EXISTS(SELECT 1 FROM node AS up"
		" JOIN listed ON id=up.s_id WHERE up.ino=node.s_parent)) ORDER"
		" BY ino LIMIT ?3",
		DB_ARGS(DB_INT(after), DB_INT(topmost), DB_INT(max)), &q);
	while (rc == 0 && (rc = db_next(db, q)) == 1) {
		out_inos[n++] = (uint64_t)db_col_int(q, 0);
		rc = 0;
	}
	db_finish(q);
	return rc < 0 ? rc : n;
}
