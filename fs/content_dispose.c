#include "fs/content_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "net/crashpoint.h"

static int reserve_doomed_locked(struct contents *cs)
{
	size_t cap = cs->doomed_cap ? cs->doomed_cap * 2 : 16;
	uint64_t *doomed;

	if (cs->ndoomed < cs->doomed_cap)
		return 0;
	doomed = realloc(cs->doomed, cap * sizeof(*doomed));
	if (!doomed)
		return -ENOMEM;
	cs->doomed = doomed;
	cs->doomed_cap = cap;
	return 0;
}

void content_collect(struct contents *cs, uint64_t cid)
{
	if (!cid)
		return;
	lock_take(&cs->lock, LOCK_LEAF);
	/* Without memory contents_scan() finds it another day. */
	if (reserve_doomed_locked(cs) == 0)
		cs->doomed[cs->ndoomed++] = cid;
	lock_drop(&cs->lock, LOCK_LEAF);
	content_note_untidy(cs);
}

/* Removes the row if nothing needs it. */
static int drop_row(struct contents *cs, uint64_t cid, uint64_t *out_prev)
{
	struct cfile row;
	struct db *db;
	int rc = store_begin(cs->store, &db);

	if (rc < 0)
		return rc;
	rc = cfile_get(db, cid, &row);
	if (rc == 0)
		rc = cfile_is_needed(db, cid);
	if (rc == 1)
		rc = -EBUSY;
	if (rc == 0)
		rc = cfile_delete(db, cid);
	rc = store_end(cs->store, rc);
	if (rc == 0) {
		content_usage_change(cs, &row, NULL);
		*out_prev = row.prev;
	}
	return rc;
}

static void dispose(struct contents *cs, uint64_t cid)
{
	struct content *claim;
	uint64_t prev = 0;

	if (content_claim(cs, cid, true, &claim) < 0)
		return; /* whoever has it brings it back here */
	if (drop_row(cs, cid, &prev) == 0) {
		CRASH_POINT("content-row-dropped");
		content_file_remove(cs, cid, "");
		content_file_remove(cs, cid, ".snap");
	}
	CRASH_POINT("content-file-removed");
	content_release_claim(claim);
	content_collect(cs, prev); /* what it would have fallen back to */
}

/* The list so far, malloc'ed; NULL if it is empty. */
static uint64_t *take_doomed(struct contents *cs, size_t *out_n)
{
	uint64_t *doomed;

	lock_take(&cs->lock, LOCK_LEAF);
	*out_n = cs->ndoomed;
	doomed = cs->ndoomed ? cs->doomed : NULL;
	if (doomed) {
		cs->doomed = NULL;
		cs->ndoomed = cs->doomed_cap = 0;
	}
	lock_drop(&cs->lock, LOCK_LEAF);
	return doomed;
}

/* The next one that could not be saved when the last reference went. */
static struct content *take_idle(struct contents *cs, size_t *bucket)
{
	struct content *c = NULL;

	lock_take(&cs->lock, LOCK_LEAF);
	for (; cs->nidle && !c && *bucket < CONTENT_TABLE; ++*bucket) {
		c = cs->table[*bucket];
		while (c && c->refs)
			c = c->next;
	}
	if (c) {
		c->refs = 1;
		cs->nidle--;
	}
	lock_drop(&cs->lock, LOCK_LEAF);
	return c;
}

static bool has_idle(struct contents *cs)
{
	bool any;

	lock_take(&cs->lock, LOCK_LEAF);
	any = cs->nidle;
	lock_drop(&cs->lock, LOCK_LEAF);
	return any;
}

int contents_tidy(struct contents *cs)
{
	uint64_t *doomed;
	struct content *c;
	size_t bucket = 0, n;
	int rc = 0;

	while ((c = take_idle(cs, &bucket)))
		content_put(c);
	while (rc == 0 && (doomed = take_doomed(cs, &n))) {
		/* Not before the rows that still named it are past. */
		rc = store_sync(cs->store);
		for (size_t i = 0; i < n; i++) {
			if (rc == 0)
				dispose(cs, doomed[i]);
			else
				content_collect(cs, doomed[i]);
		}
		free(doomed);
	}
	return rc == 0 && has_idle(cs) ? -EAGAIN : rc;
}

/* Within the transaction: the node has no content here any more. */
static int leave_node(struct db *db, const struct cfile *row)
{
	struct node n;
	int rc = node_get(db, row->ino, &n);

	if (rc < 0 || n.cid != row->cid)
		return rc == -ENOENT ? 0 : rc;
	if (n.gen != n.s_gen) /* never evict what is not there */
		return -EBUSY;
	n.cid = 0;
	return node_update(db, &n);
}

static int evict_row(struct contents *cs, uint64_t cid)
{
	struct cfile row = { 0 }, gone;
	struct db *db;
	int rc = store_begin(cs->store, &db);

	if (rc < 0)
		return rc;
	rc = cfile_get(db, cid, &row);
	if (rc == 0 && (row.flags & (CFILE_CLEAN | CFILE_SOFT)) != CFILE_CLEAN)
		rc = -EBUSY;
	if (rc == 0)
		rc = leave_node(db, &row);
	if (rc == 0)
		rc = cfile_is_needed(db, cid);
	if (rc == 1)
		rc = -EBUSY;
	gone = row;
	gone.flags = CFILE_GONE;
	if (rc == 0)
		rc = cfile_update(db, &gone);
	rc = store_end(cs->store, rc);
	if (rc == 0)
		content_usage_change(cs, &row, &gone);
	return rc;
}

int content_evict(struct contents *cs, uint64_t cid)
{
	struct content *claim;
	int rc = content_claim(cs, cid, false, &claim);

	if (rc < 0)
		return rc;
	rc = evict_row(cs, cid);
	CRASH_POINT("content-evicted");
	content_release_claim(claim);
	if (rc == 0)
		content_collect(cs, cid);
	return rc;
}
