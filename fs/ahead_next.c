#include "fs/ahead_next.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/db.h"

#define FOLDERS 8   /* gone into at a time */
#define LOOKED  256 /* entries of one folder looked at, at a time */

static void set_place(struct ahead_place *p, const struct node *n)
{
	p->parent = n->parent;
	p->ino = n->ino;
	memcpy(p->name, n->name, sizeof(p->name));
}

int ahead_place_of(struct db *db, uint64_t ino, struct ahead_place *out)
{
	struct node *n = malloc(sizeof(*n));
	int rc = n ? node_get(db, ino, n) : -ENOMEM;

	if (rc == 0 && !n->parent)
		rc = -ENOENT;
	if (rc == 0)
		set_place(out, n);
	free(n);
	return rc;
}

static int each_after(struct db *db, enum ahead_order order,
                      const struct ahead_place *at, node_each_fn *fn, void *arg)
{
	switch (order) {
	case AHEAD_LISTED:
		return node_each_child(db, at->parent, at->ino, fn, arg);
	case AHEAD_NAMED:
		return node_each_named_child(db, at->parent, at->name, fn, arg);
	}
	return -EINVAL;
}

/* ---- is it next? --------------------------------------------------------- */

struct near {
	uint64_t ino;
	unsigned seen;
	bool found;
};

static int look_near(void *arg, const struct node *n)
{
	struct near *near = arg;

	near->found = n->ino == near->ino;
	return near->found || ++near->seen > AHEAD_NEAR;
}

int ahead_follows(struct db *db, enum ahead_order order,
                  const struct ahead_place *from, const struct ahead_place *to)
{
	struct near near = { .ino = to->ino };
	int rc;

	if (from->parent != to->parent)
		return 0;
	rc = each_after(db, order, from, look_near, &near);
	return rc < 0 ? rc : near.found;
}

/* ---- what is next? ------------------------------------------------------- */

struct files {
	uint64_t max_size;
	struct ahead_place *at;
	struct ahead_file *out;
	size_t n, max;
	unsigned looked;
};

static bool is_worth_it(const struct node *n, uint64_t max_size)
{
	return node_is_file(n) && node_on_server(n) && n->s_gen == n->gen &&
	       n->size && n->size <= max_size &&
	       !(n->flags & (NODE_FOREIGN | NODE_MALWARE | NODE_DIRTY));
}

static int add_file(void *arg, const struct node *n)
{
	struct files *f = arg;

	if (f->n == f->max || f->looked++ == LOOKED)
		return 1;
	set_place(f->at, n);
	if (is_worth_it(n, f->max_size))
		f->out[f->n++] = (struct ahead_file){ n->ino, n->size };
	return 0;
}

static int first_folder(void *arg, const struct node *n)
{
	struct ahead_place *p = arg;

	if (!node_is_dir(n))
		return 0;
	if (!(n->flags & NODE_UNLISTED))
		set_place(p, n);
	return 1;
}

/* The folder after the one that `at` is in; 1, or 0 if there is none. */
static int next_folder(struct db *db, enum ahead_order order,
                       struct ahead_place *at)
{
	struct ahead_place next = { .ino = 0 }, here;
	int rc = ahead_place_of(db, at->parent, &here);

	if (rc == 0)
		rc = each_after(db, order, &here, first_folder, &next);
	if (rc < 0 || !next.ino)
		return rc == -ENOENT ? 0 : rc; /* the root has none beside it */
	*at = (struct ahead_place){ .parent = next.ino };
	return 1;
}

int ahead_next(struct db *db, enum ahead_order order, uint64_t max_size,
               struct ahead_place *at, struct ahead_file *out, size_t n,
               size_t *out_n)
{
	struct files f = {
		.max_size = max_size, .at = at, .out = out, .max = n
	};
	int rc = 1;

	for (unsigned i = 0; i < FOLDERS && rc == 1; i++) {
		f.looked = 0;
		rc = each_after(db, order, at, add_file, &f);
		if (rc < 0 || f.n == n || f.looked > LOOKED)
			break;
		rc = next_folder(db, order, at);
	}
	*out_n = f.n;
	return rc < 0 ? rc : 0;
}
