#include "tests/graphd/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/clock.h"
#include "tests/graphd/control.h"
#include "tests/graphd/copy.h"
#include "tests/graphd/download.h"
#include "tests/graphd/gate.h"
#include "tests/graphd/login.h"
#include "tests/graphd/must.h"
#include "tests/graphd/stats.h"
#include "tests/graphd/throttle.h"
#include "tests/graphd/uploads.h"
#include "tests/graphd/wire.h"

#define MAX_BODY (64 << 20) /* of JSON and forms */

struct exchange *exchange_new(struct graphd *g, const char *target)
{
	struct exchange *x = must_alloc(sizeof(*x));

	x->g = g;
	x->target = must_copy(target);
	x->fd = -1;
	x->kept_fd = -1;
	answer_init(&x->out, NULL);
	fault_hit_init(&x->hit);
	return x;
}

void exchange_free(struct exchange *x)
{
	struct graphd *g = x->g;

	pthread_mutex_lock(&g->lock);
	session_leave(g, &x->fragment);
	if (x->begun && x->req.route.place != PLACE_CONTROL) {
		if (!x->answered)
			stats_answer(g->stats, x->req.route.class, 0,
			             x->in_bytes);
		stats_end(g->stats, x->req.route.class);
		pthread_cond_broadcast(&g->event);
	}
	pthread_mutex_unlock(&g->lock);
	draft_free(x->draft);
	if (x->kept_fd >= 0)
		close(x->kept_fd);
	fault_hit_done(&x->hit);
	answer_done(&x->out);
	buf_done(&x->body);
	for (size_t i = 0; i < x->req.nheaders; i++) {
		free(x->headers[i].name);
		free(x->headers[i].value);
	}
	free(x->headers);
	query_done(&x->req.query);
	route_done(&x->req.route);
	free(x->method);
	free(x->target);
	free(x->base);
	free(x);
}

void exchange_header(struct exchange *x, const char *name, const char *value)
{
	struct header *h;

	x->headers = must_grow(x->headers,
	                       (x->req.nheaders + 1) * sizeof(*x->headers));
	h = &x->headers[x->req.nheaders++];
	h->name = must_copy(name);
	h->value = must_copy(value ? value : "");
	x->req.headers = x->headers;
}

/* ---- the header is there
 * --------------------------------------------------------- */

static void fill_request(struct exchange *x)
{
	struct request *req = &x->req;
	const char *proto, *host, *id;

	req->method = x->method;
	req->target = x->target;
	host = request_header(req, "Host");
	proto = request_header(req, "X-Forwarded-Proto"); /* nghttpx */
	if (!proto)
		proto = x->https ? "https" : "http";
	x->base = must_printf("%s://%s", proto, host ? host : "localhost");
	req->base = x->base;
	req->body = &x->body;
	req->whole = &x->hit;
	route_parse(x->method, x->target, x->g->quirks.plus_is_space,
	            &req->route);
	query_parse(x->target, &req->query);
	req->now_ns = graphd_now_ns(x->g);
	id = request_header(req, "client-request-id");
	x->out.client_request_id = must_copy(id);
	if (req->route.class == CLASS_create) {
		const char *type = request_header(req, "Content-Type");

		if (type && !strncasecmp(type, "multipart/", 10))
			req->route.class = CLASS_multipart;
	}
}

/* Rules of the request line and header alone. */
static void note_form(struct exchange *x)
{
	struct stats *s = x->g->stats;
	struct request *req = &x->req;
	const char *range = request_header(req, "Range");

	if (req->route.raw_path)
		stats_forbid(s, "2.1: path segments are percent-encoded",
		             "%s %s", req->method, req->target);
	if (req->query.mixed && req->route.place == PLACE_GRAPH)
		stats_forbid(s, "2.2: $ on all query options or on none", "%s",
		             req->target);
	if (req->route.class == CLASS_other && req->route.place == PLACE_GRAPH)
		stats_forbid(s, "unknown call", "%s %s", req->method,
		             req->target);
	if (range && req->route.place == PLACE_DOWNLOAD &&
	    request_header(req, "Accept-Encoding") &&
	    strcmp(request_header(req, "Accept-Encoding"), "identity"))
		stats_forbid(s, "6: no Accept-Encoding with ranges", "%s",
		             request_header(req, "Accept-Encoding"));
	if (request_header(req, "Cookie"))
		stats_forbid(s, "6: no cookies", "%s",
		             route_class_name(req->route.class));
}

