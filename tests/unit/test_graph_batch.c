#include "net/graph.h"

#include <errno.h>
#include <stdlib.h>

#include "net/clock.h"
#include "net/log.h"
#include "tests/unit/check.h"
#include "tests/unit/graph_rig.h"

#define MAX_CALLS 64

/* How the server answers a call whose path ends with `path`, alone or as part
 * of a batch. Answers are used up in order. */
struct part {
	const char *path;
	int status;          /* 0: is missing in the answer of the batch */
	const char *headers; /* JSON object of a part */
	const char *body;
};

static struct world {
	struct fake *server;
	struct http *http;
	struct graph *g;
	char base[80];
	const struct part *parts;
	size_t nparts;
	bool used[MAX_CALLS];
	int outer;       /* status of every batch; 0: 200 */
	unsigned refuse; /* so many more batches are answered with `outer` */
	bool cut;        /* the answer of the first batch is lost */

	unsigned batches, singles, biggest, part_count, twice;
	cJSON *last; /* body of the last batch */

	/* What is started at once, on the network thread. */
	struct ends ends;
	struct graph_call calls[MAX_CALLS];
	unsigned ncalls;
} w;

static bool ends_with(const char *s, const char *end)
{
	size_t a = strlen(s), b = strlen(end);

	return a >= b && !strcmp(s + a - b, end);
}

static const struct part *take_part(const char *url)
{
	for (size_t i = 0; i < w.nparts; i++)
		if (!w.used[i] && ends_with(url, w.parts[i].path)) {
			w.used[i] = true;
			return &w.parts[i];
		}
	return NULL;
}

/* No two requests of a batch may be for one item (facts 9). */
static void look_for_twins(const cJSON *requests)
{
	const cJSON *a, *b;

	cJSON_ArrayForEach (a, requests) {
		for (b = a->next; b; b = b->next) {
			const char *x = json_str(a, "url");
			const char *y = json_str(b, "url");
			const char *n = json_str(json_obj(a, "body"), "name");
			const char *m = json_str(json_obj(b, "body"), "name");

			if (!strcmp(x, y) && (!n || !m || !strcmp(n, m)))
				w.twice++;
		}
	}
}

static cJSON *answer_part(const cJSON *request)
{
	const struct part *p = take_part(json_str(request, "url"));
	cJSON *out;

	if (p && !p->status)
		return NULL;
	out = cJSON_CreateObject();
	cJSON_AddStringToObject(out, "id", json_str(request, "id"));
	cJSON_AddNumberToObject(out, "status", p ? p->status : 200);
	if (p && p->headers)
		cJSON_AddItemToObject(out, "headers", cJSON_Parse(p->headers));
	if (p && p->body)
		cJSON_AddItemToObject(out, "body", cJSON_Parse(p->body));
	return out;
}

/* Answers come in any order: here the other way round. */
static void answer_batch(const struct fake_request *q, struct fake_reply *r)
{
	cJSON *json = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(json, "responses");
	const cJSON *requests, *request;
	unsigned count;
	char *text;

	cJSON_Delete(w.last);
	w.last = cJSON_Parse(q->body);
	requests = json_arr(w.last, "requests");
	count = (unsigned)cJSON_GetArraySize(requests);
	w.batches++;
	w.part_count += count;
	if (count > w.biggest)
		w.biggest = count;
	look_for_twins(requests);
	cJSON_ArrayForEach (request, requests) {
		cJSON *part = answer_part(request);

		if (part)
			cJSON_InsertItemInArray(list, 0, part);
	}
	text = cJSON_PrintUnformatted(json);
	fake_json(r, w.refuse ? w.outer : 200, "%s", text);
	if (w.refuse)
		w.refuse--;
	if (w.cut)
		r->status = 0;
	w.cut = false;
	cJSON_free(text);
	cJSON_Delete(json);
}

static void answer(void *arg, const struct fake_request *q,
                   struct fake_reply *r)
{
	const struct part *p;

