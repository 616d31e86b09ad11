/* fs/store.h -- the state directory's database: opening, schema, transactions.
 *
 * One writer, several readers (SQLite, WAL). Writing goes
 *
 *	rc = store_begin(store, &db);
 *	... row calls on db ...
 *	rc = store_end(store, rc);
 *
 * A commit survives the death of the program at once; it survives a power cut
 * after the next store_sync(), which is cheap to share: it is one fdatasync of
 * the log and holds no lock.
 *
 * Lock: store.lock, held from store_begin() to the end of the transaction;
 * rank LOCK_STORE. Readers take no rank. Threads: any; a db handle stays with
 * the thread that got it. */
#ifndef NMB_STORE_H
#define NMB_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;
struct store;

#define STORE_SCHEMA 9

/* What the start found. */
struct store_found {
	bool created;  /* there was no database */
	bool clean;    /* the last run ended in order, and it is its database */
	bool rebooted; /* the machine restarted since the last run that came
	                * to store_note_boot() (or says so) */
	bool rolled_back; /* an older copy of the database was put here, or one
	                   * of another machine: promise 4, facts of the
	                   * server win */
};

/* Opens `dir`/state.db (dir NULL: in memory, for tests; then only one thread
 * may use it). Migrates older schemas in one transaction; refuses newer ones
 * with -ENOTSUP and leaves them untouched. -EUCLEAN: damaged; it is left as it
 * is, but may be marked so (below). */
int store_open(const char *dir, struct store **out_s,
               struct store_found *out_found);

/* `clean`: all is settled, the next start need not scan. */
void store_close(struct store *s, bool clean);

int store_begin(struct store *s, struct db **out_db);
int store_commit(struct store *s);

/* Undoes the transaction and returns `rc`, for tail calls. */
int store_rollback(struct store *s, int rc);

/* One of the two. Not in store.c: tests/sim stands before store_commit(). */
static inline int store_end(struct store *s, int rc)
{
	return rc < 0 ? store_rollback(s, rc) : store_commit(s);
}

/* Makes every commit before this call survive a power cut. 0 or -EIO: then
 * nothing may be called durable any more (fsyncgate). */
int store_sync(struct store *s);

/* A reading connection: sees what is committed now. Returned soon, by the same
 * thread. store_reader() waits only for other readers, never for the writer. */
int store_reader(struct store *s, struct db **out_db);

/* The same, and all that is read is of one moment, that of the first query: for
 * a few queries in a row, which take the locks of state.db once. Nothing may be
 * committed and looked for here before store_reader_done(). */
int store_snapshot(struct store *s, struct db **out_db);
void store_reader_done(struct store *s, struct db *db);

/* Small values under a name (fs/store.c documents the names). */
int store_get_int(struct db *db, const char *key, int64_t def, int64_t *out_v);
int store_set_int(struct db *db, const char *key, int64_t v);
int store_get_text(struct db *db, const char *key, char *out, size_t size);
int store_set_text(struct db *db, const char *key, const char *text);

/* In the transaction that ends what a reboot made necessary: the next start on
 * this boot finds !rebooted. */
int store_note_boot(struct db *db);

/* Of this boot; "" if the kernel doesn't say. */
void store_get_boot_id(char *out, size_t size);

/* The same for what a rolled back database made necessary. */
int store_note_rollback(struct db *db);

/* Full check of the file's structure; slow. 0, -EUCLEAN, -Exxx. Own reader.
 * What it finds damaged is marked. */
int store_check(struct store *s);

/* Told once, when the database turns out to be damaged while it is in use
 * (then it is marked already): any thread, maybe with locks of fs held; may
 * take LOCK_LEAF, must only queue. Set before others use the store. */
typedef void store_damage_fn(void *arg);
void store_on_damage(struct store *s, store_damage_fn *fn, void *arg);

/* Notes beside the database that it can't be trusted, which outlives a crash:
 * store_open() refuses it with -EUCLEAN until it is set aside. `out_stamp`:
 * when that was first noted, made for file names; it is set in any case.
 * -Exxx: it could not be noted. */
#define STORE_STAMP_SIZE 32
int store_mark_damaged(const char *dir, char out_stamp[STORE_STAMP_SIZE]);
bool store_is_marked(const char *dir);

/* Moves a damaged database to `dir`/quarantine, under the time it was found,
 * so that store_open() makes a new one; numbers go on where they were. Nothing
 * must have it open. Nodes, what is unsent among them, are then known to
 * nobody here: salvage_content() gives their content names before, what is
 * left contents_scan() moves there too. */
int store_set_aside(const char *dir);

/* Are the numbers of the run in the database and in the file beside it of one
 * run? They differ by `starting` if the last starts died between the two. */
bool store_numbers_fit(int64_t inside, uint64_t beside, int64_t starting);

/* Numbers that are never given out twice. Content numbers hold the incarnation
 * (one per start) in their upper half, so that not even a database restored
 * from a backup can give one out again. Threads: any. */
uint64_t store_next_ino(struct store *s);
uint64_t store_next_cid(struct store *s);

#endif
