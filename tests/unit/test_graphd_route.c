#include "tests/graphd/route.h"

#include <stdlib.h>

#include "tests/unit/check.h"

struct row {
	const char *method, *target;
	enum route_class class;
	enum route_base base;
	const char *id, *path, *arg;
};

/* Addresses of facts/graph.md 2.1 and 15. */
static const struct row rows[] = {
	{ "GET", "/v1.0/me", CLASS_me, BASE_NONE, NULL, NULL, NULL },
	{ "GET", "/v1.0/me/drive", CLASS_drive, BASE_NONE, NULL, NULL, NULL },
	{ "GET", "/v1.0/drives/b!x/?select=quota", CLASS_drive, BASE_NONE, NULL,
	  NULL, NULL },
	{ "GET", "/v1.0/me/drives", CLASS_drives, BASE_NONE, NULL, NULL, NULL },
	{ "GET", "/v1.0/me/drive/sharedWithMe", CLASS_shared, BASE_NONE, NULL,
	  NULL, NULL },
	{ "GET", "/v1.0/me/drive/root", CLASS_item, BASE_ROOT, NULL, NULL,
	  NULL },
	{ "GET", "/v2.0/drives/d/root", CLASS_item, BASE_ROOT, NULL, NULL,
	  NULL },
	{ "GET", "/v1.0/drives/d/root:/A/B", CLASS_item, BASE_ROOT, NULL,
	  "/A/B", NULL },
	{ "GET", "/v1.0/drives/d/root:/A/B:", CLASS_item, BASE_ROOT, NULL,
	  "/A/B", NULL },
	/* abraunegg: slashes escaped, one more behind the colon */
	{ "GET", "/v1.0/me/drive/root:/A%2Fb%20c:/?select=id", CLASS_item,
	  BASE_ROOT, NULL, "/A/b c", NULL },
	{ "GET", "/v1.0/drives/d/items/I!s1", CLASS_item, BASE_ID, "I!s1", NULL,
	  NULL },
	/* rclone: empty relative path */
	{ "GET", "/v1.0/drives/d/items/I:/", CLASS_item, BASE_ID, "I", "",
	  NULL },
	{ "PATCH", "/v1.0/drives/d/root:/x", CLASS_patch, BASE_ROOT, NULL, "/x",
	  NULL },
	{ "DELETE", "/v1.0/drives/d/items/I", CLASS_delete, BASE_ID, "I", NULL,
	  NULL },
	{ "PUT", "/v1.0/drives/d/items/I:/a%23%25b%2B:/content", CLASS_put,
	  BASE_ID, "I", "/a#%b+", NULL },
	{ "PUT", "/v1.0/drives/d/items/I/content", CLASS_put, BASE_ID, "I",
	  NULL, NULL },
	{ "PUT", "/v1.0/drives/d/items/I:/a:", CLASS_commit_put, BASE_ID, "I",
	  "/a", NULL },
	{ "GET", "/v1.0/drives/d/items/I/content?AVOverride=1", CLASS_content,
	  BASE_ID, "I", NULL, NULL },
	{ "GET", "/v1.0/drives/d/items/I/children?$top=1000", CLASS_children,
	  BASE_ID, "I", NULL, NULL },
	{ "POST", "/v1.0/drives/d/root/children", CLASS_create, BASE_ROOT, NULL,
	  NULL, NULL },
	{ "POST", "/v1.0/drives/d/items/I:/n:/createUploadSession",
	  CLASS_session, BASE_ID, "I", "/n", NULL },
	{ "POST", "/v1.0/drives/d/items/I/copy", CLASS_copy, BASE_ID, "I", NULL,
	  NULL },
	{ "POST", "/v1.0/drives/d/items/I/permanentDelete",
	  CLASS_permanent_delete, BASE_ID, "I", NULL, NULL },
	{ "GET", "/v1.0/drives/d/root/delta?token=latest", CLASS_delta,
	  BASE_ROOT, NULL, NULL, NULL },
	{ "GET", "/v1.0/drives/d/root/delta(token='t1')", CLASS_delta,
	  BASE_ROOT, NULL, NULL, "t1" },
	{ "GET", "/v1.0/drives/d/items/I/versions", CLASS_versions, BASE_ID,
	  "I", NULL, NULL },
	{ "GET", "/v1.0/drives/d/items/I/versions/2.0/content",
	  CLASS_version_content, BASE_ID, "I", NULL, "2.0" },
	{ "POST", "/v1.0/drives/d/items/I/versions/2.0/restoreVersion",
	  CLASS_version_restore, BASE_ID, "I", NULL, "2.0" },
	{ "DELETE", "/v1.0/drives/d/items/I/versions/2.0", CLASS_version_delete,
	  BASE_ID, "I", NULL, "2.0" },
	{ "GET", "/v1.0/drives/d/root/search(q='it''s')", CLASS_search,
	  BASE_ROOT, NULL, NULL, "it's" },
	{ "GET", "/v1.0/me/drive/special/approot", CLASS_item, BASE_SPECIAL,
	  "approot", NULL, NULL },
	{ "PUT", "/v1.0/me/drive/special/approot:/f:/content", CLASS_put,
	  BASE_SPECIAL, "approot", "/f", NULL },
	/* rclone for 21Vianet */
	{ "PUT",
	  "/v1.0/drives/d/items/I/children('@a1')/content?@a1=%27b''c%27",
	  CLASS_put, BASE_ID, "I", "b'c", NULL },
	{ "POST", "/v1.0/$batch", CLASS_batch, BASE_NONE, NULL, NULL, NULL },
	{ "GET", "/v1.0/drives/d/root/subscriptions/socketIo",
	  CLASS_subscription, BASE_ROOT, NULL, NULL, NULL },
	{ "GET", "/v1.0/nonsense", CLASS_other, BASE_NONE, NULL, NULL, NULL },
	{ "POST", "/v1.0/me/drive/root/content", CLASS_other, BASE_ROOT, NULL,
	  NULL, NULL },
	{ "PUT", "/rup/d/g?sig=x", CLASS_fragment, BASE_NONE, NULL, NULL,
	  NULL },
	{ "GET", "/_api/v2.0/drives/d/items/i/uploadSession?guid='g'",
	  CLASS_session_status, BASE_NONE, NULL, NULL, NULL },
	{ "DELETE", "/rup/d/g", CLASS_session_cancel, BASE_NONE, NULL, NULL,
	  NULL },
	{ "POST", "/rup/d/g", CLASS_session_commit, BASE_NONE, NULL, NULL,
	  NULL },
	{ "GET", "/y4m_v1.1.2", CLASS_download, BASE_NONE, NULL, NULL, NULL },
	{ "GET", "/_api/v2.0/monitor/g1", CLASS_monitor, BASE_NONE, NULL, NULL,
	  "g1" },
	{ "POST", "/common/oauth2/v2.0/token", CLASS_login, BASE_NONE, NULL,
	  NULL, NULL },
	{ "GET", "/graphd/wait?x=1", CLASS_control, BASE_NONE, NULL, NULL,
	  "wait" },
};

