#include "tests/sim/sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/clock.h"
#include "net/download.h"
#include "net/graph.h"
#include "net/upload.h"
#include "net/work.h"

/* A call is executed at one moment and answered at a later one; in between the
 * device may die. What an answer means is decided by net/retry, as in
 * net/graph. */

#define UNGUARDED_MS 2000

int64_t sim_now_ms = 1000000;
int64_t sim_wall_ns;

int64_t __wrap_clock_mono_ms(void);
int64_t __wrap_clock_real_ns(void);
uint32_t __wrap_randombytes_random(void);
bool graph_is_own_url(const struct graph *g, const char *url);

int64_t __wrap_clock_mono_ms(void)
{
	return sim_now_ms;
}

int64_t __wrap_clock_real_ns(void)
{
	return INT64_C(1700000000) * NS_PER_SEC + sim_now_ms * 1000000 +
	       sim_wall_ns;
}

uint32_t __wrap_randombytes_random(void)
{
	return sim_random();
}

/* ---- what is under way --------------------------------------------------- */

struct graph {
	int device;
};

enum call_op {
	GET_DRIVE,
	GET_ROOT,
	GET_ITEM,
	GET_CHILD,
	LIST,
	DELTA,
	MKDIR,
	PATCH,
	DELETE,
	PUT_NEW,
	PUT,
	COMMIT,
	END_SESSION,
	UPLOAD,
	DOWNLOAD,
};

struct sim_call {
	enum call_op op;
	char id[64], name[300], tag[64], link[96];
	bool has_name, has_parent, has_tag, has_mtime;
	char parent[64];
	int64_t mtime;
	struct blob *blob;
};

struct trip {
	struct trip *next;
	struct graph *g;
	struct sim_call call;
	enum retry_kind kind;
	bool executed;
	unsigned attempt;
	graph_done_fn *done;
	void *arg;
	struct upload *upload;
	struct download_range *range;

	long status;
	bool lost;
	cJSON *json;
};

static struct trip *trips;

struct session {
	char url[32];
	struct sim_call call; /* PUT_NEW or PUT */
	bool over, defers;
	struct session *next;
};

static struct session *sessions;

struct upload {
	struct upload_spec spec;
	struct session *session;
	struct trip *trip; /* NULL: ended */
	uint64_t at;
	unsigned char *data;
	bool canceled;
};

static struct trip *add_trip(struct graph *g, const struct sim_call *c)
{
	struct trip *t = calloc(1, sizeof(*t)), **pp = &trips;

	if (!t)
		sim_fail("no memory");
	t->g = g;
	if (c)
		t->call = *c;
	while (*pp)
		pp = &(*pp)->next;
	*pp = t;
	return t;
}

static void remove_trip(struct trip *t)
{
	struct trip **pp = &trips;

	while (*pp != t)
		pp = &(*pp)->next;
	*pp = t->next;
	cJSON_Delete(t->json);
	free(t);
}

size_t net_count(void)
{
	size_t n = 0;

	for (struct trip *t = trips; t; t = t->next)
		n++;
	return n;
}

struct graph *net_new(int device)
{
	struct graph *g = calloc(1, sizeof(*g));

	if (!g)
		sim_fail("no memory");
	g->device = device;
	return g;
}

/* ---- the service's side -------------------------------------------------- */

static bool tag_fits(const struct sim_call *c, struct thing *t)
{
	char tag[48];

	if (!c->has_tag)
		return true;
	if (service.tags_move && !service.calm && sim_chance(30))
		service_move_tag(t);
	service_etag(t, tag);
	return !strcmp(tag, c->tag) || sim_breaks("service-ignores-tags");
}

/* Promise 3: without a tag only right after a look; what somebody does in that
 * moment is overwritten, and stays among the versions. */
static void check_unguarded(const struct graph *g, const struct sim_call *c)
{
	struct thing *t = c->has_tag ? NULL : service_find(c->id);

	if (!t || c->op == COMMIT || c->op == PUT_NEW)
		return;
	if (sim_now_ms - t->looked_ms[g->device] > UNGUARDED_MS)
		sim_fail("dev%d changes %s \"%s\" without a tag, and did not "
		         "look",
		         g->device, t->id, t->name);
}

static long found(struct trip *t, const struct thing *th, long status)
{
	if (!th)
		return 404;
	t->json = service_json(th);
	return status;
}

