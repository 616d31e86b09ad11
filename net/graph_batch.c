#include "net/graph_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_PART ((size_t)64 << 10)

/* ---- which item a call is for -------------------------------------------- */

/* "/items/{id}" or "/items/{parent}:/{name}", without what follows. */
static size_t key_length(const char *path)
{
	size_t len = strcspn(path, "?");
	const char *item = strstr(path, "/items/"), *id, *name;

	if (!item || item > path + len)
		return len;
	id = item + strlen("/items/");
	len = (size_t)(id - path) + strcspn(id, "/:?");
	if (path[len] != ':')
		return len;
	name = path + len + 1;
	return (size_t)(name - path) + strcspn(name, ":?");
}

/* Many creations in one folder are calls for many items, one by name. */
static bool add_new_name(const struct call *c, const char *after, struct buf *b)
{
	cJSON *json;
	const char *name;

	if (strcmp(c->method, "POST") != 0 || strcmp(after, "/children") != 0)
		return true;
	json = json_parse(c->body, c->c.body_len);
	name = json_str(json, "name");
	if (name)
		buf_addf(b, "/%s", name);
	cJSON_Delete(json);
	return name != NULL;
}

static bool is_json_object(const struct call *c)
{
	cJSON *json;
	bool ok;

	if (!c->c.body_len)
		return true;
	json = json_parse(c->body, c->c.body_len);
	ok = cJSON_IsObject(json);
	cJSON_Delete(json);
	return ok;
}

char *graph_batch_key(const struct call *c)
{
	struct buf b = BUF_INIT;
	size_t len = key_length(c->path);

	if (c->path[0] != '/' || c->c.body_len > MAX_PART || !is_json_object(c))
		return NULL;
	buf_add(&b, c->path, len);
	if (!add_new_name(c, c->path + len, &b)) {
		buf_done(&b);
		return NULL;
	}
	return buf_steal(&b);
}

/* ---- the request --------------------------------------------------------- */

static bool add_header(cJSON *headers, const char *line)
{
	size_t len = strcspn(line, ":");
	char *name = strndup(line, len);
	const char *value = line + len + (line[len] == ':');
	bool ok;

	value += strspn(value, " ");
	ok = name && cJSON_AddStringToObject(headers, name, value);
	free(name);
	return ok;
}

static bool add_headers(cJSON *part, const struct call *c)
{
	cJSON *headers;

	if (!c->headers[0])
		return true;
	headers = cJSON_AddObjectToObject(part, "headers");
	for (char **h = c->headers; headers && *h; h++)
		if (!add_header(headers, *h))
			return false;
	return headers != NULL;
}

static bool add_body(cJSON *part, const struct call *c)
{
	cJSON *body;

	if (!c->c.body_len)
		return true;
	body = json_parse(c->body, c->c.body_len);
	return body && cJSON_AddItemToObject(part, "body", body);
}

static bool add_part(cJSON *requests, const struct call *c, unsigned i)
{
	cJSON *part = cJSON_CreateObject();
	char id[12];

	if (!part || !cJSON_AddItemToArray(requests, part))
		return false;
	snprintf(id, sizeof(id), "%u", i + 1);
	return cJSON_AddStringToObject(part, "id", id) &&
	       cJSON_AddStringToObject(part, "method", c->method) &&
	       cJSON_AddStringToObject(part, "url", c->path) &&
	       add_headers(part, c) && add_body(part, c);
}

char *graph_batch_body(struct call *const *calls, unsigned count)
{
	cJSON *json = cJSON_CreateObject();
	cJSON *requests = cJSON_AddArrayToObject(json, "requests");
	char *text = NULL;
	unsigned i = 0;

	while (requests && i < count && add_part(requests, calls[i], i))
		i++;
	if (requests && i == count)
		text = cJSON_PrintUnformatted(json);
	cJSON_Delete(json);
	return text;
}

/* ---- the answer ---------------------------------------------------------- */

static cJSON *find_part(const struct graph_reply *outer, unsigned i)
{
	const cJSON *responses = json_arr(outer->json, "responses");
	cJSON *part;
	char id[12];

	snprintf(id, sizeof(id), "%u", i + 1);
	cJSON_ArrayForEach (part, responses) {
		const char *got = json_str(part, "id");

		if (got && !strcmp(got, id))
			return part;
	}
	return NULL;
}

/* Header names come in any case. */
static const char *part_header(const cJSON *part, const char *name)
{
	const cJSON *headers = json_obj(part, "headers"), *h;

	cJSON_ArrayForEach (h, headers)
		if (h->string && !strcasecmp(h->string, name))
			return cJSON_GetStringValue(h);
	return NULL;
}

void graph_batch_reply(const struct graph_reply *outer, unsigned i,
                       struct graph_reply *out)
{
	cJSON *part = find_part(outer, i);
	cJSON *body = cJSON_GetObjectItemCaseSensitive(part, "body");
	int64_t status = json_i64(part, "status", 0);

	*out = (struct graph_reply){ .rc = -ENETRESET, .was_sent = true };
	if (status < 100 || status > 599)
		return;
	out->rc = 0;
	out->status = (long)status;
	out->has_body = body && !cJSON_IsNull(body);
	out->json = cJSON_IsObject(body) || cJSON_IsArray(body) ? body : NULL;
	out->location = part_header(part, "Location");
	out->retry_after = part_header(part, "Retry-After");
	out->request_id = part_header(part, "request-id");
}