static void check_text(const char *got, const char *want)
{
	CHECK_STR(got ? got : "(null)", want ? want : "(null)");
}

static void test_routes(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *w = &rows[i];
		struct route r;

		check_row("%s %s", w->method, w->target);
		route_parse(w->method, w->target, false, &r);
		CHECK_STR(route_class_name(r.class),
		          route_class_name(w->class));
		CHECK_EQ(r.base, w->base);
		check_text(r.id, w->id);
		check_text(r.path, w->path);
		check_text(r.arg, w->arg);
		route_done(&r);
	}
}

static void test_forms(void)
{
	static const struct {
		const char *target;
		bool bad_form, raw_path;
	} cases[] = {
		{ "/v1.0/me/drive/root:/:/children", true, false },
		{ "/v1.0/me/drive/root/children", false, false },
		{ "/v1.0/me/drive/root:/a b:/content", false, true },
		{ "/v1.0/me/drive/root:/a+b", false, true },
		{ "/v1.0/me/drive/root:/a%2Bb", false, false },
		{ "/v1.0/me/drive/items/A!1:/b!c", false, true },
		{ "/v1.0/me/drive/items/A!1/content", false, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct route r;

		check_row("%s", cases[i].target);
		route_parse("GET", cases[i].target, false, &r);
		CHECK_EQ(r.bad_form, cases[i].bad_form);
		CHECK_EQ(r.raw_path, cases[i].raw_path);
		route_done(&r);
	}
}

static void test_plus(void)
{
	struct route r;

	route_parse("GET", "/v1.0/me/drive/root:/a+b%2B", true, &r);
	CHECK_STR(r.path, "/a b+");
	route_done(&r);
}

static void test_query(void)
{
	struct query q;

	query_parse("/x?$select=id,name&top=5&empty&$x=a%26b+c", &q);
	CHECK_EQ(q.n, 4);
	CHECK_STR(query_get(&q, "select"), "id,name");
	CHECK_STR(query_get(&q, "top"), "5");
	CHECK_STR(query_get(&q, "empty"), "");
	CHECK_STR(query_get(&q, "x"), "a&b c");
	CHECK(!query_get(&q, "Select")); /* names are case-sensitive */
	CHECK(q.mixed);
	query_done(&q);
	query_parse("/x", &q);
	CHECK_EQ(q.n, 0);
	query_done(&q);
}

static void test_decode(void)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "a%20b", "a b" }, { "%", "%" },   { "%4", "%4" },
		{ "%zz", "%zz" },   { "%41", "A" }, { "%c3%bc", "\xc3\xbc" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *s = route_decode(cases[i].in, strlen(cases[i].in), false);

		CHECK_STR(s, cases[i].out);
		free(s);
	}
}

int main(void)
{
	RUN(test_routes);
	RUN(test_forms);
	RUN(test_plus);
	RUN(test_query);
	RUN(test_decode);
	return check_report();
}
