#include "net/upload_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONFLICT "@microsoft.graph.conflictBehavior"

/* ---- the opening request (facts 5.1) ------------------------------------- */

static bool fill_item(cJSON *item, const struct upload_spec *spec)
{
	bool is_new = !spec->item_id;

	return cJSON_AddStringToObject(item, CONFLICT,
	                               is_new ? "fail" : "replace") &&
	       (!is_new || cJSON_AddStringToObject(item, "name", spec->name)) &&
	       cJSON_AddNumberToObject(item, "fileSize", (double)spec->total) &&
	       (!spec->has_mtime || graph_add_file_times(item, spec->mtime_ns));
}

static char *open_body(const struct upload_spec *spec)
{
	cJSON *json = cJSON_CreateObject();
	cJSON *item = cJSON_AddObjectToObject(json, "item");
	char *text = NULL;

	if (item && fill_item(item, spec) &&
	    (!spec->defer_commit || cJSON_AddTrueToObject(json, "deferCommit")))
		text = cJSON_PrintUnformatted(json);
	cJSON_Delete(json);
	return text;
}

/* Safe to repeat: a session whose URL got lost does nothing (facts 14). */
int upload_prepare_open(const struct upload_spec *spec,
                        struct graph_prepared *p)
{
	struct buf path = BUF_INIT;

	if (spec->item_id) {
		graph_add_item(spec->graph, &path, spec->item_id);
		buf_add_str(&path, "/createUploadSession");
	} else {
		graph_add_child(spec->graph, &path, spec->parent_id, spec->name,
		                "/createUploadSession", "");
	}
	p->path = buf_steal(&path);
	p->body = open_body(spec);
	p->etag = spec->item_id && spec->etag ? strdup(spec->etag) : NULL;
	if (!p->path || !p->body || (spec->item_id && spec->etag && !p->etag)) {
		graph_prepared_done(p);
		return -ENOMEM;
	}
	p->c.kind = RETRY_WRITE;
	p->c.method = "POST";
	p->c.path = p->path;
	p->c.if_match = p->etag;
	p->c.body = p->body;
	p->c.body_len = strlen(p->body);
	p->c.prio = spec->prio;
	p->c.batch = true;
	return 0;
}

const char *upload_parse_url(const cJSON *json)
{
	const char *url = json_str(json, "uploadUrl");

	return url && http_url_allowed(url) ? url : NULL;
}

/* ---- what is missing (facts 5.2) ----------------------------------------- */

/* "123-" or "123-456"; more than 18 digits are no size. */
static bool parse_range(const char *s, uint64_t *out_from)
{
	size_t digits = strspn(s, "0123456789");

	if (!digits || digits > 18 || s[digits] != '-' ||
	    s[digits + 1 + strspn(s + digits + 1, "0123456789")])
		return false;
	*out_from = strtoull(s, NULL, 10);
	return true;
}

/* Sent in order, so the first entry says it all; it is taken as the lowest in
 * case the list isn't sorted. */
enum upload_missing upload_parse_ranges(const cJSON *json, uint64_t total,
                                        uint64_t *out_next)
{
	const cJSON *list = json_arr(json, "nextExpectedRanges"), *entry;
	uint64_t from, lowest = UINT64_MAX;

	if (!list)
		return UPLOAD_MISSING_WHAT;
	cJSON_ArrayForEach (entry, list) {
		const char *text = cJSON_GetStringValue(entry);

		if (!text || !parse_range(text, &from))
			return UPLOAD_MISSING_WHAT;
		if (from < lowest)
			lowest = from;
	}
	if (lowest == UINT64_MAX)
		return UPLOAD_MISSING_NONE;
	if (lowest >= total)
		return UPLOAD_MISSING_WHAT;
	*out_next = lowest;
	return UPLOAD_MISSING_FROM;
}

/* Wherever it begins, it ends at a multiple of the granule, counted from 0, or
 * at the end. */
uint64_t upload_fragment_end(uint64_t from, uint64_t size, uint64_t total)
{
	uint64_t end = (from + size) / UPLOAD_GRANULE * UPLOAD_GRANULE;

	return end > total ? total : end;
}
