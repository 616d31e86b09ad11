#include "tests/graphd/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/clock.h"
#include "net/json.h"
#include "tests/graphd/ids.h"
#include "tests/graphd/item_json.h"
#include "tests/graphd/must.h"
#include "tests/graphd/session_internal.h"
#include "tests/graphd/stats.h"

#define MAX_FILE_BYTES (INT64_C(250) << 30)

struct sessions *sessions_new(void)
{
	return must_alloc(sizeof(struct sessions));
}

void session_free(struct session *s)
{
	draft_free(s->draft);
	free(s->target);
	free(s->name);
	free(s->description);
	free(s);
}

void sessions_free(struct graphd *g)
{
	if (!g->sessions)
		return;
	if (g->blobs)
		blob_store_freeze(g->blobs);
	while (g->sessions->first)
		session_drop(g, g->sessions->first);
	free(g->sessions);
}

struct session *session_find(struct graphd *g, const char *guid)
{
	struct session *s = g->sessions->first;

	while (s && strcmp(s->guid, guid))
		s = s->next;
	return s;
}

void session_drop(struct graphd *g, struct session *s)
{
	struct session **at = &g->sessions->first;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	blob_unref(g->blobs, s->blob);
	session_free(s);
}

/* ---- opening
 * -------------------------------------------------------------------- */

static bool read_members(struct graphd *g, const struct request *req,
                         struct answer *out, const cJSON *body,
                         struct session *s)
{
	const cJSON *item = json_obj(body, "item");
	const cJSON *info = json_obj(item, "fileSystemInfo");
	int64_t size = json_i64(item, "fileSize", -1);

	s->how = locate_conflict(req, item, CONFLICT_REPLACE);
	s->defer = json_bool(body, "deferCommit", false);
	s->description = must_copy(json_str(item, "description"));
	if (size > MAX_FILE_BYTES) {
		answer_error(out, 413, "maxFileSizeExceeded", NULL,
		             "The file is too large.");
		return false;
	}
	if (g->quirks.session_quota && !locate_room(g, out, size))
		return false;
	return locate_time(g, out, info, "createdDateTime",
	                   &s->fs_created_ns) &&
	       locate_time(g, out, info, "lastModifiedDateTime",
	                   &s->fs_modified_ns);
}

/* Members that belong into "item" and are ignored outside it (5.1). */
static void note_strays(struct graphd *g, const struct request *req,
                        const cJSON *body)
{
	const cJSON *m;

	cJSON_ArrayForEach (m, body) {
		if (strcmp(m->string, "item") &&
		    strcmp(m->string, "deferCommit"))
			stats_forbid(g->stats,
			             "5.1: session members are wrapped in item",
			             "%s %s", m->string, req->target);
	}
}

static bool name_agrees(struct answer *out, const cJSON *body,
                        const struct target *t)
{
	const char *name = json_str(json_obj(body, "item"), "name");
	const char *own = t->name ? t->name : t->item->name;

	if (!name || !strcmp(name, own))
		return true;
	answer_error(out, 400, "invalidRequest", NULL,
	             "The name differs from that of the path.");
	return false;
}

/* One session per new name at a time (13 #46). */
static bool name_in_use(struct graphd *g, const struct target *t)
{
	if (!g->quirks.second_session_409 || t->item || !t->parent)
		return false;
	for (struct session *s = g->sessions->first; s; s = s->next) {
		if (!s->item_num && s->parent_num == t->parent->num &&
		    drive_same_name(g->drive, s->name, t->name))
			return true;
	}
	return false;
}

static bool may_open(struct graphd *g, const struct request *req,
                     struct answer *out, const cJSON *body,
                     const struct target *t, enum conflict how)
{
	bool by_id = !t->parent || !t->name;

	if (!name_agrees(out, body, t) ||
	    !locate_if_match(g, req, out, t->item) ||
	    !locate_unlocked(out, t->item))
		return false;
	if (t->item && t->item->type != ITEM_FILE) {
		locate_name_taken(g, out, t->item, t->item->name);
		return false;
	}
	if (t->item && !by_id && how == CONFLICT_FAIL) {
		locate_name_taken(g, out, t->item, t->name);
		return false;
	}
	if (name_in_use(g, t)) {
		answer_error(out, 409, "nameAlreadyExists", NULL,
		             "An upload session already exists.");
		return false;
	}
	return true;
}