/* Promise 3 and "rm -r of a tree is one DELETE": only if all that lies in it is
 * known and was removed here. */
static void check_delete(const struct graph *g, const struct sim_call *c)
{
	const struct thing *folder = service_find(c->id);

	for (size_t i = 0; folder && i < service.n; i++) {
		const struct thing *t = service.things[i];

		if (t->deleted || t == folder || !service_is_below(t, folder))
			continue;
		if (!device_may_take(sim_device(g->device), t, folder))
			sim_fail("dev%d deletes %s with %s \"%s\" in it",
			         g->device, folder->id, t->id, t->name);
	}
}

static long looked(struct trip *t, struct thing *th)
{
	if (th)
		th->looked_ms[t->g->device] = sim_now_ms;
	return found(t, th, 200);
}

static long patch(struct trip *t)
{
	struct sim_call *c = &t->call;
	struct thing *th = service_find(c->id), *to, *at;
	const char *name;

	if (!th)
		return 404;
	if (!tag_fits(c, th))
		return 412;
	to = c->has_parent ? service_find(c->parent) : th->parent;
	if (!to)
		return 404;
	name = c->has_name ? c->name : th->name;
	at = service_child(to, name);
	if (at && at != th)
		return 409;
	if (!service_move(th, to, name))
		return 400;
	if (c->has_mtime)
		th->mtime = c->mtime;
	return found(t, th, 200);
}

static long put(struct trip *t, const struct sim_call *c)
{
	struct thing *th, *to;

	if (c->op == PUT_NEW) {
		to = service_find(c->parent);
		if (!to)
			return 404;
		if (service_child(to, c->name))
			return 409;
		th = service_add(to, c->name, false, c->blob);
	} else {
		th = service_find(c->id);
		if (!th)
			return 404;
		if (!tag_fits(c, th))
			return 412;
		if (!c->has_tag) /* in the moment after a look */
			sim_superseded(th->blob->key);
		service_write(th, c->blob);
	}
	if (c->has_mtime)
		th->mtime = c->mtime;
	sim_say("service: %s of %s \"%s\" key %016llx",
	        c->op == PUT_NEW ? "create" : "replace", th->id, th->name,
	        (unsigned long long)c->blob->key);
	return found(t, th, c->op == PUT_NEW ? 201 : 200);
}

static struct session *find_session(const char *url)
{
	struct session *s = sessions;

	while (s && strcmp(s->url, url) != 0)
		s = s->next;
	return s;
}

static cJSON *drive_json(void)
{
	return cJSON_Parse("{\"id\":\"D1\",\"driveType\":\"personal\","
	                   "\"quota\":{\"total\":1000000,\"used\":1,"
	                   "\"remaining\":999999}}");
}

static long execute(struct trip *t)
{
	struct sim_call *c = &t->call;
	struct thing *th;
	struct session *s;

	switch (c->op) {
	case GET_DRIVE:
		t->json = drive_json();
		return 200;
	case GET_ROOT:
		return found(t, service_root(), 200);
	case GET_ITEM:
		return looked(t, service_find(c->id));
	case GET_CHILD:
		th = service_find(c->parent);
		return looked(t, th ? service_child(th, c->name) : NULL);
	case LIST:
		th = service_find(c->id);
		if (!th)
			return 404;
		t->json = service_list(th);
		return 200;
	case DELTA:
		if (c->link[0] && !service.calm && sim_chance(1))
			return 410;
		t->json = service_delta(c->link[0] ? c->link : NULL);
		return 200;
	case MKDIR:
		th = service_find(c->parent);
		if (!th)
			return 404;
		if (service_child(th, c->name))
			return 409;
		return found(t, service_add(th, c->name, true, NULL), 201);
	case PATCH:
		return patch(t);
	case DELETE:
		th = service_find(c->id);
		if (!th)
			return 404;
		if (!tag_fits(c, th))
			return 412;
		service_delete(th);
		return 204;
	case PUT_NEW:
	case PUT:
		return put(t, c);
	case COMMIT:
		s = find_session(c->link);
		if (!s || s->over)
			return 404;
		s->over = true;
		return put(t, &s->call);
	case END_SESSION:
		s = find_session(c->link);
		if (!s || s->over)
			return 404;
		s->over = true;
		return 204;
	case UPLOAD:
	case DOWNLOAD:
		break;
	}
	return 500;
}

