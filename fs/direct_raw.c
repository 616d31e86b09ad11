#include "fs/direct_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/session.h"

/* ---- items --------------------------------------------------------------- */

int direct_raw_root(struct direct *d, struct item *out)
{
	struct graph_prepared p = direct_call();
	int rc = graph_prepare_get_root(d->session->graph, &p);

	return rc < 0 ? rc : direct_ask_item(d, &p, "the drive's root", out);
}

int direct_raw_item(struct direct *d, const char *id, struct item *out)
{
	struct graph_prepared p = direct_call();
	int rc = graph_prepare_get_item(d->session->graph, id, &p);

	return rc < 0 ? rc : direct_ask_item(d, &p, id, out);
}

int direct_raw_child(struct direct *d, const char *parent_id, const char *name,
                     struct item *out)
{
	struct graph_prepared p = direct_call();
	int rc =
		graph_prepare_get_child(d->session->graph, parent_id, name, &p);

	if (rc == 0)
		rc = direct_ask_item(d, &p, name, out);
	return rc == 0 && strcmp(out->name, name) != 0 ? -ENOENT : rc;
}

#define DELETE_TRIES 4

static int delete_once(struct direct *d, const struct item *it,
                       struct direct_answer *a)
{
	struct graph_prepared p = direct_call();
	int rc = graph_prepare_delete(d->session->graph, it->id, it->etag, &p);

	return rc < 0 ? rc : direct_ask(d, &p, "delete", a);
}

int direct_raw_delete(struct direct *d, const struct item *it)
{
	struct item *now = malloc(sizeof(*now));
	struct direct_answer *a = calloc(1, sizeof(*a));
	int rc = now && a ? -ESTALE : -ENOMEM;

	if (rc == -ESTALE)
		*now = *it;
	for (int i = 0; i < DELETE_TRIES && rc == -ESTALE; i++) {
		rc = delete_once(d, now, a);
		if (rc == 0 || a->status == 404) {
			rc = 0;
			break;
		}
		if (a->status != 412 && !a->look)
			break;
		rc = direct_raw_item(d, it->id, now);
		if (rc == -ENOENT)
			rc = 0;
		else if (rc == 0)
			rc = -ESTALE; /* once more, by the tag it has now */
		if (now->size != it->size || now->has_hash != it->has_hash ||
		    memcmp(now->hash, it->hash, sizeof(now->hash)) != 0)
			break;
	}
	free(a);
	free(now);
	return rc;
}

/* ---- a folder ------------------------------------------------------------ */

static int each_of(const cJSON *value, struct item *it, direct_each_fn *each,
                   void *arg)
{
	const cJSON *v;
	int rc = 0;

	cJSON_ArrayForEach (v, value) {
		struct graph_item item;

		if (graph_parse_item(v, &item) < 0 || item.deleted ||
		    item_copy(&item, it) < 0)
			continue;
		rc = each(arg, it);
		if (rc != 0)
			break;
	}
	return rc;
}

static int take_page(struct direct *d, const struct graph_result *r,
                     struct item *it, direct_each_fn *each, void *arg,
                     struct graph_walk *walk, struct graph_prepared *next,
                     bool *out_more)
{
	struct graph_page page = { 0 };
	int rc = r->json ? graph_parse_page(d->session->graph, r->json, &page)
	                 : -EBADMSG;

	if (rc == 0 && page.next_link)
		rc = graph_walk_on(walk, &page);
	if (rc == 0)
		rc = each_of(page.value, it, each, arg);
	*out_more = rc == 0 && page.next_link;
	return *out_more ? graph_prepare_link(d->session->graph, page.next_link,
	                                      next)
	                 : rc;
}

int direct_raw_list(struct direct *d, const char *folder_id,
                    direct_each_fn *each, void *arg)
{
	struct graph_prepared p = direct_call();
	struct item *it = malloc(sizeof(*it));
	struct graph_walk walk = { 0 };
	bool more = true;
	int rc = it ? graph_prepare_list(d->session->graph, folder_id, &p)
	            : -ENOMEM;

	while (rc == 0 && more) {
		struct graph_result r;

		rc = direct_wait(d, &p, &r);
		graph_prepared_done(&p);
		p = direct_call();
		if (rc < 0)
			direct_say_answer(d, "listing a folder", &r.answer, rc);
		else
			rc = take_page(d, &r, it, each, arg, &walk, &p, &more);
		graph_result_done(&r);
	}
	free(it);
	return rc;
}

/* ---- bytes --------------------------------------------------------------- */

int direct_raw_read(struct direct *d, const struct item *it, uint64_t off,
                    uint64_t len, direct_sink_fn *sink, void *arg)
{
	struct direct_file *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return -ENOMEM;
	f->item = *it;
	snprintf(f->node.name, sizeof(f->node.name), "%.*s", NODE_NAME_MAX,
	         it->name);
	rc = direct_download(d, f, off, len, sink, arg);
	free(f);
	return rc;
}