/* The forms are those of the hosts that were seen (5.1); escapes in lower case
 * and raw quotes, so that a client that re-encodes gives itself away. */
static char *make_target(struct graphd *g, const struct session *s,
                         const char *parent_id)
{
	char secret[37];

	ids_guid(secret);
	if (g->opt.kind == DRIVE_PERSONAL)
		return must_printf("/rup/%s/%s?sig=%s%%3d&v=1", g->drive->id,
		                   s->guid, secret);
	return must_printf("/_api/v2.0/drives/%s/items/%s/uploadSession"
	                   "?guid='%s'&overwrite=%s&rename=%s&dc=%d"
	                   "&tempauth=v1.%s%%3d%%3d",
	                   g->drive->id, parent_id, s->guid,
	                   s->how == CONFLICT_REPLACE ? "True" : "False",
	                   s->how == CONFLICT_RENAME ? "True" : "False",
	                   s->defer, secret);
}

static void set_place(struct graphd *g, const struct request *req,
                      struct session *s, const struct target *t)
{
	bool by_id = !t->parent || !t->name;
	const struct item *parent = by_id ? t->item->parent : t->parent;
	const char *if_match = request_header(req, "If-Match");

	s->name = must_copy(t->name);
	s->parent_num = by_id ? 0 : t->parent->num;
	s->guarded = if_match && strcmp(if_match, "*");
	if (t->item && s->how != CONFLICT_RENAME) {
		s->item_num = t->item->num;
		if (g->quirks.tag_on_open)
			drive_bump_tag(g->drive, t->item);
		s->doomed = g->quirks.tag_on_open == 2 && s->guarded;
		s->etag_n = t->item->etag_n;
	}
	s->target = make_target(g, s, parent->id);
}

static void answer_open(struct graphd *g, const struct request *req,
                        struct answer *out, const struct session *s)
{
	cJSON *json = cJSON_CreateObject();
	char expires[CLOCK_RFC3339_SIZE];
	char *text;

	text = must_printf("%s/v1.0/$metadata#microsoft.graph.uploadSession",
	                   req->base);
	cJSON_AddStringToObject(json, "@odata.context", text);
	free(text);
	clock_format_rfc3339(s->expires_ns, 3, expires);
	cJSON_AddStringToObject(json, "expirationDateTime", expires);
	if (!g->quirks.omit_ranges) {
		const char *ranges[] = { "0-" };

		cJSON_AddItemToObject(json, "nextExpectedRanges",
		                      cJSON_CreateStringArray(ranges, 1));
	}
	text = must_printf("%s%s", g->content_url, s->target);
	cJSON_AddStringToObject(json, "uploadUrl", text);
	free(text);
	answer_json(out, 200, json);
}

static void open_for(struct graphd *g, const struct request *req,
                     struct answer *out, const cJSON *body,
                     const struct target *t)
{
	struct session *s = must_alloc(sizeof(*s));

	if (!read_members(g, req, out, body, s) ||
	    !may_open(g, req, out, body, t, s->how)) {
		session_free(s);
		return;
	}
	ids_guid(s->guid);
	s->total = -1;
	s->fd = -1;
	s->expires_ns = req->now_ns + g->quirks.session_life_s * NS_PER_SEC;
	if (g->quirks.session_url_life_s)
		s->url_expires_ns =
			req->now_ns + g->quirks.session_url_life_s * NS_PER_SEC;
	must_ok(draft_new(g->blobs, &s->draft), "upload session");
	set_place(g, req, s, t);
	s->next = g->sessions->first;
	g->sessions->first = s;
	answer_open(g, req, out, s);
}

void session_create(struct graphd *g, const struct request *req,
                    struct answer *out)
{
	struct target t;
	cJSON *body;

