#include "fs/space.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "fs/cfile.h"
#include "fs/content.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/log.h"
#include "net/work.h"

/* Marks, in parts of the budget: above EVICT clean content goes until LOW is
 * reached; above FULL programs wait before they start to write; what is already
 * on its way may use the RESERVE beyond it. */
#define EVICT_PERCENT 90
#define LOW_PERCENT   80
#define FULL_PERCENT  100
#define RESERVE_BYTES (UINT64_C(64) << 20)
#define BATCH         64
#define LOOK_MS       1000 /* how often free space is asked for */
#define AGAIN_MS      200  /* how often while somebody waits */
/* Room for each that is let in at a time: most files are smaller. */
#define EACH_BYTES (INT64_C(1) << 20)

struct space_wait {
	struct space_wait *next;
	int64_t deadline_ms, since_ms;
	space_wake_fn *wake;
	void *arg;
};

struct space {
	struct space_options opt;
	pthread_mutex_t lock; /* LOCK_LEAF */
	pthread_cond_t turn;
	pthread_t thread; /* evicts, and wakes who waits; sleeps otherwise */
	struct space_wait *waits, **waits_tail; /* first come, first served */
	uint64_t sent;    /* the most that drains() ever said */
	int64_t moved_ms; /* when it said so */
	bool stuck;       /* somebody waited for nothing, and nothing moved */
	bool stop, look, joined;
	int64_t free_ms;     /* when free space was asked for */
	uint64_t free_bytes; /* of the file system */
	uint64_t taken;      /* since then */
};

/* ---- how full ------------------------------------------------------------ */

static uint64_t percent(uint64_t of, unsigned p)
{
	return of / 100 * p;
}

static void look_at_free(struct space *s)
{
	int64_t now = clock_mono_ms();
	uint64_t bytes;
	bool old;

	lock_take(&s->lock, LOCK_LEAF);
	old = now - s->free_ms >= LOOK_MS;
	lock_drop(&s->lock, LOCK_LEAF);
	if (!old || contents_get_free(s->opt.contents, &bytes) < 0)
		return;
	lock_take(&s->lock, LOCK_LEAF);
	s->free_ms = now;
	s->free_bytes = bytes;
	s->taken = 0;
	lock_drop(&s->lock, LOCK_LEAF);
}

/* Bytes that may still be taken before the mark: of the budget, and of the
 * file system. */
static int64_t room_to(struct space *s, unsigned p)
{
	uint64_t all, clean, left, free_left;
	int64_t room = INT64_MAX;

	look_at_free(s);
	contents_get_usage(s->opt.contents, &all, &clean);
	lock_take(&s->lock, LOCK_LEAF);
	free_left = s->free_bytes > s->taken ? s->free_bytes - s->taken : 0;
	lock_drop(&s->lock, LOCK_LEAF);
	if (s->opt.budget_bytes) {
		left = percent(s->opt.budget_bytes, p);
		room = (int64_t)left - (int64_t)all;
	}
	if ((int64_t)free_left - (int64_t)s->opt.floor_bytes < room)
		room = (int64_t)free_left - (int64_t)s->opt.floor_bytes;
	return room;
}

/* ---- eviction ------------------------------------------------------------ */

struct victims {
	uint64_t cid[BATCH], bytes[BATCH];
	size_t n;
};

static int add_victim(void *arg, const struct cfile *f)
{
	struct victims *v = arg;

	v->bytes[v->n] = f->blocks * 512;
	v->cid[v->n++] = f->cid;
	return v->n == BATCH ? 1 : 0;
}

