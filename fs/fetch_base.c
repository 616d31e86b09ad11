#include "fs/fetch_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "net/download.h"
#include "net/log.h"

/* A stream reads one content of one item, its base. Which request brings it:
 *
 *	as the store says   the tag the node's item has by now, if the node
 *	                    still has that content
 *	as it was           the base's own tag: a file with changes of its
 *	                    own, whose node went on to other content
 *	met another one     the engine looks; asked again, STALE_MAX times
 *	searched            the item was replaced: the version that has the
 *	                    base's size and hash (net/version_find.h) */

#define STALE_MAX 3
#define STALE_MS  300

/* ---- opening ------------------------------------------------------------- */

/* What the node's item is by now has not the base's bytes: an upload that began
 * before the machine died had arrived. */
static bool is_other_version(const struct stream *s, const struct node *n)
{
	return n->s_size != s->base.base_size ||
	       (n->flags & NODE_HASHED && s->base.base_hashed &&
	        memcmp(n->s_hash, s->base.base_hash, NODE_HASH_SIZE) != 0);
}

static int current_etag(struct stream *s, char out[NODE_ETAG_MAX + 1])
{
	struct node *n = malloc(sizeof(*n));
	struct db *db;
	int rc = n ? store_reader(s->fetch->opt.store, &db) : -ENOMEM;

	if (rc == 0) {
		rc = node_get(db, s->base.ino, n);
		store_reader_done(s->fetch->opt.store, db);
	}
	if (rc == 0 &&
	    (n->cid != s->base.cid || strcmp(n->s_id, s->base.base_id) != 0 ||
	     is_other_version(s, n)))
		rc = -ESTALE;
	if (rc == 0)
		memcpy(out, n->s_etag, NODE_ETAG_MAX + 1);
	free(n);
	return rc == -ENOENT ? -ESTALE : rc;
}

static unsigned times_stale(struct stream *s)
{
	unsigned n;

	lock_take(&s->fetch->lock, LOCK_LEAF);
	n = s->stale;
	lock_drop(&s->fetch->lock, LOCK_LEAF);
	return n;
}

/* A file with changes of its own reads on from its base while it can: the node
 * may have moved on to other content. */
static int wanted_etag(struct stream *s, char out[NODE_ETAG_MAX + 1])
{
	int rc = current_etag(s, out);

	if (rc == -ESTALE && !(s->base.flags & CFILE_CLEAN) &&
	    !times_stale(s)) {
		memcpy(out, s->base.base_etag, NODE_ETAG_MAX + 1);
		rc = 0;
	}
	return rc;
}

static void close_download(struct stream *s)
{
	fetch_guess_drop(s);
	download_free(s->download);
	s->download = NULL;
}

/* What the search brought, if there was one. */
static bool take_found(struct stream *s, char version[VERSION_ID_MAX + 1],
                       char etag[NODE_ETAG_MAX + 1])
{
	struct fetch *f = s->fetch;
	bool reopen;

	lock_take(&f->lock, LOCK_LEAF);
	memcpy(version, s->found_version, VERSION_ID_MAX + 1);
	memcpy(etag, s->found_etag, NODE_ETAG_MAX + 1);
	reopen = s->reopen;
	s->reopen = false;
	lock_drop(&f->lock, LOCK_LEAF);
	if (reopen)
		close_download(s);
	return version[0] || etag[0];
}

int fetch_open_download(struct stream *s)
{
	char version[VERSION_ID_MAX + 1], etag[NODE_ETAG_MAX + 1];
	int rc;

	if (!take_found(s, version, etag)) {
		rc = wanted_etag(s, etag);
		if (rc < 0)
			return rc;
		if (s->download && strcmp(etag, s->etag) != 0)
			close_download(s);
	}
	if (s->download)
		return 0;
	memcpy(s->etag, etag, sizeof(etag));
	return download_new(s->fetch->opt.graph, s->base.base_id,
	                    version[0] ? NULL : s->etag, s->base.base_size,
	                    NULL, version[0] ? version : NULL, &s->download);
}

