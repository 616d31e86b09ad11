#include "net/graph.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/clock.h"
#include "net/log.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"
#include "tests/unit/graph_rig.h"

#define JSON_ERROR(code, inner)                                                \
	"{\"error\":{\"code\":\"" code "\",\"message\":\"x\"" inner "}}"
#define HTML "Content-Type: text/html; charset=utf-8\r\n"

/* ---- one call, one script ------------------------------------------------ */

static const struct {
	const char *name;
	enum retry_kind kind;
	const char *method;
	int64_t patience_ms;
	struct step steps[4];
	unsigned requests; /* 0: one */
	int rc;
	enum retry_verdict verdict;
	long status;
	const char *code; /* NULL: "" */
	bool offline, unsent;
} cases[] = {
	{ "fine",
	  RETRY_READ,
	  "GET",
	  0,
	  { ANSWER("GET /v1.0/x", 200, .body = "{\"id\":\"1\"}") },
	  .status = 200 },
	{ "no body",
	  RETRY_WRITE,
	  "DELETE",
	  0,
	  { ANSWER("DELETE /v1.0/x", 204) },
	  .status = 204 },
	{ "a redirect that is the answer",
	  RETRY_READ,
	  "GET",
	  0,
	  { ANSWER("GET", 302,
	           .headers = "Location: https://x.example/d?secret\r\n") },
	  .status = 302 },
	{ "not found",
	  RETRY_READ,
	  "GET",
	  -1,
	  { ANSWER("GET", 404, .body = JSON_ERROR("itemNotFound", "")) },
	  .rc = -ENOENT,
	  .verdict = RETRY_FAIL,
	  .status = 404,
	  .code = "itemNotFound" },
	{ "the inner code, whatever its spelling",
	  RETRY_WRITE,
	  "PATCH",
	  -1,
	  { ANSWER("PATCH", 400,
	           .body = JSON_ERROR(
			   "invalidRequest",
			   ",\"innererror\":{\"code\":\"PATHISTOOLONG\","
			   "\"innerError\":{\"code\":\"somethingNew\"}}")) },
	  .rc = -ENAMETOOLONG,
	  .verdict = RETRY_FAIL,
	  .status = 400,
	  .code = "pathIsTooLong" },
	{ "an unknown code is passed on",
	  RETRY_READ,
	  "GET",
	  -1,
	  { ANSWER("GET", 418, .body = JSON_ERROR("teapot", "")) },
	  .rc = -EIO,
	  .verdict = RETRY_FAIL,
	  .status = 418,
	  .code = "teapot" },
	{ "error as a plain string",
	  RETRY_READ,
	  "GET",
	  -1,
	  { ANSWER("GET", 400, .body = "{\"error\":\"bad\"}") },
	  .rc = -EINVAL,
	  .verdict = RETRY_FAIL,
	  .status = 400,
	  .code = "bad" },
	{ "error without a body",
	  RETRY_READ,
	  "GET",
	  -1,
	  { ANSWER("GET", 403) },
	  .rc = -EACCES,
	  .verdict = RETRY_FAIL,
	  .status = 403 },
	{ "an error page",
	  RETRY_READ,
	  "GET",
	  -1,
	  { ANSWER("GET", 404, .headers = HTML, .body = "<html>") },
	  .rc = -ENOENT,
	  .verdict = RETRY_FAIL,
	  .status = 404 },
	{ "the tag is old",
	  RETRY_WRITE,
	  "PATCH",
	  -1,
	  { ANSWER("PATCH", 412, .body = JSON_ERROR("resourceModified", "")) },
	  .rc = -ESTALE,
	  .verdict = RETRY_LOOK,
	  .status = 412,
	  .code = "resourceModified" },
	{ "no patience",
	  RETRY_READ,
	  "GET",
	  0,
	  { ANSWER("GET", 503) },
	  .rc = -EIO,
	  .verdict = RETRY_WAIT,
	  .status = 503 },
	{ "a hiccup",
	  RETRY_READ,
	  "GET",
	  60000,
	  { ANSWER("GET", 500), ANSWER("GET", 200, .body = "{}") },
	  .requests = 2,
	  .status = 200 },
	{ "patience shorter than the wait",
	  RETRY_READ,
	  "GET",
	  300,
	  { ANSWER("GET", 502, .headers = HTML, .body = "<h1>") },
	  .rc = -EIO,
	  .verdict = RETRY_WAIT,
	  .status = 502 },
	{ "a creation is looked at first",
	  RETRY_CREATE,
	  "POST",
	  -1,
	  { ANSWER("POST", 500) },
	  .rc = -EIO,
	  .verdict = RETRY_LOOK,
	  .status = 500 },
	{ "a lost answer of a creation",
	  RETRY_CREATE,
	  "POST",
	  -1,
	  { ANSWER("POST", 0) },
	  .rc = -EIO,
	  .verdict = RETRY_LOOK },
	{ "a lost answer",
	  RETRY_WRITE,
	  "PATCH",
	  60000,
	  { ANSWER("PATCH", 0), ANSWER("PATCH", 200, .body = "{}") },
	  .requests = 2,
	  .status = 200 },
	{ "a captive portal is no answer",
	  RETRY_READ,
	  "GET",
	  0,
	  { ANSWER("GET", 200, .headers = HTML, .body = "<html>pay here") },
	  .rc = -EIO,
	  .verdict = RETRY_WAIT,
	  .offline = true },
	{ "nor is one that lies about the type",
	  RETRY_WRITE,
	  "DELETE",
	  0,
	  { ANSWER("DELETE", 200,
	           .headers = "Content-Type: application/json\r\n",
	           .body = " \n<!DOCTYPE") },
	  .rc = -EIO,
	  .verdict = RETRY_WAIT,
	  .offline = true },
	{ "a portal before a creation",
	  RETRY_CREATE,
	  "POST",
	  -1,
	  { ANSWER("POST", 200, .headers = HTML, .body = "<html>") },
	  .rc = -EIO,
	  .verdict = RETRY_LOOK,
	  .offline = true },
	{ "nonsense",
	  RETRY_READ,
	  "GET",
	  0,
	  { ANSWER("GET", 200, .body = "{\"id\":") },
	  .rc = -EIO,
	  .verdict = RETRY_WAIT },
	{ "a link that is too old",
	  RETRY_PAGE,
	  "GET",
	  -1,
	  { ANSWER("GET", 410,
	           .body = JSON_ERROR("resyncRequired",
	                              ",\"innerError\":{\"code\":"
	                              "\"resyncChangesUploadDifferences\"}")) },
	  .rc = -EIO,
	  .verdict = RETRY_RESTART,
	  .status = 410,
	  .code = "resyncChangesUploadDifferences" },
	{ "RPS trouble is transient",
	  RETRY_READ,
	  "GET",
	  60000,
	  { ANSWER("GET", 401,
	           .body = "{\"error\":{\"code\":\"unauthenticated\","
	                   "\"message\":"
	                   "\"Unable to initialize RPS\"}}"),
	    ANSWER("GET", 200, .body = "{}") },
	  .requests = 2,
	  .status = 200 },
	{ "moved on the same host",
	  RETRY_READ,
	  "GET",
	  0,
	  { ANSWER("GET /v1.0/x", 308, .headers = "Location: BASE/y?z\r\n"),
	    ANSWER("GET /v1.0/y?z", 200, .body = "{}") },
	  .requests = 2,
	  .status = 200 },
	{ "moved to nowhere",
	  RETRY_READ,
	  "GET",
	  0,
	  { ANSWER("GET", 308) },
	  .rc = -EIO,
	  .verdict = RETRY_WAIT,
	  .status = 308 },
	{ "moved to another host",
	  RETRY_READ,
	  "GET",
	  0,
	  { ANSWER("GET", 307,
	           .headers = "Location: http://127.0.0.1:1/v1.0/x\r\n") },
	  .rc = -EIO,
	  .verdict = RETRY_WAIT,
	  .status = 307 },
};