/* ---- calls --------------------------------------------------------------- */

static void answer(struct trip *t)
{
	struct graph_answer a = { .status = t->lost ? 0 : t->status,
		                  .code = t->status == 409 && !t->lost
		                                  ? "nameAlreadyExists"
		                                  : "",
		                  .json = t->lost ? NULL : t->json,
		                  .was_sent = true };
	struct retry_in in = { .kind = t->kind,
		               .transport_rc = t->lost ? -ENETRESET : 0,
		               .was_sent = true,
		               .status = a.status,
		               .code = a.code,
		               .retry_after_ms = -1,
		               .attempt = t->attempt++ };
	struct retry_out out = retry_decide(&in);

	if (out.verdict == RETRY_WAIT || out.verdict == RETRY_REFRESH) {
		cJSON_Delete(t->json);
		t->json = NULL;
		t->executed = false;
		return;
	}
	a.rc = out.rc;
	a.verdict = out.verdict;
	t->done(t->arg, &a);
	remove_trip(t);
}

static void step_upload(struct trip *t);
static void step_download(struct trip *t);

static void step(struct trip *t)
{
	if (t->range) {
		step_download(t);
		return;
	}
	if (t->upload) {
		step_upload(t);
		return;
	}
	if (t->executed) {
		answer(t);
		return;
	}
	t->executed = true;
	t->lost = !service.calm && sim_chance(service.trouble);
	if (t->lost && sim_chance(50)) /* it never arrived */
		return;
	t->status = execute(t);
	sim_say("dev%d op %d id=%s parent=%s name=%s: %ld%s", t->g->device,
	        (int)t->call.op, t->call.id, t->call.parent, t->call.name,
	        t->status, t->lost ? " (answer lost)" : "");
}

void net_step(void)
{
	size_t n = net_count();
	struct trip *t = trips;

	if (!n)
		return;
	for (n = service.calm ? 0 : sim_below((uint32_t)n); n; n--)
		t = t->next;
	step(t);
}

void net_drop(struct graph *g)
{
	struct trip *t, *next;

	for (t = trips; t; t = next) {
		next = t->next;
		if (t->g != g)
			continue;
		if (!t->executed && !t->upload && !t->range && sim_chance(50))
			execute(t);
		remove_trip(t);
	}
}

int graph_start(struct graph *g, const struct graph_call *c)
{
	struct trip *t = add_trip(g, c->body);

	t->kind = c->kind;
	t->done = c->done;
	t->arg = c->arg;
	if (c->kind == RETRY_WRITE)
		check_unguarded(g, &t->call);
	if (t->call.op == DELETE)
		check_delete(g, &t->call);
	return 0;
}

static int prepare(struct graph_prepared *p, enum retry_kind kind,
                   struct sim_call c)
{
	struct sim_call *copy = malloc(sizeof(c));

	if (!copy)
		return -ENOMEM;
	*copy = c;
	memset(p, 0, sizeof(*p));
	p->body = (char *)copy;
	p->c.body = copy;
	p->c.kind = kind;
	return 0;
}

static void set(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text ? text : "");
}

void graph_prepared_done(struct graph_prepared *p)
{
	free(p->body);
	memset(p, 0, sizeof(*p));
}

int graph_prepare_get_drive(struct graph *g, struct graph_prepared *p)
{
	(void)g;
	return prepare(p, RETRY_READ, (struct sim_call){ .op = GET_DRIVE });
}

int graph_prepare_get_root(struct graph *g, struct graph_prepared *p)
{
	(void)g;
	return prepare(p, RETRY_READ, (struct sim_call){ .op = GET_ROOT });
}

int graph_prepare_get_item(struct graph *g, const char *id,
                           struct graph_prepared *p)
{
	struct sim_call c = { .op = GET_ITEM };

	(void)g;
	set(c.id, sizeof(c.id), id);
	return prepare(p, RETRY_READ, c);
}

int graph_prepare_get_child(struct graph *g, const char *parent_id,
                            const char *name, struct graph_prepared *p)
{
	struct sim_call c = { .op = GET_CHILD };

	(void)g;
	set(c.parent, sizeof(c.parent), parent_id);
	set(c.name, sizeof(c.name), name);
	return prepare(p, RETRY_READ, c);
}

