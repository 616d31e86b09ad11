#include "tests/unit/fake.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/unit/http_fixture.h"

struct fake {
	struct raw_server *raw;
	char url[64];
	fake_answer_fn *answer;
	fake_head_fn *head;
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t more;
	unsigned requests; /* lock */
};

static bool read_body(int fd, struct buf *body, size_t len)
{
	char piece[65536];

	while (len) {
		ssize_t n = recv(fd, piece,
		                 len < sizeof(piece) ? len : sizeof(piece), 0);

		if (n <= 0)
			return false;
		buf_add(body, piece, (size_t)n);
		len -= (size_t)n;
	}
	return true;
}

/* Cuts the request line in place; `head` stays whole in `text`. */
static void parse_line(char *line, struct fake_request *q)
{
	char *save = NULL;

	q->method = strtok_r(line, " ", &save);
	q->target = strtok_r(NULL, " ", &save);
}

static bool send_reply(int fd, struct fake_reply *r)
{
	struct buf out = BUF_INIT;
	size_t body = r->cut < r->body.len ? r->cut : r->body.len;
	bool ok;

	buf_addf(&out, "HTTP/1.1 %d\r\nContent-Length: %zu\r\n%s\r\n",
	         r->status, r->body.len, r->headers.len ? r->headers.data : "");
	if (r->body.len)
		buf_add(&out, r->body.data, body);
	ok = raw_write_all(fd, out.data, out.len) && body == r->body.len;
	buf_done(&out);
	return ok;
}

static bool serve_request(struct fake *f, int fd, struct buf *head,
                          struct buf *body)
{
	struct fake_request q = { .head = head->data };
	struct fake_reply r = { .cut = SIZE_MAX };
	char *line = strndup(head->data, strcspn(head->data, "\r"));
	const char *p = strcasestr(head->data, "\r\nContent-Length:");
	size_t len = p ? strtoul(p + 17, NULL, 10) : 0;
	size_t want = SIZE_MAX;
	bool ok;

	parse_line(line, &q);
	pthread_mutex_lock(&f->lock);
	if (f->head)
		want = f->head(f->arg, &q);
	pthread_mutex_unlock(&f->lock);
	buf_clear(body);
	ok = read_body(fd, body, want < len ? want : len) && want >= len;
	if (ok) {
		q.body = body->len ? body->data : "";
		q.len = body->len;
		pthread_mutex_lock(&f->lock);
		q.nth = f->requests++;
		f->answer(f->arg, &q, &r);
		pthread_cond_broadcast(&f->more);
		pthread_mutex_unlock(&f->lock);
		if (r.hang)
			raw_wait_close(fd);
		ok = r.status && !r.hang && send_reply(fd, &r) && !r.close;
	}
	buf_done(&r.headers);
	buf_done(&r.body);
	free(line);
	return ok;
}

static void serve(void *arg, int fd, unsigned nth)
{
	struct buf head = BUF_INIT, body = BUF_INIT;

	(void)nth;
	while (raw_read_head(fd, &head) && serve_request(arg, fd, &head, &body))
		;
	buf_done(&head);
	buf_done(&body);
}

struct fake *fake_start(fake_answer_fn *answer, fake_head_fn *head, void *arg)
{
	struct fake *f = calloc(1, sizeof(*f));

	f->answer = answer;
	f->head = head;
	f->arg = arg;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->more, NULL);
	f->raw = raw_start(serve, f);
	snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%d",
	         raw_port(f->raw));
	return f;
}

void fake_stop(struct fake *f)
{
	raw_stop(f->raw);
	pthread_cond_destroy(&f->more);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

const char *fake_url(const struct fake *f)
{
	return f->url;
}

unsigned fake_requests(struct fake *f)
{
	unsigned n;

	pthread_mutex_lock(&f->lock);
	n = f->requests;
	pthread_mutex_unlock(&f->lock);
	return n;
}

void fake_wait_requests(struct fake *f, unsigned n)
{
	pthread_mutex_lock(&f->lock);
	while (f->requests < n)
		pthread_cond_wait(&f->more, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

const char *fake_header(const struct fake_request *q, const char *name)
{
	static __thread char value[4096];
	char line[128];
	const char *p;

	snprintf(line, sizeof(line), "\r\n%s:", name);
	p = strcasestr(q->head, line);
	if (!p)
		return "";
	p += strlen(line);
	p += strspn(p, " ");
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(p, "\r"), p);
	return value;
}

void fake_json(struct fake_reply *r, int status, const char *fmt, ...)
{
	char text[65536];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->status = status;
	buf_add_str(&r->headers, "Content-Type: application/json\r\n");
	buf_clear(&r->body);
	buf_add_str(&r->body, text);
}
