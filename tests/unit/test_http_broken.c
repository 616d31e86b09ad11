/* Answers that break off, lie, stall or never come. */
#include "net/http.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "tests/unit/http_fixture.h"

#define OK "HTTP/1.1 200 OK\r\n"

enum ending {
	CLOSE, /* orderly */
	RESET,
	STALL, /* nothing more, connection open */
	FLOOD, /* `flood` again and again */
};

struct script {
	const char *name, *text;
	size_t len; /* 0: strlen */
	enum ending ending;
	int rc;
	long status;
	bool before_request; /* don't read the request first */
	const char *flood;
};

static void play(void *arg, int fd, unsigned nth)
{
	const struct script *s = arg;
	size_t len = s->len ? s->len : strlen(s->text);
	struct buf head = BUF_INIT, body = BUF_INIT;

	(void)nth;
	if (s->before_request || raw_read_request(fd, &head, &body)) {
		raw_write_all(fd, s->text, len);
		while (s->ending == FLOOD && raw_write(fd, s->flood))
			;
		if (s->ending == STALL)
			raw_wait_close(fd);
		if (s->ending == RESET)
			raw_reset(fd);
	}
	buf_done(&head);
	buf_done(&body);
}

static struct script scripts[] = {
	{ "no answer", "", 0, CLOSE, -ENETRESET, 0, false, NULL },
	{ "reset", "", 0, RESET, -ENETRESET, 0, false, NULL },
	{ "closed at once", "", 0, CLOSE, -ENETRESET, 0, true, NULL },
	{ "half a status line", "HTTP/1.1 20", 0, CLOSE, -ENETRESET, 0, false,
	  NULL },
	{ "half a header", OK "Content-Le", 0, CLOSE, -ENETRESET, 200, false,
	  NULL },
	{ "short body", OK "Content-Length: 9\r\n\r\nabc", 0, CLOSE, -ENETRESET,
	  200, false, NULL },
	{ "short body, reset", OK "Content-Length: 9\r\n\r\nabc", 0, RESET,
	  -ENETRESET, 200, false, NULL },
	{ "short chunk", OK "Transfer-Encoding: chunked\r\n\r\n9\r\nabc", 0,
	  CLOSE, -ENETRESET, 200, false, NULL },
	{ "no last chunk", OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	  0, CLOSE, -ENETRESET, 200, false, NULL },
	{ "bad chunk", OK "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 0, STALL,
	  -ENETRESET, 200, false, NULL },
	{ "no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n", 0, CLOSE, -EPROTO, 0,
	  false, NULL },
	{ "HTTP/0.9", "<html>hello</html>", 0, CLOSE, -EPROTO, 0, false, NULL },
	{ "negative length", OK "Content-Length: -5\r\n\r\n", 0, STALL, -EPROTO,
	  200, false, NULL },
	{ "NUL in a header", OK "X: a\0b\r\nContent-Length: 0\r\n\r\n", 47,
	  STALL, -EPROTO, 200, false, NULL },
	{ "too long by length", OK "Content-Length: 5000\r\n\r\nabc", 0, STALL,
	  -EFBIG, 200, false, NULL },
	{ "too long in chunks", OK "Transfer-Encoding: chunked\r\n\r\n", 0,
	  FLOOD, -EFBIG, 200, false, "9\r\nabcdefghi\r\n" },
	{ "too long, no length", OK "\r\n", 0, FLOOD, -EFBIG, 200, false,
	  "abcdefghi" },
	{ "header without end", OK, 0, FLOOD, -EFBIG, 200, false,
	  "X-Header: abcdefgh\r\n" },
	{ "trailer without end", OK "Transfer-Encoding: chunked\r\n\r\n0\r\n",
	  0, FLOOD, -EFBIG, 200, false, "X-Trailer: abcdefgh\r\n" },
	{ "1xx without end", "", 0, FLOOD, -EFBIG, 103, false,
	  "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" },
	{ "stalls before the header", "", 0, STALL, -ETIMEDOUT, 0, false,
	  NULL },
	{ "stalls in the header", OK "Content-Le", 0, STALL, -ETIMEDOUT, 200,
	  false, NULL },
	{ "stalls in the body", OK "Content-Length: 9\r\n\r\nabc", 0, STALL,
	  -ETIMEDOUT, 200, false, NULL },
};

