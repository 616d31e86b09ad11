#include "net/versions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/clock.h"
#include "net/json.h"

static bool read_one(const cJSON *json, struct version *out)
{
	const char *id = json_str(json, "id");
	const char *time = json_str(json, "lastModifiedDateTime");
	int64_t size = json_i64(json, "size", -1);

	if (!id || !id[0] || strlen(id) > VERSION_ID_MAX || size < 0)
		return false;
	memset(out, 0, sizeof(*out));
	memcpy(out->id, id, strlen(id) + 1);
	out->size = (uint64_t)size;
	if (!time || clock_parse_rfc3339(time, &out->time) < 0)
		out->time = 0;
	return true;
}

/* The first entry is the current version, whatever else it says. */
int versions_add(const cJSON *value, struct version **v, size_t *n)
{
	const cJSON *one;

	cJSON_ArrayForEach (one, value) {
		struct version *more;

		if (*n == VERSIONS_MAX)
			return -E2BIG;
		more = realloc(*v, (*n + 1) * sizeof(**v));
		if (!more)
			return -ENOMEM;
		*v = more;
		if (!read_one(one, &more[*n]))
			continue;
		more[*n].current = *n == 0 && one == value->child;
		++*n;
	}
	return 0;
}

/* ---- all pages, not waited for ------------------------------------------- */

struct versions_call {
	struct graph *g;
	struct graph_walk walk;
	int64_t patience_ms;
	versions_done_fn *done;
	void *arg;
	struct version *v;
	size_t n;
};

static void end(struct versions_call *c, int rc)
{
	c->done(c->arg, rc, rc == 0 ? c->v : NULL, rc == 0 ? c->n : 0);
	free(c->v);
	free(c);
}

static void listed(void *arg, const struct graph_answer *a);

static struct graph_prepared new_call(struct versions_call *c)
{
	return (struct graph_prepared){ .c = { .patience_ms = c->patience_ms,
		                               .prio = HTTP_PRIO_USER,
		                               .done = listed,
		                               .arg = c } };
}

static int send_call(struct versions_call *c, struct graph_prepared *p, int rc)
{
	if (rc == 0)
		rc = graph_start(c->g, &p->c);
	graph_prepared_done(p);
	return rc == -ESHUTDOWN ? -ECANCELED : rc;
}

static void listed(void *arg, const struct graph_answer *a)
{
	struct versions_call *c = arg;
	struct graph_prepared p = new_call(c);
	struct graph_page page = { 0 };
	int rc = a->rc;

	if (rc < 0 && (a->status == 404 || a->status == 410))
		rc = -ENOENT;
	if (rc == 0)
		rc = graph_parse_page(c->g, a->json, &page);
	if (rc == 0 && page.next_link)
		rc = graph_walk_on(&c->walk, &page);
	if (rc == 0)
		rc = versions_add(page.value, &c->v, &c->n);
	if (rc == 0 && page.next_link) {
		rc = send_call(c, &p,
		               graph_prepare_link(c->g, page.next_link, &p));
		if (rc == 0)
			return;
	}
	end(c, rc);
}

int versions_start(struct graph *g, const char *item_id, int64_t patience_ms,
                   versions_done_fn *done, void *arg)
{
	struct versions_call *c = calloc(1, sizeof(*c));
	struct graph_prepared p;
	int rc;

	if (!c)
		return -ENOMEM;
	c->g = g;
	c->patience_ms = patience_ms;
	c->done = done;
	c->arg = arg;
	p = new_call(c);
	rc = send_call(c, &p, graph_prepare_versions(g, item_id, &p));
	if (rc < 0)
		free(c);
	return rc;
}
