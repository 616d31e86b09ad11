#include "fs/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/db.h"

#define MAX_DEPTH 512 /* of damaged rows, not of trees: the service has 400 */

/* The order that read_row() and node_insert() share. */
#define COLUMNS                                                                \
	"ino,parent,name,flags,mode,uid,gid,rdev,mtime,ctime,atime,size,cid,"  \
	"gen,s_id,s_parent,s_name,s_etag,s_gen,s_size,s_len,s_hash,s_mtime,"   \
	"s_created,gone_round,replaced_by"

static int read_row(struct sqlite3_stmt *q, struct node *n)
{
	bool ok = true;

	n->ino = (uint64_t)db_col_int(q, 0);
	n->parent = (uint64_t)db_col_int(q, 1);
	ok &= db_col_text(q, 2, n->name, sizeof(n->name));
	n->flags = (uint32_t)db_col_int(q, 3);
	n->mode = (mode_t)db_col_int(q, 4);
	n->uid = (uid_t)db_col_int(q, 5);
	n->gid = (gid_t)db_col_int(q, 6);
	n->rdev = (uint64_t)db_col_int(q, 7);
	n->mtime = db_col_int(q, 8);
	n->ctime = db_col_int(q, 9);
	n->atime = db_col_int(q, 10);
	n->size = (uint64_t)db_col_int(q, 11);
	n->cid = (uint64_t)db_col_int(q, 12);
	n->gen = (uint64_t)db_col_int(q, 13);
	ok &= db_col_text(q, 14, n->s_id, sizeof(n->s_id));
	n->s_parent = (uint64_t)db_col_int(q, 15);
	ok &= db_col_text(q, 16, n->s_name, sizeof(n->s_name));
	ok &= db_col_text(q, 17, n->s_etag, sizeof(n->s_etag));
	n->s_gen = (uint64_t)db_col_int(q, 18);
	n->s_size = (uint64_t)db_col_int(q, 19);
	n->s_len = (uint64_t)db_col_int(q, 20);
	memset(n->s_hash, 0, sizeof(n->s_hash));
	db_col_blob(q, 21, n->s_hash, sizeof(n->s_hash));
	n->s_mtime = db_col_int(q, 22);
	n->s_created = db_col_int(q, 23);
	n->gone_round = db_col_int(q, 24);
	n->replaced_by = (uint64_t)db_col_int(q, 25);
	return ok ? 0 : -EUCLEAN;
}

/* The one row that `sql` finds. */
bool node_same(const struct node *a, const struct node *b)
{
	return a->ino == b->ino && a->flags == b->flags && a->mode == b->mode &&
	       a->uid == b->uid && a->gid == b->gid && a->rdev == b->rdev &&
	       a->parent == b->parent && !strcmp(a->name, b->name) &&
	       a->mtime == b->mtime && a->size == b->size && a->cid == b->cid &&
	       a->gen == b->gen && !strcmp(a->s_id, b->s_id) &&
	       a->s_parent == b->s_parent && !strcmp(a->s_name, b->s_name) &&
	       !strcmp(a->s_etag, b->s_etag) && a->s_gen == b->s_gen &&
	       a->s_size == b->s_size && a->s_len == b->s_len &&
	       a->s_mtime == b->s_mtime && a->gone_round == b->gone_round &&
	       !memcmp(a->s_hash, b->s_hash, sizeof(a->s_hash));
}

static int get_one(struct db *db, const char *sql, const struct db_val *args,
                   struct node *out_n)
{
	struct sqlite3_stmt *q;
	int rc = db_query(db, sql, args, &q);

	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1)
		rc = read_row(q, out_n);
	else if (rc == 0)
		rc = -ENOENT;
	db_finish(q);
	return rc;
}

int node_get(struct db *db, uint64_t ino, struct node *out_n)
{
	return get_one(db, "SELECT " COLUMNS " FROM node WHERE ino=?",
	               DB_ARGS(DB_INT(ino)), out_n);
}

int node_get_child(struct db *db, uint64_t parent, const char *name,
                   struct node *out_n)
{
	return get_one(db,
	               "SELECT " COLUMNS " FROM node WHERE parent=? AND name=?",
	               DB_ARGS(DB_INT(parent), DB_TEXT(name)), out_n);
}

int node_get_by_id(struct db *db, const char *item_id, struct node *out_n)
{
	return get_one(db, "SELECT " COLUMNS " FROM node WHERE s_id=?",
	               DB_ARGS(DB_TEXT(item_id)), out_n);
}

int node_get_twin(struct db *db, uint64_t parent, const char *fold,
                  struct node *out_n)
{
	int rc = get_one(
		db, "SELECT " COLUMNS " FROM node WHERE parent=? AND fold=?",
		DB_ARGS(DB_INT(parent), DB_TEXT(fold)), out_n);

