#include <errno.h>
#include <string.h>
#include <strings.h>

#include "net/http_internal.h"

static void note_progress(struct http_request *r)
{
	r->last_ms = r->h->now_ms;
	r->suspect = false;
	r->crept = 0;
}

/* Of an answer's body a few bytes now and then are no progress: it would take
 * days, and elsewhere it may be quick. */
static void note_body(struct http_request *r, size_t len)
{
	r->crept += len;
	if (r->crept >= http_request_crawl(r))
		note_progress(r);
}

/* ---- header ------------------------------------------------------------ */

static bool starts_with(const char *data, size_t len, const char *prefix)
{
	size_t n = strlen(prefix);

	return len >= n && !strncasecmp(data, prefix, n);
}

static int add_header_line(struct http_request *r, const char *data, size_t len)
{
	if (memchr(data, 0, len))
		return -EPROTO;
	while (len && (data[len - 1] == '\n' || data[len - 1] == '\r' ||
	               data[len - 1] == ' '))
		len--;
	if (buf_add(&r->head, data, len) < 0 || buf_add_char(&r->head, 0) < 0)
		return -ENOMEM;
	return 0;
}

static int end_header(struct http_request *r)
{
	struct http_answer a = http_request_answer(r, 0);

	if (a.status < 200)
		return 0; /* 100 or 103: the real one is still to come */
	r->head_done = true;
	return r->spec.head ? r->spec.head(r->spec.arg, &a) : 0;
}

static int take_header(struct http_request *r, const char *data, size_t len)
{
	r->head_seen += len;
	if (r->head_seen > HTTP_MAX_HEADER)
		return -EFBIG;
	if (r->head_done)
		return 0; /* a trailer */
	if (starts_with(data, len, "HTTP/")) {
		buf_clear(&r->head);
		return 0;
	}
	if (len && (data[0] == '\r' || data[0] == '\n'))
		return end_header(r);
	return add_header_line(r, data, len);
}

/* libcurl gives one whole line at a time. */
static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	struct http_request *r = arg;
	size_t len = size * n;
	int rc;

	note_progress(r);
	rc = take_header(r, data, len);
	if (rc < 0) {
		r->rc = rc;
		return len ? 0 : 1;
	}
	return len;
}

const char *http_answer_header(const struct http_answer *a, const char *name)
{
	const struct buf *head = &a->req->head;
	const char *value = NULL;
	size_t len = strlen(name);

	for (size_t at = 0; at < head->len; at += strlen(head->data + at) + 1) {
		const char *line = head->data + at;

		if (!strncasecmp(line, name, len) && line[len] == ':')
			value = line + len + 1;
	}
	return value ? value + strspn(value, " \t") : NULL;
}

/* ---- body of the answer ------------------------------------------------ */

static int collect(struct http_request *r, const char *data, size_t len)
{
	curl_off_t total = -1;

	if (len > r->spec.max_body - r->collected.len)
		return -EFBIG;
	/* Growing leaves copies behind, and it may be a token. */
	if (!r->collected.data) {
		curl_easy_getinfo(r->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
		                  &total);
		if (total < 16384 || (uint64_t)total > r->spec.max_body)
			total = 16384;
		if (buf_reserve(&r->collected, (size_t)total) < 0)
			return -ENOMEM;
	}
	return buf_add(&r->collected, data, len);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct http_request *r = arg;
	size_t len = size * n;
	int rc;

	note_body(r, len);
	if (!len)
		return 0;
	if (!http_bucket_grant(&r->h->down, len, r->h->now_ms)) {
		r->holds |= HTTP_HOLD_RECV_LIMIT;
		return CURL_WRITEFUNC_PAUSE;
	}
	rc = r->spec.data ? r->spec.data(r->spec.arg, data, len)
	                  : collect(r, data, len);
	if (rc > 0) {
		r->holds |= HTTP_HOLD_RECV_USER;
		return CURL_WRITEFUNC_PAUSE;
	}
	if (rc < 0) {
		r->rc = rc;
		return 0; /* not `len`: an error to libcurl */
	}
	http_bucket_take(&r->h->down, len);
	atomic_fetch_add(&r->h->received, (uint64_t)len);
	r->down_bytes += len;
	return len;
}

