#include "tests/graphd/delta.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/clock.h"
#include "tests/graphd/item_json.h"
#include "tests/graphd/list.h"
#include "tests/graphd/locate.h"
#include "tests/graphd/must.h"

struct place {
	unsigned epoch;
	bool full;               /* an enumeration: no tombstones */
	unsigned long long pos;  /* seq of the last item shown or passed */
	unsigned long long mark; /* what the deltaLink will begin after */
	unsigned long long last; /* num of the item at `pos`, a short cut */
};

static char *place_text(const struct place *p)
{
	return must_printf("%x.%x.%llx.%llx.%llx", p->epoch, p->full, p->pos,
	                   p->mark, p->last);
}

static bool parse_place(const char *s, struct place *out)
{
	unsigned full;
	char rest;

	if (sscanf(s, "%x.%x.%llx.%llx.%llx%c", &out->epoch, &full, &out->pos,
	           &out->mark, &out->last, &rest) != 5)
		return false;
	out->full = full != 0;
	return true;
}

/* ---- where to begin
 * -------------------------------------------------------------- */

/* The seq up to which the feed tells of changes now. */
static uint64_t visible_seq(struct graphd *g, int64_t until_ns)
{
	struct item *item = g->drive->newest;

	while (item && item->changed_ns > until_ns)
		item = item->older;
	return item ? item->seq : 0;
}

static void gone(struct graphd *g, const struct request *req,
                 struct answer *out)
{
	answer_error(out, 410, "resyncRequired",
	             g->delta_gone_upload ? "resyncChangesUploadDifferences"
	                                  : "resyncChangesApplyDifferences",
	             "Start over.");
	if (!g->quirks.delta_no_location)
		answer_header(out, "Location", "%s/v1.0/drives/%s/root/delta",
		              req->base, g->drive->id);
}

static bool from_token(struct graphd *g, const struct request *req,
                       struct answer *out, const char *token, struct place *p)
{
	int64_t ns;

	if (parse_place(token, p)) {
		if (p->epoch == g->delta_epoch)
			return true;
		gone(g, req, out);
		return false;
	}
	if (g->opt.kind == DRIVE_BUSINESS &&
	    clock_parse_rfc3339(token, &ns) == 0) {
		p->pos = p->mark = visible_seq(g, ns);
		return true;
	}
	answer_error(out, 400, "invalidRequest", "invalidParameterFormat",
	             "The delta token is not valid.");
	return false;
}

/* ---- items
 * ----------------------------------------------------------------------- */

struct page {
	struct graphd *g;
	const struct request *req;
	const char *select;
	struct item *folder;
	cJSON *value;
	uint64_t stamp; /* unique per page */
	uint64_t from;  /* pos at its beginning */
	bool full, parents;
	uint64_t n;
};

static void put(struct page *pg, struct item *item, enum item_view view)
{
	cJSON *json = item_json(pg->g, pg->req, item, view);

	item_json_select(json, pg->select);
	if (pg->g->quirks.delta_child_first)
		cJSON_InsertItemInArray(pg->value, 0, json);
	else
		cJSON_AddItemToArray(pg->value, json);
	item->stamp = pg->stamp;
}

/* Ancestors come along, the root first. In an enumeration those of earlier
 * pages are known already. */
static void put_parents(struct page *pg, struct item *item)
{
	struct item *parent = item->parent;

	if (!pg->parents || !parent || item == pg->folder)
		return;
	put_parents(pg, parent);
	if (parent->state != ITEM_LIVE || parent->stamp == pg->stamp ||
	    (pg->full && parent->seq <= pg->from))
		return;
	put(pg, parent, VIEW_DELTA);
}

static bool shows_tombstone(const struct page *pg, const struct item *item)
{
	const struct quirks *q = &pg->g->quirks;

	if (pg->full || q->delta_no_tombstones || item->no_tombstone)
		return false;
	return item->binned_with == item->num || q->delta_tombstones_below;
}

static bool in_scope(const struct page *pg, const struct item *item)
{
	if (drive_is_below(item, pg->folder))
		return true;
	/* Moved out: told once, with its new parent (7.2). */
	return item->before && item->before->parent &&
	       drive_is_below(item->before->parent, pg->folder);
}

static void put_change(struct page *pg, struct item *item, enum item_view view)
{
	int64_t repeat = pg->g->quirks.delta_repeat;

	if (!in_scope(pg, item))
		return;
	if (item->state != ITEM_LIVE && view != VIEW_STALE) {
		if (!shows_tombstone(pg, item))
			return;
	} else {
		put_parents(pg, item);
	}
	put(pg, item, view);
	pg->n++;
	if (repeat && pg->n % (uint64_t)repeat == 0)
		put(pg, item, view);
}

static struct item *first_after(struct drive *d, const struct place *p)
{
	struct item *item = drive_find_num(d, p->last);

