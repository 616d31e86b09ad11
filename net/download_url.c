#include "net/download_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "net/clock.h"
#include "net/log.h"

bool download_replace_url(struct download *d, const char *url)
{
	char *copy = graph_copy_guarded(url);

	if (!copy)
		return false;
	sodium_free(d->url);
	d->url = copy;
	d->url_seq++;
	d->host_tag[0] = '\0';
	d->led = false;
	return true;
}

void download_drop_url(struct download *d, uint64_t seq)
{
	if (seq != d->url_seq)
		return; /* somebody has got another one meanwhile */
	sodium_free(d->url);
	d->url = NULL;
}

/* All who wait for it. Their callbacks may start other ranges, which come
 * later, and end none of these. */
static void tell_ranges(struct download *d, int rc)
{
	struct download_range *r, *next;

	d->fetching = false;
	for (r = LIST_FIRST(&d->ranges); r; r = next) {
		next = LIST_NEXT(r, link);
		if (r->state != RANGE_URLLESS)
			continue;
		if (rc < 0)
			range_end(r, rc);
		else
			range_url_came(r);
	}
	download_unref(d);
}

static int answer_rc(const struct graph_answer *a)
{
	if (a->status == 404 || a->status == 410)
		return -ENOENT;
	return a->offline ? -ENETUNREACH : a->rc;
}

/* ---- by redirect: GET .../content ---------------------------------------- */

/* The place it leads to gets no bearer from us, and nothing in the clear. */
static int take_location(struct download *d, const struct graph_answer *a)
{
	if (a->rc < 0)
		return answer_rc(a);
	if (!a->location || !http_url_allowed(a->location))
		return -EIO;
	return download_replace_url(d, a->location) ? 0 : -ENOMEM;
}

static void content_answered(void *arg, const struct graph_answer *a)
{
	struct download *d = arg;

	tell_ranges(d, take_location(d, a));
}

static int ask_content(struct download *d, enum http_prio prio,
                       int64_t patience_ms)
{
	struct graph_call c = { .kind = RETRY_READ,
		                .method = "GET",
		                .prio = prio,
		                .patience_ms = patience_ms,
		                .done = content_answered,
		                .arg = d };
	struct buf path = BUF_INIT;
	int rc;

	graph_add_item(d->g, &path, d->item_id);
	if (d->version_id) {
		buf_add_str(&path, "/versions/");
		graph_add_id(&path, d->version_id);
	}
	buf_add_str(&path, "/content");
	c.path = path.data;
	rc = path.failed ? -ENOMEM : graph_start(d->g, &c);
	buf_done(&path);
	return rc;
}

/* ---- with the item: shows also whether it is still the same -------------- */

static int check_item(const struct download *d, const struct graph_item *item)
{
	if (item->deleted)
		return -ENOENT;
	if (item->malware)
		return -EPERM;
	if (d->etag && item->etag && strcmp(d->etag, item->etag) != 0)
		return -ESTALE;
	if (item->size >= 0 && (uint64_t)item->size != d->size)
		return -ESTALE;
	return 0;
}

/* 0, -Exxx, or -ENODATA: the item is right but brought no URL. */
static int take_item(struct download *d, const struct graph_answer *a)
{
	struct graph_item item;
	int rc;

	if (a->rc < 0)
		return answer_rc(a);
	if (graph_parse_item(a->json, &item) < 0)
		return -EIO;
	rc = check_item(d, &item);
	if (rc < 0)
		return rc;
	if (!item.download_url)
		return -ENODATA;
	return download_replace_url(d, item.download_url) ? 0 : -ENOMEM;
}

static int64_t longest_patience(const struct download *d)
{
	const struct download_range *r;
	int64_t longest = 0;

	LIST_FOREACH (r, &d->ranges, link) {
		if (r->state == RANGE_URLLESS && r->patience_ms < 0)
			return -1;
		if (r->state == RANGE_URLLESS && r->patience_ms > longest)
			longest = r->patience_ms;
	}
	return longest;
}

static void item_answered(void *arg, const struct graph_answer *a)
{
	struct download *d = arg;
	int rc = take_item(d, a);

	if (rc == -ENODATA)
		rc = ask_content(d, HTTP_PRIO_USER, longest_patience(d));
	else if (rc == 0)
		rc = 1;
	if (rc)
		tell_ranges(d, rc < 0 ? rc : 0);
}

static int ask_item(struct download *d, enum http_prio prio,
                    int64_t patience_ms)
{
	bool ahead = prio == HTTP_PRIO_BULK;
	struct graph_prepared p = { .c = { .prio = ahead ? HTTP_PRIO_META
		                                         : prio,
		                           .batch = ahead,
		                           .gather = ahead,
		                           .patience_ms = patience_ms,
		                           .done = item_answered,
		                           .arg = d } };
	int rc = graph_prepare_get_item(d->g, d->item_id, &p);

	if (rc < 0)
		return rc;
	rc = graph_start(d->g, &p.c);
	graph_prepared_done(&p);
	return rc;
}

void download_fetch_url(struct download *d, const struct download_range *r)
{
	int64_t patience = longest_patience(d);
	int rc;

	if (d->fetching)
		return;
	d->fetching = true;
	download_ref(d);
	rc = d->version_id ? ask_content(d, r->prio, patience)
	                   : ask_item(d, r->prio, patience);
	if (rc < 0)
		tell_ranges(d, rc == -ESHUTDOWN ? -ECANCELED : rc);
}
