#include "tests/graphd/batch.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "net/json.h"
#include "tests/graphd/blob.h"
#include "tests/graphd/gate.h"
#include "tests/graphd/must.h"
#include "tests/graphd/stats.h"

#define MAX_PARTS 20

struct part {
	const char *id;
	const cJSON *json;
	bool done;
	int status;
	cJSON *response;
};

struct batch {
	struct part parts[MAX_PARTS];
	size_t n;
};

static struct part *find_part(struct batch *b, const char *id)
{
	for (size_t i = 0; i < b->n; i++) {
		if (!strcmp(b->parts[i].id, id))
			return &b->parts[i];
	}
	return NULL;
}

/* NULL: well-formed; else why not. */
static const char *read_parts(const cJSON *body, struct batch *b)
{
	const cJSON *list = json_arr(body, "requests"), *p;

	if (!list || !cJSON_GetArraySize(list))
		return "There are no requests.";
	if (cJSON_GetArraySize(list) > MAX_PARTS)
		return "There are too many requests.";
	cJSON_ArrayForEach (p, list) {
		const char *id = json_str(p, "id");

		if (!id || !json_str(p, "method") || !json_str(p, "url"))
			return "A request lacks id, method or url.";
		if (find_part(b, id))
			return "Two requests have one id.";
		b->parts[b->n++] = (struct part){ .id = id, .json = p };
	}
	for (size_t i = 0; i < b->n; i++) {
		cJSON_ArrayForEach (p,
		                    json_arr(b->parts[i].json, "dependsOn")) {
			if (!cJSON_IsString(p) || !find_part(b, p->valuestring))
				return "A dependency does not exist.";
		}
	}
	return NULL;
}

/* 0: may run now, 1: waits, -1: a dependency failed. */
static int readiness(struct batch *b, const struct part *part)
{
	const cJSON *dep;
	int rc = 0;

	cJSON_ArrayForEach (dep, json_arr(part->json, "dependsOn")) {
		const struct part *other = find_part(b, dep->valuestring);

		if (other->done && other->status >= 400)
			return -1;
		if (!other->done)
			rc = 1;
	}
	return rc;
}

/* ---- one part
 * ---------------------------------------------------------------------- */

static struct header *part_headers(const cJSON *part, size_t *out_n)
{
	const cJSON *h, *all = json_obj(part, "headers");
	struct header *list = must_alloc((size_t)(cJSON_GetArraySize(all) + 1) *
	                                 sizeof(*list));

	*out_n = 0;
	cJSON_ArrayForEach (h, all) {
		if (cJSON_IsString(h)) {
			list[*out_n].name = h->string;
			list[(*out_n)++].value = h->valuestring;
		}
	}
	return list;
}

/* Objects as JSON, strings as base64 of bytes of another type. */
static void part_body(const cJSON *part, struct buf *out)
{
	const cJSON *body = json_get(part, "body");
	size_t len, n;
	char *text;

	if (cJSON_IsString(body)) {
		len = strlen(body->valuestring);
		must_ok(buf_reserve(out, len + 1), "batch");
		if (sodium_base642bin((unsigned char *)out->data, len,
		                      body->valuestring, len, NULL, &n, NULL,
		                      sodium_base64_VARIANT_ORIGINAL) == 0)
			out->len = n;
	} else if (body) {
		text = cJSON_PrintUnformatted(body);
		buf_add_str(out, text);
		free(text);
	}
}

static struct draft *body_draft(struct graphd *g, const struct buf *body)
{
	struct draft *d;
	unsigned ticket;

	must_ok(draft_new(g->blobs, &d), "content file");
	ticket = draft_claim(d);
	must_ok(draft_write(d, ticket, must_text(body), body->len),
	        "content file");
	draft_keep(d, ticket);
	return d;
}

