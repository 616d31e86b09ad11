/* Cancelling, pausing, callbacks that give up, kept connections that died. */
#include "net/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/unit/check.h"
#include "tests/unit/http_fixture.h"

#define OK "HTTP/1.1 200 OK\r\n"

/* ---- cancelling -------------------------------------------------------- */

/* Says it has the request, sends `arg`, then nothing more. */
struct stage {
	const char *text;
	struct call *call;
};

static void serve_stage(void *arg, int fd, unsigned nth)
{
	struct stage *s = arg;
	struct buf head = BUF_INIT, body = BUF_INIT;

	(void)nth;
	if (raw_read_request(fd, &head, &body)) {
		raw_write(fd, s->text);
		call_event(s->call);
		raw_wait_close(fd);
	}
	buf_done(&head);
	buf_done(&body);
}

static void serve_mute(void *arg, int fd, unsigned nth)
{
	(void)nth;
	call_event(arg);
	raw_wait_close(fd);
}

static void test_cancel_at_once(void)
{
	struct http *h = new_http(NULL);
	struct raw_server *s = raw_start(raw_serve_echo, NULL);
	struct call c;

	call_init(&c, raw_url(s, "/"));
	CHECK_EQ(call_start(&c, h), 0);
	call_cancel(&c);
	call_wait(&c);
	CHECK(c.rc == -ECANCELED || c.rc == 0);
	CHECK_EQ(c.dones, 1);
	call_free(&c);
	http_free(h);
	raw_stop(s);
}

static void test_cancel_while_connecting(void)
{
	struct http *h = new_http(NULL);
	struct call c;
	struct raw_server *s = raw_start(serve_mute, &c);
	char url[64];

	snprintf(url, sizeof(url), "https://127.0.0.1:%d/", raw_port(s));
	call_init(&c, url);
	CHECK_EQ(call_start(&c, h), 0);
	call_wait_events(&c, 1);
	call_cancel(&c);
	call_wait(&c);
	CHECK_EQ(c.rc, -ECANCELED);
	CHECK(!c.was_sent);
	http_free(h);
	raw_stop(s);
	call_free(&c);
}

static void test_cancel_stages(void)
{
	static const char *const texts[] = { "", "HTTP/1.1 2", OK "X: y\r\n",
		                             OK "Content-Length: 9\r\n\r\n",
		                             OK
		                             "Content-Length: 9\r\n\r\nabc" };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct call c;
		struct stage stage = { texts[i], &c };
		struct raw_server *s = raw_start(serve_stage, &stage);
		struct http *h = new_http(NULL);

		check_row("stage %zu", i);
		call_init(&c, raw_url(s, "/"));
		CHECK_EQ(call_start(&c, h), 0);
		call_wait_events(&c, 1);
		call_cancel(&c);
		call_cancel(&c);
		call_wait(&c);
		CHECK_EQ(c.rc, -ECANCELED);
		CHECK(c.was_sent);
		CHECK_EQ(c.dones, 1);
		http_free(h);
		raw_stop(s);
		call_free(&c);
	}
}

static void test_cancel_queued(void)
{
	struct http_options opt = { .max_connections = 1 };
	struct http *h = new_http(&opt);
	struct call first, second;
	struct stage stage = { "", &first };
	struct raw_server *s = raw_start(serve_stage, &stage);

	call_init(&first, raw_url(s, "/"));
	call_init(&second, raw_url(s, "/"));
	CHECK_EQ(call_start(&first, h), 0);
	call_wait_events(&first, 1);
	CHECK_EQ(call_start(&second, h), 0);
	call_cancel(&second);
	call_wait(&second);
	CHECK_EQ(second.rc, -ECANCELED);
	CHECK(!second.was_sent);
	CHECK(!first.done);
	call_cancel(&first);
	call_wait(&first);
	http_free(h);
	raw_stop(s);
	call_free(&first);
	call_free(&second);
}

static int cancel_in_head(void *arg, const struct http_answer *a)
{
	struct call *c = arg;

	CHECK_EQ(a->status, 200);
	call_cancel(c);
	return 0;
}

