#include "tests/graphd/change.h"

#include <stdlib.h>
#include <string.h>

#include "net/json.h"
#include "tests/graphd/item_json.h"
#include "tests/graphd/locate.h"
#include "tests/graphd/must.h"
#include "tests/graphd/stats.h"

static void bad_request(struct answer *out, const char *message)
{
	answer_error(out, 400, "invalidRequest", NULL, message);
}

/* ---- folders
 * ------------------------------------------------------------------ */

static bool set_folder_times(struct graphd *g, struct answer *out,
                             const cJSON *body, int64_t *created,
                             int64_t *modified)
{
	const cJSON *info = json_obj(body, "fileSystemInfo");

	return locate_time(g, out, info, "createdDateTime", created) &&
	       locate_time(g, out, info, "lastModifiedDateTime", modified);
}

static void add_folder(struct graphd *g, const struct request *req,
                       struct answer *out, struct item *parent,
                       const char *name, const cJSON *body)
{
	int64_t created = req->now_ns, modified = created;
	struct item *item;

	if (!set_folder_times(g, out, body, &created, &modified))
		return;
	item = drive_add(g->drive, parent, name, ITEM_FOLDER, req->now_ns);
	item->fs_created_ns = created;
	item->fs_modified_ns = modified;
	if (g->quirks.settle_ms)
		item->settle_etag_ns =
			(uint64_t)(req->now_ns + g->quirks.settle_ms * 1000000);
	item_json_answer(g, req, out, 201, item);
}

static void create_in(struct graphd *g, const struct request *req,
                      struct answer *out, struct item *parent,
                      const cJSON *body)
{
	enum conflict how = locate_conflict(req, body, CONFLICT_FAIL);
	char *name = locate_stored_name(g, json_str(body, "name"));
	struct item *there;

	if (!locate_check_name(g, out, parent, name, true)) {
		free(name);
		return;
	}
	there = drive_child(g->drive, parent, name);
	if (there && how == CONFLICT_RENAME) {
		char *other = drive_free_name(g->drive, parent, name);

		free(name);
		name = other;
		there = NULL;
	}
	if (!there)
		add_folder(g, req, out, parent, name, body);
	else if (how == CONFLICT_REPLACE && there->type == ITEM_FOLDER)
		item_json_answer(g, req, out, 200, there);
	else
		locate_name_taken(g, out, there, name);
	free(name);
}

void change_create(struct graphd *g, const struct request *req,
                   struct answer *out)
{
	struct item *parent = locate_item(g, req, out);
	cJSON *body;

	if (!parent)
		return;
	body = request_json(req, out);
	if (!body)
		return;
	if (parent->type != ITEM_FOLDER)
		bad_request(out, "The parent is not a folder.");
	else if (!json_str(body, "name"))
		bad_request(out, "The name is missing.");
	else if (!json_obj(body, "folder"))
		bad_request(out, "A folder facet is needed here.");
	else
		create_in(g, req, out, parent, body);
	cJSON_Delete(body);
}

/* ---- PATCH
 * ---------------------------------------------------------------------- */

struct patch {
	struct item *parent; /* where it shall be */
	char *name;
	int64_t fs_created_ns, fs_modified_ns;
	bool times;
	const char *description;
};

/* "parentReference": an id, or a path in old pages; never "root" (3.2). */
static struct item *new_parent(struct graphd *g, const struct request *req,
                               struct answer *out, const cJSON *ref,
                               struct item *item)
{
	const char *id = json_str(ref, "id"), *path = json_str(ref, "path");
	const char *drive = json_str(ref, "driveId"), *rest;
	struct item *parent = item->parent, *deepest;

