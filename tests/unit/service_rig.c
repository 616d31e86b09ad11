#include "tests/unit/service_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/clock.h"
#include "net/download.h"
#include "net/upload.h"
#include "net/work.h"
#include "tests/unit/check.h"
#include "tests/unit/http_fixture.h"

#define CONNECTIONS 1900 /* those that hang keep theirs */
#define FILE_SIZE   5000
#define UPLOAD_SIZE 400000 /* two granules */

/* ---- the end of a case --------------------------------------------------- */

static void note_end(struct service_case *c, int rc, enum retry_verdict verdict,
                     long status)
{
	struct service_rig *r = c->rig;

	pthread_mutex_lock(&r->lock);
	if (c->rc == 0)
		c->rc = rc;
	c->verdict = verdict;
	c->status = status;
	c->took_ms = clock_mono_ms() - c->began_ms;
	if (c->parts <= 1) {
		c->ended = true;
		r->nended += c->counts;
		pthread_cond_broadcast(&r->ended);
	} else {
		c->parts--;
	}
	pthread_mutex_unlock(&r->lock);
}

static void answered(void *arg, const struct graph_answer *a)
{
	struct service_case *c = arg;
	struct graph_item item;
	struct graph_page page;
	struct graph_drive drive;

	c->has_json = a->json != NULL;
	c->has_item = graph_parse_item(a->json, &item) == 0 ||
	              graph_parse_page(c->g, a->json, &page) == 0 ||
	              (graph_parse_drive(a->json, &drive) == 0 && drive.id) ||
	              a->status == 204;
	note_end(c, a->rc, a->verdict, a->status);
}

static void uploaded(void *arg, const struct upload_end *end)
{
	struct service_case *c = arg;

	c->has_item = end->item != NULL;
	note_end(c, end->rc, end->verdict, end->status);
}

static void downloaded(void *arg, int rc)
{
	note_end(arg, rc, RETRY_DONE, 0);
}

static int take(void *arg, uint64_t off, const void *data, size_t len)
{
	struct service_case *c = arg;
	const uint8_t *bytes = data;

	c->has_item = true;
	for (size_t i = 0; i < len; i++) {
		uint64_t at = off + i;

		if (bytes[i] != (uint8_t)(c->nr + at * 131 + at / 251))
			c->has_item = false;
	}
	return 0;
}

static int read_some(void *arg, void *buf, size_t len, uint64_t off)
{
	(void)arg;
	(void)off;
	memset(buf, 'u', len);
	return 0;
}

static int note_url(void *arg, const char *url, uint64_t next)
{
	struct service_case *c = arg;

	(void)next;
	snprintf(c->url, sizeof(c->url), "%s", url);
	return 0;
}

/* ---- the kinds ----------------------------------------------------------- */

static void send_call(struct service_case *c, int prepared)
{
	CHECK_EQ(prepared, 0);
	c->call.c.patience_ms = c->patience_ms;
	c->call.c.done = answered;
	c->call.c.arg = c;
	CHECK_EQ(graph_start(c->g, &c->call.c), 0);
}

static void start_drive(struct service_case *c)
{
	send_call(c, graph_prepare_get_drive(c->g, &c->call));
}

static void start_root(struct service_case *c)
{
	send_call(c, graph_prepare_get_root(c->g, &c->call));
}

static void start_item(struct service_case *c)
{
	send_call(c, graph_prepare_get_item(c->g, c->id, &c->call));
}

static void start_child(struct service_case *c)
{
	send_call(c, graph_prepare_get_child(c->g, c->rig->drive.root, c->name,
	                                     &c->call));
}

static void start_list(struct service_case *c)
{
	send_call(c, graph_prepare_list(c->g, c->rig->drive.root, &c->call));
}

static void follow(struct service_case *c, const char *tail)
{
	char link[600];

	snprintf(link, sizeof(link), "%s/me/drive/root/%s", c->rig->drive.base,
	         tail);
	send_call(c, graph_prepare_link(c->g, link, &c->call));
}

static void start_next_page(struct service_case *c)
{
	follow(c, "children?$top=5");
}

static void start_delta(struct service_case *c)
{
	send_call(c, graph_prepare_delta(c->g, NULL, false, &c->call));
}

static void start_delta_link(struct service_case *c)
{
	follow(c, "delta?token=latest");
}

static void start_versions(struct service_case *c)
{
	send_call(c, graph_prepare_versions(c->g, c->id, &c->call));
}

static void start_mkdir(struct service_case *c)
{
	char name[64];

	snprintf(name, sizeof(name), "d%u", c->nr);
	send_call(c, graph_prepare_mkdir(c->g, c->rig->drive.root, name,
	                                 &c->call));
}