	(void)arg;
	if (ends_with(q->target, "/$batch")) {
		answer_batch(q, r);
		return;
	}
	w.singles++;
	p = take_part(q->target);
	fake_json(r, p && p->status ? p->status : 200, "%s",
	          p && p->body ? p->body : "{}");
}

static void token(void *token_arg, const char *stale, graph_got_token_fn *got,
                  void *arg)
{
	(void)token_arg;
	got(arg, 0, stale ? "fresh" : "token");
}

static void world_start(const struct part *parts, size_t nparts)
{
	struct http_options options = { 0 };
	struct graph_options opt = { .base_url = w.base, .token = token };

	memset(&w, 0, sizeof(w));
	w.parts = parts;
	w.nparts = nparts;
	ends_init(&w.ends);
	w.server = fake_start(answer, NULL, NULL);
	snprintf(w.base, sizeof(w.base), "%s/v1.0", fake_url(w.server));
	CHECK_EQ(http_new(&options, &w.http), 0);
	opt.http = w.http;
	CHECK_EQ(graph_new(&opt, &w.g), 0);
}

static void world_stop(void)
{
	CHECK_EQ(w.twice, 0);
	graph_free(w.g);
	http_free(w.http);
	fake_stop(w.server);
	cJSON_Delete(w.last);
	ends_done(&w.ends);
}

/* ---- calls --------------------------------------------------------------- */

static void add(enum retry_kind kind, const char *method, const char *path,
                const char *body)
{
	w.calls[w.ncalls++] = (struct graph_call){
		.kind = kind,
		.method = method,
		.path = path,
		.body = body,
		.body_len = body ? strlen(body) : 0,
		.prio = HTTP_PRIO_META,
		.batch = true,
		.patience_ms = 60000,
	};
}

static void start_all(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < w.ncalls; i++)
		CHECK_EQ(ends_start(&w.ends, w.g, w.calls[i], i), 0);
}

/* All of them in one go on the network thread, so that they meet. */
static void run_all(void)
{
	CHECK_EQ(http_call_later(w.http, 0, start_all, NULL, NULL), 0);
	ends_wait(&w.ends, w.ncalls);
	(void)fake_requests(w.server); /* what it wrote is now seen here */
}

static void check_end(unsigned id, int rc, long status, const char *code)
{
	const struct end *e = ends_find(&w.ends, id);

	check_row("call %u", id);
	CHECK(e != NULL);
	if (!e)
		return;
	CHECK_EQ(e->rc, rc);
	CHECK_EQ(e->status, status);
	CHECK_STR(e->code, code);
}

static const char *part_text(unsigned i, const char *name)
{
	const cJSON *requests = json_arr(w.last, "requests");

	return json_str(cJSON_GetArrayItem(requests, (int)i), name);
}

/* ---- tests --------------------------------------------------------------- */

static void test_up_to_twenty(void)
{
	char bodies[50][64];

	world_start(NULL, 0);
	for (unsigned i = 0; i < 50; i++) {
		snprintf(bodies[i], sizeof(bodies[i]),
		         "{\"name\":\"n%u\",\"folder\":{}}", i);
		add(RETRY_CREATE, "POST", "/me/drive/items/P/children",
		    bodies[i]);
	}
	run_all();
	for (unsigned i = 0; i < 50; i++)
		check_end(i, 0, 200, "");
	CHECK_EQ(w.biggest, 20);
	CHECK_EQ(w.batches, 3);
	CHECK_EQ(w.part_count, 50);
	CHECK_EQ(w.singles, 0);
	world_stop();
}

static void test_one_goes_alone(void)
{
	world_start(NULL, 0);
	add(RETRY_READ, "GET", "/me/drive/items/A", NULL);
	run_all();
	CHECK_EQ(w.batches, 0);
	CHECK_EQ(w.singles, 1);
	world_stop();
}