static void test_cancel_in_callback(void)
{
	struct http *h = new_http(NULL);
	struct raw_server *s = raw_start(raw_serve_echo, NULL);
	struct call c;

	call_init(&c, raw_url(s, "/"));
	c.spec.head = cancel_in_head;
	CHECK_EQ(call_start(&c, h), 0);
	call_wait(&c);
	/* The small answer may be complete before anybody looks. */
	CHECK(c.rc == -ECANCELED || c.rc == 0);
	CHECK_EQ(c.dones, 1);
	http_free(h);
	raw_stop(s);
	call_free(&c);
}

static void test_free_cancels(void)
{
	struct http_options opt = { .max_connections = 2 };
	struct http *h = new_http(&opt);
	struct call calls[5];
	struct raw_server *s = raw_start(serve_mute, &calls[0]);

	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		call_init(&calls[i], raw_url(s, "/"));
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		CHECK_EQ(call_start(&calls[i], h), 0);
	call_wait_events(&calls[0], 2);
	http_free(h);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		CHECK(calls[i].done);
		CHECK_EQ(calls[i].rc, -ECANCELED);
		CHECK_EQ(calls[i].dones, 1);
	}
	raw_stop(s);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		call_free(&calls[i]);
}

/* ---- callbacks that give up -------------------------------------------- */

static int head_fails(void *arg, const struct http_answer *a)
{
	(void)arg;
	(void)a;
	return -EBADMSG;
}

static int data_fails(void *arg, const void *data, size_t len)
{
	(void)arg;
	(void)data;
	(void)len;
	return -ENOSPC;
}

static ssize_t read_fails(void *arg, void *buf, size_t len)
{
	(void)arg;
	(void)buf;
	(void)len;
	return -EIO;
}

static void test_callback_errors(void)
{
	struct http *h = new_http(NULL);
	struct raw_server *s = raw_start(raw_serve_echo, NULL);
	static const int want[] = { -EBADMSG, -ENOSPC, -EIO };

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct call c;

		check_row("%zu", i);
		call_init(&c, raw_url(s, "/"));
		if (i == 0)
			c.spec.head = head_fails;
		if (i == 1)
			c.spec.data = data_fails;
		if (i == 2) {
			c.spec.method = "PUT";
			c.spec.read = read_fails;
			c.spec.body_len = 5;
		}
		CHECK_EQ(call_run(&c, h), want[i]);
		CHECK_EQ(c.dones, 1);
		call_free(&c);
	}
	http_free(h);
	raw_stop(s);
}

/* ---- pausing ----------------------------------------------------------- */

struct pausing {
	struct call call; /* first: the callbacks get its address */
	size_t total, taken;
	unsigned pauses; /* how often it still pauses */
};

static int take_or_pause(void *arg, const void *data, size_t len)
{
	struct pausing *p = arg;
	const char *bytes = data;

	if (p->pauses) {
		p->pauses--;
		call_event(&p->call);
		return 1;
	}
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != (char)((p->taken + i) % 251))
			return -EBADMSG;
	}
	p->taken += len;
	p->pauses = p->taken < p->total && p->taken % 3 == 0;
	return 0;
}

static void serve_pattern(void *arg, int fd, unsigned nth)
{
	struct buf head = BUF_INIT, body = BUF_INIT, out = BUF_INIT;
	size_t len = *(size_t *)arg;

	(void)nth;
	while (raw_read_request(fd, &head, &body)) {
		buf_clear(&out);
		buf_addf(&out, OK "Content-Length: %zu\r\n\r\n", len);
		for (size_t i = 0; i < len; i++)
			buf_add_char(&out, (char)(i % 251));
		raw_write_all(fd, out.data, out.len);
	}
	buf_done(&head);
	buf_done(&body);
	buf_done(&out);
}

static void resume(struct pausing *p)
{
	pthread_mutex_lock(&p->call.lock);
	if (p->call.req)
		http_resume(p->call.req);
	pthread_mutex_unlock(&p->call.lock);
}

static bool is_done(struct call *c)
{
	bool done;

	pthread_mutex_lock(&c->lock);
	done = c->done;
	pthread_mutex_unlock(&c->lock);
	return done;
}