/* ---- the search ---------------------------------------------------------- */

/* On the network thread. Who waits is told by a worker, or gets what it
 * waits for. */
static void found_or_not(void *arg, int rc, const struct version_found *found)
{
	struct stream *s = arg;
	struct fetch *f = s->fetch;

	if (rc == 0)
		log_info("fetch ino=%" PRIu64 " id=%s replaced there, read "
		         "from version=%s",
		         s->base.ino, s->base.base_id,
		         found->version_id ? found->version_id : "current");
	else if (rc != -ECANCELED)
		log_warn("fetch ino=%" PRIu64 " id=%s replaced there, its "
		         "former version can't be had: %s",
		         s->base.ino, s->base.base_id, strerror(-rc));
	lock_take(&f->lock, LOCK_LEAF);
	s->find = NULL;
	s->found_etag[0] = s->found_version[0] = '\0';
	if (rc == 0 && found->version_id)
		snprintf(s->found_version, sizeof(s->found_version), "%s",
		         found->version_id);
	else if (rc == 0)
		snprintf(s->found_etag, sizeof(s->found_etag), "%s",
		         found->etag);
	else
		s->searches = FETCH_SEARCHES; /* the pump meets it again */
	s->reopen = true;
	s->resting = false;
	f->timers--;
	fetch_pump_locked(s);
	fetch_stream_unref_locked(s);
	pthread_cond_broadcast(&f->idle);
	lock_drop(&f->lock, LOCK_LEAF);
}

/* True: a search is under way. */
static bool search(struct stream *s)
{
	struct fetch *f = s->fetch;
	bool begun = false;
	int rc;

	lock_take(&f->lock, LOCK_LEAF);
	if (s->find) {
		begun = true;
	} else if (s->base.base_hashed && s->searches < FETCH_SEARCHES &&
	           !s->rc && !f->stop) {
		s->searches++;
		s->refs++;
		f->timers++;
		s->resting = true;
		rc = version_find_start(f->opt.graph, s->base.base_id,
		                        s->base.base_size, s->base.base_hash,
		                        found_or_not, s, &s->find);
		begun = rc == 0;
		if (!begun) {
			s->find = NULL;
			s->resting = false;
			s->refs--;
			f->timers--;
		}
	}
	lock_drop(&f->lock, LOCK_LEAF);
	return begun;
}

void fetch_cancel_search_locked(struct stream *s)
{
	if (!s->find)
		return;
	version_find_cancel(s->find);
	graph_stop(s->fetch->opt.graph);
}

/* ---- another version ----------------------------------------------------- */

static void stale_over(void *arg)
{
	struct stream *s = arg;
	struct fetch *f = s->fetch;

	lock_take(&f->lock, LOCK_LEAF);
	s->resting = false;
	f->timers--;
	fetch_pump_locked(s);
	fetch_stream_unref_locked(s);
	pthread_cond_broadcast(&f->idle);
	lock_drop(&f->lock, LOCK_LEAF);
}

/* The item has another tag: the engine looks, and in a moment we ask the store
 * whether the content is still the one we read. */
static void let_engine_look(struct stream *s)
{
	struct fetch *f = s->fetch;
	unsigned wait_ms;
	bool first;
	int rc;

	lock_take(&f->lock, LOCK_LEAF);
	first = !s->resting && !s->rc && !f->stop;
	if (first) {
		s->resting = true;
		s->stale++;
		s->refs++;
		f->timers++;
	}
	wait_ms = STALE_MS * s->stale;
	lock_drop(&f->lock, LOCK_LEAF);
	if (!first)
		return;
	if (f->opt.outdated)
		f->opt.outdated(f->opt.arg, s->base.ino);
	rc = http_call_later(graph_http(f->opt.graph), wait_ms, stale_over, s,
	                     NULL);
	if (rc < 0)
		stale_over(s);
}

bool fetch_meet_stale(struct stream *s)
{
	if (times_stale(s) >= STALE_MAX)
		return search(s);
	let_engine_look(s);
	return true;
}