/* "BASE" in a header stands for the server's own address. */
static const char *with_base(const struct rig *r, const char *headers)
{
	static char text[512];
	const char *at = headers ? strstr(headers, "BASE") : NULL;

	if (!at)
		return headers;
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - headers), headers,
	         r->base, at + 4);
	return text;
}

static void run_case(size_t i)
{
	struct step steps[ARRAY_LEN(cases[0].steps)];
	struct graph_call c = { .kind = cases[i].kind,
		                .method = cases[i].method,
		                .path = "/x",
		                .patience_ms = cases[i].patience_ms };
	unsigned requests = cases[i].requests ? cases[i].requests : 1;
	struct graph_result res;
	struct rig r;
	size_t n = 0;

	check_row("%s", cases[i].name);
	while (n < ARRAY_LEN(steps) && cases[i].steps[n].want)
		n++;
	memcpy(steps, cases[i].steps, sizeof(steps));
	rig_start(&r, steps, n);
	steps[0].headers = with_base(&r, steps[0].headers);
	CHECK_EQ(graph_wait(r.g, &c, &res), cases[i].rc);
	CHECK_EQ(res.answer.rc, cases[i].rc);
	CHECK_EQ(res.answer.verdict, cases[i].verdict);
	CHECK_EQ(res.answer.status, cases[i].status);
	CHECK_EQ(res.answer.offline, cases[i].offline);
	CHECK_EQ(res.answer.was_sent, !cases[i].unsent);
	CHECK_STR(res.answer.code, cases[i].code ? cases[i].code : "");
	CHECK_EQ(fake_requests(r.server), requests);
	for (unsigned k = 0; k < r.nrecords; k++)
		CHECK_STR(r.records[k].auth, "Bearer token-0");
	graph_result_done(&res);
	rig_stop(&r);
}

