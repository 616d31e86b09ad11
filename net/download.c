#include "net/download_internal.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

/* ---- life ---------------------------------------------------------------- */

static void destroy(struct download *d)
{
	struct graph *g = d->g;

	pthread_mutex_destroy(&d->lock);
	sodium_free(d->url);
	free(d->item_id);
	free(d->etag);
	free(d->version_id);
	free(d);
	graph_unref(g);
}

void download_ref(struct download *d)
{
	pthread_mutex_lock(&d->lock);
	d->refs++;
	pthread_mutex_unlock(&d->lock);
}

void download_unref(struct download *d)
{
	bool last;

	pthread_mutex_lock(&d->lock);
	last = --d->refs == 0;
	pthread_mutex_unlock(&d->lock);
	if (last)
		destroy(d);
}

static void close_here(struct graph_mail *m)
{
	struct download *d =
		(struct download *)((char *)m -
	                            offsetof(struct download, close_mail));
	struct download_range *r, *next;

	for (r = LIST_FIRST(&d->ranges); r; r = next) {
		next = LIST_NEXT(r, link);
		range_cancel_here(r);
	}
	download_unref(d);
}

static int copy_string(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -ENOMEM : 0;
}

int download_new(struct graph *g, const char *item_id, const char *etag,
                 uint64_t size, const char *url, const char *version_id,
                 struct download **out_d)
{
	struct download *d;
	int rc;

	rc = graph_ref_running(g);
	if (rc < 0)
		return rc;
	d = calloc(1, sizeof(*d));
	if (!d) {
		graph_unref(g);
		return -ENOMEM;
	}
	d->g = g;
	d->size = size;
	d->refs = 1;
	d->close_mail.open = close_here;
	LIST_INIT(&d->ranges);
	pthread_mutex_init(&d->lock, NULL);
	if (copy_string(&d->item_id, item_id) < 0 ||
	    copy_string(&d->etag, etag) < 0 ||
	    copy_string(&d->version_id, version_id) < 0 ||
	    (url && http_url_allowed(url) && !download_replace_url(d, url))) {
		destroy(d);
		return -ENOMEM;
	}
	*out_d = d;
	return 0;
}

/* The owner's reference goes with the mail. */
void download_free(struct download *d)
{
	if (d)
		graph_post_surely(d->g, &d->close_mail);
}

/* ---- ranges -------------------------------------------------------------- */

static void cancel_mail_opened(struct graph_mail *m)
{
	struct download_range *r =
		(struct download_range *)((char *)m -
	                                  offsetof(struct download_range,
	                                           cancel_mail));

	range_cancel_here(r);
	range_unref(r);
}

int download_start(struct download *d, uint64_t off, uint64_t len,
                   enum http_prio prio, int64_t patience_ms,
                   download_data_fn *data, download_done_fn *done, void *arg,
                   struct download_range **out_r)
{
	struct download_range *r;
	int rc;

	if (off > d->size || len > d->size - off)
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->d = d;
	r->refs = 1;
	r->off = off;
	r->end = off + len;
	r->prio = prio;
	r->patience_ms = patience_ms;
	r->data = data;
	r->done = done;
	r->arg = arg;
	r->begin_mail.open = range_begin;
	r->cancel_mail.open = cancel_mail_opened;
	download_ref(d);
	if (out_r)
		*out_r = r;
	rc = graph_post(d->g, &r->begin_mail);
	if (rc < 0) {
		free(r);
		download_unref(d);
	}
	return rc;
}

void download_cancel(struct download_range *r)
{
	struct download *d = r->d;
	bool post;

	pthread_mutex_lock(&d->lock);
	post = !r->cancel;
	r->cancel = true;
	if (post)
		r->refs++;
	pthread_mutex_unlock(&d->lock);
	if (post)
		graph_post_surely(d->g, &r->cancel_mail);
}

void download_resume(struct download_range *r)
{
	pthread_mutex_lock(&r->d->lock);
	if (r->req)
		http_resume(r->req);
	pthread_mutex_unlock(&r->d->lock);
}
