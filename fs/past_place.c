#include "fs/past_internal.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Two indexes: by id all that has one, by parent and name what is alive. */

static int by_id(const void *a, const void *b)
{
	const struct thing *x = a, *y = b;

	return strcmp(x->id, y->id);
}

static int by_place(const void *a, const void *b)
{
	const struct thing *x = a, *y = b;

	if (x->parent != y->parent)
		return (uintptr_t)x->parent < (uintptr_t)y->parent ? -1 : 1;
	return strcmp(x->name, y->name);
}

static struct thing *found(void *node)
{
	return node ? *(struct thing **)node : NULL;
}

/* ---- ids ----------------------------------------------------------------- */

struct thing *past_find(struct past *p, const char *id)
{
	struct thing key = { 0 };

	if (!id || !id[0])
		return NULL;
	if (!strcmp(id, p->root.id))
		return &p->root;
	memcpy(&key.id, &id, sizeof(id)); /* it is only looked at */
	return found(tfind(&key, &p->by_id, by_id));
}

int past_add(struct past *p, const char *id, struct thing **out_t)
{
	struct thing *t = calloc(1, sizeof(*t));

	if (t) {
		t->id = strdup(id);
		t->name = strdup("");
	}
	if (!t || !t->id || !t->name ||
	    (id[0] && !tsearch(t, &p->by_id, by_id))) {
		if (t) {
			free(t->id);
			free(t->name);
		}
		free(t);
		return -ENOMEM;
	}
	t->next = p->things;
	p->things = t;
	*out_t = t;
	return 0;
}

/* ---- places -------------------------------------------------------------- */

struct thing *past_child(struct past *p, const struct thing *parent,
                         const char *name)
{
	struct thing key = { 0 };

	memcpy(&key.parent, &parent, sizeof(parent));
	memcpy(&key.name, &name, sizeof(name));
	return found(tfind(&key, &p->by_place, by_place));
}

bool past_is_below(const struct thing *t, const struct thing *above)
{
	for (; t; t = t->parent) {
		if (t == above)
			return true;
	}
	return false;
}

void past_take_out(struct past *p, struct thing *t)
{
	if (t->alive)
		tdelete(t, &p->by_place, by_place);
	t->alive = false;
}

/* What lies in `from` lies in `to`: seldom, and then there is little. */
static int hand_over(struct past *p, struct thing *from, struct thing *to)
{
	for (struct thing *t = p->things; t; t = t->next) {
		if (t->parent != from || !t->alive)
			continue;
		past_take_out(p, t);
		if (past_child(p, to, t->name))
			continue;
		t->parent = to;
		if (!tsearch(t, &p->by_place, by_place))
			return -ENOMEM;
		t->alive = true;
	}
	return 0;
}

int past_put(struct past *p, struct thing *t, struct thing *parent,
             const char *name, size_t name_len)
{
	char *copy = strndup(name, name_len);
	struct thing *there;
	int rc = 0;

	if (!copy)
		return -ENOMEM;
	past_take_out(p, t);
	free(t->name);
	t->name = copy;
	if (past_is_below(parent, t)) {
		t->parent = &p->root;
		return 0;
	}
	t->parent = parent;
	there = past_child(p, parent, copy);
	if (there)
		past_take_out(p, there);
	if (!tsearch(t, &p->by_place, by_place))
		return -ENOMEM;
	t->alive = true;
	if (there && !there->id[0] && !S_ISREG(t->mode) && !S_ISLNK(t->mode))
		rc = hand_over(p, there, t);
	return rc;
}

int past_way(struct past *p, const char *path, struct thing **out_parent,
             const char **out_name)
{
	struct thing *at = &p->root, *t;

	path += strspn(path, "/");
	for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
		char *name = strndup(path, (size_t)(slash - path));
		int rc = 0;

		if (!name)
			return -ENOMEM;
		t = past_child(p, at, name);
		if (!t || (t->mode && !S_ISDIR(t->mode))) {
			rc = past_add(p, "", &t);
			if (rc == 0) {
				t->mode = S_IFDIR;
				rc = past_put(p, t, at, name, strlen(name));
			}
		}
		free(name);
		if (rc < 0)
			return rc;
		at = t;
	}
	*out_parent = at;
	*out_name = path;
	return 0;
}