int graph_prepare_list(struct graph *g, const char *folder_id,
                       struct graph_prepared *p)
{
	struct sim_call c = { .op = LIST };

	(void)g;
	set(c.id, sizeof(c.id), folder_id);
	return prepare(p, RETRY_READ, c);
}

int graph_prepare_link(struct graph *g, const char *link,
                       struct graph_prepared *p)
{
	struct sim_call c = { .op = DELTA };

	(void)g;
	set(c.link, sizeof(c.link), link);
	return prepare(p, RETRY_PAGE, c);
}

int graph_prepare_delta(struct graph *g, const char *folder_id, bool latest,
                        struct graph_prepared *p)
{
	(void)g;
	(void)folder_id;
	(void)latest;
	return prepare(p, RETRY_READ, (struct sim_call){ .op = DELTA });
}

int graph_prepare_mkdir(struct graph *g, const char *parent_id,
                        const char *name, struct graph_prepared *p)
{
	struct sim_call c = { .op = MKDIR };

	(void)g;
	set(c.parent, sizeof(c.parent), parent_id);
	set(c.name, sizeof(c.name), name);
	return prepare(p, RETRY_CREATE, c);
}

static void set_tag(struct sim_call *c, const char *etag)
{
	c->has_tag = etag != NULL;
	set(c->tag, sizeof(c->tag), etag);
}

int graph_prepare_patch(struct graph *g, const char *id, const char *etag,
                        const char *parent_id, const char *name,
                        const int64_t *mtime_ns, struct graph_prepared *p)
{
	struct sim_call c = { .op = PATCH };

	(void)g;
	set(c.id, sizeof(c.id), id);
	set_tag(&c, etag);
	c.has_parent = parent_id != NULL;
	set(c.parent, sizeof(c.parent), parent_id);
	c.has_name = name != NULL;
	set(c.name, sizeof(c.name), name);
	c.has_mtime = mtime_ns != NULL;
	c.mtime = mtime_ns ? *mtime_ns : 0;
	return prepare(p, RETRY_WRITE, c);
}

int graph_prepare_delete(struct graph *g, const char *id, const char *etag,
                         struct graph_prepared *p)
{
	struct sim_call c = { .op = DELETE };

	(void)g;
	set(c.id, sizeof(c.id), id);
	set_tag(&c, etag);
	return prepare(p, RETRY_WRITE, c);
}

int graph_prepare_put_new(struct graph *g, const char *parent_id,
                          const char *name, const void *data, size_t len,
                          struct graph_prepared *p)
{
	struct sim_call c = { .op = PUT_NEW };

	(void)g;
	set(c.parent, sizeof(c.parent), parent_id);
	set(c.name, sizeof(c.name), name);
	c.blob = service_blob(data, len);
	return prepare(p, RETRY_CREATE, c);
}

int graph_prepare_put(struct graph *g, const char *id, const char *etag,
                      const void *data, size_t len, struct graph_prepared *p)
{
	struct sim_call c = { .op = PUT };

	(void)g;
	set(c.id, sizeof(c.id), id);
	set_tag(&c, etag);
	c.blob = service_blob(data, len);
	return prepare(p, RETRY_WRITE, c);
}

int graph_set_drive(struct graph *g, const char *drive_id)
{
	(void)g;
	(void)drive_id;
	return 0;
}

void graph_stop(struct graph *g)
{
	(void)g;
}

void graph_kick(struct graph *g)
{
	(void)g;
}

void graph_get_state(struct graph *g, struct graph_state *out)
{
	(void)g;
	memset(out, 0, sizeof(*out));
}

/* Links are the model's own, not URLs. */
bool graph_is_own_url(const struct graph *g, const char *url)
{
	(void)g;
	return url[0] != '\0';
}

/* ---- uploads ------------------------------------------------------------- */

static void end_upload(struct trip *t, int rc, enum retry_verdict v)
{
	struct upload *u = t->upload;
	struct graph_item item;
	struct upload_end end = { .rc = rc,
		                  .verdict = v,
		                  .status = t->lost ? 0 : t->status,
		                  .code = "",
		                  .next = u->at };

	if (rc == 0 && t->json && graph_parse_item(t->json, &item) == 0)
		end.item = &item;
	u->trip = NULL;
	u->spec.done(u->spec.arg, &end);
	remove_trip(t);
}

