/* Sessions as JSON, so that an upload goes on after graphd was restarted. */
#include "tests/graphd/session.h"

#include <stdlib.h>
#include <string.h>

#include "net/json.h"
#include "tests/graphd/must.h"
#include "tests/graphd/session_internal.h"

static void put_i64(cJSON *o, const char *name, int64_t v)
{
	char *s = must_printf("%lld", (long long)v);

	cJSON_AddStringToObject(o, name, s);
	free(s);
}

static int64_t get_i64(const cJSON *o, const char *name)
{
	const char *s = json_str(o, name);

	return s ? strtoll(s, NULL, 10) : 0;
}

static cJSON *save_one(const struct session *s)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "guid", s->guid);
	cJSON_AddStringToObject(o, "target", s->target);
	if (s->name)
		cJSON_AddStringToObject(o, "name", s->name);
	if (s->description)
		cJSON_AddStringToObject(o, "description", s->description);
	put_i64(o, "item", (int64_t)s->item_num);
	put_i64(o, "parent", (int64_t)s->parent_num);
	put_i64(o, "how", s->how);
	put_i64(o, "guarded", s->guarded);
	put_i64(o, "etag_n", s->etag_n);
	put_i64(o, "doomed", s->doomed);
	put_i64(o, "defer", s->defer);
	put_i64(o, "created", s->fs_created_ns);
	put_i64(o, "modified", s->fs_modified_ns);
	put_i64(o, "total", s->total);
	put_i64(o, "bad_granule", s->bad_granule);
	put_i64(o, "expires", s->expires_ns);
	put_i64(o, "url_expires", s->url_expires_ns);
	put_i64(o, "num",
	        (int64_t)(s->blob ? s->blob->num : draft_num(s->draft)));
	put_i64(o, "kept",
	        (int64_t)(s->blob ? s->blob->size : draft_kept(s->draft)));
	cJSON_AddBoolToObject(o, "complete", s->blob != NULL);
	return o;
}

cJSON *session_save(struct graphd *g)
{
	cJSON *list = cJSON_CreateArray();

	for (struct session *s = g->sessions->first; s; s = s->next)
		cJSON_AddItemToArray(list, save_one(s));
	return list;
}

static void load_one(struct graphd *g, const cJSON *o)
{
	struct session *s = must_alloc(sizeof(*s));

	strncpy(s->guid, json_str(o, "guid"), sizeof(s->guid) - 1);
	s->target = must_copy(json_str(o, "target"));
	s->name = must_copy(json_str(o, "name"));
	s->description = must_copy(json_str(o, "description"));
	s->item_num = (uint64_t)get_i64(o, "item");
	s->parent_num = (uint64_t)get_i64(o, "parent");
	s->how = (enum conflict)get_i64(o, "how");
	s->guarded = get_i64(o, "guarded") != 0;
	s->etag_n = (unsigned)get_i64(o, "etag_n");
	s->doomed = get_i64(o, "doomed") != 0;
	s->defer = get_i64(o, "defer") != 0;
	s->fs_created_ns = get_i64(o, "created");
	s->fs_modified_ns = get_i64(o, "modified");
	s->total = get_i64(o, "total");
	s->bad_granule = get_i64(o, "bad_granule") != 0;
	s->expires_ns = get_i64(o, "expires");
	s->url_expires_ns = get_i64(o, "url_expires");
	s->fd = -1;
	if (draft_adopt(g->blobs, (uint64_t)get_i64(o, "num"),
	                (uint64_t)get_i64(o, "kept"), &s->draft) < 0) {
		session_free(s);
		return;
	}
	if (json_bool(o, "complete", false))
		s->blob = draft_take(s->draft);
	s->next = g->sessions->first;
	g->sessions->first = s;
}

void session_load(struct graphd *g, const cJSON *list)
{
	const cJSON *o;

	cJSON_ArrayForEach (o, list) {
		load_one(g, o);
	}
}
