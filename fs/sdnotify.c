#include "fs/sdnotify.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define SEND_S 1

/* A number of the environment, 0 if it is none. */
static int64_t read_number(const char *name)
{
	const char *s = getenv(name);
	long long v;
	char *end;

	if (!s || !isdigit((unsigned char)*s))
		return 0;
	errno = 0;
	v = strtoll(s, &end, 10);
	return errno || *end ? 0 : v;
}

/* sd_watchdog_enabled(3): microseconds, for that process only. */
static int64_t read_watchdog(void)
{
	int64_t us = read_number("WATCHDOG_USEC");
	int64_t pid = read_number("WATCHDOG_PID");

	if (us < 1000 || (pid && pid != getpid()))
		return 0;
	return us / 1000;
}

static int fill_address(struct sdnotify *n, const char *path)
{
	size_t len = strlen(path);

	if ((path[0] != '/' && path[0] != '@') || !path[1] ||
	    len >= sizeof(n->addr.sun_path))
		return -EINVAL;
	n->addr.sun_family = AF_UNIX;
	memcpy(n->addr.sun_path, path, len + 1);
	n->addr_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (path[0] == '@')
		n->addr.sun_path[0] = '\0';
	else
		n->addr_len++;
	return 0;
}

int sdnotify_init(struct sdnotify *n)
{
	const struct timeval patience = { .tv_sec = SEND_S };
	const char *path = getenv("NOTIFY_SOCKET");
	int rc;

	*n = (struct sdnotify){ .fd = -1 };
	if (!path || !*path)
		return -ENOENT;
	rc = fill_address(n, path);
	if (rc < 0)
		return rc;
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (n->fd < 0)
		return -errno;
	setsockopt(n->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	n->watchdog_ms = read_watchdog();
	return 0;
}

void sdnotify_done(struct sdnotify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

int sdnotify_send(const struct sdnotify *n, const char *state)
{
	ssize_t sent;

	if (n->fd < 0)
		return 0;
	do {
		sent = sendto(n->fd, state, strlen(state), MSG_NOSIGNAL,
		              (const struct sockaddr *)&n->addr, n->addr_len);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}
