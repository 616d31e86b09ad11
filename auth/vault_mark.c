#include "auth/vault_store.h"

#include <errno.h>
#include <string.h>

int vault_mark_prepare(struct graph *g, const struct vault_mark *m,
                       struct graph_prepared *p)
{
	return graph_prepare_get_item(g, m->file.id, p);
}

/* What counts is the content: tags of some drives move by themselves. Without a
 * hash nobody can say, so it is read. */
static enum vault_mark_verdict compare(struct vault_mark *m,
                                       const struct object *now)
{
	if (strcmp(now->id, m->file.id) != 0 ||
	    strcmp(now->name, m->file.name) != 0)
		return VAULT_MARK_CHANGED;
	if (strcmp(now->etag, m->file.etag) != 0 && !object_same(now, &m->file))
		return VAULT_MARK_CHANGED;
	m->file = *now;
	return VAULT_MARK_SAME;
}

enum vault_mark_verdict vault_mark_judge(struct vault_mark *m,
                                         const struct graph_answer *a)
{
	struct graph_item item;
	struct object now;

	if (a->status == 404 || a->status == 410)
		return VAULT_MARK_CHANGED;
	if (a->rc < 0 || !a->json || graph_parse_item(a->json, &item) < 0)
		return VAULT_MARK_UNKNOWN;
	if (item.deleted)
		return VAULT_MARK_CHANGED;
	if (object_copy(&item, &now) < 0)
		return VAULT_MARK_UNKNOWN;
	return compare(m, &now);
}

enum vault_mark_verdict vault_mark_look(struct graph *g, struct vault_mark *m,
                                        int64_t patience_ms)
{
	struct graph_prepared p = { .c = { .prio = HTTP_PRIO_META,
		                           .patience_ms = patience_ms } };
	enum vault_mark_verdict v = VAULT_MARK_UNKNOWN;
	struct graph_result r = { 0 };

	if (vault_mark_prepare(g, m, &p) < 0)
		return v;
	graph_wait(g, &p.c, &r);
	v = vault_mark_judge(m, &r.answer);
	graph_result_done(&r);
	graph_prepared_done(&p);
	return v;
}

bool vault_mark_is_touched(struct vault_mark *m, const struct graph_item *it)
{
	struct object now;

	if (strcmp(it->id, m->file.id) != 0)
		return false;
	if (it->deleted || object_copy(it, &now) < 0)
		return true;
	return compare(m, &now) != VAULT_MARK_SAME;
}
