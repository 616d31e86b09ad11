#include "fs/past_internal.h"

#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/ledger.h"

static int set_text(char **to, const char *text)
{
	char *copy = NULL;

	if (text && text[0]) {
		copy = strdup(text);
		if (!copy)
			return -ENOMEM;
	}
	free(*to);
	*to = copy;
	return 0;
}

int past_new(int64_t at, const char *root_id, struct past **out_p)
{
	struct past *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->at = at;
	p->root.alive = true;
	p->root.mode = S_IFDIR;
	p->root.id = strdup(root_id);
	p->root.name = strdup("");
	if (!p->root.id || !p->root.name) {
		past_free(p);
		return -ENOMEM;
	}
	*out_p = p;
	return 0;
}

static void nothing(void *node)
{
	(void)node;
}

void past_free(struct past *p)
{
	if (!p)
		return;
	tdestroy(p->by_id, nothing);
	tdestroy(p->by_place, nothing);
	for (struct thing *t = p->things, *next; t; t = next) {
		next = t->next;
		free(t->id);
		free(t->name);
		free(t->target);
		free(t->last_parent);
		free(t->last_name);
		free(t);
	}
	free(p->root.id);
	free(p->root.name);
	free(p);
}

/* ---- the ledger ---------------------------------------------------------- */

static int place(struct past *p, struct thing *t, const struct ledger_entry *e)
{
	struct thing *parent, *by_path = past_find(p, e->parent_id);
	const char *name;
	int rc;

	if (!e->path[0]) /* it had no name here any more */
		return 0;
	if (by_path && by_path->alive) {
		/* Where it lies there: the way here may be ahead of that. */
		parent = by_path;
		name = strrchr(e->path, '/');
		name = name ? name + 1 : e->path;
	} else {
		rc = past_way(p, e->path, &parent, &name);
		if (rc < 0)
			return rc;
	}
	return name[0] ? past_put(p, t, parent, name, strlen(name)) : 0;
}

/* Old entries don't tell what it was: no file there is empty and has a hash. */
static mode_t mode_of(const struct ledger_entry *e)
{
	if (e->mode)
		return e->mode;
	return e->size || e->has_hash ? S_IFREG | 0644 : 0;
}

static void fill(struct thing *t, const struct ledger_entry *e)
{
	t->known = true;
	t->size = e->size;
	t->plain_size = e->plain_size;
	t->has_hash = e->has_hash;
	memcpy(t->hash, e->hash, sizeof(t->hash));
	t->has_plain_hash = e->has_plain_hash;
	memcpy(t->plain_hash, e->plain_hash, sizeof(t->plain_hash));
}

/* Does it say which content there is, or only repeat what was said? */
static bool is_content(const struct thing *t, const struct ledger_entry *e)
{
	if (e->what == LEDGER_CREATED || e->what == LEDGER_CONTENT ||
	    e->what == LEDGER_BACK)
		return true;
	return !t->noted && (e->has_hash || e->size);
}

static int apply(struct past *p, struct thing *t, const struct ledger_entry *e)
{
	int rc = 0;

	if (mode_of(e))
		t->mode = mode_of(e);
	if (is_content(t, e)) {
		fill(t, e);
		t->confirmed = e->time;
	}
	if (e->mode) {
		t->mtime = e->mtime;
		rc = set_text(&t->target, e->target);
	}
	if (rc < 0)
		return rc;
	if (e->what != LEDGER_DELETED)
		return place(p, t, e);
	past_take_out(p, t);
	return 0;
}

static int remember_last(struct thing *t, const struct ledger_entry *e)
{
	const char *name = strrchr(e->path, '/');
	int rc = 0;

	if (is_content(t, e)) {
		t->last_filled = e->time;
		t->last_size = e->size;
		t->last_has_hash = e->has_hash;
		memcpy(t->last_hash, e->hash, sizeof(t->last_hash));
	}
	t->ended = e->what == LEDGER_DELETED;
	t->ended_at = t->ended ? e->time : 0;
	if (!e->path[0] || t->ended)
		return 0;
	t->last_placed = e->time;
	rc = set_text(&t->last_parent, e->parent_id);
	return rc < 0 ? rc : set_text(&t->last_name, name ? name + 1 : e->path);
}

/* It was there before what the ledger has of it, somehow: as it was when the
 * ledger first met it. */
static int apply_early(struct past *p, struct thing *t,
                       const struct ledger_entry *e)
{
	struct ledger_entry *first;
	int rc;

	if (e->what == LEDGER_CREATED)
		return 0;
	first = malloc(sizeof(*first));
	if (!first)
		return -ENOMEM;
	*first = *e;
	first->what = LEDGER_MOVED;
	rc = apply(p, t, first);
	free(first);
	t->early = true;
	t->known = e->what == LEDGER_MOVED || e->what == LEDGER_DELETED
	                   ? t->known
	                   : false;
	t->doubts |= PAST_EARLY;
	return rc;
}

int past_note(struct past *p, const struct ledger_entry *e)
{
	struct thing *t = past_find(p, e->id);
	int rc = t ? 0 : past_add(p, e->id, &t);

	if (rc < 0 || t == &p->root)
		return rc;
	if (e->time <= p->at)
		rc = apply(p, t, e);
	else if (!t->noted)
		rc = apply_early(p, t, e);
	if (rc == 0)
		rc = remember_last(t, e);
	t->noted = true;
	return rc;
}

/* ---- what is there now --------------------------------------------------- */

/* By something that is more than a path. */
static bool is_taken(struct past *p, const struct thing *parent,
                     const char *name)
{
	const struct thing *there = past_child(p, parent, name);

	return there && there->id[0];
}