	if (drive && strcasecmp(drive, g->drive->id) &&
	    strcasecmp(drive, g->drive->id + 1)) {
		bad_request(out, "Items can't move to another drive.");
		return NULL;
	}
	if (id && !strcmp(id, "root")) {
		stats_forbid(
			g->stats,
			"3.2: a parent is given by a real id, not \"root\"",
			"%s %s", req->method, req->target);
		bad_request(out, "The parent id is malformed.");
		return NULL;
	}
	if (id) {
		parent = drive_find(g->drive, id);
	} else if (path && strstr(path, "root")) {
		path = strchrnul(strstr(path, "root"), ':');
		parent = drive_resolve(g->drive, g->drive->root,
		                       *path ? path + 1 : "", &deepest, &rest);
	}
	if (!parent)
		answer_error(out, 404, "itemNotFound", NULL,
		             "There is no such parent.");
	else if (parent->type != ITEM_FOLDER || drive_is_below(parent, item))
		bad_request(out, "The parent can't take the item.");
	else
		return parent;
	return NULL;
}

static bool read_patch(struct graphd *g, const struct request *req,
                       struct answer *out, const cJSON *body, struct item *item,
                       struct patch *p)
{
	const cJSON *info = json_obj(body, "fileSystemInfo");
	const char *name = json_str(body, "name");

	p->parent = item->parent;
	p->name = locate_stored_name(g, name ? name : item->name);
	p->fs_created_ns = item->fs_created_ns;
	p->fs_modified_ns = item->fs_modified_ns;
	p->times = info != NULL;
	p->description = json_str(body, "description");
	if (json_obj(body, "parentReference")) {
		p->parent = new_parent(g, req, out,
		                       json_obj(body, "parentReference"), item);
		if (!p->parent)
			return false;
	}
	if (p->description && !g->quirks.description) {
		answer_error(out, 400, "invalidRequest",
		             "propertyNotUpdateable",
		             "The description can't be set.");
		return false;
	}
	return locate_time(g, out, info, "createdDateTime",
	                   &p->fs_created_ns) &&
	       locate_time(g, out, info, "lastModifiedDateTime",
	                   &p->fs_modified_ns);
}

/* True if the name is free for the item, or was made free. */
static bool clear_name(struct graphd *g, const struct request *req,
                       struct answer *out, const cJSON *body, struct item *item,
                       struct patch *p)
{
	enum conflict how = locate_conflict(req, body, CONFLICT_FAIL);
	struct item *there = drive_child(g->drive, p->parent, p->name);
	char *other;

	if (there == item) {
		/* A spelling of its own name: case may change, other forms
		 * are "taken" (facts/graph.md 3.2). */
		if (!strcmp(item->name, p->name) ||
		    (!strcasecmp(item->name, p->name) &&
		     !g->quirks.case_rename_409))
			return true;
		locate_name_taken(g, out, there, p->name);
		return false;
	}
	if (!there)
		return true;
	if (how == CONFLICT_RENAME) {
		other = drive_free_name(g->drive, p->parent, p->name);
		free(p->name);
		p->name = other;
		return true;
	}
	if (how == CONFLICT_REPLACE && there->type == ITEM_FILE &&
	    item->type == ITEM_FILE) {
		drive_bin(g->drive, there, req->now_ns);
		return true;
	}
	locate_name_taken(g, out, there, p->name);
	return false;
}

static void apply_times(struct graphd *g, const struct request *req,
                        struct item *item, const struct patch *p)
{
	/* Business: a version of its own (3.2, 13 #3). */
	if (g->quirks.version_on_mtime && item->type == ITEM_FILE && item->blob)
		drive_add_version(g->drive, item, req->now_ns);
	item->fs_created_ns = p->fs_created_ns;
	item->fs_modified_ns = p->fs_modified_ns;
	if (g->opt.kind == DRIVE_BUSINESS)
		item->modified_ns = p->fs_modified_ns;
}

static bool path_fits(struct graphd *g, struct answer *out,
                      const struct patch *p, const struct item *item)
{
	return locate_check_name(g, out, p->parent, p->name,
	                         item->type == ITEM_FOLDER);
}

static void apply_patch(struct graphd *g, const struct request *req,
                        struct answer *out, const cJSON *body,
                        struct item *item, struct patch *p)
{
	bool moves = item->parent &&
	             (p->parent != item->parent || strcmp(p->name, item->name));

