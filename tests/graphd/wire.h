/* tests/graphd/wire.h -- how slow the network is: latency per class of
 * request, extra for new connections, bandwidth up and down.
 *
 * Threads: any; own lock, not held while sleeping. */
#ifndef NMB_TESTS_GRAPHD_WIRE_H
#define NMB_TESTS_GRAPHD_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "tests/graphd/route.h"

struct wire;

int wire_new(struct wire **out_w);
void wire_free(struct wire *w);
void wire_stop(struct wire *w); /* ends every sleep, now and later */

void wire_reset(struct wire *w); /* no latency, no limit */

/* {"*": ms, "connect": ms, "<class>": ms, ...}; -EINVAL: no such class. */
int wire_set_latency(struct wire *w, const cJSON *latency);
/* {"up": bytes/s, "down": bytes/s}; 0: no limit. -EINVAL. */
int wire_set_bandwidth(struct wire *w, const cJSON *bandwidth);

int64_t wire_latency_ms(struct wire *w, enum route_class class);
int64_t wire_connect_ms(struct wire *w);

/* Sleeps. False: the client is gone or graphd stops; `fd` -1: no client. */
bool wire_sleep(struct wire *w, int fd, int64_t ms);

/* As wire_sleep(), but wire_release() ends it early, with true. */
bool wire_stall(struct wire *w, int fd, int64_t ms);
/* The same of what was to stall since wire_releases() said so. */
unsigned wire_releases(struct wire *w);
bool wire_stall_since(struct wire *w, int fd, int64_t ms, unsigned releases);
void wire_release(struct wire *w);

/* Sleeps as long as these bytes take on the shared line. */
enum wire_dir { WIRE_UP, WIRE_DOWN };
bool wire_pass(struct wire *w, int fd, enum wire_dir dir, uint64_t bytes);
bool wire_is_limited(struct wire *w, enum wire_dir dir);

#endif