/* Where the body goes; refusals that don't need it are decided now, and it is
 * read and dropped then. */
static void begin_body(struct exchange *x)
{
	struct graphd *g = x->g;
	struct request *req = &x->req;

	if (req->route.class == CLASS_fragment) {
		x->refused =
			fault_replaces(&x->hit) ||
			!gate_enter(g, req, &x->out) ||
			!session_begin(g, req, x->fd, &x->out, &x->fragment);
	} else if (req->route.class == CLASS_put) {
		must_ok(draft_new(g->blobs, &x->draft), "content file");
		x->ticket = draft_claim(x->draft);
		req->draft = x->draft;
	}
}

static bool cut(struct exchange *x)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (x->hit.reset)
		setsockopt(x->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	return false;
}

bool exchange_begin(struct exchange *x, const char *method, int fd, bool https,
                    bool new_connection)
{
	struct graphd *g = x->g;
	bool drop;

	x->method = must_copy(method);
	x->fd = fd;
	x->https = https;
	pthread_mutex_lock(&g->lock);
	fill_request(x);
	x->begun = true;
	if (x->req.route.place != PLACE_CONTROL) {
		stats_begin(g->stats, x->req.route.class);
		note_form(x);
		if (x->req.route.class != CLASS_create)
			fault_match(g, &x->req, &x->hit);
	}
	pthread_cond_broadcast(&g->event);
	pthread_mutex_unlock(&g->lock);
	x->kept_fd = uploads_begin(x);
	if (new_connection && x->req.route.place != PLACE_CONTROL &&
	    !wire_sleep(g->wire, fd, wire_connect_ms(g->wire)))
		return false;
	drop = x->hit.drop == DROP_BEFORE && x->hit.drop_at < 0;
	if (drop)
		return wire_sleep(g->wire, fd, x->hit.delay_ms) && cut(x);
	pthread_mutex_lock(&g->lock);
	fault_prepare(g, &x->req, &x->hit);
	begin_body(x);
	pthread_mutex_unlock(&g->lock);
	return true;
}

bool exchange_data(struct exchange *x, const void *data, size_t len)
{
	struct graphd *g = x->g;
	int rc = 0;

	x->in_bytes += len;
	uploads_add(x->kept_fd, data, len);
	if (!wire_pass(g->wire, x->fd, WIRE_UP, len))
		return false;
	if (x->hit.drop == DROP_BEFORE &&
	    x->in_bytes >= (uint64_t)x->hit.drop_at)
		return cut(x);
	if (x->refused)
		return true;
	if (x->fragment.draft)
		rc = draft_write(x->fragment.draft, x->fragment.ticket, data,
		                 len);
	else if (x->draft)
		rc = draft_write(x->draft, x->ticket, data, len);
	else if (x->body.len + len > MAX_BODY)
		x->failed = true;
	else
		buf_add(&x->body, data, len);
	if (rc < 0 && rc != -ECANCELED)
		x->failed = true;
	return true;
}

/* ---- the body is whole
 * ------------------------------------------------------------ */

static void handle_content(struct exchange *x)
{
	struct graphd *g = x->g;

	switch (x->req.route.class) {
	case CLASS_session_status:
		session_status(g, &x->req, &x->out);
		break;
	case CLASS_session_cancel:
		session_cancel(g, &x->req, &x->out);
		break;
	case CLASS_session_commit:
		session_commit(g, &x->req, &x->out);
		break;
	case CLASS_download:
		download_serve(g, &x->req, &x->out);
		break;
	case CLASS_monitor:
		copy_monitor(g, &x->req, &x->out);
		break;
	default:
		answer_error(&x->out, 405, "invalidRequest", NULL,
		             "The method is not allowed here.");
	}
}

