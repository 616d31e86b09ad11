#include "net/http.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/timerfd.h>

#include "net/clock.h"
#include "net/http_internal.h"
#include "net/log.h"

#define MAX_HTTP2_ERRORS 3u
#define MIN_SLEEP_MS     5000

/* ---- mailbox ----------------------------------------------------------- */

void http_wake_locked(struct http *h)
{
	if (h->has_mail)
		return;
	h->has_mail = true;
	if (!pthread_equal(pthread_self(), h->thread))
		curl_multi_wakeup(h->multi);
}

int http_start(struct http *h, const struct http_spec *spec,
               struct http_request **out_r)
{
	struct http_request *r;
	int rc = http_request_new(h, spec, &r);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&h->lock);
	if (h->stopping) {
		rc = -ESHUTDOWN;
	} else {
		if (out_r)
			*out_r = r;
		r->place = HTTP_AT_INCOMING;
		TAILQ_INSERT_TAIL(&h->incoming, r, link);
		http_wake_locked(h);
	}
	pthread_mutex_unlock(&h->lock);
	if (rc < 0)
		http_request_free(r);
	return rc;
}

static void send_signal(struct http_request *r, enum http_signal signal)
{
	struct http *h = r->h;

	pthread_mutex_lock(&h->lock);
	if (!r->signals)
		TAILQ_INSERT_TAIL(&h->signals, r, signal_link);
	r->signals |= signal;
	http_wake_locked(h);
	pthread_mutex_unlock(&h->lock);
}

void http_cancel(struct http_request *r)
{
	send_signal(r, HTTP_SIGNAL_CANCEL);
}

void http_resume(struct http_request *r)
{
	send_signal(r, HTTP_SIGNAL_RESUME);
}

uint64_t http_get_bulk_sent(struct http *h)
{
	return atomic_load(&h->bulk_sent);
}

void http_get_traffic(struct http *h, uint64_t *out_sent,
                      uint64_t *out_received)
{
	*out_sent = atomic_load(&h->sent);
	*out_received = atomic_load(&h->received);
}

void http_set_limits(struct http *h, uint64_t up_bytes_per_s,
                     uint64_t down_bytes_per_s)
{
	pthread_mutex_lock(&h->lock);
	h->want_up = up_bytes_per_s;
	h->want_down = down_bytes_per_s;
	h->new_limits = true;
	http_wake_locked(h);
	pthread_mutex_unlock(&h->lock);
}

void http_set_rest(struct http *h, bool rest)
{
	pthread_mutex_lock(&h->lock);
	h->want_rest = rest;
	http_wake_locked(h);
	pthread_mutex_unlock(&h->lock);
}

void http_hold_uploads(struct http *h, bool hold)
{
	pthread_mutex_lock(&h->lock);
	h->want_hold = hold;
	http_wake_locked(h);
	pthread_mutex_unlock(&h->lock);
}

void http_drop_connections(struct http *h)
{
	pthread_mutex_lock(&h->lock);
	h->drop = true;
	http_wake_locked(h);
	pthread_mutex_unlock(&h->lock);
}

/* ---- requests, network thread ------------------------------------------ */

/* Takes the request from wherever it is, and ends it. */
static void finish(struct http_request *r, int rc)
{
	struct http *h = r->h;

	switch (r->place) {
	case HTTP_AT_QUEUE:
		http_queue_remove(r);
		break;
	case HTTP_AT_RUNNING:
		http_sock_break(r);
		http_request_stop(r);
		http_queue_leave(h, r);
		break;
	case HTTP_AT_INCOMING: /* started and cancelled while we read mail */
		pthread_mutex_lock(&h->lock);
		TAILQ_REMOVE(&h->incoming, r, link);
		pthread_mutex_unlock(&h->lock);
		break;
	case HTTP_AT_NONE:
		break;
	}
	if (r->total_timer)
		http_cancel_timer(r->total_timer);
	http_request_end(r, rc);
}

static void on_total_timeout(void *arg)
{
	struct http_request *r = arg;

	r->total_timer = NULL;
	snprintf(r->curl_error, sizeof(r->curl_error), "no answer within %d ms",
	         r->spec.total_ms);
	finish(r, -ETIMEDOUT);
}

static void accept_request(struct http *h, struct http_request *r)
{
	int64_t left_ms = r->spec.total_ms + r->begun_ms - h->now_ms;
	int rc = 0;

	if (r->spec.total_ms > 0)
		rc = http_call_later(h, left_ms, on_total_timeout, r,
		                     &r->total_timer);
	if (rc == 0)
		rc = http_queue_add(h, r);
	if (rc < 0)
		finish(r, rc);
}

static void begin(struct http_request *r)
{
	int rc = http_request_begin(r);

	if (rc < 0)
		finish(r, rc);
}

static void start_queued(struct http *h)
{
	struct http_request *r;

	while ((r = http_queue_next(h)))
		begin(r);
}