static cJSON *response_json(const char *id, const struct answer *a)
{
	cJSON *r = cJSON_CreateObject(), *headers, *body;

	cJSON_AddStringToObject(r, "id", id);
	cJSON_AddNumberToObject(r, "status", a->status);
	headers = cJSON_AddObjectToObject(r, "headers");
	for (size_t i = 0; i < a->nheaders; i++)
		cJSON_AddStringToObject(headers, a->headers[i].name,
		                        a->headers[i].value);
	if (!a->body.len)
		return r;
	body = json_parse(a->body.data, a->body.len);
	cJSON_AddItemToObject(r, "body",
	                      body ? body : cJSON_CreateString(a->body.data));
	return r;
}

static const char *const untyped_rule =
	"9: parts with a body say their Content-Type";

static void check_part(struct graphd *g, const struct request *req,
                       const cJSON *part)
{
	if (json_get(part, "body") && !request_header(req, "Content-Type"))
		stats_forbid(g->stats, untyped_rule, "%s %s", req->method,
		             req->target);
	if (request_header(req, "Authorization"))
		stats_forbid(g->stats, "9: parts carry no Authorization",
		             "%s %s", req->method, req->target);
}

static void run_part(struct graphd *g, const struct request *outer,
                     struct part *part)
{
	char *target = must_printf("/v1.0%s", json_str(part->json, "url"));
	struct request req = *outer;
	struct buf body = BUF_INIT;
	struct header *headers;
	struct answer a;

	req.method = json_str(part->json, "method");
	req.target = target;
	req.in_batch = true;
	req.headers = headers = part_headers(part->json, &req.nheaders);
	route_parse(req.method, target, g->quirks.plus_is_space, &req.route);
	query_parse(target, &req.query);
	part_body(part->json, &body);
	req.body = &body;
	req.draft = req.route.class == CLASS_put ? body_draft(g, &body) : NULL;
	answer_init(&a, request_header(outer, "client-request-id"));
	check_part(g, &req, part->json);
	gate_run_part(g, &req, &a);
	part->done = true;
	part->status = a.status;
	part->response = response_json(part->id, &a);
	stats_part(g->stats, req.route.class, a.status);
	answer_done(&a);
	draft_free(req.draft);
	buf_done(&body);
	free(headers);
	query_done(&req.query);
	route_done(&req.route);
	free(target);
}

/* ---- all of them
 * -------------------------------------------------------------------- */

static void fail_part(struct part *part)
{
	struct answer a;

	answer_init(&a, NULL);
	answer_error(&a, 424, "failedDependency", NULL,
	             "A request this one depends on failed.");
	part->done = true;
	part->status = 424;
	part->response = response_json(part->id, &a);
	answer_done(&a);
}

/* Round by round, within a round from behind if shuffled. Returns false when
 * nothing could run: a circle. */
static bool run_round(struct graphd *g, const struct request *req,
                      struct batch *b, cJSON *responses)
{
	bool ran = false;

	for (size_t i = 0; i < b->n; i++) {
		struct part *p =
			&b->parts[g->quirks.batch_shuffle ? b->n - 1 - i : i];
		int ready = p->done ? 1 : readiness(b, p);

		if (ready > 0)
			continue;
		if (ready == 0)
			run_part(g, req, p);
		else
			fail_part(p);
		cJSON_AddItemToArray(responses, p->response);
		ran = true;
	}
	return ran;
}

void batch_run(struct graphd *g, const struct request *req, struct answer *out)
{
	cJSON *body = request_json(req, out), *answer;
	struct batch b = { 0 };
	const char *why;

	if (!body)
		return;
	why = read_parts(body, &b);
	if (why) {
		stats_forbid(g->stats, "9: a batch is well-formed", "%s", why);
		answer_error(out, 400, "invalidRequest", NULL, why);
	} else {
		answer = cJSON_CreateObject();
		cJSON *responses = cJSON_AddArrayToObject(answer, "responses");
		while (run_round(g, req, &b, responses)) {
		}
		for (size_t i = 0; i < b.n; i++) {
			if (!b.parts[i].done) {
				fail_part(&b.parts[i]);
				cJSON_AddItemToArray(responses,
				                     b.parts[i].response);
			}
		}
		answer_json(out, 200, answer);
	}
	cJSON_Delete(body);
}