static void test_form_of_a_part(void)
{
	const cJSON *part, *headers;

	world_start(NULL, 0);
	add(RETRY_WRITE, "PATCH", "/me/drive/items/A?x=%20",
	    "{\"name\":\"é\"}");
	w.calls[0].if_match = "aTag";
	add(RETRY_WRITE, "DELETE", "/me/drive/items/B", NULL);
	run_all();
	CHECK_EQ(w.batches, 1);
	part = cJSON_GetArrayItem(json_arr(w.last, "requests"), 0);
	headers = json_obj(part, "headers");
	CHECK_STR(part_text(0, "id"), "1");
	CHECK_STR(part_text(0, "method"), "PATCH");
	CHECK_STR(part_text(0, "url"), "/me/drive/items/A?x=%20");
	CHECK_STR(json_str(headers, "Content-Type"), "application/json");
	CHECK_STR(json_str(headers, "If-Match"), "\"aTag\"");
	CHECK_STR(json_str(json_obj(part, "body"), "name"), "é");
	CHECK_STR(part_text(1, "id"), "2");
	part = cJSON_GetArrayItem(json_arr(w.last, "requests"), 1);
	CHECK(!json_get(part, "headers") && !json_get(part, "body"));
	world_stop();
}

static void test_each_part_its_own_end(void)
{
	static const struct part parts[] = {
		{ "/A", 201, NULL, "{\"id\":\"1\"}" },
		{ "/B", 409, NULL,
		  "{\"error\":{\"code\":\"nameAlreadyExists\"}}" },
		{ "/C", 404, NULL, "{\"error\":{\"code\":\"itemNotFound\"}}" },
		{ "/D", 302, "{\"location\":\"https://x.example/d\"}", NULL },
		{ "/E", 424, NULL, NULL },
		{ "/E", 200, NULL, "{}" },
		{ "/F", 401, NULL, NULL },
		{ "/F", 200, NULL, "{}" },
		{ "/G", 200, NULL, "\"bm90IGpzb24=\"" },
		{ "/G", 200, NULL, "{}" },
	};

	world_start(parts, ARRAY_LEN(parts));
	add(RETRY_CREATE, "POST", "/x/A", "{}");
	add(RETRY_CREATE, "POST", "/x/B", "{}");
	add(RETRY_READ, "GET", "/x/C", NULL);
	add(RETRY_READ, "GET", "/x/D", NULL);
	add(RETRY_READ, "GET", "/x/E", NULL);
	add(RETRY_READ, "GET", "/x/F", NULL);
	add(RETRY_READ, "GET", "/x/G", NULL);
	run_all();
	check_end(0, 0, 201, "");
	check_end(1, -EEXIST, 409, "nameAlreadyExists");
	check_end(2, -ENOENT, 404, "itemNotFound");
	check_end(3, 0, 302, "");
	check_end(4, 0, 200, "");
	check_end(5, 0, 200, "");
	check_end(6, 0, 200, "");
	CHECK_EQ(w.biggest, 7);
	world_stop();
}

/* A part that was throttled freezes the account, for as long as it says. */
static void test_throttled_part(void)
{
	static const struct part parts[] = {
		{ "/A", 429, "{\"retry-after\":\"1\"}", NULL },
		{ "/A", 200, NULL, "{}" },
	};
	const struct end *a, *b;

	world_start(parts, ARRAY_LEN(parts));
	add(RETRY_WRITE, "DELETE", "/x/A", NULL);
	add(RETRY_WRITE, "DELETE", "/x/B", NULL);
	run_all();
	check_end(0, 0, 200, "");
	check_end(1, 0, 200, "");
	a = ends_find(&w.ends, 0);
	b = ends_find(&w.ends, 1);
	CHECK(a->at_ms - b->at_ms >= 950);
	world_stop();
}

/* Whatever is not answered may have happened or not. */
static void test_unknown_outcome(void)
{
	static const struct part missing[] = {
		{ "/A", 0, NULL, NULL },
		{ "/B", 0, NULL, NULL },
	};

	for (unsigned lost = 0; lost < 2; lost++) {
		world_start(missing, lost ? 0 : ARRAY_LEN(missing));
		w.cut = lost;
		add(RETRY_CREATE, "POST", "/x/A", "{}");
		add(RETRY_READ, "GET", "/x/B", NULL);
		run_all();
		check_end(0, -EIO, 0, "");
		CHECK_EQ(ends_find(&w.ends, 0)->verdict, RETRY_LOOK);
		CHECK(ends_find(&w.ends, 0)->was_sent);
		check_end(1, 0, 200, "");
		world_stop();
	}
}

