#include "fs/past_fetch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/past.h"
#include "fs/plainhash.h"
#include "net/versions.h"

/* One item on its way. */
struct fetching {
	struct direct *d;
	const struct past_item *it;
	int64_t at;
	const struct past_sink *sink;
	struct direct_file file;
	struct direct_versions versions;
	bool listed;
};

static int fetch_part(struct direct *d, const struct direct_file *f,
                      const struct past_sink *sink, const char *version_id,
                      uint64_t size, const uint8_t *hash)
{
	struct direct_part part = { .version_id = version_id,
		                    .size = size,
		                    .len = UINT64_MAX,
		                    .hash = hash };
	int rc = sink->begin(sink->arg);

	return rc < 0 ? rc
	              : direct_get_part(d, f, &part, sink->write, sink->arg,
	                                NULL, NULL);
}

static int fetch_current(struct fetching *g)
{
	const struct item *it = &g->file.item;

	return fetch_part(g->d, &g->file, g->sink, NULL, it->size,
	                  it->has_hash ? it->hash : NULL);
}

static int list(struct fetching *g)
{
	int rc = g->listed ? 0 : direct_versions(g->d, &g->file, &g->versions);

	g->listed |= rc == 0;
	return rc;
}

/* ---- by what the ledger says --------------------------------------------- */

/* The service's hash is linear: two contents of one size can have the same
 * without anybody's doing. Where the ledger has one of the plaintext, it
 * decides. */
struct checked {
	const struct past_sink *to;
	struct plainhash *hash;
	uint64_t at;
};

static int checked_begin(void *arg)
{
	struct checked *c = arg;

	plainhash_free(c->hash);
	c->hash = plainhash_new();
	c->at = 0;
	return c->hash ? c->to->begin(c->to->arg) : -ENOMEM;
}

static int checked_write(void *arg, const void *data, size_t len)
{
	struct checked *c = arg;

	plainhash_update(c->hash, data, len, c->at);
	c->at += len;
	return c->to->write(c->to->arg, data, len);
}

/* `v` NULL: what is current. -EBADMSG: it is not what the ledger means. */
static int fetch_noted(struct fetching *g, const struct version *v)
{
	const struct past_item *it = g->it;
	struct checked c = { .to = g->sink };
	const struct past_sink sink = { checked_begin, checked_write, &c };
	uint8_t got[PLAINHASH_SIZE];
	int rc = fetch_part(g->d, &g->file, &sink, v ? v->id : NULL, it->size,
	                    it->has_hash ? it->hash : NULL);

	if (rc == 0 && it->has_plain_hash &&
	    (!plainhash_final(c.hash, c.at, got) ||
	     memcmp(got, it->plain_hash, sizeof(got)) != 0)) {
		snprintf(g->d->why, DIRECT_WHY,
		         "it has the size and the service's hash of what it "
		         "was, but is something else");
		rc = -EBADMSG;
	}
	plainhash_free(c.hash);
	return rc;
}

static bool is_sure(const struct past_item *it)
{
	return it->has_hash || it->has_plain_hash || !it->size;
}

static bool is_current(const struct fetching *g)
{
	const struct item *now = &g->file.item;
	const struct past_item *it = g->it;

	if (now->size != it->size)
		return false;
	if (now->has_hash && it->has_hash)
		return !memcmp(now->hash, it->hash, sizeof(now->hash));
	/* Without hashes: it is, unless something else came since. */
	return !now->size || now->mtime <= it->confirmed;
}

/* Of those of the right size the one that was made next to the moment when the
 * service confirmed it; `done` are left out. */
static const struct version *next_candidate(const struct fetching *g,
                                            const bool *done)
{
	const struct version *best = NULL;
	int64_t best_off = 0;

	for (size_t i = 0; i < g->versions.n; i++) {
		const struct version *v = &g->versions.v[i];
		int64_t off = v->time - g->it->confirmed;

		if (done[i] || v->current || v->size != g->it->size)
			continue;
		if (off < 0)
			off = -off;
		if (!best || off < best_off) {
			best = v;
			best_off = off;
		}
	}
	return best;
}

