/* tests/unit/http_fixture.h -- servers that answer as a test wants, and
 * requests that a test can wait for.
 *
 * A raw server listens on a port of 127.0.0.1 and runs `serve` in a thread of
 * its own for each connection; the connection is closed when it returns.
 * raw_stop() cuts all connections and waits for the threads. */
#ifndef NMB_TESTS_HTTP_FIXTURE_H
#define NMB_TESTS_HTTP_FIXTURE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "net/buf.h"
#include "net/http.h"

struct raw_server;

/* `nth` counts connections from 0. */
typedef void raw_serve_fn(void *arg, int fd, unsigned nth);

struct raw_server *raw_start(raw_serve_fn *serve, void *arg);
struct raw_server *raw_start_rcvbuf(raw_serve_fn *serve, void *arg, int bytes);
void raw_stop(struct raw_server *s);
unsigned raw_connections(struct raw_server *s);

/* "http://127.0.0.1:PORT" + path; lives as long as the server, one at a time
 * per path slot. */
const char *raw_url(struct raw_server *s, const char *path);
int raw_port(const struct raw_server *s);

/* Reads a whole request: header (with the empty line) and body. False at the
 * end of the connection. */
bool raw_read_request(int fd, struct buf *head, struct buf *body);
bool raw_read_head(int fd, struct buf *head);
bool raw_write(int fd, const char *text);
bool raw_write_all(int fd, const void *data, size_t len);
void raw_reset(int fd); /* the next close sends RST */

/* Waits until the other side closes. */
void raw_wait_close(int fd);

/* Answers every request with 200 and the request's header as the body. */
void raw_serve_echo(void *arg, int fd, unsigned nth);

/* One request and what became of it. Fields are valid after call_wait(). */
struct call {
	struct http_spec spec;
	struct http_request *req;
	int rc;
	long status;
	bool was_sent;
	struct buf body;
	char detail[256];
	char location[256]; /* that header, "" if none */

	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done; /* lock; and no handle any more */
	unsigned dones;
	unsigned events; /* lock; for tests with callbacks of their own */
};

/* A GET of `url`, collected; the test changes c->spec at will. */
void call_init(struct call *c, const char *url);
int call_start(struct call *c, struct http *h);
void call_wait(struct call *c);
void call_free(struct call *c);

/* call_start, call_wait. Returns c->rc. */
int call_run(struct call *c, struct http *h);

/* Cancels if not yet done. */
void call_cancel(struct call *c);

/* A counter for callbacks and servers to wake the test. */
void call_event(struct call *c);
void call_wait_events(struct call *c, unsigned n);

struct http *new_http(const struct http_options *opt); /* NULL: defaults */

#endif