static void test_cases(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		run_case(i);
}

static void test_what_is_sent(void)
{
	static const struct step steps[] = {
		ANSWER("PATCH", 200, .body = "{}"),
		ANSWER("PUT", 201, .body = "{\"id\":\"new\"}"),
		ANSWER("DELETE", 204),
		ANSWER("GET /v1.0/other?p=1", 200, .body = "{}"),
	};
	static const char *const more[] = { "Prefer: a", NULL };
	struct graph_prepared p = { .c = { .patience_ms = 0 } };
	struct graph_result res;
	char link[128];
	struct rig r;

	rig_start(&r, steps, ARRAY_LEN(steps));
	CHECK_EQ(graph_set_drive(r.g, "D"), 0);
	CHECK_EQ(graph_prepare_patch(r.g, "I", "aTag", NULL, "n", NULL, &p), 0);
	CHECK_EQ(graph_wait(r.g, &p.c, &res), 0);
	graph_result_done(&res);
	graph_prepared_done(&p);
	CHECK_EQ(graph_prepare_put_new(r.g, "P", "n", "a\0b", 3, &p), 0);
	CHECK_EQ(graph_wait(r.g, &p.c, &res), 0);
	CHECK_STR(json_str(res.answer.json, "id"), "new");
	graph_result_done(&res);
	graph_prepared_done(&p);
	CHECK_EQ(graph_prepare_delete(r.g, "I", "\"{7A},1\"", &p), 0);
	CHECK_EQ(graph_wait(r.g, &p.c, &res), 0);
	graph_result_done(&res);
	graph_prepared_done(&p);
	snprintf(link, sizeof(link), "%s/other?p=1", r.base);
	CHECK_EQ(graph_prepare_link(r.g, link, &p), 0);
	p.c.headers = more;
	CHECK_EQ(graph_wait(r.g, &p.c, &res), 0);
	graph_result_done(&res);
	graph_prepared_done(&p);

	CHECK_EQ(fake_requests(r.server), 4);
	CHECK_STR(r.records[0].line, "PATCH /v1.0/drives/D/items/I");
	CHECK_STR(r.records[0].if_match, "\"aTag\"");
	CHECK_STR(r.records[0].type, "application/json");
	CHECK_STR(r.records[1].type, "application/octet-stream");
	CHECK_EQ(r.records[1].len, 3);
	CHECK_MEM(r.records[1].body, "a\0b", 3);
	CHECK_STR(r.records[2].if_match, "\"{7A},1\"");
	CHECK_STR(r.records[2].type, "");
	rig_stop(&r);
}

static void test_foreign_links(void)
{
	static const char *const links[] = {
		"http://127.0.0.1:1/v1.0/x",
		"https://evil.example/v1.0/x",
		"v1.0/x",
		"",
	};
	struct graph_result res;
	struct rig r;

	rig_start(&r, NULL, 0);
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		struct graph_call c = rig_get(links[i], 0);

		check_row("%s", links[i]);
		CHECK_EQ(graph_wait(r.g, &c, &res), -EPROTO);
		CHECK_EQ(res.answer.rc, -EPROTO);
		graph_result_done(&res);
	}
	CHECK_EQ(r.token_calls, 0);
	rig_stop(&r);
}