static void handle_login(struct exchange *x)
{
	const char *query = strchr(x->target, '?');
	struct request *req = &x->req;
	struct login_request in = {
		.method = req->method,
		.host = request_header(req, "Host"),
		.https = !strncmp(req->base, "https:", 6),
		.query = query ? query + 1 : "",
		.form = must_text(&x->body),
		.form_len = x->body.len,
		.now_ms = req->now_ns / 1000000,
	};
	char *path = must_copy_n(x->target, strcspn(x->target, "?"));
	struct login_reply reply;

	in.path = path;
	login_handle(x->g->login, &in, &reply);
	answer_empty(&x->out, reply.status);
	buf_add(&x->out.body, must_text(&reply.body), reply.body.len);
	if (reply.content_type)
		answer_header(&x->out, "Content-Type", "%s",
		              reply.content_type);
	for (size_t i = 0; i < reply.nheaders; i++)
		answer_header(&x->out, reply.headers[i].name, "%s",
		              reply.headers[i].value);
	login_reply_done(&reply);
	free(path);
}

static void handle(struct exchange *x)
{
	struct graphd *g = x->g;
	struct request *req = &x->req;

	if (x->refused)
		return;
	if (x->failed) {
		answer_error(&x->out, 413, "maxStreamSizeExceeded", NULL,
		             "The body can't be kept.");
	} else if (req->route.place == PLACE_LOGIN) {
		handle_login(x);
	} else if (req->route.class == CLASS_fragment) {
		session_end(g, req, &x->out, &x->fragment);
	} else if (gate_enter(g, req, &x->out)) {
		if (req->route.place == PLACE_GRAPH)
			graphd_handle(g, req, &x->out);
		else
			handle_content(x);
	}
}

static void locked_part(struct exchange *x)
{
	struct graphd *g = x->g;

	if (x->draft && !x->failed)
		draft_keep(x->draft, x->ticket);
	x->req.ignore_range = !strcmp(x->hit.range, "ignore");
	if (!fault_replaces(&x->hit))
		handle(x);
	/* Before its answer is on the wire: the next one may come on another
	 * connection sooner than this one is cleaned up. */
	session_leave(g, &x->fragment);
	fault_apply(&x->hit, &x->req, &x->out);
	gate_note_answer(g, &x->out);
	x->answered = true;
	stats_answer(g->stats, x->req.route.class,
	             x->hit.drop == DROP_AFTER ? 0 : x->out.status,
	             x->in_bytes);
	graphd_settle(g);
}

/* The name of what is created stands in the body. */
static bool match_created(struct exchange *x)
{
	struct graphd *g = x->g;

	pthread_mutex_lock(&g->lock);
	fault_match(g, &x->req, &x->hit);
	fault_prepare(g, &x->req, &x->hit);
	pthread_cond_broadcast(&g->event);
	pthread_mutex_unlock(&g->lock);
	return x->hit.drop != DROP_BEFORE || cut(x);
}

bool exchange_finish(struct exchange *x)
{
	struct graphd *g = x->g;
	unsigned releases = wire_releases(g->wire);
	int64_t wait_ms;

	if (x->req.route.place == PLACE_CONTROL) {
		control_handle(g, &x->req, &x->out);
		return true;
	}
	if (x->req.route.class == CLASS_create && !match_created(x))
		return false;
	wait_ms =
		wire_latency_ms(g->wire, x->req.route.class) + x->hit.delay_ms;
	if (!wire_sleep(g->wire, x->fd, wait_ms))
		return false;
	if (x->hit.stall_at < 0 &&
	    !wire_stall_since(g->wire, x->fd, x->hit.stall_ms, releases))
		return false;
	x->req.now_ns = graphd_now_ns(g);
	pthread_mutex_lock(&g->lock);
	locked_part(x);
	pthread_mutex_unlock(&g->lock);
	throttle_bytes(g->throttle, (int64_t)x->in_bytes,
	               (int64_t)x->out.fd_len, clock_mono_ms());
	return x->hit.drop != DROP_AFTER || cut(x);
}
