#include "tests/graphd/control.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/clock.h"
#include "net/json.h"
#include "tests/graphd/control_internal.h"
#include "tests/graphd/fault.h"
#include "tests/graphd/login.h"
#include "tests/graphd/must.h"
#include "tests/graphd/stats.h"
#include "tests/graphd/throttle.h"
#include "tests/graphd/wire.h"

void control_bad(struct answer *out, const char *fmt, ...)
{
	cJSON *json = cJSON_CreateObject();
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cJSON_AddStringToObject(json, "error", text);
	answer_clear(out);
	answer_json(out, 400, json);
}

struct item *control_find(struct graphd *g, const char *path)
{
	struct item *parent;
	const char *rest;

	return path ? drive_resolve(g->drive, g->drive->root, path, &parent,
	                            &rest)
	            : NULL;
}

static void show_info(struct graphd *g, const struct request *req,
                      struct answer *out)
{
	static const char *const kinds[] = { "personal", "personal-migrated",
		                             "business" };
	cJSON *json = cJSON_CreateObject();
	char *url = must_printf("%s/v1.0", req->base);

	cJSON_AddStringToObject(json, "graph_url", url);
	free(url);
	cJSON_AddStringToObject(json, "login_url", req->base);
	cJSON_AddStringToObject(json, "content_url", g->content_url);
	cJSON_AddStringToObject(json, "kind", kinds[g->opt.kind]);
	cJSON_AddStringToObject(json, "drive_id", g->drive->id);
	cJSON_AddStringToObject(json, "root_id", g->drive->root->id);
	cJSON_AddNumberToObject(json, "now_ms", (double)graphd_now_ms(g));
	answer_json(out, 200, json);
}

static void issue_token(struct graphd *g, const cJSON *body, struct answer *out)
{
	struct buf access = BUF_INIT, refresh = BUF_INIT;
	int rc = login_issue(g->login, json_str(body, "account"),
	                     json_str(body, "scope"), graphd_now_ms(g), &access,
	                     &refresh);
	cJSON *json;

	if (rc < 0) {
		control_bad(out, "no such account");
	} else {
		json = cJSON_CreateObject();
		cJSON_AddStringToObject(json, "access_token",
		                        must_text(&access));
		cJSON_AddStringToObject(json, "refresh_token",
		                        must_text(&refresh));
		answer_json(out, 200, json);
	}
	buf_done(&access);
	buf_done(&refresh);
}

static void handle_faults(struct graphd *g, const struct request *req,
                          const cJSON *body, struct answer *out)
{
	const char *why;

	if (!strcmp(req->method, "POST") &&
	    faults_add(g->faults, body, &why) < 0) {
		control_bad(out, "fault: not understood: %s", why);
		return;
	}
	if (!strcmp(req->method, "DELETE")) {
		faults_remove(g->faults, query_get(&req->query, "name"));
		wire_release(g->wire);
	}
	answer_json(out, 200, faults_dump(g->faults));
}

/* The budget's own count of calls during a block is a broken rule too. */
static void show_stats(struct graphd *g, struct answer *out)
{
	cJSON *json = stats_dump(g->stats), *rule;
	cJSON *throttle = throttle_stats(g->throttle, clock_mono_ms());
	int64_t early = json_i64(throttle, "forbidden", 0);

	if (early > 0) {
		rule = cJSON_CreateObject();
		cJSON_AddStringToObject(rule, "rule",
		                        "10.1: no calls while throttled");
		cJSON_AddNumberToObject(rule, "count", (double)early);
		cJSON_AddItemToArray(cJSON_GetObjectItem(json, "forbidden"),
		                     rule);
	}
	cJSON_AddItemToObject(json, "throttle", throttle);
	cJSON_AddItemToObject(json, "login",
	                      login_stats(g->login, graphd_now_ms(g)));
	cJSON_AddNumberToObject(json, "clock_ms", (double)graphd_now_ms(g));
	answer_json(out, 200, json);
}

static void reset(struct graphd *g, struct answer *out)
{
	cJSON *none = cJSON_CreateObject();

	stats_reset(g->stats);
	faults_remove(g->faults, NULL);
	wire_release(g->wire);
	quirks_init(&g->quirks, g->opt.kind);
	wire_reset(g->wire);
	g->freeze_until_ms = 0;
	answer_json(out, 200, none);
}

static bool is_post(const struct request *req, struct answer *out)
{
	if (strcmp(req->method, "GET"))
		return true;
	control_bad(out, "POST is needed");
	return false;
}

static void dispatch(struct graphd *g, const struct request *req,
                     const cJSON *body, struct answer *out)
{
	const char *page = req->route.arg;

	if (!strcmp(page, "info"))
		show_info(g, req, out);
	else if (!strcmp(page, "token"))
		issue_token(g, body, out);
	else if (!strcmp(page, "faults"))
		handle_faults(g, req, body, out);
	else if (!strcmp(page, "stats"))
		show_stats(g, out);
	else if (!strcmp(page, "dump"))
		control_dump(g, req, out);
	else if (!strcmp(page, "content"))
		control_content(g, req, out);
	else if (!strcmp(page, "set") && is_post(req, out))
		control_set(g, body, out);
	else if (!strcmp(page, "change") && is_post(req, out))
		control_change(g, body, out);
	else if (!strcmp(page, "reset") && is_post(req, out))
		reset(g, out);
	else if (!out->status)
		control_bad(out, "no such page: %s", page);
}

void control_handle(struct graphd *g, const struct request *req,
                    struct answer *out)
{
	cJSON *body = NULL;

	if (!strcmp(req->route.arg, "wait")) {
		control_wait(g, req, out);
		return;
	}
	if (req->body->len) {
		body = json_parse(req->body->data, req->body->len);
		if (!body) {
			control_bad(out, "the body is no JSON");
			return;
		}
	}
	pthread_mutex_lock(&g->lock);
	dispatch(g, req, body, out);
	graphd_settle(g);
	pthread_mutex_unlock(&g->lock);
	cJSON_Delete(body);
}