static int see_stranger(struct past *p, const struct past_seen *s)
{
	struct thing *parent = past_find(p, s->parent_id), *t;
	const char *name;
	int rc;

	if (s->created > p->at)
		return 0;
	if (parent && parent->alive && (name = strrchr(s->path, '/')))
		name++;
	else if (parent == &p->root)
		name = s->path;
	else
		parent = NULL;
	rc = parent ? 0 : past_way(p, s->path, &parent, &name);
	if (rc < 0 || !name[0])
		return rc;
	/* Two of one name, or this one lay elsewhere then: both are shown. */
	if (is_taken(p, parent, name)) {
		if (!s->alias || is_taken(p, parent, s->alias))
			return 0;
		name = s->alias;
	}
	rc = past_add(p, s->id, &t);
	if (rc < 0)
		return rc;
	t->mode = s->mode;
	t->mtime = s->mtime;
	t->present = true;
	/* A folder is what is in it. */
	t->doubts = S_ISDIR(s->mode) ? 0 : PAST_FOREIGN;
	rc = set_text(&t->target, s->target);
	return rc < 0 ? rc : past_put(p, t, parent, name, strlen(name));
}

static bool same_place(const struct thing *t, const struct past_seen *s)
{
	const char *name = strrchr(s->path, '/');

	if (!t->last_name)
		return true;
	if (t->last_parent && strcmp(t->last_parent, s->parent_id) != 0)
		return false;
	return !strcmp(t->last_name, name ? name + 1 : s->path);
}

static bool same_content(const struct thing *t, const struct past_seen *s)
{
	if (t->last_size != s->size)
		return false;
	return !t->last_has_hash || !s->has_hash ||
	       !memcmp(t->last_hash, s->hash, sizeof(s->hash));
}

int past_see(struct past *p, const struct past_seen *s)
{
	struct thing *t = past_find(p, s->id);

	if (t == &p->root)
		return 0;
	if (!t)
		return see_stranger(p, s);
	t->present = true;
	if (!t->mode || (t->mode & S_IFMT) != (s->mode & S_IFMT)) {
		t->mode = s->mode;
		t->mtime = s->mtime;
		if (set_text(&t->target, s->target) < 0)
			return -ENOMEM;
	}
	if (t->early && s->created > p->at)
		past_take_out(p, t);
	if (t->ended) {
		if (p->at >= t->ended_at)
			t->doubts |= PAST_BACK;
		return 0;
	}
	if (!t->alive)
		return 0;
	if (p->at >= t->last_placed && !same_place(t, s))
		t->doubts |= PAST_MOVED;
	if (!S_ISDIR(t->mode) && p->at >= t->last_filled && !same_content(t, s))
		t->doubts |= PAST_FOREIGN;
	return 0;
}

/* ---- what there was ------------------------------------------------------ */

struct found {
	struct thing *t;
	char *path;
};

/* NULL, with *out_rc 0: it is in no tree. */
static char *path_of(const struct past *p, const struct thing *t, int *out_rc)
{
	size_t len = 0;
	char *path, *end;

	*out_rc = 0;
	for (const struct thing *u = t; u != &p->root; u = u->parent) {
		if (!u || (!u->alive && u != t))
			return NULL;
		len += strlen(u->name) + 1;
	}
	assert(len); /* the root has no path */
	path = malloc(len + 1);
	if (!path) {
		*out_rc = -ENOMEM;
		return NULL;
	}
	end = path + len;
	*--end = '\0';
	for (const struct thing *u = t; u != &p->root; u = u->parent) {
		size_t n = strlen(u->name);

		end -= n;
		memcpy(end, u->name, n);
		if (end > path)
			*--end = '/';
	}
	return path;
}

static int by_path(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static int collect(struct past *p, struct found **out_f, size_t *out_n)
{
	size_t n = 0, most = 0;
	struct found *f;
	int rc = 0;

	for (struct thing *t = p->things; t; t = t->next)
		most++;
	f = calloc(most + 1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	for (struct thing *t = p->things; t && rc == 0; t = t->next) {
		if ((!t->alive && !(t->doubts & PAST_BACK)) || !t->parent)
			continue;
		f[n].t = t;
		f[n].path = path_of(p, t, &rc);
		n += f[n].path != NULL;
	}
	qsort(f, n, sizeof(*f), by_path);
	*out_f = f;
	*out_n = n;
	return rc;
}

static struct past_item describe(const struct found *f)
{
	const struct thing *t = f->t;
	struct past_item it = { .id = t->id,
		                .path = f->path,
		                .mode = t->mode ? t->mode : S_IFDIR,
		                .mtime = t->mtime,
		                .target = t->target ? t->target : "",
		                .known = t->known,
		                .size = t->size,
		                .plain_size = t->plain_size,
		                .has_hash = t->has_hash,
		                .has_plain_hash = t->has_plain_hash,
		                .confirmed = t->confirmed,
		                .present = t->present,
		                .deleted = t->ended_at,
		                .doubts = t->doubts };

	memcpy(it.hash, t->hash, sizeof(it.hash));
	memcpy(it.plain_hash, t->plain_hash, sizeof(it.plain_hash));
	if (!t->present && !t->ended && t->id[0] && !S_ISDIR(it.mode))
		it.doubts |= PAST_VANISHED;
	return it;
}

int past_each(struct past *p, past_each_fn *each, void *arg)
{
	struct found *f = NULL;
	size_t n = 0;
	int rc = collect(p, &f, &n);

	for (size_t i = 0; i < n; i++) {
		if (rc == 0) {
			struct past_item it = describe(&f[i]);

			rc = each(arg, &it);
		}
		free(f[i].path);
	}
	free(f);
	return rc;
}
