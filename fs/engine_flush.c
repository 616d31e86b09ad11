#include "fs/engine_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/db.h"
#include "fs/lock.h"
#include "fs/naming.h"
#include "fs/store.h"
#include "net/clock.h"

/* A flush remembers what was dirty when it was asked: nodes in ascending ino,
 * each with the generation that must arrive. */
struct flush_node {
	uint64_t ino, gen, bytes;
	bool done;
};

struct flush {
	struct flush *next;
	uint64_t ticket;
	int64_t until_ms; /* TODO_NEVER: no limit */
	engine_wake_fn *wake;
	void *arg;
	struct flush_node *nodes;
	size_t n, cap, left;
	bool blocked, held;
	bool looked; /* every node was looked at once since it was linked */
};

struct collect {
	struct db *db;
	struct flush *f;
	uint64_t below;
};

static int add_node(void *arg, const struct node *n)
{
	struct collect *c = arg;
	struct flush *f = c->f;
	int rc;

	if (n->ino == NODE_ROOT)
		return 0;
	rc = c->below == NODE_ROOT ? 1 : node_is_below(c->db, n->ino, c->below);
	if (rc <= 0)
		return rc;
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 64;
		struct flush_node *p = realloc(f->nodes, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		f->nodes = p;
		f->cap = cap;
	}
	f->nodes[f->n++] = (struct flush_node){
		.ino = n->ino,
		.gen = n->gen,
		.bytes = n->parent && n->gen != n->s_gen ? n->size : 0,
	};
	return 0;
}

static void flush_free(struct flush *f)
{
	free(f->nodes);
	free(f);
}

static int collect(struct engine *e, uint64_t below, struct flush *f)
{
	struct collect c = { .f = f, .below = below };
	int rc = store_reader(e->opt.store, &c.db);

	if (rc < 0)
		return rc;
	rc = node_each_dirty(c.db, 0, add_node, &c);
	store_reader_done(e->opt.store, c.db);
	f->left = f->n;
	return rc;
}

int engine_flush(struct engine *e, uint64_t ino, int64_t timeout_ms,
                 engine_wake_fn *wake, void *arg, uint64_t *out_ticket)
{
	struct flush *f = calloc(1, sizeof(*f));
	int rc = f ? collect(e, ino, f) : -ENOMEM;

	if (rc < 0) {
		if (f)
			flush_free(f);
		return rc;
	}
	f->until_ms =
		timeout_ms < 0 ? TODO_NEVER : clock_mono_ms() + timeout_ms;
	f->wake = wake;
	f->arg = arg;
	lock_take(&e->lock, LOCK_LEAF);
	f->ticket = *out_ticket = e->next_ticket++;
	f->next = e->flushes;
	e->flushes = f;
	e->notes_lost =
		true; /* all dirty nodes are planned again, in a hurry */
	pthread_cond_signal(&e->wake);
	lock_drop(&e->lock, LOCK_LEAF);
	return 0;
}

