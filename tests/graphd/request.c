#include "tests/graphd/request.h"

#include <string.h>

#include "net/json.h"

const char *request_header(const struct request *r, const char *name)
{
	for (size_t i = 0; i < r->nheaders; i++) {
		if (!strcasecmp(r->headers[i].name, name))
			return r->headers[i].value;
	}
	return NULL;
}

cJSON *request_json(const struct request *r, struct answer *out)
{
	cJSON *json = r->body && r->body->len
	                      ? json_parse(r->body->data, r->body->len)
	                      : NULL;

	if (cJSON_IsObject(json))
		return json;
	cJSON_Delete(json);
	answer_error(out, 400, "invalidRequest", "invalidParameterFormat",
	             "The body is no JSON object.");
	return NULL;
}
