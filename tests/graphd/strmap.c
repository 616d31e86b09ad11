#include "tests/graphd/strmap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "tests/graphd/must.h"

struct entry {
	struct entry *next;
	uint64_t hash;
	void *value;
	size_t len;
	char key[];
};

struct strmap {
	struct entry **slots;
	size_t nslots; /* power of two */
	size_t count;
};

struct strmap *strmap_new(void)
{
	struct strmap *m = must_alloc(sizeof(*m));

	m->nslots = 64;
	m->slots = must_alloc(m->nslots * sizeof(*m->slots));
	return m;
}

void strmap_free(struct strmap *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->nslots; i++) {
		for (struct entry *e = m->slots[i], *next; e; e = next) {
			next = e->next;
			free(e);
		}
	}
	free(m->slots);
	free(m);
}

static struct entry **find(const struct strmap *m, const void *key, size_t len,
                           uint64_t hash)
{
	struct entry **at = &m->slots[hash & (m->nslots - 1)];

	while (*at && ((*at)->hash != hash || (*at)->len != len ||
	               memcmp((*at)->key, key, len)))
		at = &(*at)->next;
	return at;
}

static void grow(struct strmap *m)
{
	size_t nslots = m->nslots * 2;
	struct entry **slots = must_alloc(nslots * sizeof(*slots));

	for (size_t i = 0; i < m->nslots; i++) {
		for (struct entry *e = m->slots[i], *next; e; e = next) {
			next = e->next;
			e->next = slots[e->hash & (nslots - 1)];
			slots[e->hash & (nslots - 1)] = e;
		}
	}
	free(m->slots);
	m->slots = slots;
	m->nslots = nslots;
}

void strmap_put(struct strmap *m, const void *key, size_t len, void *value)
{
	uint64_t hash = XXH3_64bits(key, len);
	struct entry **at = find(m, key, len, hash);
	struct entry *e = *at;

	if (!e) {
		e = must_alloc(sizeof(*e) + len);
		e->hash = hash;
		e->len = len;
		memcpy(e->key, key, len);
		*at = e;
		m->count++;
	}
	e->value = value;
	if (m->count > m->nslots)
		grow(m);
}

void *strmap_get(const struct strmap *m, const void *key, size_t len)
{
	struct entry *e = *find(m, key, len, XXH3_64bits(key, len));

	return e ? e->value : NULL;
}

void strmap_del(struct strmap *m, const void *key, size_t len)
{
	struct entry **at = find(m, key, len, XXH3_64bits(key, len));
	struct entry *e = *at;

	if (!e)
		return;
	*at = e->next;
	free(e);
	m->count--;
}

size_t strmap_count(const struct strmap *m)
{
	return m->count;
}
