#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "net/json.h"
#include "tests/graphd/fault_internal.h"
#include "tests/graphd/must.h"

static const char *const members[] = { "answer", "items", "only", "link" };

cJSON *fault_read_edits(const cJSON *action)
{
	cJSON *edits = cJSON_CreateObject();

	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
		const cJSON *m = json_get(action, members[i]);

		if (m)
			cJSON_AddItemToObject(edits, members[i],
			                      cJSON_Duplicate(m, 1));
	}
	if (edits->child)
		return edits;
	cJSON_Delete(edits);
	return NULL;
}

/* Bytes that no JSON document of a test can hold. */
static cJSON *raw_of_base64(const char *text)
{
	size_t size = strlen(text) + 1, len = 0;
	char *bytes = must_alloc(size);
	cJSON *raw;

	if (sodium_base642bin((unsigned char *)bytes, size - 1, text, size - 1,
	                      NULL, &len, NULL,
	                      sodium_base64_VARIANT_ORIGINAL) < 0)
		len = 0;
	bytes[len] = '\0';
	raw = cJSON_CreateRaw(bytes);
	free(bytes);
	return raw;
}

/* {"raw": text} and {"base64": bytes} stand for themselves in the answer's
 * text, whatever that makes of it. */
static cJSON *value_of(const cJSON *given)
{
	const char *raw = json_str(given, "raw");
	const char *base64 = json_str(given, "base64");

	if (raw)
		return cJSON_CreateRaw(raw);
	return base64 ? raw_of_base64(base64) : cJSON_Duplicate(given, 1);
}

static void merge(cJSON *into, const cJSON *given)
{
	const cJSON *m;

	cJSON_ArrayForEach (m, given) {
		cJSON_DeleteItemFromObjectCaseSensitive(into, m->string);
		if (!cJSON_IsNull(m))
			cJSON_AddItemToObject(into, m->string, value_of(m));
	}
}

static void edit_item(cJSON *item, const cJSON *edits)
{
	const char *only = json_str(edits, "only");
	const char *name = json_str(item, "name");

	if (!only || (name && !strcmp(only, name)))
		merge(item, json_obj(edits, "items"));
}

static void edit_items(cJSON *json, const cJSON *edits)
{
	cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "value"), *item;

	cJSON_ArrayForEach (item, list) {
		if (cJSON_IsObject(item))
			edit_item(item, edits);
	}
	if (!cJSON_IsArray(list) && json_str(json, "id"))
		edit_item(json, edits);
}

/* "self": the page that follows is this one. */
static void edit_link(cJSON *json, const char *link, const struct request *req)
{
	char *self = must_printf("%s%s", req->base, req->target);

	cJSON_DeleteItemFromObjectCaseSensitive(json, "@odata.deltaLink");
	cJSON_DeleteItemFromObjectCaseSensitive(json, "@odata.nextLink");
	cJSON_AddStringToObject(json, "@odata.nextLink",
	                        strcmp(link, "self") ? link : self);
	free(self);
}

void fault_edit(const cJSON *edits, const struct request *req,
                struct answer *out)
{
	cJSON *json = out->body.len ? json_parse(out->body.data, out->body.len)
	                            : NULL;
	const char *link = json_str(edits, "link");
	char *text;

	if (!cJSON_IsObject(json)) {
		cJSON_Delete(json);
		return;
	}
	if (json_obj(edits, "items"))
		edit_items(json, edits);
	merge(json, json_obj(edits, "answer"));
	if (link)
		edit_link(json, link, req);
	text = cJSON_PrintUnformatted(json);
	buf_clear(&out->body);
	buf_add_str(&out->body, text);
	free(text);
	cJSON_Delete(json);
}
