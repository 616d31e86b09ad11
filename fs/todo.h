/* fs/todo.h -- the engine's schedule: which node is looked at next, and when.
 *
 * Derived from the store, never stored. Each dirty node has one entry; it is
 * due at a time, or waits for another node, or has a job under way.
 * Times are clock_mono_ms(). Threads: the engine's only. */
#ifndef NMB_TODO_H
#define NMB_TODO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct job;
struct todo;

struct todo_entry {
	uint64_t ino;
	int64_t due_ms;     /* heap key; TODO_NEVER: waits for something else */
	uint64_t on;        /* waits for that node; 0: not */
	struct job *job;    /* under way; borrowed */
	unsigned fails;     /* in a row: the back-off */
	uint64_t well;      /* what had gone well when it failed first */
	unsigned vain;      /* looks in a row after which nothing was done */
	bool blocked;       /* shown as such; taken back when it is tried */
	unsigned tag_moves; /* 412s in a row although nothing had changed */
	bool waits;         /* for a person (PLAN_HOLD), or for one that does */
	unsigned held;      /* times its name was refused as taken by nobody */
	int64_t refused; /* round after which its move was refused; 0: none */
	bool header_failed; /* what is there can't be read: its content is
	                     * replaced as if by a new file */
	int64_t delete_ms;  /* not deleted there before: its folder may go as a
	                     * whole; 0: not asked yet */
	/* inside */
	size_t at; /* place in the heap */
	struct todo_entry *next, *waiters;
	struct todo_entry *next_waiter, **pprev_waiter; /* of one `on` */
};

#define TODO_NEVER INT64_MAX

int todo_new(struct todo **out_t);
void todo_free(struct todo *t);

size_t todo_count(const struct todo *t);
/* NULL if there is none. */
struct todo_entry *todo_find(struct todo *t, uint64_t ino);
/* Finds or makes one, due never; NULL: no memory. */
struct todo_entry *todo_get(struct todo *t, uint64_t ino);
/* Wakes who waits for it, and goes. */
void todo_remove(struct todo *t, struct todo_entry *e, int64_t now_ms);

/* Due at `ms`; no longer waits for a node. */
void todo_set_due(struct todo *t, struct todo_entry *e, int64_t ms);
/* Due at `ms` or earlier. */
void todo_hasten(struct todo *t, struct todo_entry *e, int64_t ms);
/* Waits for `on` (an entry is made for it if need be, due now), and at the
 * latest until `ms`. 0 or -ENOMEM. */
int todo_wait_on(struct todo *t, struct todo_entry *e, uint64_t on,
                 int64_t now_ms, int64_t ms);
/* The node changed: who waits for it is due now. */
void todo_wake(struct todo *t, uint64_t ino, int64_t now_ms);

/* The next one that is due at `now_ms`, or NULL; it stays, due never. */
struct todo_entry *todo_pop(struct todo *t, int64_t now_ms);
/* When the next one is due; TODO_NEVER: none. */
int64_t todo_next_due(const struct todo *t);

/* All entries in no order; the callback may change their due times only. */
typedef void todo_each_fn(void *arg, struct todo_entry *e);
void todo_each(struct todo *t, todo_each_fn *each, void *arg);

#endif
