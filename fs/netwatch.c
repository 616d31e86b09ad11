#include "fs/netwatch.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "net/log.h"

#define GROUPS                                                                 \
	(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |               \
	 RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE)

int netwatch_open(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK,
		                    .nl_groups = GROUPS };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
	                NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		log_info("changes of the network are not noticed: %s",
		         strerror(errno));
		netwatch_close(fd);
		return -1;
	}
	return fd;
}

void netwatch_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* What it was does not matter; too much of it (ENOBUFS) is a change too. */
bool netwatch_changed(int fd)
{
	char buf[8192];
	bool changed = false;
	ssize_t n;

	do {
		n = recv(fd, buf, sizeof(buf), 0);
		changed |= n > 0 || (n < 0 && errno == ENOBUFS);
	} while (n > 0 || (n < 0 && (errno == EINTR || errno == ENOBUFS)));
	return changed;
}
