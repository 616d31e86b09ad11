#include "fs/bond.h"

#include <errno.h>
#include <string.h>

#include "fs/db.h"

int bond_get(struct db *db, const char *item_id, struct codec_bond *out)
{
	struct sqlite3_stmt *q;
	int rc = db_query(db, "SELECT file_id,version,mac FROM bond WHERE id=?",
	                  DB_ARGS(DB_TEXT(item_id)), &q);

	memset(out, 0, sizeof(*out));
	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1) {
		bool ok = db_col_blob(q, 0, out->file_id, CODEC_FILE_ID) ==
		          CODEC_FILE_ID;

		out->version = (uint64_t)db_col_int(q, 1);
		ok &= db_col_blob(q, 2, out->mac, CODEC_MAC) == CODEC_MAC;
		out->known = ok;
		rc = ok ? 0 : -EUCLEAN;
	}
	db_finish(q);
	return rc;
}

int bond_put(struct db *db, const char *item_id, const struct codec_bond *b)
{
	if (!b->known)
		return 0;
	return db_run(db,
	              "INSERT OR REPLACE INTO bond(id,file_id,version,mac)"
	              " VALUES(?,?,?,?)",
	              DB_ARGS(DB_TEXT(item_id),
	                      DB_BLOB(b->file_id, CODEC_FILE_ID),
	                      DB_INT(b->version), DB_BLOB(b->mac, CODEC_MAC)));
}

int bond_forget(struct db *db, const char *item_id)
{
	return db_run(db, "DELETE FROM bond WHERE id=?",
	              DB_ARGS(DB_TEXT(item_id)));
}