static void test_scripts(void)
{
	for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
		struct raw_server *s = raw_start(play, &scripts[i]);
		struct http *h = new_http(NULL);
		struct call c;

		check_row("%s", scripts[i].name);
		call_init(&c, raw_url(s, "/"));
		c.spec.stall_ms = scripts[i].rc == -ETIMEDOUT ? 300 : 60000;
		c.spec.max_body = 4096;
		CHECK_EQ(call_run(&c, h), scripts[i].rc);
		CHECK_EQ(c.status, scripts[i].status);
		CHECK(c.was_sent || scripts[i].before_request);
		CHECK_EQ(c.dones, 1);
		CHECK(c.body.len <= 4096);
		CHECK(strstr(c.detail, "host=127.0.0.1:"));
		/* Tried once: the connection was new. */
		CHECK_EQ(raw_connections(s), 1);
		call_free(&c);
		http_free(h);
		raw_stop(s);
	}
}

/* A header line without end: libcurl's own bound. */
static void test_endless_line(void)
{
	static struct script s = {
		"line", OK "X: ", 0, FLOOD, 0, 0, false, "aaaaaaaaaaaaaaaa"
	};
	struct raw_server *server = raw_start(play, &s);
	struct http *h = new_http(NULL);
	struct call c;

	call_init(&c, raw_url(server, "/"));
	CHECK(call_run(&c, h) < 0);
	call_free(&c);
	http_free(h);
	raw_stop(server);
}