static int try_candidates(struct fetching *g, bool *done, struct past_got *out)
{
	const struct version *v;
	int rc = -ENODATA;

	for (int i = 0; i < VERSION_FIND_MAX; i++) {
		v = next_candidate(g, done);
		if (!v)
			break;
		done[v - g->versions.v] = true;
		rc = fetch_noted(g, v);
		if (rc == 0) {
			out->time = v->time;
			out->sure = is_sure(g->it);
			return 0;
		}
		/* Another one of that size, or trimmed meanwhile. */
		if (rc != -EBADMSG && rc != -ENOENT && rc != -ESTALE)
			return rc;
		rc = -ENODATA;
	}
	return rc;
}

static int fetch_known(struct fetching *g, struct past_got *out)
{
	bool *done;
	int rc;

	if (is_current(g)) {
		out->sure = is_sure(g->it);
		out->time = g->file.item.mtime;
		rc = fetch_noted(g, NULL);
		if (rc != -EBADMSG || !g->it->has_plain_hash)
			return rc;
	}
	rc = list(g);
	if (rc < 0)
		return rc;
	done = calloc(g->versions.n + 1, sizeof(*done));
	if (!done)
		return -ENOMEM;
	rc = try_candidates(g, done, out);
	free(done);
	return rc;
}

/* ---- by time ------------------------------------------------------------- */

static int fetch_by_time(struct fetching *g, struct past_got *out)
{
	const struct version *best = NULL;
	int rc = list(g);

	for (size_t i = 0; rc == 0 && i < g->versions.n; i++) {
		const struct version *v = &g->versions.v[i];

		if (v->time && v->time <= g->at &&
		    (!best || v->time > best->time))
			best = v;
	}
	if (!best)
		return rc < 0 ? rc : -ENODATA;
	out->sure = false;
	out->time = best->time;
	return best->current ? fetch_current(g)
	                     : fetch_part(g->d, &g->file, g->sink, best->id,
	                                  best->size, NULL);
}

static int fetch(struct fetching *g, struct past_got *out)
{
	bool by_time =
		!g->it->known || g->it->doubts & (PAST_FOREIGN | PAST_EARLY);
	int rc = by_time ? fetch_by_time(g, out) : fetch_known(g, out);

	if (rc != -ENODATA)
		return rc;
	if (g->it->known) {
		rc = by_time ? fetch_known(g, out) : fetch_by_time(g, out);
		out->sure = false;
	}
	if (rc == -ENODATA)
		snprintf(g->d->why, DIRECT_WHY,
		         "what it was then is older than what the service "
		         "keeps");
	return rc;
}

int past_fetch(struct direct *d, const struct past_item *it, int64_t at,
               const struct past_sink *sink, struct past_got *out)
{
	struct fetching *g = calloc(1, sizeof(*g));
	int rc;

	if (!g)
		return -ENOMEM;
	g->d = d;
	g->it = it;
	g->at = at;
	g->sink = sink;
	*out = (struct past_got){ 0 };
	rc = direct_look_id(d, it->id, &g->file);
	if (rc == 0 && g->file.item.kind != ITEM_FILE) {
		snprintf(d->why, DIRECT_WHY, "it is no file any more");
		rc = -EISDIR;
	}
	if (rc == 0)
		rc = fetch(g, out);
	direct_versions_done(&g->versions);
	free(g);
	return rc;
}

int past_fetch_version(struct direct *d, const struct direct_file *f,
                       const char *version_id, const struct past_sink *sink,
                       struct past_got *out)
{
	struct direct_versions l;
	const struct version *v = NULL;
	int rc = direct_versions(d, f, &l);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < l.n && !v; i++) {
		if (!strcmp(l.v[i].id, version_id) ||
		    (l.v[i].current && !strcmp(version_id, "current")))
			v = &l.v[i];
	}
	if (!v) {
		snprintf(d->why, DIRECT_WHY,
		         "the service keeps no version %s of it; `nmbackupfs "
		         "versions` lists them",
		         version_id);
		rc = -ENODATA;
	} else {
		*out = (struct past_got){ .sure = true, .time = v->time };
		rc = fetch_part(d, f, sink, v->current ? NULL : v->id,
		                v->current ? f->item.size : v->size,
		                v->current && f->item.has_hash ? f->item.hash
		                                               : NULL);
	}
	direct_versions_done(&l);
	return rc;
}
