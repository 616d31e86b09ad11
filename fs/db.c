#include "fs/db.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sqlite3.h>

#include "net/log.h"

#define MAX_STATEMENTS 256 /* power of two, well above what the rows use */

struct cached {
	const char *sql; /* the literal's address */
	sqlite3_stmt *stmt;
};

struct db {
	sqlite3 *handle;
	struct cached cache[MAX_STATEMENTS];
	db_damage_fn *on_damage;
	void *on_damage_arg;
};

/* SQLite, "Result and Error Codes"; anything else is -EIO. */
static const struct {
	int code, rc;
} db_errors[] = {
	{ SQLITE_OK, 0 },
	{ SQLITE_DONE, 0 },
	{ SQLITE_FULL, -ENOSPC },
	{ SQLITE_CORRUPT, -EUCLEAN },
	{ SQLITE_NOTADB, -EUCLEAN },
	{ SQLITE_ERROR, -EUCLEAN }, /* our SQL is right: the schema is not */
	{ SQLITE_READONLY, -EROFS },
	{ SQLITE_BUSY, -EBUSY },
	{ SQLITE_LOCKED, -EBUSY },
	{ SQLITE_NOMEM, -ENOMEM },
	{ SQLITE_CONSTRAINT, -EEXIST },
	{ SQLITE_CANTOPEN, -EACCES },
};

/* What the system said, where a program can make something of it. SQLite keeps
 * it of most errors (sqlite3_system_errno), not of a commit's: so errno, which
 * is 0 before each call. */
static int system_errno(void)
{
	switch (errno) {
	case ENOSPC:
	case EDQUOT:
	case EROFS:
	case EMFILE:
	case ENFILE:
		return -errno;
	default:
		return 0;
	}
}

static int to_errno(struct db *db, int code)
{
	bool outside = (code & 0xff) == SQLITE_IOERR ||
	               (code & 0xff) == SQLITE_CANTOPEN;
	int rc = -EIO, system = system_errno();

	for (size_t i = 0; i < sizeof(db_errors) / sizeof(*db_errors); i++) {
		if (db_errors[i].code == (code & 0xff))
			rc = db_errors[i].rc;
	}
	if (outside && system < 0)
		rc = system;
	if (rc < 0 && rc != -EEXIST && rc != -EBUSY)
		log_error("state.db code=%d message=\"%s\"", code,
		          db ? sqlite3_errmsg(db->handle) : "");
	if (rc == -EUCLEAN && db && db->on_damage)
		db->on_damage(db->on_damage_arg);
	return rc;
}

void db_on_damage(struct db *db, db_damage_fn *fn, void *arg)
{
	db->on_damage = fn;
	db->on_damage_arg = arg;
}

static int open_as(const char *path, int flags, struct db **out_db)
{
	struct db *db = calloc(1, sizeof(*db));
	int rc;

	if (!db)
		return -ENOMEM;
	flags |= SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
	errno = 0;
	rc = sqlite3_open_v2(path, &db->handle, flags, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_extended_result_codes(db->handle, 1);
		sqlite3_busy_timeout(db->handle, 5000);
		/* Reads the header, so that a foreign file shows here. */
		rc = sqlite3_exec(db->handle, "PRAGMA schema_version", NULL,
		                  NULL, NULL);
	}
	if (rc != SQLITE_OK) {
		rc = to_errno(db->handle ? db : NULL, rc);
		db_close(db);
		return rc;
	}
	*out_db = db;
	return 0;
}

int db_open(const char *path, bool writable, struct db **out_db)
{
	return open_as(path,
	               SQLITE_OPEN_READWRITE |
	                       (writable ? SQLITE_OPEN_CREATE : 0),
	               out_db);
}

/* How much of "PATHsuffix" there is: bytes, 0 if none. */
static off_t size_of(const char *path, const char *suffix)
{
	char name[PATH_MAX];
	struct stat st;

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return stat(name, &st) == 0 ? st.st_size : 0;
}

/* SQLite, "Uniform Resource Identifiers": these three have a meaning there. */
static int format_immutable(const char *path, char out[3 * PATH_MAX])
{
	char *o = out + sprintf(out, "file:");

	for (const char *p = path; *p; p++) {
		if (strchr("?#%", *p))
			o += sprintf(o, "%%%02X", (unsigned)*p);
		else
			*o++ = *p;
	}
	strcpy(o, "?immutable=1");
	return SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
}

