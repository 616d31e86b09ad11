#include "fs/todo.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define FIRST_BUCKETS 256

struct todo {
	struct todo_entry **heap; /* by due_ms, all entries */
	size_t n, cap;
	struct todo_entry **bucket;
	size_t nbuckets; /* power of two */
};

/* ---- the heap ------------------------------------------------------------ */

static void put(struct todo *t, size_t at, struct todo_entry *e)
{
	t->heap[at] = e;
	e->at = at;
}

static void sift_up(struct todo *t, size_t at)
{
	struct todo_entry *e = t->heap[at];

	while (at && t->heap[(at - 1) / 2]->due_ms > e->due_ms) {
		put(t, at, t->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	put(t, at, e);
}

static void sift_down(struct todo *t, size_t at)
{
	struct todo_entry *e = t->heap[at];

	for (;;) {
		size_t kid = 2 * at + 1;

		if (kid + 1 < t->n &&
		    t->heap[kid + 1]->due_ms < t->heap[kid]->due_ms)
			kid++;
		if (kid >= t->n || t->heap[kid]->due_ms >= e->due_ms)
			break;
		put(t, at, t->heap[kid]);
		at = kid;
	}
	put(t, at, e);
}

static void set_key(struct todo *t, struct todo_entry *e, int64_t ms)
{
	bool up = ms < e->due_ms;

	e->due_ms = ms;
	if (up)
		sift_up(t, e->at);
	else
		sift_down(t, e->at);
}

/* ---- the table ----------------------------------------------------------- */

static struct todo_entry **find_slot(struct todo *t, uint64_t ino)
{
	struct todo_entry **pp =
		&t->bucket[(ino * UINT64_C(0x9e3779b97f4a7c15) >> 32) &
	                   (t->nbuckets - 1)];

	while (*pp && (*pp)->ino != ino)
		pp = &(*pp)->next;
	return pp;
}

static int grow(struct todo *t)
{
	size_t cap = t->cap ? t->cap * 2 : FIRST_BUCKETS;
	struct todo_entry **heap, **bucket;

	heap = realloc(t->heap, cap * sizeof(struct todo_entry *));
	if (!heap)
		return -ENOMEM;
	t->heap = heap;
	bucket = calloc(cap, sizeof(struct todo_entry *));
	if (!bucket)
		return -ENOMEM;
	free(t->bucket);
	t->bucket = bucket;
	t->nbuckets = t->cap = cap;
	for (size_t i = 0; i < t->n; i++) {
		struct todo_entry **pp;

		heap[i]->next = NULL;
		pp = find_slot(t, heap[i]->ino);
		*pp = heap[i];
	}
	return 0;
}

int todo_new(struct todo **out_t)
{
	struct todo *t = calloc(1, sizeof(*t));
	int rc = t ? grow(t) : -ENOMEM;

	if (rc < 0)
		todo_free(t);
	else
		*out_t = t;
	return rc;
}

void todo_free(struct todo *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		free(t->heap[i]);
	free(t->heap);
	free(t->bucket);
	free(t);
}

size_t todo_count(const struct todo *t)
{
	return t->n;
}

struct todo_entry *todo_find(struct todo *t, uint64_t ino)
{
	return *find_slot(t, ino);
}

struct todo_entry *todo_get(struct todo *t, uint64_t ino)
{
	struct todo_entry *e = todo_find(t, ino);

	if (e)
		return e;
	if (t->n == t->cap && grow(t) < 0)
		return NULL;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->ino = ino;
	e->due_ms = TODO_NEVER;
	*find_slot(t, ino) = e;
	put(t, t->n++, e);
	return e;
}

/* ---- waiting ------------------------------------------------------------- */

static void leave(struct todo_entry *e)
{
	if (!e->on)
		return;
	e->on = 0;
	*e->pprev_waiter = e->next_waiter;
	if (e->next_waiter)
		e->next_waiter->pprev_waiter = e->pprev_waiter;
	e->next_waiter = NULL;
}

static void wake_waiters(struct todo *t, struct todo_entry *e, int64_t now_ms)
{
	struct todo_entry *w;

	while ((w = e->waiters)) {
		leave(w);
		set_key(t, w, now_ms);
	}
}

void todo_remove(struct todo *t, struct todo_entry *e, int64_t now_ms)
{
	struct todo_entry *last;

	assert(!e->job);
	leave(e);
	wake_waiters(t, e, now_ms);
	*find_slot(t, e->ino) = e->next;
	last = t->heap[--t->n];
	if (last != e) {
		put(t, e->at, last);
		sift_up(t, last->at);
		sift_down(t, last->at);
	}
	free(e);
}

void todo_set_due(struct todo *t, struct todo_entry *e, int64_t ms)
{
	leave(e);
	set_key(t, e, ms);
}

void todo_hasten(struct todo *t, struct todo_entry *e, int64_t ms)
{
	if (e->due_ms > ms)
		todo_set_due(t, e, ms);
}

int todo_wait_on(struct todo *t, struct todo_entry *e, uint64_t on,
                 int64_t now_ms, int64_t ms)
{
	struct todo_entry *o = todo_find(t, on);

	leave(e);
	if (!o) {
		o = todo_get(t, on);
		if (!o)
			return -ENOMEM;
		set_key(t, o, now_ms);
	}
	e->on = on;
	e->next_waiter = o->waiters;
	e->pprev_waiter = &o->waiters;
	if (e->next_waiter)
		e->next_waiter->pprev_waiter = &e->next_waiter;
	o->waiters = e;
	set_key(t, e, ms);
	return 0;
}

void todo_wake(struct todo *t, uint64_t ino, int64_t now_ms)
{
	struct todo_entry *e = todo_find(t, ino);

	if (e)
		wake_waiters(t, e, now_ms);
}

struct todo_entry *todo_pop(struct todo *t, int64_t now_ms)
{
	struct todo_entry *e = t->n ? t->heap[0] : NULL;

	if (!e || e->due_ms > now_ms)
		return NULL;
	todo_set_due(t, e, TODO_NEVER);
	return e;
}

int64_t todo_next_due(const struct todo *t)
{
	return t->n ? t->heap[0]->due_ms : TODO_NEVER;
}

void todo_each(struct todo *t, todo_each_fn *each, void *arg)
{
	/* By bucket: the heap's order may change under us. */
	for (size_t i = 0; i < t->nbuckets; i++) {
		for (struct todo_entry *e = t->bucket[i]; e; e = e->next)
			each(arg, e);
	}
}
