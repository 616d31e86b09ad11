#include "tests/graphd/versions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/clock.h"
#include "tests/graphd/download.h"
#include "tests/graphd/drive_json.h"
#include "tests/graphd/item_json.h"
#include "tests/graphd/list.h"
#include "tests/graphd/locate.h"
#include "tests/graphd/must.h"

static struct item *locate_file(struct graphd *g, const struct request *req,
                                struct answer *out)
{
	struct item *item = locate_item(g, req, out);

	if (item && item->type != ITEM_FILE) {
		answer_error(out, 400, "invalidRequest", NULL,
		             "The item has no versions.");
		return NULL;
	}
	return item;
}

static void not_found(struct answer *out)
{
	answer_error(out, 404, "itemNotFound", NULL,
	             "There is no such version.");
}

static struct version current_of(const struct item *item)
{
	return (struct version){ item->version_n, item->blob,
		                 item->modified_ns };
}

/* No hashes, no eTag, no fileSystemInfo (facts/graph.md 8). */
static cJSON *version_json(struct graphd *g, const struct request *req,
                           const struct item *item, const struct version *v)
{
	bool current = v->n == item->version_n;
	cJSON *o = cJSON_CreateObject(), *p;
	char text[CLOCK_RFC3339_SIZE];
	char *url;

	snprintf(text, sizeof(text), "%u.0", v->n);
	cJSON_AddStringToObject(o, "id", text);
	if (current) {
		p = cJSON_AddObjectToObject(o, "publication");
		cJSON_AddStringToObject(p, "level", "published");
		cJSON_AddStringToObject(p, "versionId", text);
	}
	clock_format_rfc3339(v->modified_ns, 0, text);
	cJSON_AddStringToObject(o, "lastModifiedDateTime", text);
	cJSON_AddNumberToObject(o, "size", (double)v->blob->size);
	cJSON_AddItemToObject(o, "lastModifiedBy", drive_json_user(g, false));
	if (g->quirks.version_urls && !current) {
		url = download_url(g, item, v, req->now_ns);
		cJSON_AddStringToObject(o, "@microsoft.graph.downloadUrl", url);
		free(url);
	}
	return o;
}

/* Newest first, the current one at the head; pages by skiptoken. */
void versions_list(struct graphd *g, const struct request *req,
                   struct answer *out)
{
	struct item *item = locate_file(g, req, out);
	const char *token = query_get(&req->query, "skiptoken");
	uint64_t first = token ? strtoull(token, NULL, 10) : 0, end;
	struct version current;
	cJSON *page, *value;
	char *link;

	if (!item)
		return;
	current = current_of(item);
	end = first + list_page_size(g, req);
	page = cJSON_CreateObject();
	value = cJSON_AddArrayToObject(page, "value");
	for (uint64_t i = first; i <= item->nversions && i < end; i++) {
		const struct version *v =
			i ? &item->versions[item->nversions - i] : &current;

		cJSON_AddItemToArray(value, version_json(g, req, item, v));
	}
	if (end <= item->nversions) {
		link = must_printf("%s/v1.0/drives/%s/items/%s/versions"
		                   "?$skiptoken=%llu",
		                   req->base, g->drive->id, item->id,
		                   (unsigned long long)end);
		cJSON_AddStringToObject(page, "@odata.nextLink", link);
		free(link);
	}
	answer_json(out, 200, page);
}

/* Index of the old version named in the URL; nversions: the current one;
 * -1 and an answer: none. */
static ssize_t find_version(const struct request *req, struct answer *out,
                            const struct item *item)
{
	const char *id = req->route.arg;
	unsigned n;
	char rest;

	if (!strcmp(id, "current"))
		return (ssize_t)item->nversions;
	if (sscanf(id, "%u.0%c", &n, &rest) == 1) {
		if (n == item->version_n)
			return (ssize_t)item->nversions;
		for (size_t i = 0; i < item->nversions; i++) {
			if (item->versions[i].n == n)
				return (ssize_t)i;
		}
	}
	not_found(out);
	return -1;
}

void versions_get(struct graphd *g, const struct request *req,
                  struct answer *out)
{
	struct item *item = locate_file(g, req, out);
	struct version current;
	ssize_t i;

	if (!item)
		return;
	i = find_version(req, out, item);
	if (i < 0)
		return;
	current = current_of(item);
	answer_json(out, 200,
	            version_json(g, req, item,
	                         i == (ssize_t)item->nversions
	                                 ? &current
	                                 : &item->versions[i]));
}

void versions_content(struct graphd *g, const struct request *req,
                      struct answer *out)
{
	struct item *item = locate_file(g, req, out);
	ssize_t i;
	char *url;

	if (!item)
		return;
	i = find_version(req, out, item);
	if (i < 0)
		return;
	if (i == (ssize_t)item->nversions) {
		answer_error(out, 400, "invalidRequest", NULL,
		             "You cannot get the content of the current "
		             "version.");
		return;
	}
	url = download_url(g, item, &item->versions[i], req->now_ns);
	answer_empty(out, 302);
	answer_header(out, "Location", "%s", url);
	free(url);
}

void versions_restore(struct graphd *g, const struct request *req,
                      struct answer *out)
{
	struct item *item = locate_file(g, req, out);
	ssize_t i;

	if (!item)
		return;
	i = find_version(req, out, item);
	if (i < 0)
		return;
	if (i == (ssize_t)item->nversions) {
		answer_error(out, 400, "invalidRequest", NULL,
		             "It is the current version.");
		return;
	}
	if (!locate_room(g, out, (int64_t)item->versions[i].blob->size))
		return;
	drive_set_content(g->drive, item, blob_ref(item->versions[i].blob),
	                  req->now_ns);
	answer_empty(out, 204);
}

void versions_delete(struct graphd *g, const struct request *req,
                     struct answer *out)
{
	struct item *item;
	ssize_t i;

	if (!g->quirks.delete_versions) {
		answer_error(out, 400, "invalidRequest", NULL, "API not found");
		return;
	}
	item = locate_file(g, req, out);
	if (!item)
		return;
	i = find_version(req, out, item);
	if (i < 0)
		return;
	if (i == (ssize_t)item->nversions) {
		answer_error(out, 400, "invalidRequest", NULL,
		             "The current version can't be deleted.");
		return;
	}
	drive_drop_version(g->drive, item, (size_t)i);
	answer_empty(out, 204);
}
