#include "fs/told.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#define TOLD_KEEP 8192 /* a power of two; a few pages of the feed */

struct told {
	uint64_t n;
	uint64_t hash[TOLD_KEEP]; /* of the n-th, at n modulo TOLD_KEEP */
	uint64_t ntags;
	uint64_t tag[TOLD_KEEP]; /* the same of past tags */
};

static uint64_t hash_id(const char *id)
{
	return XXH3_64bits(id, strlen(id));
}

static uint64_t hash_tag(const char *id, const char *etag)
{
	return XXH3_64bits_withSeed(etag, strlen(etag), hash_id(id));
}

struct told *told_new(void)
{
	struct told *t = calloc(1, sizeof(*t));

	if (t)
		t->n = 1;
	return t;
}

void told_free(struct told *t)
{
	free(t);
}

void told_note(struct told *t, const char *id)
{
	t->hash[t->n++ % TOLD_KEEP] = hash_id(id);
}

uint64_t told_now(const struct told *t)
{
	return t->n;
}

bool told_since(const struct told *t, const char *id, uint64_t moment)
{
	uint64_t hash = hash_id(id);

	if (t->n - moment > TOLD_KEEP)
		return true;
	for (; moment < t->n; moment++) {
		if (t->hash[moment % TOLD_KEEP] == hash)
			return true;
	}
	return false;
}

void told_note_tag(struct told *t, const char *id, const char *etag)
{
	t->tag[t->ntags++ % TOLD_KEEP] = hash_tag(id, etag);
}

bool told_had_tag(const struct told *t, const char *id, const char *etag)
{
	uint64_t hash = hash_tag(id, etag);

	for (uint64_t i = 0; i < t->ntags && i < TOLD_KEEP; i++) {
		if (t->tag[i] == hash)
			return true;
	}
	return false;
}
