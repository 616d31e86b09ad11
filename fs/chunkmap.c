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

static uint64_t count_chunks(uint64_t bytes)
{
	return bytes / CHUNK_SIZE + (bytes % CHUNK_SIZE != 0);
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

static void free_group(struct chunk_group *g)
{
	if (g)
		free(g->sums);
	free(g);
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
			free_group(g);
			return rc;
		}
		m->groups[grp] = g;
	}
	*out_g = g;
	return 0;
}

/* Forgets all groups from `grp` on, the stored ones too. */
static void drop_groups(struct chunkmap *m, uint64_t grp)
{
	for (uint64_t i = grp; i < m->ngroups; i++) {
		free_group(m->groups[i]);
		m->groups[i] = NULL;
	}
	if (grp < m->gone_from)
		m->gone_from = grp;
}

/* ---- life -------------------------------------------------------------- */

int chunkmap_init(struct chunkmap *m, struct store *store,
                  const struct cfile *row)
{
	struct db *db;
	int rc;

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
	rc = extents_load(&m->extents, db, m->cid);
	store_reader_done(store, db);
	return rc;
}

void chunkmap_done(struct chunkmap *m)
{
	for (size_t i = 0; i < m->ngroups; i++)
		free_group(m->groups[i]);
	free(m->groups);
	extents_done(&m->extents);
	m->groups = NULL;
	m->ngroups = 0;
}

/* ---- presence ---------------------------------------------------------- */

int chunkmap_present(struct chunkmap *m, uint64_t idx)
{
	struct chunk_group *g;
	int rc;

	if (m->whole || idx >= count_chunks(m->base_len))
		return 1;
	rc = get_group(m, idx, &g);
	return rc < 0 ? rc : get_bit(g->present, idx);
}

/* The first clear bit of `words` at or behind `idx`, or the group's end. */
static uint64_t next_clear(const uint64_t *words, uint64_t idx)
{
	uint64_t base = idx - idx % GROUP_CHUNKS, i = idx - base;

	while (i < GROUP_CHUNKS) {
		uint64_t clear = ~words[i / 64] >> (i % 64);

		if (clear)
			return base + i + (uint64_t)__builtin_ctzll(clear);
		i += 64 - i % 64;
	}
	return base + GROUP_CHUNKS;
}

int chunkmap_next_absent(struct chunkmap *m, uint64_t first, uint64_t last,
                         uint64_t *out_idx)
{
	uint64_t end = m->whole ? 0 : count_chunks(m->base_len);
	uint64_t idx = first;

	while (idx <= last && idx < end) {
		struct chunk_group *g;
		uint64_t at;
		int rc = get_group(m, idx, &g);

		if (rc < 0)
			return rc;
		at = next_clear(g->present, idx);
		if (at / GROUP_CHUNKS == idx / GROUP_CHUNKS && at < end &&
		    at <= last) {
			*out_idx = at;
			return 0;
		}
		idx = at;
	}
	*out_idx = last + 1;
	return 0;
}

int chunkmap_is_whole(struct chunkmap *m, uint64_t size)
{
	uint64_t n = count_chunks(size), idx;
	int rc;

	if (m->whole || !n)
		return 1;
	rc = chunkmap_next_absent(m, 0, n - 1, &idx);
	return rc < 0 ? rc : idx == n;
}

/* ---- checksums --------------------------------------------------------- */

static uint64_t sum_in(const struct chunk_group *g, uint64_t idx)
{
	idx %= GROUP_CHUNKS;
	return idx < g->nsums ? g->sums[idx] : 0;
}

int chunkmap_get_sum(struct chunkmap *m, uint64_t idx, uint64_t *out_sum)
{
	struct chunk_group *g;
	int rc = get_group(m, idx, &g);

	if (rc == 0)
		*out_sum = sum_in(g, idx);
	return rc;
}

int chunkmap_next_unsummed(struct chunkmap *m, uint64_t first, uint64_t last,
                           uint64_t *out_idx)
{
	uint64_t end = m->whole ? 0 : count_chunks(m->base_len);
	uint64_t idx = first;

	for (; idx <= last; idx++) {
		struct chunk_group *g;
		int rc = get_group(m, idx, &g);

		if (rc < 0)
			return rc;
		if (!sum_in(g, idx) && (idx >= end || get_bit(g->present, idx)))
			break;
	}
	*out_idx = idx;
	return 0;
}

