/* Which URLs may be asked, in what order requests go, how fast bytes flow,
 * and what is left of connections after a suspend. */
#include "net/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "net/clock.h"
#include "net/http_limit.h"
#include "tests/unit/check.h"
#include "tests/unit/http_fixture.h"

#define OK "HTTP/1.1 200 OK\r\n"

/* In front of libc's: a machine that has slept. */
static long slept_s;

int clock_gettime(clockid_t id, struct timespec *ts)
{
	long rc = syscall(SYS_clock_gettime, id, ts);

	if (id == CLOCK_BOOTTIME)
		ts->tv_sec += __atomic_load_n(&slept_s, __ATOMIC_SEQ_CST);
	return (int)rc;
}

static void test_url_allowed(void)
{
	static const struct {
		const char *url;
		bool allowed;
	} rows[] = {
		{ "https://graph.microsoft.com/v1.0/me", true },
		{ "HTTPS://graph.microsoft.com", true },
		{ "https://[2001:db8::1]:8443/x", true },
		{ "http://127.0.0.1:80/x", true },
		{ "http://127.9.8.7/x", true },
		{ "http://[::1]:8080/x", true },
		{ "http://localhost:1/x", true },
		{ "http://LocalHost/x", true },
		{ "http://graph.microsoft.com/v1.0", false },
		{ "http://128.0.0.1/x", false },
		{ "http://127.0.0.1.example.com/x", false },
		{ "http://localhost.example.com/x", false },
		{ "http://[2001:db8::1]/x", false },
		{ "http://0.0.0.0/", false },
		{ "https://user@graph.microsoft.com/", false },
		{ "https://user:pass@graph.microsoft.com/", false },
		{ "http://user@127.0.0.1/", false },
		{ "ftp://127.0.0.1/", false },
		{ "file:///etc/passwd", false },
		{ "graph.microsoft.com/v1.0", false },
		{ "//graph.microsoft.com/v1.0", false },
		{ "/v1.0/me", false },
		{ "https://", false },
		{ "https://a b/", false },
		{ "https://host/a b", false },
		{ "https://host/a\r\nX: y", false },
		{ "", false },
	};
	struct http *h = new_http(NULL);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct call c;

		check_row("%s", rows[i].url);
		CHECK_EQ(http_url_allowed(rows[i].url), rows[i].allowed);
		if (rows[i].allowed)
			continue;
		call_init(&c, rows[i].url);
		CHECK_EQ(call_start(&c, h), -EPROTO);
		CHECK(!c.req && !c.done);
		call_free(&c);
	}
	http_free(h);
}

static void test_same_origin(void)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{ "https://h/a", "https://h/b?c", true },
		{ "https://h/", "https://h:443/", true },
		{ "https://H.com/", "HTTPS://h.COM/", true },
		{ "http://127.0.0.1:80/", "http://127.0.0.1/", true },
		{ "https://h/", "http://h/", false },
		{ "https://h/", "https://h:8443/", false },
		{ "https://h/", "https://h.evil/", false },
		{ "https://h/", "https://evil/h/", false },
		{ "https://h/", "https://h@evil/", false },
		{ "https://h/", "https://sub.h/", false },
		{ "https://h/", "/path", false },
		{ "/path", "/path", false },
		{ "", "", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		check_row("%s %s", rows[i].a, rows[i].b);
		CHECK_EQ(http_same_origin(rows[i].a, rows[i].b), rows[i].same);
		CHECK_EQ(http_same_origin(rows[i].b, rows[i].a), rows[i].same);
	}
}

static void test_bad_strings(void)
{
	static const char *const header[] = { "X: a\r\nEvil: b", NULL };
	struct http *h = new_http(NULL);
	struct call c;

	for (int i = 0; i < 4; i++) {
		check_row("%d", i);
		call_init(&c, "http://127.0.0.1/");
		if (i == 0)
			c.spec.headers = header;
		if (i == 1)
			c.spec.bearer = "a\r\nEvil: b";
		if (i == 2)
			c.spec.method = "GET\n";
		if (i == 3)
			c.spec.method = "";
		CHECK_EQ(call_start(&c, h), -EINVAL);
		call_free(&c);
	}
	http_free(h);
}

/* ---- order ------------------------------------------------------------- */

