#include "fs/tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/content.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "fs/tree_internal.h"
#include "net/clock.h"
#include "net/crashpoint.h"
#include "net/log.h"

/* ---- after a write
 * ----------------------------------------------------------- */

static void stamp_locked(struct live *l)
{
	l->wrote_ms = clock_mono_ms();
	if (!l->dirty_ms)
		l->dirty_ms = l->wrote_ms;
	l->unsynced = true;
}

void tree_wrote(struct tree *t, struct handle *h, struct content *c,
                bool cached)
{
	struct attrs a = { .what = TREE_SET_SIZE, .size = content_size(c) };
	struct live *l = h->version->live;

	if (!cached) {
		a.what |= TREE_SET_MTIME | TREE_SET_CTIME;
		a.mtime = a.ctime = clock_real_ns();
	}
	lock_take(&t->table_lock, LOCK_LEAF);
	if (!h->version->outdated) {
		stamp_locked(l);
		/* Of two writers the one that went further counts. */
		if (l->pend.what & TREE_SET_SIZE && l->pend.size > a.size)
			a.size = l->pend.size;
		tree_pend_locked(t, l, &a);
	}
	lock_drop(&t->table_lock, LOCK_LEAF);
}

void tree_note_written(struct tree *t, uint64_t ino, uint64_t cid)
{
	bool closed = true;
	struct live *l;

	lock_take(&t->table_lock, LOCK_LEAF);
	l = tree_find_live_locked(t, ino);
	if (l && l->writers) {
		stamp_locked(l);
		closed = false;
	} else if (l) {
		l->wrote_ms = clock_mono_ms();
	}
	lock_drop(&t->table_lock, LOCK_LEAF);
	if (!closed)
		return;
	tree_queue_soft(t, cid);
	if (t->opt.events.settled)
		t->opt.events.settled(t->opt.events.arg, ino);
}

void tree_stamp(struct tree *t, uint64_t ino)
{
	struct live *l;

	lock_take(&t->table_lock, LOCK_LEAF);
	l = tree_find_live_locked(t, ino);
	if (l && l->writers)
		stamp_locked(l);
	lock_drop(&t->table_lock, LOCK_LEAF);
}

void tree_note_snapshot(struct tree *t, uint64_t ino)
{
	struct live *l;

	lock_take(&t->table_lock, LOCK_LEAF);
	l = tree_find_live_locked(t, ino);
	if (l)
		l->dirty_ms = 0;
	if (l && l->writers)
		l->taken_ms = clock_mono_ms();
	lock_drop(&t->table_lock, LOCK_LEAF);
}

/* ---- the queue of the syncer
 * ------------------------------------------------- */

void tree_queue_soft(struct tree *t, uint64_t cid)
{
	size_t cap;
	uint64_t *p;

	lock_take(&t->table_lock, LOCK_LEAF);
	if (t->nsoft == t->soft_cap) {
		cap = t->soft_cap ? t->soft_cap * 2 : 64;
		p = realloc(t->soft, cap * sizeof(*p));
		if (p) {
			t->soft = p;
			t->soft_cap = cap;
		}
	}
	/* Without memory it stays SOFT until the engine settles it. */
	if (t->nsoft < t->soft_cap)
		t->soft[t->nsoft++] = cid;
	lock_drop(&t->table_lock, LOCK_LEAF);
	tree_note_unsynced(t);
}

static int queue_row(void *arg, const struct cfile *row)
{
	tree_queue_soft(arg, row->cid);
	return 0;
}

int tree_queue_all_soft(struct tree *t)
{
	struct db *db;
	int rc = store_reader(t->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = cfile_each_soft(db, queue_row, t);
	store_reader_done(t->opt.store, db);
	return rc;
}

static size_t take_soft(struct tree *t, uint64_t **out_cids)
{
	size_t n;

	lock_take(&t->table_lock, LOCK_LEAF);
	n = t->nsoft;
	*out_cids = t->soft;
	t->soft = NULL;
	t->nsoft = t->soft_cap = 0;
	lock_drop(&t->table_lock, LOCK_LEAF);
	return n;
}

static int settle(struct tree *t, uint64_t cid)
{
	struct content *c;
	int rc = content_get(t->opt.contents, cid, false, &c);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc; /* collected meanwhile */
	if (content_is_soft(c))
		rc = content_settle(c);
	content_put(c);
	return rc < 0 ? rc : 0; /* 1: its next close brings it here again */
}

/* With that many, one flush of all is cheaper than one for each. */
#define FLUSH_ALL 16
#define AT_ONCE   256

/* A content knows that a flush covers it only if it was live before. */
static int settle_some(struct tree *t, const uint64_t *cids, size_t n)
{
	struct content *held[AT_ONCE];
	size_t nheld = 0;
	int rc = 0;

	while (n >= FLUSH_ALL && nheld < n &&
	       content_get(t->opt.contents, cids[nheld], false, &held[nheld]) ==
	               0)
		nheld++;
	if (n >= FLUSH_ALL)
		contents_flush(t->opt.contents); /* fails: one by one */
	for (size_t i = 0; i < n; i++) {
		int one = settle(t, cids[i]);

		if (one < 0) {
			log_error("content cid=%" PRIx64
			          " can't be made durable: %s kept=yes",
			          cids[i], strerror(-one));
			rc = one;
		}
	}
	while (nheld)
		content_put(held[--nheld]);
	return rc;
}

static int settle_all(struct tree *t)
{
	uint64_t *cids;
	size_t n = take_soft(t, &cids), some;
	int rc = 0;

	for (size_t i = 0; i < n; i += some) {
		int one;

		some = n - i < AT_ONCE ? n - i : AT_ONCE;
		one = settle_some(t, cids + i, some);
		rc = one < 0 ? one : rc;
	}
	free(cids);
	return rc;
}

/* The inos with pending attributes; malloc'ed. */
static size_t list_pending(struct tree *t, uint64_t **out_inos)
{
	uint64_t *inos = NULL;
	size_t n = 0;

	lock_take(&t->table_lock, LOCK_LEAF);
	for (struct live *l = t->pending; l; l = l->next_pend)
		n++;
	if (n)
		inos = malloc(n * sizeof(*inos));
	n = 0;
	for (struct live *l = t->pending; l && inos; l = l->next_pend)
		inos[n++] = l->ino;
	lock_drop(&t->table_lock, LOCK_LEAF);
	*out_inos = inos;
	return n;
}

static int save_all(struct tree *t)
{
	uint64_t *inos;
	size_t n = list_pending(t, &inos);
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		struct content *c = tree_get_open(t, inos[i]);

		rc = tree_save(t, inos[i], c, false);
		content_put(c);
	}
	free(inos);
	return rc;
}

