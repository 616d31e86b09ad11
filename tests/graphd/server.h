/* tests/graphd/server.h -- HTTP in front of it all (libmicrohttpd).
 *
 * One thread per connection, so that a latency, a slow line or a stall holds
 * nobody else. One listener per address; Graph, sign-in and the content hosts
 * are told apart by path (route.h). */
#ifndef NMB_TESTS_GRAPHD_SERVER_H
#define NMB_TESTS_GRAPHD_SERVER_H

#include <stdint.h>

struct graphd;
struct server;

struct server_options {
	const char *const *addresses; /* IPv4, NULL ends */
	uint16_t port;                /* 0: any, the same for all */
	const char *cert, *key;       /* PEM texts; NULL: plain HTTP */
};

/* Takes the addresses; the port is in *out_port. 0 or -Exxx. */
int server_bind(const struct server_options *opt, struct server **out_s,
                uint16_t *out_port);
/* Answers from now on. 0 or -Exxx. */
int server_start(struct server *s, struct graphd *g);
/* Ends all requests (graphd_stop() comes first) and frees. */
void server_free(struct server *s);

#endif
