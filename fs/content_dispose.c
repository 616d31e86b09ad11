#include "fs/content_internal.h"

#include <errno.h>

#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"

/* Makes sure that nobody has, or gets, the live object of `cid`. */
static int lock_out(struct contents *cs, uint64_t cid, bool mark_orphan)
{
	struct content *c;
	int rc = 0;

	lock_take(&cs->lock, LOCK_LEAF);
	while (cs->evicting)
		lock_wait(&cs->evicted, &cs->lock);
	c = *content_slot_locked(cs, cid);
	if (c) {
		c->orphan |= mark_orphan;
		rc = -EBUSY;
	} else {
		cs->evicting = cid;
	}
	lock_drop(&cs->lock, LOCK_LEAF);
	return rc;
}

static void let_in(struct contents *cs)
{
	lock_take(&cs->lock, LOCK_LEAF);
	cs->evicting = 0;
	pthread_cond_broadcast(&cs->evicted);
	lock_drop(&cs->lock, LOCK_LEAF);
}

static int collect_row(struct contents *cs, uint64_t cid, uint64_t *out_prev)
{
	struct cfile row;
	struct db *db;
	int rc = store_begin(cs->store, &db);

	if (rc < 0)
		return rc;
	rc = cfile_get(db, cid, &row);
	if (rc == 0)
		rc = cfile_is_needed(db, cid) ? -EBUSY : 0;
	if (rc == 0)
		rc = cfile_delete(db, cid);
	rc = rc < 0 ? store_rollback(cs->store, rc) : store_commit(cs->store);
	if (rc == 0) {
		content_usage_change(cs, &row, NULL);
		*out_prev = row.prev;
	}
	return rc;
}

void content_collect(struct contents *cs, uint64_t cid)
{
	while (cid) {
		uint64_t prev = 0;

		if (lock_out(cs, cid, true) < 0)
			return;
		if (collect_row(cs, cid, &prev) == 0)
			content_file_remove(cs, cid, "");
		let_in(cs);
		cid = prev; /* what it would have fallen back to */
	}
}

static int evict_row(struct contents *cs, uint64_t cid)
{
	struct cfile row;
	struct node n;
	struct db *db;
	int rc = store_begin(cs->store, &db);

	if (rc < 0)
		return rc;
	rc = cfile_get(db, cid, &row);
	if (rc == 0 && (!(row.flags & CFILE_CLEAN) || row.flags & CFILE_SOFT))
		rc = -EBUSY;
	if (rc == 0)
		rc = node_get(db, row.ino, &n);
	if (rc == 0 && n.cid == cid) {
		if (n.gen != n.s_gen) /* never evict what is not there */
			rc = -EBUSY;
		n.cid = 0;
		if (rc == 0)
			rc = node_update(db, &n);
	}
	if (rc == 0 && cfile_is_needed(db, cid))
		rc = -EBUSY;
	if (rc == 0)
		rc = cfile_delete(db, cid);
	rc = rc < 0 ? store_rollback(cs->store, rc) : store_commit(cs->store);
	if (rc == 0)
		content_usage_change(cs, &row, NULL);
	return rc;
}

int content_evict(struct contents *cs, uint64_t cid)
{
	int rc = lock_out(cs, cid, false);

	if (rc < 0)
		return rc;
	rc = evict_row(cs, cid);
	if (rc == 0)
		content_file_remove(cs, cid, "");
	let_in(cs);
	return rc;
}
