#include "fs/direct_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/session.h"
#include "net/versions.h"

static int take_page(struct direct *d, const struct graph_result *r,
                     struct direct_versions *out, struct graph_walk *walk,
                     struct graph_prepared *next, bool *out_more)
{
	struct graph_page page = { 0 };
	int rc = r->json ? graph_parse_page(d->session->graph, r->json, &page)
	                 : -EBADMSG;

	if (rc == 0 && page.next_link)
		rc = graph_walk_on(walk, &page);
	if (rc == 0)
		rc = versions_add(page.value, &out->v, &out->n);
	if (rc < 0)
		direct_say(d, "the list of versions makes no sense");
	*out_more = rc == 0 && page.next_link;
	return *out_more ? graph_prepare_link(d->session->graph, page.next_link,
	                                      next)
	                 : rc;
}

int direct_versions(struct direct *d, const struct direct_file *f,
                    struct direct_versions *out)
{
	struct graph_prepared p = direct_call();
	struct graph_walk walk = { 0 };
	bool more = true;
	int rc = graph_prepare_versions(d->session->graph, f->item.id, &p);

	*out = (struct direct_versions){ 0 };
	while (rc == 0 && more) {
		struct graph_result r;

		rc = direct_wait(d, &p, &r);
		graph_prepared_done(&p);
		p = direct_call();
		if (rc < 0) {
			direct_say_answer(d, f->node.name, &r.answer, rc);
			if (r.answer.status == 404 || r.answer.status == 410)
				rc = -ENOENT;
		} else {
			rc = take_page(d, &r, out, &walk, &p, &more);
		}
		graph_result_done(&r);
	}
	if (rc < 0)
		direct_versions_done(out);
	return rc;
}

void direct_versions_done(struct direct_versions *v)
{
	free(v->v);
	*v = (struct direct_versions){ 0 };
}
