#include "tests/graphd/send.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/clock.h"
#include "tests/graphd/must.h"
#include "tests/graphd/stats.h"
#include "tests/graphd/tap.h"
#include "tests/graphd/wire.h"

#define BLOCK      (256 << 10)
#define SLOW_BLOCK (16 << 10) /* so that a limited line flows evenly */

/* A body that is read piece by piece: files always (which is also faster than
 * sendfile() on loopback), so that what a client didn't take isn't counted. It
 * outlives the exchange. */
struct stream {
	struct graphd *g;
	struct wire *wire;
	enum route_class class;
	int client_fd;
	int fd; /* -1: `text` */
	uint64_t off, len;
	char *text;
	int64_t truncate_at, corrupt_at, stall_at, stall_ms, bytes_per_s;
	bool filled; /* with the first byte of `text` */
};

static ssize_t read_piece(struct stream *s, uint64_t pos, char *buf, size_t max)
{
	if (s->filled) {
		memset(buf, *s->text, max);
		return (ssize_t)max;
	}
	if (s->fd >= 0)
		return pread(s->fd, buf, max, (off_t)(s->off + pos));
	memcpy(buf, s->text + pos, max);
	return (ssize_t)max;
}

/* The most that may go before something is to happen at `at`. */
static void limit_to(size_t *max, uint64_t pos, int64_t at)
{
	if (at > (int64_t)pos && *max > (uint64_t)at - pos)
		*max = (size_t)((uint64_t)at - pos);
}

static void count(struct stream *s, ssize_t n)
{
	pthread_mutex_lock(&s->g->lock);
	stats_out(s->g->stats, s->class, (uint64_t)n);
	pthread_mutex_unlock(&s->g->lock);
}

static ssize_t on_read(void *arg, uint64_t pos, char *buf, size_t max)
{
	struct stream *s = arg;
	ssize_t n;

	if (pos >= s->len)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (s->truncate_at >= 0 && pos >= (uint64_t)s->truncate_at)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (s->stall_at >= 0 && pos >= (uint64_t)s->stall_at) {
		s->stall_at = -1;
		if (!wire_stall(s->wire, s->client_fd, s->stall_ms))
			return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	if (max > s->len - pos)
		max = (size_t)(s->len - pos);
	limit_to(&max, pos, s->truncate_at);
	limit_to(&max, pos, s->stall_at);
	if (s->bytes_per_s && max > (uint64_t)s->bytes_per_s / 10 + 1)
		max = (size_t)(s->bytes_per_s / 10 + 1);
	n = read_piece(s, pos, buf, max);
	if (n <= 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (s->corrupt_at >= (int64_t)pos && s->corrupt_at < (int64_t)pos + n)
		buf[(uint64_t)s->corrupt_at - pos] ^= 1;
	if (s->bytes_per_s &&
	    !wire_sleep(s->wire, s->client_fd, n * 1000 / s->bytes_per_s))
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (!wire_pass(s->wire, s->client_fd, WIRE_DOWN, (uint64_t)n))
		return MHD_CONTENT_READER_END_WITH_ERROR;
	count(s, n);
	return n;
}

static void on_free(void *arg)
{
	struct stream *s = arg;

	if (s->fd >= 0)
		close(s->fd);
	free(s->text);
	free(s);
}

static bool is_spoiled(const struct exchange *x)
{
	const struct fault_hit *h = &x->hit;

	return h->fill || h->truncate_at >= 0 || h->corrupt_at >= 0 ||
	       h->bytes_per_s || (h->stall_ms && h->stall_at >= 0);
}

static struct MHD_Response *make_stream(struct exchange *x, bool limited)
{
	struct stream *s = must_alloc(sizeof(*s));

	s->g = x->g;
	s->wire = x->g->wire;
	s->class = x->req.route.class;
	s->client_fd = x->fd;
	s->truncate_at = x->hit.truncate_at;
	s->corrupt_at = x->hit.corrupt_at;
	s->bytes_per_s = x->hit.bytes_per_s;
	s->stall_ms = x->hit.stall_ms;
	s->stall_at = x->hit.stall_ms ? x->hit.stall_at : -1;
	s->fd = x->out.fd;
	s->off = x->out.fd_off;
	s->len = s->fd >= 0 ? x->out.fd_len : x->out.body.len;
	if (s->fd < 0)
		s->text = buf_steal(&x->out.body);
	x->out.fd = -1;
	if (x->hit.fill) {
		s->filled = true;
		s->len = x->hit.fill;
	}
	return MHD_create_response_from_callback(
		s->len, limited ? SLOW_BLOCK : BLOCK, on_read, s, on_free);
}

static struct MHD_Response *make_response(struct exchange *x)
{
	struct answer *out = &x->out;
	bool limited = wire_is_limited(x->g->wire, WIRE_DOWN) &&
	               x->req.route.place != PLACE_CONTROL;
	uint64_t len = out->fd >= 0 ? out->fd_len : out->body.len;
	size_t n = out->body.len;
	char *text;

	if (len && (out->fd >= 0 || limited || is_spoiled(x)))
		return make_stream(x, limited || x->hit.bytes_per_s);
	text = buf_steal(&out->body);
	pthread_mutex_lock(&x->g->lock);
	stats_out(x->g->stats, x->req.route.class, n);
	pthread_mutex_unlock(&x->g->lock);
	return MHD_create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE);
}

static void add_headers(struct exchange *x, struct MHD_Response *r)
{
	const struct answer *out = &x->out;
	bool typed = false;

	for (size_t i = 0; i < out->nheaders; i++) {
		MHD_add_response_header(r, out->headers[i].name,
		                        out->headers[i].value);
		typed |= !strcasecmp(out->headers[i].name, "Cache-Control");
	}
	if (x->req.route.place == PLACE_CONTROL)
		return;
	MHD_add_response_header(r, "request-id", out->request_id);
	MHD_add_response_header(r, "client-request-id",
	                        out->client_request_id ? out->client_request_id
	                                               : out->request_id);
	if (!typed)
		MHD_add_response_header(r, "Cache-Control",
		                        "no-store, no-cache");
	if (x->req.route.place == PLACE_GRAPH)
		MHD_add_response_header(
			r, "x-ms-ags-diagnostic",
			"{\"ServerInfo\":{\"DataCenter\":\"Loopback\"}}");
}

enum MHD_Result send_answer(struct exchange *x, struct MHD_Connection *c)
{
	struct MHD_Response *r;
	enum MHD_Result rc;

	must_text(&x->out.body);
	tap_note(x->g->tap_fd, x);
	if (*x->hit.wire) {
		fault_wire_send(x);
		return MHD_NO;
	}
	r = make_response(x);
	if (!r)
		return MHD_NO;
	add_headers(x, r);
	rc = MHD_queue_response(c, (unsigned)x->out.status, r);
	MHD_destroy_response(r);
	return rc;
}
