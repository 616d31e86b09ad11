#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "net/clock.h"
#include "net/http_internal.h"
#include "net/log.h"

#define DEFAULT_CONNECT_MS 15000
#define MIN_RATE           32 /* bytes a second */
#define DEFAULT_STALL_MS   30000
#define DEFAULT_MAX_BODY   ((size_t)16 * 1024 * 1024)

/* 1 GB/s needs few system calls; a thousand small requests need little
 * memory. libcurl takes at most 512 KiB and 2 MiB here. */
#define SMALL_BUFFER 16384L
#define LARGE_BUFFER (512 * 1024L)

/* ---- memory ------------------------------------------------------------ */

static bool is_clean(const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static int check_spec(const struct http_spec *spec)
{
	if (!spec->method[0] || !is_clean(spec->method) ||
	    (spec->bearer && !is_clean(spec->bearer)))
		return -EINVAL;
	for (size_t i = 0; spec->headers && spec->headers[i]; i++) {
		if (!is_clean(spec->headers[i]))
			return -EINVAL;
	}
	return 0;
}

static char *copy_secret(const char *prefix, const char *s)
{
	size_t n = strlen(prefix), len = strlen(s);
	char *copy = sodium_malloc(n + len + 1);

	if (!copy)
		return NULL;
	memcpy(copy, prefix, n);
	memcpy(copy + n, s, len + 1);
	return copy;
}

static int add_header(struct http_request *r, const char *line)
{
	struct curl_slist *list = curl_slist_append(r->headers, line);

	if (!list)
		return -ENOMEM;
	r->headers = list;
	return 0;
}

static int copy_headers(struct http_request *r, const char *const *headers)
{
	/* No "Expect: 100-continue": a round trip for nothing. */
	if (add_header(r, "Expect:") < 0)
		return -ENOMEM;
	for (size_t i = 0; headers && headers[i]; i++) {
		if (add_header(r, headers[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int copy_strings(struct http_request *r, const struct http_spec *spec)
{
	r->method = strdup(spec->method);
	r->url = copy_secret("", spec->url);
	if (!r->method || !r->url)
		return -ENOMEM;
	if (spec->bearer) {
		r->auth = copy_secret("Authorization: Bearer ", spec->bearer);
		if (!r->auth)
			return -ENOMEM;
	}
	if (spec->body && spec->body_len) {
		r->body = malloc(spec->body_len);
		if (!r->body)
			return -ENOMEM;
		memcpy(r->body, spec->body, spec->body_len);
	}
	return copy_headers(r, spec->headers);
}

static int or_default(int value, int def)
{
	return value > 0 ? value : def;
}

/* What stays of the caller's spec are numbers, callbacks and `arg`. */
static void copy_numbers(struct http_request *r, const struct http_spec *spec)
{
	struct http_spec *s = &r->spec;

	*s = *spec;
	s->method = s->url = s->bearer = NULL;
	s->headers = NULL;
	s->body = NULL;
	s->max_body = s->max_body ? s->max_body : DEFAULT_MAX_BODY;
	s->connect_ms = or_default(s->connect_ms, DEFAULT_CONNECT_MS);
	s->stall_ms = or_default(s->stall_ms, DEFAULT_STALL_MS);
	s->answer_ms = or_default(s->answer_ms, s->stall_ms);
	if (!spec->body && !spec->read)
		s->body_len = 0;
}

int http_request_new(struct http *h, const struct http_spec *spec,
                     struct http_request **out_r)
{
	struct http_request *r;
	int rc = check_spec(spec);

	if (rc < 0)
		return rc;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->h = h;
	copy_numbers(r, spec);
	rc = http_origin_init(&r->origin, spec->url);
	if (rc == 0 && !r->origin.https && !r->origin.loopback)
		rc = -EPROTO;
	if (rc == 0)
		rc = copy_strings(r, spec);
	if (rc < 0) {
		http_request_free(r);
		return rc;
	}
	r->begun_ms = clock_mono_ms();
	*out_r = r;
	return 0;
}

void http_request_free(struct http_request *r)
{
	if (!r)
		return;
	if (r->easy)
		curl_easy_cleanup(r->easy);
	if (r->body) {
		sodium_memzero(r->body, r->spec.body_len);
		free(r->body);
	}
	sodium_free(r->url);
	sodium_free(r->auth);
	curl_slist_free_all(r->headers);
	http_origin_done(&r->origin);
	buf_done(&r->head);
	buf_wipe(&r->collected);
	free(r->method);
	free(r);
}

/* ---- easy handle ------------------------------------------------------- */

#define SET(option, value) (!curl_easy_setopt(e, option, value))

static bool set_common(struct http_request *r)
{
	CURL *e = r->easy;

#if LIBCURL_VERSION_NUM >= 0x075700 /* 7.87 */
	/* Else giving up a request waits for the resolver, for all of us. */
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
#endif
	return SET(CURLOPT_PRIVATE, r) && SET(CURLOPT_NOSIGNAL, 1L) &&
	       SET(CURLOPT_ERRORBUFFER, r->curl_error) &&
	       SET(CURLOPT_SHARE, r->h->share) &&
	       SET(CURLOPT_FOLLOWLOCATION, 0L) &&
	       SET(CURLOPT_HTTP_CONTENT_DECODING, 0L) &&
	       SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) &&
	       SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE) &&
	       SET(CURLOPT_CONNECTTIMEOUT_MS, (long)r->spec.connect_ms) &&
	       SET(CURLOPT_USERAGENT, r->h->user_agent) &&
	       SET(CURLOPT_HTTP_VERSION,
	           (long)(r->h->http2 && r->origin.https
	                          ? CURL_HTTP_VERSION_2TLS
	                          : CURL_HTTP_VERSION_1_1)) &&
	       SET(CURLOPT_PIPEWAIT, r->h->http2 ? 1L : 0L);
}

static bool set_tls(struct http_request *r)
{
	CURL *e = r->easy;

	if (!r->origin.https)
		return SET(CURLOPT_PROTOCOLS_STR, "http") &&
		       SET(CURLOPT_PROXY, ""); /* loopback: never by a proxy */
	if (r->h->ca_file &&
	    !(SET(CURLOPT_CAINFO, r->h->ca_file) && SET(CURLOPT_CAPATH, NULL)))
		return false;
	return SET(CURLOPT_PROTOCOLS_STR, "https") &&
	       SET(CURLOPT_SSL_VERIFYPEER, 1L) &&
	       SET(CURLOPT_SSL_VERIFYHOST, 2L) &&
	       SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
}

static bool has_body(const struct http_request *r)
{
	return r->spec.body_len || !strcmp(r->method, "PUT") ||
	       !strcmp(r->method, "POST") || !strcmp(r->method, "PATCH");
}

/* Bodies always come through on_read(): for a body it knows libcurl would try
 * again by itself. Empty ones need their Content-Length: 0 (facts 13 #16). */
static bool set_method(struct http_request *r)
{
	CURL *e = r->easy;
	long buffer =
		r->spec.body_len > SMALL_BUFFER ? LARGE_BUFFER : SMALL_BUFFER;

	if (!strcmp(r->method, "HEAD"))
		return SET(CURLOPT_NOBODY, 1L);
	if (has_body(r) &&
	    !(SET(CURLOPT_UPLOAD, 1L) &&
	      SET(CURLOPT_UPLOAD_BUFFERSIZE, buffer) &&
	      SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->spec.body_len)))
		return false;
	return SET(CURLOPT_CUSTOMREQUEST, r->method);
}

static bool set_rest(struct http_request *r)
{
	CURL *e = r->easy;
	long buffer = SMALL_BUFFER;

	/* A piece is taken whole, so pieces shouldn't be longer than 1/8 s. */
	if (r->spec.data) {
		uint64_t rate = r->h->down.rate;

		buffer = LARGE_BUFFER;
		if (rate && rate / 8 < LARGE_BUFFER)
			buffer = rate / 8 > SMALL_BUFFER ? (long)(rate / 8)
			                                 : SMALL_BUFFER;
	} else if (!SET(CURLOPT_MAXFILESIZE_LARGE,
	                strcmp(r->method, "HEAD") ? (curl_off_t)r->spec.max_body
	                                          : (curl_off_t)0)) {
		return false;
	}
	r->auth_node.data = r->auth;
	r->auth_node.next = r->headers;
	return SET(CURLOPT_BUFFERSIZE, buffer) && SET(CURLOPT_PATH_AS_IS, 1L) &&
	       SET(CURLOPT_URL, r->url) &&
	       SET(CURLOPT_HTTPHEADER, r->auth ? &r->auth_node : r->headers);
}

static int set_up(struct http_request *r)
{
	r->easy = curl_easy_init();
	if (!r->easy)
		return -ENOMEM;
	if (set_common(r) && set_tls(r) && set_method(r) && set_rest(r) &&
	    http_io_install(r))
		return 0;
	return -ENOMEM; /* the options are fit: only memory can lack */
}

int http_request_begin(struct http_request *r)
{
	int rc = r->easy ? 0 : set_up(r);

	if (rc < 0)
		return rc;
	r->last_ms = r->h->now_ms;
	r->connected = false;
	return curl_multi_add_handle(r->h->multi, r->easy) ? -ENOMEM : 0;
}

static void note_sent(struct http_request *r)
{
	long bytes = 0;

	curl_easy_getinfo(r->easy, CURLINFO_REQUEST_SIZE, &bytes);
	if (r->connected && bytes > 0)
		r->was_sent = true;
}

void http_request_stop(struct http_request *r)
{
	if (!r->easy)
		return;
	note_sent(r);
	http_sock_detach(r);
	curl_multi_remove_handle(r->h->multi, r->easy);
}

/* ---- the second try ---------------------------------------------------- */

static bool is_idempotent(const struct http_request *r)
{
	static const char *const methods[] = { "GET", "HEAD", "OPTIONS",
		                               "DELETE" };

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (!strcmp(r->method, methods[i]))
			return true;
	}
	return false;
}

static bool is_broken_connection(CURLcode code)
{
	return code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR ||
	       code == CURLE_GOT_NOTHING || code == CURLE_SEND_FAIL_REWIND ||
	       code == CURLE_ABORTED_BY_CALLBACK;
}

/* Of a PUT the server may have the whole body and only the answer was lost:
 * then somebody has to look first (facts 10.3). */
bool http_request_may_resend(const struct http_request *r, CURLcode code)
{
	if (!is_broken_connection(code) || r->rc || !r->reused || r->resent ||
	    r->head_seen)
		return false;
	if (!is_idempotent(r) && r->up_bytes == r->spec.body_len)
		return false;
	return !r->spec.read || !r->up_bytes || r->spec.rewind;
}

int http_request_rewind(struct http_request *r)
{
	int rc = 0;

	r->resent = true;
	r->holds = 0;
	r->curl_error[0] = '\0';
	if (r->spec.read && r->up_bytes)
		rc = r->spec.rewind(r->spec.arg);
	r->up_bytes = 0;
	if (rc == 0 && curl_easy_setopt(r->easy, CURLOPT_FRESH_CONNECT, 1L))
		rc = -ENOMEM;
	return rc;
}

/* ---- deadlines --------------------------------------------------------- */

static bool is_all_sent(const struct http_request *r)
{
	curl_off_t sent = 0;

	if (r->up_bytes < r->spec.body_len)
		return false;
	curl_easy_getinfo(r->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	return (uint64_t)sent >= r->spec.body_len;
}

int64_t http_request_due_ms(const struct http_request *r)
{
	int limit = r->spec.stall_ms;

	if (r->holds || (!r->connected && !r->suspect))
		return HTTP_NEVER;
	if (!r->head_seen && is_all_sent(r))
		limit = r->spec.answer_ms;
	if (r->suspect && limit > HTTP_SUSPECT_MS)
		limit = HTTP_SUSPECT_MS;
	return r->last_ms + limit;
}

uint64_t http_request_crawl(const struct http_request *r)
{
	return (uint64_t)r->spec.stall_ms * MIN_RATE / 1000;
}

/* ---- the end ----------------------------------------------------------- */

static const struct result {
	CURLcode code;
	int rc;
} results[] = {
	{ CURLE_OK, 0 },
	{ CURLE_COULDNT_RESOLVE_HOST, -ENETUNREACH },
	{ CURLE_COULDNT_RESOLVE_PROXY, -ENETUNREACH },
	{ CURLE_COULDNT_CONNECT, -ENETUNREACH },
	{ CURLE_PROXY, -ENETUNREACH },
	{ CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT },
	{ CURLE_SEND_ERROR, -ENETRESET },
	{ CURLE_RECV_ERROR, -ENETRESET },
	{ CURLE_GOT_NOTHING, -ENETRESET },
	{ CURLE_PARTIAL_FILE, -ENETRESET },
	{ CURLE_SEND_FAIL_REWIND, -ENETRESET },
	{ CURLE_ABORTED_BY_CALLBACK, -ENETRESET }, /* on_prereq() */
	{ CURLE_HTTP2, -ENETRESET },
	{ CURLE_HTTP2_STREAM, -ENETRESET },
	/* The handshake broke off: mostly the line, at times the TLS. */
	{ CURLE_SSL_CONNECT_ERROR, -ENETRESET },
	{ CURLE_PEER_FAILED_VERIFICATION, -EKEYREJECTED },
	{ CURLE_SSL_CERTPROBLEM, -EKEYREJECTED },
	{ CURLE_SSL_CIPHER, -EKEYREJECTED },
	{ CURLE_SSL_CACERT_BADFILE, -EKEYREJECTED },
	{ CURLE_SSL_ISSUER_ERROR, -EKEYREJECTED },
	{ CURLE_SSL_CRL_BADFILE, -EKEYREJECTED },
	{ CURLE_SSL_INVALIDCERTSTATUS, -EKEYREJECTED },
	{ CURLE_SSL_PINNEDPUBKEYNOTMATCH, -EKEYREJECTED },
	{ CURLE_USE_SSL_FAILED, -EKEYREJECTED },
	{ CURLE_FILESIZE_EXCEEDED, -EFBIG },
	{ CURLE_OUT_OF_MEMORY, -ENOMEM },
};

/* Anything else: no HTTP, or an answer that makes no sense. */
int http_request_result(struct http_request *r, CURLcode code)
{
	if (r->rc)
		return r->rc;
	/* libcurl 7.88 takes a header that broke off for an answer [run]. */
	if (code == CURLE_OK && !r->head_done)
		return -ENETRESET;
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		if (results[i].code == code)
			return results[i].rc;
	}
	return -EPROTO;
}

static void write_detail(struct http_request *r, const struct http_answer *a)
{
	const char *id = http_answer_header(a, "request-id");
	char text[512];

	if (a->rc == 0)
		snprintf(text, sizeof(text),
		         "host=%s status=%ld request_id=%.64s", r->origin.host,
		         a->status, id ? id : "none");
	else
		snprintf(text, sizeof(text), "host=%s status=%ld error=\"%s\"",
		         r->origin.host, a->status,
		         r->curl_error[0] ? r->curl_error : strerror(-a->rc));
	log_sanitize(text, r->detail, sizeof(r->detail));
}

struct http_answer http_request_answer(const struct http_request *r, int rc)
{
	struct http_answer a = {
		.rc = rc,
		.was_sent = r->was_sent || r->head_seen,
		.detail = r->detail,
		.req = r,
	};

	if (r->easy)
		curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &a.status);
	if (!r->spec.data) {
		a.body = r->collected.data ? r->collected.data : "";
		a.body_len = r->collected.len;
	}
	return a;
}

/* For the log: never the query, and of a secret URL nothing. */
static const char *path_of(const struct http_request *r)
{
	const char *host = strstr(r->url, "//");
	const char *path = host ? strchr(host + 2, '/') : NULL;

	return path && !r->spec.secret_url ? path : "-";
}

static int path_len(const struct http_request *r)
{
	return (int)strcspn(path_of(r), "?#");
}

void http_request_end(struct http_request *r, int rc)
{
	struct http_answer a = http_request_answer(r, rc);

	write_detail(r, &a);
	log_debug("http method=%s path=%.*s %s rc=%d up=%" PRIu64
	          " down=%" PRIu64 " ms=%" PRId64 " resent=%d",
	          r->method, path_len(r), path_of(r), r->detail, rc,
	          r->up_bytes, r->down_bytes, clock_mono_ms() - r->begun_ms,
	          r->resent);
	r->spec.done(r->spec.arg, &a);
	/* Until here somebody may have cancelled it. */
	pthread_mutex_lock(&r->h->lock);
	if (r->signals)
		TAILQ_REMOVE(&r->h->signals, r, signal_link);
	pthread_mutex_unlock(&r->h->lock);
	http_request_free(r);
}