	body = req->body && req->body->len ? request_json(req, out)
	                                   : cJSON_CreateObject();
	if (!body)
		return;
	if (locate_target(g, req, out, &t)) {
		note_strays(g, req, body);
		open_for(g, req, out, body, &t);
		locate_target_done(&t);
	}
	cJSON_Delete(body);
}

/* ---- the end
 * -------------------------------------------------------------------- */

/* Where it goes now: things may have moved since the opening. */
static bool final_target(struct graphd *g, struct answer *out,
                         const struct session *s, struct target *t)
{
	struct item *parent =
		s->parent_num ? drive_find_num(g->drive, s->parent_num) : NULL;
	struct item *item =
		s->item_num ? drive_find_num(g->drive, s->item_num) : NULL;

	memset(t, 0, sizeof(*t));
	if (item && item->state == ITEM_LIVE) {
		t->item = item;
	} else if (parent && parent->state == ITEM_LIVE && s->name) {
		t->parent = parent;
		t->name = must_copy(s->name);
		t->item = drive_child(g->drive, parent, s->name);
	} else {
		answer_error(out, 404, "itemNotFound", NULL,
		             "The item or its folder is gone.");
		return false;
	}
	return true;
}

static bool tag_holds(struct answer *out, const struct session *s,
                      const struct target *t)
{
	bool moved = !t->item || t->item->num != s->item_num ||
	             t->item->etag_n != s->etag_n;

	if (!s->doomed && !(s->guarded && moved))
		return true;
	answer_error(out, 412, "resourceModified", "entityTagDoesNotMatch",
	             "The item was changed during the upload.");
	return false;
}

/* Oddities of the last answer (5.2, 13 #11). */
static void answer_item(struct graphd *g, const struct request *req,
                        struct answer *out, int status, struct item *item)
{
	cJSON *json;

	switch (g->quirks.final_answer) {
	case 1:
		answer_empty(out, status);
		return;
	case 2:
		json = cJSON_CreateObject();
		cJSON_AddArrayToObject(json, "nextExpectedRanges");
		answer_json(out, status, json);
		return;
	case 3:
		json = item_json(g, req, item, VIEW_ITEM);
		cJSON_DeleteItemFromObject(json, "eTag");
		cJSON_DeleteItemFromObject(cJSON_GetObjectItem(json, "file"),
		                           "hashes");
		answer_json(out, status, json);
		return;
	default:
		item_json_answer(g, req, out, status, item);
	}
}

void session_finish(struct graphd *g, const struct request *req,
                    struct answer *out, struct session *s)
{
	struct put_meta meta = { s->fs_created_ns, s->fs_modified_ns,
		                 s->description };
	struct item *item = NULL;
	struct target t;
	bool created;

	if (!s->blob)
		s->blob = draft_take(s->draft);
	if (!final_target(g, out, s, &t))
		return;
	if (tag_holds(out, s, &t))
		item = put_blob(g, req, out, &t, s->how, blob_ref(s->blob),
		                &meta, &created);
	if (item) {
		session_drop(g, s);
		answer_item(g, req, out, created ? 201 : 200, item);
	}
	locate_target_done(&t);
}

/* ---- control and storage
 * ----------------------------------------------------------- */

unsigned session_expire(struct graphd *g, const char *target, bool token)
{
	unsigned n = 0;

	for (struct session *s = g->sessions->first; s; s = s->next) {
		if (target && strcmp(s->target, target))
			continue;
		if (token)
			s->url_expires_ns = 1;
		else
			s->expires_ns = 1;
		n++;
	}
	return n;
}

cJSON *session_dump(struct graphd *g)
{
	cJSON *list = cJSON_CreateArray();

	for (struct session *s = g->sessions->first; s; s = s->next) {
		cJSON *o = cJSON_CreateObject();

		cJSON_AddStringToObject(o, "guid", s->guid);
		cJSON_AddStringToObject(o, "name", s->name ? s->name : "");
		cJSON_AddNumberToObject(o, "total", (double)s->total);
		cJSON_AddNumberToObject(o, "received",
		                        s->blob ? (double)s->blob->size
		                                : (double)draft_kept(s->draft));
		cJSON_AddItemToArray(list, o);
	}
	return list;
}
