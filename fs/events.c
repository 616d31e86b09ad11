#include "fs/events.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fs/lock.h"
#include "net/clock.h"

#define MAX_KEPT      4096
#define MAX_LISTENERS 4

struct events {
	pthread_mutex_t lock; /* LOCK_LEAF: the queue */
	struct event *head, **tail;
	unsigned kept;
	uint64_t lost;
	_Atomic bool want;
	_Atomic uint64_t count[EVENT_KINDS];
	struct {
		events_wake_fn *wake;
		void *arg;
	} listener[MAX_LISTENERS];
	unsigned nlisteners;
};

const char *event_name(enum event_kind kind)
{
	static const char *const names[] = {
		[EVENT_QUEUED] = "queued",     [EVENT_UPLOADING] = "uploading",
		[EVENT_UPLOADED] = "uploaded", [EVENT_MADE] = "made",
		[EVENT_MOVED] = "moved",       [EVENT_DELETED] = "deleted",
		[EVENT_FAILED] = "failed",     [EVENT_BLOCKED] = "blocked",
		[EVENT_HELD] = "held",         [EVENT_CONFLICT] = "conflict",
		[EVENT_REMOTE] = "remote",
	};

	return names[kind];
}

int events_new(struct events **out_ev)
{
	struct events *ev = calloc(1, sizeof(*ev));

	if (!ev)
		return -ENOMEM;
	pthread_mutex_init(&ev->lock, NULL);
	ev->tail = &ev->head;
	*out_ev = ev;
	return 0;
}

void events_free(struct events *ev)
{
	if (!ev)
		return;
	events_want(ev, false);
	pthread_mutex_destroy(&ev->lock);
	free(ev);
}

void events_listen(struct events *ev, events_wake_fn *wake, void *arg)
{
	assert(ev->nlisteners < MAX_LISTENERS);
	ev->listener[ev->nlisteners].wake = wake;
	ev->listener[ev->nlisteners++].arg = arg;
}

void events_touch(struct events *ev)
{
	for (unsigned i = 0; ev && i < ev->nlisteners; i++)
		ev->listener[i].wake(ev->listener[i].arg);
}

/* ---- one event ----------------------------------------------------------- */

static const char *add_text(char **at, const char *text)
{
	char *to = *at;

	strcpy(to, text);
	*at += strlen(text) + 1;
	return to;
}

/* One piece of memory, the texts behind it. */
static struct event *event_new(const char *path, const char *id,
                               const char *text)
{
	struct event *e = malloc(sizeof(*e) + strlen(path) + strlen(id) +
	                         strlen(text) + 3);
	char *at;

	if (!e)
		return NULL;
	at = (char *)(e + 1);
	e->next = NULL;
	e->path = add_text(&at, path);
	e->id = add_text(&at, id);
	e->text = add_text(&at, text);
	return e;
}

void event_free(struct event *e)
{
	free(e);
}

/* ---- the queue ----------------------------------------------------------- */

static void keep(struct events *ev, struct event *e)
{
	lock_take(&ev->lock, LOCK_LEAF);
	if (e && ev->want && ev->kept < MAX_KEPT) {
		*ev->tail = e;
		ev->tail = &e->next;
		ev->kept++;
		e = NULL;
	} else {
		ev->lost += ev->want;
	}
	lock_drop(&ev->lock, LOCK_LEAF);
	event_free(e);
}

void events_put(struct events *ev, enum event_kind kind, uint64_t ino,
                const char *path, const char *id, const char *text)
{
	struct event *e;

	if (!ev)
		return;
	atomic_fetch_add(&ev->count[kind], 1);
	if (ev->want) {
		e = event_new(path ? path : "", id ? id : "", text ? text : "");
		if (e) {
			e->kind = kind;
			e->ino = ino;
			e->time_ns = clock_real_ns();
		}
		keep(ev, e);
	}
	events_touch(ev);
}

struct event *events_take(struct events *ev, uint64_t *out_lost)
{
	struct event *list;

	lock_take(&ev->lock, LOCK_LEAF);
	list = ev->head;
	*out_lost = ev->lost;
	ev->head = NULL;
	ev->tail = &ev->head;
	ev->kept = 0;
	ev->lost = 0;
	lock_drop(&ev->lock, LOCK_LEAF);
	return list;
}

void events_want(struct events *ev, bool want)
{
	struct event *list;
	uint64_t lost;

	ev->want = want;
	if (want)
		return;
	list = events_take(ev, &lost);
	while (list) {
		struct event *e = list;

		list = e->next;
		event_free(e);
	}
}

bool events_wanted(const struct events *ev)
{
	return ev && ev->want;
}

uint64_t events_count(const struct events *ev, enum event_kind kind)
{
	return ev->count[kind];
}
