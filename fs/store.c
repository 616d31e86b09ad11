#include "fs/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/db.h"
#include "fs/lock.h"
#include "net/crashpoint.h"
#include "net/log.h"

/* ---- small values ------------------------------------------------------ */

int store_get_int(struct db *db, const char *key, int64_t def, int64_t *out_v)
{
	return db_query_int(db, "SELECT value FROM meta WHERE key=?",
	                    DB_ARGS(DB_TEXT(key)), def, out_v);
}

int store_set_int(struct db *db, const char *key, int64_t v)
{
	return db_run(db, "INSERT OR REPLACE INTO meta VALUES(?,?)",
	              DB_ARGS(DB_TEXT(key), DB_INT(v)));
}

int store_get_text(struct db *db, const char *key, char *out, size_t size)
{
	struct sqlite3_stmt *q;
	int rc = db_query(db, "SELECT value FROM meta WHERE key=? --text",
	                  DB_ARGS(DB_TEXT(key)), &q);

	out[0] = '\0';
	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1)
		rc = db_col_text(q, 0, out, size) ? 0 : -ENAMETOOLONG;
	db_finish(q);
	return rc;
}

int store_set_text(struct db *db, const char *key, const char *text)
{
	return db_run(db, "INSERT OR REPLACE INTO meta VALUES(?,?) --text",
	              DB_ARGS(DB_TEXT(key), DB_TEXT(text)));
}

/* ---- transactions ------------------------------------------------------ */

int store_begin(struct store *s, struct db **out_db)
{
	int rc;

	lock_take(&s->lock, LOCK_STORE);
	rc = db_run(s->writer, "BEGIN IMMEDIATE", DB_NONE);
	if (rc < 0) {
		lock_drop(&s->lock, LOCK_STORE);
		return rc;
	}
	*out_db = s->writer;
	return 0;
}

int store_commit(struct store *s)
{
	int rc;

	CRASH_POINT("commit");
	rc = db_run(s->writer, "COMMIT", DB_NONE);
	CRASH_POINT("committed");
	if (rc < 0)
		return store_rollback(s, rc);
	lock_drop(&s->lock, LOCK_STORE);
	return 0;
}

int store_rollback(struct store *s, int rc)
{
	/* SQLite may have rolled back by itself (disk full). */
	if (db_in_transaction(s->writer))
		db_script(s->writer, "ROLLBACK");
	lock_drop(&s->lock, LOCK_STORE);
	return rc;
}

static int open_wal(struct store *s)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s-wal", s->path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A flush of the log failed once: the kernel takes its lost pages for clean,
 * so that the next one would succeed and mean nothing. What the log has is
 * still readable here, and goes into the database and to the disk from there.
 */
static int sync_by_copy(struct store *s)
{
	int64_t busy = 1;
	int rc;

	lock_take(&s->lock, LOCK_STORE);
	rc = db_query_int(s->writer, "PRAGMA wal_checkpoint(FULL)", DB_NONE, 1,
	                  &busy);
	if (rc == 0 && !busy)
		atomic_store(&s->unsafe, false);
	lock_drop(&s->lock, LOCK_STORE);
	return rc < 0 ? rc : busy ? -EBUSY : 0;
}

int store_sync(struct store *s)
{
	int fd, rc = 0;

	if (!s->path)
		return 0;
	CRASH_POINT("log-sync");
	lock_take(&s->reader_lock, LOCK_LEAF);
	if (s->wal_fd < 0)
		s->wal_fd = open_wal(s);
	fd = s->wal_fd;
	lock_drop(&s->reader_lock, LOCK_LEAF);
	if (atomic_load(&s->unsafe)) {
		rc = sync_by_copy(s);
	} else if (fd < 0) {
		rc = fd;
	} else if (fdatasync(fd) < 0) {
		rc = -errno;
		atomic_store(&s->unsafe, true);
	}
	if (rc < 0) {
		log_error("state.db can't be made durable: %s", strerror(-rc));
		return -EIO;
	}
	return 0;
}

/* ---- readers ----------------------------------------------------------- */

static void note_damage(void *arg)
{
	store_note_damage(arg);
}

static int open_reader(struct store *s, struct db **out_db)
{
	struct db *db;
	int rc = db_open(s->path, true, &db);

	if (rc < 0)
		return rc;
	db_on_damage(db, note_damage, s);
	rc = db_script(db, "PRAGMA query_only=1; PRAGMA cache_size=-2048;"
	                   "PRAGMA mmap_size=0;");
	if (rc < 0) {
		db_close(db);
		return rc;
	}
	*out_db = db;
	return 0;
}

/* Takes a slot for this thread; *out_db NULL if its connection is to be
 * opened yet. */
static int take_slot(struct store *s, struct db **out_db)
{
	int slot = -1;

	lock_take(&s->reader_lock, LOCK_LEAF);
	while (slot < 0) {
		for (int i = 0; i < MAX_READERS && slot < 0; i++) {
			if (!s->busy[i])
				slot = i;
		}
		if (slot < 0)
			lock_wait(&s->reader_free, &s->reader_lock);
	}
	s->busy[slot] = true;
	*out_db = s->readers[slot];
	lock_drop(&s->reader_lock, LOCK_LEAF);
	return slot;
}

/* What others may look at meanwhile changes under the lock only. */
static void set_slot(struct store *s, int slot, struct db *db, bool busy)
{
	lock_take(&s->reader_lock, LOCK_LEAF);
	s->readers[slot] = db;
	s->busy[slot] = busy;
	if (!busy)
		pthread_cond_signal(&s->reader_free);
	lock_drop(&s->reader_lock, LOCK_LEAF);
}

int store_reader(struct store *s, struct db **out_db)
{
	struct db *db;
	int slot, rc;

	if (!s->path) { /* one thread: what the writer sees is what there is */
		*out_db = s->writer;
		return 0;
	}
	slot = take_slot(s, &db);
	if (!db) {
		rc = open_reader(s, &db);
		set_slot(s, slot, rc < 0 ? NULL : db, rc == 0);
		if (rc < 0)
			return rc;
	}
	*out_db = db;
	return 0;
}

int store_snapshot(struct store *s, struct db **out_db)
{
	int rc = store_reader(s, out_db);

	if (rc < 0 || !s->path)
		return rc;
	rc = db_run(*out_db, "BEGIN", DB_NONE);
	if (rc < 0)
		store_reader_done(s, *out_db);
	return rc;
}

void store_reader_done(struct store *s, struct db *db)
{
	if (!s->path)
		return;
	if (db_in_transaction(db))
		(void)db_run(db, "COMMIT", DB_NONE); /* it wrote nothing */
	lock_take(&s->reader_lock, LOCK_LEAF);
	for (int i = 0; i < MAX_READERS; i++) {
		if (s->readers[i] == db)
			s->busy[i] = false;
	}
	pthread_cond_signal(&s->reader_free);
	lock_drop(&s->reader_lock, LOCK_LEAF);
}

uint64_t store_next_ino(struct store *s)
{
	return atomic_fetch_add(&s->next_ino, 1);
}

uint64_t store_next_cid(struct store *s)
{
	return atomic_fetch_add(&s->next_cid, 1);
}
