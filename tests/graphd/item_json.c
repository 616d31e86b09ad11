#include "tests/graphd/item_json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/graphd/download.h"
#include "tests/graphd/drive_json.h"
#include "tests/graphd/ids.h"
#include "tests/graphd/list.h"
#include "tests/graphd/must.h"

static void add_text(cJSON *obj, const char *name, char *text)
{
	if (text)
		cJSON_AddStringToObject(obj, name, text);
	free(text);
}

/* Personal drives: a leading zero gets lost here (facts/graph.md 2.5). */
static const char *shown_drive_id(struct graphd *g)
{
	const char *id = g->drive->id;

	return g->quirks.short_drive_id && *id == '0' ? id + 1 : id;
}

static void add_parent(struct graphd *g, const struct request *req, cJSON *obj,
                       const struct item *item, const struct item *parent,
                       enum item_view view)
{
	bool business = g->opt.kind == DRIVE_BUSINESS;
	cJSON *ref = cJSON_AddObjectToObject(obj, "parentReference");
	struct buf path = BUF_INIT;

	cJSON_AddStringToObject(ref, "driveType",
	                        business ? "business" : "personal");
	cJSON_AddStringToObject(ref, "driveId", shown_drive_id(g));
	if (!parent)
		return;
	/* Tombstones name the root (7.2). */
	if (item->state != ITEM_LIVE && view != VIEW_STALE)
		parent = g->drive->root;
	cJSON_AddStringToObject(ref, "id", parent->id);
	if (view != VIEW_ITEM && !g->quirks.delta_path)
		return;
	if (!business && parent->parent)
		cJSON_AddStringToObject(ref, "name", parent->name);
	if (req->route.drive && business)
		buf_addf(&path, "/drives/%s/root:", g->drive->id);
	else
		buf_add_str(&path, "/drive/root:");
	drive_path(parent, g->quirks.encoded_path, &path);
	cJSON_AddStringToObject(ref, "path", must_text(&path));
	buf_done(&path);
}

static const struct {
	const char *ending, *type;
} mime_types[] = {
	{ ".txt", "text/plain" },
	{ ".html", "text/html" },
	{ ".htm", "text/html" },
	{ ".jpg", "image/jpeg" },
	{ ".jpeg", "image/jpeg" },
	{ ".png", "image/png" },
	{ ".pdf", "application/pdf" },
	{ ".zip", "application/zip" },
	{ ".json", "application/json" },
	{ ".mp4", "video/mp4" },
	{ ".one", "application/msonenote" },
};

static const char *mime_type(const char *name)
{
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < sizeof(mime_types) / sizeof(*mime_types);
	     i++) {
		if (!strcasecmp(dot, mime_types[i].ending))
			return mime_types[i].type;
	}
	return "application/octet-stream";
}

static bool shows_hash(struct graphd *g, const struct item *item,
                       const struct blob *blob, int64_t now_ns)
{
	if (item->no_hash || (!blob->size && !g->quirks.hash_of_empty))
		return false;
	return now_ns - item->content_ns >= g->quirks.hash_delay_ms * 1000000;
}

static void add_file(struct graphd *g, const struct request *req, cJSON *obj,
                     const struct item *item, const char *name,
                     const struct blob *blob)
{
	cJSON *file = cJSON_AddObjectToObject(obj, "file");
	cJSON *hashes;

	cJSON_AddStringToObject(file, "mimeType", mime_type(name));
	hashes = cJSON_AddObjectToObject(file, "hashes");
	if (!shows_hash(g, item, blob, req->now_ns))
		return;
	cJSON_AddStringToObject(hashes, "quickXorHash",
	                        item->wrong_hash
	                                ? "d3Jvbmdoash3cm9uZ2hhc2g9PTA="
	                                : blob->quickxor);
	if (*blob->sha1)
		cJSON_AddStringToObject(hashes, "sha1Hash", blob->sha1);
}

static void add_folder(struct graphd *g, cJSON *obj, const struct item *item)
{
	cJSON *folder = cJSON_AddObjectToObject(obj, "folder");
	cJSON *view;

	cJSON_AddNumberToObject(folder, "childCount", item->nchildren);
	if (g->opt.kind == DRIVE_BUSINESS)
		return;
	view = cJSON_AddObjectToObject(folder, "view");
	cJSON_AddStringToObject(view, "viewType", "thumbnails");
	cJSON_AddStringToObject(view, "sortBy", "name");
	cJSON_AddStringToObject(view, "sortOrder", "ascending");
}