/* Some servers and releases don't get on: then HTTP/1.1 (facts 10.3). */
static void note_http2_error(struct http *h)
{
	if (!h->http2 || ++h->http2_errors < MAX_HTTP2_ERRORS)
		return;
	log_warn("http2=off reason=\"%u broken transfers\"", h->http2_errors);
	h->http2 = false;
}

/* libcurl is through with it. */
static void transfer_done(struct http_request *r, CURLcode code)
{
	int rc;

	if (code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM)
		note_http2_error(r->h);
	http_request_stop(r);
	if (http_request_may_resend(r, code)) {
		rc = http_request_rewind(r);
		if (rc == 0)
			begin(r);
		else
			finish(r, rc);
		return;
	}
	rc = http_request_result(r, code);
	finish(r, rc);
}

static void reap(struct http *h)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(h->multi, &left))) {
		struct http_request *r = NULL;
		CURLcode code = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &r);
		transfer_done(r, code);
	}
}

static void release(struct http_request *r, unsigned holds)
{
	CURLcode code = http_io_release(r, holds);

	if (code)
		finish(r, http_request_result(r, code));
}

static struct http_request *take_incoming(struct http *h)
{
	struct http_request *r;

	pthread_mutex_lock(&h->lock);
	r = TAILQ_FIRST(&h->incoming);
	if (r) {
		TAILQ_REMOVE(&h->incoming, r, link);
		r->place = HTTP_AT_NONE;
	}
	pthread_mutex_unlock(&h->lock);
	return r;
}

static struct http_request *take_signal(struct http *h, unsigned *out_signals)
{
	struct http_request *r;

	pthread_mutex_lock(&h->lock);
	r = TAILQ_FIRST(&h->signals);
	if (r) {
		TAILQ_REMOVE(&h->signals, r, signal_link);
		*out_signals = r->signals;
		r->signals = 0;
	}
	pthread_mutex_unlock(&h->lock);
	return r;
}

static void suspect_all(struct http *h)
{
	struct http_request *r;

	http_sock_drop_idle(h);
	TAILQ_FOREACH (r, &h->running, link) {
		r->suspect = true;
		r->last_ms = h->now_ms;
		r->tcp_bytes = http_sock_progress(r);
	}
	h->check_ms = h->now_ms;
}

/* With the sockets of what ends (finish()). */
static void cut_all(struct http *h)
{
	struct http_request *r;

	while ((r = TAILQ_FIRST(&h->running))) {
		snprintf(r->curl_error, sizeof(r->curl_error),
		         "cut before the machine sleeps");
		finish(r, -ENETRESET);
	}
	http_sock_drop_idle(h);
}

/* Asleep for longer than a few seconds: servers and routers have forgotten us.
 * CLOCK_BOOTTIME goes on meanwhile, CLOCK_MONOTONIC doesn't. */
static bool has_slept(struct http *h)
{
	struct timespec ts = { 0, 0 };
	int64_t before_ms = h->asleep_ms;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	h->asleep_ms = h->now_ms - clock_timespec_to_ns(ts) / 1000000;
	return h->asleep_ms - before_ms > MIN_SLEEP_MS;
}

/* Returns true if the thread is to stop. */
static bool read_mail(struct http *h)
{
	struct http_request *r;
	unsigned signals;
	bool drop, stop, rest;

	pthread_mutex_lock(&h->lock);
	h->has_mail = false;
	rest = h->want_rest;
	h->hold_uploads = h->want_hold;
	stop = h->stopping;
	drop = h->drop;
	h->drop = false;
	if (h->new_limits) {
		http_bucket_set(&h->up, h->want_up, h->now_ms);
		http_bucket_set(&h->down, h->want_down, h->now_ms);
		h->new_limits = false;
	}
	pthread_mutex_unlock(&h->lock);

	while ((r = take_incoming(h)))
		accept_request(h, r);
	while ((r = take_signal(h, &signals))) {
		if (signals & HTTP_SIGNAL_CANCEL)
			finish(r, -ECANCELED);
		else if (r->place == HTTP_AT_RUNNING)
			release(r, HTTP_HOLD_USER);
	}
	if (rest && !h->rest)
		cut_all(h);
	h->rest = rest;
	if (drop || has_slept(h))
		suspect_all(h);
	return stop;
}

/* ---- times ------------------------------------------------------------- */

static void check_deadline(struct http_request *r)
{
	uint64_t tcp_bytes, least = r->head_seen ? http_request_crawl(r) : 0;

	if (http_request_due_ms(r) > r->h->now_ms)
		return;
	tcp_bytes = http_sock_progress(r);
	if (tcp_bytes > r->tcp_bytes + least) {
		r->tcp_bytes = tcp_bytes;
		r->last_ms = r->h->now_ms;
		r->crept = 0;
		r->suspect = false;
		return;
	}
	snprintf(r->curl_error, sizeof(r->curl_error),
	         "no progress for %" PRId64 " ms", r->h->now_ms - r->last_ms);
	finish(r, r->suspect ? -ENETRESET : -ETIMEDOUT);
}

