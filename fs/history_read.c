#include "fs/history_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/bond.h"
#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "net/work.h"

/* ---- chunks that are here ------------------------------------------------ */

struct history_slot *history_find_slot_locked(struct history_file *f,
                                              uint64_t idx)
{
	for (size_t i = 0; i < HISTORY_CHUNKS; i++) {
		if (f->slot[i].data && f->slot[i].idx == idx)
			return &f->slot[i];
	}
	return NULL;
}

/* The one that was used longest ago gives way. */
static struct history_slot *oldest_slot(struct history_file *f)
{
	struct history_slot *old = &f->slot[0];

	for (size_t i = 0; i < HISTORY_CHUNKS; i++) {
		if (!f->slot[i].data)
			return &f->slot[i];
		if (f->slot[i].used < old->used)
			old = &f->slot[i];
	}
	return old;
}

int history_keep_chunk(struct history_file *f, uint64_t idx, const void *plain,
                       size_t len)
{
	uint8_t *data = malloc(len ? len : 1);
	struct history_slot *s;

	if (!data)
		return -ENOMEM;
	memcpy(data, plain, len);
	lock_take(&f->h->lock, LOCK_LEAF);
	s = history_find_slot_locked(f, idx);
	if (!s)
		s = oldest_slot(f);
	free(s->data);
	s->data = data;
	s->len = len;
	s->idx = idx;
	s->used = ++f->clock;
	lock_drop(&f->h->lock, LOCK_LEAF);
	return 0;
}

bool history_has_chunks_locked(struct history_file *f, uint64_t first,
                               uint64_t last)
{
	for (; first <= last; first++) {
		if (!history_find_slot_locked(f, first))
			return false;
	}
	return true;
}

/* Sealed, and nothing of it seen yet: that it is empty is only a claim. */
static bool is_claim(const struct history_file *f)
{
	return !f->ready && f->h->opt.codec->ops->authenticates;
}

ssize_t history_read(struct history *h, struct history_file *f, uint64_t off,
                     void *buf, size_t len)
{
	ssize_t rc = 0;

	lock_take(&h->lock, LOCK_LEAF);
	if (f->rc < 0)
		rc = f->rc;
	else if (is_claim(f))
		rc = -EAGAIN;
	if (off >= f->plain)
		len = 0;
	else if (len > f->plain - off)
		len = (size_t)(f->plain - off);
	for (size_t done = 0; rc >= 0 && done < len; rc = (ssize_t)done) {
		uint64_t at = off + done;
		struct history_slot *s =
			history_find_slot_locked(f, at / CHUNK_SIZE);
		size_t from = at % CHUNK_SIZE, n;

		if (!s || s->len <= from) {
			rc = s ? -EIO : -EAGAIN;
			break;
		}
		n = s->len - from < len - done ? s->len - from : len - done;
		memcpy((uint8_t *)buf + done, s->data + from, n);
		s->used = ++f->clock;
		done += n;
	}
	lock_drop(&h->lock, LOCK_LEAF);
	return rc;
}

/* ---- waiting ----------------------------------------------------------------
 */

int history_wait_read(struct history *h, struct history_file *f, uint64_t off,
                      size_t len, history_wake_fn *wake, void *arg)
{
	struct history_wait w = {
		.file = f, .first = off / CHUNK_SIZE, .wake = wake, .arg = arg
	};
	bool begin = false;
	int rc;

	w.last = len && off + len <= f->plain ? (off + len - 1) / CHUNK_SIZE
	         : f->plain                   ? (f->plain - 1) / CHUNK_SIZE
	                                      : 0;
	lock_take(&h->lock, LOCK_LEAF);
	rc = history_add_wait_locked(h, &w);
	if (rc == 0 && !f->busy) {
		begin = f->busy = true;
		f->refs++;
		h->under_way++;
	}
	lock_drop(&h->lock, LOCK_LEAF);
	if (begin)
		history_submit(f, history_step);
	return rc;
}

/* ---- open and closed ----------------------------------------------------- */

static void read_bond(struct history *h, struct history_file *f)
{
	struct db *db;

	if (store_reader(h->opt.store, &db) < 0)
		return;
	if (bond_get(db, f->item_id, &f->known) < 0)
		memset(&f->known, 0, sizeof(f->known));
	store_reader_done(h->opt.store, db);
	/* An older version than the one known is what is asked for; another
	 * file's bytes are not. */
	f->known.version = 0;
}

int history_open(struct history *h, uint64_t nodeid, struct history_file **out)
{
	struct history_file *f;
	struct history_node *n;
	int rc = -ESTALE;

	if (nodeid < HISTORY_VERSION)
		return -EISDIR;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->h = h;
	f->refs = 1;
	lock_take(&h->lock, LOCK_LEAF);
	n = h->nodes;
	while (n && n->nodeid != nodeid)
		n = n->next;
	if (n) {
		f->v = n->v;
		f->plain = (uint64_t)n->st.st_size;
		memcpy(f->item_id, n->item_id, sizeof(f->item_id));
		memcpy(f->etag, n->etag, sizeof(f->etag));
		rc = 0;
	}
	lock_drop(&h->lock, LOCK_LEAF);
	if (rc < 0) {
		free(f);
		return rc;
	}
	read_bond(h, f);
	lock_take(&h->lock, LOCK_LEAF);
	f->link = h->files;
	h->files = f;
	lock_drop(&h->lock, LOCK_LEAF);
	*out = f;
	return 0;
}

void history_unref_file(struct history_file *f)
{
	struct history *h = f->h;
	bool last;

	lock_take(&h->lock, LOCK_LEAF);
	last = --f->refs == 0;
	lock_drop(&h->lock, LOCK_LEAF);
	if (!last)
		return;
	download_free(f->download);
	h->opt.codec->ops->reader_free(f->reader);
	buf_done(&f->in);
	for (size_t i = 0; i < HISTORY_CHUNKS; i++)
		free(f->slot[i].data);
	free(f);
}

void history_close(struct history *h, struct history_file *f)
{
	struct history_file **at = &h->files;

	lock_take(&h->lock, LOCK_LEAF);
	f->closed = true;
	history_cancel_locked(f);
	while (*at && *at != f)
		at = &(*at)->link;
	if (*at)
		*at = f->link;
	lock_drop(&h->lock, LOCK_LEAF);
	history_unref_file(f);
}