	if (item && item->seq == p->pos)
		return item->newer;
	if (p->pos < d->seq / 2) {
		for (item = d->oldest; item && item->seq <= p->pos;)
			item = item->newer;
		return item;
	}
	item = d->newest;
	while (item && item->older && item->older->seq > p->pos)
		item = item->older;
	return item && item->seq > p->pos ? item : NULL;
}

/* Fills the page; false: there is more. */
static bool fill(struct page *pg, struct place *p, uint64_t max)
{
	struct graphd *g = pg->g;
	int64_t until = pg->req->now_ns - g->quirks.delta_lag_ms * 1000000;
	struct item *item = first_after(g->drive, p);

	for (; item; item = item->newer) {
		bool late = item->changed_ns > until && item != g->drive->root;

		if (pg->n >= max)
			return false;
		if (!late) {
			put_change(pg, item, VIEW_DELTA);
			p->mark = item->seq;
		} else if (item->before &&
		           (pg->full || g->quirks.delta_stale)) {
			put_change(pg, item, VIEW_STALE);
		}
		p->pos = item->seq;
		p->last = item->num;
	}
	return true;
}

static void put_unchanged(struct page *pg)
{
	int64_t n = pg->g->quirks.delta_unchanged;

	for (struct item *i = pg->g->drive->oldest; i && n > 0; i = i->newer) {
		if (i->state == ITEM_LIVE && in_scope(pg, i)) {
			put(pg, i, VIEW_DELTA);
			n--;
		}
	}
}

/* ---- the answer
 * -------------------------------------------------------------------- */

/* The request's own address with another token; what $select and $top said on
 * the first call goes along (7.1). */
static char *make_link(const struct request *req, const char *token)
{
	const char *delta = strstr(req->target, "delta");
	const char *select = query_get(&req->query, "select");
	const char *top = query_get(&req->query, "top");
	struct buf url = BUF_INIT;

	buf_add_str(&url, req->base);
	buf_add(&url, req->target, (size_t)(delta - req->target) + 5);
	buf_addf(&url, "?token=%s", token);
	if (select) {
		buf_add_str(&url, "&$select=");
		buf_add_percent(&url, select, strlen(select));
	}
	if (top)
		buf_addf(&url, "&$top=%lld", strtoll(top, NULL, 10));
	must_text(&url);
	return buf_steal(&url);
}

static void answer_links(struct graphd *g, const struct request *req,
                         struct answer *out, cJSON *value, struct place *p,
                         bool last)
{
	cJSON *page = cJSON_CreateObject();
	char *token, *text;

	text = must_printf("%s/v1.0/$metadata#Collection(driveItem)",
	                   req->base);
	cJSON_AddStringToObject(page, "@odata.context", text);
	free(text);
	if (last) {
		p->pos = p->mark;
		p->last = 0;
		p->full = false;
	}
	token = place_text(p);
	text = make_link(req, token);
	cJSON_AddStringToObject(
		page, last ? "@odata.deltaLink" : "@odata.nextLink", text);
	free(text);
	free(token);
	cJSON_AddItemToObject(page, "value", value);
	answer_json(out, 200, page);
	(void)g;
}

static bool is_empty_page(struct graphd *g)
{
	g->pages++;
	return g->quirks.empty_page_every &&
	       g->pages % (uint64_t)g->quirks.empty_page_every == 0;
}

/* Folders have no feed of their own on Business (7.1). */
static bool may_feed(struct graphd *g, struct answer *out,
                     const struct item *folder)
{
	if (folder->type != ITEM_FOLDER)
		answer_error(out, 400, "invalidRequest", NULL,
		             "Only folders have changes.");
	else if (folder->parent && !g->quirks.folder_delta)
		answer_error(out, 501, "notSupported", NULL,
		             "view.delta can only be called on the root.");
	else
		return true;
	return false;
}

void delta_page(struct graphd *g, const struct request *req, struct answer *out)
{
	struct item *folder = locate_item(g, req, out);
	const char *token = req->route.arg ? req->route.arg
	                                   : query_get(&req->query, "token");
	struct place p = { .epoch = g->delta_epoch };
	struct page pg = { 0 };
	bool last = false;

	if (!folder || !may_feed(g, out, folder))
		return;
	if (!token) {
		p.full = true;
	} else if (!strcmp(token, "latest")) {
		p.mark = visible_seq(g, req->now_ns - g->quirks.delta_lag_ms *
		                                              1000000);
		answer_links(g, req, out, cJSON_CreateArray(), &p, true);
		return;
	} else if (!from_token(g, req, out, token, &p)) {
		return;
	}
	pg.g = g;
	pg.req = req;
	pg.folder = folder;
	pg.select = query_get(&req->query, "select");
	pg.value = cJSON_CreateArray();
	pg.from = p.pos;
	pg.full = p.full;
	pg.parents = !request_header(req, "deltaExcludeParent");
	if (!is_empty_page(g)) {
		pg.stamp = g->pages;
		last = fill(&pg, &p, list_page_size(g, req));
		if (last)
			put_unchanged(&pg);
	} else {
		p.last = ~g->pages; /* no link leads to itself */
	}
	answer_links(g, req, out, pg.value, &p, last);
}
