#include "fs/chunkmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/db.h"
#include "fs/store.h"

#define WORDS (GROUP_CHUNKS / 64)

struct chunk_group {
	uint64_t present[WORDS];
	uint64_t verified[WORDS]; /* memory only */
	bool changed;
	size_t nsums; /* allocated; the rest is 0 */
	uint64_t *sums;
};

struct chunk_partial {
	struct chunk_partial *next;
	uint64_t idx;
	size_t n;
	struct chunk_range r[CHUNK_MAX_RANGES]; /* sorted, apart */
	bool changed; /* n == 0: to be removed from the store */
};

static bool get_bit(const uint64_t *words, uint64_t idx)
{
	idx %= GROUP_CHUNKS;
	return words[idx / 64] >> (idx % 64) & 1;
}

static void put_bit(uint64_t *words, uint64_t idx, bool on)
{
	uint64_t bit;

	idx %= GROUP_CHUNKS;
	bit = UINT64_C(1) << (idx % 64);
	words[idx / 64] = on ? words[idx / 64] | bit : words[idx / 64] & ~bit;
}

/* ---- groups ------------------------------------------------------------ */

static int grow_table(struct chunkmap *m, uint64_t grp)
{
	size_t n = m->ngroups ? m->ngroups : 1;
	struct chunk_group **groups;

	if (grp < m->ngroups)
		return 0;
	while (n <= grp)
		n *= 2;
	groups = realloc(m->groups, n * sizeof(*groups));
	if (!groups)
		return -ENOMEM;
	memset(groups + m->ngroups, 0, (n - m->ngroups) * sizeof(*groups));
	m->groups = groups;
	m->ngroups = n;
	return 0;
}

static int reserve_sums(struct chunk_group *g, size_t n)
{
	size_t cap = g->nsums ? g->nsums : 4;
	uint64_t *sums;

	if (n <= g->nsums)
		return 0;
	while (cap < n)
		cap *= 2;
	sums = realloc(g->sums, cap * sizeof(*sums));
	if (!sums)
		return -ENOMEM;
	memset(sums + g->nsums, 0, (cap - g->nsums) * sizeof(*sums));
	g->sums = sums;
	g->nsums = cap;
	return 0;
}

static int load_group(struct chunkmap *m, uint64_t grp, struct chunk_group *g)
{
	uint64_t sums[GROUP_CHUNKS];
	size_t n = GROUP_CHUNKS;
	struct db *db;
	int rc;

	if (grp >= m->gone_from)
		return 0;
	rc = store_reader(m->store, &db);
	if (rc < 0)
		return rc;
	rc = cfile_get_group(db, m->cid, grp, g->present, sums);
	store_reader_done(m->store, db);
	while (n && !sums[n - 1])
		n--;
	if (rc == 0)
		rc = reserve_sums(g, n);
	if (rc == 0 && n)
		memcpy(g->sums, sums, n * sizeof(*sums));
	return rc;
}

static int get_group(struct chunkmap *m, uint64_t idx,
                     struct chunk_group **out_g)
{
	uint64_t grp = idx / GROUP_CHUNKS;
	struct chunk_group *g;
	int rc = grow_table(m, grp);

	if (rc < 0)
		return rc;
	g = m->groups[grp];
	if (!g) {
		g = calloc(1, sizeof(*g));
		if (!g)
			return -ENOMEM;
		rc = load_group(m, grp, g);
		if (rc < 0) {
			free(g);
			return rc;
		}
		m->groups[grp] = g;
	}
	*out_g = g;
	return 0;
}

static void free_group(struct chunk_group *g)
{
	if (g)
		free(g->sums);
	free(g);
}

/* ---- extents of absent chunks ------------------------------------------ */

static struct chunk_partial *find_partial(struct chunkmap *m, uint64_t idx)
{
	struct chunk_partial *p = m->partials;

	while (p && p->idx != idx)
		p = p->next;
	return p;
}

static int add_partial(struct chunkmap *m, uint64_t idx,
                       struct chunk_partial **out_p)
{
	struct chunk_partial *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->idx = idx;
	p->next = m->partials;
	m->partials = p;
	*out_p = p;
	return 0;
}

static void drop_extents(struct chunkmap *m, uint64_t idx)
{
	struct chunk_partial *p = find_partial(m, idx);

	if (!p)
		return;
	p->n = 0;
	p->changed = true;
	m->partials_changed = true;
}

/* Adds [from, to) to a sorted list, joining what touches. */
static int add_extent(struct chunk_partial *p, uint32_t from, uint32_t to)
{
	size_t i = 0, j;

	while (i < p->n && p->r[i].to < from)
		i++;
	for (j = i; j < p->n && p->r[j].from <= to; j++) {
		from = p->r[j].from < from ? p->r[j].from : from;
		to = p->r[j].to > to ? p->r[j].to : to;
	}
	if (i == j && p->n == CHUNK_MAX_RANGES)
		return -ENOBUFS;
	memmove(&p->r[i + 1], &p->r[j], (p->n - j) * sizeof(p->r[0]));
	p->n = p->n - (j - i) + 1;
	p->r[i] = (struct chunk_range){ from, to };
	return 0;
}

