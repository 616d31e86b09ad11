#include "tests/graphd/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "net/log.h"
#include "tests/graphd/exchange.h"
#include "tests/graphd/graphd.h"
#include "tests/graphd/must.h"
#include "tests/graphd/send.h"
#include "tests/graphd/stats.h"

#define MAX_LISTENERS 4
#define CONNECTIONS   2000
#define MEMORY        (512 << 10) /* per connection; a read takes half of it */

struct server {
	struct graphd *g;
	const struct server_options *opt;
	bool https;
	int fds[MAX_LISTENERS]; /* until their daemons own them */
	size_t nfds;
	struct MHD_Daemon *daemons[MAX_LISTENERS];
	size_t ndaemons;
};

/* ---- callbacks
 * ---------------------------------------------------------------------- */

static void *on_target(void *arg, const char *uri, struct MHD_Connection *c)
{
	struct server *s = arg;

	(void)c;
	return exchange_new(s->g, uri);
}

static enum MHD_Result add_header(void *arg, enum MHD_ValueKind kind,
                                  const char *name, const char *value)
{
	(void)kind;
	exchange_header(arg, name, value);
	return MHD_YES;
}

static int socket_of(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *i =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);

	return i ? (int)i->connect_fd : -1;
}

/* The connection's own mark: set until its first request. */
static bool take_new(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *i =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	bool *mark = i ? i->socket_context : NULL;
	bool is_new = mark && *mark;

	if (mark)
		*mark = false;
	return is_new;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c,
                                  const char *url, const char *method,
                                  const char *version, const char *data,
                                  size_t *size, void **context)
{
	struct exchange *x = *context;
	struct server *s = arg;
	bool ok;

	(void)url;
	(void)version;
	if (!x->begun) {
		MHD_get_connection_values(c, MHD_HEADER_KIND, add_header, x);
		ok = exchange_begin(x, method, socket_of(c), s->https,
		                    take_new(c));
		return ok ? MHD_YES : MHD_NO;
	}
	if (*size) {
		ok = exchange_data(x, data, *size);
		*size = 0;
		return ok ? MHD_YES : MHD_NO;
	}
	return exchange_finish(x) ? send_answer(x, c) : MHD_NO;
}

static void on_completed(void *arg, struct MHD_Connection *c, void **context,
                         enum MHD_RequestTerminationCode code)
{
	(void)arg;
	(void)c;
	(void)code;
	if (*context)
		exchange_free(*context);
	*context = NULL;
}

static void on_connection(void *arg, struct MHD_Connection *c,
                          void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
	struct server *s = arg;
	bool opens = code == MHD_CONNECTION_NOTIFY_STARTED;
	int on = 1;

	if (opens) {
		bool *mark = must_alloc(sizeof(*mark));

		*mark = true;
		*socket_context = mark;
		setsockopt(socket_of(c), IPPROTO_TCP, TCP_NODELAY, &on,
		           sizeof(on));
	} else {
		free(*socket_context);
		*socket_context = NULL;
	}
	pthread_mutex_lock(&s->g->lock);
	stats_connection(s->g->stats, opens ? 1 : -1);
	pthread_mutex_unlock(&s->g->lock);
}

/* Paths stay as they came: route.c decodes. */
static size_t keep_escapes(void *arg, struct MHD_Connection *c, char *s)
{
	(void)arg;
	(void)c;
	return strlen(s);
}

static void on_log(void *arg, const char *fmt, va_list ap)
{
	char line[256];

	(void)arg;
	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_debug("httpd=\"%s\"", line);
}

/* ---- start and stop
 * ------------------------------------------------------------------ */

static int listen_on(const char *address, uint16_t port, int *out_fd,
                     uint16_t *out_port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		                  .sin_port = htons(port) };
	socklen_t len = sizeof(sa);
	int on = 1, fd, rc;

	if (inet_pton(AF_INET, address, &sa.sin_addr) != 1)
		return -EINVAL;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    listen(fd, 1024) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	*out_fd = fd;
	*out_port = ntohs(sa.sin_port);
	return 0;
}

static void close_all(struct server *s)
{
	for (size_t i = s->ndaemons; i < s->nfds; i++)
		close(s->fds[i]);
	s->nfds = 0;
}

static int bind_all(struct server *s, uint16_t *port)
{
	int rc = 0;

	for (size_t i = 0; i < MAX_LISTENERS && s->opt->addresses[i]; i++) {
		rc = listen_on(s->opt->addresses[i], *port, &s->fds[s->nfds],
		               port);
		if (rc < 0)
			break;
		s->nfds++;
	}
	if (rc < 0)
		close_all(s);
	return rc;
}

int server_bind(const struct server_options *opt, struct server **out_s,
                uint16_t *out_port)
{
	struct server *s = must_alloc(sizeof(*s));
	uint16_t port = opt->port;
	int rc;

	s->opt = opt;
	s->https = opt->cert != NULL;
	rc = bind_all(s, &port);
	/* With port 0 the first listener picks one that may be taken on the
	 * other addresses: then another. */
	for (int tries = 0; rc == -EADDRINUSE && !opt->port && tries < 20;
	     tries++) {
		port = 0;
		rc = bind_all(s, &port);
	}
	if (rc < 0) {
		free(s);
		return rc;
	}
	*out_s = s;
	*out_port = port;
	return 0;
}

static struct MHD_Daemon *start_one(struct server *s, int fd)
{
	const struct server_options *opt = s->opt;
	unsigned flags = MHD_USE_THREAD_PER_CONNECTION |
	                 MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
	                 MHD_USE_ERROR_LOG | (s->https ? MHD_USE_TLS : 0);

	/* clang-format off */
	return MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, s,
		MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
		MHD_OPTION_CONNECTION_TIMEOUT, 0u,
		MHD_OPTION_THREAD_STACK_SIZE, (size_t)(512 << 10),
		MHD_OPTION_URI_LOG_CALLBACK, on_target, s,
		MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
		s->https ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END,
		opt->cert, MHD_OPTION_HTTPS_MEM_KEY, opt->key,
		MHD_OPTION_END);
	/* clang-format on */
}

int server_start(struct server *s, struct graphd *g)
{
	s->g = g;
	for (size_t i = 0; i < s->nfds; i++) {
		s->daemons[i] = start_one(s, s->fds[i]);
		if (!s->daemons[i])
			return -EINVAL;
		s->ndaemons++;
	}
	return 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->ndaemons; i++)
		MHD_stop_daemon(s->daemons[i]);
	close_all(s);
	free(s);
}
