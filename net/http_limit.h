/* net/http_limit.h -- a token bucket: bytes per second over many transfers.
 *
 * Pure: time comes in, in milliseconds, and never runs backwards. What was
 * taken may exceed what was there (a received piece is taken whole): the
 * bucket is then in debt and grants nothing until that is paid.
 * Threads: none. */
#ifndef NMB_HTTP_LIMIT_H
#define NMB_HTTP_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_bucket {
	uint64_t rate;   /* bytes per second; 0: no limit */
	int64_t level;   /* thousandths of bytes that may go; negative: debt */
	int64_t last_ms; /* when `level` was right */
};

/* Starts full enough for one piece. */
void http_bucket_set(struct http_bucket *b, uint64_t rate, int64_t now_ms);

/* How many of `want` bytes may go now; 0: none before http_bucket_due_ms(). */
size_t http_bucket_grant(struct http_bucket *b, size_t want, int64_t now_ms);

void http_bucket_take(struct http_bucket *b, size_t bytes);

/* When something may go, `now_ms` or later. */
int64_t http_bucket_due_ms(struct http_bucket *b, int64_t now_ms);

#endif