static void test_pause_download(void)
{
	struct pausing p = { .total = 3 * 1024 * 1024, .pauses = 3 };
	struct raw_server *s = raw_start(serve_pattern, &p.total);
	struct http *h = new_http(NULL);

	call_init(&p.call, raw_url(s, "/"));
	p.call.spec.data = take_or_pause;
	p.call.spec.stall_ms = 300;
	CHECK_EQ(call_start(&p.call, h), 0);
	call_wait_events(&p.call, 1);
	/* A paused transfer does not stall. */
	for (int i = 0; i < 5; i++)
		nanosleep(&(struct timespec){ 0, 100000000 }, NULL);
	CHECK(!is_done(&p.call));
	while (!is_done(&p.call)) {
		resume(&p);
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	}
	CHECK_EQ(p.call.rc, 0);
	CHECK_EQ(p.taken, p.total);
	call_free(&p.call);
	http_free(h);
	raw_stop(s);
}

static void test_cancel_paused(void)
{
	struct pausing p = { .total = 1024 * 1024, .pauses = 1000 };
	struct raw_server *s = raw_start(serve_pattern, &p.total);
	struct http *h = new_http(NULL);

	call_init(&p.call, raw_url(s, "/"));
	p.call.spec.data = take_or_pause;
	CHECK_EQ(call_start(&p.call, h), 0);
	call_wait_events(&p.call, 1);
	call_cancel(&p.call);
	call_wait(&p.call);
	CHECK_EQ(p.call.rc, -ECANCELED);
	CHECK_EQ(p.taken, 0);
	call_free(&p.call);
	http_free(h);
	raw_stop(s);
}

struct source {
	struct call call;
	uint64_t given, total;
	unsigned rewinds;
	bool dry; /* nothing to give right now */
};

static ssize_t give(void *arg, void *buf, size_t len)
{
	struct source *src = arg;
	char *out = buf;

	if (src->dry) {
		src->dry = false;
		call_event(&src->call);
		return 0;
	}
	for (size_t i = 0; i < len; i++)
		out[i] = (char)((src->given + i) % 251);
	src->given += len;
	src->dry = src->given < src->total && src->given % 2;
	return (ssize_t)len;
}

static int rewind_source(void *arg)
{
	struct source *src = arg;

	src->given = 0;
	src->rewinds++;
	return 0;
}

static void source_init(struct source *src, const char *url, uint64_t total)
{
	*src = (struct source){ .total = total };
	call_init(&src->call, url);
	src->call.spec.method = "PUT";
	src->call.spec.read = give;
	src->call.spec.rewind = rewind_source;
	src->call.spec.body_len = total;
}

static bool has_pattern(const struct buf *b, size_t len)
{
	const char *body = b->data + b->len - len;

	if (b->len < len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (body[i] != (char)(i % 251))
			return false;
	}
	return true;
}

static void test_pause_upload(void)
{
	struct raw_server *s = raw_start(raw_serve_echo, NULL);
	struct http *h = new_http(NULL);
	struct source src;

	source_init(&src, raw_url(s, "/"), 777777);
	src.dry = true;
	src.call.spec.stall_ms = 300;
	CHECK_EQ(call_start(&src.call, h), 0);
	call_wait_events(&src.call, 1);
	for (int i = 0; i < 5; i++)
		nanosleep(&(struct timespec){ 0, 100000000 }, NULL);
	CHECK(!is_done(&src.call));
	while (!is_done(&src.call)) {
		pthread_mutex_lock(&src.call.lock);
		if (src.call.req)
			http_resume(src.call.req);
		pthread_mutex_unlock(&src.call.lock);
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	}
	CHECK_EQ(src.call.rc, 0);
	CHECK(has_pattern(&src.call.body, 777777));
	call_free(&src.call);
	http_free(h);
	raw_stop(s);
}

/* ---- kept connections that died ---------------------------------------- */

enum death { AT_HEAD, IN_BODY, AFTER_BODY };

/* Answers one request per connection as if it kept it; the next one on it is
 * read as far as `death` says and gets no answer. Requests are counted. */
struct dying {
	enum death death;
	bool always; /* every connection dies, the new ones too */
	pthread_mutex_t lock;
	unsigned requests;
};

