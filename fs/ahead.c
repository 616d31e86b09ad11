#include "fs/ahead.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fs/ahead_next.h"
#include "fs/content.h"
#include "fs/fetch.h"
#include "fs/lock.h"
#include "fs/space.h"
#include "fs/store.h"
#include "fs/tree.h"
#include "net/clock.h"
#include "net/log.h"
#include "net/work.h"

#define RUNS      8u /* programs that read at the same time */
#define NOTES     64u
#define FIRST     4u    /* files, when a run begins */
#define FORGET_MS 10000 /* nothing read for so long: not the same any more */
#define ENTRIES   (2 * AHEAD_FILES)

/* A program on its way through folders. The job's own. */
struct run {
	int64_t used_ms;         /* 0: free */
	struct ahead_place last; /* read last */
	uint64_t beyond;         /* the folder its folder lies in */
	enum ahead_order order;
	unsigned window;       /* 0: not known to be in any order */
	struct ahead_place at; /* fetched up to here */
};

/* Fetched, or on its way, and not yet read. */
struct entry {
	uint64_t ino; /* 0: free */
	unsigned run;
};

struct note {
	uint64_t ino;
	int run; /* that had it fetched; -1: a miss */
};

struct ahead {
	struct ahead_options opt;
	pthread_mutex_t lock; /* LOCK_LEAF; of what follows, but for the runs */
	pthread_cond_t idle;
	bool busy, stop;
	struct note notes[NOTES];
	unsigned nnotes;
	struct entry entries[ENTRIES];
	unsigned nentries;
	uint64_t bytes; /* on their way */

	struct run runs[RUNS]; /* the job's */
};

/* One that is on its way. */
struct errand {
	struct ahead *ahead;
	uint64_t bytes;
};

/* ---- entries ------------------------------------------------------------- */

static int take_entry_locked(struct ahead *a, uint64_t ino)
{
	for (unsigned i = 0; i < ENTRIES && a->nentries; i++) {
		if (a->entries[i].ino != ino)
			continue;
		a->entries[i].ino = 0;
		a->nentries--;
		return (int)a->entries[i].run;
	}
	return -1;
}

static bool add_entry(struct ahead *a, uint64_t ino, unsigned run)
{
	struct entry *e = NULL;

	lock_take(&a->lock, LOCK_LEAF);
	for (unsigned i = 0; i < ENTRIES && !e; i++) {
		if (!a->entries[i].ino)
			e = &a->entries[i];
	}
	if (e) {
		*e = (struct entry){ ino, run };
		a->nentries++;
	}
	lock_drop(&a->lock, LOCK_LEAF);
	return e;
}

static unsigned count_entries(struct ahead *a, unsigned run)
{
	unsigned n = 0;

	lock_take(&a->lock, LOCK_LEAF);
	for (unsigned i = 0; i < ENTRIES; i++)
		n += a->entries[i].ino && a->entries[i].run == run;
	lock_drop(&a->lock, LOCK_LEAF);
	return n;
}

/* What it had fetched is as any other file from now on. */
static void drop_entries(struct ahead *a, unsigned run)
{
	lock_take(&a->lock, LOCK_LEAF);
	for (unsigned i = 0; i < ENTRIES; i++) {
		if (!a->entries[i].ino || a->entries[i].run != run)
			continue;
		a->entries[i].ino = 0;
		a->nentries--;
	}
	lock_drop(&a->lock, LOCK_LEAF);
}

/* ---- fetching ------------------------------------------------------------ */

static void errand_over(void *arg, int rc)
{
	struct errand *e = arg;
	struct ahead *a = e->ahead;

	(void)rc; /* who reads it will see */
	lock_take(&a->lock, LOCK_LEAF);
	a->bytes -= e->bytes;
	lock_drop(&a->lock, LOCK_LEAF);
	free(e);
}

