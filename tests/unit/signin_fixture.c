#include "tests/unit/signin_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/buf.h"
#include "tests/unit/check.h"
#include "tests/unit/http_fixture.h"

#define MAX 64

struct say {
	int status;
	char headers[128];
	char body[2048];
};

struct asked {
	char path[256];
	char form[4096];
};

struct signin {
	struct raw_server *raw;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	struct say says[MAX]; /* lock */
	unsigned nsays, next;
	struct say last; /* repeated when no new one is there */
	struct asked asked[MAX];
	unsigned nasked;
	struct say drive;
	unsigned gets;
	bool held, stopped;
};

static void note_request(struct signin *s, const struct buf *head,
                         const struct buf *body)
{
	struct asked *a = &s->asked[s->nasked % MAX];

	a->path[0] = '\0';
	sscanf(head->data, "POST %255s", a->path);
	snprintf(a->form, sizeof(a->form), "%s", body->data ? body->data : "");
	s->nasked++;
	pthread_cond_broadcast(&s->moved);
}

static struct say next_say(struct signin *s)
{
	while (s->held && !s->stopped)
		pthread_cond_wait(&s->moved, &s->lock);
	if (s->next < s->nsays)
		s->last = s->says[s->next++];
	return s->last;
}

static bool serve_one(struct signin *s, int fd, struct buf *head,
                      struct buf *body)
{
	struct say say;
	char out[4096];

	if (!raw_read_request(fd, head, body))
		return false;
	pthread_mutex_lock(&s->lock);
	if (!strncmp(head->data, "GET ", 4)) {
		s->gets++;
		say = s->drive;
	} else {
		note_request(s, head, body);
		say = next_say(s);
	}
	pthread_mutex_unlock(&s->lock);
	if (!say.status)
		return false;
	snprintf(out, sizeof(out),
	         "HTTP/1.1 %d X\r\n%sContent-Length: %zu\r\n\r\n%s", say.status,
	         say.headers, strlen(say.body), say.body);
	return raw_write(fd, out);
}

static void serve(void *arg, int fd, unsigned nth)
{
	struct buf head = BUF_INIT, body = BUF_INIT;

	(void)nth;
	while (serve_one(arg, fd, &head, &body)) {
		buf_clear(&head);
		buf_clear(&body);
	}
	buf_done(&head);
	buf_done(&body);
}

struct signin *signin_start(void)
{
	struct signin *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->moved, NULL);
	s->last.status = 503;
	s->drive.status = 404;
	s->raw = raw_start(serve, s);
	return s;
}

void signin_stop(struct signin *s)
{
	pthread_mutex_lock(&s->lock);
	s->stopped = true;
	pthread_cond_broadcast(&s->moved);
	pthread_mutex_unlock(&s->lock);
	raw_stop(s->raw);
	pthread_cond_destroy(&s->moved);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void signin_cloud(struct signin *s, const char *account, struct cloud *out)
{
	char why[200];

	CHECK_EQ(cloud_resolve(account, raw_url(s->raw, ""),
	                       raw_url(s->raw, "/v1.0"), out, why, sizeof(why)),
	         0);
}

void signin_say(struct signin *s, int status, const char *headers,
                const char *body)
{
	struct say *say;

	pthread_mutex_lock(&s->lock);
	if (s->nsays == MAX)
		abort();
	say = &s->says[s->nsays++];
	say->status = status;
	snprintf(say->headers, sizeof(say->headers), "%s",
	         headers ? headers : "");
	snprintf(say->body, sizeof(say->body), "%s", body);
	pthread_mutex_unlock(&s->lock);
}

void signin_say_drive(struct signin *s, int status, const char *body)
{
	pthread_mutex_lock(&s->lock);
	s->drive.status = status;
	snprintf(s->drive.body, sizeof(s->drive.body), "%s", body);
	pthread_mutex_unlock(&s->lock);
}

unsigned signin_gets(struct signin *s)
{
	unsigned n;

	pthread_mutex_lock(&s->lock);
	n = s->gets;
	pthread_mutex_unlock(&s->lock);
	return n;
}

void signin_say_token(struct signin *s, int n, int expires_in)
{
	char body[512];

	if (n < 0)
		snprintf(body, sizeof(body),
		         "{\"token_type\":\"Bearer\",\"expires_in\":%d,"
		         "\"access_token\":\"access-lone\"}",
		         expires_in);
	else
		snprintf(body, sizeof(body),
		         "{\"token_type\":\"Bearer\",\"expires_in\":%d,"
		         "\"access_token\":\"access-%d\","
		         "\"refresh_token\":\"refresh-%d\"}",
		         expires_in, n, n);
	signin_say(s, 200, NULL, body);
}

void signin_hold(struct signin *s, bool hold)
{
	pthread_mutex_lock(&s->lock);
	s->held = hold;
	pthread_cond_broadcast(&s->moved);
	pthread_mutex_unlock(&s->lock);
}

unsigned signin_requests(struct signin *s)
{
	unsigned n;

	pthread_mutex_lock(&s->lock);
	n = s->nasked;
	pthread_mutex_unlock(&s->lock);
	return n;
}

void signin_wait_requests(struct signin *s, unsigned n)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 30;
	pthread_mutex_lock(&s->lock);
	while (s->nasked < n && rc == 0)
		rc = pthread_cond_clockwait(&s->moved, &s->lock,
		                            CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&s->lock);
	CHECK_EQ(rc, 0);
}

const char *signin_path(struct signin *s, unsigned n)
{
	return n < signin_requests(s) ? s->asked[n].path : "";
}

const char *signin_form(struct signin *s, unsigned n)
{
	return n < signin_requests(s) ? s->asked[n].form : "";
}
