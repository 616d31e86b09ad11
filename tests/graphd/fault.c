#include "tests/graphd/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/json.h"
#include "tests/graphd/download.h"
#include "tests/graphd/fault_internal.h"
#include "tests/graphd/must.h"
#include "tests/graphd/session.h"

struct rule {
	struct rule *next;
	char *name;
	cJSON *match, *action;  /* the rule as it was given */
	enum route_class class; /* CLASS_COUNT: any */
	int64_t skip, times;    /* times 0: for ever */
	uint64_t seen, fired;
};

struct faults {
	struct rule *first, **end;
	unsigned n;
};

struct faults *faults_new(void)
{
	struct faults *f = must_alloc(sizeof(*f));

	f->end = &f->first;
	return f;
}

static void free_rule(struct rule *r)
{
	free(r->name);
	cJSON_Delete(r->match);
	cJSON_Delete(r->action);
	free(r);
}

void faults_free(struct faults *f)
{
	if (!f)
		return;
	faults_remove(f, NULL);
	free(f);
}

unsigned faults_remove(struct faults *f, const char *name)
{
	struct rule **at = &f->first;
	unsigned n = 0;

	while (*at) {
		struct rule *r = *at;

		if (name && strcmp(r->name, name)) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		free_rule(r);
		n++;
	}
	f->end = at;
	return n;
}

/* ---- rules
 * -------------------------------------------------------------------------- */

static const char *const rule_members[] = { "name",  "match", "do",
	                                    "times", "skip",  NULL };
static const char *const match_members[] = { "class",  "method", "path",
	                                     "target", "name",   "header",
	                                     "bearer", "token",  NULL };

static const char *check_members(const cJSON *obj, const char *const *known)
{
	const cJSON *m;

	cJSON_ArrayForEach (m, obj) {
		const char *const *k = known;

		while (*k && strcmp(*k, m->string))
			k++;
		if (!*k)
			return m->string;
	}
	return NULL;
}

static int add_rule(struct faults *f, const cJSON *json, const char **why)
{
	const cJSON *match = json_obj(json, "match");
	const cJSON *action = json_obj(json, "do");
	const char *class = json_str(match, "class");
	struct rule *r;

	*why = action ? check_members(json, rule_members) : "do";
	if (!*why)
		*why = check_members(match, match_members);
	if (!*why)
		*why = fault_check_action(action);
	if (!*why && class && route_class_of(class) == CLASS_COUNT)
		*why = class;
	if (*why)
		return -EINVAL;
	r = must_alloc(sizeof(*r));
	f->n++;
	r->name = json_str(json, "name") ? must_copy(json_str(json, "name"))
	                                 : must_printf("fault-%u", f->n);
	r->match = match ? cJSON_Duplicate(match, 1) : cJSON_CreateObject();
	r->action = cJSON_Duplicate(action, 1);
	r->class = class ? route_class_of(class) : CLASS_COUNT;
	r->skip = json_i64(json, "skip", 0);
	r->times = json_i64(json, "times", 1);
	*f->end = r;
	f->end = &r->next;
	return 0;
}

int faults_add(struct faults *f, const cJSON *json, const char **out_why)
{
	const cJSON *one;
	int rc = 0;

	if (!cJSON_IsArray(json))
		return add_rule(f, json, out_why);
	cJSON_ArrayForEach (one, json) {
		rc = add_rule(f, one, out_why);
		if (rc < 0)
			break;
	}
	return rc;
}

uint64_t faults_fired(const struct faults *f, const char *name)
{
	uint64_t n = 0;

	for (const struct rule *r = f->first; r; r = r->next) {
		if (!strcmp(r->name, name))
			n += r->fired;
	}
	return n;
}

cJSON *faults_dump(const struct faults *f)
{
	cJSON *list = cJSON_CreateArray();

	for (const struct rule *r = f->first; r; r = r->next) {
		cJSON *o = cJSON_CreateObject();

		cJSON_AddStringToObject(o, "name", r->name);
		cJSON_AddItemToObject(o, "match", cJSON_Duplicate(r->match, 1));
		cJSON_AddItemToObject(o, "do", cJSON_Duplicate(r->action, 1));
		cJSON_AddNumberToObject(o, "times", (double)r->times);
		cJSON_AddNumberToObject(o, "seen", (double)r->seen);
		cJSON_AddNumberToObject(o, "fired", (double)r->fired);
		cJSON_AddItemToArray(list, o);
	}
	return list;
}

/* ---- matching
 * ------------------------------------------------------------------------ */

/* Name of the item a request is about; "" if it names none. free(). */
static char *subject(struct graphd *g, const struct request *req)
{
	const struct route *r = &req->route;
	struct item *item = NULL;
	const char *slash;

	if (r->path && *r->path) {
		slash = strrchr(r->path, '/');
		return must_copy(slash ? slash + 1 : r->path);
	}
	if (r->class == CLASS_create && req->body && req->body->len) {
		cJSON *json = json_parse(req->body->data, req->body->len);
		char *name = must_copy(json_str(json, "name"));

		cJSON_Delete(json);
		return name ? name : must_copy("");
	}
	if (r->place == PLACE_SESSION)
		return session_name(g, req->target);
	if (r->place == PLACE_DOWNLOAD)
		item = download_item(g, req->target);
	else if (r->base == BASE_ID)
		item = drive_find_any(g->drive, r->id);
	return must_copy(item ? item->name : "");
}

static bool matches(struct graphd *g, const struct request *req,
                    const struct rule *r)
{
	const char *method = json_str(r->match, "method");
	const char *path = json_str(r->match, "path");
	const char *target = json_str(r->match, "target");
	const char *name = json_str(r->match, "name");
	const char *header = json_str(r->match, "header");
	const char *bearer = json_str(r->match, "bearer");
	const char *sent = bearer ? request_header(req, "Authorization") : NULL;
	const cJSON *token = json_get(r->match, "token");
	bool has_token = query_get(&req->query, "token") || req->route.arg;
	bool ok;
	char *own;

	if ((r->class != CLASS_COUNT && r->class != req->route.class) ||
	    (r->class == CLASS_COUNT && req->route.class == CLASS_login) ||
	    (method && strcmp(method, req->method)) ||
	    (target && !strstr(req->target, target)) ||
	    (header && !request_header(req, header)) ||
	    (bearer && (!sent || !strstr(sent, bearer))) ||
	    (path && (!req->route.path || !strstr(req->route.path, path))) ||
	    (cJSON_IsBool(token) && has_token != (bool)cJSON_IsTrue(token)))
		return false;
	if (!name)
		return true;
	own = subject(g, req);
	ok = !strcmp(own, name);
	free(own);
	return ok;
}

void fault_hit_init(struct fault_hit *hit)
{
	memset(hit, 0, sizeof(*hit));
	hit->drop_at = hit->stall_at = -1;
	hit->truncate_at = hit->corrupt_at = -1;
}

void fault_match(struct graphd *g, const struct request *req,
                 struct fault_hit *out)
{
	fault_hit_init(out);
	for (struct rule *r = g->faults->first; r; r = r->next) {
		if ((r->times && r->fired >= (uint64_t)r->times) ||
		    !matches(g, req, r))
			continue;
		if (r->seen++ < (uint64_t)r->skip)
			continue;
		r->fired++;
		fault_read_action(r->action, out);
		out->fired = true;
		return;
	}
}
