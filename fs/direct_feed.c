#include "fs/direct_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/interrupt.h"
#include "fs/session.h"

/* Which feed there is: as in engine_feed.c, but for one enumeration. Below one
 * folder on personal drives, of the whole drive on others; where the service
 * has none, folder after folder is listed. */

#define MAX_STARTS 3 /* the service may ask to start anew (facts 7.3) */

struct feed {
	struct direct *d;
	direct_each_fn *each;
	void *arg;
	struct item item;
	struct graph_walk walk;
	bool refused; /* there is no such feed */
	bool anew;
	unsigned starts;
};

/* ---- the feed ------------------------------------------------------------ */

static int give_all(struct feed *f, const cJSON *value)
{
	const cJSON *v;
	int rc = 0;

	cJSON_ArrayForEach (v, value) {
		struct graph_item g;

		if (graph_parse_item(v, &g) < 0 || item_copy(&g, &f->item) < 0)
			continue;
		rc = f->each(f->arg, &f->item);
		if (rc != 0)
			break;
	}
	return rc;
}

/* The request for the page after it, if there is one. */
static int take_page(struct feed *f, const struct graph_result *r,
                     struct graph_prepared *next, bool *out_more)
{
	struct graph *g = f->d->session->graph;
	struct graph_page page = { 0 };
	int rc = r->json ? graph_parse_page(g, r->json, &page) : -EBADMSG;

	if (rc == 0 && page.next_link)
		rc = graph_walk_on(&f->walk, &page);
	if (rc == 0 && !page.next_link && !page.delta_link)
		rc = -EBADMSG; /* it breaks off: that is no end */
	if (rc < 0) {
		direct_say(f->d,
		           "the service's list of changes makes no sense");
		return rc;
	}
	rc = give_all(f, page.value);
	*out_more = rc == 0 && page.next_link;
	return *out_more ? graph_prepare_link(g, page.next_link, next) : rc;
}

static int failed(struct feed *f, const struct graph_answer *a, int rc,
                  bool first)
{
	if (first && (a->status == 501 || a->status == 400 || a->status == 405))
		f->refused = true;
	else if (a->status == 410 || (!first && a->status == 400))
		f->anew = true;
	direct_say_answer(f->d, "listing the drive", a, rc);
	return rc;
}

/* What was given so far does not count. */
static int start(struct feed *f)
{
	f->walk = (struct graph_walk){ 0 };
	f->refused = f->anew = false;
	return f->starts++ ? f->each(f->arg, NULL) : 0;
}

static int read_feed(struct feed *f, const char *folder_id)
{
	struct graph_prepared p = direct_call();
	bool more = true, first = true;
	int rc = start(f);

	if (rc == 0)
		rc = graph_prepare_delta(f->d->session->graph, folder_id, false,
		                         &p);
	while (rc == 0 && more) {
		struct graph_result r;

		rc = direct_wait(f->d, &p, &r);
		graph_prepared_done(&p);
		p = direct_call();
		if (rc < 0)
			rc = failed(f, &r.answer, rc, first);
		else
			rc = take_page(f, &r, &p, &more);
		graph_result_done(&r);
		first = false;
		if (rc == 0 && interrupt_seen())
			rc = -EINTR;
	}
	graph_prepared_done(&p);
	return rc;
}

/* ---- listing all folders ------------------------------------------------- */

struct folders {
	struct feed *feed;
	char (*id)[NODE_ID_MAX + 1];
	size_t n, cap;
};

static int add_folder(struct folders *l, const char *id)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		void *more = realloc(l->id, cap * sizeof(*l->id));

		if (!more)
			return -ENOMEM;
		l->id = more;
		l->cap = cap;
	}
	snprintf(l->id[l->n++], sizeof(*l->id), "%s", id);
	return 0;
}

/* direct_each_fn */
static int give_listed(void *arg, const struct item *it)
{
	struct folders *l = arg;
	int rc = l->feed->each(l->feed->arg, it);

	if (rc == 0 && it->kind == ITEM_FOLDER)
		rc = add_folder(l, it->id);
	if (rc == 0 && interrupt_seen())
		rc = -EINTR;
	return rc;
}

static int list_all(struct feed *f, const char *folder_id)
{
	struct folders l = { .feed = f };
	int rc = start(f);

	if (rc == 0)
		rc = add_folder(&l, folder_id);
	for (size_t i = 0; i < l.n && rc == 0; i++) {
		char id[NODE_ID_MAX + 1];

		/* The list grows meanwhile, and moves. */
		snprintf(id, sizeof(id), "%s", l.id[i]);
		rc = direct_raw_list(f->d, id, give_listed, &l);
	}
	free(l.id);
	return rc;
}

/* ---- the enumeration ----------------------------------------------------- */

static int try_feed(struct feed *f, const char *folder_id)
{
	int rc = -EIO;

	f->anew = true;
	for (int i = 0; i < MAX_STARTS && f->anew; i++)
		rc = read_feed(f, folder_id);
	return rc;
}

int direct_raw_feed(struct direct *d, const char *folder_id, bool personal,
                    direct_each_fn *each, void *arg)
{
	struct feed *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return -ENOMEM;
	f->d = d;
	f->each = each;
	f->arg = arg;
	f->refused = f->anew = true;
	rc = -EIO;
	if (personal)
		rc = try_feed(f, folder_id);
	if (rc < 0 && (f->refused || f->anew))
		rc = try_feed(f, NULL);
	if (rc < 0 && f->refused)
		rc = list_all(f, folder_id);
	free(f);
	return rc;
}