static void end_by_status(struct trip *t, enum retry_kind kind)
{
	struct retry_in in = { .kind = kind,
		               .was_sent = true,
		               .status = t->status,
		               .code = t->status == 409 ? "nameAlreadyExists"
		                                        : "",
		               .retry_after_ms = -1 };
	struct retry_out out = retry_decide(&in);

	end_upload(t, out.rc, out.verdict);
}

/* 0, or what createUploadSession answers. */
static long check_target(const struct upload_spec *s)
{
	struct thing *t;

	if (s->item_id) {
		t = service_find(s->item_id);
		return t ? 0 : 404;
	}
	t = service_find(s->parent_id);
	if (!t)
		return 404;
	return service_child(t, s->name) && sim_chance(50) ? 409 : 0;
}

static void open_session(struct trip *t)
{
	struct upload *u = t->upload;
	const struct upload_spec *s = &u->spec;
	struct session *n;
	static unsigned count;
	int rc;

	t->status = check_target(s);
	if (t->status) {
		end_by_status(t, RETRY_CREATE);
		return;
	}
	n = calloc(1, sizeof(*n));
	if (!n)
		sim_fail("no memory");
	snprintf(n->url, sizeof(n->url), "sim:session:%u", count++);
	n->call.op = s->item_id ? PUT : PUT_NEW;
	set(n->call.id, sizeof(n->call.id), s->item_id);
	set(n->call.parent, sizeof(n->call.parent), s->parent_id);
	set(n->call.name, sizeof(n->call.name), s->name);
	set_tag(&n->call, s->etag);
	n->call.has_mtime = s->has_mtime;
	n->call.mtime = s->mtime_ns;
	n->defers = s->defer_commit;
	n->next = sessions;
	sessions = n;
	u->session = n;
	rc = s->note(s->arg, n->url, 0);
	if (rc < 0)
		end_upload(t, rc, RETRY_FAIL);
}

static void send_rest(struct trip *t)
{
	struct upload *u = t->upload;
	struct session *s = u->session;
	bool arrives = service.calm || !sim_chance(service.trouble);

	t->lost = !service.calm && sim_chance(service.trouble);
	if (!arrives) {
		t->lost = true;
		end_upload(t, -ENETRESET,
		           sim_chance(50) ? RETRY_WAIT : RETRY_LOOK);
		return;
	}
	s->call.blob = service_blob(u->data, u->spec.total);
	if (s->defers) {
		end_upload(t, 0, RETRY_DONE);
		return;
	}
	s->over = true;
	t->status = put(t, &s->call);
	if (t->lost)
		end_upload(t, -EIO,
		           sim_chance(50) ? RETRY_LOOK : RETRY_RESTART);
	else if (t->status < 300)
		end_upload(t, 0, RETRY_DONE);
	else
		end_by_status(t, RETRY_FRAGMENT);
}

static void step_upload(struct trip *t)
{
	struct upload *u = t->upload;
	const struct upload_spec *s = &u->spec;
	uint64_t len;
	int rc;

	if (u->canceled) {
		end_upload(t, -ECANCELED, RETRY_FAIL);
	} else if (!u->session) {
		open_session(t);
	} else if (u->session->over) {
		t->status = 404;
		end_upload(t, -EIO, RETRY_RESTART);
	} else if (u->at < s->total) {
		len = s->total - u->at;
		if (len > 1 && sim_chance(50))
			len = 1 + sim_below((uint32_t)len);
		rc = s->read(s->arg, u->data + u->at, len, u->at);
		if (rc == 0) {
			u->at += len;
			if (u->at < s->total)
				rc = s->note(s->arg, u->session->url, u->at);
		}
		if (rc < 0)
			end_upload(t, rc, RETRY_FAIL);
	} else {
		send_rest(t);
	}
}

int upload_start(const struct upload_spec *spec, struct upload **out_u)
{
	struct upload *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	u->spec = *spec;
	u->data = malloc(spec->total);
	if (!u->data)
		sim_fail("no memory");
	if (spec->url) {
		u->session = find_session(spec->url);
		if (!u->session)
			sim_fail("upload to a session that never was");
	}
	*out_u = u;
	u->trip = add_trip(spec->graph, NULL);
	u->trip->upload = u;
	u->trip->call.op = UPLOAD;
	return 0;
}

