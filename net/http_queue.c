#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/http_internal.h"

static struct http_host *find_host(struct http *h, const char *name)
{
	struct http_host *host;

	LIST_FOREACH (host, &h->hosts, link) {
		if (!strcmp(host->name, name))
			return host;
	}
	host = calloc(1, sizeof(*host));
	if (!host)
		return NULL;
	host->name = strdup(name);
	if (!host->name) {
		free(host);
		return NULL;
	}
	for (int prio = 0; prio < HTTP_PRIOS; prio++)
		TAILQ_INIT(&host->queue[prio]);
	LIST_INSERT_HEAD(&h->hosts, host, link);
	return host;
}

/* Upload and download hosts come and go: none is kept for nothing. */
static void free_if_unused(struct http_host *host)
{
	if (host->running)
		return;
	for (int prio = 0; prio < HTTP_PRIOS; prio++) {
		if (!TAILQ_EMPTY(&host->queue[prio]))
			return;
	}
	LIST_REMOVE(host, link);
	free(host->name);
	free(host);
}

int http_queue_add(struct http *h, struct http_request *r)
{
	r->host = find_host(h, r->origin.name);
	if (!r->host)
		return -ENOMEM;
	TAILQ_INSERT_TAIL(&r->host->queue[r->spec.prio], r, link);
	r->place = HTTP_AT_QUEUE;
	return 0;
}

/* A quarter of the connections stays free of bulk transfers, so that a read
 * need not wait until an upload ends. */
static bool may_start(const struct http *h, const struct http_host *host,
                      enum http_prio prio)
{
	if (h->rest)
		return false;
	unsigned max = h->max_connections, spare = max > 1 ? (max + 3) / 4 : 0;

	if (host->running >= max)
		return false;
	return prio != HTTP_PRIO_BULK || host->running_bulk < max - spare;
}

bool http_request_held(const struct http_request *r)
{
	return r->h->hold_uploads && r->spec.prio == HTTP_PRIO_BULK &&
	       r->spec.body_len;
}

/* A download does not wait behind uploads that are held. */
static struct http_request *first_of(struct http_host *host, int prio)
{
	struct http_request *r;

	TAILQ_FOREACH (r, &host->queue[prio], link) {
		if (!http_request_held(r))
			break;
	}
	return r;
}

static struct http_request *next_of(struct http *h, struct http_host *host)
{
	for (int prio = 0; prio < HTTP_PRIOS; prio++) {
		struct http_request *r = first_of(host, prio);

		if (r && may_start(h, host, (enum http_prio)prio))
			return r;
	}
	return NULL;
}

struct http_request *http_queue_next(struct http *h)
{
	struct http_host *host;
	struct http_request *r = NULL;

	LIST_FOREACH (host, &h->hosts, link) {
		r = next_of(h, host);
		if (r)
			break;
	}
	if (!r)
		return NULL;
	TAILQ_REMOVE(&host->queue[r->spec.prio], r, link);
	TAILQ_INSERT_TAIL(&h->running, r, link);
	r->place = HTTP_AT_RUNNING;
	host->running++;
	host->running_bulk += r->spec.prio == HTTP_PRIO_BULK;
	return r;
}

void http_queue_remove(struct http_request *r)
{
	TAILQ_REMOVE(&r->host->queue[r->spec.prio], r, link);
	r->place = HTTP_AT_NONE;
	free_if_unused(r->host);
	r->host = NULL;
}

void http_queue_leave(struct http *h, struct http_request *r)
{
	TAILQ_REMOVE(&h->running, r, link);
	r->place = HTTP_AT_NONE;
	r->host->running--;
	r->host->running_bulk -= r->spec.prio == HTTP_PRIO_BULK;
	free_if_unused(r->host);
	r->host = NULL;
}

struct http_request *http_queue_any(struct http *h)
{
	struct http_host *host;

	LIST_FOREACH (host, &h->hosts, link) {
		for (int prio = 0; prio < HTTP_PRIOS; prio++) {
			if (!TAILQ_EMPTY(&host->queue[prio]))
				return TAILQ_FIRST(&host->queue[prio]);
		}
	}
	return NULL;
}
