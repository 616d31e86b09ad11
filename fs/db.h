/* fs/db.h -- one SQLite connection with cached statements, errors as errno.
 *
 * The only file that speaks to SQLite is fs/db.c (and fs/store.c for set-up);
 * the row modules (fs/node, fs/cfile, fs/attempt, fs/seen, fs/ledger) hold the
 * SQL text and use these calls.
 *
 * Threads: a connection belongs to one thread at a time (fs/store.h).
 * Errors: 0 or -ENOSPC (disk full), -EIO, -EUCLEAN (damaged or no database),
 * -EROFS, -EBUSY, -EEXIST (constraint), -ENOMEM. */
#ifndef NMB_DB_H
#define NMB_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;
struct sqlite3_stmt;

struct db_val {
	enum db_type { DB_VAL_END, DB_VAL_INT, DB_VAL_TEXT, DB_VAL_BLOB } type;
	int64_t i;
	const void *p; /* text, blob; NULL binds NULL */
	size_t len;    /* blob */
};

#define DB_INT(v)                                                              \
	{                                                                      \
		.type = DB_VAL_INT, .i = (int64_t)(v)                          \
	}
#define DB_TEXT(s)                                                             \
	{                                                                      \
		.type = DB_VAL_TEXT, .p = (s)                                  \
	}
#define DB_BLOB(data, n)                                                       \
	{                                                                      \
		.type = DB_VAL_BLOB, .p = (data), .len = (n)                   \
	}
/* The values for the parameters of a statement, in order. */
#define DB_ARGS(...)                                                           \
	((const struct db_val[]){ __VA_ARGS__, { .type = DB_VAL_END } })
#define DB_NONE ((const struct db_val[]){ { .type = DB_VAL_END } })

/* Opens or creates. `path` ":memory:" gives a private one. Exists already and
 * is no SQLite database: -EUCLEAN, nothing was changed. */
int db_open(const char *path, bool writable, struct db **out_db);
void db_close(struct db *db);

/* Opens what is there to look at it: neither the database nor its log change,
 * on a read-only file system neither. -ENOENT: there is none, or it is empty
 * and so is its log. */
int db_open_look(const char *path, struct db **out_db);

/* Called with each error that says the file is damaged. */
typedef void db_damage_fn(void *arg);
void db_on_damage(struct db *db, db_damage_fn *fn, void *arg);

/* Runs several statements without parameters (schema, pragmas). */
int db_script(struct db *db, const char *sql);

/* Runs one statement to its end. `sql` must be a literal: its address is the
 * key of the statement cache. Values are not kept. */
int db_run(struct db *db, const char *sql, const struct db_val *args);

bool db_in_transaction(struct db *db);

/* Rows changed by the last db_run(). */
int64_t db_changes(struct db *db);

/* Asks for rows:
 *
 *	struct sqlite3_stmt *q;
 *	int rc = db_query(db, "SELECT ...", DB_ARGS(...), &q);
 *	while (rc == 0 && (rc = db_next(db, q)) == 1)
 *		... db_col_xxx(q, n) ...
 *	db_finish(q);
 *
 * db_next(): 1 a row, 0 no more, -Exxx; the loop ends with rc 0 or the error.
 * A query of the same text must be finished before it is asked again, so rows
 * are copied out before anything else is called that might ask it. */
int db_query(struct db *db, const char *sql, const struct db_val *args,
             struct sqlite3_stmt **out_q);
int db_next(struct db *db, struct sqlite3_stmt *q);
void db_finish(struct sqlite3_stmt *q); /* NULL is fine */

/* The single integer of the first row; `def` where there is none or NULL. */
int db_query_int(struct db *db, const char *sql, const struct db_val *args,
                 int64_t def, int64_t *out_v);

/* Columns count from 0. Text is cut to fit and always terminated; a blob
 * returns its length and copies at most `size` bytes. Text longer than fits is
 * damage, told by db_col_text() returning false. */
int64_t db_col_int(struct sqlite3_stmt *q, int col);
bool db_col_null(struct sqlite3_stmt *q, int col);
bool db_col_text(struct sqlite3_stmt *q, int col, char *out, size_t size);
size_t db_col_blob(struct sqlite3_stmt *q, int col, void *out, size_t size);

#endif