static struct flush_node *find_node(const struct flush *f, uint64_t ino)
{
	size_t lo = 0, hi = f->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (f->nodes[mid].ino < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < f->n && f->nodes[lo].ino == ino ? &f->nodes[lo] : NULL;
}

static bool waits_for(struct engine *e, uint64_t ino, bool *out_any)
{
	bool found = false;

	lock_take(&e->lock, LOCK_LEAF);
	*out_any = e->flushes != NULL;
	for (struct flush *f = e->flushes; f && !found; f = f->next) {
		const struct flush_node *n = find_node(f, ino);

		found = n && !n->done;
	}
	lock_drop(&e->lock, LOCK_LEAF);
	return found;
}

bool engine_flush_wants(struct engine *e, uint64_t ino)
{
	bool any;

	return waits_for(e, ino, &any);
}

/* How the node stands: has it arrived as it was when the flush began? */
struct standing {
	bool gone, clean, blocked, held;
	uint64_t s_gen; /* 0 unless its place is right there too */
};

static int look_at(struct engine *e, uint64_t ino, struct standing *out)
{
	struct node *n = malloc(sizeof(*n));
	char why[16], want[NODE_REMOTE_MAX + 1];
	const char *no;
	struct db *db;
	int rc = n ? store_reader(e->opt.store, &db) : -ENOMEM, blocked;

	memset(out, 0, sizeof(*out));
	if (rc < 0) {
		free(n);
		return rc;
	}
	rc = node_get(db, ino, n);
	if (rc == -ENOENT) {
		out->gone = true;
		rc = 0;
	} else if (rc == 0) {
		out->clean = !(n->flags & NODE_DIRTY);
		if (n->parent && node_on_server(n) &&
		    naming_seal(e->opt.codec, db, n, want, &no) == 0 &&
		    !plan_place_differs(n, want))
			out->s_gen = n->s_gen;
		rc = node_get_blocked(db, ino, &blocked, why, sizeof(why));
		out->blocked = rc == 0;
		rc = rc == -ENOENT ? 0 : rc;
	}
	store_reader_done(e->opt.store, db);
	free(n);
	return rc;
}

static void end_flush(struct flush *f, int rc)
{
	f->wake(f->arg, rc);
	flush_free(f);
}

/* Takes those out that are complete, or whose time is over. */
static void end_some(struct engine *e, int64_t now_ms, int all_rc)
{
	struct flush **pp, *done = NULL;

	lock_take(&e->lock, LOCK_LEAF);
	pp = &e->flushes;
	while (*pp) {
		struct flush *f = *pp;

		if (!all_rc && f->left && f->until_ms > now_ms) {
			pp = &f->next;
			continue;
		}
		*pp = f->next;
		f->next = done;
		done = f;
	}
	lock_drop(&e->lock, LOCK_LEAF);
	while (done) {
		struct flush *f = done;

		done = f->next;
		end_flush(f, all_rc       ? all_rc
		             : f->left    ? -ETIMEDOUT
		             : f->held    ? -EPERM
		             : f->blocked ? -EIO
		                          : 0);
	}
}

void engine_flush_check(struct engine *e, uint64_t ino)
{
	const struct todo_entry *t;
	struct standing s;
	bool any;

	if (!waits_for(e, ino, &any) || look_at(e, ino, &s) < 0)
		return;
	t = todo_find(e->todo, ino);
	s.held = t && t->waits && !s.clean && !s.gone;
	/* A flush tries it once more; what comes of that counts. */
	if (t && (t->job || t->due_ms <= clock_mono_ms()))
		s.blocked = false;
	lock_take(&e->lock, LOCK_LEAF);
	for (struct flush *f = e->flushes; f; f = f->next) {
		struct flush_node *n = find_node(f, ino);

		if (!n || n->done)
			continue;
		n->done = s.gone || s.clean || s.blocked || s.held ||
		          (s.s_gen && s.s_gen >= n->gen);
		f->held |= n->done && s.held;
		f->blocked |= n->done && s.blocked && !s.clean && !s.gone;
		f->left -= n->done;
	}
	lock_drop(&e->lock, LOCK_LEAF);
	end_some(e, 0, 0);
}

/* What became clean between collecting and linking tells nobody any more. */
static void look_at_new(struct engine *e)
{
	uint64_t *inos = NULL;
	size_t n = 0;

	lock_take(&e->lock, LOCK_LEAF);
	for (struct flush *f = e->flushes; f && !inos; f = f->next) {
		if (f->looked)
			continue;
		inos = malloc((f->n + 1) * sizeof(*inos));
		f->looked = inos != NULL;
		while (inos && n < f->n) {
			inos[n] = f->nodes[n].ino;
			n++;
		}
	}
	lock_drop(&e->lock, LOCK_LEAF);
	for (size_t i = 0; i < n; i++)
		engine_flush_check(e, inos[i]);
	free(inos);
}

void engine_flush_expire(struct engine *e, int64_t now_ms)
{
	look_at_new(e);
	end_some(e, now_ms, 0);
}

int64_t engine_flush_next_ms(struct engine *e)
{
	int64_t ms = TODO_NEVER;

	lock_take(&e->lock, LOCK_LEAF);
	for (struct flush *f = e->flushes; f; f = f->next) {
		if (f->until_ms < ms)
			ms = f->until_ms;
	}
	lock_drop(&e->lock, LOCK_LEAF);
	return ms;
}

void engine_flush_end_all(struct engine *e, int rc)
{
	end_some(e, 0, rc);
}

void engine_flush_cancel(struct engine *e, uint64_t ticket)
{
	lock_take(&e->lock, LOCK_LEAF);
	for (struct flush *f = e->flushes; f; f = f->next) {
		if (f->ticket == ticket)
			f->until_ms = 0;
	}
	pthread_cond_signal(&e->wake);
	e->kick_clocks = true;
	lock_drop(&e->lock, LOCK_LEAF);
}

void engine_flush_left(struct engine *e, uint64_t ticket, uint64_t *out_nodes,
                       uint64_t *out_bytes)
{
	*out_nodes = *out_bytes = 0;
	lock_take(&e->lock, LOCK_LEAF);
	for (struct flush *f = e->flushes; f; f = f->next) {
		if (f->ticket != ticket)
			continue;
		*out_nodes = f->left;
		for (size_t i = 0; i < f->n; i++)
			*out_bytes += f->nodes[i].done ? 0 : f->nodes[i].bytes;
	}
	lock_drop(&e->lock, LOCK_LEAF);
}