/* On the network thread, in one go, so that they ride together. */
static void start_parts(void *arg)
{
	struct service_case *c = arg;

	for (unsigned i = 0; i < 2; i++) {
		struct graph_prepared p = { .c = { .batch = true } };
		char name[64];

		snprintf(name, sizeof(name), "b%u-%u", c->nr, i);
		CHECK_EQ(
			graph_prepare_mkdir(c->g, c->rig->drive.root, name, &p),
			0);
		p.c.gather = true;
		p.c.patience_ms = c->patience_ms;
		p.c.done = answered;
		p.c.arg = c;
		CHECK_EQ(graph_start(c->g, &p.c), 0);
		graph_prepared_done(&p);
	}
}

static void start_batch(struct service_case *c)
{
	c->parts = 2;
	CHECK_EQ(http_call_later(graph_http(c->g), 0, start_parts, c, NULL), 0);
}

static void start_move(struct service_case *c)
{
	char name[64];

	snprintf(name, sizeof(name), "m%u", c->nr);
	send_call(c,
	          graph_prepare_patch(c->g, c->id, c->etag, c->rig->drive.root,
	                              name, NULL, &c->call));
}

static void start_delete(struct service_case *c)
{
	send_call(c, graph_prepare_delete(c->g, c->id, c->etag, &c->call));
}

static void start_put_new(struct service_case *c)
{
	char name[64];

	snprintf(name, sizeof(name), "p%u", c->nr);
	send_call(c, graph_prepare_put_new(c->g, c->rig->drive.root, name,
	                                   "new", 3, &c->call));
}

static void start_put(struct service_case *c)
{
	send_call(c,
	          graph_prepare_put(c->g, c->id, c->etag, "put", 3, &c->call));
}

static void start_upload(struct service_case *c)
{
	struct upload_spec spec = { .graph = c->g,
		                    .work = c->rig->work,
		                    .parent_id = c->rig->drive.root,
		                    .name = c->name,
		                    .total = UPLOAD_SIZE,
		                    .prio = HTTP_PRIO_BULK,
		                    .url = c->url[0] ? c->url : NULL,
		                    .read = read_some,
		                    .note = note_url,
		                    .done = uploaded,
		                    .arg = c };

	CHECK_EQ(upload_start(&spec, &c->upload), 0);
}

/* One that was begun earlier: it is asked first where to go on. */
static void start_resume(struct service_case *c)
{
	char body[300];
	struct graph_call open = { .kind = RETRY_WRITE,
		                   .method = "POST",
		                   .path = body,
		                   .body = "{}",
		                   .body_len = 2,
		                   .patience_ms = 60000 };
	struct graph_result res;

	snprintf(body, sizeof(body), "/me/drive/root:/%s:/createUploadSession",
	         c->name);
	CHECK_EQ(graph_wait(c->g, &open, &res), 0);
	snprintf(c->url, sizeof(c->url), "%s",
	         json_str(res.answer.json, "uploadUrl"));
	graph_result_done(&res);
	start_upload(c);
}

static void start_download(struct service_case *c)
{
	CHECK_EQ(download_new(c->g, c->id, c->etag, FILE_SIZE, NULL,
	                      c->version[0] ? c->version : NULL, &c->download),
	         0);
	CHECK_EQ(download_start(c->download, 0, FILE_SIZE, HTTP_PRIO_USER,
	                        c->patience_ms, take, downloaded, c, &c->range),
	         0);
}

/* An old version has its URL from a redirect. */
static void start_version(struct service_case *c)
{
	struct graph_result res;
	struct graph_page page;

	CHECK_EQ(graph_prepare_versions(c->g, c->id, &c->call), 0);
	CHECK_EQ(graph_wait(c->g, &c->call.c, &res), 0);
	CHECK_EQ(graph_parse_page(c->g, res.answer.json, &page), 0);
	snprintf(
		c->version, sizeof(c->version), "%s",
		json_str(cJSON_GetArrayItem(page.value,
	                                    cJSON_GetArraySize(page.value) - 1),
	                 "id"));
	graph_result_done(&res);
	graph_prepared_done(&c->call);
	start_download(c);
}

const struct service_kind service_kinds[] = {
	{ "drive", SERVICE_READ, "drive", false, start_drive },
	{ "root", SERVICE_READ, "item", false, start_root },
	{ "item", SERVICE_READ, "item", false, start_item },
	{ "by name", SERVICE_READ, "item", false, start_child },
	{ "children", SERVICE_READ, "children", false, start_list },
	{ "next page", SERVICE_PAGE, "children", false, start_next_page },
	{ "delta", SERVICE_READ, "delta", false, start_delta },
	{ "delta link", SERVICE_PAGE, "delta", false, start_delta_link },
	{ "versions", SERVICE_READ, "versions", false, start_versions },
	{ "mkdir", SERVICE_CREATE, "create", false, start_mkdir },
	{ "move", SERVICE_WRITE, "patch", false, start_move },
	{ "delete", SERVICE_WRITE, "delete", false, start_delete },
	{ "put new", SERVICE_CREATE, "put", false, start_put_new },
	{ "put", SERVICE_WRITE, "put", false, start_put },
	{ "session", SERVICE_WRITE, "session", false, start_upload },
	{ "fragment", SERVICE_FRAGMENT, "fragment", true, start_upload },
	{ "resume", SERVICE_ASK, "session_status", true, start_resume },
	{ "download", SERVICE_DOWNLOAD, "download", true, start_download },
	{ "version", SERVICE_READ, "version_content", false, start_version },
	{ "batch", SERVICE_BATCH, "batch", false, start_batch },
};
const unsigned service_nkinds = ARRAY_LEN(service_kinds);

