#include "tests/graphd/answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/clock.h"
#include "tests/graphd/ids.h"
#include "tests/graphd/must.h"

#define JSON_TYPE                                                              \
	"application/json;odata.metadata=minimal;odata.streaming=true;"        \
	"IEEE754Compatible=false;charset=utf-8"

void answer_init(struct answer *a, const char *client_request_id)
{
	memset(a, 0, sizeof(*a));
	a->fd = -1;
	ids_guid(a->request_id);
	a->client_request_id = must_copy(client_request_id);
}

void answer_clear(struct answer *a)
{
	for (size_t i = 0; i < a->nheaders; i++) {
		free(a->headers[i].name);
		free(a->headers[i].value);
	}
	free(a->headers);
	a->headers = NULL;
	a->nheaders = 0;
	buf_done(&a->body);
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
	a->status = 0;
}

void answer_done(struct answer *a)
{
	answer_clear(a);
	free(a->client_request_id);
}

void answer_header(struct answer *a, const char *name, const char *fmt, ...)
{
	struct header *h;
	va_list ap;

	a->headers =
		must_grow(a->headers, (a->nheaders + 1) * sizeof(*a->headers));
	h = &a->headers[a->nheaders++];
	h->name = must_copy(name);
	va_start(ap, fmt);
	if (vasprintf(&h->value, fmt, ap) < 0)
		h->value = must_copy("");
	va_end(ap);
}

const char *answer_get_header(const struct answer *a, const char *name)
{
	for (size_t i = 0; i < a->nheaders; i++) {
		if (!strcasecmp(a->headers[i].name, name))
			return a->headers[i].value;
	}
	return NULL;
}

void answer_empty(struct answer *a, int status)
{
	a->status = status;
	buf_clear(&a->body);
}

void answer_text(struct answer *a, int status, const char *type,
                 const char *text)
{
	a->status = status;
	answer_header(a, "Content-Type", "%s", type);
	buf_clear(&a->body);
	buf_add_str(&a->body, text);
}

void answer_json(struct answer *a, int status, cJSON *json)
{
	char *text = cJSON_PrintUnformatted(json);

	answer_text(a, status, JSON_TYPE, text ? text : "");
	free(text);
	cJSON_Delete(json);
}

/* Both spellings are seen (facts/graph.md 10.2); which one comes is left to
 * the request id, so that no client gets used to either. */
static const char *inner_name(const struct answer *a)
{
	return a->request_id[0] & 1 ? "innererror" : "innerError";
}

void answer_error(struct answer *a, int status, const char *code,
                  const char *inner, const char *message)
{
	cJSON *json = cJSON_CreateObject();
	cJSON *error = cJSON_AddObjectToObject(json, "error");
	char date[CLOCK_RFC3339_SIZE];
	cJSON *in;

	answer_clear(a);
	cJSON_AddStringToObject(error, "code", code);
	cJSON_AddStringToObject(error, "message", message);
	in = cJSON_AddObjectToObject(error, inner_name(a));
	if (inner)
		cJSON_AddStringToObject(in, "code", inner);
	clock_format_rfc3339(clock_real_ns(), 0, date);
	date[strlen(date) - 1] = '\0'; /* without the Z (10.2) */
	cJSON_AddStringToObject(in, "date", date);
	cJSON_AddStringToObject(in, "request-id", a->request_id);
	cJSON_AddStringToObject(in, "client-request-id",
	                        a->client_request_id ? a->client_request_id
	                                             : a->request_id);
	answer_json(a, status, json);
}
