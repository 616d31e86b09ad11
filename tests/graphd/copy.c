#include "tests/graphd/copy.h"

#include <stdlib.h>
#include <string.h>

#include "net/json.h"
#include "tests/graphd/ids.h"
#include "tests/graphd/locate.h"
#include "tests/graphd/must.h"

struct copy {
	struct copy *next;
	char guid[37];
	char *item_id;      /* of the new item; NULL: failed */
	int64_t polls_left; /* "inProgress" answers */
};

struct copies {
	struct copy *first;
};

struct copies *copies_new(void)
{
	return must_alloc(sizeof(struct copies));
}

void copies_free(struct copies *all)
{
	if (!all)
		return;
	for (struct copy *c = all->first, *next; c; c = next) {
		next = c->next;
		free(c->item_id);
		free(c);
	}
	free(all);
}

/* mtime is not kept (3.4): everything is new but the content. */
static struct item *copy_tree(struct graphd *g, const struct item *from,
                              struct item *parent, const char *name,
                              int64_t now_ns)
{
	struct item *to = drive_add(g->drive, parent, name, from->type, now_ns);

	if (from->blob)
		drive_set_content(g->drive, to, blob_ref(from->blob), now_ns);
	for (const struct item *c = from->first; c; c = c->next)
		copy_tree(g, c, to, c->name, now_ns);
	return to;
}

/* Makes room for the name; NULL: taken. free(). */
static char *copy_name(struct graphd *g, const struct request *req,
                       struct item *from, struct item *parent, const char *name)
{
	enum conflict how = locate_conflict(req, NULL, CONFLICT_FAIL);
	struct item *there = drive_child(g->drive, parent, name);

	if (!there)
		return must_copy(name);
	if (how == CONFLICT_RENAME)
		return drive_free_name(g->drive, parent, name);
	if (how != CONFLICT_REPLACE || there->type != from->type ||
	    there == from || there->type == ITEM_FOLDER)
		return NULL;
	drive_bin(g->drive, there, req->now_ns);
	return must_copy(name);
}

static void start(struct graphd *g, const struct request *req,
                  struct answer *out, struct item *from, const cJSON *body)
{
	const char *id = json_str(json_obj(body, "parentReference"), "id");
	struct item *parent = id ? drive_find(g->drive, id) : from->parent;
	const char *name = json_str(body, "name");
	struct copy *c;
	char *final;

	if (!parent || parent->type != ITEM_FOLDER ||
	    drive_is_below(parent, from)) {
		answer_error(out, 400, "invalidRequest", NULL,
		             "The parent can't take the copy.");
		return;
	}
	if (!name)
		name = from->name;
	if (!locate_check_name(g, out, parent, name,
	                       from->type == ITEM_FOLDER) ||
	    !locate_room(g, out,
	                 from->blob ? (int64_t)from->blob->size : from->size))
		return;
	c = must_alloc(sizeof(*c));
	ids_guid(c->guid);
	c->polls_left = g->quirks.copy_polls;
	final = copy_name(g, req, from, parent, name);
	if (final)
		c->item_id = must_copy(
			copy_tree(g, from, parent, final, req->now_ns)->id);
	free(final);
	c->next = g->copies->first;
	g->copies->first = c;
	answer_empty(out, 202);
	answer_header(out, "Location", "%s/_api/v2.0/monitor/%s",
	              g->content_url, c->guid);
}

void copy_start(struct graphd *g, const struct request *req, struct answer *out)
{
	struct item *from = locate_item(g, req, out);
	cJSON *body;

	if (!from)
		return;
	body = req->body && req->body->len ? request_json(req, out)
	                                   : cJSON_CreateObject();
	if (!body)
		return;
	start(g, req, out, from, body);
	cJSON_Delete(body);
}

void copy_monitor(struct graphd *g, const struct request *req,
                  struct answer *out)
{
	struct copy *c = g->copies->first;
	cJSON *json;

	while (c && strcmp(c->guid, req->route.arg))
		c = c->next;
	if (!c) {
		answer_error(out, 404, "itemNotFound", NULL,
		             "There is no such operation.");
		return;
	}
	json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "operation", "ItemCopy");
	if (c->polls_left-- > 0) {
		cJSON_AddNumberToObject(json, "percentageComplete", 27.8);
		cJSON_AddStringToObject(json, "status", "inProgress");
		answer_json(out, 202, json);
		return;
	}
	if (c->item_id) {
		cJSON_AddNumberToObject(json, "percentageComplete", 100);
		cJSON_AddStringToObject(json, "resourceId", c->item_id);
	} else {
		cJSON_AddStringToObject(json, "errorCode", "nameAlreadyExists");
	}
	cJSON_AddStringToObject(json, "status",
	                        c->item_id ? "completed" : "failed");
	answer_json(out, 200, json);
}
