#include "fs/engine_internal.h"

#include "fs/db.h"

/* A new folder in the feed comes with all that lies in it, unless it was moved
 * in from outside, or lay in what our link did not reach. Another device that
 * makes a thousand folders would cost a thousand requests, so one that comes
 * whole is not listed: the page that tells of it brings as many things as it
 * says to have. Later pages don't count, since what they bring may have come
 * into being later, and make up for what is missing. So a folder that lies
 * across two pages is listed.
 *
 * A folder said to be empty is listed: a count that is late would leave it
 * empty for long. */

static int note_whole(struct db *db, const struct item *it)
{
	return db_run(
		db,
		"UPDATE node SET flags=flags&~?1 WHERE s_id=?2 AND flags&?1"
		" AND ?3<=(SELECT count(*) FROM (SELECT c.s_id FROM node c"
		" WHERE c.s_id IS NOT NULL AND c.s_parent=node.ino AND NOT"
		" EXISTS(SELECT 1 FROM seen WHERE id=c.s_id)"
		" UNION ALL SELECT id FROM seen WHERE parent_id=?2 AND NOT"
		" deleted))",
		DB_ARGS(DB_INT(NODE_UNLISTED), DB_TEXT(it->id),
	                DB_INT(it->children)));
}

int engine_brought_note(struct db *db, const struct item *items, size_t n)
{
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		if (items[i].kind == ITEM_FOLDER && !items[i].deleted &&
		    items[i].children > 0)
			rc = note_whole(db, &items[i]);
	}
	return rc;
}
