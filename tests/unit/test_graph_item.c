#include "net/graph.h"

#include <errno.h>
#include <stdlib.h>

#include "net/quickxor.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

#define HASH "aCgDG9jwBhDc4Q1ybAMZFAAAAAA="
#define ZERO "AAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define T1   INT64_C(1795341312) /* 2026-11-22T09:55:12Z */

static cJSON *parse(const char *text)
{
	return json_parse(text, strlen(text));
}

static void no_token(void *token_arg, const char *stale,
                     graph_got_token_fn *got, void *arg)
{
	(void)token_arg;
	(void)stale;
	got(arg, -EACCES, NULL);
}

static struct graph *new_graph(struct http **out_http, const char *base)
{
	struct http_options options = { 0 };
	struct graph_options opt = { .base_url = base, .token = no_token };
	struct graph *g = NULL;

	CHECK_EQ(http_new(&options, out_http), 0);
	opt.http = *out_http;
	CHECK_EQ(graph_new(&opt, &g), 0);
	return g;
}

/* ---- items --------------------------------------------------------------- */

/* Shapes of facts 2.3 to 2.7, and what nobody should send. */
static const struct {
	const char *json;
	int rc;
	enum graph_kind kind;
	int64_t size, child_count, mtime_s;
	const char *name, *etag, *parent;
	bool root, deleted, malware, has_hash;
} items[] = {
	{ "{\"id\":\"01A\",\"name\":\"f\",\"size\":12,\"eTag\":\"\\\"{7A},"
	  "3\\\"\","
	  "\"parentReference\":{\"id\":\"01P\"},\"file\":{\"hashes\":"
	  "{\"quickXorHash\":\"" HASH "\"}},\"fileSystemInfo\":"
	  "{\"lastModifiedDateTime\":\"2026-11-22T09:55:12Z\"},"
	  "\"lastModifiedDateTime\":\"2026-11-22T10:01:07Z\"}",
	  0, GRAPH_FILE, 12, -1, T1, "f", "\"{7A},3\"", "01P",
	  .has_hash = true },
	{ "{\"id\":\"A!1\",\"folder\":{\"childCount\":3},\"size\":-5,"
	  "\"lastModifiedDateTime\":\"2026-11-22T09:55:12.043Z\"}",
	  0, GRAPH_FOLDER, -1, 3, .mtime_s = T1 },
	{ "{\"id\":\"r\",\"root\":{},\"name\":\"root\",\"size\":1}", 0,
	  GRAPH_FOLDER, 1, -1, 0, "root", .root = true },
	/* tombstones: no name, a hash of nothing, a value that is missing */
	{ "{\"id\":\"x\",\"deleted\":{},\"size\":0,\"file\":{\"hashes\":"
	  "{\"quickXorHash\":\"" ZERO "\"}}}",
	  0, GRAPH_FILE, 0, -1, 0, .deleted = true },
	{ "{\"id\":\"x\",\"deleted\":null}", 0, GRAPH_OTHER, -1, -1, 0,
	  .deleted = true },
	/* what is shown but never touched */
	{ "{\"id\":\"n\",\"package\":{\"type\":\"oneNote\"},\"folder\":{}}", 0,
	  GRAPH_OTHER, -1, -1, .mtime_s = 0 },
	{ "{\"id\":\"s\",\"remoteItem\":{\"id\":\"q\",\"folder\":{}}}", 0,
	  GRAPH_OTHER, -1, -1, .mtime_s = 0 },
	{ "{\"id\":\"b\",\"bundle\":{},\"folder\":{}}", 0, GRAPH_OTHER, -1, -1,
	  .mtime_s = 0 },
	{ "{\"id\":\"m\",\"file\":{},\"malware\":{}}", 0, GRAPH_FILE, -1, -1, 0,
	  .malware = true },
	/* wrong types and values have the "missing" value */
	{ "{\"id\":\"w\",\"name\":7,\"eTag\":{},\"size\":\"12\","
	  "\"parentReference\":[],\"file\":[],\"folder\":{\"childCount\":-1}}",
	  0, GRAPH_FOLDER, 12, -1, .mtime_s = 0 },
	{ "{\"id\":\"w\",\"file\":{\"hashes\":{\"quickXorHash\":\"short\"}},"
	  "\"size\":1e999,\"lastModifiedDateTime\":\"yesterday\"}",
	  0, GRAPH_FILE, -1, -1, .mtime_s = 0 },
	{ "{\"id\":\"w\",\"eTag\":\"a\\r\\nX-Evil: 1\","
	  "\"parentReference\":{\"id\":\"\"}}",
	  0, GRAPH_OTHER, -1, -1, .mtime_s = 0 },
	{ "{\"id\":\"first\",\"id\":\"second\",\"name\":\"a\\u0000b\"}", 0,
	  GRAPH_OTHER, -1, -1, 0,
	  .name = "a\xef\xbf\xbd"
	          "b" },
	{ "{}", .rc = -EBADMSG },
	{ "{\"id\":\"\"}", .rc = -EBADMSG },
	{ "{\"id\":12}", .rc = -EBADMSG },
	{ "{\"id\":\"a\\nb\"}", .rc = -EBADMSG },
	{ "[]", .rc = -EBADMSG },
	{ "\"id\"", .rc = -EBADMSG },
	{ "null", .rc = -EBADMSG },
};

