#include "auth/cloud.h"

#include <errno.h>

#include "tests/unit/check.h"

#define GUID "11111111-2222-3333-4444-555555555555"

static void test_account_kinds(void)
{
	/* Hosts: facts/graph.md 1.1; segments: 1.2. */
	static const struct {
		const char *account, *login, *graph, *tenant, *scope;
	} cases[] = {
		{ NULL, "https://login.microsoftonline.com",
		  "https://graph.microsoft.com/v1.0", "consumers",
		  "Files.ReadWrite offline_access" },
		{ "", "https://login.microsoftonline.com",
		  "https://graph.microsoft.com/v1.0", "consumers",
		  "Files.ReadWrite offline_access" },
		{ "personal", "https://login.microsoftonline.com",
		  "https://graph.microsoft.com/v1.0", "consumers",
		  "Files.ReadWrite offline_access" },
		{ "Work", "https://login.microsoftonline.com",
		  "https://graph.microsoft.com/v1.0", "organizations",
		  "Files.ReadWrite offline_access" },
		{ "common", "https://login.microsoftonline.com",
		  "https://graph.microsoft.com/v1.0", "common",
		  "Files.ReadWrite offline_access" },
		{ "us-gov", "https://login.microsoftonline.us",
		  "https://graph.microsoft.us/v1.0", "organizations",
		  "https://graph.microsoft.us/Files.ReadWrite "
		  "offline_access" },
		{ "us-dod", "https://login.microsoftonline.us",
		  "https://dod-graph.microsoft.us/v1.0", "organizations",
		  "https://dod-graph.microsoft.us/Files.ReadWrite "
		  "offline_access" },
		{ "china", "https://login.chinacloudapi.cn",
		  "https://microsoftgraph.chinacloudapi.cn/v1.0",
		  "organizations",
		  "https://microsoftgraph.chinacloudapi.cn/Files.ReadWrite "
		  "offline_access" },
		{ "china/contoso.cn", "https://login.chinacloudapi.cn",
		  "https://microsoftgraph.chinacloudapi.cn/v1.0", "contoso.cn",
		  "https://microsoftgraph.chinacloudapi.cn/Files.ReadWrite "
		  "offline_access" },
		{ GUID, "https://login.microsoftonline.com",
		  "https://graph.microsoft.com/v1.0", GUID,
		  "Files.ReadWrite offline_access" },
		{ "contoso.onmicrosoft.com",
		  "https://login.microsoftonline.com",
		  "https://graph.microsoft.com/v1.0", "contoso.onmicrosoft.com",
		  "Files.ReadWrite offline_access" },
		{ CLOUD_MSA_TENANT, "https://login.microsoftonline.com",
		  "https://graph.microsoft.com/v1.0", "consumers",
		  "Files.ReadWrite offline_access" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cloud c;
		char why[256] = "";

		check_row("%s", cases[i].account ? cases[i].account : "NULL");
		CHECK_EQ(cloud_resolve(cases[i].account, NULL, NULL, &c, why,
		                       sizeof(why)),
		         0);
		CHECK_STR(why, "");
		CHECK_STR(c.login_url, cases[i].login);
		CHECK_STR(c.graph_url, cases[i].graph);
		CHECK_STR(c.tenant, cases[i].tenant);
		CHECK_STR(c.scope, cases[i].scope);
	}
}

static void test_account_kinds_refused(void)
{
	static const char *const cases[] = {
		"germany",
		"us-gov/",
		"personal/contoso.com",
		"work/a.b",
		"contoso",
		"../consumers",
		"a.b/c",
		"a..b",
		".com",
		"com.",
		"-a.b",
		"a.b?x=1",
		"us-gov/a/b",
		"a.b\r\nX: y",
		"1111111-2222-3333-4444-555555555555",
		"personal.\n",
		"a.b%2f.c",
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cloud c = { .tenant = "untouched" };
		char why[256] = "";

		check_row("%s", cases[i]);
		CHECK_EQ(cloud_resolve(cases[i], NULL, NULL, &c, why,
		                       sizeof(why)),
		         -EINVAL);
		CHECK(strlen(why) > 0);
		CHECK_STR(c.tenant, "untouched");
	}
}

static void test_too_long_tenant(void)
{
	char account[200], why[256] = "";
	struct cloud c;

	memset(account, 'a', sizeof(account));
	strcpy(account + 190, ".com");
	CHECK_EQ(cloud_resolve(account, NULL, NULL, &c, why, sizeof(why)),
	         -EINVAL);
	CHECK(strlen(why) > 0);
}

static void test_replaced_hosts(void)
{
	static const struct {
		const char *url;
		int rc;
		const char *out;
	} cases[] = {
		{ "http://127.0.0.1:8080", 0, "http://127.0.0.1:8080" },
		{ "http://localhost:1/v1.0/", 0, "http://localhost:1/v1.0" },
		{ "http://[::1]:99/", 0, "http://[::1]:99" },
		{ "https://example.com//", 0, "https://example.com" },
		{ "http://example.com", -EINVAL, NULL },
		{ "http://127.0.0.1.example.com", -EINVAL, NULL },
		{ "http://127.0.0.1@example.com", -EINVAL, NULL },
		{ "https://user:pw@example.com", -EINVAL, NULL },
		{ "https://example.com/?a=b", -EINVAL, NULL },
		{ "https://example.com/#a", -EINVAL, NULL },
		{ "ftp://127.0.0.1", -EINVAL, NULL },
		{ "example.com", -EINVAL, NULL },
		{ "/", -EINVAL, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cloud c;
		char why[256] = "";

		check_row("%s", cases[i].url);
		CHECK_EQ(cloud_resolve("work", cases[i].url, NULL, &c, why,
		                       sizeof(why)),
		         cases[i].rc);
		if (cases[i].rc) {
			CHECK(strstr(why, "login_url") != NULL);
		} else {
			CHECK_STR(c.login_url, cases[i].out);
			CHECK_STR(c.graph_url,
			          "https://graph.microsoft.com/v1.0");
		}
		CHECK_EQ(cloud_resolve("work", NULL, cases[i].url, &c, why,
		                       sizeof(why)),
		         cases[i].rc);
		if (cases[i].rc)
			CHECK(strstr(why, "graph_url") != NULL);
		else
			CHECK_STR(c.graph_url, cases[i].out);
	}
}

static void test_too_long_url(void)
{
	char url[400] = "https://", why[256] = "";
	struct cloud c;

	memset(url + 8, 'a', sizeof(url) - 9);
	CHECK_EQ(cloud_resolve(NULL, url, NULL, &c, why, sizeof(why)), -EINVAL);
	CHECK_STR(why, "login_url is too long");
}

int main(void)
{
	RUN(test_account_kinds);
	RUN(test_account_kinds_refused);
	RUN(test_too_long_tenant);
	RUN(test_replaced_hosts);
	RUN(test_too_long_url);
	return check_report();
}
