#include "fs/held.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/db.h"

#define PATH_BYTES 8192
#define MAX_DEPTH  512

/* node_dirty; NODE_APPROVED; S_IFREG */
#define OUT                                                                    \
	" FROM node INDEXED BY node_dirty WHERE flags & 1 AND NOT flags & 128" \
	" AND s_id IS NOT NULL AND ino<>1 AND (parent IS NULL OR"              \
	" (mode & 61440=32768 AND gen<>s_gen))"

/* What the noted deletes would take; SEEN_HELD. */
#define IN                                                                     \
	"WITH RECURSIVE gone(ino) AS (SELECT ino FROM seen CROSS JOIN node ON" \
	" seen.id=node.s_id WHERE seen.flags & 1 AND ino<>1 UNION SELECT"      \
	" node.ino FROM node JOIN gone ON node.s_parent=gone.ino WHERE"        \
	" node.s_id IS NOT NULL) SELECT "
#define IN_FROM " FROM gone JOIN node USING(ino) WHERE node.parent IS NOT NULL"

bool held_is(const struct node *n)
{
	return n->flags & NODE_DIRTY && !(n->flags & NODE_APPROVED) &&
	       node_on_server(n) && n->ino != NODE_ROOT &&
	       (!n->parent || (node_is_file(n) && n->gen != n->s_gen));
}

static int count(struct db *db, const char *sql, struct held *out)
{
	struct sqlite3_stmt *q;
	int rc = db_query(db, sql, DB_NONE, &q);

	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1) {
		out->deletes = db_col_int(q, 0);
		out->overwrites = db_col_int(q, 1);
		rc = 0;
	}
	db_finish(q);
	return rc;
}

int held_count(struct db *db, enum hold_dir dir, struct held *out)
{
	*out = (struct held){ 0 };
	return dir == HOLD_OUT
	               ? count(db,
	                       "SELECT count(CASE WHEN parent IS NULL THEN 1"
	                       " END),count(parent)" OUT,
	                       out)
	               : count(db, IN "count(*),0" IN_FROM, out);
}

static int list(struct db *db, const char *sql, const struct db_val *args,
                uint64_t *out_inos)
{
	struct sqlite3_stmt *q;
	int n = 0, rc = db_query(db, sql, args, &q);

	while (rc == 0 && (rc = db_next(db, q)) == 1) {
		out_inos[n++] = (uint64_t)db_col_int(q, 0);
		rc = 0;
	}
	db_finish(q);
	return rc < 0 ? rc : n;
}

int held_list(struct db *db, uint64_t after, int64_t max, uint64_t *out_inos)
{
	return list(db, "SELECT ino" OUT " AND ino>? ORDER BY ino LIMIT ?",
	            DB_ARGS(DB_INT(after), DB_INT(max)), out_inos);
}

/* ---- names --------------------------------------------------------------- */

/* The folder it is in, or was in. */
static uint64_t folder_of(const struct node *n)
{
	return n->parent ? n->parent : n->s_parent;
}

int held_path(struct db *db, uint64_t ino, char *out, size_t size)
{
	struct node *n = malloc(sizeof(*n));
	size_t at = size - 1, len;
	int rc = n ? 0 : -ENOMEM;

	out[at] = '\0';
	for (int depth = 0; rc == 0 && ino && ino != NODE_ROOT; depth++) {
		rc = depth < MAX_DEPTH ? node_get(db, ino, n) : -ELOOP;
		if (rc < 0)
			break;
		len = strlen(n->name);
		if (len + 1 > at)
			break; /* the end of it says enough */
		at -= len;
		memcpy(out + at, n->name, len);
		out[--at] = '/';
		ino = folder_of(n);
	}
	memmove(out, out + at, size - at);
	free(n);
	return rc;
}

int held_each_path(struct db *db, enum hold_dir dir, int64_t max,
                   held_path_fn *each, void *arg)
{
	uint64_t *inos = calloc((size_t)max, sizeof(*inos));
	char *path = malloc(PATH_BYTES);
	int n = -ENOMEM, rc = 0;

	if (inos && path)
		n = dir == HOLD_OUT ? held_list(db, 0, max, inos)
		                    : list(db, IN "node.ino" IN_FROM " LIMIT ?",
		                           DB_ARGS(DB_INT(max)), inos);
	for (int i = 0; i < n && rc == 0; i++) {
		rc = held_path(db, inos[i], path, PATH_BYTES);
		if (rc == 0)
			rc = each(arg, path);
	}
	free(path);
	free(inos);
	return n < 0 ? n : rc < 0 ? rc : 0;
}

/* ---- letting go ---------------------------------------------------------- */

int held_approve(struct db *db, enum hold_dir dir)
{
	int rc = dir == HOLD_OUT
	                 ? db_run(db,
	                          "UPDATE node SET flags=flags|128 WHERE ino IN"
	                          " (SELECT ino" OUT ")",
	                          DB_NONE)
	                 : db_run(db, "UPDATE seen SET flags=2 WHERE flags & 1",
	                          DB_NONE);

	return rc < 0 ? rc : hold_end(db, dir);
}