/* True: something went. */
static bool evict_some(struct space *s)
{
	struct victims v = { .n = 0 };
	bool any = false;
	struct db *db;

	if (store_reader(s->opt.store, &db) < 0)
		return false;
	cfile_each_evictable(db, add_victim, &v);
	store_reader_done(s->opt.store, db);
	for (size_t i = 0; i < v.n && room_to(s, LOW_PERCENT) < 0; i++) {
		if (content_evict(s->opt.contents, v.cid[i]) < 0)
			continue;
		any = true;
		lock_take(&s->lock, LOCK_LEAF);
		s->free_bytes += v.bytes[i]; /* once it is tidied away */
		lock_drop(&s->lock, LOCK_LEAF);
	}
	if (any)
		contents_tidy(s->opt.contents);
	lock_take(&s->lock, LOCK_LEAF);
	s->free_ms = 0;
	lock_drop(&s->lock, LOCK_LEAF);
	return any;
}

/* ---- waiting ------------------------------------------------------------- */

static bool has_clean(struct space *s)
{
	uint64_t all, clean;

	contents_get_usage(s->opt.contents, &all, &clean);
	return clean > 0;
}

/* Clean content may be in use just now: whoever reads it ends some time. */
static bool may_get_room(struct space *s)
{
	uint64_t sent = 0;
	bool drains = !s->opt.drains || s->opt.drains(s->opt.arg, &sent);

	lock_take(&s->lock, LOCK_LEAF);
	if (sent > s->sent) {
		s->sent = sent;
		s->moved_ms = clock_mono_ms();
		s->stuck = false;
	}
	lock_drop(&s->lock, LOCK_LEAF);
	return drains || has_clean(s);
}

static bool has_waits(struct space *s)
{
	bool any;

	lock_take(&s->lock, LOCK_LEAF);
	any = s->waits != NULL;
	lock_drop(&s->lock, LOCK_LEAF);
	return any;
}

static int64_t end_of_locked(const struct space *s, const struct space_wait *w)
{
	int64_t from = s->moved_ms > w->since_ms ? s->moved_ms : w->since_ms;

	return from + w->deadline_ms;
}

/* Those whose wait ends with `rc`, in their order: for 0, as many as there is
 * room for. */
static struct space_wait *take_locked(struct space *s, int rc, int64_t room)
{
	struct space_wait **pp, *list = NULL, **tail = &list;
	int64_t now = clock_mono_ms();

	for (pp = &s->waits; *pp;) {
		struct space_wait *w = *pp;
		bool ends =
			rc < 0 ? rc != -ETIMEDOUT || end_of_locked(s, w) <= now
			       : room > 0;

		if (!ends) {
			pp = &w->next;
			continue;
		}
		room -= EACH_BYTES;
		*pp = w->next;
		w->next = NULL;
		*tail = w;
		tail = &w->next;
	}
	s->waits_tail = pp;
	return list;
}

static void wake_some(struct space *s, bool all)
{
	struct space_wait *list, *w;
	int64_t room;
	int rc;

	if (!has_waits(s))
		return;
	room = room_to(s, FULL_PERCENT);
	rc = all                ? -ECANCELED
	     : room > 0         ? 0
	     : !may_get_room(s) ? -ENOSPC
	                        : -ETIMEDOUT;
	lock_take(&s->lock, LOCK_LEAF);
	list = take_locked(s, rc, room);
	if (rc == 0 || (rc == -ETIMEDOUT && list))
		s->stuck = rc < 0;
	lock_drop(&s->lock, LOCK_LEAF);
	while ((w = list)) {
		list = w->next;
		w->wake(w->arg, rc == -ETIMEDOUT ? -ENOSPC : rc);
		free(w);
	}
}

/* -1: nobody waits. Nobody tells when content goes out of use. */
static int64_t next_look_locked(const struct space *s)
{
	return s->waits ? clock_mono_ms() + AGAIN_MS : -1;
}

static void *space_run(void *arg)
{
	struct space *s = arg;
	bool stop = false;

	while (!stop) {
		lock_take(&s->lock, LOCK_LEAF);
		while (!s->stop && !s->look) {
			int64_t until = next_look_locked(s);

			lock_wait_until(&s->turn, &s->lock, until);
			if (until >= 0 && clock_mono_ms() >= until)
				break;
		}
		s->look = false;
		stop = s->stop;
		lock_drop(&s->lock, LOCK_LEAF);
		while (!stop && room_to(s, EVICT_PERCENT) < 0 && evict_some(s))
			;
		wake_some(s, stop);
	}
	return NULL;
}