static int load_partial(void *arg, uint64_t idx, const void *extents,
                        size_t len)
{
	struct chunkmap *m = arg;
	struct chunk_partial *p;
	int rc = add_partial(m, idx, &p);

	if (rc < 0)
		return rc;
	if (len % sizeof(p->r[0]) || len > sizeof(p->r))
		return -EUCLEAN;
	memcpy(p->r, extents, len);
	p->n = len / sizeof(p->r[0]);
	return 0;
}

size_t chunkmap_extents(struct chunkmap *m, uint64_t idx,
                        struct chunk_range out[CHUNK_MAX_RANGES])
{
	const struct chunk_partial *p = find_partial(m, idx);

	if (!p)
		return 0;
	memcpy(out, p->r, p->n * sizeof(p->r[0]));
	return p->n;
}

/* ---- the map ----------------------------------------------------------- */

int chunkmap_init(struct chunkmap *m, struct store *store,
                  const struct cfile *row)
{
	struct db *db;
	int rc = 0;

	*m = (struct chunkmap){
		.store = store,
		.cid = row->cid,
		.whole = row->flags & CFILE_WHOLE,
		.base_len = row->base_len,
		.gone_from = UINT64_MAX,
	};
	if (m->whole || !m->base_len)
		return 0;
	rc = store_reader(store, &db);
	if (rc < 0)
		return rc;
	rc = cfile_each_partial(db, m->cid, load_partial, m);
	store_reader_done(store, db);
	if (rc < 0)
		chunkmap_done(m);
	return rc;
}

void chunkmap_done(struct chunkmap *m)
{
	struct chunk_partial *p;

	for (size_t i = 0; i < m->ngroups; i++)
		free_group(m->groups[i]);
	free(m->groups);
	while ((p = m->partials)) {
		m->partials = p->next;
		free(p);
	}
	m->groups = NULL;
	m->ngroups = 0;
}

int chunkmap_present(struct chunkmap *m, uint64_t idx)
{
	struct chunk_group *g;
	int rc;

	if (m->whole || idx >= (m->base_len + CHUNK_SIZE - 1) / CHUNK_SIZE)
		return 1;
	rc = get_group(m, idx, &g);
	return rc < 0 ? rc : get_bit(g->present, idx);
}

int chunkmap_next_absent(struct chunkmap *m, uint64_t first, uint64_t last,
                         uint64_t *out_idx)
{
	uint64_t end = (m->base_len + CHUNK_SIZE - 1) / CHUNK_SIZE;
	uint64_t idx = first;
	int here = 1;

	if (m->whole)
		idx = last + 1;
	for (; idx <= last && idx < end; idx++) {
		here = chunkmap_present(m, idx);
		if (here <= 0)
			break;
	}
	if (here < 0)
		return here;
	*out_idx = here && idx <= last ? last + 1 : idx;
	return 0;
}

int chunkmap_get_sum(struct chunkmap *m, uint64_t idx, uint64_t *out_sum)
{
	struct chunk_group *g;
	int rc = get_group(m, idx, &g);

	if (rc == 0)
		*out_sum = idx % GROUP_CHUNKS < g->nsums
		                   ? g->sums[idx % GROUP_CHUNKS]
		                   : 0;
	return rc;
}

int chunkmap_set(struct chunkmap *m, uint64_t idx, uint64_t sum)
{
	struct chunk_group *g;
	int rc = get_group(m, idx, &g);

	if (rc == 0 && sum)
		rc = reserve_sums(g, idx % GROUP_CHUNKS + 1);
	if (rc < 0)
		return rc;
	put_bit(g->present, idx, true);
	if (idx % GROUP_CHUNKS < g->nsums)
		g->sums[idx % GROUP_CHUNKS] = sum;
	put_bit(g->verified, idx, sum != 0);
	g->changed = true;
	drop_extents(m, idx);
	return 0;
}

int chunkmap_unset(struct chunkmap *m, uint64_t idx)
{
	struct chunk_group *g;
	int rc = get_group(m, idx, &g);

	if (rc < 0)
		return rc;
	put_bit(g->present, idx, false);
	put_bit(g->verified, idx, false);
	if (idx % GROUP_CHUNKS < g->nsums)
		g->sums[idx % GROUP_CHUNKS] = 0;
	g->changed = true;
	return 0;
}

bool chunkmap_is_verified(struct chunkmap *m, uint64_t idx)
{
	uint64_t grp = idx / GROUP_CHUNKS;

	return grp < m->ngroups && m->groups[grp] &&
	       get_bit(m->groups[grp]->verified, idx);
}

void chunkmap_set_verified(struct chunkmap *m, uint64_t idx)
{
	struct chunk_group *g;

	if (get_group(m, idx, &g) == 0)
		put_bit(g->verified, idx, true);
}

