#include "net/upload_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define ANSWER_MS      (2 * 60 * 1000)
#define LAST_ANSWER_MS (10 * 60 * 1000) /* minutes for large files, 5.2 */
#define MAX_ANSWER     ((size_t)1 << 20)
#define MAX_RESENT     ((uint64_t)1 << 20)

static void request_done(void *arg, const struct http_answer *a)
{
	struct upload *u = arg;
	struct graph *g = u->g;
	cJSON *json = a->body_len ? json_parse(a->body, a->body_len) : NULL;
	struct graph_outcome o = graph_http_outcome(a);
	bool idle = true;

	graph_ref(g);
	u->req = NULL;
	u->plan = (struct upload_plan){ .status = a->status };
	snprintf(u->plan.code, sizeof(u->plan.code), "%s",
	         graph_error_code(json));
	graph_outcome_code(&o, u->plan.code);
	if (u->state == UPLOAD_ASKING) {
		upload_plan_after_asking(u, a, json);
	} else {
		idle = upload_body_end(&u->body);
		upload_plan_after_fragment(u, a, json);
	}
	cJSON_Delete(json);
	graph_gate_leave(g, &u->slot, &o);
	if (idle)
		upload_settle(u);
	graph_gate_pump(g);
	graph_unref(g);
}

static ssize_t read_body(void *arg, void *buf, size_t len)
{
	struct upload *u = arg;

	return upload_body_read(&u->body, buf, len);
}

/* A kept connection that was dead shows after a few bytes. Later than that it
 * is trouble on the way: better to ask first, and send smaller fragments. */
static int rewind_body(void *arg)
{
	struct upload *u = arg;

	if (upload_body_taken(&u->body) - upload_confirmed(u) > MAX_RESENT)
		return -ENETRESET;
	return upload_body_rewind(&u->body);
}

static int start_asking(struct upload *u)
{
	struct http_spec spec = { .method = "GET",
		                  .url = u->url,
		                  .secret_url = true,
		                  .prio = u->spec.prio,
		                  .max_body = MAX_ANSWER,
		                  .done = request_done,
		                  .arg = u };

	return http_start(u->g->http, &spec, &u->req);
}

static int start_sending(struct upload *u)
{
	uint64_t start = upload_confirmed(u);
	uint64_t last = upload_fragment_end(start, u->fragment, u->spec.total);
	char range[80];
	const char *const headers[] = { range, NULL };
	struct http_spec spec = { .method = "PUT",
		                  .url = u->url,
		                  .secret_url = true,
		                  .headers = headers,
		                  .prio = u->spec.prio,
		                  .body_len = last - start,
		                  .read = read_body,
		                  .rewind = rewind_body,
		                  .max_body = MAX_ANSWER,
		                  .done = request_done,
		                  .arg = u,
		                  .answer_ms = last == u->spec.total
		                                       ? LAST_ANSWER_MS
		                                       : ANSWER_MS };
	int rc;

	u->end = last;
	snprintf(range, sizeof(range),
	         "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, start,
	         last - 1, u->spec.total);
	upload_body_begin(&u->body, start, last);
	rc = http_start(u->g->http, &spec, &u->req);
	if (rc == 0)
		upload_body_set_request(&u->body, u->req);
	return rc;
}

/* Nothing was started: later, or never. */
static void could_not_start(struct upload *u, int rc)
{
	struct graph_outcome o = graph_no_outcome();
	bool idle = u->state == UPLOAD_ASKING || upload_body_end(&u->body);

	graph_gate_leave(u->g, &u->slot, &o);
	u->plan = (struct upload_plan){ .rc = rc };
	upload_plan_end(&u->plan, rc, rc == -ENOMEM ? RETRY_WAIT : RETRY_FAIL);
	if (idle)
		upload_settle(u);
}

void upload_ask(struct upload *u)
{
	int rc;

	upload_set_state(u, UPLOAD_ASKING);
	rc = start_asking(u);
	if (rc < 0)
		could_not_start(u, rc);
}

void upload_send(struct upload *u)
{
	int rc;

	upload_set_state(u, UPLOAD_SENDING);
	rc = start_sending(u);
	if (rc < 0)
		could_not_start(u, rc);
}
