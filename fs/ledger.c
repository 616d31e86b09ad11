#include "fs/ledger.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/db.h"

#define COLUMNS                                                                \
	"seq,time,what,id,path,etag,size,plain_size,hash,parent_id,mode,"      \
	"mtime,target,plain_hash"

static int read_row(struct sqlite3_stmt *q, struct ledger_entry *e)
{
	bool ok;

	memset(e, 0, sizeof(*e));
	e->seq = (uint64_t)db_col_int(q, 0);
	e->time = db_col_int(q, 1);
	e->what = (enum ledger_what)db_col_int(q, 2);
	ok = db_col_text(q, 3, e->id, sizeof(e->id));
	ok &= db_col_text(q, 4, e->path, sizeof(e->path));
	ok &= db_col_text(q, 5, e->etag, sizeof(e->etag));
	e->size = (uint64_t)db_col_int(q, 6);
	e->plain_size = (uint64_t)db_col_int(q, 7);
	e->has_hash =
		db_col_blob(q, 8, e->hash, sizeof(e->hash)) == sizeof(e->hash);
	ok &= db_col_text(q, 9, e->parent_id, sizeof(e->parent_id));
	e->mode = (mode_t)db_col_int(q, 10);
	e->mtime = db_col_int(q, 11);
	ok &= db_col_text(q, 12, e->target, sizeof(e->target));
	e->has_plain_hash =
		db_col_blob(q, 13, e->plain_hash, sizeof(e->plain_hash)) ==
		sizeof(e->plain_hash);
	return ok ? 0 : -EUCLEAN;
}

static int get_one(struct db *db, const char *sql, const char *id,
                   struct ledger_entry *out_e)
{
	struct sqlite3_stmt *q;
	int rc = db_query(db, sql, DB_ARGS(DB_TEXT(id)), &q);

	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1)
		rc = read_row(q, out_e);
	else if (rc == 0)
		rc = -ENOENT;
	db_finish(q);
	return rc;
}

int ledger_get(struct db *db, const char *id, struct ledger_entry *out_e)
{
	return get_one(db,
	               "SELECT " COLUMNS " FROM ledger WHERE id=?"
	               " ORDER BY seq DESC LIMIT 1",
	               id, out_e);
}

int ledger_get_content(struct db *db, const char *id,
                       struct ledger_entry *out_e)
{
	int rc = get_one(db,
	                 "SELECT " COLUMNS " FROM ledger WHERE id=?"
	                 " AND what IN (1,2) ORDER BY seq DESC LIMIT 1",
	                 id, out_e);

	return rc != -ENOENT
	               ? rc
	               : get_one(db,
	                         "SELECT " COLUMNS " FROM ledger WHERE id=?"
	                         " ORDER BY seq LIMIT 1",
	                         id, out_e);
}

/* ---- adding ------------------------------------------------------------ */

/* What an entry that is not about content leaves unsaid. */
static int inherit(struct db *db, struct ledger_entry *e)
{
	struct ledger_entry *last = malloc(sizeof(*last));
	int rc = last ? ledger_get(db, e->id, last) : -ENOMEM;

	if (rc == 0) {
		if (!e->path[0])
			memcpy(e->path, last->path, sizeof(e->path));
		if (e->what == LEDGER_MOVED || e->what == LEDGER_DELETED) {
			e->size = last->size;
			e->plain_size = last->plain_size;
			e->has_hash = last->has_hash;
			memcpy(e->hash, last->hash, sizeof(e->hash));
			e->has_plain_hash = last->has_plain_hash;
			memcpy(e->plain_hash, last->plain_hash,
			       sizeof(e->plain_hash));
		}
	}
	free(last);
	return rc == -ENOENT ? 0 : rc;
}

static int prune(struct db *db, const char *id)
{
	return db_run(
		db,
		"DELETE FROM ledger WHERE id=?1 AND seq<=(SELECT seq FROM"
		" ledger WHERE id=?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
		DB_ARGS(DB_TEXT(id), DB_INT(LEDGER_KEEP)));
}

int ledger_add(struct db *db, struct ledger_entry *e)
{
	int64_t seq = 0;
	int rc = inherit(db, e);

	if (rc == 0)
		rc = db_query_int(db, "SELECT max(seq)+1 FROM ledger", DB_NONE,
		                  1, &seq);
	if (rc == 0)
		rc = db_run(db,
		            "INSERT INTO ledger(" COLUMNS
		            ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
		            DB_ARGS(DB_INT(seq), DB_INT(e->time),
		                    DB_INT(e->what), DB_TEXT(e->id),
		                    DB_TEXT(e->path), DB_TEXT(e->etag),
		                    DB_INT(e->size), DB_INT(e->plain_size),
		                    DB_BLOB(e->has_hash ? e->hash : NULL,
		                            sizeof(e->hash)),
		                    DB_TEXT(e->parent_id), DB_INT(e->mode),
		                    DB_INT(e->mtime),
		                    DB_TEXT(e->target[0] ? e->target : NULL),
		                    DB_BLOB(e->has_plain_hash ? e->plain_hash
		                                              : NULL,
		                            sizeof(e->plain_hash))));
	if (rc == 0)
		rc = prune(db, e->id);
	if (rc == 0)
		e->seq = (uint64_t)seq;
	return rc;
}