/* Writes the path of each request into a log; answers when told. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct buf log;
	unsigned arrived, let;
};

static void gate_init(struct gate *g)
{
	*g = (struct gate){ .lock = PTHREAD_MUTEX_INITIALIZER,
		            .cond = PTHREAD_COND_INITIALIZER };
}

static void serve_gate(void *arg, int fd, unsigned nth)
{
	struct gate *g = arg;
	struct buf head = BUF_INIT, body = BUF_INIT;

	(void)nth;
	while (raw_read_request(fd, &head, &body)) {
		unsigned mine;

		pthread_mutex_lock(&g->lock);
		buf_add(&g->log, head.data + 5, 1);
		mine = ++g->arrived;
		pthread_cond_broadcast(&g->cond);
		while (g->let < mine)
			pthread_cond_wait(&g->cond, &g->lock);
		pthread_mutex_unlock(&g->lock);
		raw_write(fd, OK "Content-Length: 0\r\n\r\n");
	}
	buf_done(&head);
	buf_done(&body);
}

static void gate_wait(struct gate *g, unsigned arrived)
{
	pthread_mutex_lock(&g->lock);
	while (g->arrived < arrived)
		pthread_cond_wait(&g->cond, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

static unsigned gate_arrived(struct gate *g)
{
	unsigned n;

	pthread_mutex_lock(&g->lock);
	n = g->arrived;
	pthread_mutex_unlock(&g->lock);
	return n;
}

static void gate_let(struct gate *g, unsigned n)
{
	pthread_mutex_lock(&g->lock);
	g->let = n;
	pthread_cond_broadcast(&g->cond);
	pthread_mutex_unlock(&g->lock);
}

static void test_priorities(void)
{
	static const struct {
		const char *path;
		enum http_prio prio;
	} order[] = {
		{ "/f", HTTP_PRIO_META }, { "/b", HTTP_PRIO_BULK },
		{ "/c", HTTP_PRIO_BULK }, { "/m", HTTP_PRIO_META },
		{ "/u", HTTP_PRIO_USER }, { "/v", HTTP_PRIO_USER },
	};
	struct http_options opt = { .max_connections = 1 };
	struct gate g;
	struct raw_server *s;
	struct http *h = new_http(&opt);
	struct call calls[ARRAY_LEN(order)];

	gate_init(&g);
	s = raw_start(serve_gate, &g);
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		call_init(&calls[i], raw_url(s, order[i].path));
		calls[i].spec.prio = order[i].prio;
		CHECK_EQ(call_start(&calls[i], h), 0);
		if (i == 0)
			gate_wait(&g, 1);
	}
	gate_let(&g, 100);
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		call_wait(&calls[i]);
		CHECK_EQ(calls[i].rc, 0);
		call_free(&calls[i]);
	}
	CHECK_STR(g.log.data, "fuvmbc");
	CHECK_EQ(raw_connections(s), 1);
	http_free(h);
	raw_stop(s);
	buf_done(&g.log);
}

/* Of four connections bulk has three; a read finds the fourth free. */
static void test_bulk_leaves_room(void)
{
	struct http_options opt = { .max_connections = 4 };
	struct gate g;
	struct raw_server *s;
	struct http *h = new_http(&opt);
	struct call bulk[6], user;

	gate_init(&g);
	s = raw_start(serve_gate, &g);
	for (size_t i = 0; i < ARRAY_LEN(bulk); i++) {
		call_init(&bulk[i], raw_url(s, "/b"));
		bulk[i].spec.prio = HTTP_PRIO_BULK;
		CHECK_EQ(call_start(&bulk[i], h), 0);
	}
	gate_wait(&g, 3);
	call_init(&user, raw_url(s, "/u"));
	user.spec.prio = HTTP_PRIO_USER;
	CHECK_EQ(call_start(&user, h), 0);
	gate_wait(&g, 4);
	CHECK_STR(g.log.data, "bbbu");
	CHECK_EQ(gate_arrived(&g), 4);
	gate_let(&g, 100);
	call_wait(&user);
	for (size_t i = 0; i < ARRAY_LEN(bulk); i++) {
		call_wait(&bulk[i]);
		CHECK_EQ(bulk[i].rc, 0);
		call_free(&bulk[i]);
	}
	CHECK(raw_connections(s) <= 4);
	call_free(&user);
	http_free(h);
	raw_stop(s);
	buf_done(&g.log);
}