/* What is on its way takes room, too. */
static bool is_room(struct ahead *a, uint64_t bytes)
{
	lock_take(&a->lock, LOCK_LEAF);
	bytes += a->bytes;
	lock_drop(&a->lock, LOCK_LEAF);
	return space_is_roomy(a->opt.space, bytes);
}

static bool may_start(struct ahead *a, uint64_t bytes)
{
	bool fits;

	lock_take(&a->lock, LOCK_LEAF);
	fits = !a->stop && a->bytes + bytes <= AHEAD_BYTES;
	if (fits)
		a->bytes += bytes;
	lock_drop(&a->lock, LOCK_LEAF);
	return fits;
}

/* 1: on its way; 0: it is here, or can't be had. */
static int fetch_file(struct ahead *a, const struct ahead_file *file)
{
	struct errand *e = malloc(sizeof(*e));
	struct content *c;
	int rc = e ? tree_load_content(a->opt.tree, file->ino, &c) : -ENOMEM;

	if (rc == 0) {
		*e = (struct errand){ a, file->size };
		rc = content_is_whole(c)
		             ? -EALREADY
		             : fetch_hydrate(a->opt.fetch, c, errand_over, e);
		content_put(c);
	}
	if (rc == 0)
		return 1;
	free(e);
	lock_take(&a->lock, LOCK_LEAF);
	a->bytes -= file->size;
	lock_drop(&a->lock, LOCK_LEAF);
	return 0;
}

