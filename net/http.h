/* net/http.h -- HTTP over one curl-multi thread.
 *
 * Knows requests and answers, not Graph: no retries, no redirects followed
 * (3xx is an answer like any other), no cookies, no content decoding. Each
 * request gets exactly one `done`. Connections are kept and reused; a request
 * that went out on a kept connection the server had already closed, and that
 * got no byte of an answer, is sent again at once if its method allows
 * (facts/graph.md 10.3).
 *
 * Sizes in bytes, times in milliseconds. Threads: every function may be called
 * from any thread, also from callbacks, except http_free(). Callbacks run on
 * the network thread with no lock held, must not block, and may be called
 * before http_start() has returned.
 *
 * URLs: https, or http for loopback addresses only; others fail with -EPROTO
 * before anything is sent. */
#ifndef NMB_HTTP_H
#define NMB_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct http;
struct http_request;
struct http_timer;

struct http_options {
	const char *user_agent;   /* NULL: none */
	const char *ca_file;      /* PEM; NULL: the system's */
	bool http2;               /* only where libcurl is sound */
	bool http2_any;           /* with any libcurl: to try it */
	unsigned max_connections; /* per host; 0: 40 */
	uint64_t up_bytes_per_s;  /* 0: no limit, over all requests */
	uint64_t down_bytes_per_s;
};

/* Strings are copied. Starts the thread. 0, -ENOMEM, -EINVAL (ca_file is
 * missing or no PEM). Ignores SIGPIPE for the process (facts 13 #41). A proxy
 * is taken from the environment (https_proxy, no_proxy), never for http.
 * With a ca_file no other authority is trusted. After fork() the thread is the
 * parent's: daemonise first. */
int http_new(const struct http_options *opt, struct http **out_h);

/* Ends what is under way (`done` with -ECANCELED), then calls the timers that
 * are left, before their time, and joins the thread. From then on nothing can
 * be started (-ESHUTDOWN), also not by those callbacks. */
void http_free(struct http *h);

/* Bytes of bodies handed to the network so far in HTTP_PRIO_BULK, those sent
 * again included: who waits for uploads sees that they move. */
uint64_t http_get_bulk_sent(struct http *h);

/* Bytes of all bodies so far, requests' and answers': for people. */
void http_get_traffic(struct http *h, uint64_t *out_sent,
                      uint64_t *out_received);

/* New limits for what is sent and received from now on; 0 takes one away. */
void http_set_limits(struct http *h, uint64_t up_bytes_per_s,
                     uint64_t down_bytes_per_s);

/* Closes idle connections and makes running requests fail with -ENETRESET if
 * they make no progress within 5 s: after a change of network. Happens by
 * itself when the machine has slept. */
void http_drop_connections(struct http *h);

/* The machine is about to sleep: what runs ends with -ENETRESET now, all
 * connections are closed, and nothing starts until the rest is over. */
void http_set_rest(struct http *h, bool rest);

/* Uploads stand still where they are (HTTP_PRIO_BULK with a body), and new ones
 * wait; all else goes on. */
void http_hold_uploads(struct http *h, bool hold);

/* Of the requests to one host that wait for a connection, the lowest class
 * starts first, and within a class the oldest; bulk never has the last quarter
 * of the connections. */
enum http_prio {
	HTTP_PRIO_USER, /* somebody waits: reads, lookups */
	HTTP_PRIO_META, /* small requests of the engine */
	HTTP_PRIO_BULK, /* content upload, prefetch */
};

struct http_answer {
	/* 0 if an answer came in full, whatever its status. Else no or half an
	 * answer: -ECANCELED, -ENETUNREACH (no route, DNS, refused),
	 * -ETIMEDOUT (a deadline), -ENETRESET (broken on the way, also in the
	 * TLS handshake; short body), -EKEYREJECTED (certificate), -EFBIG (more
	 * than max_body, or 64 KiB of header), -EPROTO (not HTTP), -ENOMEM, or
	 * what a callback returned. */
	int rc;
	long status;      /* 0: none came */
	bool was_sent;    /* false: not one byte left, so no effect there */
	const char *body; /* collected, NUL-terminated; NULL with `data` */
	size_t body_len;
	const char *detail; /* one line for the log, holds no secret */
	const struct http_request *req; /* for http_answer_header() */
};

/* Body of the request, when it does not come from memory. Returns how many
 * bytes were put (at most `len`), 0 for "none yet, I'll call http_resume()",
 * or -Exxx to abort. */