/* Progress only moves deadlines away: nothing to look at before check_ms. */
static void check_deadlines(struct http *h)
{
	struct http_request *r, *next;

	if (h->now_ms < h->check_ms)
		return;
	for (r = TAILQ_FIRST(&h->running); r; r = next) {
		next = TAILQ_NEXT(r, link);
		check_deadline(r);
	}
	h->check_ms = HTTP_NEVER;
	TAILQ_FOREACH (r, &h->running, link) {
		int64_t due_ms = http_request_due_ms(r);

		if (due_ms < h->check_ms)
			h->check_ms = due_ms;
	}
}

/* Those the bandwidth limit holds go on, each one behind the others after
 * its turn. */
static void release_limited(struct http *h)
{
	struct http_request *r, *next;
	struct http_request *last = TAILQ_LAST(&h->running, http_requests);
	bool more = last != NULL;

	for (r = TAILQ_FIRST(&h->running); more; r = next) {
		unsigned holds = 0;

		next = TAILQ_NEXT(r, link);
		more = r != last;
		if ((r->holds & HTTP_HOLD_RECV_LIMIT) &&
		    http_bucket_due_ms(&h->down, h->now_ms) <= h->now_ms)
			holds |= HTTP_HOLD_RECV_LIMIT;
		if ((r->holds & HTTP_HOLD_SEND_LIMIT) &&
		    !http_request_held(r) &&
		    http_bucket_due_ms(&h->up, h->now_ms) <= h->now_ms)
			holds |= HTTP_HOLD_SEND_LIMIT;
		if (!holds)
			continue;
		TAILQ_REMOVE(&h->running, r, link);
		TAILQ_INSERT_TAIL(&h->running, r, link);
		release(r, holds);
	}
}

static int64_t limits_due_ms(struct http *h)
{
	struct http_request *r;
	unsigned holds = 0;
	int64_t due_ms = HTTP_NEVER, up_ms, down_ms;

	TAILQ_FOREACH (r, &h->running, link)
		holds |= http_request_held(r)
		                 ? r->holds & ~(unsigned)HTTP_HOLD_SEND_LIMIT
		                 : r->holds;
	down_ms = http_bucket_due_ms(&h->down, h->now_ms);
	up_ms = http_bucket_due_ms(&h->up, h->now_ms);
	if (holds & HTTP_HOLD_RECV_LIMIT)
		due_ms = down_ms;
	if ((holds & HTTP_HOLD_SEND_LIMIT) && up_ms < due_ms)
		due_ms = up_ms;
	return due_ms;
}

static void arm_timer(struct http *h, int64_t due_ms)
{
	struct itimerspec its = { 0 };

	if (due_ms == h->armed_ms)
		return;
	h->armed_ms = due_ms;
	if (due_ms != HTTP_NEVER) {
		its.it_value.tv_sec = due_ms / 1000;
		its.it_value.tv_nsec = due_ms % 1000 * 1000000 + 1;
	}
	timerfd_settime(h->timer_fd, TFD_TIMER_ABSTIME, &its, NULL);
}

static void wait_for_work(struct http *h)
{
	struct curl_waitfd timer = { h->timer_fd, CURL_WAIT_POLLIN, 0 };
	int64_t due_ms = limits_due_ms(h), timer_ms;
	bool has_mail;

	if (h->check_ms < due_ms)
		due_ms = h->check_ms;
	pthread_mutex_lock(&h->lock);
	has_mail = h->has_mail;
	timer_ms = http_timer_next_locked(h);
	pthread_mutex_unlock(&h->lock);
	if (timer_ms < due_ms)
		due_ms = timer_ms;
	if (has_mail)
		return;
	arm_timer(h, due_ms);
	curl_multi_poll(h->multi, &timer, 1, INT_MAX, NULL);
	if (timer.revents)
		h->armed_ms = 0; /* fired: must be armed anew to fall silent */
}

/* ---- the thread -------------------------------------------------------- */

static void end_all(struct http *h)
{
	struct http_request *r;

	while ((r = TAILQ_FIRST(&h->running)) || (r = http_queue_any(h)))
		finish(r, -ECANCELED);
	http_timer_run(h);
}

void *http_thread(void *arg)
{
	struct http *h = arg;
	int running;

	/* h->thread may not be written yet: see the lock in start_thread(). */
	pthread_mutex_lock(&h->lock);
	pthread_mutex_unlock(&h->lock);
	for (;;) {
		h->now_ms = clock_mono_ms();
		if (read_mail(h))
			break;
		http_timer_run(h);
		release_limited(h);
		start_queued(h);
		curl_multi_perform(h->multi, &running);
		reap(h);
		check_deadlines(h);
		start_queued(h);
		wait_for_work(h);
	}
	end_all(h);
	return NULL;
}