static int find_next(struct ahead *a, struct run *r, struct ahead_file *out,
                     size_t max, size_t *out_n)
{
	struct db *db;
	int rc = store_reader(a->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = ahead_next(db, r->order, AHEAD_FILE_BYTES, &r->at, out, max,
	                out_n);
	store_reader_done(a->opt.store, db);
	return rc;
}

/* Half a window at a time, so that URLs come in batches. */
static void refill(struct ahead *a, unsigned run)
{
	struct run *r = &a->runs[run];
	unsigned now = count_entries(a, run);
	struct ahead_file files[AHEAD_FILES];
	size_t n, i;

	if (now > r->window / 2)
		return;
	if (find_next(a, r, files, r->window - now, &n) < 0)
		return;
	for (i = 0; i < n; i++) {
		if (!is_room(a, files[i].size) || !may_start(a, files[i].size))
			break;
		if (fetch_file(a, &files[i]) == 1 &&
		    !add_entry(a, files[i].ino, run))
			break;
	}
	log_debug("ahead run=%u window=%u unread=%u started=%zu", run,
	          r->window, now, i);
}

/* ---- who is on which way --------------------------------------------------
 */

static void grow(struct run *r)
{
	r->window = r->window ? 2 * r->window : FIRST;
	if (r->window > AHEAD_FILES)
		r->window = AHEAD_FILES;
}

/* The run that a file read without our help belongs to: one in its folder, or
 * one that may have come to it from beside, above or below. */
static struct run *find_run(struct ahead *a, const struct ahead_place *p,
                            uint64_t beyond, int64_t now)
{
	struct run *near = NULL;

	for (struct run *r = a->runs; r < a->runs + RUNS; r++) {
		if (!r->used_ms || now - r->used_ms > FORGET_MS)
			continue;
		if (r->last.parent == p->parent)
			return r;
		if (r->window &&
		    (r->beyond == beyond || r->beyond == p->parent ||
		     r->last.parent == beyond))
			near = r;
	}
	return near;
}

static struct run *oldest_run(struct ahead *a)
{
	struct run *oldest = a->runs;

	for (struct run *r = a->runs; r < a->runs + RUNS; r++) {
		if (r->used_ms < oldest->used_ms)
			oldest = r;
	}
	return oldest;
}

static bool in_order(struct db *db, struct run *r, const struct ahead_place *p)
{
	enum ahead_order other =
		r->order == AHEAD_LISTED ? AHEAD_NAMED : AHEAD_LISTED;

	if (ahead_follows(db, r->order, &r->last, p) == 1)
		return true;
	if (ahead_follows(db, other, &r->last, p) != 1)
		return false;
	r->order = other;
	return true;
}

/* Read from the network: our guess was wrong, or there was none yet. */
static void note_miss(struct ahead *a, struct db *db,
                      const struct ahead_place *p, uint64_t beyond)
{
	int64_t now = clock_mono_ms();
	struct run *r = find_run(a, p, beyond, now);
	bool goes_on = r && (r->last.parent != p->parent || in_order(db, r, p));

	if (!r)
		r = oldest_run(a);
	drop_entries(a, (unsigned)(r - a->runs));
	if (!goes_on)
		r->window = 0;
	else
		grow(r);
	r->at = *p;
	r->last = *p;
	r->beyond = beyond;
	r->used_ms = now;
}

static void note_hit(struct run *r, const struct ahead_place *p,
                     uint64_t beyond)
{
	grow(r);
	r->last = *p;
	r->beyond = beyond;
	r->used_ms = clock_mono_ms();
}

static void handle(struct ahead *a, const struct note *note)
{
	struct ahead_place p, above;
	struct db *db;

	if (store_reader(a->opt.store, &db) < 0)
		return;
	if (ahead_place_of(db, note->ino, &p) < 0) {
		store_reader_done(a->opt.store, db);
		return;
	}
	if (ahead_place_of(db, p.parent, &above) < 0)
		above.parent = 0; /* the root has none */
	if (note->run < 0)
		note_miss(a, db, &p, above.parent);
	else
		note_hit(&a->runs[note->run], &p, above.parent);
	store_reader_done(a->opt.store, db);
	for (unsigned i = 0; i < RUNS; i++) {
		if (a->runs[i].window && a->runs[i].last.ino == p.ino)
			refill(a, i);
	}
}

static void work(void *arg)
{
	struct ahead *a = arg;
	struct note notes[NOTES];
	unsigned n;

	lock_take(&a->lock, LOCK_LEAF);
	while (a->nnotes && !a->stop) {
		n = a->nnotes;
		memcpy(notes, a->notes, n * sizeof(notes[0]));
		a->nnotes = 0;
		lock_drop(&a->lock, LOCK_LEAF);
		for (unsigned i = 0; i < n; i++)
			handle(a, &notes[i]);
		lock_take(&a->lock, LOCK_LEAF);
	}
	a->busy = false;
	pthread_cond_broadcast(&a->idle);
	lock_drop(&a->lock, LOCK_LEAF);
}

/* ---- what others call ---------------------------------------------------- */

void ahead_note(struct ahead *a, uint64_t ino, bool missed)
{
	int run;

	if (!a)
		return;
	lock_take(&a->lock, LOCK_LEAF);
	run = take_entry_locked(a, ino);
	if ((run >= 0 || missed) && !a->stop && a->nnotes < NOTES) {
		a->notes[a->nnotes++] = (struct note){ ino, run };
		if (!a->busy)
			a->busy = work_submit(a->opt.work, work, a) == 0;
	}
	lock_drop(&a->lock, LOCK_LEAF);
}

int ahead_new(const struct ahead_options *opt, struct ahead **out_a)
{
	struct ahead *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->opt = *opt;
	pthread_mutex_init(&a->lock, NULL);
	lock_cond_init(&a->idle);
	*out_a = a;
	return 0;
}

void ahead_stop(struct ahead *a)
{
	if (!a)
		return;
	lock_take(&a->lock, LOCK_LEAF);
	a->stop = true;
	while (a->busy)
		lock_wait(&a->idle, &a->lock);
	lock_drop(&a->lock, LOCK_LEAF);
}

void ahead_free(struct ahead *a)
{
	if (!a)
		return;
	pthread_cond_destroy(&a->idle);
	pthread_mutex_destroy(&a->lock);
	free(a);
}