/* Forgets checksum and verdict of a chunk whose bytes change. */
static int forget_sum(struct chunkmap *m, uint64_t idx)
{
	struct chunk_group *g;
	int rc = get_group(m, idx, &g);

	if (rc < 0)
		return rc;
	put_bit(g->verified, idx, false);
	if (idx % GROUP_CHUNKS < g->nsums && g->sums[idx % GROUP_CHUNKS]) {
		g->sums[idx % GROUP_CHUNKS] = 0;
		g->changed = true;
	}
	return 0;
}

int chunkmap_written(struct chunkmap *m, uint64_t idx, uint32_t from,
                     uint32_t to, uint32_t end)
{
	struct chunk_partial *p;
	int rc = forget_sum(m, idx);

	if (rc < 0)
		return rc;
	rc = chunkmap_present(m, idx);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	if (from == 0 && to >= end)
		return chunkmap_set(m, idx, 0);
	p = find_partial(m, idx);
	rc = p ? 0 : add_partial(m, idx, &p);
	if (rc == 0)
		rc = add_extent(p, from, to);
	if (rc < 0)
		return rc;
	p->changed = true;
	m->partials_changed = true;
	if (p->r[0].from == 0 && p->r[0].to >= end)
		return chunkmap_set(m, idx, 0);
	return 0;
}

static void cut_partials(struct chunkmap *m, uint64_t size)
{
	for (struct chunk_partial *p = m->partials; p; p = p->next) {
		uint64_t start = p->idx * CHUNK_SIZE;
		uint32_t keep = size <= start ? 0 : CHUNK_SIZE;

		if (size > start && size < start + CHUNK_SIZE)
			keep = (uint32_t)(size - start);
		while (p->n && p->r[p->n - 1].from >= keep)
			p->n--;
		if (p->n && p->r[p->n - 1].to > keep)
			p->r[p->n - 1].to = keep;
		p->changed = true;
		m->partials_changed = true;
	}
}

/* Empties a group from its chunk `from` on. */
static void cut_group(struct chunk_group *g, uint64_t from)
{
	for (uint64_t i = from; i < GROUP_CHUNKS; i++) {
		put_bit(g->present, i, false);
		put_bit(g->verified, i, false);
		if (i < g->nsums)
			g->sums[i] = 0;
	}
	g->changed = true;
}

int chunkmap_truncate(struct chunkmap *m, uint64_t size)
{
	uint64_t nchunks = (size + CHUNK_SIZE - 1) / CHUNK_SIZE;
	uint64_t first_gone = (nchunks + GROUP_CHUNKS - 1) / GROUP_CHUNKS;
	struct chunk_group *g;
	int rc;

	if (size % CHUNK_SIZE) {
		rc = forget_sum(m, size / CHUNK_SIZE);
		if (rc < 0)
			return rc;
	}
	if (nchunks % GROUP_CHUNKS) {
		rc = get_group(m, nchunks, &g);
		if (rc < 0)
			return rc;
		cut_group(g, nchunks % GROUP_CHUNKS);
	}
	for (uint64_t grp = first_gone; grp < m->ngroups; grp++) {
		free_group(m->groups[grp]);
		m->groups[grp] = NULL;
	}
	if (first_gone < m->gone_from)
		m->gone_from = first_gone;
	cut_partials(m, size);
	if (m->base_len > size)
		m->base_len = size;
	return 0;
}

int chunkmap_save(struct chunkmap *m, struct db *db)
{
	int rc = 0;

	if (m->gone_from != UINT64_MAX)
		rc = cfile_drop_groups(db, m->cid, m->gone_from);
	for (size_t i = 0; i < m->ngroups && rc == 0; i++) {
		const struct chunk_group *g = m->groups[i];

		if (g && g->changed)
			rc = cfile_set_group(db, m->cid, i, g->present, g->sums,
			                     g->nsums);
	}
	if (!m->partials_changed)
		return rc;
	for (const struct chunk_partial *p = m->partials; p && rc == 0;
	     p = p->next) {
		if (p->changed)
			rc = cfile_set_partial(db, m->cid, p->idx, p->r,
			                       p->n * sizeof(p->r[0]));
	}
	return rc;
}

void chunkmap_saved(struct chunkmap *m)
{
	struct chunk_partial **pp = &m->partials;

	for (size_t i = 0; i < m->ngroups; i++) {
		if (m->groups[i])
			m->groups[i]->changed = false;
	}
	while (*pp) {
		struct chunk_partial *p = *pp;

		p->changed = false;
		if (p->n) {
			pp = &p->next;
		} else {
			*pp = p->next;
			free(p);
		}
	}
	m->partials_changed = false;
	m->gone_from = UINT64_MAX;
}

int chunkmap_is_whole(struct chunkmap *m, uint64_t size)
{
	uint64_t n = (size + CHUNK_SIZE - 1) / CHUNK_SIZE, idx;
	int rc;

	if (m->whole || !n)
		return 1;
	rc = chunkmap_next_absent(m, 0, n - 1, &idx);
	return rc < 0 ? rc : idx == n;
}
