#include "net/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/check.h"
#include "tests/unit/http_fixture.h"

static bool contains(const struct buf *b, const char *text)
{
	return b->data && strcasestr(b->data, text);
}

static void test_what_goes_out(void)
{
	static const char *const headers[] = { "X-One: 1", "Prefer: a=b",
		                               NULL };
	static const char path[] = "/v1.0/me/a%20b/../%c3%84:/x?$s=a,b&c='d'";
	struct http_options opt = { .user_agent = "test/1" };
	struct raw_server *s = raw_start(raw_serve_echo, NULL);
	struct http *h = new_http(&opt);
	struct call c;

	call_init(&c, raw_url(s, path));
	c.spec.headers = headers;
	c.spec.bearer = "sesame";
	CHECK_EQ(call_run(&c, h), 0);
	CHECK_EQ(c.status, 200);
	CHECK(c.was_sent);
	CHECK(contains(&c.body, "GET /v1.0/me/a%20b/../%c3%84:/x?$s=a,b&c='d' "
	                        "HTTP/1.1\r\n"));
	CHECK(contains(&c.body, "\r\nAuthorization: Bearer sesame\r\n"));
	CHECK(contains(&c.body, "\r\nX-One: 1\r\nPrefer: a=b\r\n"));
	CHECK(contains(&c.body, "\r\nUser-Agent: test/1\r\n"));
	CHECK(!contains(&c.body, "Accept-Encoding"));
	CHECK(!contains(&c.body, "Content-Length"));
	call_free(&c);
	http_free(h);
	raw_stop(s);
}

static void test_methods_and_bodies(void)
{
	static char big[3 * 1024 * 1024];
	static const struct {
		const char *method, *body;
		size_t len;
		const char *length;
	} cases[] = {
		{ "PUT", "hello", 5, "Content-Length: 5\r\n" },
		{ "POST", "{}", 2, "Content-Length: 2\r\n" },
		{ "POST", NULL, 0, "Content-Length: 0\r\n" },
		{ "PUT", "", 0, "Content-Length: 0\r\n" },
		{ "PATCH", "{}", 2, "Content-Length: 2\r\n" },
		{ "PUT", big, sizeof(big), "Content-Length: 3145728\r\n" },
		{ "DELETE", NULL, 0, NULL },
		{ "GET", NULL, 0, NULL },
	};
	struct raw_server *s = raw_start(raw_serve_echo, NULL);
	struct http *h = new_http(NULL);

	memset(big, 'b', sizeof(big));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char line[32];
		struct call c;

		check_row("%s %zu", cases[i].method, cases[i].len);
		call_init(&c, raw_url(s, "/x"));
		c.spec.method = cases[i].method;
		c.spec.body = cases[i].body;
		c.spec.body_len = cases[i].len;
		CHECK_EQ(call_run(&c, h), 0);
		snprintf(line, sizeof(line), "%s /x HTTP/1.1\r\n",
		         cases[i].method);
		CHECK(c.body.len > cases[i].len &&
		      !strncmp(c.body.data, line, strlen(line)));
		CHECK(!contains(&c.body, "Expect:"));
		CHECK(!contains(&c.body, "Transfer-Encoding"));
		CHECK(!contains(&c.body, "Content-Type"));
		CHECK(!contains(&c.body, "User-Agent"));
		if (cases[i].length)
			CHECK(contains(&c.body, cases[i].length));
		else
			CHECK(!contains(&c.body, "Content-Length"));
		CHECK_MEM(c.body.data + c.body.len - cases[i].len,
		          cases[i].len ? cases[i].body : "", cases[i].len);
		call_free(&c);
	}
	/* All of it on one connection. */
	CHECK_EQ(raw_connections(s), 1);
	http_free(h);
	raw_stop(s);
}

static void serve_text(void *arg, int fd, unsigned nth)
{
	struct buf head = BUF_INIT, body = BUF_INIT;

	(void)nth;
	if (raw_read_request(fd, &head, &body))
		raw_write(fd, arg);
	buf_done(&head);
	buf_done(&body);
}

static void test_answers(void)
{
	static char texts[][200] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n"
		"1\r\na\r\n2\r\nbc\r\n0\r\nLocation: trailer\r\n\r\n",
		"HTTP/1.1 100 Continue\r\nLocation: early\r\n\r\n"
		"HTTP/1.1 302 Found\r\nlocation:\t elsewhere \r\n"
		"Content-Length: 0\r\n\r\n",
		"HTTP/1.1 404 No\r\nLocation: one\r\nLOCATION: two\r\n"
		"Content-Length: 3\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
		"Content-Length: 3\r\n\r\nabc",
		"HTTP/1.1 204 None\r\n\r\n",
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc",
	};
	static const struct {
		long status;
		const char *body, *location;
	} want[] = {
		{ 200, "abc", "" },         { 200, "abc", "" },
		{ 302, NULL, "elsewhere" }, { 404, "abc", "two" },
		{ 200, "abc", "" },         { 204, NULL, "" },
		{ 200, "abc", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct raw_server *s = raw_start(serve_text, texts[i]);
		struct http *h = new_http(NULL);
		struct call c;

		check_row("%zu", i);
		call_init(&c, raw_url(s, "/"));
		CHECK_EQ(call_run(&c, h), 0);
		CHECK_EQ(c.status, want[i].status);
		CHECK_STR(c.body.len ? c.body.data : NULL, want[i].body);
		CHECK_STR(c.location, want[i].location);
		CHECK_EQ(c.dones, 1);
		call_free(&c);
		http_free(h);
		raw_stop(s);
	}
}

static void test_redirect_is_an_answer(void)
{
	struct raw_server *other = raw_start(raw_serve_echo, NULL);
	char text[256];
	struct raw_server *s;
	struct http *h = new_http(NULL);
	struct call c;

	snprintf(text, sizeof(text),
	         "HTTP/1.1 307 There\r\nLocation: %s\r\n"
	         "Content-Length: 0\r\n\r\n",
	         raw_url(other, "/"));
	s = raw_start(serve_text, text);
	call_init(&c, raw_url(s, "/"));
	c.spec.bearer = "sesame";
	CHECK_EQ(call_run(&c, h), 0);
	CHECK_EQ(c.status, 307);
	CHECK_STR(c.location, raw_url(other, "/"));
	CHECK_EQ(raw_connections(other), 0);
	call_free(&c);
	http_free(h);
	raw_stop(s);
	raw_stop(other);
}

int main(void)
{
	RUN(test_what_goes_out);
	RUN(test_methods_and_bodies);
	RUN(test_answers);
	RUN(test_redirect_is_an_answer);
	return check_report();
}
