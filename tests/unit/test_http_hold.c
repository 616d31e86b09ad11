/* What stands still for a while: everything before a sleep, uploads over a
 * connection that costs. */
#include "net/http.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/clock.h"
#include "tests/unit/check.h"
#include "tests/unit/http_fixture.h"

static void on_turn(void *arg)
{
	call_event(arg);
}

/* The network thread has gone through a whole turn since. */
static void wait_turn(struct http *h)
{
	struct call c;

	call_init(&c, "");
	for (unsigned i = 1; i <= 2; i++) {
		CHECK_EQ(http_call_later(h, 0, on_turn, &c, NULL), 0);
		call_wait_events(&c, i);
	}
	c.done = true;
	call_free(&c);
}

static void serve_silence(void *arg, int fd, unsigned nth)
{
	struct buf head = BUF_INIT, body = BUF_INIT;

	(void)nth;
	if (raw_read_request(fd, &head, &body))
		call_event(arg);
	buf_done(&head);
	buf_done(&body);
	raw_wait_close(fd);
}

static void test_rest(void)
{
	struct http *h = new_http(NULL);
	struct raw_server *silent, *echo = raw_start(raw_serve_echo, NULL);
	struct call stuck, idle, next;

	call_init(&idle, raw_url(echo, "/idle"));
	CHECK_EQ(call_run(&idle, h), 0); /* its connection is kept */
	call_init(&stuck, "");
	silent = raw_start(serve_silence, &stuck);
	stuck.spec.url = raw_url(silent, "/");
	CHECK_EQ(call_start(&stuck, h), 0);
	call_wait_events(&stuck, 1);

	http_set_rest(h, true);
	call_wait(&stuck);
	CHECK_EQ(stuck.rc, -ENETRESET);
	CHECK(stuck.was_sent);
	call_init(&next, raw_url(echo, "/next"));
	CHECK_EQ(call_start(&next, h), 0);
	wait_turn(h);
	CHECK_EQ(raw_connections(echo), 1);

	http_set_rest(h, false);
	call_wait(&next);
	CHECK_EQ(next.rc, 0);
	CHECK_EQ(raw_connections(echo), 2); /* the kept one was closed */
	http_free(h);
	call_free(&stuck);
	call_free(&idle);
	call_free(&next);
	raw_stop(silent);
	raw_stop(echo);
}

/* It ends while all rests. */
static void test_end_of_rest(void)
{
	struct http *h = new_http(NULL);
	struct raw_server *echo = raw_start(raw_serve_echo, NULL);
	struct call c;

	http_set_rest(h, true);
	call_init(&c, raw_url(echo, "/"));
	CHECK_EQ(call_start(&c, h), 0);
	http_free(h);
	call_wait(&c);
	CHECK_EQ(c.rc, -ECANCELED);
	call_free(&c);
	raw_stop(echo);
}

static void start_put(struct call *c, struct http *h, const char *url,
                      enum http_prio prio, const void *data, size_t len)
{
	call_init(c, url);
	c->spec.method = "PUT";
	c->spec.body = data;
	c->spec.body_len = len;
	c->spec.prio = prio;
	c->spec.stall_ms = 300;
	CHECK_EQ(call_start(c, h), 0);
}

/* What waits, with something else behind it. */
static void test_queued_uploads(void)
{
	struct http_options opt = { .max_connections = 2 };
	struct http *h = new_http(&opt);
	struct raw_server *echo = raw_start(raw_serve_echo, NULL);
	struct call up, down, small;

	http_hold_uploads(h, true);
	start_put(&up, h, raw_url(echo, "/up"), HTTP_PRIO_BULK, "x", 1);
	start_put(&small, h, raw_url(echo, "/small"), HTTP_PRIO_META, "x", 1);
	call_init(&down, raw_url(echo, "/down"));
	down.spec.prio = HTTP_PRIO_BULK;
	CHECK_EQ(call_run(&down, h), 0);
	call_wait(&small);
	CHECK_EQ(small.rc, 0);
	wait_turn(h);
	CHECK_EQ(http_get_bulk_sent(h), 0);
	http_hold_uploads(h, false);
	call_wait(&up);
	CHECK_EQ(up.rc, 0);
	http_free(h);
	call_free(&up);
	call_free(&down);
	call_free(&small);
	raw_stop(echo);
}

#define BIG (4 * 1024 * 1024)

/* What is under way; it does not time out meanwhile, and nobody spins. */
static void test_running_upload(void)
{
	struct http_options opt = { .up_bytes_per_s = 100000 };
	struct http *h = new_http(&opt);
	struct raw_server *echo = raw_start(raw_serve_echo, NULL);
	char *data = calloc(1, BIG);
	struct call up;
	uint64_t sent;
	int64_t until;

	start_put(&up, h, raw_url(echo, "/up"), HTTP_PRIO_BULK, data, BIG);
	while (!http_get_bulk_sent(h))
		usleep(1000);
	http_hold_uploads(h, true);
	wait_turn(h);
	sent = http_get_bulk_sent(h);
	http_set_limits(h, 0, 0);
	until = clock_mono_ms() + 700; /* longer than stall_ms */
	while (clock_mono_ms() < until) {
		wait_turn(h);
		usleep(10000);
	}
	CHECK_EQ(http_get_bulk_sent(h), sent);
	http_hold_uploads(h, false);
	call_wait(&up);
	CHECK_EQ(up.rc, 0);
	CHECK_EQ(http_get_bulk_sent(h), BIG);
	http_free(h);
	call_free(&up);
	raw_stop(echo);
	free(data);
}

int main(void)
{
	RUN(test_rest);
	RUN(test_end_of_rest);
	RUN(test_queued_uploads);
	RUN(test_running_upload);
	return check_report();
}