	/* A name that is its own key has no fold stored. */
	return rc == -ENOENT ? node_get_child(db, parent, fold, out_n) : rc;
}

int node_get_occupant(struct db *db, uint64_t s_parent, const char *s_name,
                      struct node *out_n)
{
	return get_one(db,
	               "SELECT " COLUMNS " FROM node WHERE s_parent=? AND"
	               " s_name=? AND flags & 1 AND s_id IS NOT NULL",
	               DB_ARGS(DB_INT(s_parent), DB_TEXT(s_name)), out_n);
}

int node_get_left(struct db *db, uint64_t s_parent, const char *name,
                  struct node *out_n)
{
	return get_one(db,
	               "SELECT " COLUMNS " FROM node WHERE s_parent=? AND"
	               " name=? AND parent IS NULL AND s_id IS NOT NULL"
	               " ORDER BY ctime DESC LIMIT 1",
	               DB_ARGS(DB_INT(s_parent), DB_TEXT(name)), out_n);
}

#define DB_INT_OR_NULL(v)                                                      \
	{                                                                      \
		.type = (v) ? DB_VAL_INT : DB_VAL_TEXT, .i = (int64_t)(v)      \
	}
#define DB_TEXT_OR_NULL(s)                                                     \
	{                                                                      \
		.type = DB_VAL_TEXT, .p = *(s) ? (s) : NULL                    \
	}
#define LOCAL_VALUES(n)                                                        \
	DB_INT((n)->flags), DB_INT((n)->mode), DB_INT((n)->uid),               \
		DB_INT((n)->gid), DB_INT((n)->rdev), DB_INT((n)->mtime),       \
		DB_INT((n)->ctime), DB_INT((n)->atime), DB_INT((n)->size),     \
		DB_INT((n)->cid), DB_INT((n)->gen)
#define SYNCED_VALUES(n)                                                       \
	DB_TEXT_OR_NULL((n)->s_id), DB_INT((n)->s_parent),                     \
		DB_TEXT((n)->s_name), DB_TEXT((n)->s_etag),                    \
		DB_INT((n)->s_gen), DB_INT((n)->s_size), DB_INT((n)->s_len),   \
		DB_BLOB((n)->s_hash, NODE_HASH_SIZE), DB_INT((n)->s_mtime),    \
		DB_INT((n)->s_created), DB_INT((n)->gone_round),               \
		DB_INT((n)->replaced_by)

int node_insert(struct db *db, const struct node *n, const char *fold)
{
	return db_run(db,
	              "INSERT INTO node(" COLUMNS ",fold) VALUES(?,?,?,?,?,?,"
	              "?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
	              DB_ARGS(DB_INT(n->ino), DB_INT_OR_NULL(n->parent),
	                      DB_TEXT(n->name), LOCAL_VALUES(n),
	                      SYNCED_VALUES(n), DB_TEXT(fold)));
}

int node_update(struct db *db, const struct node *n)
{
	return db_run(
		db,
		"UPDATE node SET flags=?,mode=?,uid=?,gid=?,rdev=?,"
		"mtime=?,ctime=?,atime=?,size=?,cid=?,gen=?,s_id=?,"
		"s_parent=?,s_name=?,s_etag=?,s_gen=?,s_size=?,s_len=?,"
		"s_hash=?,"
		"s_mtime=?,s_created=?,gone_round=?,replaced_by=?"
		" WHERE ino=?",
		DB_ARGS(LOCAL_VALUES(n), SYNCED_VALUES(n), DB_INT(n->ino)));
}

int node_set_gen(struct db *db, uint64_t ino, uint64_t cid, uint64_t gen)
{
	return db_run(db,
	              "UPDATE node SET gen=?,flags=flags|1 WHERE ino=? AND"
	              " cid=?",
	              DB_ARGS(DB_INT(gen), DB_INT(ino), DB_INT(cid)));
}

int node_set_size(struct db *db, uint64_t ino, uint64_t cid, uint64_t size)
{
	return db_run(db, "UPDATE node SET size=? WHERE ino=? AND cid=?",
	              DB_ARGS(DB_INT(size), DB_INT(ino), DB_INT(cid)));
}

int node_set_place(struct db *db, uint64_t ino, uint64_t parent,
                   const char *name, const char *fold)
{
	return db_run(db, "UPDATE node SET parent=?,name=?,fold=? WHERE ino=?",
	              DB_ARGS(DB_INT_OR_NULL(parent), DB_TEXT(name),
	                      DB_TEXT(fold), DB_INT(ino)));
}

