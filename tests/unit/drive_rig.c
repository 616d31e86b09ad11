#include "tests/unit/drive_rig.h"

#include "tests/graphd/server.h"
#include "tests/unit/check.h"
#include "tests/unit/http_fixture.h"

static cJSON *control(struct drive_rig *r, const char *method, const char *path,
                      const char *body)
{
	char url[300];
	struct call c;
	cJSON *json;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/graphd/%s", r->port,
	         path);
	call_init(&c, url);
	c.spec.method = method;
	c.spec.body = body;
	c.spec.body_len = body ? strlen(body) : 0;
	CHECK_EQ(call_run(&c, r->side), 0);
	CHECK_EQ(c.status, 200);
	json = json_parse(c.body.data, c.body.len);
	call_free(&c);
	return json;
}

void drive_rig_post(struct drive_rig *r, const char *path, const char *body)
{
	cJSON_Delete(control(r, "POST", path, body));
}

void drive_rig_delete(struct drive_rig *r, const char *path)
{
	cJSON_Delete(control(r, "DELETE", path, NULL));
}

cJSON *drive_rig_get(struct drive_rig *r, const char *path)
{
	return control(r, "GET", path, NULL);
}

static int64_t count_of(const cJSON *class)
{
	return json_i64(class, "count", 0);
}

int64_t drive_rig_count(struct drive_rig *r, const char *class)
{
	cJSON *json = drive_rig_get(r, "stats");
	int64_t n = count_of(json_obj(json_obj(json, "classes"), class));

	cJSON_Delete(json);
	return n;
}

int64_t drive_rig_count_all(struct drive_rig *r)
{
	cJSON *json = drive_rig_get(r, "stats");
	const cJSON *class;
	int64_t n = 0;

	cJSON_ArrayForEach (class, json_obj(json, "classes")) {
		n += count_of(class);
	}
	cJSON_Delete(json);
	return n;
}

static void give_token(void *token_arg, const char *stale,
                       graph_got_token_fn *got, void *arg)
{
	struct drive_rig *r = token_arg;

	(void)stale;
	got(arg, 0, r->bearer);
}

static void learn_drive(struct drive_rig *r)
{
	cJSON *json = drive_rig_get(r, "info");
	const char *drive = json_str(json, "drive_id");
	const char *root = json_str(json, "root_id");

	CHECK(drive && root);
	CHECK_EQ(graph_set_drive(r->g, drive), 0);
	snprintf(r->root, sizeof(r->root), "%s", root ? root : "");
	cJSON_Delete(json);
}

void drive_rig_start_wide(struct drive_rig *r, enum drive_kind kind,
                          unsigned connections)
{
	static const char *const addresses[] = { "127.0.0.1", "127.0.0.2",
		                                 NULL };
	struct server_options so = { .addresses = addresses };
	struct graphd_options go = { .kind = kind,
		                     .content_url = r->content_url };
	struct graph_options opt = { .base_url = r->base,
		                     .token = give_token,
		                     .token_arg = r };
	struct http_options ho = { .max_connections = connections };
	cJSON *json;

	memset(r, 0, sizeof(*r));
	CHECK_EQ(server_bind(&so, &r->server, &r->port), 0);
	snprintf(r->content_url, sizeof(r->content_url), "http://127.0.0.2:%u",
	         r->port);
	snprintf(r->base, sizeof(r->base), "http://127.0.0.1:%u/v1.0", r->port);
	CHECK_EQ(graphd_new(&go, &r->d), 0);
	CHECK_EQ(server_start(r->server, r->d), 0);
	r->http = new_http(&ho);
	r->side = new_http(NULL);
	json = control(r, "POST", "token", "{}");
	snprintf(r->bearer, sizeof(r->bearer), "%s",
	         json_str(json, "access_token"));
	cJSON_Delete(json);
	opt.http = r->http;
	CHECK_EQ(graph_new(&opt, &r->g), 0);
	learn_drive(r);
}

void drive_rig_start(struct drive_rig *r, enum drive_kind kind)
{
	drive_rig_start_wide(r, kind, 0);
}

static void check_manners(struct drive_rig *r)
{
	cJSON *json = drive_rig_get(r, "stats");
	char *forbidden = cJSON_PrintUnformatted(json_arr(json, "forbidden"));

	CHECK_EQ(json_i64(json, "auth_leaks", -1), 0);
	CHECK_STR(forbidden, "[]");
	cJSON_free(forbidden);
	cJSON_Delete(json);
}

void drive_rig_stop(struct drive_rig *r)
{
	check_manners(r);
	graph_free(r->g);
	graphd_stop(r->d);
	http_free(r->http);
	http_free(r->side);
	server_free(r->server);
	graphd_free(r->d);
}
