/* net/http_url.h -- what may be asked for, and which server it is.
 *
 * Reads URLs with libcurl's own parser, so that what is checked here is what
 * libcurl goes to. Threads: any. */
#ifndef NMB_HTTP_URL_H
#define NMB_HTTP_URL_H

#include <stdbool.h>

struct http_origin {
	bool https;
	bool loopback;    /* a literal loopback address, or localhost */
	char *name;       /* "https://host:port", lower case */
	const char *host; /* within `name`, for logs; up to the end */
};

/* 0; -EPROTO if it is no absolute URL, holds a user or password, or its scheme
 * is neither https nor http; -ENOMEM. */
int http_origin_init(struct http_origin *o, const char *url);
void http_origin_done(struct http_origin *o);

#endif