static int closed_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_EQ(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	CHECK_EQ(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static void test_refused(void)
{
	struct http *h = new_http(NULL);
	struct call c;
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", closed_port());
	call_init(&c, url);
	CHECK_EQ(call_run(&c, h), -ENETUNREACH);
	CHECK(!c.was_sent);
	CHECK_EQ(c.status, 0);
	call_free(&c);
	http_free(h);
}

static void serve_mute(void *arg, int fd, unsigned nth)
{
	(void)arg;
	(void)nth;
	raw_wait_close(fd);
}

static void test_connect_deadline(void)
{
	struct raw_server *s = raw_start(serve_mute, NULL);
	struct http *h = new_http(NULL);
	struct call c;
	char url[64];

	/* TCP connects, TLS gets no answer. */
	snprintf(url, sizeof(url), "https://127.0.0.1:%d/", raw_port(s));
	call_init(&c, url);
	c.spec.connect_ms = 200;
	CHECK_EQ(call_run(&c, h), -ETIMEDOUT);
	CHECK(!c.was_sent);
	call_free(&c);
	http_free(h);
	raw_stop(s);
}

/* Also while it waits for a connection. */
static void test_total_deadline(void)
{
	struct http_options opt = { .max_connections = 1 };
	struct raw_server *s = raw_start(serve_mute, NULL);
	struct http *h = new_http(&opt);
	struct call running, queued;

	call_init(&running, raw_url(s, "/"));
	call_init(&queued, raw_url(s, "/"));
	running.spec.total_ms = 600;
	queued.spec.total_ms = 200;
	CHECK_EQ(call_start(&running, h), 0);
	CHECK_EQ(call_run(&queued, h), -ETIMEDOUT);
	CHECK(!queued.was_sent);
	call_wait(&running);
	CHECK_EQ(running.rc, -ETIMEDOUT);
	CHECK(running.was_sent);
	call_free(&running);
	call_free(&queued);
	http_free(h);
	raw_stop(s);
}

/* ---- slow is not stalled ----------------------------------------------- */

static void wait_ms(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

#define DRIPS    8
#define DRIP_LEN 24

struct drip {
	size_t len, pieces;
	int ms;
};

static void serve_drip(void *arg, int fd, unsigned nth)
{
	const struct drip *d = arg;
	struct buf head = BUF_INIT, body = BUF_INIT;
	char piece[DRIP_LEN + 1] = "";

	(void)nth;
	memset(piece, 'x', d->len);
	if (raw_read_request(fd, &head, &body)) {
		raw_write(fd, OK "Content-Length: 192\r\n\r\n");
		for (size_t i = 0; i < d->pieces; i++) {
			wait_ms(d->ms);
			raw_write(fd, piece);
		}
	}
	buf_done(&head);
	buf_done(&body);
}

/* Slow is fine; what would take for ever is not, though a byte comes now and
 * then: elsewhere it may be quick. */
static void test_slow_answer(void)
{
	static const struct {
		struct drip drip;
		int stall_ms, rc;
	} rows[] = {
		{ { DRIP_LEN, DRIPS, 150 }, 600, 0 },
		{ { 1, 25, 100 }, 800, -ETIMEDOUT },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct drip drip = rows[i].drip;
		struct raw_server *s = raw_start(serve_drip, &drip);
		struct http *h = new_http(NULL);
		struct call c;

		check_row("%zu bytes in %d ms", drip.len, drip.ms);
		call_init(&c, raw_url(s, "/"));
		c.spec.stall_ms = rows[i].stall_ms;
		CHECK_EQ(call_run(&c, h), rows[i].rc);
		if (!rows[i].rc)
			CHECK_EQ(c.body.len, DRIPS * DRIP_LEN);
		call_free(&c);
		http_free(h);
		raw_stop(s);
	}
}

static void serve_late(void *arg, int fd, unsigned nth)
{
	struct buf head = BUF_INIT, body = BUF_INIT;

	(void)arg;
	(void)nth;
	while (raw_read_request(fd, &head, &body)) {
		wait_ms(700);
		raw_write(fd, OK "Content-Length: 0\r\n\r\n");
	}
	buf_done(&head);
	buf_done(&body);
}

/* The last fragment of an upload may take its time. */
static void test_answer_deadline(void)
{
	struct raw_server *s = raw_start(serve_late, NULL);
	struct http *h = new_http(NULL);
	struct call c;

	for (int patient = 0; patient < 2; patient++) {
		check_row("patient=%d", patient);
		call_init(&c, raw_url(s, "/"));
		c.spec.method = "PUT";
		c.spec.body = "x";
		c.spec.body_len = 1;
		c.spec.stall_ms = 200;
		c.spec.answer_ms = patient ? 30000 : 0;
		CHECK_EQ(call_run(&c, h), patient ? 0 : -ETIMEDOUT);
		call_free(&c);
	}
	http_free(h);
	raw_stop(s);
}

/* Takes 8 KiB every 50 ms: what libcurl wrote sits in the kernel's buffers for
 * longer than the stall time, yet TCP sees it move. */
static void serve_thin_pipe(void *arg, int fd, unsigned nth)
{
	struct buf head = BUF_INIT;
	size_t left = *(size_t *)arg;
	char piece[8192];

	(void)nth;
	if (raw_read_head(fd, &head)) {
		while (left) {
			ssize_t n = recv(fd, piece, sizeof(piece), 0);

			if (n <= 0)
				break;
			left -= (size_t)n;
			wait_ms(20);
		}
		if (!left)
			raw_write(fd, OK "Content-Length: 0\r\n\r\n");
	}
	buf_done(&head);
}

static void test_thin_pipe(void)
{
	size_t len = 256 * 1024;
	char *body = calloc(1, len);
	struct raw_server *s;
	struct http *h = new_http(NULL);
	struct call c;

	s = raw_start_rcvbuf(serve_thin_pipe, &len, 4096);
	call_init(&c, raw_url(s, "/"));
	c.spec.method = "PUT";
	c.spec.body = body;
	c.spec.body_len = len;
	c.spec.stall_ms = 400;
	CHECK_EQ(call_run(&c, h), 0);
	call_free(&c);
	http_free(h);
	raw_stop(s);
	free(body);
}

int main(void)
{
	RUN(test_scripts);
	RUN(test_endless_line);
	RUN(test_refused);
	RUN(test_connect_deadline);
	RUN(test_total_deadline);
	RUN(test_slow_answer);
	RUN(test_answer_deadline);
	RUN(test_thin_pipe);
	return check_report();
}