static void test_items(void)
{
	for (size_t i = 0; i < ARRAY_LEN(items); i++) {
		cJSON *json = parse(items[i].json);
		struct graph_item item;

		check_row("%s", items[i].json);
		CHECK_EQ(graph_parse_item(json, &item), items[i].rc);
		if (items[i].rc == 0) {
			CHECK_EQ(item.kind, items[i].kind);
			CHECK_EQ(item.size, items[i].size);
			CHECK_EQ(item.child_count, items[i].child_count);
			CHECK_EQ(item.mtime_ns / 1000000000, items[i].mtime_s);
			CHECK_STR(item.name, items[i].name);
			CHECK_STR(item.etag, items[i].etag);
			CHECK_STR(item.parent_id, items[i].parent);
			CHECK_EQ(item.root, items[i].root);
			CHECK_EQ(item.deleted, items[i].deleted);
			CHECK_EQ(item.malware, items[i].malware);
			CHECK_EQ(item.has_hash, items[i].has_hash);
		}
		cJSON_Delete(json);
	}
	CHECK_EQ(graph_parse_item(NULL, NULL), -EBADMSG);
}

static void test_item_hash_and_long_id(void)
{
	char text[400] = "{\"id\":\"", hash[QUICKXOR_TEXT];
	struct graph_item item;
	cJSON *json = parse(items[0].json);

	CHECK_EQ(graph_parse_item(json, &item), 0);
	quickxor_to_text(item.hash, hash);
	CHECK_STR(hash, HASH);
	cJSON_Delete(json);
	for (unsigned n = 255; n <= 256; n++) {
		memset(text + 7, 'x', n);
		strcpy(text + 7 + n, "\"}");
		json = parse(text);
		CHECK_EQ(graph_parse_item(json, &item),
		         n == 255 ? 0 : -EBADMSG);
		cJSON_Delete(json);
	}
}

/* A download URL goes to libcurl: no other scheme, no plain http abroad. */
static void test_download_url(void)
{
	static const struct {
		const char *url;
		bool ok;
	} cases[] = {
		{ "https://x.sharepoint.com/d?tempauth=1", true },
		{ "http://127.0.0.1:80/d", true },
		{ "http://example.com/d", false },
		{ "file:///etc/passwd", false },
		{ "", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct graph_item item;
		char text[200];
		cJSON *json;

		snprintf(text, sizeof(text),
		         "{\"id\":\"a\",\"@microsoft.graph.downloadUrl\":\"%"
		         "s\"}",
		         cases[i].url);
		json = parse(text);
		check_row("%s", cases[i].url);
		CHECK_EQ(graph_parse_item(json, &item), 0);
		CHECK_STR(item.download_url, cases[i].ok ? cases[i].url : NULL);
		cJSON_Delete(json);
	}
}

/* ---- pages and drives ---------------------------------------------------- */

#define BASE "https://graph.microsoft.com/v1.0"

static void test_pages(void)
{
	static const struct {
		const char *json;
		int rc;
		const char *next, *delta;
	} cases[] = {
		{ "{\"value\":[]}", 0, NULL, NULL },
		{ "{\"value\":[{}],\"@odata.nextLink\":\"" BASE "/x?t=1\"}", 0,
		  BASE "/x?t=1", NULL },
		{ "{\"value\":[],\"@odata.deltaLink\":\"" BASE "/d\"}", 0, NULL,
		  BASE "/d" },
		{ "{\"value\":[],\"@odata.nextLink\":\"" BASE
		  "/n\",\"@odata.deltaLink\":\"" BASE "/d\"}",
		  0, BASE "/n", NULL },
		{ "{\"value\":[],\"@odata.nextLink\":7}", 0, NULL, NULL },
		{ "{\"value\":[],\"@odata.nextLink\":"
		  "\"https://evil.example/v1.0/x\"}",
		  .rc = -EXDEV },
		{ "{\"value\":[],\"@odata.nextLink\":"
		  "\"http://graph.microsoft.com/v1.0/x\"}",
		  .rc = -EXDEV },
		{ "{\"value\":[],\"@odata.deltaLink\":"
		  "\"https://graph.microsoft.com@evil.example/\"}",
		  .rc = -EXDEV },
		{ "{\"value\":[],\"@odata.nextLink\":\"/x\"}", .rc = -EXDEV },
		{ "{\"value\":{}}", .rc = -EBADMSG },
		{ "{}", .rc = -EBADMSG },
		{ "[]", .rc = -EBADMSG },
	};
	struct http *http;
	struct graph *g = new_graph(&http, BASE);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cJSON *json = parse(cases[i].json);
		struct graph_page page;

		check_row("%s", cases[i].json);
		CHECK_EQ(graph_parse_page(g, json, &page), cases[i].rc);
		if (cases[i].rc == 0) {
			CHECK_STR(page.next_link, cases[i].next);
			CHECK_STR(page.delta_link, cases[i].delta);
		}
		cJSON_Delete(json);
	}
	graph_free(g);
	http_free(http);
}