/* ---- tokens -------------------------------------------------------------- */

static void test_refresh_once_for_all(void)
{
	static const struct step steps[] = {
		ANSWER("GET", 401,
		       .body = JSON_ERROR("InvalidAuthenticationToken", ""),
		       .times = 6, .token = "token-0"),
		ANSWER("GET", 200, .body = "{}", .times = 6,
		       .token = "token-1"),
	};
	struct ends e;
	struct rig r;

	for (unsigned late = 0; late < 2; late++) {
		check_row("late=%u", late);
		ends_init(&e);
		rig_start(&r, steps, ARRAY_LEN(steps));
		r.late = late;
		for (unsigned i = 0; i < 6; i++)
			CHECK_EQ(ends_start(&e, r.g, rig_get("/x", 0), i), 0);
		ends_wait(&e, 6);
		for (unsigned i = 0; i < 6; i++)
			CHECK_EQ(e.end[i].rc, 0);
		CHECK_EQ(r.refreshes, 1);
		CHECK_STR(r.stale, "token-0");
		CHECK_EQ(fake_requests(r.server), 12);
		rig_stop(&r);
		ends_done(&e);
	}
}

static void test_signed_out(void)
{
	static const struct step steps[] = {
		ANSWER("GET", 401, .times = 2),
		ANSWER("GET", 200, .body = "{}"),
	};
	struct graph_call c = rig_get("/x", -1);
	struct graph_state state;
	struct graph_result res;
	struct rig r;

	rig_start(&r, steps, ARRAY_LEN(steps));
	CHECK_EQ(graph_wait(r.g, &c, &res), -EACCES); /* refused twice */
	CHECK_EQ(res.answer.verdict, RETRY_FAIL);
	graph_result_done(&res);
	rig_token_rc(&r, -EACCES);
	CHECK_EQ(graph_wait(r.g, &c, &res), -EACCES); /* not even a token */
	CHECK_EQ(res.answer.verdict, RETRY_FAIL);
	CHECK(!res.answer.was_sent);
	graph_result_done(&res);
	graph_get_state(r.g, &state);
	CHECK(state.signed_out);
	CHECK(!state.offline);
	rig_token_rc(&r, 0);
	CHECK_EQ(graph_wait(r.g, &c, &res), 0);
	graph_result_done(&res);
	graph_get_state(r.g, &state);
	CHECK(!state.signed_out);
	CHECK_EQ(state.requests, 3);
	rig_stop(&r);
}

struct look {
	struct graph *g;
	_Atomic int signed_out;
};

static void look_at_state(void *arg, const struct graph_answer *a)
{
	struct look *l = arg;
	struct graph_state state;

	(void)a;
	graph_get_state(l->g, &state);
	l->signed_out = state.signed_out;
}

/* Who is told of the refusal finds it in the state already. */
static void test_state_in_done(void)
{
	static const struct step steps[] = { ANSWER("GET", 200, .body = "{}") };
	struct graph_call c = rig_get("/x", 0);
	struct look l;
	struct rig r;

	rig_start(&r, steps, ARRAY_LEN(steps));
	l.g = r.g;
	c.done = look_at_state;
	c.arg = &l;
	for (int rc = -EACCES; rc <= 0; rc += EACCES) {
		l.signed_out = -1;
		rig_token_rc(&r, rc);
		CHECK_EQ(graph_start(r.g, &c), 0);
		while (l.signed_out < 0)
			usleep(1000);
		CHECK_EQ(l.signed_out, rc < 0);
	}
	rig_stop(&r);
}

/* The sign-in service out of reach is no sign-out. */
static void test_no_token_is_offline(void)
{
	static const struct step steps[] = { ANSWER("GET", 200, .body = "{}") };
	struct graph_call c = rig_get("/x", 0);
	struct graph_state state;
	struct graph_result res;
	struct ends e;
	struct rig r;

	ends_init(&e);
	rig_start(&r, steps, ARRAY_LEN(steps));
	rig_token_rc(&r, -ETIMEDOUT);
	CHECK_EQ(graph_wait(r.g, &c, &res), -EIO);
	CHECK_EQ(res.answer.verdict, RETRY_WAIT);
	CHECK(res.answer.offline && !res.answer.was_sent);
	graph_result_done(&res);
	graph_get_state(r.g, &state);
	CHECK(state.offline && !state.signed_out);
	CHECK_EQ(ends_start(&e, r.g, rig_get("/x", -1), 0), 0);
	rig_token_rc(&r, 0);
	ends_wait(&e, 1);
	CHECK_EQ(e.end[0].rc, 0);
	rig_stop(&r);
	ends_done(&e);
}

