#include "fs/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/codec.h"
#include "fs/lock.h"
#include "fs/naming.h"
#include "fs/tree_internal.h"
#include "net/names.h"

/* Whole decoded path, folder included (facts/graph.md 11.1). */
#define PATH_UNITS 400

/* Descendants looked at when a directory moves deeper. A larger tree may be
 * refused late, by the service; then the node is blocked. */
#define WALK_ROWS 2000
#define MAX_DEPTH 512

/* UTF-16 units of the name on the server. */
static int name_units(struct tree *t, struct db *db, const struct node *n,
                      const char *target, unsigned *out)
{
	if (n->flags & (NODE_ALIAS | NODE_FOREIGN)) {
		*out = (unsigned)names_utf16_len(n->s_name);
		return 0;
	}
	return naming_units(t->opt.codec, db, n, target, out);
}

static bool get_cached(struct tree *t, uint64_t ino, unsigned *out_units)
{
	struct live *l;
	bool found;

	lock_take(&t->table_lock, LOCK_LEAF);
	l = tree_find_live_locked(t, ino);
	found = l && l->path_epoch == t->epoch;
	if (found)
		*out_units = l->path_units;
	lock_drop(&t->table_lock, LOCK_LEAF);
	return found;
}

static void put_cached(struct tree *t, uint64_t ino, unsigned units)
{
	struct live *l;

	lock_take(&t->table_lock, LOCK_LEAF);
	l = tree_find_live_locked(t, ino);
	if (l) {
		l->path_units = units;
		l->path_epoch = t->epoch;
	}
	lock_drop(&t->table_lock, LOCK_LEAF);
}

/* Units of the path of folder `ino` on the server. */
static int path_units(struct tree *t, struct db *db, uint64_t ino,
                      unsigned *out)
{
	uint64_t at = ino;
	unsigned sum = 0, part;
	struct node n;
	int rc = 0;

	for (int depth = 0; at != NODE_ROOT; depth++) {
		if (get_cached(t, at, &part)) {
			sum += part;
			break;
		}
		rc = depth < MAX_DEPTH ? node_get(db, at, &n) : -ELOOP;
		if (rc == 0)
			rc = n.parent ? name_units(t, db, &n, NULL, &part)
			              : -ENOENT;
		if (rc < 0)
			return rc;
		sum += 1 + part;
		at = n.parent;
	}
	if (at == NODE_ROOT)
		sum += t->service_units + t->opt.path_units;
	put_cached(t, ino, sum);
	*out = sum;
	return 0;
}

void tree_set_service_units(struct tree *t, unsigned units)
{
	lock_take(&t->table_lock, LOCK_LEAF);
	if (t->service_units != units)
		t->epoch++;
	t->service_units = units;
	lock_drop(&t->table_lock, LOCK_LEAF);
}

struct walk {
	struct tree *t;
	struct db *db;
	unsigned rows, units; /* of the path so far */
	unsigned deepest;
	uint64_t *dirs; /* folders to look into, with the units above each */
	size_t n, cap;
};

static int push_dir(struct walk *w, uint64_t ino, unsigned units)
{
	uint64_t *p;

	if (w->n + 2 > w->cap) {
		w->cap = w->cap ? w->cap * 2 : 32;
		p = realloc(w->dirs, w->cap * sizeof(*p));
		if (!p)
			return -ENOMEM;
		w->dirs = p;
	}
	w->dirs[w->n++] = ino;
	w->dirs[w->n++] = units;
	return 0;
}

static int walk_child(void *arg, const struct node *n)
{
	struct walk *w = arg;
	unsigned units;

	if (w->rows++ >= WALK_ROWS)
		return 1;
	if (name_units(w->t, w->db, n, NULL, &units) < 0)
		return 0; /* it is there already: not this check's business */
	units += w->units + 1;
	if (units > w->deepest)
		w->deepest = units;
	return node_is_dir(n) ? push_dir(w, n->ino, units) : 0;
}

/* Units below directory `ino`, its own name not counted. */
static int depth_units(struct tree *t, struct db *db, uint64_t ino,
                       unsigned *out)
{
	struct walk w = { .t = t, .db = db };
	int rc = push_dir(&w, ino, 0);

	while (rc == 0 && w.n && w.rows < WALK_ROWS) {
		uint64_t dir;

		w.units = (unsigned)w.dirs[--w.n];
		dir = w.dirs[--w.n];
		rc = node_each_child(db, dir, 0, walk_child, &w);
	}
	free(w.dirs);
	*out = w.deepest;
	return rc;
}

static int check_path(struct tree *t, struct db *db, uint64_t parent,
                      const struct node *n, const char *target)
{
	unsigned above, own, below = 0, before;
	int rc = name_units(t, db, n, target, &own);

	if (rc == 0)
		rc = path_units(t, db, parent, &above);
	if (rc < 0)
		return rc;
	above += 1 + own;
	if (above > PATH_UNITS)
		return -ENAMETOOLONG;
	if (!n->parent || !node_is_dir(n))
		return 0;
	/* A directory that moves: only a longer path can be too long. */
	if (path_units(t, db, n->ino, &before) == 0 && above <= before)
		return 0;
	rc = depth_units(t, db, n->ino, &below);
	if (rc == 0 && above + below > PATH_UNITS)
		rc = -ENAMETOOLONG;
	return rc;
}

/* The service holds some different names equal. */
static int check_twin(struct tree *t, struct db *db, uint64_t parent,
                      const struct node *n, uint64_t except, char **out_fold)
{
	const struct codec *c = t->opt.codec;
	struct node twin;
	char *fold;
	int rc = 0;

	*out_fold = NULL;
	fold = c->ops->folds_names ? c->ops->fold(c, n->name, &rc) : NULL;
	if (rc < 0 || !fold)
		return rc;
	rc = node_get_twin(db, parent, fold, &twin);
	if (rc == 0)
		rc = twin.ino == n->ino || twin.ino == except ? 0 : -EEXIST;
	else if (rc == -ENOENT)
		rc = 0;
	if (rc < 0 || !strcmp(fold, n->name)) {
		free(fold);
		fold = NULL;
	}
	*out_fold = fold;
	return rc;
}

int tree_check_place(struct tree *t, struct db *db, uint64_t parent,
                     const struct node *n, const char *target, uint64_t except,
                     char **out_fold)
{
	int rc = check_path(t, db, parent, n, target);

	return rc < 0 ? rc : check_twin(t, db, parent, n, except, out_fold);
}
