/* fs/sdnotify.h -- tells the service manager how this process stands.
 *
 * The protocol of sd_notify(3), which is stable and meant to be implemented by
 * others ("Notes" there): a datagram of KEY=VALUE lines to the socket that
 * $NOTIFY_SOCKET names (a path, or @ for an abstract name). Threads: the
 * environment is read by sdnotify_init(); the rest from any. */
#ifndef NMB_SDNOTIFY_H
#define NMB_SDNOTIFY_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct sdnotify {
	int fd; /* -1: nobody asked */
	struct sockaddr_un addr;
	socklen_t addr_len;
	int64_t watchdog_ms; /* a WATCHDOG=1 at least that often; 0: none */
};

/* 0; -ENOENT: nobody asked to be told; -EINVAL: a socket of a kind that is not
 * known; -Exxx. On an error sdnotify_send() does nothing. */
int sdnotify_init(struct sdnotify *n);
void sdnotify_done(struct sdnotify *n);

/* `state`: "READY=1\nSTATUS=..."; no value may have a line feed. 0 or -Exxx,
 * after a second at most. */
int sdnotify_send(const struct sdnotify *n, const char *state);

#endif