static void put_sum(struct chunk_group *g, uint64_t idx, uint64_t sum)
{
	if (idx % GROUP_CHUNKS < g->nsums)
		g->sums[idx % GROUP_CHUNKS] = sum;
	put_bit(g->verified, idx, sum != 0);
	g->changed = true;
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
	put_sum(g, idx, sum);
	extents_drop(&m->extents, idx);
	return 0;
}

int chunkmap_unset(struct chunkmap *m, uint64_t idx)
{
	struct chunk_group *g;
	int rc = get_group(m, idx, &g);

	if (rc < 0)
		return rc;
	put_bit(g->present, idx, false);
	put_sum(g, idx, 0);
	return 0;
}

int chunkmap_forget_sum(struct chunkmap *m, uint64_t idx)
{
	struct chunk_group *g;
	int rc = get_group(m, idx, &g);

	if (rc == 0 && sum_in(g, idx))
		put_sum(g, idx, 0);
	return rc;
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

/* ---- written and cut --------------------------------------------------- */

/* How many bytes of chunk `idx` the base covers. */
static uint32_t base_in(const struct chunkmap *m, uint64_t idx)
{
	uint64_t start = idx * CHUNK_SIZE;

	if (m->base_len <= start)
		return 0;
	return m->base_len - start < CHUNK_SIZE
	               ? (uint32_t)(m->base_len - start)
	               : CHUNK_SIZE;
}

int chunkmap_written(struct chunkmap *m, uint64_t idx, uint32_t from,
                     uint32_t to)
{
	uint32_t end = base_in(m, idx);
	int rc = chunkmap_present(m, idx);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	if (from == 0 && to >= end)
		return chunkmap_set(m, idx, 0);
	rc = extents_add(&m->extents, idx, from, to);
	if (rc == 0 && extents_cover(&m->extents, idx, end))
		rc = chunkmap_set(m, idx, 0);
	return rc;
}

size_t chunkmap_extents(const struct chunkmap *m, uint64_t idx,
                        const struct extent **out_r)
{
	return extents_get(&m->extents, idx, out_r);
}

/* Empties a group from its chunk `from` on. */
static void cut_group(struct chunk_group *g, uint64_t from)
{
	for (uint64_t i = from; i < GROUP_CHUNKS; i++) {
		put_bit(g->present, i, false);
		put_sum(g, i, 0);
	}
}

int chunkmap_truncate(struct chunkmap *m, uint64_t size)
{
	uint64_t n = count_chunks(size), edge = size / CHUNK_SIZE;
	struct chunk_group *g;
	int rc = get_group(m, edge, &g);

	if (rc < 0)
		return rc;
	/* A group that begins right behind the new end goes with the rest. */
	if (n % GROUP_CHUNKS)
		cut_group(g, n % GROUP_CHUNKS);
	drop_groups(m, (n + GROUP_CHUNKS - 1) / GROUP_CHUNKS);
	extents_cut(&m->extents, size);
	if (m->base_len > size)
		m->base_len = size;
	if (!(size % CHUNK_SIZE))
		return 0;
	put_sum(g, edge, 0);
	/* What the base had behind is cut: less to wait for. */
	if (edge < count_chunks(m->base_len) && !get_bit(g->present, edge) &&
	    extents_cover(&m->extents, edge, base_in(m, edge)))
		rc = chunkmap_set(m, edge, 0);
	return rc;
}

void chunkmap_reset(struct chunkmap *m, uint64_t base_len)
{
	drop_groups(m, 0);
	extents_cut(&m->extents, 0);
	m->whole = false;
	m->base_len = base_len;
}

void chunkmap_set_whole(struct chunkmap *m)
{
	m->whole = true;
}

int chunkmap_set_parts(struct chunkmap *m, uint64_t base_len)
{
	uint64_t n = count_chunks(base_len);
	struct chunk_group *g;
	int rc = 0;

	for (uint64_t idx = 0; idx < n && rc == 0; idx++) {
		rc = get_group(m, idx, &g);
		if (rc == 0 && !get_bit(g->present, idx)) {
			put_bit(g->present, idx, true);
			g->changed = true;
		}
	}
	if (rc < 0)
		return rc;
	m->whole = false;
	m->base_len = base_len;
	return 0;
}

/* ---- the store --------------------------------------------------------- */

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
	return rc < 0 ? rc : extents_save(&m->extents, db, m->cid);
}

void chunkmap_saved(struct chunkmap *m)
{
	for (size_t i = 0; i < m->ngroups; i++) {
		if (m->groups[i])
			m->groups[i]->changed = false;
	}
	m->gone_from = UINT64_MAX;
	extents_saved(&m->extents);
}