int tree_sync(struct tree *t)
{
	int saved = 0, settled = 0, rc = 0;

	if (atomic_exchange(&t->unsynced, false)) {
		saved = save_all(t);
		CRASH_POINT("sync-saved");
		settled = settle_all(t);
		CRASH_POINT("sync-settled");
		rc = store_sync(t->opt.store);
		CRASH_POINT("sync-durable");
	}
	if (rc == 0)
		rc = contents_tidy(t->opt.contents);
	if (saved < 0 || rc < 0) /* the caller comes again */
		atomic_store(&t->unsynced, true);
	return saved < 0 ? saved : settled < 0 ? settled : rc;
}

/* ---- flush and fsync
 * --------------------------------------------------------- */

/* A FLUSH before anything was written is no end of the file (a shell's fork
 * closes its copy): what it replaces is kept. */
static bool take_unsynced(struct tree *t, uint64_t ino, bool has_bytes)
{
	bool take = false;
	struct live *l;

	lock_take(&t->table_lock, LOCK_LEAF);
	l = tree_find_live_locked(t, ino);
	if (l && l->unsynced && has_bytes) {
		l->unsynced = false;
		take = true;
	}
	lock_drop(&t->table_lock, LOCK_LEAF);
	return take;
}

/* What programs are told from now on, nobody's flush will save. */
static void note_flushed(struct tree *t, struct handle *h)
{
	lock_take(&t->table_lock, LOCK_LEAF);
	if (!h->flushed)
		h->version->live->unflushed--;
	h->flushed = true;
	lock_drop(&t->table_lock, LOCK_LEAF);
}

int tree_flush(struct tree *t, struct handle *h)
{
	uint64_t ino = handle_ino(h);
	struct content *c;
	int rc;

	if (!h->write)
		return 0;
	note_flushed(t, h);
	c = tree_get_open(t, ino);
	rc = tree_save(t, ino, c, false);
	CRASH_POINT("flushed");
	if (rc == 0 && c && take_unsynced(t, ino, content_size(c)))
		tree_queue_soft(t, content_cid(c));
	content_put(c);
	return rc;
}

/* The bytes are on the disk, and somebody writes on: it counts all the same,
 * nothing older may come back for it. */
static int edit_durable(void *arg, struct db *db, struct cfile *row)
{
	uint64_t *prev = arg;

	(void)db;
	*prev = row->prev;
	row->prev = 0;
	row->flags &= ~(uint32_t)CFILE_FRESH;
	return 0;
}

static int make_durable(struct tree *t, struct content *c)
{
	uint64_t prev = 0;
	int rc = content_settle(c);

	if (rc != 1)
		return rc;
	rc = content_transact(c, edit_durable, &prev);
	if (rc == 0 && prev)
		content_collect(t->opt.contents, prev);
	return rc;
}

static void note_fsync(struct tree *t, uint64_t ino)
{
	struct live *l;

	lock_take(&t->table_lock, LOCK_LEAF);
	l = tree_find_live_locked(t, ino);
	if (l)
		l->fsync_ms = clock_mono_ms();
	lock_drop(&t->table_lock, LOCK_LEAF);
	if (t->opt.events.settled)
		t->opt.events.settled(t->opt.events.arg, ino);
}

int tree_fsync(struct tree *t, struct handle *h)
{
	struct content *c = NULL;
	uint64_t ino;
	int rc = 0;

	if (h) {
		ino = handle_ino(h);
		c = tree_get_open(t, ino);
		rc = tree_save(t, ino, c, false);
	}
	if (rc == 0 && c && content_is_soft(c)) {
		take_unsynced(t, ino, true);
		rc = make_durable(t, c);
		CRASH_POINT("fsync-settled");
		if (rc == 0)
			note_fsync(t, ino);
	}
	content_put(c);
	if (rc >= 0)
		rc = store_sync(t->opt.store);
	CRASH_POINT("fsync-durable");
	return rc;
}
