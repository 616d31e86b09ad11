#include "tests/graphd/stranger.h"

#include <stdlib.h>
#include <string.h>

#include "tests/graphd/drive_json.h"
#include "tests/graphd/item_json.h"
#include "tests/graphd/list.h"
#include "tests/graphd/must.h"

/* Another id of the same form. free(). */
static char *other_id(const char *id)
{
	char *copy = must_copy(id);
	char *last = copy + strlen(copy) - 1;

	*last = *last == '2' ? '3' : '2';
	return copy;
}

static void set_text(cJSON *obj, const char *name, char *text)
{
	cJSON_ReplaceItemInObject(obj, name, cJSON_CreateString(text));
	free(text);
}

static void show_drive(struct graphd *g, struct answer *out)
{
	cJSON *drive = drive_json(g);

	set_text(drive, "id", other_id(g->drive->id));
	cJSON_DeleteItemFromObject(drive, "quota");
	answer_json(out, 200, drive);
}

static void show_root(struct graphd *g, const struct request *req,
                      struct answer *out)
{
	cJSON *root = item_json(g, req, g->drive->root, VIEW_ITEM);

	set_text(root, "id", other_id(g->drive->root->id));
	set_text(cJSON_GetObjectItem(root, "parentReference"), "driveId",
	         other_id(g->drive->id));
	cJSON_SetNumberValue(
		cJSON_GetObjectItem(cJSON_GetObjectItem(root, "folder"),
	                            "childCount"),
		0);
	answer_json(out, 200, root);
}

static bool is_own(struct graphd *g, const struct request *req)
{
	char *own = other_id(g->drive->id);
	bool ok = !req->route.drive || !strcmp(req->route.drive, own);

	free(own);
	return ok;
}

static bool is_root(struct graphd *g, const struct request *req)
{
	char *own;
	bool ok;

	if (req->route.base != BASE_ID)
		return req->route.base == BASE_ROOT && !req->route.path;
	own = other_id(g->drive->root->id);
	ok = !strcmp(req->route.id, own) && !req->route.path;
	free(own);
	return ok;
}

static void no_feed(const struct request *req, struct answer *out)
{
	cJSON *page = cJSON_CreateObject();
	char *link = must_printf("%s/v1.0/me/drive/root/delta?token=none",
	                         req->base);

	cJSON_AddArrayToObject(page, "value");
	cJSON_AddStringToObject(page, "@odata.deltaLink", link);
	free(link);
	answer_json(out, 200, page);
}

void stranger_handle(struct graphd *g, const struct request *req,
                     struct answer *out)
{
	bool root = is_root(g, req);

	if (!is_own(g, req))
		answer_error(out, 404, "itemNotFound", NULL,
		             "There is no such drive.");
	else if (req->route.class == CLASS_drive)
		show_drive(g, out);
	else if (req->route.class == CLASS_item && root)
		show_root(g, req, out);
	else if (req->route.class == CLASS_children && root)
		list_nothing(g, req, out);
	else if (req->route.class == CLASS_delta && root)
		no_feed(req, out);
	else if (!strcmp(req->method, "GET"))
		answer_error(out, 404, "itemNotFound", NULL,
		             "There is no such item.");
	else
		answer_error(out, 403, "accessDenied", NULL,
		             "This account can't store anything.");
}
