#include "fs/content.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "fs/content_internal.h"
#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/log.h"

#define USED_GRAIN_S 60 /* how exactly the time of last use is kept */

uint64_t content_sum(const void *data, size_t len)
{
	uint64_t sum = XXH3_64bits(data, len);

	return sum ? sum : 1;
}

/* ---- the table --------------------------------------------------------- */

static struct content **find_slot_locked(struct contents *cs, uint64_t cid)
{
	struct content **pp = &cs->table[cid & (CONTENT_TABLE - 1)];

	while (*pp && (*pp)->cid != cid)
		pp = &(*pp)->next;
	return pp;
}

/* Adds a busy entry: others that come for `cid` wait. */
static struct content *add_busy_locked(struct contents *cs, uint64_t cid)
{
	struct content **slot = find_slot_locked(cs, cid);
	struct content *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->cs = cs;
	c->cid = cid;
	c->refs = 1;
	c->busy = true;
	c->fd = -1;
	*slot = c;
	return c;
}

/* The entry of `cid` once nobody is busy with it, or NULL. */
static struct content *wait_for_locked(struct contents *cs, uint64_t cid)
{
	struct content *c;

	while ((c = *find_slot_locked(cs, cid)) && c->busy)
		lock_wait(&cs->ready, &cs->lock);
	return c;
}

static void remove_busy(struct content *c)
{
	struct contents *cs = c->cs;

	lock_take(&cs->lock, LOCK_LEAF);
	*find_slot_locked(cs, c->cid) = c->next;
	pthread_cond_broadcast(&cs->ready);
	lock_drop(&cs->lock, LOCK_LEAF);
	free(c);
}

int content_claim(struct contents *cs, uint64_t cid, bool orphan,
                  struct content **out_claim)
{
	struct content *c;
	int rc = 0;

	lock_take(&cs->lock, LOCK_LEAF);
	c = wait_for_locked(cs, cid);
	if (c) {
		c->orphan |= orphan;
		rc = -EBUSY;
	} else {
		c = add_busy_locked(cs, cid);
		rc = c ? 0 : -ENOMEM;
	}
	lock_drop(&cs->lock, LOCK_LEAF);
	if (rc == 0)
		*out_claim = c;
	return rc;
}

void content_release_claim(struct content *claim)
{
	remove_busy(claim);
}

/* ---- life -------------------------------------------------------------- */

static int load(struct content *c, bool made_here)
{
	struct db *db;
	int rc = store_reader(c->cs->store, &db);

	if (rc < 0)
		return rc;
	rc = cfile_get(db, c->cid, &c->row);
	store_reader_done(c->cs->store, db);
	if (rc == 0 && c->row.flags & CFILE_GONE)
		rc = -ENOENT;
	if (rc == 0)
		rc = chunkmap_init(&c->map, c->cs->store, &c->row);
	if (rc < 0)
		return rc;
	c->ino = c->row.ino;
	c->made_here = made_here;
	c->frozen = !made_here;
	c->suspect = c->row.flags & CFILE_FAILED;
	/* Settled whole content is on the disk; of the rest, who knows. */
	content_touch_locked(c);
	if (made_here ||
	    (c->row.flags & (CFILE_WHOLE | CFILE_SOFT)) == CFILE_WHOLE)
		c->synced = c->touched;
	else
		c->new_entry = true;
	pthread_mutex_init(&c->lock, NULL);
	return 0;
}