	if (moves && (!path_fits(g, out, p, item) ||
	              !clear_name(g, req, out, body, item, p)))
		return;
	if (p->times)
		apply_times(g, req, item, p);
	if (p->description) {
		free(item->description);
		item->description = must_copy(p->description);
	}
	if (moves)
		drive_move(g->drive, item, p->parent, p->name, req->now_ns);
	else if (p->times || p->description)
		drive_touch(g->drive, item, req->now_ns);
	item_json_answer(g, req, out, 200, item);
}

void change_patch(struct graphd *g, const struct request *req,
                  struct answer *out)
{
	struct item *item = locate_item(g, req, out);
	struct patch p = { 0 };
	cJSON *body;

	if (!item)
		return;
	body = request_json(req, out);
	if (!body)
		return;
	if (locate_if_match(g, req, out, item) && locate_unlocked(out, item) &&
	    read_patch(g, req, out, body, item, &p))
		apply_patch(g, req, out, body, item, &p);
	free(p.name);
	cJSON_Delete(body);
}

/* ---- DELETE
 * --------------------------------------------------------------------- */

static bool may_delete(struct graphd *g, const struct request *req,
                       struct answer *out, struct item *item)
{
	if (!item->parent) {
		answer_error(out, 403, "accessDenied", NULL,
		             "The root can't be deleted.");
		return false;
	}
	if (g->quirks.delete_if_match_412 && request_header(req, "If-Match")) {
		answer_error(out, 412, "resourceModified",
		             "entityTagDoesNotMatch",
		             "The item has another eTag by now.");
		return false;
	}
	return locate_if_match(g, req, out, item) && locate_unlocked(out, item);
}

void change_delete(struct graphd *g, const struct request *req,
                   struct answer *out)
{
	struct item *item = locate_item(g, req, out);

	if (!item || !may_delete(g, req, out, item))
		return;
	drive_bin(g->drive, item, req->now_ns);
	answer_empty(out, 204);
}

void change_permanent_delete(struct graphd *g, const struct request *req,
                             struct answer *out)
{
	struct item *item;

	if (!g->quirks.permanent_delete) {
		answer_error(out, 400, "invalidRequest", NULL,
		             "The call is not supported here.");
		return;
	}
	if (!req->in_batch && !request_header(req, "Content-Length")) {
		stats_forbid(g->stats,
		             "3.3: permanentDelete sends Content-Length: 0",
		             "%s", req->target);
		answer_error(out, 411, "invalidRequest", NULL,
		             "Content-Length is needed.");
		return;
	}
	item = locate_item(g, req, out);
	if (!item || !may_delete(g, req, out, item))
		return;
	drive_destroy(g->drive, item, req->now_ns);
	answer_empty(out, 204);
}

/* ---- restore
 * --------------------------------------------------------------------- */

static void restore_to(struct graphd *g, const struct request *req,
                       struct answer *out, struct item *item, const cJSON *body)
{
	const char *id = json_str(json_obj(body, "parentReference"), "id");
	const char *name = json_str(body, "name");
	struct item *parent, *there;

	parent = id ? drive_find(g->drive, id) : item->parent;
	if (!parent || parent->state != ITEM_LIVE) {
		answer_error(out, 404, "itemNotFound", NULL,
		             "The folder is gone.");
		return;
	}
	if (!name)
		name = item->name;
	there = drive_child(g->drive, parent, name);
	if (there) {
		locate_name_taken(g, out, there, name);
		return;
	}
	drive_restore(g->drive, item, parent, name, req->now_ns);
	item_json_answer(g, req, out, 200, item);
}

void change_restore(struct graphd *g, const struct request *req,
                    struct answer *out)
{
	struct item *item =
		req->route.id ? drive_find_any(g->drive, req->route.id) : NULL;
	cJSON *body = NULL;

	if (!g->quirks.restore) {
		answer_error(out, 400, "invalidRequest", NULL,
		             "The call is not supported here.");
		return;
	}
	if (!item || item->state != ITEM_BINNED ||
	    item->binned_with != item->num) {
		answer_error(out, 404, "itemNotFound", NULL,
		             "There is no such item in the recycle bin.");
		return;
	}
	if (req->body && req->body->len) {
		body = request_json(req, out);
		if (!body)
			return;
	}
	restore_to(g, req, out, item, body);
	cJSON_Delete(body);
}