typedef ssize_t http_read_fn(void *arg, void *buf, size_t len);

/* Starts the body anew from its first byte (a kept connection died before any
 * byte of the answer). Returns 0, or -Exxx if it can't. */
typedef int http_rewind_fn(void *arg);

/* Called once, when the header of the answer is complete and before its body.
 * Returns 0, or -Exxx to abort. Status and headers may be looked at. */
typedef int http_head_fn(void *arg, const struct http_answer *a);

/* A piece of the answer's body, of any status. Returns 0, 1 to pause (the
 * piece counts as not taken and comes again after http_resume(), perhaps cut
 * otherwise), or -Exxx to abort. */
typedef int http_data_fn(void *arg, const void *data, size_t len);

/* The end; everything in `a` dies when it returns. The request handle is
 * freed after it: the caller forgets it here. */
typedef void http_done_fn(void *arg, const struct http_answer *a);

struct http_spec {
	const char *method; /* "GET", "PUT", ...; copied */
	const char *url;    /* used byte for byte; copied */
	bool secret_url;    /* pre-authenticated: log scheme and host only */
	const char *const *headers; /* "Name: value", NULL ends; copied */
	const char *bearer; /* added as Authorization; copied, wiped, not
	                     * logged; never sent anywhere but to this URL */
	enum http_prio prio;

	/* Body: none, from memory (copied), or by callback. */
	const void *body;
	uint64_t body_len; /* also the total for `read` */
	http_read_fn *read;
	http_rewind_fn *rewind; /* NULL: can't */

	size_t max_body;    /* of a collected answer; 0: 16 MiB */
	http_head_fn *head; /* may be NULL */
	http_data_fn *data; /* NULL: collect */
	http_done_fn *done;
	void *arg;

	/* A transfer that a callback paused or the bandwidth limit holds does
	 * not stall. Bytes count as sent when TCP saw them acknowledged. */
	int connect_ms; /* name, TCP and TLS; 0: 15,000 */
	int stall_ms;   /* no byte in either direction, or of an answer fewer
	                 * than 32 a second; 0: 30,000 */
	int total_ms;   /* since http_start(), waiting included; 0: none */
	int answer_ms;  /* from the last byte sent to the answer's first;
	                 * 0: as stall_ms. Last fragments may need minutes. */
};

/* Queues a request. 0 or -ENOMEM, -EPROTO (URL), -EINVAL (control characters
 * in method, headers or bearer), -ESHUTDOWN; on error `done` does not come.
 * *out_r (may be NULL if nobody cancels) is set before any callback comes, and
 * valid until `done` has returned. */
int http_start(struct http *h, const struct http_spec *spec,
               struct http_request **out_r);

/* Ends it soon with -ECANCELED; `done` still comes, on the network thread.
 * The handle must still be valid: the caller makes sure with its own lock that
 * `done` has not returned. */
void http_cancel(struct http_request *r);

/* After a read of 0 or a data of 1. Same validity. */
void http_resume(struct http_request *r);

/* Calls fn(arg) once on the network thread, with no lock held, `delay_ms` from
 * now (0: as soon as possible; the time the machine sleeps counts). 0, -ENOMEM
 * or -ESHUTDOWN; on error fn does not come. fn comes in any case, at the latest
 * from http_free(), unless http_cancel_timer() returned true. *out_t (may be
 * NULL) is set before fn comes. */
int http_call_later(struct http *h, int64_t delay_ms, void (*fn)(void *arg),
                    void *arg, struct http_timer **out_t);

/* True: fn has not been called and won't be; what it would have let go of is
 * the caller's again. False: fn is running or about to (on the network thread
 * this means: the caller is within fn). The handle must be valid: fn has not
 * returned, which the caller makes sure with its own lock, and it was not
 * cancelled before. After either answer the caller forgets it. May be called
 * with locks held that fn takes. */
bool http_cancel_timer(struct http_timer *t);

/* The last header of that name (any case) or NULL; only within callbacks. */
const char *http_answer_header(const struct http_answer *a, const char *name);

/* True if both URLs have the same scheme, host and port: the only case in
 * which a bearer may follow. False for anything that is no URL. */
bool http_same_origin(const char *url_a, const char *url_b);

/* True for https://..., and for http:// with a loopback address. */
bool http_url_allowed(const char *url);

#endif
