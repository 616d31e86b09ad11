#include "fs/direct_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/interrupt.h"
#include "fs/lock.h"
#include "fs/session.h"
#include "net/clock.h"
#include "net/graph.h"
#include "net/upload.h"
#include "net/work.h"

/* One attempt: an upload session, or a single request for empty content, which
 * can't go through one (facts 5.6), and for small content whose mtime is not
 * the item's. */

#define LOOK_MS 200

/* ---- a session ----------------------------------------------------------- */

struct outgoing {
	struct put *p;
	pthread_mutex_t lock; /* LOCK_LEAF, all below */
	pthread_cond_t over;
	bool ended, has_item, look, defer;
	int rc;
	char *url; /* a secret */
	struct item item;
};

static int on_read(void *arg, void *buf, size_t len, uint64_t off)
{
	struct outgoing *o = arg;

	return put_read(o->p, buf, len, off);
}

static int on_note(void *arg, const char *url, uint64_t next)
{
	struct outgoing *o = arg;
	int rc = 0;

	(void)next;
	lock_take(&o->lock, LOCK_LEAF);
	if (!o->url || strcmp(o->url, url) != 0) {
		free(o->url);
		o->url = strdup(url);
		rc = o->url ? 0 : -ENOMEM;
	}
	lock_drop(&o->lock, LOCK_LEAF);
	return rc;
}

static void on_end(void *arg, const struct upload_end *end)
{
	struct outgoing *o = arg;

	lock_take(&o->lock, LOCK_LEAF);
	o->rc = end->rc;
	o->look = end->verdict == RETRY_LOOK || end->verdict == RETRY_RESTART;
	o->has_item = end->item && item_copy(end->item, &o->item) == 0;
	o->ended = true;
	pthread_cond_signal(&o->over);
	lock_drop(&o->lock, LOCK_LEAF);
}

static void wait_for_end(struct outgoing *o, struct upload *u)
{
	const struct put *p = o->p;
	int64_t until =
		p->d->trial ? clock_mono_ms() + DIRECT_TRIAL_MS : INT64_MAX;
	bool canceled = false, late = false;

	lock_take(&o->lock, LOCK_LEAF);
	while (!o->ended) {
		lock_wait_until(&o->over, &o->lock, clock_mono_ms() + LOOK_MS);
		if (o->ended)
			break;
		lock_drop(&o->lock, LOCK_LEAF);
		if (p->progress)
			p->progress(p->arg, upload_sent(u), p->sealed);
		late = late || clock_mono_ms() >= until;
		if ((interrupt_seen() || late) && !canceled) {
			upload_cancel(u);
			canceled = true;
		}
		lock_take(&o->lock, LOCK_LEAF);
	}
	if (canceled && o->rc < 0) {
		o->rc = late ? -ETIMEDOUT : -EINTR;
		o->look = false;
	}
	lock_drop(&o->lock, LOCK_LEAF);
}

static int run_session(struct outgoing *o, struct work *work)
{
	struct put *p = o->p;
	const struct codec_ops *ops = p->d->codec->ops;
	struct upload_spec spec = {
		.graph = p->d->session->graph,
		.work = work,
		.defer_commit = o->defer,
		.total = p->sealed,
		.has_mtime = ops->times_in_item,
		.mtime_ns = p->mtime_ns,
		.prio = HTTP_PRIO_USER,
		.read = on_read,
		.note = on_note,
		.done = on_end,
		.arg = o,
	};
	struct upload *u;
	int rc;

	if (p->base.item.id[0]) {
		spec.item_id = p->base.item.id;
		spec.etag = o->defer ? NULL : p->base.item.etag;
	} else {
		spec.parent_id = p->at->parent_id;
		spec.name = p->name;
	}
	rc = upload_start(&spec, &u);
	if (rc < 0)
		return rc;
	wait_for_end(o, u);
	upload_free(u);
	return o->rc;
}

struct committing {
	pthread_mutex_t lock; /* LOCK_LEAF */
	pthread_cond_t over;
	bool ended, look, has_item;
	int rc;
	struct item item;
};

