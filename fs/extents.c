#include "fs/extents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/cfile.h"
#include "fs/db.h"

/* Where the list of `idx` is, or would be. */
static size_t find(const struct extents *e, uint64_t idx)
{
	size_t lo = 0, hi = e->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (e->lists[mid].idx < idx)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct extent_list *find_list(const struct extents *e, uint64_t idx)
{
	size_t i = find(e, idx);

	return i < e->n && e->lists[i].idx == idx ? &e->lists[i] : NULL;
}

static int add_list(struct extents *e, uint64_t idx,
                    struct extent_list **out_list)
{
	size_t cap = e->cap ? e->cap * 2 : 8, at = find(e, idx);
	struct extent_list *lists;

	if (e->n == e->cap) {
		lists = realloc(e->lists, cap * sizeof(*lists));
		if (!lists)
			return -ENOMEM;
		e->lists = lists;
		e->cap = cap;
	}
	memmove(&e->lists[at + 1], &e->lists[at],
	        (e->n - at) * sizeof(*e->lists));
	e->lists[at] = (struct extent_list){ .idx = idx };
	e->n++;
	*out_list = &e->lists[at];
	return 0;
}

static int reserve(struct extent_list *l, size_t n)
{
	size_t cap = l->cap ? l->cap : 4;
	struct extent *r;

	if (n <= l->cap)
		return 0;
	while (cap < n)
		cap *= 2;
	r = realloc(l->r, cap * sizeof(*r));
	if (!r)
		return -ENOMEM;
	l->r = r;
	l->cap = (uint32_t)cap;
	return 0;
}

static void note_changed(struct extents *e, struct extent_list *l)
{
	l->changed = true;
	e->changed = true;
}

int extents_add(struct extents *e, uint64_t idx, uint32_t from, uint32_t to)
{
	struct extent_list *l = find_list(e, idx);
	size_t i = 0, j;
	int rc = l ? 0 : add_list(e, idx, &l);

	if (rc == 0)
		rc = reserve(l, l->n + 1);
	if (rc < 0)
		return rc;
	while (i < l->n && l->r[i].to < from)
		i++;
	for (j = i; j < l->n && l->r[j].from <= to; j++) {
		from = l->r[j].from < from ? l->r[j].from : from;
		to = l->r[j].to > to ? l->r[j].to : to;
	}
	/* [i, j) become one. */
	memmove(&l->r[i + 1], &l->r[j], (l->n - j) * sizeof(*l->r));
	l->n = (uint32_t)(l->n - (j - i) + 1);
	l->r[i] = (struct extent){ from, to };
	note_changed(e, l);
	return 0;
}

size_t extents_get(const struct extents *e, uint64_t idx,
                   const struct extent **out_r)
{
	const struct extent_list *l = find_list(e, idx);

	*out_r = l ? l->r : NULL;
	return l ? l->n : 0;
}

bool extents_cover(const struct extents *e, uint64_t idx, uint32_t end)
{
	const struct extent_list *l = find_list(e, idx);

	return l && l->n && l->r[0].from == 0 && l->r[0].to >= end;
}

void extents_drop(struct extents *e, uint64_t idx)
{
	struct extent_list *l = find_list(e, idx);

	if (!l || !l->n)
		return;
	l->n = 0;
	note_changed(e, l);
}

static void cut_list(struct extents *e, struct extent_list *l, uint64_t size)
{
	uint64_t start = l->idx * CHUNK_SIZE;
	uint64_t keep = size > start ? size - start : 0;

	if (!l->n || l->r[l->n - 1].to <= keep)
		return;
	while (l->n && l->r[l->n - 1].from >= keep)
		l->n--;
	if (l->n && l->r[l->n - 1].to > keep)
		l->r[l->n - 1].to = (uint32_t)keep;
	note_changed(e, l);
}

void extents_cut(struct extents *e, uint64_t size)
{
	for (size_t i = find(e, size / CHUNK_SIZE); i < e->n; i++)
		cut_list(e, &e->lists[i], size);
}

/* ---- the store --------------------------------------------------------- */

static bool are_sound(const struct extent *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (r[i].from >= r[i].to || r[i].to > CHUNK_SIZE ||
		    (i && r[i].from <= r[i - 1].to))
			return false;
	}
	return n > 0;
}

static int load_list(void *arg, uint64_t idx, const void *data, size_t len)
{
	struct extents *e = arg;
	struct extent_list *l = NULL;
	size_t n = len / sizeof(*l->r);
	int rc;

	if (len % sizeof(*l->r) || find_list(e, idx))
		return -EUCLEAN;
	rc = add_list(e, idx, &l);
	if (rc == 0)
		rc = reserve(l, n);
	if (rc < 0 || n == 0)
		return rc;
	memcpy(l->r, data, len);
	l->n = (uint32_t)n;
	return are_sound(l->r, n) ? 0 : -EUCLEAN;
}

int extents_load(struct extents *e, struct db *db, uint64_t cid)
{
	int rc = cfile_each_partial(db, cid, load_list, e);

	if (rc < 0)
		extents_done(e);
	return rc;
}

void extents_done(struct extents *e)
{
	for (size_t i = 0; i < e->n; i++)
		free(e->lists[i].r);
	free(e->lists);
	*e = EXTENTS_INIT;
}

int extents_save(struct extents *e, struct db *db, uint64_t cid)
{
	int rc = 0;

	for (size_t i = 0; e->changed && i < e->n && rc == 0; i++) {
		const struct extent_list *l = &e->lists[i];

		if (l->changed)
			rc = cfile_set_partial(db, cid, l->idx, l->r,
			                       l->n * sizeof(*l->r));
	}
	return rc;
}

void extents_saved(struct extents *e)
{
	size_t kept = 0;

	for (size_t i = 0; e->changed && i < e->n; i++) {
		e->lists[i].changed = false;
		if (e->lists[i].n)
			e->lists[kept++] = e->lists[i];
		else
			free(e->lists[i].r);
	}
	if (e->changed)
		e->n = kept;
	e->changed = false;
}
