#include "auth/oauth_post.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "net/clock.h"
#include "net/http.h"
#include "net/retry.h"

#define FORM_MAX 65536
#define BODY_MAX 131072
#define SLICE_MS 200 /* how often the caller is asked about going on */
#define TOTAL_MS 60000

/* ---- the form ------------------------------------------------------------ */

void oauth_form_init(struct oauth_form *f)
{
	f->text = sodium_malloc(FORM_MAX);
	f->len = 0;
	f->failed = !f->text;
}

void oauth_form_done(struct oauth_form *f)
{
	sodium_free(f->text);
	f->text = NULL;
}

static void add_byte(struct oauth_form *f, char c)
{
	if (!f->failed && f->len < FORM_MAX)
		f->text[f->len++] = c;
	else
		f->failed = true;
}

/* RFC 3986 unreserved characters stand for themselves. */
static bool is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || (c && strchr("-._~", c));
}

static void add_percent(struct oauth_form *f, const char *s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *s; s++) {
		if (is_unreserved(*s)) {
			add_byte(f, *s);
			continue;
		}
		add_byte(f, '%');
		add_byte(f, hex[(uint8_t)*s >> 4]);
		add_byte(f, hex[(uint8_t)*s & 15]);
	}
}

void oauth_form_add(struct oauth_form *f, const char *name, const char *value)
{
	if (f->len)
		add_byte(f, '&');
	add_percent(f, name);
	add_byte(f, '=');
	add_percent(f, value);
}

/* ---- one request --------------------------------------------------------- */

struct call {
	const struct oauth_form *form;
	size_t sent;
	char *body; /* sodium_malloc(BODY_MAX); network thread, then waiter */
	size_t len;

	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool done; /* lock; what follows is set with it */
	int rc;
	long status;
	int64_t retry_after_ms;
	char *detail; /* of the struct oauth_post */
	size_t detail_size;
};

static ssize_t give_form(void *arg, void *buf, size_t len)
{
	struct call *c = arg;

	if (len > c->form->len - c->sent)
		len = c->form->len - c->sent;
	memcpy(buf, c->form->text + c->sent, len);
	c->sent += len;
	return (ssize_t)len;
}

static int rewind_form(void *arg)
{
	struct call *c = arg;

	c->sent = 0;
	return 0;
}

static int take_body(void *arg, const void *data, size_t len)
{
	struct call *c = arg;

	if (len > BODY_MAX - c->len)
		return -EFBIG;
	memcpy(c->body + c->len, data, len);
	c->len += len;
	return 0;
}

static void on_done(void *arg, const struct http_answer *a)
{
	struct call *c = arg;
	const char *after = http_answer_header(a, "Retry-After");

	pthread_mutex_lock(&c->lock);
	c->rc = a->rc;
	c->status = a->status;
	if (after)
		c->retry_after_ms =
			retry_parse_after(after, clock_real_ns() / NS_PER_SEC);
	if (a->detail)
		snprintf(c->detail, c->detail_size, "%s", a->detail);
	c->done = true;
	pthread_cond_signal(&c->ended);
	pthread_mutex_unlock(&c->lock);
}

static void wait_slice(struct call *c)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until = clock_ns_to_timespec(clock_timespec_to_ns(until) +
	                             SLICE_MS * INT64_C(1000000));
	pthread_cond_clockwait(&c->ended, &c->lock, CLOCK_MONOTONIC, &until);
}

/* The request's handle is valid as long as `done` is false under the lock. */
static void wait_done(struct call *c, struct http_request *req,
                      oauth_cancel_fn *cancel, void *cancel_arg)
{
	bool canceled = false;

	pthread_mutex_lock(&c->lock);
	while (!c->done) {
		wait_slice(c);
		if (c->done || canceled || !cancel)
			continue;
		pthread_mutex_unlock(&c->lock);
		canceled = cancel(cancel_arg);
		pthread_mutex_lock(&c->lock);
		if (canceled && !c->done)
			http_cancel(req);
	}
	pthread_mutex_unlock(&c->lock);
}

static int send_call(struct call *c, struct http *http, const char *url,
                     oauth_cancel_fn *cancel, void *cancel_arg)
{
	static const char *const headers[] = {
		"Content-Type: application/x-www-form-urlencoded",
		"Accept: application/json",
		NULL,
	};
	struct http_spec spec = {
		.method = "POST",
		.url = url,
		.headers = headers,
		.prio = HTTP_PRIO_USER,
		.body_len = c->form->len,
		.read = give_form,
		.rewind = rewind_form,
		.data = take_body,
		.done = on_done,
		.arg = c,
		.total_ms = TOTAL_MS,
	};
	struct http_request *req = NULL;
	int rc;

	rc = http_start(http, &spec, &req);
	if (rc < 0)
		return rc;
	wait_done(c, req, cancel, cancel_arg);
	return c->rc;
}

/* "login.microsoftonline.com:443" and the like, for people. */
static void set_host(const char *url, char *out, size_t size)
{
	const char *p = strstr(url, "://");

	p = p ? p + 3 : url;
	snprintf(out, size, "%.*s", (int)strcspn(p, "/"), p);
}

static int run_call(struct call *c, struct http *http,
                    const struct cloud *cloud, const char *endpoint,
                    oauth_cancel_fn *cancel, void *cancel_arg)
{
	char url[512];
	int rc;

	if (c->form->failed || !c->body)
		return -ENOMEM;
	snprintf(url, sizeof(url), "%s/%s/oauth2/v2.0/%s", cloud->login_url,
	         cloud->tenant, endpoint);
	rc = -pthread_mutex_init(&c->lock, NULL);
	if (rc < 0)
		return rc;
	rc = -pthread_cond_init(&c->ended, NULL);
	if (rc == 0) {
		rc = send_call(c, http, url, cancel, cancel_arg);
		pthread_cond_destroy(&c->ended);
	}
	pthread_mutex_destroy(&c->lock);
	return rc;
}

void oauth_post(struct http *http, const struct cloud *cloud,
                const char *endpoint, const struct oauth_form *form,
                oauth_cancel_fn *cancel, void *cancel_arg,
                struct oauth_post *post, struct oauth_answer *a,
                cJSON **out_json)
{
	struct call c = {
		.form = form,
		.body = sodium_malloc(BODY_MAX),
		.retry_after_ms = -1,
		.detail = post->detail,
		.detail_size = sizeof(post->detail),
	};

	post->detail[0] = '\0';
	set_host(cloud->login_url, post->host, sizeof(post->host));
	*a = (struct oauth_answer){ .host = post->host,
		                    .detail = post->detail };
	a->rc = run_call(&c, http, cloud, endpoint, cancel, cancel_arg);
	a->status = c.status;
	a->retry_after_ms = c.retry_after_ms;
	*out_json = a->rc == 0 ? json_parse(c.body, c.len) : NULL;
	a->json = *out_json;
	sodium_free(c.body);
}
