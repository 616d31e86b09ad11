#include "net/version_find.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "net/json.h"
#include "net/log.h"
#include "net/readback.h"

struct version_find {
	struct graph_walk walk;
	struct graph *g;
	char *item_id;
	uint64_t size;
	uint8_t hash[GRAPH_HASH_SIZE];
	version_find_fn *done;
	void *arg;

	pthread_mutex_t lock;
	bool cancel;               /* lock */
	struct readback *readback; /* lock; while one runs */

	/* Of the right size, newest first. */
	char id[VERSION_FIND_MAX][VERSION_ID_MAX + 1];
	unsigned n, at;
	bool any; /* the current one, which comes first, was passed */
};

static void end(struct version_find *v, int rc,
                const struct version_found *found)
{
	v->done(v->arg, rc, found);
	pthread_mutex_destroy(&v->lock);
	free(v->item_id);
	free(v);
}

static bool is_canceled(struct version_find *v)
{
	bool cancel;

	pthread_mutex_lock(&v->lock);
	cancel = v->cancel;
	pthread_mutex_unlock(&v->lock);
	return cancel;
}

/* ---- the old ones are read ----------------------------------------------- */

static void read_next(struct version_find *v);

static void was_read(void *arg, int rc, const uint8_t hash[GRAPH_HASH_SIZE])
{
	struct version_find *v = arg;
	struct version_found found = { .version_id = v->id[v->at] };

	pthread_mutex_lock(&v->lock);
	v->readback = NULL;
	pthread_mutex_unlock(&v->lock);
	if (is_canceled(v)) {
		end(v, -ECANCELED, NULL);
	} else if (rc == 0 && !memcmp(hash, v->hash, GRAPH_HASH_SIZE)) {
		end(v, 0, &found);
	} else if (rc == 0 || rc == -ENOENT || rc == -ESTALE) {
		v->at++; /* another one, or trimmed meanwhile */
		read_next(v);
	} else {
		end(v, rc, NULL);
	}
}

static void read_next(struct version_find *v)
{
	struct readback_what what = { .item_id = v->item_id, .size = v->size };
	int rc;

	if (v->at == v->n) {
		end(v, -ENOENT, NULL);
		return;
	}
	what.version_id = v->id[v->at];
	pthread_mutex_lock(&v->lock);
	rc = v->cancel ? -ECANCELED
	               : readback_start(v->g, &what, was_read, v, &v->readback);
	pthread_mutex_unlock(&v->lock);
	if (rc < 0)
		end(v, rc, NULL);
}

/* ---- the list ------------------------------------------------------------ */

static void add_versions(struct version_find *v, const cJSON *value)
{
	const cJSON *one;

	cJSON_ArrayForEach (one, value) {
		const char *id = json_str(one, "id");
		bool current = !v->any;

		v->any = true;
		if (current || !id || strlen(id) > VERSION_ID_MAX ||
		    v->n == VERSION_FIND_MAX ||
		    json_i64(one, "size", -1) != (int64_t)v->size)
			continue;
		memcpy(v->id[v->n++], id, strlen(id) + 1);
	}
}

static void start(struct version_find *v, struct graph_prepared *p, int rc);

static void listed(void *arg, const struct graph_answer *a)
{
	struct version_find *v = arg;
	struct graph_prepared p = { .c = { .patience_ms = -1,
		                           .prio = HTTP_PRIO_META,
		                           .done = listed,
		                           .arg = v } };
	struct graph_page page;
	int rc = a->rc;

	if (rc == 0)
		rc = graph_parse_page(v->g, a->json, &page);
	if (rc == 0 && page.next_link)
		rc = graph_walk_on(&v->walk, &page);
	if (rc < 0 || is_canceled(v)) {
		end(v,
		    rc == 0            ? -ECANCELED
		    : a->status == 404 ? -ENOENT
		                       : rc,
		    NULL);
		return;
	}
	add_versions(v, page.value);
	if (page.next_link && v->n < VERSION_FIND_MAX)
		start(v, &p, graph_prepare_link(v->g, page.next_link, &p));
	else
		read_next(v);
}

/* Sends a prepared call, or ends. */
static void start(struct version_find *v, struct graph_prepared *p, int rc)
{
	if (rc == 0)
		rc = graph_start(v->g, &p->c);
	graph_prepared_done(p);
	if (rc < 0)
		end(v, rc == -ESHUTDOWN ? -ECANCELED : rc, NULL);
}

/* ---- the current one ----------------------------------------------------- */

static bool is_current(const struct version_find *v,
                       const struct graph_item *item)
{
	return !item->deleted && item->etag && item->has_hash &&
	       item->size >= 0 && (uint64_t)item->size == v->size &&
	       !memcmp(item->hash, v->hash, GRAPH_HASH_SIZE);
}

static void looked(void *arg, const struct graph_answer *a)
{
	struct version_find *v = arg;
	struct graph_prepared p = { .c = { .patience_ms = -1,
		                           .prio = HTTP_PRIO_META,
		                           .done = listed,
		                           .arg = v } };
	struct version_found found = { 0 };
	struct graph_item item;
	int rc = a->rc;

	if (rc == 0)
		rc = graph_parse_item(a->json, &item);
	if (rc < 0 || is_canceled(v)) {
		end(v,
		    rc == 0            ? -ECANCELED
		    : a->status == 404 ? -ENOENT
		                       : rc,
		    NULL);
	} else if (is_current(v, &item)) {
		found.etag = item.etag;
		end(v, 0, &found);
	} else {
		start(v, &p, graph_prepare_versions(v->g, v->item_id, &p));
	}
}

/* ---- what others call ---------------------------------------------------- */

int version_find_start(struct graph *g, const char *item_id, uint64_t size,
                       const uint8_t hash[GRAPH_HASH_SIZE],
                       version_find_fn *done, void *arg,
                       struct version_find **out_v)
{
	struct version_find *v = calloc(1, sizeof(*v));
	struct graph_prepared p = { .c = { .patience_ms = -1,
		                           .prio = HTTP_PRIO_META,
		                           .done = looked } };
	int rc;

	if (!v)
		return -ENOMEM;
	v->g = g;
	v->size = size;
	memcpy(v->hash, hash, sizeof(v->hash));
	v->done = done;
	v->arg = arg;
	v->item_id = strdup(item_id);
	if (!v->item_id) {
		free(v);
		return -ENOMEM;
	}
	pthread_mutex_init(&v->lock, NULL);
	*out_v = v;
	p.c.arg = v;
	rc = graph_prepare_get_item(g, item_id, &p);
	if (rc == 0)
		rc = graph_start(g, &p.c);
	graph_prepared_done(&p);
	if (rc < 0) {
		pthread_mutex_destroy(&v->lock);
		free(v->item_id);
		free(v);
	}
	return rc;
}

void version_find_cancel(struct version_find *v)
{
	pthread_mutex_lock(&v->lock);
	v->cancel = true;
	if (v->readback)
		readback_cancel(v->readback);
	pthread_mutex_unlock(&v->lock);
}