static void count_request(struct dying *d)
{
	pthread_mutex_lock(&d->lock);
	d->requests++;
	pthread_mutex_unlock(&d->lock);
}

static bool read_until(enum death death, int fd, struct buf *head,
                       struct buf *body)
{
	char byte;

	switch (death) {
	case AT_HEAD:
		return raw_read_head(fd, head);
	case IN_BODY:
		return raw_read_head(fd, head) && recv(fd, &byte, 1, 0) == 1;
	case AFTER_BODY:
		return raw_read_request(fd, head, body);
	}
	return false;
}

static void serve_dying(void *arg, int fd, unsigned nth)
{
	struct dying *d = arg;
	struct buf head = BUF_INIT, body = BUF_INIT, out = BUF_INIT;

	if ((!d->always || nth == 0) && raw_read_request(fd, &head, &body)) {
		count_request(d);
		buf_addf(&out, OK "Content-Length: %zu\r\n\r\n",
		         head.len + body.len);
		buf_add(&out, head.data, head.len);
		buf_add(&out, body.data, body.len);
		raw_write_all(fd, out.data, out.len);
	}
	if (read_until(d->death, fd, &head, &body))
		count_request(d);
	raw_reset(fd);
	buf_done(&head);
	buf_done(&body);
	buf_done(&out);
}

static void prime(struct raw_server *s, struct http *h)
{
	struct call c;

	call_init(&c, raw_url(s, "/prime"));
	CHECK_EQ(call_run(&c, h), 0);
	call_free(&c);
}

static void test_dead_connection(void)
{
	static const struct {
		const char *name, *method;
		uint64_t body_len;
		enum death death;
		bool rewind, always;
		int rc;
		unsigned requests; /* that reached the server */
		unsigned rewinds;
	} rows[] = {
		{ "GET", "GET", 0, AT_HEAD, true, false, 0, 3, 0 },
		{ "DELETE", "DELETE", 0, AT_HEAD, true, false, 0, 3, 0 },
		{ "POST", "POST", 0, AT_HEAD, true, false, -ENETRESET, 2, 0 },
		{ "PATCH", "PATCH", 5, AFTER_BODY, true, false, -ENETRESET, 2,
		  0 },
		{ "whole PUT", "PUT", 5, AFTER_BODY, true, false, -ENETRESET, 2,
		  0 },
		{ "half PUT", "PUT", 40000000, IN_BODY, true, false, 0, 3, 1 },
		{ "half PUT, no rewind", "PUT", 40000000, IN_BODY, false, false,
		  -ENETRESET, 2, 0 },
		{ "GET, again dead", "GET", 0, AT_HEAD, true, true, -ENETRESET,
		  3, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dying d = { .death = rows[i].death,
			           .always = rows[i].always,
			           .lock = PTHREAD_MUTEX_INITIALIZER };
		struct raw_server *s = raw_start(serve_dying, &d);
		struct http *h = new_http(NULL);
		struct source src;

		check_row("%s", rows[i].name);
		prime(s, h);
		source_init(&src, raw_url(s, "/x"), rows[i].body_len);
		src.call.spec.method = rows[i].method;
		src.call.spec.max_body = 64 * 1024 * 1024;
		if (!rows[i].body_len)
			src.call.spec.read = NULL;
		if (!rows[i].rewind)
			src.call.spec.rewind = NULL;
		CHECK_EQ(call_run(&src.call, h), rows[i].rc);
		CHECK(src.call.was_sent);
		CHECK_EQ(src.rewinds, rows[i].rewinds);
		if (rows[i].rc == 0)
			CHECK(has_pattern(&src.call.body, rows[i].body_len));
		http_free(h);
		raw_stop(s);
		CHECK_EQ(d.requests, rows[i].requests);
		call_free(&src.call);
	}
}

int main(void)
{
	RUN(test_cancel_at_once);
	RUN(test_cancel_while_connecting);
	RUN(test_cancel_stages);
	RUN(test_cancel_queued);
	RUN(test_cancel_in_callback);
	RUN(test_free_cancels);
	RUN(test_callback_errors);
	RUN(test_pause_download);
	RUN(test_cancel_paused);
	RUN(test_pause_upload);
	RUN(test_dead_connection);
	return check_report();
}