/* ---- bandwidth --------------------------------------------------------- */

static void test_bucket(void)
{
	static const uint64_t rates[] = { 1,      10,       999,        4096,
		                          100000, 10000000, 5000000000u };

	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		struct http_bucket b;
		int64_t now = 5000, begun = now;
		uint64_t got = 0;

		check_row("rate %" PRIu64, rates[i]);
		http_bucket_set(&b, rates[i], now);
		for (int n = 0; n < 2000; n++) {
			size_t piece = http_bucket_grant(&b, 65536, now);

			CHECK(piece <= 65536);
			if (!piece) {
				int64_t due = http_bucket_due_ms(&b, now);

				CHECK(due > now);
				CHECK(http_bucket_grant(&b, 1, due) > 0);
				now = due;
				continue;
			}
			/* At times a piece is taken whole. */
			if (n % 7 == 0)
				piece = 65536;
			http_bucket_take(&b, piece);
			got += piece;
		}
		now = http_bucket_due_ms(&b, now);
		CHECK(now > begun);
		CHECK(got <= rates[i] * (uint64_t)(now - begun) / 1000 +
		                     rates[i] / 2 + 65536);
		CHECK(got + 65536 + rates[i] / 2 >=
		      rates[i] * (uint64_t)(now - begun) / 1000);
	}
}

/* Asked far more often than it has something to give. */
static void test_bucket_asked_often(void)
{
	static const uint64_t rates[] = { 700, 65536, 2 << 20, 125000000 };

	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		struct http_bucket b;
		uint64_t got = 0, piece;

		check_row("rate %" PRIu64, rates[i]);
		http_bucket_set(&b, rates[i], 0);
		for (int64_t now = 1; now <= 8000; now++) {
			while ((piece = http_bucket_grant(&b, 16384, now))) {
				http_bucket_take(&b, piece);
				got += piece;
			}
		}
		CHECK(got <= rates[i] * 8 + rates[i] / 4 + 16384);
		CHECK(got >= rates[i] * 8 - rates[i] / 4);
	}
}

static void test_bucket_without_limit(void)
{
	struct http_bucket b;

	http_bucket_set(&b, 0, 1000);
	CHECK_EQ(http_bucket_grant(&b, 1 << 30, 1000), 1 << 30);
	http_bucket_take(&b, 1 << 30);
	CHECK_EQ(http_bucket_grant(&b, 5, 1000), 5);
	CHECK_EQ(http_bucket_due_ms(&b, 1000), 1000);
	/* Neither does an idle hour save up for a burst. */
	http_bucket_set(&b, 100000, 1000);
	CHECK(http_bucket_grant(&b, 1 << 30, 3601000) <= 50000);
}

static void serve_big(void *arg, int fd, unsigned nth)
{
	struct buf head = BUF_INIT, body = BUF_INIT;
	size_t len = *(size_t *)arg;
	char *data = calloc(1, len);

	(void)nth;
	while (data && raw_read_request(fd, &head, &body)) {
		char line[100];

		snprintf(line, sizeof(line), OK "Content-Length: %zu\r\n\r\n",
		         len);
		raw_write(fd, line);
		raw_write_all(fd, data, len);
	}
	free(data);
	buf_done(&head);
	buf_done(&body);
}

/* Four transfers share 400 KB/s: 4 * 100 KB take a second, none starves. */
static void test_limits(void)
{
	size_t len = 100000;
	struct raw_server *s = raw_start(serve_big, &len);
	char *data = calloc(1, len);
	struct http *h;

	for (int up = 0; up < 2; up++) {
		struct http_options opt = {
			.up_bytes_per_s = up ? 400000 : 0,
			.down_bytes_per_s = up ? 0 : 400000,
		};
		struct call calls[4];
		int64_t begun = clock_mono_ms(), ms;

		check_row("up=%d", up);
		h = new_http(&opt);
		for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
			call_init(&calls[i], raw_url(s, "/"));
			calls[i].spec.stall_ms = 500;
			if (up) {
				calls[i].spec.method = "PUT";
				calls[i].spec.body = data;
				calls[i].spec.body_len = len;
			}
			CHECK_EQ(call_start(&calls[i], h), 0);
		}
		for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
			call_wait(&calls[i]);
			CHECK_EQ(calls[i].rc, 0);
			call_free(&calls[i]);
		}
		ms = clock_mono_ms() - begun;
		CHECK(ms > 500);
		CHECK(ms < 10000);
		http_free(h);
	}
	raw_stop(s);
	free(data);
}