int node_set_flags(struct db *db, uint64_t ino, uint32_t set, uint32_t clear)
{
	return db_run(db, "UPDATE node SET flags=(flags|?)&~? WHERE ino=?",
	              DB_ARGS(DB_INT(set), DB_INT(clear), DB_INT(ino)));
}

int node_touch(struct db *db, uint64_t ino, int64_t now_ns)
{
	return db_run(db, "UPDATE node SET mtime=?1,ctime=?1 WHERE ino=?2",
	              DB_ARGS(DB_INT(now_ns), DB_INT(ino)));
}

int node_delete(struct db *db, uint64_t ino)
{
	int rc = db_run(db, "DELETE FROM node WHERE ino=?",
	                DB_ARGS(DB_INT(ino)));

	if (rc == 0)
		rc = db_run(db, "DELETE FROM target WHERE ino=?",
		            DB_ARGS(DB_INT(ino)));
	return rc < 0 ? rc : node_set_blocked(db, ino, 0, NULL);
}

int node_set_target(struct db *db, uint64_t ino, const char *target)
{
	return db_run(db, "INSERT OR REPLACE INTO target VALUES(?,?)",
	              DB_ARGS(DB_INT(ino), DB_TEXT(target)));
}

ssize_t node_get_target(struct db *db, uint64_t ino, char *out, size_t size)
{
	struct sqlite3_stmt *q;
	int rc = db_query(db, "SELECT target FROM target WHERE ino=?",
	                  DB_ARGS(DB_INT(ino)), &q);

	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1)
		rc = db_col_text(q, 0, out, size) ? 0 : -ENAMETOOLONG;
	else if (rc == 0)
		rc = -ENOENT;
	db_finish(q);
	return rc < 0 ? rc : (ssize_t)strlen(out);
}

int node_set_blocked(struct db *db, uint64_t ino, int rc, const char *reason)
{
	if (!rc)
		return db_run(db, "DELETE FROM blocked WHERE ino=?",
		              DB_ARGS(DB_INT(ino)));
	return db_run(db, "INSERT OR REPLACE INTO blocked VALUES(?,?,?)",
	              DB_ARGS(DB_INT(ino), DB_INT(rc), DB_TEXT(reason)));
}

int node_get_blocked(struct db *db, uint64_t ino, int *out_rc, char *out,
                     size_t size)
{
	struct sqlite3_stmt *q;
	int rc = db_query(db, "SELECT rc,reason FROM blocked WHERE ino=?",
	                  DB_ARGS(DB_INT(ino)), &q);

	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1) {
		*out_rc = (int)db_col_int(q, 0);
		db_col_text(q, 1, out, size);
		rc = 0;
	} else if (rc == 0) {
		rc = -ENOENT;
	}
	db_finish(q);
	return rc;
}

static int each(struct db *db, const char *sql, const struct db_val *args,
                node_each_fn *fn, void *arg)
{
	struct sqlite3_stmt *q;
	struct node *n = malloc(sizeof(*n));
	int rc;

	if (!n)
		return -ENOMEM;
	rc = db_query(db, sql, args, &q);
	while (rc == 0 && (rc = db_next(db, q)) == 1) {
		rc = read_row(q, n);
		if (rc == 0)
			rc = fn(arg, n);
	}
	db_finish(q);
	free(n);
	return rc < 0 ? rc : 0;
}

int node_each_child(struct db *db, uint64_t parent, uint64_t after,
                    node_each_fn *fn, void *arg)
{
	return each(db,
	            "SELECT " COLUMNS " FROM node INDEXED BY node_children"
	            " WHERE parent=? AND ino>? ORDER BY ino",
	            DB_ARGS(DB_INT(parent), DB_INT(after)), fn, arg);
}

int node_each_named_child(struct db *db, uint64_t parent, const char *after,
                          node_each_fn *fn, void *arg)
{
	return each(db,
	            "SELECT " COLUMNS " FROM node INDEXED BY node_name"
	            " WHERE parent=? AND name>? ORDER BY name",
	            DB_ARGS(DB_INT(parent), DB_TEXT(after)), fn, arg);
}

int node_each_synced_child(struct db *db, uint64_t s_parent, node_each_fn *fn,
                           void *arg)
{
	return each(db,
	            "SELECT " COLUMNS
	            " FROM node WHERE s_parent=? AND s_id IS NOT NULL",
	            DB_ARGS(DB_INT(s_parent)), fn, arg);
}

int node_add_ino(void *arg, const struct node *n)
{
	struct node_inos *l = arg;

	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		uint64_t *p = realloc(l->ino, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		l->ino = p;
		l->cap = cap;
	}
	l->ino[l->n++] = n->ino;
	return 0;
}