static void on_committed(void *arg, const struct graph_answer *a)
{
	struct committing *c = arg;
	struct graph_item item;

	lock_take(&c->lock, LOCK_LEAF);
	c->rc = a->rc;
	c->look = a->verdict == RETRY_LOOK || a->verdict == RETRY_WAIT;
	if (a->rc == 0 && a->json && graph_parse_item(a->json, &item) == 0)
		c->has_item = item_copy(&item, &c->item) == 0;
	c->ended = true;
	pthread_cond_signal(&c->over);
	lock_drop(&c->lock, LOCK_LEAF);
}

/* All bytes are there, nothing has happened: look, then make it so. The
 * session was opened without a tag, since the opening itself moves it; nothing
 * but this one request lies between the look and the commit. */
static int commit(struct outgoing *o)
{
	struct put *p = o->p;
	struct committing c = { .rc = 0 };
	struct direct_file now;
	int rc = direct_look(p->d, p->at, &now);

	if (rc == 0 && !put_is_base(p, &now.item))
		rc = -ESTALE;
	if (rc < 0)
		return rc == -ENOENT ? -ESTALE : rc;
	p->base = now;
	pthread_mutex_init(&c.lock, NULL);
	lock_cond_init(&c.over);
	rc = upload_commit(p->d->session->graph, o->url, p->at->parent_id,
	                   now.item.name, true, now.item.etag, on_committed,
	                   &c);
	if (rc == 0) {
		lock_take(&c.lock, LOCK_LEAF);
		while (!c.ended)
			lock_wait(&c.over, &c.lock);
		lock_drop(&c.lock, LOCK_LEAF);
		rc = c.rc;
		o->look = c.look;
		o->has_item = c.has_item;
		o->item = c.item;
	}
	pthread_cond_destroy(&c.over);
	pthread_mutex_destroy(&c.lock);
	return rc;
}

static int send_session(struct put *p, struct direct_answer *out)
{
	struct outgoing *o = calloc(1, sizeof(*o));
	struct work *work;
	int rc = o ? work_new("nmb-put", 2, &work) : -ENOMEM;

	if (rc < 0) {
		free(o);
		return rc;
	}
	o->p = p;
	o->defer = p->moved >= 1 && p->base.item.id[0];
	pthread_mutex_init(&o->lock, NULL);
	lock_cond_init(&o->over);
	rc = run_session(o, work);
	if (rc == 0 && o->defer && !o->has_item)
		rc = commit(o);
	work_free(work);
	if (rc < 0 && o->url)
		upload_abandon_wait(p->d->session->graph, o->url);
	if (rc < 0)
		put_say(p, rc);
	out->look = o->look;
	out->has_item = rc == 0 && o->has_item;
	out->item = o->item;
	pthread_cond_destroy(&o->over);
	pthread_mutex_destroy(&o->lock);
	free(o->url);
	free(o);
	return rc;
}

static int send_small(struct put *p, struct direct_answer *out)
{
	struct graph_prepared call = direct_call();
	struct graph *g = p->d->session->graph;
	size_t len = (size_t)p->sealed;
	char *data = malloc(len ? len : 1);
	int rc = data ? put_read(p, data, len, 0) : -ENOMEM;

	if (rc == 0 && p->base.item.id[0])
		rc = graph_prepare_put(g, p->base.item.id, p->base.item.etag,
		                       data, len, &call);
	else if (rc == 0)
		rc = graph_prepare_put_new(g, p->at->parent_id, p->name, data,
		                           len, &call);
	if (rc == 0)
		rc = direct_ask(p->d, &call, p->at->name, out);
	free(data);
	return rc;
}

int put_send(struct put *p, struct direct_answer *out)
{
	const struct codec_ops *ops = p->d->codec->ops;
	bool always = ops->times_in_item || p->d->trial;
	uint64_t small = always ? 0 : ops->small_max;

	return p->sealed > small ? send_session(p, out) : send_small(p, out);
}