/* ---- cases --------------------------------------------------------------- */

static void give_token(void *token_arg, const char *stale,
                       graph_got_token_fn *got, void *arg)
{
	const struct service_case *c = token_arg;

	(void)stale;
	got(arg, 0, c->bearer);
}

static cJSON *control(struct service_rig *r, const char *path, const char *body)
{
	char url[300];
	struct call call;
	cJSON *json;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/graphd/%s",
	         r->drive.port, path);
	call_init(&call, url);
	call.spec.method = "POST";
	call.spec.body = body;
	call.spec.body_len = strlen(body);
	CHECK_EQ(call_run(&call, r->drive.side), 0);
	CHECK_EQ(call.status, 200);
	json = json_parse(call.body.data, call.body.len);
	call_free(&call);
	return json;
}

static void make_file(struct service_case *c)
{
	char body[200];
	cJSON *json;
	const cJSON *item;

	snprintf(body, sizeof(body),
	         "{\"op\":\"put\",\"path\":\"/%s\",\"size\":%d,\"seed\":%u}",
	         c->name, FILE_SIZE, c->nr);
	json = control(c->rig, "change", body);
	item = cJSON_GetArrayItem(json_arr(json, "items"), 0);
	snprintf(c->id, sizeof(c->id), "%s", json_str(item, "id"));
	snprintf(c->etag, sizeof(c->etag), "%s", json_str(item, "eTag"));
	cJSON_Delete(json);
}

void service_case_make(struct service_rig *r, unsigned nr,
                       const struct service_kind *kind, struct service_case *c)
{
	struct graph_options opt = { .base_url = r->drive.base,
		                     .http = r->drive.http,
		                     .token = give_token,
		                     .token_arg = c };
	cJSON *json;

	memset(c, 0, sizeof(*c));
	c->rig = r;
	c->kind = kind;
	c->uploads = kind->start == start_upload || kind->start == start_resume;
	c->nr = nr;
	snprintf(c->name, sizeof(c->name), "f%u", nr);
	json = control(r, "token", "{}");
	snprintf(c->bearer, sizeof(c->bearer), "%s",
	         json_str(json, "access_token"));
	cJSON_Delete(json);
	if (!c->uploads)
		make_file(c);
	if (kind->start == start_version)
		make_file(c); /* again: a second one */
	CHECK_EQ(graph_new(&opt, &c->g), 0);
}

void service_case_start(struct service_case *c)
{
	c->began_ms = clock_mono_ms();
	c->kind->start(c);
}

void service_case_match(const struct service_case *c, char *out, size_t size)
{
	if (c->kind->by_name)
		snprintf(out, size, "\"class\":\"%s\",\"name\":\"%s\"",
		         c->kind->class, c->name);
	else
		snprintf(out, size, "\"class\":\"%s\",\"bearer\":\"%s\"",
		         c->kind->class, c->bearer);
}

bool service_wait(struct service_rig *r, unsigned n, int64_t ms)
{
	struct timespec until;
	bool in_time;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	pthread_mutex_lock(&r->lock);
	while (r->nended < n && rc == 0)
		rc = pthread_cond_timedwait(&r->ended, &r->lock, &until);
	in_time = r->nended >= n;
	pthread_mutex_unlock(&r->lock);
	return in_time;
}

void service_case_done(struct service_case *c)
{
	upload_free(c->upload);
	if (c->download && !c->ended)
		download_cancel(c->range);
	download_free(c->download);
	graph_free(c->g); /* what still runs ends now */
	graph_prepared_done(&c->call);
}

void service_rig_start(struct service_rig *r, enum drive_kind kind)
{
	pthread_condattr_t attr;

	memset(r, 0, sizeof(*r));
	drive_rig_start_wide(&r->drive, kind, CONNECTIONS);
	CHECK_EQ(work_new("test", 2, &r->work), 0);
	/* Accounts are frozen one by one here; graphd has one for all. */
	drive_rig_post(&r->drive, "set",
	               "{\"quirks\":{\"freeze_grace_ms\":1000000000}}");
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->ended, &attr);
	pthread_condattr_destroy(&attr);
}

void service_rig_stop(struct service_rig *r)
{
	drive_rig_stop(&r->drive);
	work_free(r->work);
	pthread_cond_destroy(&r->ended);
	pthread_mutex_destroy(&r->lock);
}