static void destroy(struct content *c)
{
	content_snapshot_drop(c);
	if (c->fd >= 0)
		close(c->fd);
	chunkmap_done(&c->map);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int content_get(struct contents *cs, uint64_t cid, bool made_here,
                struct content **out_c)
{
	struct content *c;
	bool loading = false;
	int rc;

	lock_take(&cs->lock, LOCK_LEAF);
	c = wait_for_locked(cs, cid);
	if (c) {
		cs->nidle -= c->refs++ == 0;
	} else {
		c = add_busy_locked(cs, cid);
		loading = true;
	}
	lock_drop(&cs->lock, LOCK_LEAF);
	if (!c)
		return -ENOMEM;
	if (loading) {
		rc = load(c, made_here);
		if (rc < 0) {
			remove_busy(c);
			return rc;
		}
		lock_take(&cs->lock, LOCK_LEAF);
		c->busy = false;
		pthread_cond_broadcast(&cs->ready);
		lock_drop(&cs->lock, LOCK_LEAF);
	}
	*out_c = c;
	return 0;
}

struct content *content_ref(struct content *c)
{
	lock_take(&c->cs->lock, LOCK_LEAF);
	c->refs++;
	lock_drop(&c->cs->lock, LOCK_LEAF);
	return c;
}

static void save_if_needed(struct content *c)
{
	bool old, unsaved;
	int rc;

	lock_take(&c->lock, LOCK_CONTENT);
	old = clock_real_ns() / NS_PER_SEC - c->row.used >= USED_GRAIN_S;
	unsaved = c->unsaved;
	lock_drop(&c->lock, LOCK_CONTENT);
	if (!unsaved && !old)
		return;
	rc = content_transact(c, NULL, NULL);
	if (rc < 0 && unsaved)
		log_warn("content cid=%" PRIx64 " not saved: %s retry=yes",
		         c->cid, strerror(-rc));
}

void content_put(struct content *c)
{
	struct contents *cs;
	bool last, gone = false, idle = false;

	if (!c)
		return;
	cs = c->cs;
	lock_take(&cs->lock, LOCK_LEAF);
	last = c->refs == 1;
	if (!last)
		c->refs--;
	lock_drop(&cs->lock, LOCK_LEAF);
	if (!last)
		return;
	/* Saved before it leaves the table, so that whoever loads it next
	 * finds everything. */
	save_if_needed(c);
	lock_take(&cs->lock, LOCK_LEAF);
	if (--c->refs == 0) {
		/* What could not be saved must not be forgotten. */
		gone = c->orphan || !c->unsaved;
		idle = !gone;
		cs->nidle += idle;
		if (gone)
			*find_slot_locked(cs, c->cid) = c->next;
	}
	lock_drop(&cs->lock, LOCK_LEAF);
	if (!gone) {
		if (idle)
			content_note_untidy(cs);
		return;
	}
	if (c->orphan)
		content_collect(cs, c->cid);
	destroy(c);
}

void content_forget_idle(struct content *c)
{
	assert(c->refs == 0);
	*find_slot_locked(c->cs, c->cid) = c->next;
	destroy(c);
}

/* ---- small answers ----------------------------------------------------- */

uint64_t content_cid(const struct content *c)
{
	return c->cid;
}

uint64_t content_ino(const struct content *c)
{
	return c->ino;
}

void content_get_row(struct content *c, struct cfile *out_row)
{
	lock_take(&c->lock, LOCK_CONTENT);
	*out_row = c->row;
	lock_drop(&c->lock, LOCK_CONTENT);
}

uint64_t content_size(struct content *c)
{
	uint64_t size;

	lock_take(&c->lock, LOCK_CONTENT);
	size = c->row.size;
	lock_drop(&c->lock, LOCK_CONTENT);
	return size;
}

uint64_t content_gen(struct content *c)
{
	uint64_t gen;

	lock_take(&c->lock, LOCK_CONTENT);
	gen = c->row.gen;
	lock_drop(&c->lock, LOCK_CONTENT);
	return gen;
}

bool content_is_soft(struct content *c)
{
	bool soft;

	lock_take(&c->lock, LOCK_CONTENT);
	soft = c->row.flags & CFILE_SOFT;
	lock_drop(&c->lock, LOCK_CONTENT);
	return soft;
}

int content_is_whole(struct content *c)
{
	int rc;

	lock_take(&c->lock, LOCK_CONTENT);
	rc = chunkmap_is_whole(&c->map, c->row.size);
	lock_drop(&c->lock, LOCK_CONTENT);
	return rc;
}

uint64_t content_freeze(struct content *c)
{
	uint64_t gen;

	lock_take(&c->lock, LOCK_CONTENT);
	c->frozen = true;
	gen = c->row.gen;
	lock_drop(&c->lock, LOCK_CONTENT);
	return gen;
}
