#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/json.h"
#include "tests/graphd/fault.h"
#include "tests/graphd/fault_internal.h"
#include "tests/graphd/ids.h"
#include "tests/graphd/login.h"
#include "tests/graphd/must.h"
#include "tests/graphd/session.h"

enum member_type { INT, BOOL, TEXT, ANY };

/* Texts with few values: those, between bars. */
static const struct {
	const char *name;
	enum member_type type;
	const char *values;
} members[] = {
	{ "status", INT, NULL },
	{ "code", TEXT, NULL },
	{ "inner", TEXT, NULL },
	{ "retry_after", ANY, NULL },
	{ "headers", ANY, NULL },
	{ "effect", BOOL, NULL },
	{ "drop", TEXT, "|before|after|" },
	{ "drop_at", INT, NULL },
	{ "reset", BOOL, NULL },
	{ "delay_ms", INT, NULL },
	{ "stall_ms", INT, NULL },
	{ "stall_at", INT, NULL },
	{ "truncate", INT, NULL },
	{ "corrupt", INT, NULL },
	{ "bytes_per_s", INT, NULL },
	{ "body", ANY, NULL },
	{ "size", INT, NULL },
	{ "type", TEXT, NULL },
	{ "expire", TEXT, "|session|session_token|url|access|" },
	{ "hash", TEXT, "|none|wrong|" },
	{ "range", TEXT, "|ignore|shift|" },
	{ "bump_tag", BOOL, NULL },
	{ "answer", ANY, NULL },
	{ "items", ANY, NULL },
	{ "only", TEXT, NULL },
	{ "link", TEXT, NULL },
	{ "wire", TEXT, FAULT_WIRE_KINDS },
};

static bool fits(const cJSON *m, enum member_type type, const char *values)
{
	char quoted[40];

	switch (type) {
	case INT:
		return cJSON_IsNumber(m);
	case BOOL:
		return cJSON_IsBool(m);
	case TEXT:
		if (!cJSON_IsString(m) || !values)
			return cJSON_IsString(m);
		snprintf(quoted, sizeof(quoted), "|%s|", m->valuestring);
		return strstr(values, quoted) != NULL;
	case ANY:
		break;
	}
	return true;
}

const char *fault_check_action(const cJSON *action)
{
	const cJSON *m;

	cJSON_ArrayForEach (m, action) {
		bool ok = false;

		for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
			ok |= !strcmp(members[i].name, m->string) &&
			      fits(m, members[i].type, members[i].values);
		if (!ok)
			return m->string;
	}
	return NULL;
}

/* Usual codes of facts/graph.md 10.2. */
static const struct {
	int status;
	const char *code, *inner;
} usual[] = {
	{ 400, "invalidRequest", "" },
	{ 401, "InvalidAuthenticationToken", "" },
	{ 403, "accessDenied", "" },
	{ 404, "itemNotFound", "" },
	{ 405, "invalidRequest", "" },
	{ 409, "nameAlreadyExists", "" },
	{ 410, "resyncRequired", "resyncChangesUploadDifferences" },
	{ 412, "resourceModified", "entityTagDoesNotMatch" },
	{ 413, "maxStreamSizeExceeded", "" },
	{ 416, "invalidRange", "fragmentOverlap" },
	{ 423, "resourceLocked", "" },
	{ 429, "activityLimitReached", "throttledRequest" },
	{ 500, "generalException", "" },
	{ 501, "notSupported", "" },
	{ 503, "serviceNotAvailable", "" },
	{ 507, "quotaLimitReached", "" },
	{ 509, "activityLimitReached", "" },
};

static void set_codes(const cJSON *action, struct fault_hit *hit)
{
	const char *code = json_str(action, "code");
	const char *inner = json_str(action, "inner");

	for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++) {
		if (usual[i].status != hit->status || code)
			continue;
		code = usual[i].code;
		inner = inner ? inner : usual[i].inner;
	}
	snprintf(hit->code, sizeof(hit->code), "%s",
	         code ? code : "UnknownError");
	snprintf(hit->inner, sizeof(hit->inner), "%s", inner ? inner : "");
}

static void set_headers(const cJSON *action, struct fault_hit *hit)
{
	const cJSON *after = json_get(action, "retry_after");
	const cJSON *headers = json_obj(action, "headers");

	if (headers)
		hit->headers = cJSON_Duplicate(headers, 1);
	if (!after)
		return;
	if (!hit->headers)
		hit->headers = cJSON_CreateObject();
	if (cJSON_IsNumber(after)) {
		char text[24];

		snprintf(text, sizeof(text), "%.0f", after->valuedouble);
		cJSON_AddStringToObject(hit->headers, "Retry-After", text);
	} else if (cJSON_IsString(after)) {
		cJSON_AddStringToObject(hit->headers, "Retry-After",
		                        after->valuestring);
	}
}

static void copy_text(const cJSON *action, const char *name, char *out,
                      size_t size)
{
	const char *s = json_str(action, name);

	snprintf(out, size, "%s", s ? s : "");
}

