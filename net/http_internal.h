/* net/http_internal.h -- what the files of net/http share; not for others.
 *
 *	http_setup.c	http_new() and http_free()
 *	http.c		the thread, the mailbox, the functions for requests
 *	http_request.c	a request's memory, its easy handle, its end
 *	http_io.c	libcurl's callbacks: headers, bodies, pausing
 *	http_queue.c	which request may start: hosts and priorities
 *	http_socket.c	the sockets libcurl opened, and what TCP knows of them
 *	http_timer.c	timers
 *	http_limit.c	the bandwidth bucket
 *	http_url.c	which URLs are allowed
 *
 * A request moves incoming -> (host queue) -> running -> freed. The mailbox
 * (incoming, signals, timers) is under http.lock; everything else belongs to
 * the network thread, which holds the lock only to look into the mailbox and
 * never while it calls out. */
#ifndef NMB_HTTP_INTERNAL_H
#define NMB_HTTP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <curl/curl.h>

#include "net/buf.h"
#include "net/http.h"
#include "net/http_limit.h"
#include "net/http_url.h"

#define HTTP_PRIOS      (HTTP_PRIO_BULK + 1)
#define HTTP_NEVER      INT64_MAX
#define HTTP_MAX_HEADER ((size_t)64 * 1024)
#define HTTP_SUSPECT_MS 5000 /* http_drop_connections() */

struct http_timer {
	TAILQ_ENTRY(http_timer) link;
	struct http *h;
	int64_t due_ms;
	void (*fn)(void *arg);
	void *arg;
	bool firing; /* http.lock; off the list, `fn` runs or is about to */
};
TAILQ_HEAD(http_timers, http_timer);

struct http_sock {
	LIST_ENTRY(http_sock) link;
	curl_socket_t fd;
	unsigned users; /* requests on it; idle if 0 and `connected` */
	bool connected;
};
LIST_HEAD(http_socks, http_sock);

TAILQ_HEAD(http_requests, http_request);

struct http_host {
	LIST_ENTRY(http_host) link;
	char *name; /* as struct http_origin */
	struct http_requests queue[HTTP_PRIOS];
	unsigned running, running_bulk;
};
LIST_HEAD(http_hosts, http_host);

enum http_signal {
	HTTP_SIGNAL_CANCEL = 1,
	HTTP_SIGNAL_RESUME = 2,
};

/* Why a direction of a transfer stands still; bits. */
enum http_hold {
	HTTP_HOLD_RECV_USER = 1,
	HTTP_HOLD_RECV_LIMIT = 2,
	HTTP_HOLD_SEND_USER = 4,
	HTTP_HOLD_SEND_LIMIT = 8,
	HTTP_HOLD_LIMITS = HTTP_HOLD_RECV_LIMIT | HTTP_HOLD_SEND_LIMIT,
	HTTP_HOLD_USER = HTTP_HOLD_RECV_USER | HTTP_HOLD_SEND_USER,
};

enum http_place { /* which list `link` is on */
	          HTTP_AT_NONE,
	          HTTP_AT_INCOMING, /* http.lock */
	          HTTP_AT_QUEUE,
	          HTTP_AT_RUNNING,
};

struct http_request {
	TAILQ_ENTRY(http_request) link;
	TAILQ_ENTRY(http_request) signal_link; /* http.lock */
	unsigned signals;                      /* http.lock; 0: not on it */
	struct http *h;
	enum http_place place;

	/* What was asked for; own copies, set once. */
	struct http_spec spec;
	struct http_origin origin;
	char *method;
	char *url;  /* guarded memory */
	char *auth; /* guarded memory; "Authorization: Bearer ..." or NULL */
	void *body; /* wiped */
	struct curl_slist *headers;
	struct curl_slist auth_node; /* in front of `headers` */

	/* The transfer. */
	struct http_host *host;
	CURL *easy; /* NULL until it runs */
	struct http_sock *sock;
	struct http_timer *total_timer;
	char curl_error[CURL_ERROR_SIZE];
	unsigned holds;    /* enum http_hold */
	int rc;            /* why one of our callbacks gave up; 0: none did */
	bool connected;    /* the request was about to go out on `sock` */
	bool reused;       /* ... which had served before */
	bool was_sent;     /* some byte left, in this try or an earlier one */
	bool resent;       /* this is the second try */
	uint64_t up_bytes; /* of the body, given to libcurl */
	int64_t begun_ms;
	int64_t last_ms;    /* of the last progress */
	uint64_t tcp_bytes; /* http_sock_progress() then */
	uint64_t crept;     /* of the answer's body, since then */
	bool suspect;       /* its connection may be dead, see SUSPECT_MS */