/* ---- body of the request ----------------------------------------------- */

static ssize_t read_body(struct http_request *r, char *buf, size_t len)
{
	if (r->spec.read)
		return r->spec.read(r->spec.arg, buf, len);
	memcpy(buf, (const char *)r->body + r->up_bytes, len);
	return (ssize_t)len;
}

static size_t on_read(char *buf, size_t size, size_t n, void *arg)
{
	struct http_request *r = arg;
	uint64_t left = r->spec.body_len - r->up_bytes;
	size_t len = size * n;
	ssize_t got;

	note_progress(r);
	if (len > left)
		len = (size_t)left;
	if (!len)
		return 0;
	len = http_request_held(r)
	              ? 0
	              : http_bucket_grant(&r->h->up, len, r->h->now_ms);
	if (!len) {
		r->holds |= HTTP_HOLD_SEND_LIMIT;
		return CURL_READFUNC_PAUSE;
	}
	got = read_body(r, buf, len);
	if (got == 0) {
		r->holds |= HTTP_HOLD_SEND_USER;
		return CURL_READFUNC_PAUSE;
	}
	if (got < 0 || (size_t)got > len) {
		r->rc = got < 0 ? (int)got : -EIO;
		return CURL_READFUNC_ABORT;
	}
	http_bucket_take(&r->h->up, (size_t)got);
	r->up_bytes += (uint64_t)got;
	atomic_fetch_add(&r->h->sent, (uint64_t)got);
	if (r->spec.prio == HTTP_PRIO_BULK)
		atomic_fetch_add(&r->h->bulk_sent, (uint64_t)got);
	return (size_t)got;
}

/* ---- connection -------------------------------------------------------- */

/* The request is about to go out. The second time it is libcurl that tries
 * again by itself, after a kept connection turned out to be dead; it would do
 * so with a POST too. Whether that is right is decided in may_resend(). */
static int on_prereq(void *arg, char *peer_ip, char *local_ip, int peer_port,
                     int local_port)
{
	struct http_request *r = arg;
	long opened = 0;

	(void)peer_ip;
	(void)local_ip;
	if (r->connected)
		return CURL_PREREQFUNC_ABORT;
	r->connected = true;
	curl_easy_getinfo(r->easy, CURLINFO_NUM_CONNECTS, &opened);
	r->reused = opened == 0;
	http_sock_attach(r, local_port, peer_port);
	note_progress(r);
	r->h->check_ms = r->h->now_ms; /* from here on it can stall */
	r->tcp_bytes = http_sock_progress(r);
	return CURL_PREREQFUNC_OK;
}

bool http_io_install(struct http_request *r)
{
	CURL *e = r->easy;

	return !curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header) &&
	       !curl_easy_setopt(e, CURLOPT_HEADERDATA, r) &&
	       !curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) &&
	       !curl_easy_setopt(e, CURLOPT_WRITEDATA, r) &&
	       !curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read) &&
	       !curl_easy_setopt(e, CURLOPT_READDATA, r) &&
	       !curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_prereq) &&
	       !curl_easy_setopt(e, CURLOPT_PREREQDATA, r) &&
	       !curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION,
	                         http_sock_open) &&
	       !curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, r->h) &&
	       !curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION,
	                         http_sock_close) &&
	       !curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, r->h);
}

CURLcode http_io_release(struct http_request *r, unsigned holds)
{
	const unsigned recv = HTTP_HOLD_RECV_USER | HTTP_HOLD_RECV_LIMIT;
	const unsigned send = HTTP_HOLD_SEND_USER | HTTP_HOLD_SEND_LIMIT;
	int mask = CURLPAUSE_CONT;

	if (!(r->holds & holds))
		return CURLE_OK;
	r->holds &= ~holds;
	r->last_ms = r->h->now_ms;
	r->h->check_ms = r->h->now_ms;
	if (r->holds & recv)
		mask |= CURLPAUSE_RECV;
	if (r->holds & send)
		mask |= CURLPAUSE_SEND;
	/* May call on_body() with what it kept, which may hold again. */
	return curl_easy_pause(r->easy, mask);
}