/* ---- throttling and offline ---------------------------------------------- */

static void test_freeze_holds_all(void)
{
	static const struct step steps[] = {
		ANSWER("GET /v1.0/a", 429, .headers = "Retry-After: 1\r\n"),
		ANSWER("GET", 200, .body = "{}", .times = 3),
	};
	struct graph_call c = rig_get("/a", 0);
	struct graph_state state;
	struct graph_result res;
	struct ends e;
	struct rig r;

	ends_init(&e);
	rig_start(&r, steps, ARRAY_LEN(steps));
	CHECK_EQ(graph_wait(r.g, &c, &res), -EIO);
	CHECK_EQ(res.answer.verdict, RETRY_WAIT);
	graph_result_done(&res);
	/* No patience: refused at once, nothing is sent. */
	CHECK_EQ(graph_wait(r.g, &c, &res), -EAGAIN);
	CHECK(!res.answer.was_sent);
	graph_result_done(&res);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(ends_start(&e, r.g, rig_get("/b", 10000), i), 0);
	graph_get_state(r.g, &state);
	CHECK(state.frozen_until_ms > clock_mono_ms());
	ends_wait(&e, 3);
	for (unsigned i = 1; i < fake_requests(r.server); i++)
		CHECK(r.records[i].at_ms >= r.records[0].at_ms + 990);
	CHECK_EQ(fake_requests(r.server), 4);
	rig_stop(&r);
	ends_done(&e);
}

static void test_patience_ends_in_a_freeze(void)
{
	static const struct step steps[] = {
		ANSWER("GET", 429, .headers = "Retry-After: 3600\r\n"),
	};
	int64_t begun = clock_mono_ms();
	struct ends e;
	struct rig r;

	ends_init(&e);
	rig_start(&r, steps, ARRAY_LEN(steps));
	CHECK_EQ(ends_start(&e, r.g, rig_get("/a", 500), 0), 0);
	ends_wait(&e, 1);
	CHECK_EQ(e.end[0].rc, -EIO);
	/* This one never gets to the door: told when its time is over. */
	CHECK_EQ(ends_start(&e, r.g, rig_get("/b", 500), 1), 0);
	ends_wait(&e, 2);
	CHECK_EQ(e.end[1].verdict, RETRY_WAIT);
	CHECK(!e.end[1].was_sent);
	CHECK(e.end[1].at_ms - begun >= 490 && e.end[1].at_ms - begun < 20000);
	rig_stop(&r);
	ends_done(&e);
}

/* A server that is not there: found out by one at a time, soon after it is
 * back, at once when told so. */
static void test_offline_and_back(void)
{
	static const struct step steps[] = {
		ANSWER("GET", 200, .headers = HTML, .body = "<html>portal",
		       .times = 2),
		ANSWER("GET", 200, .body = "{}", .times = 20),
	};
	struct graph_state state;
	struct ends e;
	struct rig r;

	ends_init(&e);
	rig_start(&r, steps, ARRAY_LEN(steps));
	CHECK_EQ(ends_start(&e, r.g, rig_get("/x", -1), 0), 0);
	fake_wait_requests(r.server, 1);
	do
		graph_get_state(r.g, &state);
	while (!state.offline);
	for (unsigned i = 1; i < 10; i++)
		CHECK_EQ(ends_start(&e, r.g, rig_get("/x", -1), i), 0);
	fake_wait_requests(r.server, 2); /* one second later, one of them */
	CHECK(r.records[1].at_ms - r.records[0].at_ms >= 990);
	CHECK_EQ(fake_requests(r.server), 2);
	do {
		graph_kick(r.g); /* else it would take two seconds more */
		graph_get_state(r.g, &state);
	} while (state.offline);
	ends_wait(&e, 10);
	CHECK(e.end[9].at_ms - r.records[1].at_ms < 1900);
	for (unsigned i = 0; i < 10; i++)
		CHECK_EQ(e.end[i].rc, 0);
	CHECK_EQ(fake_requests(r.server), 12);
	rig_stop(&r);
	ends_done(&e);
}

