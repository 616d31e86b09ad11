/* net/probe.h -- does a host answer at all, and what time is it there?
 *
 * One GET without a bearer; whatever status comes is an answer. Blocks; not on
 * the network thread. */
#ifndef NMB_PROBE_H
#define NMB_PROBE_H

#include <stdint.h>

struct http;

struct probe {
	long status;
	int64_t date;     /* of the answer's Date, s since 1970; 0: none */
	int64_t here;     /* the clock here at that moment, s since 1970 */
	char detail[160]; /* of an error: one line, holds no secret */
};

/* 0: an answer came. -Exxx as in struct http_answer; ends after `total_ms`. */
int probe_host(struct http *h, const char *url, int total_ms,
               struct probe *out);

#endif