void fault_read_action(const cJSON *action, struct fault_hit *hit)
{
	const char *drop = json_str(action, "drop");

	hit->status = (int)json_i64(action, "status", 0);
	set_codes(action, hit);
	fault_set_body(action, hit);
	set_headers(action, hit);
	hit->effect = json_bool(action, "effect", false);
	if (drop)
		hit->drop = strcmp(drop, "after") ? DROP_BEFORE : DROP_AFTER;
	hit->reset = json_bool(action, "reset", false);
	hit->drop_at = json_i64(action, "drop_at", -1);
	hit->delay_ms = json_i64(action, "delay_ms", 0);
	hit->stall_ms = json_i64(action, "stall_ms", 0);
	hit->stall_at = json_i64(action, "stall_at", -1);
	hit->truncate_at = json_i64(action, "truncate", -1);
	hit->corrupt_at = json_i64(action, "corrupt", -1);
	hit->bytes_per_s = json_i64(action, "bytes_per_s", 0);
	hit->bump_tag = json_bool(action, "bump_tag", false);
	copy_text(action, "expire", hit->expire, sizeof(hit->expire));
	copy_text(action, "hash", hit->hash, sizeof(hit->hash));
	copy_text(action, "range", hit->range, sizeof(hit->range));
	copy_text(action, "wire", hit->wire, sizeof(hit->wire));
	hit->edits = fault_read_edits(action);
}

void fault_hit_done(struct fault_hit *hit)
{
	free(hit->body);
	free(hit->type);
	cJSON_Delete(hit->headers);
	cJSON_Delete(hit->edits);
	hit->body = hit->type = NULL;
	hit->headers = hit->edits = NULL;
}

/* ---- acting
 * ------------------------------------------------------------------------ */

static void bump(struct graphd *g, const struct request *req)
{
	struct item *item = NULL, *parent;
	const char *rest;

	if (req->route.base == BASE_ID)
		item = drive_find(g->drive, req->route.id);
	else if (req->route.base == BASE_ROOT)
		item = g->drive->root;
	if (item && req->route.path)
		item = drive_resolve(g->drive, item, req->route.path, &parent,
		                     &rest);
	if (item)
		drive_touch(g->drive, item, req->now_ns);
}

static void expire_access(struct graphd *g)
{
	cJSON *s = cJSON_CreateObject();

	cJSON_AddTrueToObject(s, "expire_access");
	login_set(g->login, s, graphd_now_ms(g));
	cJSON_Delete(s);
}

void fault_prepare(struct graphd *g, const struct request *req,
                   const struct fault_hit *hit)
{
	if (!hit->fired)
		return;
	if (!strcmp(hit->expire, "session"))
		session_expire(g, req->target, false);
	else if (!strcmp(hit->expire, "session_token"))
		session_expire(g, req->target, true);
	else if (!strcmp(hit->expire, "url"))
		g->urls_from_ns = req->now_ns;
	else if (!strcmp(hit->expire, "access"))
		expire_access(g);
	if (hit->bump_tag)
		bump(g, req);
}

bool fault_replaces(const struct fault_hit *hit)
{
	return (hit->status || (*hit->wire && !strstr(hit->wire, "_length"))) &&
	       !hit->effect;
}

/* Takes the hashes out of all items of an answer, or makes them wrong. */
static void spoil_hashes(cJSON *json, bool wrong)
{
	for (cJSON *m = json ? json->child : NULL, *next; m; m = next) {
		next = m->next;
		if (!m->string || strcmp(m->string, "hashes"))
			spoil_hashes(m, wrong);
		else if (wrong)
			cJSON_ReplaceItemInObject(
				m, "quickXorHash",
				cJSON_CreateString(
					"d3Jvbmdoash3cm9uZ2hhc2g9PTA="));
		else
			cJSON_Delete(cJSON_DetachItemViaPointer(json, m));
	}
}

static void spoil_answer(const struct fault_hit *hit, struct answer *out)
{
	cJSON *json = out->body.len ? json_parse(out->body.data, out->body.len)
	                            : NULL;
	char *text;

	if (!json)
		return;
	spoil_hashes(json, !strcmp(hit->hash, "wrong"));
	text = cJSON_PrintUnformatted(json);
	buf_clear(&out->body);
	buf_add_str(&out->body, text);
	free(text);
	cJSON_Delete(json);
}

void fault_apply(const struct fault_hit *hit, const struct request *req,
                 struct answer *out)
{
	const cJSON *h;

	if (!hit->fired)
		return;
	if (hit->status && hit->body) {
		answer_clear(out);
		answer_text(out, hit->status, hit->type, "");
		buf_add(&out->body, hit->body, hit->body_len);
	} else if (hit->status) {
		answer_error(out, hit->status, hit->code,
		             *hit->inner ? hit->inner : NULL,
		             "This is a fault that a test asked for.");
	}
	if (*hit->hash)
		spoil_answer(hit, out);
	if (hit->edits)
		fault_edit(hit->edits, req, out);
	cJSON_ArrayForEach (h, hit->headers) {
		if (cJSON_IsString(h))
			answer_header(out, h->string, "%s", h->valuestring);
	}
	if (!strcmp(hit->range, "shift") && out->status == 206 &&
	    out->fd_off > 0)
		out->fd_off--;
}

/* ---- in a batch
 * ----------------------------------------------------------------------- */

void fault_move_out(struct fault_hit *part, struct fault_hit *whole)
{
	bool cut = part->drop != DROP_NONE;

	if (!part->fired || whole->fired ||
	    !(cut || part->stall_ms || part->truncate_at >= 0 ||
	      part->bytes_per_s || part->fill || *part->wire))
		return;
	whole->fired = true;
	whole->drop = cut ? DROP_AFTER : DROP_NONE; /* others have happened */
	whole->reset = part->reset;
	whole->stall_ms = part->stall_ms;
	whole->stall_at = part->stall_at < 0 ? 0 : part->stall_at;
	whole->truncate_at = part->truncate_at;
	whole->bytes_per_s = part->bytes_per_s;
	whole->fill = part->fill;
	memcpy(whole->wire, part->wire, sizeof(whole->wire));
}
