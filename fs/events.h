/* fs/events.h -- what happens in a mount, told to whoever wants to know.
 *
 * Parts put events; one reader (the control thread) takes them, while it wants
 * any. How many of each kind there were is counted always. Who puts never
 * waits: of what nobody takes in time, only the number is kept.
 *
 * Threads: any may put and touch, with locks above LOCK_LEAF held; listeners
 * are added before the first does. All functions that put take NULL: nobody
 * wants to know. */
#ifndef NMB_EVENTS_H
#define NMB_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

struct events;

enum event_kind {
	EVENT_QUEUED,    /* a node differs from what the server has */
	EVENT_UPLOADING, /* its content begins to leave, or goes on to */
	EVENT_UPLOADED,  /* ...and is there, verified; id */
	EVENT_MADE,      /* a folder; id */
	EVENT_MOVED,     /* by us: moved or renamed there; id */
	EVENT_DELETED,   /* by us; id */
	EVENT_FAILED,    /* tried again later; text: why */
	EVENT_BLOCKED,   /* not before somebody acts; text: why */
	EVENT_HELD,      /* too many deletes, overwrites; text */
	EVENT_CONFLICT,  /* both sides changed it; path: ours, text: its name */
	EVENT_REMOTE,    /* another device's change came; text: what it was */
	EVENT_KINDS,
};
const char *event_name(enum event_kind kind); /* "queued", ... */

struct event {
	struct event *next;
	enum event_kind kind;
	uint64_t ino;    /* 0: none */
	int64_t time_ns; /* since 1970 */
	/* "": unknown. The path is that from the root, "/" in front, raw bytes;
	 * unknown: it is the node's. */
	const char *path, *id, *text;
};

int events_new(struct events **out_ev);
void events_free(struct events *ev);

/* Called after each event and touch, by whoever put it: must only queue. */
typedef void events_wake_fn(void *arg);
void events_listen(struct events *ev, events_wake_fn *wake, void *arg);

/* `path`, `id` and `text` are copied; NULL: unknown. */
void events_put(struct events *ev, enum event_kind kind, uint64_t ino,
                const char *path, const char *id, const char *text);

/* Numbers or the state of the mount may have changed. */
void events_touch(struct events *ev);

/* Whether events are kept to be taken. Off: what is there goes. */
void events_want(struct events *ev, bool want);
bool events_wanted(const struct events *ev);

/* All that came since, oldest first, for event_free() one by one; NULL: none.
 * *out_lost: how many of the youngest were not kept. */
struct event *events_take(struct events *ev, uint64_t *out_lost);
void event_free(struct event *e);

uint64_t events_count(const struct events *ev, enum event_kind kind);

#endif
