#include "fs/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fs/bond.h"
#include "fs/control_status.h"
#include "fs/engine.h"
#include "fs/fetch.h"
#include "fs/lock.h"
#include "fs/nmb.h"
#include "fs/node.h"
#include "fs/session.h"
#include "fs/store.h"
#include "net/buf.h"
#include "net/clock.h"
#include "net/json.h"
#include "net/log.h"

#define MAX_PEERS   64
#define MAX_LINE    65536
#define MAX_UNSENT  (1 << 20) /* a peer that does not read is dropped */
#define PROGRESS_MS 200

/* Somebody who waits in `flush` or `poll`. Outlives its peer if that hangs up:
 * whoever comes last, peer or wake, frees it. */
struct waiting {
	struct control *control;
	uint64_t ticket; /* 0: a poll */
	int rc;
	bool ended, orphan;
};

struct peer {
	int fd;
	struct buf in, out;
	struct waiting *waiting;
	bool flush, events, closing;
	int64_t progress_ms;
	uint64_t left_files, left_bytes;
};

struct control {
	struct nmb *nmb;
	pthread_t thread;
	int listen_fd, event_fd, dir_fd;
	pthread_mutex_t lock; /* LOCK_LEAF: waiting, changed, stop */
	bool stop, changed;
	bool started;
	struct peer *peer[MAX_PEERS];
};

/* ---- answers ------------------------------------------------------------- */

static void send_json(struct peer *p, cJSON *o)
{
	char *text = o ? cJSON_PrintUnformatted(o) : NULL;

	cJSON_Delete(o);
	if (!text) {
		p->closing = true;
		return;
	}
	buf_add_str(&p->out, text);
	buf_add_char(&p->out, '\n');
	cJSON_free(text);
	if (p->out.failed || p->out.len > MAX_UNSENT)
		p->closing = true;
}

static void send_error(struct peer *p, int rc, const char *text)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddBoolToObject(o, "ok", false);
	cJSON_AddNumberToObject(o, "errno", -rc);
	cJSON_AddStringToObject(o, "error", text);
	send_json(p, o);
}

static void send_ok(struct peer *p, cJSON *o)
{
	if (!o)
		o = cJSON_CreateObject();
	cJSON_AddBoolToObject(o, "ok", true);
	send_json(p, o);
}

/* ---- waiting ------------------------------------------------------------- */