int db_open_look(const char *path, struct db **out_db)
{
	char uri[3 * PATH_MAX];
	int rc;

	if (strlen(path) > PATH_MAX - 8)
		return -ENAMETOOLONG;
	if (!size_of(path, ""))
		return size_of(path, "-wal") ? -EUCLEAN : -ENOENT;
	/* Without a log there is nothing that could be taken in, and no second
	 * file to be made beside it. */
	if (!size_of(path, "-wal"))
		return open_as(uri, format_immutable(path, uri), out_db);
	rc = open_as(path, SQLITE_OPEN_READONLY, out_db);
	if (rc == 0)
		sqlite3_db_config((*out_db)->handle,
		                  SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return rc;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	for (size_t i = 0; i < MAX_STATEMENTS; i++)
		sqlite3_finalize(db->cache[i].stmt);
	sqlite3_close(db->handle);
	free(db);
}

int db_script(struct db *db, const char *sql)
{
	errno = 0;
	return to_errno(db, sqlite3_exec(db->handle, sql, NULL, NULL, NULL));
}

static struct cached *find_slot(struct db *db, const char *sql)
{
	size_t i = ((uintptr_t)sql >> 3) * 0x9E3779B1u;

	for (size_t n = 0; n < MAX_STATEMENTS; n++, i++) {
		struct cached *c = &db->cache[i & (MAX_STATEMENTS - 1)];

		if (!c->sql || c->sql == sql)
			return c;
	}
	return NULL;
}

static int prepare(struct db *db, const char *sql, sqlite3_stmt **out_stmt)
{
	struct cached *c = find_slot(db, sql);
	int rc;

	if (!c)
		return -ENOMEM;
	if (!c->stmt) {
		rc = sqlite3_prepare_v3(db->handle, sql, -1,
		                        SQLITE_PREPARE_PERSISTENT, &c->stmt,
		                        NULL);
		if (rc != SQLITE_OK)
			return to_errno(db, rc);
		c->sql = sql;
	}
	*out_stmt = c->stmt;
	return 0;
}

static int bind_one(sqlite3_stmt *st, int n, const struct db_val *v)
{
	if (v->type == DB_VAL_INT)
		return sqlite3_bind_int64(st, n, v->i);
	if (!v->p)
		return sqlite3_bind_null(st, n);
	if (v->type == DB_VAL_TEXT)
		return sqlite3_bind_text(st, n, v->p, -1, SQLITE_STATIC);
	return sqlite3_bind_blob64(st, n, v->p, v->len, SQLITE_STATIC);
}

int db_query(struct db *db, const char *sql, const struct db_val *args,
             struct sqlite3_stmt **out_q)
{
	sqlite3_stmt *st = NULL;
	int rc = prepare(db, sql, &st);

	*out_q = NULL;
	if (rc < 0)
		return rc;
	for (int n = 1; args->type != DB_VAL_END; n++, args++) {
		rc = bind_one(st, n, args);
		if (rc != SQLITE_OK) {
			rc = to_errno(db, rc);
			db_finish(st);
			return rc;
		}
	}
	*out_q = st;
	return 0;
}

int db_next(struct db *db, struct sqlite3_stmt *q)
{
	int code;

	errno = 0;
	code = sqlite3_step(q);

	return code == SQLITE_ROW ? 1 : to_errno(db, code);
}

void db_finish(struct sqlite3_stmt *q)
{
	if (!q)
		return;
	sqlite3_reset(q);
	sqlite3_clear_bindings(q); /* values are not kept */
}

int db_run(struct db *db, const char *sql, const struct db_val *args)
{
	sqlite3_stmt *q;
	int rc = db_query(db, sql, args, &q);

	while (rc == 0 && (rc = db_next(db, q)) == 1)
		rc = 0;
	db_finish(q);
	return rc;
}

bool db_in_transaction(struct db *db)
{
	return !sqlite3_get_autocommit(db->handle);
}

int64_t db_changes(struct db *db)
{
	return sqlite3_changes64(db->handle);
}

int db_query_int(struct db *db, const char *sql, const struct db_val *args,
                 int64_t def, int64_t *out_v)
{
	sqlite3_stmt *q;
	int rc = db_query(db, sql, args, &q);

	if (rc == 0)
		rc = db_next(db, q);
	if (rc >= 0) {
		*out_v = rc == 1 && !db_col_null(q, 0) ? db_col_int(q, 0) : def;
		rc = 0;
	}
	db_finish(q);
	return rc;
}

int64_t db_col_int(struct sqlite3_stmt *q, int col)
{
	return sqlite3_column_int64(q, col);
}

bool db_col_null(struct sqlite3_stmt *q, int col)
{
	return sqlite3_column_type(q, col) == SQLITE_NULL;
}

bool db_col_text(struct sqlite3_stmt *q, int col, char *out, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(q, col);
	size_t len;
	bool fits;

	if (!text) /* NULL, or no memory */
		text = "";
	len = strlen(text);
	fits = len < size;
	if (!fits)
		len = size - 1;
	memcpy(out, text, len);
	out[len] = '\0';
	return fits;
}

size_t db_col_blob(struct sqlite3_stmt *q, int col, void *out, size_t size)
{
	const void *p = sqlite3_column_blob(q, col);
	int n = sqlite3_column_bytes(q, col);
	size_t len = p && n > 0 ? (size_t)n : 0;

	if (len)
		memcpy(out, p, len < size ? len : size);
	return len;
}