static void add_web_url(struct graphd *g, cJSON *obj, const struct item *item)
{
	struct buf url = BUF_INIT;

	if (g->opt.kind == DRIVE_BUSINESS) {
		buf_add_str(&url, "https://contoso-my.sharepoint.com/personal/"
		                  "some_one_contoso_example/Documents");
		drive_path(item, true, &url);
	} else {
		buf_addf(&url,
		         "https://onedrive.live.com/?cid=%s&id=", g->drive->id);
		buf_add_percent(&url, item->id, strlen(item->id));
	}
	cJSON_AddStringToObject(obj, "webUrl", must_text(&url));
	buf_done(&url);
}

static void add_facets(struct graphd *g, const struct request *req, cJSON *obj,
                       const struct item *item, const struct item_shown *s)
{
	cJSON *facet;

	switch (item->type) {
	case ITEM_FILE:
		assert(s->blob);
		add_file(g, req, obj, item, s->name, s->blob);
		break;
	case ITEM_FOLDER:
		add_folder(g, obj, item);
		break;
	case ITEM_PACKAGE:
		facet = cJSON_AddObjectToObject(obj, "package");
		cJSON_AddStringToObject(facet, "type", "oneNote");
		break;
	}
	if (item == g->drive->root)
		cJSON_AddObjectToObject(obj, "root");
	if (item->malware)
		cJSON_AddObjectToObject(obj, "malware");
	if (item->remote) {
		facet = cJSON_AddObjectToObject(obj, "remoteItem");
		cJSON_AddStringToObject(facet, "id", "01OTHERDRIVEITEM");
		cJSON_AddObjectToObject(facet, "folder");
	}
}

/* A deleted item, as delta tells it (7.2, delta-page-last.json). */
static cJSON *tombstone(struct graphd *g, const struct request *req,
                        struct item *item)
{
	cJSON *obj = cJSON_CreateObject(), *facet;

	cJSON_AddStringToObject(obj, "@odata.type",
	                        "#microsoft.graph.driveItem");
	cJSON_AddStringToObject(obj, "id", item->id);
	if (g->opt.kind == DRIVE_BUSINESS)
		cJSON_AddNumberToObject(obj, "size", 0);
	else
		cJSON_AddStringToObject(obj, "name", item->name);
	add_parent(g, req, obj, item, item->parent, VIEW_DELTA);
	facet = cJSON_AddObjectToObject(obj, "deleted");
	cJSON_AddStringToObject(facet, "state", "deleted");
	if (item->type == ITEM_FOLDER) {
		facet = cJSON_AddObjectToObject(obj, "folder");
		cJSON_AddNumberToObject(facet, "childCount", 0);
		return obj;
	}
	cJSON_AddObjectToObject(obj, "fileSystemInfo");
	facet = cJSON_AddObjectToObject(obj, "file");
	facet = cJSON_AddObjectToObject(facet, "hashes");
	cJSON_AddStringToObject(facet, "quickXorHash",
	                        "AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	return obj;
}

static struct item_shown shown_now(struct item *item)
{
	return (struct item_shown){
		.parent = item->parent,
		.name = item->name,
		.blob = item->blob,
		.etag_n = item->etag_n,
		.ctag_n = item->ctag_n,
		.modified_ns = item->modified_ns,
		.fs_modified_ns = item->fs_modified_ns,
	};
}

static void add_tags(struct graphd *g, cJSON *obj, const struct item *item,
                     const struct item_shown *s, enum item_view view)
{
	enum drive_kind kind = g->opt.kind;

	/* The root of a Business drive shows none in delta (example). */
	if (view == VIEW_ITEM || item != g->drive->root)
		add_text(obj, "eTag", ids_etag(kind, item, s->etag_n));
	if (view == VIEW_ITEM || kind != DRIVE_BUSINESS)
		add_text(obj, "cTag", ids_ctag(kind, item, s->ctag_n));
}

static void add_times(struct graphd *g, cJSON *obj, const struct item *item,
                      const struct item_shown *s)
{
	cJSON *info;

	drive_json_time(g, obj, "createdDateTime", item->created_ns);
	drive_json_time(g, obj, "lastModifiedDateTime", s->modified_ns);
	info = cJSON_AddObjectToObject(obj, "fileSystemInfo");
	drive_json_time(g, info, "createdDateTime", item->fs_created_ns);
	drive_json_time(g, info, "lastModifiedDateTime", s->fs_modified_ns);
}

static bool has_download(struct graphd *g, const struct item *item,
                         enum item_view view)
{
	if (item->type != ITEM_FILE || item->malware ||
	    g->quirks.no_download_url)
		return false;
	return view == VIEW_ITEM || g->quirks.delta_url;
}

/* An eTag may move by itself soon after creation (13 #14). */
static void settle_tag(struct graphd *g, struct item *item, int64_t now_ns)
{
	if (!item->settle_etag_ns || now_ns < (int64_t)item->settle_etag_ns)
		return;
	item->settle_etag_ns = 0;
	drive_bump_tag(g->drive, item);
}

char *item_etag(struct graphd *g, struct item *item, int64_t now_ns)
{
	settle_tag(g, item, now_ns);
	return ids_etag(g->opt.kind, item, item->etag_n);
}

cJSON *item_json(struct graphd *g, const struct request *req, struct item *item,
                 enum item_view view)
{
	bool business = g->opt.kind == DRIVE_BUSINESS;
	struct item_shown s;
	cJSON *obj;

