#include <errno.h>
#include <stdlib.h>

#include "net/clock.h"
#include "net/http_internal.h"

/* Most timers come due after those set before them: look from the end. */
static void insert_locked(struct http *h, struct http_timer *t)
{
	struct http_timer *at = TAILQ_LAST(&h->timers, http_timers);

	while (at && at->due_ms > t->due_ms)
		at = TAILQ_PREV(at, http_timers, link);
	if (at)
		TAILQ_INSERT_AFTER(&h->timers, at, t, link);
	else
		TAILQ_INSERT_HEAD(&h->timers, t, link);
}

int http_call_later(struct http *h, int64_t delay_ms, void (*fn)(void *arg),
                    void *arg, struct http_timer **out_t)
{
	struct http_timer *t = calloc(1, sizeof(*t));
	int64_t now_ms = clock_mono_ms();
	int rc = 0;

	if (!t)
		return -ENOMEM;
	if (delay_ms < 0)
		delay_ms = 0;
	t->h = h;
	t->due_ms =
		delay_ms < HTTP_NEVER - now_ms ? now_ms + delay_ms : HTTP_NEVER;
	t->fn = fn;
	t->arg = arg;

	pthread_mutex_lock(&h->lock);
	if (h->stopping) {
		rc = -ESHUTDOWN;
	} else {
		if (out_t)
			*out_t = t;
		insert_locked(h, t);
		if (TAILQ_FIRST(&h->timers) == t)
			http_wake_locked(h);
	}
	pthread_mutex_unlock(&h->lock);
	if (rc < 0)
		free(t);
	return rc;
}

bool http_cancel_timer(struct http_timer *t)
{
	struct http *h = t->h;
	bool pending;

	pthread_mutex_lock(&h->lock);
	pending = !t->firing;
	if (pending)
		TAILQ_REMOVE(&h->timers, t, link);
	pthread_mutex_unlock(&h->lock);
	if (pending)
		free(t);
	return pending;
}

static struct http_timer *take_due(struct http *h, int64_t now_ms)
{
	struct http_timer *t;

	pthread_mutex_lock(&h->lock);
	t = TAILQ_FIRST(&h->timers);
	if (t && t->due_ms > now_ms && !h->stopping)
		t = NULL;
	if (t) {
		TAILQ_REMOVE(&h->timers, t, link);
		t->firing = true;
	}
	pthread_mutex_unlock(&h->lock);
	return t;
}

void http_timer_run(struct http *h)
{
	struct http_timer *t;

	/* `now_ms` stands still: a timer of 0 ms that sets itself again comes
	 * in the next round. */
	while ((t = take_due(h, h->now_ms))) {
		t->fn(t->arg);
		free(t);
	}
}

int64_t http_timer_next_locked(const struct http *h)
{
	const struct http_timer *t = TAILQ_FIRST(&h->timers);

	return t ? t->due_ms : HTTP_NEVER;
}