	/* The answer. */
	struct buf head;  /* lines "Name: value", each ended by NUL */
	size_t head_seen; /* bytes of header, those of 1xx answers too */
	bool head_done;
	struct buf collected;
	uint64_t down_bytes; /* of the body */
	char detail[256];
};

struct http {
	char *user_agent, *ca_file; /* set once */
	unsigned max_connections;
	CURLM *multi;
	CURLSH *share; /* TLS sessions */
	int timer_fd;  /* CLOCK_BOOTTIME: due times count while asleep */
	pthread_t thread;

	pthread_mutex_t lock;
	bool stopping; /* lock, and all below */
	bool has_mail; /* the thread will look into the mailbox */
	bool drop;     /* http_drop_connections() */
	bool new_limits;
	bool want_rest, want_hold; /* http_set_rest(), http_hold_uploads() */
	uint64_t want_up, want_down;
	struct http_requests incoming, signals;
	struct http_timers timers; /* soonest first */

	/* Network thread only. */
	bool rest, hold_uploads;
	bool http2;
	unsigned http2_errors;
	int64_t now_ms;
	int64_t asleep_ms; /* how long the machine slept since boot */
	int64_t check_ms;  /* no transfer can have stalled before */
	int64_t armed_ms;  /* what timer_fd is set to */
	struct http_hosts hosts;
	struct http_requests running;
	struct http_socks socks;
	struct http_bucket up, down;
	_Atomic uint64_t bulk_sent;      /* body bytes of HTTP_PRIO_BULK */
	_Atomic uint64_t sent, received; /* body bytes of all */
};

/* http.c: what the thread runs; and makes it look into the mailbox, the caller
 * holds the lock. */
void *http_thread(void *arg);
void http_wake_locked(struct http *h);

/* http_request.c. _new copies `spec`; errors as http_start(). _begin hands the
 * request to libcurl; on error it isn't running. _rewind prepares the second
 * try of _may_resend(). _end calls `done` and frees; the request must be on no
 * list and not running. */
int http_request_new(struct http *h, const struct http_spec *spec,
                     struct http_request **out_r);
void http_request_free(struct http_request *r);
int http_request_begin(struct http_request *r);
void http_request_stop(struct http_request *r);
bool http_request_may_resend(const struct http_request *r, CURLcode code);
int http_request_rewind(struct http_request *r);
int http_request_result(struct http_request *r, CURLcode code);
void http_request_end(struct http_request *r, int rc);
struct http_answer http_request_answer(const struct http_request *r, int rc);

/* When the request is to be looked at for want of progress. */
int64_t http_request_due_ms(const struct http_request *r);

/* So many bytes of an answer in that time are progress. */
uint64_t http_request_crawl(const struct http_request *r);

/* http_io.c. _install sets libcurl's callbacks. _release takes holds away and
 * goes on; what libcurl or a callback says to that is the result. */
bool http_io_install(struct http_request *r);
CURLcode http_io_release(struct http_request *r, unsigned holds);

/* http_queue.c. All on the network thread; _add takes the request in, or
 * returns -ENOMEM. _next gives a request that may start now and counts it as
 * running, or NULL. _remove takes out one that waits; _leave ends one that
 * ran. */
int http_queue_add(struct http *h, struct http_request *r);
struct http_request *http_queue_next(struct http *h);

/* Does it stand still for http_hold_uploads()? */
bool http_request_held(const struct http_request *r);
void http_queue_remove(struct http_request *r);
void http_queue_leave(struct http *h, struct http_request *r);
struct http_request *http_queue_any(struct http *h);

/* http_socket.c. */
curl_socket_t http_sock_open(void *arg, curlsocktype purpose,
                             struct curl_sockaddr *addr);
int http_sock_close(void *arg, curl_socket_t fd);
void http_sock_attach(struct http_request *r, int local_port, int peer_port);
void http_sock_break(const struct http_request *r);
void http_sock_detach(struct http_request *r);
uint64_t http_sock_progress(const struct http_request *r);
void http_sock_drop_idle(struct http *h);

/* http_timer.c. _run fires what is due (all of them if the thread stops),
 * _next_locked says when the next one is. */
void http_timer_run(struct http *h);
int64_t http_timer_next_locked(const struct http *h);

#endif