static void ring(struct control *c)
{
	uint64_t one = 1;

	if (write(c->event_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error("control: %s", strerror(errno));
}

/* From the engine's thread. */
static void wait_ended(void *arg, int rc)
{
	struct waiting *w = arg;
	struct control *c = w->control;
	bool orphan;

	lock_take(&c->lock, LOCK_LEAF);
	w->rc = rc;
	w->ended = true;
	orphan = w->orphan;
	lock_drop(&c->lock, LOCK_LEAF);
	if (orphan)
		free(w);
	else
		ring(c);
}

static struct waiting *waiting_new(struct control *c)
{
	struct waiting *w = calloc(1, sizeof(*w));

	if (w)
		w->control = c;
	return w;
}

/* The peer is gone, the wake will still come. */
static void leave_waiting(struct control *c, struct peer *p)
{
	struct waiting *w = p->waiting;
	uint64_t ticket;
	bool ended;

	if (!w)
		return;
	p->waiting = NULL;
	lock_take(&c->lock, LOCK_LEAF);
	ended = w->ended;
	ticket = w->ticket;
	w->orphan = true;
	lock_drop(&c->lock, LOCK_LEAF);
	if (ended)
		free(w);
	else if (ticket)
		engine_flush_cancel(c->nmb->engine, ticket);
}

static void send_progress(struct control *c, struct peer *p)
{
	uint64_t files, bytes;
	cJSON *o;

	engine_flush_left(c->nmb->engine, p->waiting->ticket, &files, &bytes);
	if (files == p->left_files && bytes == p->left_bytes)
		return;
	p->left_files = files;
	p->left_bytes = bytes;
	o = cJSON_CreateObject();
	cJSON_AddNumberToObject(o, "left_files", (double)files);
	cJSON_AddNumberToObject(o, "left_bytes", (double)bytes);
	send_json(p, o);
}

static void check_waiting(struct control *c, struct peer *p, int64_t now)
{
	struct waiting *w = p->waiting;
	bool ended;
	int rc;

	if (!w)
		return;
	lock_take(&c->lock, LOCK_LEAF);
	ended = w->ended;
	rc = w->rc;
	lock_drop(&c->lock, LOCK_LEAF);
	if (ended) {
		p->waiting = NULL;
		free(w);
		if (rc == 0)
			send_ok(p, NULL);
		else
			send_error(p, rc,
			           rc == -ETIMEDOUT
			                   ? "not everything is on the server "
			                     "yet"
			           : rc == -EIO
			                   ? "something is blocked, see status"
			                   : strerror(-rc));
	} else if (p->flush && now >= p->progress_ms) {
		p->progress_ms = now + PROGRESS_MS;
		send_progress(c, p);
	}
}

/* ---- requests ------------------------------------------------------------ */

static int find_path(struct control *c, const cJSON *req, uint64_t *out_ino)
{
	const char *path = json_str(req, "path");

	*out_ino = NODE_ROOT;
	return path ? control_find(c->nmb, path, out_ino) : 0;
}

static void do_status(struct control *c, struct peer *p, const cJSON *req)
{
	cJSON *o = NULL;
	uint64_t ino;
	int rc;

	if (!json_str(req, "path")) {
		send_ok(p, control_status(c->nmb));
		return;
	}
	rc = find_path(c, req, &ino);
	if (rc == 0)
		rc = control_node_status(c->nmb, ino, &o);
	if (rc < 0)
		send_error(p, rc, strerror(-rc));
	else
		send_ok(p, o);
}

static void do_flush(struct control *c, struct peer *p, const cJSON *req)
{
	struct waiting *w = waiting_new(c);
	uint64_t ino, ticket = 0;
	int rc = w ? find_path(c, req, &ino) : -ENOMEM;

	if (rc == 0)
		rc = engine_flush(c->nmb->engine, ino,
		                  json_i64(req, "timeout_ms", -1), wait_ended,
		                  w, &ticket);
	if (rc < 0) {
		free(w);
		send_error(p, rc, strerror(-rc));
		return;
	}
	lock_take(&c->lock, LOCK_LEAF);
	w->ticket = ticket;
	lock_drop(&c->lock, LOCK_LEAF);
	p->waiting = w;
	p->flush = true;
	p->left_files = p->left_bytes = UINT64_MAX;
	p->progress_ms = 0;
}

static void do_poll(struct control *c, struct peer *p)
{
	struct waiting *w = waiting_new(c);
	int rc = w ? engine_poll(c->nmb->engine, wait_ended, w) : -ENOMEM;

	if (rc < 0) {
		free(w);
		send_error(p, rc, strerror(-rc));
		return;
	}
	p->waiting = w;
	p->flush = false;
}

static void do_kick(struct control *c, struct peer *p)
{
	session_kick(c->nmb->session);
	engine_kick(c->nmb->engine);
	fetch_kick(c->nmb->fetch);
	send_ok(p, NULL);
}

/* What this device knows of the item's versions is forgotten: the next one that
 * is seen is believed. */
static int forget_bond(struct nmb *nmb, uint64_t ino)
{
	struct node *n = malloc(sizeof(*n));
	struct db *db;
	int rc = n ? store_begin(nmb->store, &db) : -ENOMEM;

	if (rc < 0) {
		free(n);
		return rc;
	}
	rc = node_get(db, ino, n);
	if (rc == 0 && !node_on_server(n))
		rc = -ENOENT;
	if (rc == 0)
		rc = bond_forget(db, n->s_id);
	free(n);
	return rc < 0 ? store_rollback(nmb->store, rc)
	              : store_commit(nmb->store);
}

static void do_accept(struct control *c, struct peer *p, const cJSON *req)
{
	uint64_t ino;
	int rc = json_str(req, "path") ? find_path(c, req, &ino) : -EINVAL;

	if (rc == 0)
		rc = forget_bond(c->nmb, ino);
	if (rc < 0)
		send_error(p, rc, strerror(-rc));
	else
		send_ok(p, NULL);
}

static void do_request(struct control *c, struct peer *p, const cJSON *req)
{
	const char *what = json_str(req, "do");

	if (!what || p->waiting) {
		send_error(p, -EINVAL, "not a request");
	} else if (!strcmp(what, "status")) {
		do_status(c, p, req);
	} else if (!strcmp(what, "flush")) {
		do_flush(c, p, req);
	} else if (!strcmp(what, "poll")) {
		do_poll(c, p);
	} else if (!strcmp(what, "kick")) {
		do_kick(c, p);
	} else if (!strcmp(what, "accept")) {
		do_accept(c, p, req);
	} else if (!strcmp(what, "events")) {
		p->events = true;
		send_json(p, control_status(c->nmb));
	} else if (!strcmp(what, "stop")) {
		send_ok(p, NULL);
		c->nmb->stop(c->nmb);
	} else {
		send_error(p, -ENOSYS, "unknown request");
	}
}

/* ---- peers --------------------------------------------------------------- */

static void drop_peer(struct control *c, int i)
{
	struct peer *p = c->peer[i];

	leave_waiting(c, p);
	close(p->fd);
	buf_done(&p->in);
	buf_done(&p->out);
	free(p);
	c->peer[i] = NULL;
}

static void accept_peer(struct control *c)
{
	int fd =
		accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct peer *p;

	if (fd < 0)
		return;
	for (int i = 0; i < MAX_PEERS; i++) {
		if (c->peer[i])
			continue;
		p = calloc(1, sizeof(*p));
		if (!p)
			break;
		p->fd = fd;
		c->peer[i] = p;
		return;
	}
	close(fd);
}

static void take_lines(struct control *c, struct peer *p)
{
	char *end;

	while (!p->closing && p->in.len &&
	       (end = memchr(p->in.data, '\n', p->in.len))) {
		size_t len = (size_t)(end - p->in.data);
		cJSON *req = json_parse(p->in.data, len);

		do_request(c, p, req);
		cJSON_Delete(req);
		buf_drop(&p->in, len + 1);
	}
	if (p->in.len > MAX_LINE)
		p->closing = true;
}

static void read_peer(struct control *c, struct peer *p)
{
	char data[4096];
	ssize_t n = read(p->fd, data, sizeof(data));

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		p->closing = true;
		return;
	}
	if (n > 0 && buf_add(&p->in, data, (size_t)n) < 0)
		p->closing = true;
	take_lines(c, p);
}

static void write_peer(struct peer *p)
{
	ssize_t n;

	if (!p->out.len)
		return;
	n = send(p->fd, p->out.data, p->out.len, MSG_NOSIGNAL);
	if (n > 0)
		buf_drop(&p->out, (size_t)n);
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		p->closing = true;
}

/* ---- the thread ---------------------------------------------------------- */

static int fill_poll(struct control *c, struct pollfd *fds, int *map)
{
	int n = 2, timeout = -1;

	fds[0] = (struct pollfd){ .fd = c->listen_fd, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = c->event_fd, .events = POLLIN };
	for (int i = 0; i < MAX_PEERS; i++) {
		struct peer *p = c->peer[i];

		if (!p)
			continue;
		if (p->waiting && p->flush)
			timeout = PROGRESS_MS;
		map[n] = i;
		fds[n++] = (struct pollfd){
			.fd = p->fd,
			.events = (short)(POLLIN | (p->out.len ? POLLOUT : 0)),
		};
	}
	poll(fds, (nfds_t)n, timeout);
	return n;
}

static void tell_changes(struct control *c)
{
	bool changed;

	lock_take(&c->lock, LOCK_LEAF);
	changed = c->changed;
	c->changed = false;
	lock_drop(&c->lock, LOCK_LEAF);
	for (int i = 0; changed && i < MAX_PEERS; i++) {
		if (c->peer[i] && c->peer[i]->events)
			send_json(c->peer[i], control_status(c->nmb));
	}
}

static void serve_peers(struct control *c, struct pollfd *fds, const int *map,
                        int n)
{
	int64_t now = clock_mono_ms();

	for (int k = 2; k < n; k++) {
		struct peer *p = c->peer[map[k]];

		if (fds[k].revents & (POLLIN | POLLHUP | POLLERR))
			read_peer(c, p);
		check_waiting(c, p, now);
	}
	tell_changes(c);
	for (int k = 2; k < n; k++) {
		struct peer *p = c->peer[map[k]];

		write_peer(p);
		if (p->closing)
			drop_peer(c, map[k]);
	}
}

static bool must_stop(struct control *c)
{
	bool stop;

	lock_take(&c->lock, LOCK_LEAF);
	stop = c->stop;
	lock_drop(&c->lock, LOCK_LEAF);
	return stop;
}

static void *control_run(void *arg)
{
	struct control *c = arg;
	struct pollfd fds[MAX_PEERS + 2];
	int map[MAX_PEERS + 2];

	while (!must_stop(c)) {
		int n = fill_poll(c, fds, map);
		uint64_t count;

		if (fds[1].revents & POLLIN &&
		    read(c->event_fd, &count, sizeof(count)) < 0)
			log_debug("control: %s", strerror(errno));
		serve_peers(c, fds, map, n);
		if (fds[0].revents & POLLIN)
			accept_peer(c);
	}
	for (int i = 0; i < MAX_PEERS; i++) {
		if (c->peer[i])
			drop_peer(c, i);
	}
	return NULL;
}

/* ---- life ---------------------------------------------------------------- */

/* A socket's name has 107 bytes, a state directory may have more: it is named
 * by a descriptor. *out_dir is the caller's to close, after use of the name. */
static int fill_address(const char *state_dir, struct sockaddr_un *out,
                        int *out_dir)
{
	int fd = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	memset(out, 0, sizeof(*out));
	out->sun_family = AF_UNIX;
	snprintf(out->sun_path, sizeof(out->sun_path),
	         "/proc/self/fd/%d/control", fd);
	*out_dir = fd;
	return 0;
}

static int bind_and_listen(int fd, const struct sockaddr_un *addr)
{
	/* The lock says that nobody else is there: what lies here is old. */
	unlink(addr->sun_path);
	if (bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ||
	    chmod(addr->sun_path, 0600) < 0 || listen(fd, 16) < 0)
		return -errno;
	return 0;
}

static int listen_on(struct control *c)
{
	struct sockaddr_un addr;
	int rc = fill_address(c->nmb->state_dir, &addr, &c->dir_fd), fd;

	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	rc = fd < 0 ? -errno : bind_and_listen(fd, &addr);
	if (rc < 0) {
		if (fd >= 0)
			close(fd);
		close(c->dir_fd);
		return rc;
	}
	c->listen_fd = fd;
	return 0;
}

static void stop_listening(struct control *c)
{
	unlinkat(c->dir_fd, "control", 0);
	close(c->listen_fd);
	close(c->dir_fd);
}

int control_new(struct nmb *nmb, struct control **out_c)
{
	struct control *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return -ENOMEM;
	c->nmb = nmb;
	pthread_mutex_init(&c->lock, NULL);
	c->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = c->event_fd < 0 ? -errno : listen_on(c);
	if (rc == 0) {
		*out_c = c;
		return 0;
	}
	if (c->event_fd >= 0)
		close(c->event_fd);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return rc;
}

int control_start(struct control *c)
{
	int rc = -pthread_create(&c->thread, NULL, control_run, c);

	c->started = rc == 0;
	return rc;
}

void control_stop(struct control *c)
{
	if (!c)
		return;
	lock_take(&c->lock, LOCK_LEAF);
	c->stop = true;
	lock_drop(&c->lock, LOCK_LEAF);
	ring(c);
	if (c->started)
		pthread_join(c->thread, NULL);
	stop_listening(c);
}

void control_free(struct control *c)
{
	if (!c)
		return;
	close(c->event_fd);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void control_changed(struct control *c)
{
	lock_take(&c->lock, LOCK_LEAF);
	c->changed = true;
	lock_drop(&c->lock, LOCK_LEAF);
	ring(c);
}

/* ---- the other side ------------------------------------------------------ */

static int64_t left_ms(int64_t until)
{
	int64_t left = until < 0 ? -1 : until - clock_mono_ms();

	return until >= 0 && left < 0 ? 0 : left;
}

static int connect_to(const char *state_dir)
{
	struct sockaddr_un addr;
	int dir, fd, rc = fill_address(state_dir, &addr, &dir);

	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
		fd = rc;
	}
	close(dir);
	return fd;
}

static int send_request(int fd, const cJSON *request)
{
	char *text = cJSON_PrintUnformatted(request);
	struct buf b = BUF_INIT;
	size_t done = 0;
	int rc = 0;

	if (!text)
		return -ENOMEM;
	buf_add_str(&b, text);
	buf_add_char(&b, '\n');
	cJSON_free(text);
	if (b.failed)
		rc = -ENOMEM;
	while (rc == 0 && done < b.len) {
		ssize_t n = send(fd, b.data + done, b.len - done, MSG_NOSIGNAL);

		if (n < 0)
			rc = -errno;
		else
			done += (size_t)n;
	}
	buf_done(&b);
	return rc;
}

/* 1: that was the last line; its outcome in *out_rc. */
static int take_answer(const char *text, size_t len, control_line_fn *line,
                       void *arg, int *out_rc, char *why, unsigned size)
{
	cJSON *o = json_parse(text, len);
	bool last = json_get(o, "ok") != NULL;

	if (o && line)
		line(arg, o);
	*out_rc = o ? 0 : -EPROTO;
	if (last && !json_bool(o, "ok", false)) {
		const char *error = json_str(o, "error");

		*out_rc = -(int)json_i64(o, "errno", EIO);
		snprintf(why, size, "%s", error ? error : "failed");
	}
	cJSON_Delete(o);
	return last || *out_rc < 0;
}

static int read_answers(int fd, int64_t until, control_line_fn *line, void *arg,
                        char *why, unsigned size)
{
	struct buf in = BUF_INIT;
	int rc = 0;
	bool last = false;

	while (!last && rc == 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		char data[4096], *end;
		ssize_t n;

		if (poll(&p, 1, (int)left_ms(until)) == 0) {
			rc = -ETIMEDOUT;
			break;
		}
		n = read(fd, data, sizeof(data));
		if (n <= 0) {
			rc = n < 0 && errno != EINTR ? -errno : -EPIPE;
			break;
		}
		buf_add(&in, data, (size_t)n);
		while (!last && in.len &&
		       (end = memchr(in.data, '\n', in.len))) {
			size_t len = (size_t)(end - in.data);

			last = take_answer(in.data, len, line, arg, &rc, why,
			                   size);
			buf_drop(&in, len + 1);
		}
	}
	buf_done(&in);
	return rc;
}

int control_call(const char *state_dir, const cJSON *request, int timeout_ms,
                 control_line_fn *line, void *arg, char *why, unsigned size)
{
	int64_t until = timeout_ms < 0 ? -1 : clock_mono_ms() + timeout_ms;
	int fd = connect_to(state_dir), rc;

	why[0] = '\0';
	if (fd < 0)
		return fd;
	rc = send_request(fd, request);
	if (rc == 0)
		rc = read_answers(fd, until, line, arg, why, size);
	close(fd);
	if (rc < 0 && !why[0])
		snprintf(why, size, "the running mount: %s", strerror(-rc));
	return rc;
}
