#include "tests/graphd/list.h"

#include <stdlib.h>
#include <string.h>

#include "tests/graphd/drive_json.h"
#include "tests/graphd/item_json.h"
#include "tests/graphd/locate.h"
#include "tests/graphd/must.h"
#include "tests/graphd/stats.h"

uint64_t list_page_size(struct graphd *g, const struct request *req)
{
	const char *top = query_get(&req->query, "top");
	int64_t n = top ? strtoll(top, NULL, 10) : g->quirks.page_size;

	if (n > g->quirks.max_top)
		n = g->quirks.max_top;
	/* A small page size set by a test holds for $top too. */
	if (g->quirks.page_size < 200 && n > g->quirks.page_size)
		n = g->quirks.page_size;
	return n > 0 ? (uint64_t)n : 1;
}

/* ---- order ------------------------------------------------------------------
 */

static int by_name(const void *a, const void *b)
{
	return strcasecmp((*(struct item *const *)a)->name,
	                  (*(struct item *const *)b)->name);
}

static int by_size(const void *a, const void *b)
{
	const struct item *x = *(struct item *const *)a;
	const struct item *y = *(struct item *const *)b;
	int64_t sx = x->blob ? (int64_t)x->blob->size : x->size;
	int64_t sy = y->blob ? (int64_t)y->blob->size : y->size;

	return sx < sy ? -1 : sx > sy;
}

static int by_time(const void *a, const void *b)
{
	int64_t x = (*(struct item *const *)a)->modified_ns;
	int64_t y = (*(struct item *const *)b)->modified_ns;

	return x < y ? -1 : x > y;
}

/* NULL: this kind of drive doesn't sort by that (facts/graph.md 2.2). */
static int (*order_of(struct graphd *g, const char *orderby))(const void *,
                                                              const void *)
{
	size_t len = strcspn(orderby, " ");
	bool personal = g->opt.kind != DRIVE_BUSINESS;

	if (!strncmp(orderby, "name", len) || !strncmp(orderby, "url", len))
		return by_name;
	if (personal && !strncmp(orderby, "size", len))
		return by_size;
	if (personal && !strncmp(orderby, "lastModifiedDateTime", len))
		return by_time;
	return NULL;
}

/* The children in the order asked for; free(). NULL: a bad order. */
static struct item **sorted(struct graphd *g, const struct request *req,
                            const struct item *folder)
{
	const char *orderby = query_get(&req->query, "orderby");
	int (*order)(const void *, const void *);
	struct item **all, *c = folder->first;
	size_t n = 0;

	order = orderby ? order_of(g, orderby) : NULL;
	if (orderby && !order)
		return NULL;
	all = must_alloc(folder->nchildren * sizeof(struct item *));
	for (; c; c = c->next)
		all[n++] = c;
	if (order)
		qsort(all, n, sizeof(struct item *), order);
	if (orderby && strstr(orderby, " desc")) {
		for (size_t i = 0; i < n / 2; i++) {
			c = all[i];
			all[i] = all[n - 1 - i];
			all[n - 1 - i] = c;
		}
	}
	return all;
}

/* ---- pages ------------------------------------------------------------------
 */

/* The request's own URL with another skip token. */
static char *next_link(const struct request *req, uint64_t offset)
{
	size_t len = strcspn(req->target, "?");
	struct buf url = BUF_INIT;
	char sep = '?';

	buf_add_str(&url, req->base);
	buf_add(&url, req->target, len);
	for (size_t i = 0; i < req->query.n; i++) {
		const struct query_pair *p = &req->query.pairs[i];

		if (!strcasecmp(p->name, "skiptoken"))
			continue;
		buf_addf(&url, "%c%s%s=", sep, *p->name == '@' ? "" : "$",
		         p->name);
		buf_add_percent(&url, p->value, strlen(p->value));
		sep = '&';
	}
	buf_addf(&url, "%c$skiptoken=p%llx", sep, (unsigned long long)offset);
	must_text(&url);
	return buf_steal(&url);
}

/* False: the token isn't one of ours. */
static bool page_start(const struct request *req, uint64_t *out_offset)
{
	const char *token = query_get(&req->query, "skiptoken");
	char *end;

	if (!token)
		token = query_get(&req->query, "skipToken");
	*out_offset = 0;
	if (!token)
		return true;
	if (*token != 'p')
		return false;
	*out_offset = strtoull(token + 1, &end, 16);
	return end != token + 1 && !*end;
}