/* ---- the end ------------------------------------------------------------- */

static void test_free_cancels(void)
{
	static const struct step steps[] = {
		{ "GET /v1.0/hang", .hang = true, .times = 4 },
		ANSWER("GET /v1.0/429", 429,
		       .headers = "Retry-After: 3600\r\n"),
	};
	struct ends e;
	struct rig r;

	ends_init(&e);
	rig_start(&r, steps, ARRAY_LEN(steps));
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(ends_start(&e, r.g, rig_get("/hang", -1), i), 0);
	CHECK_EQ(ends_start(&e, r.g, rig_get("/429", -1), 4), 0);
	fake_wait_requests(r.server, 5);
	for (unsigned i = 5; i < 50; i++)
		CHECK_EQ(ends_start(&e, r.g, rig_get("/later", -1), i), 0);
	graph_free(r.g);
	r.g = NULL;
	CHECK_EQ(e.n, 50);
	for (unsigned i = 0; i < 50; i++) {
		CHECK_EQ(e.end[i].rc, -ECANCELED);
		if (e.end[i].id != 4) /* 429: no effect, if it was read */
			CHECK_EQ(e.end[i].was_sent, e.end[i].id < 4);
	}
	rig_stop(&r);
	ends_done(&e);
}

static void test_stop_lets_nothing_start(void)
{
	static const struct step steps[] = {
		ANSWER("GET", 0, .hang = true, .times = 2),
	};
	struct graph_call c = rig_get("/x", -1);
	struct graph_result res;
	struct ends e;
	struct rig r;

	ends_init(&e);
	rig_start(&r, steps, ARRAY_LEN(steps));
	for (unsigned i = 0; i < 2; i++)
		CHECK_EQ(ends_start(&e, r.g, c, i), 0);
	fake_wait_requests(r.server, 2);
	graph_stop(r.g);
	graph_stop(r.g);
	ends_wait(&e, 2);
	CHECK_EQ(e.end[0].rc, -ECANCELED);
	CHECK_EQ(e.end[1].rc, -ECANCELED);
	CHECK_EQ(graph_start(r.g, &c), -ESHUTDOWN);
	CHECK_EQ(graph_wait(r.g, &c, &res), -ESHUTDOWN);
	graph_result_done(&res);
	rig_stop(&r);
	ends_done(&e);
}

static void test_free_at_once(void)
{
	static const struct step steps[] = {
		ANSWER("GET", 200, .body = "{}", .times = 100),
	};

	for (unsigned round = 0; round < 30; round++) {
		struct ends e;
		struct rig r;

		ends_init(&e);
		rig_start(&r, steps, ARRAY_LEN(steps));
		r.late = round & 1;
		for (unsigned i = 0; i < round; i++)
			CHECK_EQ(ends_start(&e, r.g, rig_get("/x", -1), i), 0);
		rig_stop(&r);
		CHECK_EQ(e.n, round);
		ends_done(&e);
	}
	graph_free(NULL);
}

static void test_out_of_memory(void)
{
	static const struct step steps[] = {
		ANSWER("PATCH", 200, .body = "{}", .times = 1000),
	};
	struct graph_prepared p = { .c = { .batch = true } };
	struct rig r;

	rig_start(&r, steps, ARRAY_LEN(steps));
	CHECK_EQ(graph_prepare_patch(r.g, "I", "e", "P", "n", NULL, &p), 0);
	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct graph_result res;
		int rc = graph_wait(r.g, &p.c, &res);

		CHECK(rc == 0 || rc == -ENOMEM);
		graph_result_done(&res);
	}
	alloc_fail_off();
	graph_prepared_done(&p);
	rig_stop(&r);
}

int main(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	RUN(test_cases);
	RUN(test_what_is_sent);
	RUN(test_foreign_links);
	RUN(test_refresh_once_for_all);
	RUN(test_signed_out);
	RUN(test_state_in_done);
	RUN(test_no_token_is_offline);
	RUN(test_freeze_holds_all);
	RUN(test_patience_ends_in_a_freeze);
	RUN(test_offline_and_back);
	RUN(test_free_cancels);
	RUN(test_stop_lets_nothing_start);
	RUN(test_free_at_once);
	RUN(test_out_of_memory);
	return check_report();
}
