#include "fs/history_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/lock.h"
#include "net/clock.h"
#include "net/graph.h"
#include "net/http.h"

#define TICK_MS 500

/* ---- who waits ----------------------------------------------------------- */

struct history_wait *history_take_waits_locked(struct history *h,
                                               history_over_fn *over, void *arg)
{
	struct history_wait *taken = NULL, **at = &h->waits;

	while (*at) {
		struct history_wait *w = *at;

		if (!over(w, arg)) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->next = taken;
		taken = w;
	}
	return taken;
}

void history_wake(struct history_wait *list)
{
	while (list) {
		struct history_wait *w = list;

		list = w->next;
		w->wake(w->arg, w->rc);
		free(w);
	}
}

void history_done_locked(struct history *h)
{
	h->under_way--;
	pthread_cond_broadcast(&h->idle);
}

static bool is_late(struct history_wait *w, void *arg)
{
	const int64_t *now = arg;

	w->rc = -ETIMEDOUT;
	return w->until_ms <= *now;
}

/* What nobody waits for any more ends: the next one gets a new connection. */
static void cancel_idle_locked(struct history *h)
{
	for (struct history_file *f = h->files; f; f = f->link) {
		const struct history_wait *w = h->waits;

		while (w && w->file != f)
			w = w->next;
		if (!w)
			history_cancel_locked(f);
	}
}

static void tick(void *arg);

static void start_timer_locked(struct history *h)
{
	if (h->timer || h->stop || !h->waits)
		return;
	if (http_call_later(graph_http(h->opt.graph), TICK_MS, tick, h,
	                    &h->timer) == 0)
		h->under_way++;
	else
		h->timer = NULL;
}

static void tick(void *arg)
{
	struct history *h = arg;
	int64_t now = clock_mono_ms();
	struct history_wait *late;

	lock_take(&h->lock, LOCK_LEAF);
	h->timer = NULL;
	late = history_take_waits_locked(h, is_late, &now);
	if (late)
		cancel_idle_locked(h);
	start_timer_locked(h);
	lock_drop(&h->lock, LOCK_LEAF);
	history_wake(late);
	lock_take(&h->lock, LOCK_LEAF);
	history_done_locked(h);
	lock_drop(&h->lock, LOCK_LEAF);
}

int history_add_wait_locked(struct history *h, const struct history_wait *w)
{
	struct history_wait *copy = h->stop ? NULL : malloc(sizeof(*copy));

	if (!copy)
		return h->stop ? -ESHUTDOWN : -ENOMEM;
	*copy = *w;
	copy->until_ms = clock_mono_ms() + h->opt.deadline_ms;
	copy->next = h->waits;
	h->waits = copy;
	start_timer_locked(h);
	return 0;
}

/* ---- start and end ------------------------------------------------------- */

int history_new(const struct history_options *opt, struct history **out_h)
{
	struct history *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->opt = *opt;
	h->next_node = HISTORY_VERSION;
	pthread_mutex_init(&h->lock, NULL);
	lock_cond_init(&h->idle);
	*out_h = h;
	return 0;
}

static bool ends(struct history_wait *w, void *arg)
{
	(void)arg;
	w->rc = -EIO;
	return true;
}

void history_stop(struct history *h)
{
	struct history_wait *waits;

	if (!h)
		return;
	lock_take(&h->lock, LOCK_LEAF);
	h->stop = true;
	waits = history_take_waits_locked(h, ends, NULL);
	for (struct history_file *f = h->files; f; f = f->link)
		history_cancel_locked(f);
	if (h->timer && http_cancel_timer(h->timer)) {
		h->timer = NULL;
		history_done_locked(h);
	}
	lock_drop(&h->lock, LOCK_LEAF);
	history_wake(waits);
	graph_stop(h->opt.graph);
	lock_take(&h->lock, LOCK_LEAF);
	while (h->under_way)
		lock_wait(&h->idle, &h->lock);
	lock_drop(&h->lock, LOCK_LEAF);
}

void history_free(struct history *h)
{
	if (!h)
		return;
	/* What the kernel never released. */
	while (h->files)
		history_close(h, h->files);
	while (h->nodes) {
		struct history_node *n = h->nodes;

		h->nodes = n->next;
		free(n);
	}
	history_free_lists(h);
	pthread_cond_destroy(&h->idle);
	pthread_mutex_destroy(&h->lock);
	free(h);
}