static void add_page(struct graphd *g, const struct request *req, cJSON *page,
                     const char *next_name, struct item **items, uint64_t n,
                     uint64_t offset)
{
	uint64_t end = offset + list_page_size(g, req);
	cJSON *value = cJSON_AddArrayToObject(page, "value");

	g->pages++;
	if (g->quirks.empty_page_every &&
	    g->pages % (uint64_t)g->quirks.empty_page_every == 0)
		end = offset;
	for (uint64_t i = offset; i < n && i < end; i++) {
		cJSON *json = item_json(g, req, items[i], VIEW_ITEM);

		item_json_select(json, query_get(&req->query, "select"));
		cJSON_AddItemToArray(value, json);
	}
	if (end < n) {
		char *link = next_link(req, end);

		cJSON_AddStringToObject(page, next_name, link);
		free(link);
	}
}

static void answer_page(struct graphd *g, const struct request *req,
                        struct answer *out, struct item **items, uint64_t n)
{
	cJSON *page = cJSON_CreateObject();
	uint64_t offset;
	char *context;

	if (!page_start(req, &offset)) {
		cJSON_Delete(page);
		answer_error(out, 400, "invalidRequest", NULL,
		             "Invalid paging token.");
		return;
	}
	context = must_printf("%s/v1.0/$metadata#drives('%s')/items", req->base,
	                      g->drive->id);
	cJSON_AddStringToObject(page, "@odata.context", context);
	free(context);
	add_page(g, req, page, "@odata.nextLink", items, n, offset);
	answer_json(out, 200, page);
}

void list_children(struct graphd *g, const struct request *req,
                   struct answer *out)
{
	struct item *folder = locate_item(g, req, out);
	struct item **items;

	if (!folder)
		return;
	if (query_get(&req->query, "filter") ||
	    query_get(&req->query, "skip") || query_get(&req->query, "count")) {
		answer_error(out, 400, "invalidRequest", "invalidQueryOption",
		             "This query option is not supported.");
		return;
	}
	if (folder->nchildren > g->quirks.list_limit) {
		answer_error(out, 500, "UnknownError", NULL, "");
		return;
	}
	items = sorted(g, req, folder);
	if (!items) {
		answer_error(out, 400, "invalidRequest", "invalidQueryOption",
		             "This order is not supported.");
		return;
	}
	answer_page(g, req, out, items, folder->nchildren);
	free(items);
}

/* The next page of an expanded folder is a listing of its own. */
void list_expand_children(struct graphd *g, const struct request *req,
                          struct item *folder, cJSON *json)
{
	uint64_t n = 0, max = (uint64_t)g->quirks.page_size;
	cJSON *value = cJSON_AddArrayToObject(json, "children");

	for (struct item *c = folder->first; c && n < max; c = c->next, n++)
		cJSON_AddItemToArray(value, item_json(g, req, c, VIEW_ITEM));
	if (n < folder->nchildren) {
		char *link = must_printf("%s/v1.0/drives/%s/items/%s/children"
		                         "?$skiptoken=p%llx",
		                         req->base, g->drive->id, folder->id,
		                         (unsigned long long)n);

		cJSON_AddStringToObject(json, "children@odata.nextLink", link);
		free(link);
	}
}

/* Names that contain the text, as the index would find them. */
void list_search(struct graphd *g, const struct request *req,
                 struct answer *out)
{
	const char *text = req->route.arg ? req->route.arg : "";
	struct item *base = locate_item(g, req, out);
	struct item **found;
	size_t n = 0;

	if (!base)
		return;
	found = must_alloc(g->drive->nlive * sizeof(struct item *));
	for (struct item *i = g->drive->oldest; i; i = i->newer) {
		if (i->state == ITEM_LIVE && i != g->drive->root &&
		    drive_is_below(i, base) && strcasestr(i->name, text))
			found[n++] = i;
	}
	answer_page(g, req, out, found, n);
	free(found);
}

void list_drives(struct graphd *g, const struct request *req,
                 struct answer *out)
{
	cJSON *page = cJSON_CreateObject();
	cJSON *value = cJSON_AddArrayToObject(page, "value");

	(void)req;
	if (!g->quirks.me_drives_empty)
		cJSON_AddItemToArray(value, drive_json(g));
	answer_json(out, 200, page);
}

void list_nothing(struct graphd *g, const struct request *req,
                  struct answer *out)
{
	cJSON *page = cJSON_CreateObject();

	(void)g;
	(void)req;
	cJSON_AddArrayToObject(page, "value");
	answer_json(out, 200, page);
}
