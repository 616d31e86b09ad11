#include "fs/direct_internal.h"

#include <errno.h>
#include <string.h>

#include "fs/interrupt.h"
#include "fs/lock.h"
#include "fs/session.h"
#include "net/buf.h"
#include "net/clock.h"
#include "net/download.h"
#include "net/error_text.h"

/* The network thread fills a queue, the caller's empties it: a slow disk or
 * pipe holds up nobody else. */

#define QUEUE_BYTES (4u << 20)
#define LOOK_MS     200
#define PATIENCE_MS 300000 /* without a byte */

struct inflow {
	pthread_mutex_t lock; /* LOCK_LEAF, all below */
	pthread_cond_t moved;
	struct buf queue;
	struct download_range *range; /* NULL once it has ended */
	bool paused, ended;
	int rc;
};

static int on_data(void *arg, uint64_t off, const void *data, size_t len)
{
	struct inflow *in = arg;
	int rc = 0;

	(void)off;
	lock_take(&in->lock, LOCK_LEAF);
	if (in->queue.len && in->queue.len + len > QUEUE_BYTES) {
		in->paused = true;
		rc = 1;
	} else {
		rc = buf_add(&in->queue, data, len);
		pthread_cond_signal(&in->moved);
	}
	lock_drop(&in->lock, LOCK_LEAF);
	return rc;
}

static void on_done(void *arg, int rc)
{
	struct inflow *in = arg;

	lock_take(&in->lock, LOCK_LEAF);
	in->range = NULL;
	in->ended = true;
	in->rc = rc;
	pthread_cond_signal(&in->moved);
	lock_drop(&in->lock, LOCK_LEAF);
}

/* Waits for more, or for the end: 0, with `out` empty at the end. */
static int take_some(struct inflow *in, struct buf *out)
{
	int rc = 0;

	buf_clear(out);
	lock_take(&in->lock, LOCK_LEAF);
	while (!in->queue.len && !in->ended && !interrupt_seen())
		lock_wait_until(&in->moved, &in->lock,
		                clock_mono_ms() + LOOK_MS);
	if (interrupt_seen()) {
		rc = -EINTR;
	} else if (in->queue.len) {
		struct buf full = in->queue;

		in->queue = *out;
		*out = full;
		if (in->paused && in->range) {
			in->paused = false;
			download_resume(in->range);
		}
	} else {
		rc = in->rc;
	}
	lock_drop(&in->lock, LOCK_LEAF);
	return rc;
}

static int pump(struct inflow *in, direct_sink_fn *sink, void *arg)
{
	struct buf piece = BUF_INIT;
	int rc;

	for (;;) {
		rc = take_some(in, &piece);
		if (rc < 0 || !piece.len)
			break;
		rc = sink(arg, piece.data, piece.len);
		if (rc < 0)
			break;
	}
	buf_done(&piece);
	return rc;
}

int direct_read_range(const struct direct *d, struct download *dl, uint64_t off,
                      uint64_t len, direct_sink_fn *sink, void *arg)
{
	struct inflow in = { .rc = 0 };
	struct download_range *range;
	int rc;

	pthread_mutex_init(&in.lock, NULL);
	lock_cond_init(&in.moved);
	lock_take(&in.lock, LOCK_LEAF); /* `done` waits until range is set */
	rc = download_start(dl, off, len, HTTP_PRIO_USER,
	                    d->trial ? DIRECT_TRIAL_MS : PATIENCE_MS, on_data,
	                    on_done, &in, &range);
	if (rc == 0)
		in.range = range;
	lock_drop(&in.lock, LOCK_LEAF);
	if (rc == 0) {
		rc = pump(&in, sink, arg);
		lock_take(&in.lock, LOCK_LEAF);
		if (in.range)
			download_cancel(in.range);
		while (!in.ended)
			lock_wait(&in.moved, &in.lock);
		lock_drop(&in.lock, LOCK_LEAF);
	}
	buf_done(&in.queue);
	pthread_cond_destroy(&in.moved);
	pthread_mutex_destroy(&in.lock);
	return rc;
}

void direct_say_transfer(struct direct *d, const struct direct_file *f, int rc)
{
	const char *name = f->node.name;

	switch (rc) {
	case -EINTR:
		direct_say(d, "interrupted");
		break;
	case -ESTALE:
		direct_say(d,
		           "\"%s\" was replaced while it was read; try again",
		           name);
		break;
	case -EPERM:
		direct_say(d,
		           "\"%s\": the service takes it for malware and does "
		           "not give it out",
		           name);
		break;
	default:
		direct_say(d, "\"%s\": %s", name, error_text(rc));
	}
}

int direct_download(struct direct *d, const struct direct_file *f, uint64_t off,
                    uint64_t len, direct_sink_fn *sink, void *sink_arg)
{
	const struct item *it = &f->item;
	struct download *dl;
	int rc = len ? download_new(d->session->graph, it->id, it->etag,
	                            it->size, NULL, NULL, &dl)
	             : 0;

	if (rc == 0 && len) {
		rc = direct_read_range(d, dl, off, len, sink, sink_arg);
		download_free(dl);
	}
	if (rc < 0)
		direct_say_transfer(d, f, rc);
	return rc;
}