static int count_data(void *arg, const void *data, size_t len)
{
	(void)data;
	(void)len;
	call_event(arg);
	return 0;
}

/* At 1 KB/s it would take hours; it ends when the limit is taken away. */
static void test_limit_lifted(void)
{
	size_t len = 8 * 1024 * 1024;
	struct raw_server *s = raw_start(serve_big, &len);
	struct http_options opt = { .down_bytes_per_s = 1000 };
	struct http *h = new_http(&opt);
	struct call c;

	call_init(&c, raw_url(s, "/"));
	c.spec.data = count_data;
	CHECK_EQ(call_start(&c, h), 0);
	call_wait_events(&c, 1);
	http_set_limits(h, 0, 0);
	call_wait(&c);
	CHECK_EQ(c.rc, 0);
	call_free(&c);
	http_free(h);
	raw_stop(s);
}

/* ---- after a suspend --------------------------------------------------- */

static void test_drop_connections(void)
{
	struct gate g;
	struct raw_server *s;
	struct http *h = new_http(NULL);
	struct call c, stuck;
	int64_t begun;

	gate_init(&g);
	s = raw_start(serve_gate, &g);
	gate_let(&g, 2);
	for (int i = 0; i < 2; i++) {
		call_init(&c, raw_url(s, "/a"));
		CHECK_EQ(call_run(&c, h), 0);
		call_free(&c);
	}
	CHECK_EQ(raw_connections(s), 1);

	/* A kept connection isn't used again, one under way has 5 s. */
	call_init(&stuck, raw_url(s, "/s"));
	stuck.spec.stall_ms = 600000;
	CHECK_EQ(call_start(&stuck, h), 0);
	gate_wait(&g, 3);
	/* A delayed ACK would be a sign of life. */
	nanosleep(&(struct timespec){ 0, 300000000 }, NULL);
	begun = clock_mono_ms();
	http_drop_connections(h);
	call_wait(&stuck);
	CHECK_EQ(stuck.rc, -ENETRESET);
	CHECK(stuck.was_sent);
	CHECK(clock_mono_ms() - begun >= 4900);

	gate_let(&g, 100);
	call_init(&c, raw_url(s, "/b"));
	CHECK_EQ(call_run(&c, h), 0);
	call_free(&c);
	CHECK_EQ(raw_connections(s), 2);
	http_drop_connections(h);
	call_init(&c, raw_url(s, "/c"));
	CHECK_EQ(call_run(&c, h), 0);
	call_free(&c);
	CHECK_EQ(raw_connections(s), 3);
	call_free(&stuck);
	http_free(h);
	raw_stop(s);
	buf_done(&g.log);
}

/* A new request after a sleep doesn't go out on a connection from before. */
static void test_sleep(void)
{
	struct raw_server *s = raw_start(raw_serve_echo, NULL);
	struct http *h = new_http(NULL);

	for (int i = 0; i < 4; i++) {
		struct call c;

		if (i == 2)
			__atomic_add_fetch(&slept_s, 3600, __ATOMIC_SEQ_CST);
		call_init(&c, raw_url(s, "/"));
		CHECK_EQ(call_run(&c, h), 0);
		call_free(&c);
	}
	CHECK_EQ(raw_connections(s), 2);
	http_free(h);
	raw_stop(s);
}

int main(void)
{
	RUN(test_url_allowed);
	RUN(test_same_origin);
	RUN(test_bad_strings);
	RUN(test_priorities);
	RUN(test_bulk_leaves_room);
	RUN(test_bucket);
	RUN(test_bucket_asked_often);
	RUN(test_bucket_without_limit);
	RUN(test_limits);
	RUN(test_limit_lifted);
	RUN(test_drop_connections);
	RUN(test_sleep); /* timers are late from here on */
	return check_report();
}
