#include "net/http_url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "net/http.h"

/* libcurl answers "localhost" itself, without asking DNS (since 7.78). */
static bool is_loopback(const char *host)
{
	char text[INET6_ADDRSTRLEN];
	struct in_addr v4;
	struct in6_addr v6;
	size_t len = strlen(host);

	if (!strcasecmp(host, "localhost"))
		return true;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	if (len < 2 || len - 2 >= sizeof(text) || host[0] != '[')
		return false;
	memcpy(text, host + 1, len - 2);
	text[len - 2] = '\0';
	return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static int fill_origin(struct http_origin *o, const char *scheme,
                       const char *host, const char *port)
{
	if (!strcmp(scheme, "https"))
		o->https = true;
	else if (!strcmp(scheme, "http"))
		o->https = false;
	else
		return -EPROTO;
	if (asprintf(&o->name, "%s://%s:%s", scheme, host, port) < 0)
		return -ENOMEM;
	for (char *p = o->name; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	o->host = o->name + strlen(scheme) + 3;
	o->loopback = is_loopback(host);
	return 0;
}

int http_origin_init(struct http_origin *o, const char *url)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL, *port = NULL;
	int rc = -EPROTO;

	if (!u)
		return -ENOMEM;
	if (!curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER) &&
	    !curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) &&
	    !curl_url_get(u, CURLUPART_HOST, &host, 0) &&
	    !curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT))
		rc = fill_origin(o, scheme, host, port);
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	return rc;
}

void http_origin_done(struct http_origin *o)
{
	free(o->name);
	o->name = NULL;
	o->host = NULL;
}

bool http_url_allowed(const char *url)
{
	struct http_origin o;
	bool allowed;

	if (http_origin_init(&o, url) < 0)
		return false;
	allowed = o.https || o.loopback;
	http_origin_done(&o);
	return allowed;
}

bool http_same_origin(const char *url_a, const char *url_b)
{
	struct http_origin a, b;
	bool same;

	if (http_origin_init(&a, url_a) < 0)
		return false;
	if (http_origin_init(&b, url_b) < 0) {
		http_origin_done(&a);
		return false;
	}
	same = !strcmp(a.name, b.name);
	http_origin_done(&a);
	http_origin_done(&b);
	return same;
}
