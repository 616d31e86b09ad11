#include "fs/control.h"
#include "fs/control_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fs/bwlimit.h"
#include "fs/events.h"
#include "fs/lock.h"
#include "fs/netwatch.h"
#include "fs/nmb.h"
#include "fs/resume.h"
#include "fs/session.h"
#include "net/buf.h"
#include "net/clock.h"
#include "net/json.h"
#include "net/log.h"

#define FIRST_PEER 4 /* fds in front of theirs */
#define MAX_LINE   65536

/* ---- peers --------------------------------------------------------------- */

static void drop_peer(struct control *c, int i)
{
	struct peer *p = c->peer[i];

	control_leave_waiting(c, p);
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
	for (int i = 0; i < CONTROL_PEERS; i++) {
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

		control_request(c, p, req);
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

static int state_timeout(const struct control *c)
{
	int64_t left = c->state_ms - clock_mono_ms();

	return !c->state_due ? -1 : left > 0 ? (int)left : 0;
}

static int fill_poll(struct control *c, struct pollfd *fds, int *map)
{
	int n = FIRST_PEER, timeout = state_timeout(c);

	fds[0] = (struct pollfd){ .fd = c->listen_fd, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = c->event_fd, .events = POLLIN };
	fds[2] = (struct pollfd){ .fd = c->resume.fd, .events = POLLIN };
	fds[3] = (struct pollfd){ .fd = c->netwatch_fd, .events = POLLIN };
	for (int i = 0; i < CONTROL_PEERS; i++) {
		struct peer *p = c->peer[i];

		if (!p)
			continue;
		if (p->waiting && p->flush &&
		    (timeout < 0 || timeout > CONTROL_PROGRESS_MS))
			timeout = CONTROL_PROGRESS_MS;
		map[n] = i;
		fds[n++] = (struct pollfd){
			.fd = p->fd,
			.events = (short)(POLLIN | (p->out.len ? POLLOUT : 0)),
		};
	}
	poll(fds, (nfds_t)n, timeout);
	return n;
}

static void serve_peers(struct control *c, struct pollfd *fds, const int *map,
                        int n)
{
	int64_t now = clock_mono_ms();

	for (int k = FIRST_PEER; k < n; k++) {
		struct peer *p = c->peer[map[k]];

		if (fds[k].revents & (POLLIN | POLLHUP | POLLERR))
			read_peer(c, p);
		control_check_waiting(c, p, now);
	}
	control_events_turn(c);
	for (int k = FIRST_PEER; k < n; k++) {
		struct peer *p = c->peer[map[k]];

		write_peer(p);
		control_tell_lost(p);
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

/* It was set, or the machine slept. */
static void clock_moved(struct control *c)
{
	bool slept = resume_has_slept(&c->resume);

	bwlimit_look(c->nmb->session->bwlimit);
	if (slept)
		control_kick(c);
}

static void *control_run(void *arg)
{
	struct control *c = arg;
	struct pollfd fds[CONTROL_PEERS + FIRST_PEER];
	int map[CONTROL_PEERS + FIRST_PEER];

	while (!must_stop(c)) {
		int n = fill_poll(c, fds, map);
		uint64_t count;

		if (fds[1].revents & POLLIN &&
		    read(c->event_fd, &count, sizeof(count)) < 0)
			log_debug("control: %s", strerror(errno));
		if (fds[2].revents & POLLIN)
			clock_moved(c);
		if (fds[3].revents && netwatch_changed(c->netwatch_fd))
			control_network_changed(c);
		serve_peers(c, fds, map, n);
		if (fds[0].revents & POLLIN)
			accept_peer(c);
	}
	control_events_end(c);
	for (int i = 0; i < CONTROL_PEERS; i++) {
		if (!c->peer[i])
			continue;
		write_peer(c->peer[i]);
		drop_peer(c, i);
	}
	return NULL;
}

/* ---- life ---------------------------------------------------------------- */

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
	int rc = control_address(c->nmb->state_dir, &addr, &c->dir_fd), fd;

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
	resume_init(&c->resume);
	c->netwatch_fd = netwatch_open();
	c->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = c->event_fd < 0 ? -errno : listen_on(c);
	if (rc == 0) {
		events_listen(nmb->events, control_touch, c);
		*out_c = c;
		return 0;
	}
	if (c->event_fd >= 0)
		close(c->event_fd);
	resume_done(&c->resume);
	netwatch_close(c->netwatch_fd);
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
	control_ring(c);
	if (c->started)
		pthread_join(c->thread, NULL);
	stop_listening(c);
}

void control_free(struct control *c)
{
	if (!c)
		return;
	close(c->event_fd);
	resume_done(&c->resume);
	netwatch_close(c->netwatch_fd);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