int node_each_dirty(struct db *db, uint64_t after, node_each_fn *fn, void *arg)
{
	return each(db,
	            "SELECT " COLUMNS " FROM node INDEXED BY node_dirty"
	            " WHERE flags & 1 AND ino>? ORDER BY ino",
	            DB_ARGS(DB_INT(after)), fn, arg);
}

int node_each_blocked(struct db *db, node_each_fn *fn, void *arg)
{
	return each(db,
	            "SELECT " COLUMNS
	            " FROM node WHERE ino IN (SELECT ino FROM blocked)",
	            DB_NONE, fn, arg);
}

int node_each_unlinked(struct db *db, node_each_fn *fn, void *arg)
{
	return each(db,
	            "SELECT " COLUMNS " FROM node WHERE parent IS NULL"
	            " AND ino<>1",
	            DB_NONE, fn, arg);
}

int node_has_children(struct db *db, uint64_t parent)
{
	int64_t v;
	int rc = db_query_int(db, "SELECT 1 FROM node WHERE parent=? LIMIT 1",
	                      DB_ARGS(DB_INT(parent)), 0, &v);

	return rc < 0 ? rc : (int)v;
}

int node_is_linked(struct db *db, uint64_t ino)
{
	int64_t v;
	int rc = db_query_int(db,
	                      "SELECT 1 FROM node WHERE ino=?1 AND"
	                      " (parent IS NOT NULL OR ino=1)",
	                      DB_ARGS(DB_INT(ino)), 0, &v);

	return rc < 0 ? rc : (int)v;
}

int node_has_kept_synced_child(struct db *db, uint64_t s_parent)
{
	int64_t v;
	int rc = db_query_int(db,
	                      "SELECT 1 FROM node WHERE s_parent=? AND s_id"
	                      " IS NOT NULL AND parent IS NOT NULL LIMIT 1",
	                      DB_ARGS(DB_INT(s_parent)), 0, &v);

	return rc < 0 ? rc : (int)v;
}

int node_count_dirty(struct db *db, int64_t *out_n)
{
	return db_query_int(db,
	                    "SELECT count(*) FROM node INDEXED BY node_dirty"
	                    " WHERE flags & 1",
	                    DB_NONE, 0, out_n);
}

int node_count_linked(struct db *db, int64_t *out_n)
{
	return db_query_int(
		db, "SELECT count(*) FROM node WHERE parent IS NOT NULL",
		DB_NONE, 0, out_n);
}

int node_path(struct db *db, uint64_t ino, char *out, size_t size)
{
	size_t at = size - 1; /* built from its end */
	struct node *n;
	int rc = 0;

	n = malloc(sizeof(*n));
	if (!n)
		return -ENOMEM;
	out[at] = '\0';
	for (int depth = 0; ino != NODE_ROOT && rc == 0; depth++) {
		size_t len;

		rc = depth < MAX_DEPTH ? node_get(db, ino, n) : -ELOOP;
		if (rc < 0)
			break;
		if (!n->parent) { /* unlinked: it has no path */
			at = size - 1;
			break;
		}
		len = strlen(n->name);
		if (len + 1 > at) {
			rc = -ENAMETOOLONG;
			break;
		}
		at -= len;
		memcpy(out + at, n->name, len);
		out[--at] = '/';
		ino = n->parent;
	}
	if (rc == 0 && ino == NODE_ROOT && at == size - 1)
		out[--at] = '/';
	memmove(out, out + at, size - at);
	free(n);
	return rc;
}

int node_find(struct db *db, const char *path, uint64_t *out_ino)
{
	struct node *n = malloc(sizeof(*n));
	char name[NODE_NAME_MAX + 1];
	uint64_t ino = NODE_ROOT;
	int rc = n ? 0 : -ENOMEM;

	while (rc == 0 && *(path += strspn(path, "/"))) {
		size_t part = strcspn(path, "/");

		if (part >= sizeof(name)) {
			rc = -ENAMETOOLONG;
			break;
		}
		memcpy(name, path, part);
		name[part] = '\0';
		path += part;
		rc = node_get_child(db, ino, name, n);
		ino = n->ino;
	}
	free(n);
	if (rc == 0)
		*out_ino = ino;
	return rc;
}

int node_is_below(struct db *db, uint64_t ino, uint64_t ancestor)
{
	int64_t parent = (int64_t)ino;
	int rc = 0;

	for (int depth = 0; rc == 0 && parent; depth++) {
		if ((uint64_t)parent == ancestor)
			return 1;
		if (depth >= MAX_DEPTH)
			return -ELOOP;
		rc = db_query_int(db, "SELECT parent FROM node WHERE ino=?",
		                  DB_ARGS(DB_INT(parent)), 0, &parent);
	}
	return rc;
}
