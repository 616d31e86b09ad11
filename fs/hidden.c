#include "fs/hidden.h"

#include "fs/db.h"

int hidden_put(struct db *db, const char *id, const char *parent_id)
{
	return db_run(db, "INSERT OR REPLACE INTO hidden VALUES(?,?)",
	              DB_ARGS(DB_TEXT(id), DB_TEXT(parent_id)));
}

int hidden_delete(struct db *db, const char *id)
{
	return db_run(db, "DELETE FROM hidden WHERE id=?",
	              DB_ARGS(DB_TEXT(id)));
}

int hidden_prune(struct db *db)
{
	return db_run(db,
	              "DELETE FROM hidden WHERE NOT EXISTS(SELECT 1 FROM listed"
	              " WHERE listed.id=hidden.id)",
	              DB_NONE);
}

int hidden_drop_left(struct db *db, int64_t round)
{
	return db_run(db,
	              "DELETE FROM hidden WHERE EXISTS(SELECT 1 FROM seen"
	              " WHERE seen.id=hidden.id AND round<=? AND (deleted OR"
	              " NOT EXISTS(SELECT 1 FROM node WHERE"
	              " s_id=seen.parent_id)))",
	              DB_ARGS(DB_INT(round)));
}

int hidden_is_in(struct db *db, uint64_t ino)
{
	int64_t some;
	int rc = db_query_int(db,
	                      "SELECT 1 FROM node JOIN hidden ON"
	                      " hidden.parent_id=node.s_id WHERE node.ino=?"
	                      " LIMIT 1",
	                      DB_ARGS(DB_INT(ino)), 0, &some);

	return rc < 0 ? rc : some != 0;
}
