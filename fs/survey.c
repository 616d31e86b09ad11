#include "fs/survey.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/db.h"
#include "fs/direct.h"

#define MAX_DEPTH 512 /* of a chain of parents; the service has 400 */
#define COLUMNS   "id,parent_id,name,etag,kind,malware,hash,size,mtime,created"

static const char schema[] =
	"CREATE TABLE there(id TEXT PRIMARY KEY, parent_id TEXT, name TEXT,"
	" etag TEXT, kind INTEGER, malware INTEGER, hash BLOB, size INTEGER,"
	" mtime INTEGER, created INTEGER) WITHOUT ROWID;"
	"BEGIN";

struct survey {
	struct db *db;
	char folder_id[NODE_ID_MAX + 1];
	survey_progress_fn *progress;
	void *arg;
	uint64_t n;
};

/* ---- taking it ----------------------------------------------------------- */

/* direct_each_fn. The last word on an item counts. */
static int note(void *arg, const struct item *it)
{
	struct survey *s = arg;

	if (!it) {
		s->n = 0;
		return db_run(s->db, "DELETE FROM there", DB_NONE);
	}
	if (s->progress)
		s->progress(s->arg, ++s->n);
	if (it->deleted)
		return db_run(s->db, "DELETE FROM there WHERE id=?",
		              DB_ARGS(DB_TEXT(it->id)));
	return db_run(s->db,
	              "REPLACE INTO there(" COLUMNS
	              ") VALUES(?,?,?,?,?,?,?,?,?,?)",
	              DB_ARGS(DB_TEXT(it->id), DB_TEXT(it->parent_id),
	                      DB_TEXT(it->name), DB_TEXT(it->etag),
	                      DB_INT(it->kind), DB_INT(it->malware),
	                      DB_BLOB(it->has_hash ? it->hash : NULL,
	                              sizeof(it->hash)),
	                      DB_INT(it->size), DB_INT(it->mtime),
	                      DB_INT(it->created)));
}

int survey_take(struct direct *d, const char *folder_id, bool personal,
                survey_progress_fn *progress, void *arg, struct survey **out_s)
{
	struct survey *s = calloc(1, sizeof(*s));
	struct item *folder = malloc(sizeof(*folder));
	int rc = s && folder ? db_open("", true, &s->db) : -ENOMEM;

	if (rc == 0)
		rc = db_script(s->db, schema);
	if (rc == 0)
		rc = direct_raw_item(d, folder_id, folder);
	if (rc == 0) {
		memcpy(s->folder_id, folder->id, sizeof(s->folder_id));
		s->progress = progress;
		s->arg = arg;
		rc = direct_raw_feed(d, folder->id, personal, note, s);
	}
	free(folder);
	if (rc < 0)
		survey_free(s);
	else
		*out_s = s;
	return rc;
}

void survey_free(struct survey *s)
{
	if (!s)
		return;
	db_close(s->db);
	free(s);
}

/* ---- asking -------------------------------------------------------------- */

static int read_row(struct sqlite3_stmt *q, struct item *it)
{
	memset(it, 0, sizeof(*it));
	db_col_text(q, 0, it->id, sizeof(it->id));
	db_col_text(q, 1, it->parent_id, sizeof(it->parent_id));
	db_col_text(q, 2, it->name, sizeof(it->name));
	db_col_text(q, 3, it->etag, sizeof(it->etag));
	it->kind = (enum item_kind)db_col_int(q, 4);
	it->malware = db_col_int(q, 5);
	it->has_hash = db_col_blob(q, 6, it->hash, sizeof(it->hash)) ==
	               sizeof(it->hash);
	it->size = (uint64_t)db_col_int(q, 7);
	it->mtime = db_col_int(q, 8);
	it->created = db_col_int(q, 9);
	it->children = -1;
	return 0;
}

static int get_parent(struct survey *s, char id[NODE_ID_MAX + 1])
{
	struct sqlite3_stmt *q;
	int rc = db_query(s->db, "SELECT parent_id FROM there WHERE id=?",
	                  DB_ARGS(DB_TEXT(id)), &q);

	if (rc == 0)
		rc = db_next(s->db, q);
	if (rc == 1)
		db_col_text(q, 0, id, NODE_ID_MAX + 1);
	db_finish(q);
	return rc;
}

int survey_has_folder(struct survey *s, const char *id)
{
	char at[NODE_ID_MAX + 1];
	int rc = 1;

	if (strlen(id) > NODE_ID_MAX)
		return 0;
	strcpy(at, id);
	for (int i = 0; i < MAX_DEPTH && rc == 1; i++) {
		if (!strcmp(at, s->folder_id))
			return 1;
		if (!at[0])
			return 0;
		rc = get_parent(s, at);
	}
	return rc < 0 ? rc : 0;
}

int survey_get(struct survey *s, const char *id, struct item *out)
{
	struct sqlite3_stmt *q;
	int rc = db_query(s->db, "SELECT " COLUMNS " FROM there WHERE id=?",
	                  DB_ARGS(DB_TEXT(id)), &q);

	if (rc == 0)
		rc = db_next(s->db, q);
	if (rc == 1)
		read_row(q, out);
	db_finish(q);
	if (rc == 1)
		rc = survey_has_folder(s, out->parent_id);
	return rc == 0 ? -ENOENT : rc < 0 ? rc : 0;
}

int survey_each(struct survey *s, survey_each_fn *each, void *arg)
{
	struct item *it = malloc(sizeof(*it));
	struct sqlite3_stmt *q = NULL;
	int rc = it ? db_query(s->db, "SELECT " COLUMNS " FROM there", DB_NONE,
	                       &q)
	            : -ENOMEM;

	while (rc == 0 && (rc = db_next(s->db, q)) == 1) {
		read_row(q, it);
		rc = it->id[0] && strcmp(it->id, s->folder_id) != 0
		             ? survey_has_folder(s, it->parent_id)
		             : 0;
		if (rc == 1)
			rc = each(arg, it);
		if (rc != 0)
			break;
	}
	db_finish(q);
	free(it);
	return rc;
}