static void test_refused_as_a_whole(void)
{
	static const int statuses[] = { 400, 413, 404, 501 };

	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		world_start(NULL, 0);
		w.outer = statuses[i];
		w.refuse = 1;
		for (unsigned n = 0; n < 5; n++) {
			static const char *const paths[] = { "/x/A", "/x/B",
				                             "/x/C", "/x/D",
				                             "/x/E" };

			add(RETRY_CREATE, "POST", paths[n], "{}");
		}
		run_all();
		for (unsigned n = 0; n < 5; n++)
			check_end(n, 0, 200, "");
		CHECK_EQ(w.batches, 1);
		CHECK_EQ(w.singles, 5);
		world_stop();
	}
}

/* 401 and 503 of the whole: the same again, with a fresh token or later. */
static void test_trouble_of_the_whole(void)
{
	static const int statuses[] = { 401, 503 };

	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		world_start(NULL, 0);
		w.outer = statuses[i];
		w.refuse = 1;
		add(RETRY_READ, "GET", "/x/A", NULL);
		add(RETRY_READ, "GET", "/x/B", NULL);
		run_all();
		check_row("status %d", statuses[i]);
		check_end(0, 0, 200, "");
		check_end(1, 0, 200, "");
		world_stop();
	}
}

static void test_never_one_item_twice(void)
{
	world_start(NULL, 0);
	add(RETRY_WRITE, "PATCH", "/me/drive/items/A", "{\"name\":\"x\"}");
	add(RETRY_WRITE, "DELETE", "/me/drive/items/A", NULL);
	add(RETRY_READ, "GET", "/me/drive/items/A?$select=id", NULL);
	add(RETRY_READ, "GET", "/me/drive/items/A/children", NULL);
	add(RETRY_CREATE, "POST", "/me/drive/items/P/children",
	    "{\"name\":\"n\"}");
	add(RETRY_CREATE, "POST", "/me/drive/items/P/children",
	    "{\"name\":\"n\"}");
	add(RETRY_CREATE, "POST", "/me/drive/items/P/children",
	    "{\"name\":\"m\"}");
	add(RETRY_CREATE, "POST", "/me/drive/items/P:/f:/createUploadSession",
	    "{}");
	add(RETRY_READ, "GET", "/me/drive/items/P:/f", NULL);
	run_all();
	for (unsigned i = 0; i < w.ncalls; i++)
		check_end(i, 0, 200, "");
	CHECK(w.batches >= 2);
	world_stop();
}

/* What has no JSON object for a body can't be a part. */
static void test_unfit(void)
{
	static char big[70000];

	world_start(NULL, 0);
	add(RETRY_CREATE, "PUT", "/x/A", "{}");
	w.calls[0].type = "application/octet-stream";
	add(RETRY_CREATE, "POST", "/x/B", "[1]");
	add(RETRY_CREATE, "POST", "/x/C", "no json");
	snprintf(big, sizeof(big), "{\"a\":\"%*s\"}", 65600, "");
	add(RETRY_CREATE, "POST", "/x/D", big);
	add(RETRY_READ, "GET", "/x/E", NULL);
	w.calls[4].batch = false;
	run_all();
	for (unsigned i = 0; i < w.ncalls; i++)
		check_end(i, 0, 200, "");
	CHECK_EQ(w.batches, 0);
	CHECK_EQ(w.singles, 5);
	world_stop();
}

int main(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	RUN(test_up_to_twenty);
	RUN(test_one_goes_alone);
	RUN(test_form_of_a_part);
	RUN(test_each_part_its_own_end);
	RUN(test_throttled_part);
	RUN(test_unknown_outcome);
	RUN(test_refused_as_a_whole);
	RUN(test_trouble_of_the_whole);
	RUN(test_never_one_item_twice);
	RUN(test_unfit);
	return check_report();
}
