#include <errno.h>
#include <netinet/in.h>
#include <linux/tcp.h> /* glibc's own lacks tcpi_bytes_acked */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http_internal.h"

curl_socket_t http_sock_open(void *arg, curlsocktype purpose,
                             struct curl_sockaddr *addr)
{
	struct http *h = arg;
	struct http_sock *s = calloc(1, sizeof(*s));

	(void)purpose;
	if (!s)
		return CURL_SOCKET_BAD;
	s->fd = socket(addr->family, addr->socktype | SOCK_CLOEXEC,
	               addr->protocol);
	if (s->fd < 0) {
		free(s);
		return CURL_SOCKET_BAD;
	}
	LIST_INSERT_HEAD(&h->socks, s, link);
	return s->fd;
}

static void forget(struct http *h, struct http_sock *s)
{
	struct http_request *r;

	TAILQ_FOREACH (r, &h->running, link) {
		if (r->sock == s)
			r->sock = NULL;
	}
	LIST_REMOVE(s, link);
	free(s);
}

int http_sock_close(void *arg, curl_socket_t fd)
{
	struct http *h = arg;
	struct http_sock *s;

	LIST_FOREACH (s, &h->socks, link) {
		if (s->fd == fd) {
			forget(h, s);
			break;
		}
	}
	return close(fd);
}

static int port_of(const struct sockaddr_storage *a)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (a->ss_family == AF_INET) {
		memcpy(&v4, a, sizeof(v4));
		return ntohs(v4.sin_port);
	}
	if (a->ss_family == AF_INET6) {
		memcpy(&v6, a, sizeof(v6));
		return ntohs(v6.sin6_port);
	}
	return -1;
}

static bool has_ports(curl_socket_t fd, int local_port, int peer_port)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &len) < 0 ||
	    port_of(&a) != local_port)
		return false;
	len = sizeof(a);
	return getpeername(fd, (struct sockaddr *)&a, &len) == 0 &&
	       port_of(&a) == peer_port;
}

/* libcurl 7.88 doesn't say which connection it gave to a running transfer
 * (CURLINFO_ACTIVESOCKET is -1 then [run]): known by its ports. */
void http_sock_attach(struct http_request *r, int local_port, int peer_port)
{
	struct http_sock *s;

	http_sock_detach(r);
	LIST_FOREACH (s, &r->h->socks, link) {
		if (has_ports(s->fd, local_port, peer_port)) {
			s->users++;
			s->connected = true;
			r->sock = s;
			return;
		}
	}
}

void http_sock_detach(struct http_request *r)
{
	if (r->sock)
		r->sock->users--;
	r->sock = NULL;
}

/* The request is broken off: what the kernel still holds of it must not arrive
 * later, beside what is sent next (facts 5.2: one request at a time for each
 * session). The connection is reset instead of closed. */
void http_sock_break(const struct http_request *r)
{
	struct linger none = { .l_onoff = 1, .l_linger = 0 };

	if (r->sock && r->sock->users == 1)
		setsockopt(r->sock->fd, SOL_SOCKET, SO_LINGER, &none,
		           sizeof(none));
}

/* A number that grows when the other side took or gave a byte. What libcurl
 * wrote may sit in the kernel for a minute on a slow line, and only TCP knows
 * that it is moving. 0 on a connection shared with other requests. */
uint64_t http_sock_progress(const struct http_request *r)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (!r->sock || r->sock->users != 1)
		return 0;
	memset(&info, 0, sizeof(info));
	if (getsockopt(r->sock->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return 0;
	return info.tcpi_bytes_acked + info.tcpi_bytes_received;
}

/* libcurl sees a shut socket as dead when it wants to reuse it. */
void http_sock_drop_idle(struct http *h)
{
	struct http_sock *s;

	LIST_FOREACH (s, &h->socks, link) {
		if (s->connected && !s->users)
			shutdown(s->fd, SHUT_RDWR);
	}
}
