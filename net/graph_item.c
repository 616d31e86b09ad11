#include "net/graph.h"

#include <errno.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "net/clock.h"
#include "net/graph_internal.h"
#include "net/quickxor.h"

#define MAX_ID    255
#define MAX_ETAG  1024
#define MAX_EMPTY 5000 /* pages */

/* A string that may stand in a URL segment or a header: NULL if it can't. */
static const char *usable(const char *s, size_t max)
{
	size_t len = s ? strlen(s) : 0;

	if (!len || len > max)
		return NULL;
	for (const char *c = s; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return NULL;
	return s;
}

/* Packages, shortcuts and albums may carry a file or folder facet besides
 * their own (facts 2.3, 2.7). */
static enum graph_kind item_kind(const cJSON *json, bool root)
{
	if (json_get(json, "package") || json_get(json, "remoteItem") ||
	    json_get(json, "bundle"))
		return GRAPH_OTHER;
	if (json_obj(json, "folder") || root)
		return GRAPH_FOLDER;
	if (json_obj(json, "file"))
		return GRAPH_FILE;
	return GRAPH_OTHER;
}

static int64_t not_negative(const cJSON *obj, const char *name)
{
	int64_t n = json_i64(obj, name, -1);

	return n < 0 ? -1 : n;
}

static bool item_time(const cJSON *obj, const char *name, int64_t *out_ns)
{
	const char *text = json_str(obj, name);

	return text && clock_parse_rfc3339(text, out_ns) == 0;
}

/* The hash of nothing comes for empty files and with tombstones (facts 12.1,
 * 13 #22): no evidence of anything. */
static bool item_hash(const cJSON *json, uint8_t out[GRAPH_HASH_SIZE])
{
	static const uint8_t zero[GRAPH_HASH_SIZE];
	const cJSON *hashes = json_obj(json_obj(json, "file"), "hashes");
	const char *text = json_str(hashes, "quickXorHash");

	if (!text || quickxor_from_text(text, out) < 0 ||
	    !memcmp(out, zero, sizeof(zero))) {
		memset(out, 0, GRAPH_HASH_SIZE);
		return false;
	}
	return true;
}

static const char *item_download_url(const cJSON *json)
{
	const char *url = json_str(json, "@microsoft.graph.downloadUrl");

	if (!url)
		url = json_str(json, "@content.downloadUrl");
	return url && http_url_allowed(url) ? url : NULL;
}

int graph_parse_item(const cJSON *json, struct graph_item *out)
{
	const char *id = usable(json_str(json, "id"), MAX_ID);
	const cJSON *info = json_obj(json, "fileSystemInfo");
	struct graph_item item = { .id = id };

	if (!cJSON_IsObject(json) || !id)
		return -EBADMSG;
	item.name = json_str(json, "name");
	item.etag = usable(json_str(json, "eTag"), MAX_ETAG);
	item.parent_id = usable(
		json_str(json_obj(json, "parentReference"), "id"), MAX_ID);
	item.root = json_get(json, "root") != NULL;
	item.deleted = json_get(json, "deleted") != NULL;
	item.malware = json_get(json, "malware") != NULL;
	item.kind = item_kind(json, item.root);
	item.size = not_negative(json, "size");
	item.has_hash = item_hash(json, item.hash);
	if (!item_time(info, "lastModifiedDateTime", &item.mtime_ns))
		item_time(json, "lastModifiedDateTime", &item.mtime_ns);
	item_time(json, "createdDateTime", &item.created_ns);
	item.child_count = not_negative(json_obj(json, "folder"), "childCount");
	item.download_url = item_download_url(json);
	*out = item;
	return 0;
}

/* The bearer goes where the link leads, so only to where it belongs. */
static int own_link(struct graph *g, const cJSON *json, const char *name,
                    const char **out_link)
{
	const char *link = json_str(json, name);

	if (link && !graph_is_own_url(g, link))
		return -EXDEV;
	*out_link = link;
	return 0;
}

int graph_parse_page(struct graph *g, const cJSON *json, struct graph_page *out)
{
	struct graph_page page = { .value = json_arr(json, "value") };
	int rc;

	if (!page.value)
		return -EBADMSG;
	rc = own_link(g, json, "@odata.nextLink", &page.next_link);
	if (rc == 0 && !page.next_link)
		rc = own_link(g, json, "@odata.deltaLink", &page.delta_link);
	if (rc < 0)
		return rc;
	*out = page;
	return 0;
}

/* Brent: the link that all others are compared with is exchanged at each power
 * of two. Empty pages are common, thousands of them in a row are not. */
int graph_walk_on(struct graph_walk *w, const struct graph_page *page)
{
	const char *link = page->next_link;
	uint64_t sum = XXH3_64bits(link, strlen(link));

	w->empty = page->value->child ? 0 : w->empty + 1;
	if ((w->steps && sum == w->mark) || w->empty > MAX_EMPTY)
		return -ELOOP;
	if (w->steps++ == w->until) {
		w->mark = sum;
		w->until = w->steps * 2;
	}
	return 0;
}

/* Missing, zero, negative and contradictory numbers have all been seen: a
 * total that isn't positive means that nothing is known (facts 2.6). */
int graph_parse_drive(const cJSON *json, struct graph_drive *out)
{
	const cJSON *quota = json_obj(json, "quota");
	struct graph_drive drive = { .total = -1, .used = -1, .remaining = -1 };
	int64_t remaining = json_i64(quota, "remaining", INT64_MIN);

	if (!cJSON_IsObject(json))
		return -EBADMSG;
	drive.id = usable(json_str(json, "id"), MAX_ID);
	drive.type = json_str(json, "driveType");
	drive.web_url = json_str(json, "webUrl");
	drive.used = not_negative(quota, "used");
	drive.total = not_negative(quota, "total");
	if (drive.total <= 0) {
		drive.total = -1;
		if (drive.used == 0)
			drive.used = -1;
	} else if (remaining != INT64_MIN) {
		drive.remaining = remaining < 0 ? 0 : remaining;
	}
	*out = drive;
	return 0;
}

static bool is_personal_drive(const char *id)
{
	size_t len = strspn(id, "0123456789abcdefABCDEF");

	return len > 0 && len <= 16 && !id[len];
}

bool graph_same_drive(const char *a, const char *b)
{
	if (!is_personal_drive(a) || !is_personal_drive(b))
		return !strcmp(a, b);
	return !strcasecmp(a + strspn(a, "0"), b + strspn(b, "0"));
}
