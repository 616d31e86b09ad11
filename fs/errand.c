#include "fs/errand.h"

#include <errno.h>

#include "fs/db.h"

int errand_put(struct db *db, uint64_t ino, const char *parent_id,
               const char *name)
{
	return db_run(db, "INSERT OR REPLACE INTO errand VALUES(?,?,?)",
	              DB_ARGS(DB_INT(ino), DB_TEXT(parent_id), DB_TEXT(name)));
}

int errand_get(struct db *db, uint64_t ino, struct errand *out)
{
	struct sqlite3_stmt *q;
	int rc = db_query(db, "SELECT parent_id,name FROM errand WHERE ino=?",
	                  DB_ARGS(DB_INT(ino)), &q);

	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1)
		rc = db_col_text(q, 0, out->parent_id,
		                 sizeof(out->parent_id)) &&
		                     db_col_text(q, 1, out->name,
		                                 sizeof(out->name))
		             ? 1
		             : -EUCLEAN;
	db_finish(q);
	return rc == 1 ? 0 : rc == 0 ? -ENOENT : rc;
}

int errand_delete(struct db *db, uint64_t ino)
{
	return db_run(db, "DELETE FROM errand WHERE ino=?",
	              DB_ARGS(DB_INT(ino)));
}

int errand_hand_over(struct db *db, uint64_t from, uint64_t to)
{
	return db_run(db, "UPDATE OR REPLACE errand SET ino=? WHERE ino=?",
	              DB_ARGS(DB_INT(to), DB_INT(from)));
}

static int is_some(int rc, int64_t some)
{
	return rc < 0 ? rc : some != 0;
}

int errand_is_open(struct db *db, uint64_t ino)
{
	int64_t some;
	int rc = db_query_int(db, "SELECT 1 FROM errand WHERE ino=?",
	                      DB_ARGS(DB_INT(ino)), 0, &some);

	return is_some(rc, some);
}

int errand_is_at(struct db *db, const char *parent_id, const char *name)
{
	int64_t some;
	int rc = db_query_int(db,
	                      "SELECT 1 FROM errand JOIN node USING(ino) WHERE"
	                      " parent_id=? AND errand.name=? AND s_id IS NULL"
	                      " LIMIT 1",
	                      DB_ARGS(DB_TEXT(parent_id), DB_TEXT(name)), 0,
	                      &some);

	return is_some(rc, some);
}
