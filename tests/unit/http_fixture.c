#include "tests/unit/http_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 512
#define WAIT_S          20

struct raw_conn {
	struct raw_server *s;
	int fd;
	unsigned nth;
	pthread_t thread;
};

struct raw_server {
	raw_serve_fn *serve;
	void *arg;
	int fd, port;
	pthread_t thread;
	char url[8][512];
	unsigned urls;

	pthread_mutex_t lock;
	struct raw_conn conns[MAX_CONNECTIONS];
	unsigned nconns;
};

static void die(const char *what)
{
	fflush(stdout);
	fprintf(stderr, "fixture: %s: %s\n", what, strerror(errno));
	abort();
}

static void *serve_thread(void *arg)
{
	struct raw_conn *c = arg;

	c->s->serve(c->s->arg, c->fd, c->nth);
	pthread_mutex_lock(&c->s->lock);
	close(c->fd);
	c->fd = -1;
	pthread_mutex_unlock(&c->s->lock);
	return NULL;
}

static void *accept_thread(void *arg)
{
	struct raw_server *s = arg;
	int fd;

	while ((fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		struct raw_conn *c;

		pthread_mutex_lock(&s->lock);
		if (s->nconns == MAX_CONNECTIONS)
			die("too many connections");
		c = &s->conns[s->nconns];
		*c = (struct raw_conn){ .s = s, .fd = fd, .nth = s->nconns };
		s->nconns++;
		if (pthread_create(&c->thread, NULL, serve_thread, c))
			die("pthread_create");
		pthread_mutex_unlock(&s->lock);
	}
	return NULL;
}

struct raw_server *raw_start(raw_serve_fn *serve, void *arg)
{
	return raw_start_rcvbuf(serve, arg, 0);
}

struct raw_server *raw_start_rcvbuf(raw_serve_fn *serve, void *arg, int bytes)
{
	struct raw_server *s = calloc(1, sizeof(*s));
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);

	if (!s)
		die("calloc");
	s->serve = serve;
	s->arg = arg;
	pthread_mutex_init(&s->lock, NULL);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bytes)
		setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(s->fd, 128) < 0 ||
	    getsockname(s->fd, (struct sockaddr *)&a, &len) < 0)
		die("listen");
	s->port = ntohs(a.sin_port);
	if (pthread_create(&s->thread, NULL, accept_thread, s))
		die("pthread_create");
	return s;
}

void raw_stop(struct raw_server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->nconns; i++) {
		if (s->conns[i].fd >= 0)
			shutdown(s->conns[i].fd, SHUT_RDWR);
	}
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < s->nconns; i++)
		pthread_join(s->conns[i].thread, NULL);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

unsigned raw_connections(struct raw_server *s)
{
	unsigned n;

	pthread_mutex_lock(&s->lock);
	n = s->nconns;
	pthread_mutex_unlock(&s->lock);
	return n;
}

int raw_port(const struct raw_server *s)
{
	return s->port;
}

const char *raw_url(struct raw_server *s, const char *path)
{
	char *url = s->url[s->urls++ % 8];

	snprintf(url, sizeof(s->url[0]), "http://127.0.0.1:%d%s", s->port,
	         path);
	return url;
}

bool raw_read_head(int fd, struct buf *head)
{
	char c;

	buf_clear(head);
	while (recv(fd, &c, 1, 0) == 1) {
		buf_add_char(head, c);
		if (head->len >= 4 &&
		    !memcmp(head->data + head->len - 4, "\r\n\r\n", 4))
			return true;
	}
	return false;
}

bool raw_read_request(int fd, struct buf *head, struct buf *body)
{
	const char *p;
	size_t left = 0;
	char piece[65536];

	if (!raw_read_head(fd, head))
		return false;
	buf_clear(body);
	p = strcasestr(head->data, "\r\nContent-Length:");
	if (p)
		left = strtoul(p + 17, NULL, 10);
	while (left) {
		ssize_t n =
			recv(fd, piece,
		             left < sizeof(piece) ? left : sizeof(piece), 0);

		if (n <= 0)
			return false;
		buf_add(body, piece, (size_t)n);
		left -= (size_t)n;
	}
	return true;
}

bool raw_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

bool raw_write(int fd, const char *text)
{
	return raw_write_all(fd, text, strlen(text));
}

void raw_reset(int fd)
{
	struct linger l = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

void raw_wait_close(int fd)
{
	char piece[4096];

	while (recv(fd, piece, sizeof(piece), 0) > 0)
		;
}

void raw_serve_echo(void *arg, int fd, unsigned nth)
{
	struct buf head = BUF_INIT, body = BUF_INIT, out = BUF_INIT;

	(void)arg;
	(void)nth;
	while (raw_read_request(fd, &head, &body)) {
		buf_clear(&out);
		buf_addf(&out, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
		         head.len + body.len);
		buf_add(&out, head.data, head.len);
		buf_add(&out, body.data, body.len);
		if (!raw_write_all(fd, out.data, out.len))
			break;
	}
	buf_done(&head);
	buf_done(&body);
	buf_done(&out);
}

/* ---- calls ------------------------------------------------------------- */

static void on_done(void *arg, const struct http_answer *a)
{
	struct call *c = arg;
	const char *location = http_answer_header(a, "location");

	pthread_mutex_lock(&c->lock);
	c->rc = a->rc;
	c->status = a->status;
	c->was_sent = a->was_sent;
	if (a->body)
		buf_add(&c->body, a->body, a->body_len);
	snprintf(c->detail, sizeof(c->detail), "%s", a->detail);
	snprintf(c->location, sizeof(c->location), "%s",
	         location ? location : "");
	c->dones++;
	c->done = true;
	c->req = NULL;
	pthread_cond_broadcast(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

void call_init(struct call *c, const char *url)
{
	*c = (struct call){
		.spec = {
			.method = "GET",
			.url = url,
			.prio = HTTP_PRIO_META,
			.done = on_done,
			.arg = c,
		},
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER,
	};
}

int call_start(struct call *c, struct http *h)
{
	int rc;

	/* The lock keeps `done` from coming before req is set here. */
	pthread_mutex_lock(&c->lock);
	rc = http_start(h, &c->spec, &c->req);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static void wait_locked(struct call *c)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_S;
	if (pthread_cond_timedwait(&c->cond, &c->lock, &until))
		die("a request never ended");
}

void call_wait(struct call *c)
{
	pthread_mutex_lock(&c->lock);
	while (!c->done)
		wait_locked(c);
	pthread_mutex_unlock(&c->lock);
}

int call_run(struct call *c, struct http *h)
{
	int rc = call_start(c, h);

	if (rc < 0)
		return rc;
	call_wait(c);
	return c->rc;
}

void call_cancel(struct call *c)
{
	pthread_mutex_lock(&c->lock);
	if (c->req)
		http_cancel(c->req);
	pthread_mutex_unlock(&c->lock);
}

void call_event(struct call *c)
{
	pthread_mutex_lock(&c->lock);
	c->events++;
	pthread_cond_broadcast(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

void call_wait_events(struct call *c, unsigned n)
{
	pthread_mutex_lock(&c->lock);
	while (c->events < n)
		wait_locked(c);
	pthread_mutex_unlock(&c->lock);
}

void call_free(struct call *c)
{
	buf_done(&c->body);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->cond);
}

struct http *new_http(const struct http_options *opt)
{
	static const struct http_options none;
	struct http *h;

	errno = -http_new(opt ? opt : &none, &h);
	if (errno)
		die("http_new");
	return h;
}
