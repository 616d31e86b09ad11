#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/graphd/exchange.h"
#include "tests/graphd/fault.h"
#include "tests/graphd/must.h"
#include "tests/graphd/wire.h"

#define OK_LINE  "HTTP/1.1 200 OK\r\n"
#define CHUNKED  OK_LINE "Transfer-Encoding: chunked\r\n\r\n"
#define POLL_MS  50
#define STALL_MS (INT64_C(3600) * 1000)
#define MORE     1000 /* bytes promised or sent beyond the true ones */

/* `text`, then `again` until the client has enough of it, then a stall. */
static const struct wire_kind {
	const char *name, *text, *again;
	bool stalls;
} kinds[] = {
	{ "garbage", "SSH-2.0-OpenSSH_9.2\r\n\r\n", NULL, false },
	{ "half_header", OK_LINE "Content-Le", NULL, false },
	{ "stall_header", OK_LINE "Content-Le", NULL, true },
	{ "endless_header", OK_LINE, "X-Header: abcdefghijklmnop\r\n", false },
	{ "endless_line", OK_LINE "X-Header: ", "abcdefghijklmnop", false },
	{ "bad_chunk", CHUNKED "xyz\r\n", NULL, false },
	{ "endless_chunks", CHUNKED, "1\r\n \r\n", false },
};

/* False: the client is gone, or graphd stops. */
static bool send_all(struct exchange *x, const char *data, size_t len)
{
	struct pollfd p = { .fd = x->fd, .events = POLLOUT };

	while (len) {
		ssize_t n = send(x->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0) {
			data += n;
			len -= (size_t)n;
		} else if (errno != EAGAIN && errno != EINTR) {
			return false;
		} else {
			poll(&p, 1, POLL_MS);
			if (!wire_sleep(x->g->wire, x->fd, 0))
				return false;
		}
	}
	return true;
}

static bool send_again(struct exchange *x, const char *piece)
{
	size_t len = strlen(piece), size = len * 512;
	char *block = must_alloc(size);

	for (size_t at = 0; at < size; at += len)
		memcpy(block + at, piece, len);
	while (send_all(x, block, size))
		;
	free(block);
	return false;
}

/* The true body behind a length that is not its own. */
static void send_wrong_length(struct exchange *x, bool too_long)
{
	const struct buf *body = &x->out.body;
	size_t told = too_long ? body->len + MORE : body->len / 2;
	char *head = must_printf("HTTP/1.1 %d Fault\r\nContent-Length: %zu\r\n"
	                         "Content-Type: application/json\r\n"
	                         "Connection: close\r\n\r\n",
	                         x->out.status, told);

	if (send_all(x, head, strlen(head)))
		send_all(x, body->data ? body->data : "", body->len);
	free(head);
}

void fault_wire_send(struct exchange *x)
{
	const struct fault_hit *hit = &x->hit;
	int64_t stall_ms = hit->stall_ms ? hit->stall_ms : STALL_MS;

	if (x->https)
		return; /* not ours to write into: it is cut */
	if (strstr(hit->wire, "_length")) {
		send_wrong_length(x, !strcmp(hit->wire, "long_length"));
		return;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		const struct wire_kind *k = &kinds[i];

		if (strcmp(k->name, hit->wire) ||
		    !send_all(x, k->text, strlen(k->text)))
			continue;
		if (k->again)
			send_again(x, k->again);
		if (k->stalls)
			wire_stall(x->g->wire, x->fd, stall_ms);
	}
}