void upload_cancel(struct upload *u)
{
	u->canceled = true;
}

void upload_free(struct upload *u)
{
	if (!u)
		return;
	u->canceled = true;
	if (u->trip)
		end_upload(u->trip, -ECANCELED, RETRY_FAIL);
	free(u->data);
	free(u);
}

void upload_abandon(struct graph *g, const char *url)
{
	struct session *s = find_session(url);

	(void)g;
	if (s && sim_chance(80))
		s->over = true;
}

int upload_end(struct graph *g, const char *url, graph_done_fn *done, void *arg)
{
	struct sim_call c = { .op = END_SESSION };
	struct trip *t;

	set(c.link, sizeof(c.link), url);
	t = add_trip(g, &c);
	t->kind = RETRY_CREATE;
	t->done = done;
	t->arg = arg;
	return 0;
}

int upload_commit(struct graph *g, const char *url, const char *parent_id,
                  const char *name, bool replace, const char *etag,
                  graph_done_fn *done, void *arg)
{
	struct sim_call c = { .op = COMMIT };
	struct session *s;
	struct trip *t;

	(void)parent_id;
	(void)name;
	(void)replace;
	set(c.link, sizeof(c.link), url);
	s = find_session(url);
	if (s) {
		set_tag(&s->call, etag);
		check_unguarded(g, &s->call);
	}
	t = add_trip(g, &c);
	t->kind = RETRY_CREATE;
	t->done = done;
	t->arg = arg;
	return 0;
}

/* ---- downloads ----------------------------------------------------------- */

struct download {
	struct graph *g;
	char id[64], etag[64];
	struct trip *trip; /* of its range; NULL: none */
};

struct download_range {
	struct download *d;
	uint64_t off, len;
	download_data_fn *data;
	download_done_fn *done;
	void *arg;
};

int download_new(struct graph *g, const char *item_id, const char *etag,
                 uint64_t size, const char *url, const char *version_id,
                 struct download **out_d)
{
	struct download *d = calloc(1, sizeof(*d));

	(void)size;
	(void)url;
	(void)version_id;
	if (!d)
		return -ENOMEM;
	d->g = g;
	set(d->id, sizeof(d->id), item_id);
	set(d->etag, sizeof(d->etag), etag);
	*out_d = d;
	return 0;
}

static void end_download(struct trip *t, int rc)
{
	struct download_range *r = t->range;

	r->d->trip = NULL;
	r->done(r->arg, rc);
	free(r);
	remove_trip(t);
}

static void step_download(struct trip *t)
{
	struct download_range *r = t->range;
	struct blob *b = service_version(r->d->id, r->d->etag);
	int rc;

	if (!service.calm && sim_chance(service.trouble)) {
		end_download(t, -ETIMEDOUT);
		return;
	}
	if (!service_find(r->d->id))
		rc = -ENOENT;
	else if (!b || r->off > b->len || r->len > b->len - r->off)
		rc = -ESTALE;
	else
		rc = r->data(r->arg, r->off, b->data + r->off, r->len);
	if (rc == 1)
		sim_fail("a download that pauses");
	end_download(t, rc);
}

void download_free(struct download *d)
{
	if (d && d->trip)
		end_download(d->trip, -ECANCELED);
	free(d);
}

int download_start(struct download *d, uint64_t off, uint64_t len,
                   enum http_prio prio, int64_t patience_ms,
                   download_data_fn *data, download_done_fn *done, void *arg,
                   struct download_range **out_r)
{
	struct download_range *r = calloc(1, sizeof(*r));

	(void)prio;
	(void)patience_ms;
	if (!r)
		return -ENOMEM;
	*r = (struct download_range){ d, off, len, data, done, arg };
	d->trip = add_trip(d->g, NULL);
	d->trip->range = r;
	d->trip->call.op = DOWNLOAD;
	if (out_r)
		*out_r = r;
	return 0;
}

void download_cancel(struct download_range *r)
{
	end_download(r->d->trip, -ECANCELED);
}

void download_resume(struct download_range *r)
{
	sim_fail("a download of %s goes on", r->d->id);
}

/* ---- work ---------------------------------------------------------------- */

int work_submit(struct work *w, work_fn *fn, void *arg)
{
	(void)w;
	fn(arg);
	return 0;
}