/* One statement: a folder may hold a hundred thousand. The topmost comes first
 * (CROSS JOIN keeps the order): it is what was asked for. An item the ledger
 * does not know (another device made it) has no path in here. */
int ledger_add_deleted(struct db *db, uint64_t ino, int64_t time)
{
	return db_run(
		db,
		"INSERT INTO ledger(time,what,id,path,etag,size,plain_size,"
		"hash,parent_id,mode,mtime,target) WITH RECURSIVE gone(ino) AS "
		"(SELECT ?1 UNION SELECT"
		" node.ino FROM node JOIN gone ON node.s_parent=gone.ino WHERE"
		" node.s_id IS NOT NULL)"
		" SELECT ?2,?3,n.s_id,(SELECT path FROM ledger l WHERE"
		" l.id=n.s_id ORDER BY seq DESC LIMIT 1),n.s_etag,n.s_size,"
		"n.s_len,CASE WHEN n.flags & 32 THEN n.s_hash END,(SELECT s_id"
		" FROM node p WHERE p.ino=n.s_parent),n.mode,n.mtime,(SELECT"
		" target FROM target t WHERE t.ino=n.ino) FROM gone "
		"CROSS JOIN node n ON n.ino=gone.ino"
		" WHERE n.s_id IS NOT NULL",
		DB_ARGS(DB_INT(ino), DB_INT(time), DB_INT(LEDGER_DELETED)));
}

static int fill_back(struct db *db, const struct node *n, const char *parent_id,
                     struct ledger_entry *e)
{
	int rc;

	memset(e, 0, sizeof(*e));
	e->what = LEDGER_BACK;
	memcpy(e->id, n->s_id, sizeof(e->id));
	memcpy(e->etag, n->s_etag, sizeof(e->etag));
	snprintf(e->parent_id, sizeof(e->parent_id), "%s", parent_id);
	e->size = n->s_size;
	e->plain_size = n->s_len;
	e->has_hash = n->flags & NODE_HASHED;
	memcpy(e->hash, n->s_hash, sizeof(e->hash));
	e->mode = n->mode;
	e->mtime = n->mtime;
	if (S_ISLNK(n->mode))
		node_get_target(db, n->ino, e->target, sizeof(e->target));
	rc = node_path(db, n->ino, e->path, sizeof(e->path));
	if (rc == -ENAMETOOLONG || rc == -ELOOP) {
		e->path[0] = '\0';
		rc = 0;
	}
	return rc;
}

int ledger_add_back(struct db *db, const struct node *n, const char *parent_id,
                    int64_t time)
{
	struct ledger_entry *e = malloc(sizeof(*e));
	int rc = e ? ledger_get(db, n->s_id, e) : -ENOMEM;

	if (rc == 0 && e->what == LEDGER_DELETED) {
		rc = fill_back(db, n, parent_id, e);
		e->time = time;
		if (rc == 0)
			rc = ledger_add(db, e);
	}
	free(e);
	return rc == -ENOENT ? 0 : rc;
}

/* ---- reading ----------------------------------------------------------- */

int ledger_had_tag(struct db *db, const char *id, const char *etag)
{
	int64_t v;
	int rc = db_query_int(db,
	                      "SELECT 1 FROM ledger WHERE id=? AND etag=?"
	                      " LIMIT 1",
	                      DB_ARGS(DB_TEXT(id), DB_TEXT(etag)), 0, &v);

	return rc < 0 ? rc : (int)v;
}

static int each_row(struct db *db, const char *sql, const struct db_val *args,
                    ledger_each_fn *each, void *arg)
{
	struct ledger_entry *e = malloc(sizeof(*e));
	struct sqlite3_stmt *q = NULL;
	int rc = e ? db_query(db, sql, args, &q) : -ENOMEM;

	while (rc == 0 && (rc = db_next(db, q)) == 1) {
		rc = read_row(q, e);
		if (rc == 0)
			rc = each(arg, e);
		if (rc == 1)
			break;
	}
	db_finish(q);
	free(e);
	return rc < 0 ? rc : 0;
}

int ledger_each_entry(struct db *db, ledger_each_fn *each, void *arg)
{
	return each_row(db, "SELECT " COLUMNS " FROM ledger ORDER BY seq",
	                DB_NONE, each, arg);
}

int ledger_each(struct db *db, const char *id, ledger_each_fn *each, void *arg)
{
	return each_row(db,
	                "SELECT " COLUMNS " FROM ledger WHERE id=?"
	                " ORDER BY seq DESC",
	                DB_ARGS(DB_TEXT(id)), each, arg);
}

int ledger_each_deleted(struct db *db, uint64_t before, ledger_each_fn *each,
                        void *arg)
{
	return each_row(
		db,
		"SELECT " COLUMNS " FROM ledger l INDEXED BY ledger_deleted"
		" WHERE what=4 AND seq<? AND NOT EXISTS(SELECT 1 FROM"
		" ledger m WHERE m.id=l.id AND m.seq>l.seq)"
		" ORDER BY seq DESC",
		DB_ARGS(DB_INT(before ? before : INT64_MAX)), each, arg);
}