/* ---- what others call ---------------------------------------------------- */

int space_new(const struct space_options *opt, struct space **out_s)
{
	struct space *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->opt = *opt;
	pthread_mutex_init(&s->lock, NULL);
	lock_cond_init(&s->turn);
	s->waits_tail = &s->waits;
	s->free_ms = -LOOK_MS;
	s->look = true;
	rc = -pthread_create(&s->thread, NULL, space_run, s);
	if (rc < 0) {
		pthread_cond_destroy(&s->turn);
		pthread_mutex_destroy(&s->lock);
		free(s);
		return rc;
	}
	*out_s = s;
	return 0;
}

void space_stop(struct space *s)
{
	if (!s || s->joined)
		return;
	lock_take(&s->lock, LOCK_LEAF);
	s->stop = true;
	pthread_cond_signal(&s->turn);
	lock_drop(&s->lock, LOCK_LEAF);
	pthread_join(s->thread, NULL);
	s->joined = true;
}

void space_free(struct space *s)
{
	if (!s)
		return;
	space_stop(s);
	pthread_cond_destroy(&s->turn);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void space_changed(struct space *s)
{
	lock_take(&s->lock, LOCK_LEAF);
	s->look = true;
	pthread_cond_signal(&s->turn);
	lock_drop(&s->lock, LOCK_LEAF);
}

void space_check(struct space *s)
{
	if (room_to(s, EVICT_PERCENT) < 0)
		space_changed(s);
}

int space_admit(struct space *s)
{
	bool stuck;

	space_check(s);
	if (room_to(s, FULL_PERCENT) > 0 && !has_waits(s))
		return 0;
	if (!may_get_room(s))
		return -ENOSPC;
	lock_take(&s->lock, LOCK_LEAF);
	stuck = s->stuck;
	lock_drop(&s->lock, LOCK_LEAF);
	return stuck ? -ENOSPC : -EAGAIN;
}

int space_take(struct space *s, uint64_t bytes)
{
	uint64_t reserve = s->opt.floor_bytes < RESERVE_BYTES
	                           ? s->opt.floor_bytes
	                           : RESERVE_BYTES;
	int64_t room = room_to(s, FULL_PERCENT);

	if (room < (int64_t)bytes)
		space_changed(s);
	if (room + (int64_t)reserve < (int64_t)bytes)
		return -ENOSPC;
	lock_take(&s->lock, LOCK_LEAF);
	s->taken += bytes;
	lock_drop(&s->lock, LOCK_LEAF);
	return 0;
}

bool space_is_roomy(struct space *s, uint64_t bytes)
{
	return room_to(s, LOW_PERCENT) >= (int64_t)bytes;
}

bool space_is_tight(struct space *s)
{
	return room_to(s, FULL_PERCENT) < (int64_t)RESERVE_BYTES;
}

int space_wait(struct space *s, int64_t deadline_ms, space_wake_fn *wake,
               void *arg)
{
	struct space_wait *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->deadline_ms = deadline_ms;
	w->since_ms = clock_mono_ms();
	w->wake = wake;
	w->arg = arg;
	lock_take(&s->lock, LOCK_LEAF);
	*s->waits_tail = w;
	s->waits_tail = &w->next;
	s->look = true;
	pthread_cond_signal(&s->turn);
	lock_drop(&s->lock, LOCK_LEAF);
	return 0;
}

void space_get(struct space *s, uint64_t *out_used, uint64_t *out_budget)
{
	uint64_t clean;

	contents_get_usage(s->opt.contents, out_used, &clean);
	*out_budget = s->opt.budget_bytes;
}