static void test_drives(void)
{
	static const struct {
		const char *json;
		int rc;
		const char *id;
		int64_t total, used, remaining;
	} cases[] = {
		{ "{\"id\":\"0a\",\"driveType\":\"personal\",\"quota\":"
		  "{\"total\":16,\"used\":15,\"remaining\":1}}",
		  0, "0a", 16, 15, 1 },
		{ "{\"id\":\"b!Q\",\"quota\":{\"total\":0,\"used\":0,"
		  "\"remaining\":0}}",
		  0, "b!Q", -1, -1, -1 },
		{ "{\"quota\":{\"total\":0,\"used\":7,\"remaining\":0}}", 0,
		  NULL, -1, 7, -1 },
		{ "{\"quota\":{\"total\":\"16\",\"used\":\"20\","
		  "\"remaining\":-4}}",
		  0, NULL, 16, 20, 0 },
		{ "{\"quota\":{\"total\":16}}", 0, NULL, 16, -1, -1 },
		{ "{}", 0, NULL, -1, -1, -1 },
		{ "{\"quota\":[]}", 0, NULL, -1, -1, -1 },
		{ "[]", .rc = -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cJSON *json = parse(cases[i].json);
		struct graph_drive drive;

		check_row("%s", cases[i].json);
		CHECK_EQ(graph_parse_drive(json, &drive), cases[i].rc);
		if (cases[i].rc == 0) {
			CHECK_STR(drive.id, cases[i].id);
			CHECK_EQ(drive.total, cases[i].total);
			CHECK_EQ(drive.used, cases[i].used);
			CHECK_EQ(drive.remaining, cases[i].remaining);
		}
		cJSON_Delete(json);
	}
}

/* ---- prepared calls ------------------------------------------------------ */

#define SELECT                                                                 \
	"$select=id,name,eTag,size,createdDateTime,lastModifiedDateTime,"      \
	"fileSystemInfo,parentReference,file,folder,package,root,remoteItem,"  \
	"deleted,malware"
#define FAIL "\"@microsoft.graph.conflictBehavior\":\"fail\""

static const int64_t some_time = INT64_C(1795341312000000000);

static int prepare(struct graph *g, unsigned which, struct graph_prepared *p)
{
	switch (which) {
	case 0:
		return graph_prepare_get_drive(g, p);
	case 1:
		return graph_prepare_get_root(g, p);
	case 2:
		return graph_prepare_get_item(g, "A!1/../x?", p);
	case 3:
		return graph_prepare_get_child(g, "P", "a#b %+'é.txt", p);
	case 4:
		return graph_prepare_list(g, "P", p);
	case 5:
		return graph_prepare_delta(g, NULL, false, p);
	case 6:
		return graph_prepare_delta(g, NULL, true, p);
	case 7:
		return graph_prepare_mkdir(g, "P", "a\"b", p);
	case 8:
		return graph_prepare_patch(g, "I", "e1", "P", "n", &some_time,
		                           p);
	case 9:
		return graph_prepare_patch(g, "I", NULL, NULL, "n", NULL, p);
	case 10:
		return graph_prepare_delete(g, "I", "\"{7A},3\"", p);
	case 11:
		return graph_prepare_put_new(g, "P", "n.txt", "data", 4, p);
	case 12:
		return graph_prepare_put(g, "I", "e1", "data", 4, p);
	case 13:
		return graph_prepare_versions(g, "I", p);
	case 14:
		return graph_prepare_link(g, BASE "/x?token=1", p);
	case 15:
		return graph_prepare_delta(g, "A!1", false, p);
	case 16:
		return graph_prepare_restore(g, "A!1", "P", NULL, p);
	case 17:
		return graph_prepare_restore(g, "I", NULL, NULL, p);
	}
	return -EINVAL;
}

static const struct {
	const char *method, *path, *body;
	enum retry_kind kind;
	unsigned units;
	const char *path_in_china; /* NULL: the same */
} prepared[] = {
	{ "GET", "/drives/b!Q", NULL, RETRY_READ, .units = 1 },
	{ "GET", "/drives/b!Q/root", NULL, RETRY_READ, .units = 1 },
	{ "GET", "/drives/b!Q/items/A!1%2F..%2Fx%3F", NULL, RETRY_READ,
	  .units = 1 },
	{ "GET", "/drives/b!Q/items/P:/a%23b%20%25%2B%27%C3%A9.txt", NULL,
	  RETRY_READ, 1,
	  "/drives/b!Q/items/P/children('@a1')?"
	  "@a1=%27a%23b%20%25%2B%27%27%C3%A9.txt%27" },
	{ "GET", "/drives/b!Q/items/P/children?$top=1000&" SELECT, NULL,
	  RETRY_READ, .units = 2 },
	{ "GET", "/drives/b!Q/root/delta?$top=1000&" SELECT, NULL, RETRY_READ,
	  .units = 2 },
	{ "GET", "/drives/b!Q/root/delta?token=latest", NULL, RETRY_READ,
	  .units = 2 },
	{ "POST", "/drives/b!Q/items/P/children",
	  "{\"name\":\"a\\\"b\",\"folder\":{}," FAIL "}", RETRY_CREATE,
	  .units = 2 },
	{ "PATCH", "/drives/b!Q/items/I",
	  "{\"name\":\"n\",\"parentReference\":{\"id\":\"P\"},"
	  "\"fileSystemInfo\":{\"lastModifiedDateTime\":"
	  "\"2026-11-22T09:55:12Z\"}," FAIL "}",
	  RETRY_WRITE, .units = 2 },
	{ "PATCH", "/drives/b!Q/items/I", "{\"name\":\"n\"," FAIL "}",
	  RETRY_WRITE, .units = 2 },
	{ "DELETE", "/drives/b!Q/items/I", NULL, RETRY_WRITE, .units = 2 },
	{ "PUT",
	  "/drives/b!Q/items/P:/n.txt:/content?"
	  "@microsoft.graph.conflictBehavior=fail",
	  "data", RETRY_CREATE, 2,
	  "/drives/b!Q/items/P/children('@a1')/content?"
	  "@microsoft.graph.conflictBehavior=fail&@a1=%27n.txt%27" },
	{ "PUT", "/drives/b!Q/items/I/content", "data", RETRY_WRITE,
	  .units = 2 },
	{ "GET", "/drives/b!Q/items/I/versions", NULL, RETRY_READ, .units = 2 },
	{ "GET", BASE "/x?token=1", NULL, RETRY_PAGE, .units = 2 },
	{ "GET", "/drives/b!Q/items/A!1/delta?$top=1000&" SELECT, NULL,
	  RETRY_READ, .units = 2 },
	{ "POST", "/drives/b!Q/items/A!1/restore",
	  "{\"parentReference\":{\"id\":\"P\"}}", RETRY_CREATE, .units = 2 },
	{ "POST", "/drives/b!Q/items/I/restore", "{}", RETRY_CREATE,
	  .units = 2 },
};

static void check_prepared(struct graph *g, bool china)
{
	for (unsigned i = 0; i < ARRAY_LEN(prepared); i++) {
		struct graph_prepared p = { .c = { .patience_ms = 7 } };
		const char *path = prepared[i].path;

		if (china && prepared[i].path_in_china)
			path = prepared[i].path_in_china;
		check_row("%u china=%d", i, china);
		CHECK_EQ(prepare(g, i, &p), 0);
		CHECK_STR(p.c.method, prepared[i].method);
		CHECK_STR(p.c.path, path);
		CHECK_EQ(p.c.kind, prepared[i].kind);
		CHECK_EQ(p.c.units, prepared[i].units);
		CHECK_EQ(p.c.patience_ms, 7);
		CHECK_EQ(p.c.body_len,
		         prepared[i].body ? strlen(prepared[i].body) : 0);
		if (p.c.body_len && prepared[i].body)
			CHECK_MEM(p.c.body, prepared[i].body, p.c.body_len);
		graph_prepared_done(&p);
	}
}

static void test_prepared(void)
{
	struct graph_prepared p = { 0 };
	struct http *http;
	struct graph *g = new_graph(&http, BASE);

	CHECK_EQ(graph_prepare_get_root(g, &p), 0);
	CHECK_STR(p.c.path, "/me/drive/root");
	graph_prepared_done(&p);
	CHECK_EQ(graph_set_drive(g, "b!Q"), 0);
	check_prepared(g, false);
	CHECK_EQ(graph_prepare_delete(g, "I", "tag", &p), 0);
	CHECK_STR(p.c.if_match, "tag");
	graph_prepared_done(&p);
	CHECK_EQ(graph_prepare_put(g, "I", NULL, "x", 1, &p), 0);
	CHECK_EQ(p.c.kind, RETRY_CREATE); /* no tag: look before a repeat */
	graph_prepared_done(&p);
	graph_free(g);
	http_free(http);
	g = new_graph(&http, "https://microsoftgraph.chinacloudapi.cn/v1.0");
	CHECK_EQ(graph_set_drive(g, "b!Q"), 0);
	check_prepared(g, true);
	graph_free(g);
	http_free(http);
}

static void test_out_of_memory(void)
{
	struct http *http;
	struct graph *g = new_graph(&http, BASE);

	for (unsigned n = 1; alloc_fail_at(n); n++)
		for (unsigned i = 0; i < ARRAY_LEN(prepared); i++) {
			struct graph_prepared p = { 0 };
			int rc = prepare(g, i, &p);

			CHECK(rc == 0 || rc == -ENOMEM);
			if (rc == 0)
				graph_prepared_done(&p);
		}
	alloc_fail_off();
	graph_free(g);
	http_free(http);
}

/* fault 92: lengths of a lead and of the loop behind it; 0: no loop */
static const struct {
	unsigned lead, loop;
} walks[] = { { 0, 1 }, { 0, 2 }, { 5, 1 }, { 3, 7 }, { 100, 33 }, { 9, 0 } };

static int walk(unsigned lead, unsigned loop, unsigned most, unsigned *steps)
{
	cJSON *value = json_parse("[{}]", 4);
	struct graph_walk w = { 0 };
	int rc = 0;

	for (*steps = 0; rc == 0 && *steps < most; (*steps)++) {
		unsigned at = *steps;
		char link[32];
		struct graph_page page = { .value = value, .next_link = link };

		if (loop && at > lead)
			at = lead + (at - lead) % loop;
		snprintf(link, sizeof(link), "https://x/%u", at);
		rc = graph_walk_on(&w, &page);
	}
	cJSON_Delete(value);
	return rc;
}

static void test_walks(void)
{
	unsigned steps;

	for (size_t i = 0; i < ARRAY_LEN(walks); i++) {
		unsigned lead = walks[i].lead, loop = walks[i].loop;

		check_row("%u and %u", lead, loop);
		CHECK_EQ(walk(lead, loop, 10000, &steps), loop ? -ELOOP : 0);
		CHECK(!loop || steps <= 3 * (lead + loop) + 3);
	}
}

static void test_empty_pages(void)
{
	cJSON *value = cJSON_CreateArray();
	struct graph_page page = { .value = value };
	struct graph_walk w = { 0 };
	char link[32];
	int rc = 0, n = 0;

	page.next_link = link;
	for (; rc == 0 && n < 100000; n++) {
		snprintf(link, sizeof(link), "https://x/%d", n);
		rc = graph_walk_on(&w, &page);
	}
	CHECK_EQ(rc, -ELOOP);
	CHECK(n > 1000);
	cJSON_Delete(value);
}

static void test_same_drive(void)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{ "0123456789abcdef", "0123456789ABCDEF", true },
		{ "0123456789abcdef", "123456789ABCDEF", true },
		{ "b!AbC-_", "b!AbC-_", true },
		{ "b!AbC-_", "b!abc-_", false },
		{ "0123456789abcdef", "0123456789abcdee", false },
		{ "0123456789abcdef0", "0123456789ABCDEF0", false },
		{ "b!0", "0", false },
		{ "0", "00", true },
		{ "", "0", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		check_row("%s %s", cases[i].a, cases[i].b);
		CHECK_EQ(graph_same_drive(cases[i].a, cases[i].b),
		         cases[i].same);
	}
}

int main(void)
{
	RUN(test_items);
	RUN(test_item_hash_and_long_id);
	RUN(test_download_url);
	RUN(test_pages);
	RUN(test_drives);
	RUN(test_prepared);
	RUN(test_out_of_memory);
	RUN(test_walks);
	RUN(test_empty_pages);
	RUN(test_same_drive);
	return check_report();
}