	settle_tag(g, item, req->now_ns);
	s = view == VIEW_STALE && item->before ? *item->before
	                                       : shown_now(item);
	if (item->state != ITEM_LIVE && view != VIEW_STALE)
		return tombstone(g, req, item);
	obj = cJSON_CreateObject();
	if (view != VIEW_ITEM)
		cJSON_AddStringToObject(obj, "@odata.type",
		                        "#microsoft.graph.driveItem");
	if (has_download(g, item, view))
		add_text(obj, "@microsoft.graph.downloadUrl",
		         download_url(g, item, NULL, req->now_ns));
	cJSON_AddStringToObject(obj, "id", item->id);
	cJSON_AddStringToObject(obj, "name", s.name);
	cJSON_AddNumberToObject(
		obj, "size",
		s.blob ? (double)s.blob->size
		       : (double)(item->size * g->quirks.folder_size_sign));
	add_tags(g, obj, item, &s, view);
	add_web_url(g, obj, item);
	if (!business || view == VIEW_ITEM) {
		cJSON_AddItemToObject(obj, "createdBy",
		                      drive_json_user(g, true));
		cJSON_AddItemToObject(obj, "lastModifiedBy",
		                      drive_json_user(g, true));
	}
	add_parent(g, req, obj, item, s.parent, view);
	add_times(g, obj, item, &s);
	add_facets(g, req, obj, item, &s);
	if (item->description && !business)
		cJSON_AddStringToObject(obj, "description", item->description);
	return obj;
}

/* True if the comma-separated list has the word. */
static bool names(const char *list, const char *word)
{
	size_t len = strlen(word);

	while (*list) {
		size_t n = strcspn(list, ", ");

		if (n == len && !strncmp(list, word, n))
			return true;
		list += n + strspn(list + n, ", ");
	}
	return false;
}

void item_json_select(cJSON *item, const char *select)
{
	if (!select || !*select)
		return;
	for (cJSON *m = item->child, *next; m; m = next) {
		bool url = !strcmp(m->string, "@microsoft.graph.downloadUrl");
		bool keep = names(select, m->string) ||
		            !strncmp(m->string, "@odata", 6);

		next = m->next;
		/* It comes only along with the id (2.2). */
		if (url)
			keep = names(select, "id") &&
			       (keep || names(select, "content.downloadUrl"));
		if (!keep)
			cJSON_Delete(cJSON_DetachItemViaPointer(item, m));
	}
}

void item_json_answer(struct graphd *g, const struct request *req,
                      struct answer *out, int status, struct item *item)
{
	const char *expand = query_get(&req->query, "expand");
	cJSON *json = item_json(g, req, item, VIEW_ITEM);
	char *context = must_printf("%s/v1.0/$metadata#drives('%s')/%s/$entity",
	                            req->base, g->drive->id,
	                            item == g->drive->root ? "root" : "items");

	item_json_select(json, query_get(&req->query, "select"));
	if (expand && names(expand, "children") && item->type == ITEM_FOLDER)
		list_expand_children(g, req, item, json);
	cJSON_AddStringToObject(json, "@odata.context", context);
	free(context);
	answer_json(out, status, json);
}
