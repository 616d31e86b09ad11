/* Caches as MSAL for Python 1.31 writes them (facts/graph.md 1.10), cut down
 * to the members that count. */
#include "auth/msal.h"

#include <errno.h>
#include <stdlib.h>

#include <sodium.h>

#include "tests/unit/check.h"

#define NOW INT64_C(1795342500)

#define MSA  CLOUD_MSA_TENANT
#define WORK "11111111-2222-3333-4444-555555555555"
#define HOST "login.microsoftonline.com"

#define REFRESH(key, uid, tenant, host, client, target, time)                  \
	"\"" key "\":{\"credential_type\":\"RefreshToken\",\"secret\":"        \
	"\"refresh-" key "\",\"home_account_id\":\"" uid "." tenant            \
	"\",\"environment\":\"" host "\",\"client_id\":\"" client              \
	"\",\"target\":\"" target "\",\"last_modification_time\":\"" time      \
	"\"}"
#define ACCESS(key, uid, tenant, client, target, until)                        \
	"\"" key "\":{\"credential_type\":\"AccessToken\",\"secret\":"         \
	"\"access-" key "\",\"home_account_id\":\"" uid "." tenant             \
	"\",\"environment\":\"" HOST "\",\"client_id\":\"" client              \
	"\",\"target\":\"" target "\",\"expires_on\":\"" until "\"}"

/* One personal account, as the documented example. */
static const char example[] = "{\"AccessToken\":{" ACCESS(
	"a", "u", MSA, "app", "Files.ReadWrite User.Read openid profile",
	"1795346044") "},"
		      "\"Account\":{\"k\":{\"home_account_id\":\"u." MSA
		      "\",\"environment\":\"" HOST "\",\"realm\":\"" MSA
		      "\",\"username\":\"someone@example.com\"}},"
		      "\"IdToken\":{\"k\":{\"secret\":\"eyJ0.eyJl.c2ln\"}},"
		      "\"RefreshToken\":{" REFRESH(
			      "r", "u", MSA, HOST, "app",
			      "Files.ReadWrite User.Read openid profile",
			      "1795342445") "},"
					    "\"AppMetadata\":{\"k\":{\"client_"
					    "id\":\"app\",\"family_id\":null}}"
					    "}";

static int parse(const char *text, const char *account, const char *client,
                 struct msal_found *f)
{
	struct cloud cloud;
	char why[256] = "";
	int rc;

	CHECK_EQ(cloud_resolve(account, NULL, NULL, &cloud, why, sizeof(why)),
	         0);
	rc = msal_parse(text, strlen(text), &cloud, client, NOW, f, why,
	                sizeof(why));
	CHECK_EQ(rc < 0, why[0] != '\0');
	CHECK(!strstr(why, "refresh-"));
	return rc;
}

static void test_example(void)
{
	struct msal_found f;

	CHECK_EQ(parse(example, "personal", NULL, &f), 0);
	CHECK_STR(f.token.refresh, "refresh-r");
	CHECK_STR(f.token.access, "access-a");
	CHECK_EQ(f.token.expires_in_s, 3544);
	CHECK_STR(f.client_id, "app");
	CHECK_STR(f.tenant, "consumers");
	CHECK_STR(f.scope, "Files.ReadWrite offline_access");
	CHECK_STR(f.username, "someone@example.com");
	msal_found_done(&f);
	CHECK(!f.token.refresh);
}

static void test_account_kinds(void)
{
	static const char cache[] = "{\"RefreshToken\":{" REFRESH(
		"p", "u", MSA, HOST, "app", "",
		"9") "," REFRESH("w", "v", WORK, HOST, "app", "", "5") "}}";
	static const struct {
		const char *account, *refresh, *tenant;
	} cases[] = {
		{ "personal", "refresh-p", "consumers" },
		{ "work", "refresh-w", "organizations" },
		{ "common", "refresh-p", "consumers" },
		{ "contoso.example", "refresh-w", "contoso.example" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct msal_found f;

		check_row("%s", cases[i].account);
		CHECK_EQ(parse(cache, cases[i].account, NULL, &f), 0);
		CHECK_STR(f.token.refresh, cases[i].refresh);
		CHECK_STR(f.tenant, cases[i].tenant);
		CHECK(!f.token.access);
		CHECK_STR(f.username, "");
		msal_found_done(&f);
	}
}

static void test_which_refresh_token(void)
{
	static const struct {
		const char *what, *client, *entries, *refresh;
	} cases[] = {
		{ "the newest", NULL,
		  REFRESH("a", "u", MSA, HOST, "x", "Files.ReadWrite",
		          "5") "," REFRESH("b", "u", MSA, HOST, "y",
		                           "Files.ReadWrite",
		                           "9") "," REFRESH("c", "u", MSA, HOST,
		                                            "z",
		                                            "Files.ReadWrite",
		                                            "7"),
		  "refresh-b" },
		{ "ours before the newest", "X",
		  REFRESH("a", "u", MSA, HOST, "y", "Files.ReadWrite",
		          "9") "," REFRESH("b", "u", MSA, HOST, "x",
		                           "User.Read", "5"),
		  "refresh-b" },
		{ "a stranger's if ours is not there", "q",
		  REFRESH("a", "u", MSA, HOST, "y", "Files.ReadWrite", "9"),
		  "refresh-a" },
		{ "with the permission before the newest", NULL,
		  REFRESH("a", "u", MSA, HOST, "x", "Files.ReadWrite",
		          "5") "," REFRESH("b", "u", MSA, HOST, "y",
		                           "User.Read", "9"),
		  "refresh-a" },
		{ "an alias of the host", NULL,
		  REFRESH("a", "u", MSA, "login.windows.net", "x", "", "5"),
		  "refresh-a" },
		{ "another cloud", NULL,
		  REFRESH("a", "u", MSA, "login.microsoftonline.us", "x", "",
		          "9") "," REFRESH("b", "u", MSA, "sts.windows.net",
		                           "x", "", "5"),
		  "refresh-b" },
		{ "broken neighbours", NULL,
		  "\"x\":null,\"y\":{},\"z\":{\"secret\":\"s\"},"
		  "\"n\":{\"secret\":\"s\",\"home_account_id\":null,"
		  "\"environment\":\"" HOST "\",\"client_id\":\"x\","
		  "\"last_modification_time\":\"99\"},"
		  "\"m\":{\"secret\":\"a\\nb\",\"home_account_id\":\"u." MSA
		  "\",\"environment\":\"" HOST "\",\"client_id\":\"x\","
		  "\"last_modification_time\":\"99\"}," REFRESH(
			  "a", "u", MSA, HOST, "x", "", "5"),
		  "refresh-a" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct msal_found f;
		char text[4096];

		snprintf(text, sizeof(text), "{\"RefreshToken\":{%s}}",
		         cases[i].entries);
		check_row("%s", cases[i].what);
		if (parse(text, "personal", cases[i].client, &f) < 0) {
			CHECK(!"found");
			continue;
		}
		CHECK_STR(f.token.refresh, cases[i].refresh);
		msal_found_done(&f);
	}
}

static void test_which_access_token(void)
{
	static const struct {
		const char *what, *entries;
		bool taken;
	} cases[] = {
		{ "good",
		  ACCESS("a", "u", MSA, "app", "Files.ReadWrite", "1795346044"),
		  true },
		{ "full scope name",
		  ACCESS("a", "u", MSA, "app",
		         "https://graph.microsoft.com/Files.ReadWrite",
		         "1795346044"),
		  true },
		{ "ended",
		  ACCESS("a", "u", MSA, "app", "Files.ReadWrite", "1795342400"),
		  false },
		{ "about to end",
		  ACCESS("a", "u", MSA, "app", "Files.ReadWrite", "1795342559"),
		  false },
		{ "no end",
		  ACCESS("a", "u", MSA, "app", "Files.ReadWrite", "soon"),
		  false },
		{ "another permission",
		  ACCESS("a", "u", MSA, "app", "Mail.Read", "1795346044"),
		  false },
		{ "another app",
		  ACCESS("a", "u", MSA, "other", "Files.ReadWrite",
		         "1795346044"),
		  false },
		{ "another person",
		  ACCESS("a", "v", MSA, "app", "Files.ReadWrite", "1795346044"),
		  false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct msal_found f;
		char text[4096];

		snprintf(text, sizeof(text),
		         "{\"RefreshToken\":{%s},\"AccessToken\":{%s}}",
		         REFRESH("r", "u", MSA, HOST, "app", "Files.ReadWrite",
		                 "5"),
		         cases[i].entries);
		check_row("%s", cases[i].what);
		CHECK_EQ(parse(text, "personal", NULL, &f), 0);
		CHECK_EQ(f.token.access != NULL, cases[i].taken);
		msal_found_done(&f);
	}
}

static void test_scope_that_was_consented_to(void)
{
	static const struct {
		const char *account, *host, *target, *scope;
	} cases[] = {
		{ "work", HOST, "Files.ReadWrite User.Read",
		  "Files.ReadWrite offline_access" },
		{ "work", HOST, "User.Read Files.ReadWrite.All",
		  "Files.ReadWrite.All offline_access" },
		{ "work", HOST, "Files.ReadWrite.All Files.ReadWrite",
		  "Files.ReadWrite offline_access" },
		{ "us-gov", "login.microsoftonline.us", "files.readwrite.all",
		  "https://graph.microsoft.us/Files.ReadWrite.All "
		  "offline_access" },
		{ "work", HOST, "", "Files.ReadWrite offline_access" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct msal_found f;
		char text[1024];

		snprintf(text, sizeof(text),
		         "{\"RefreshToken\":{\"k\":{\"secret\":\"r\","
		         "\"home_account_id\":\"u." WORK
		         "\",\"environment\":\"%s\",\"client_id\":\"c\","
		         "\"target\":\"%s\"}}}",
		         cases[i].host, cases[i].target);
		check_row("%s %s", cases[i].account, cases[i].target);
		CHECK_EQ(parse(text, cases[i].account, NULL, &f), 0);
		CHECK_STR(f.scope, cases[i].scope);
		msal_found_done(&f);
	}
}

static void test_replaced_login_host(void)
{
	static const struct {
		const char *environment;
		bool fits;
	} cases[] = {
		{ "127.0.0.1:8080", true },
		{ "127.0.0.1", true },
		{ "127.0.0.1:9", false },
		{ HOST, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cloud cloud;
		struct msal_found f = { 0 };
		char text[512], why[256];

		cloud_resolve("personal", "http://127.0.0.1:8080", NULL, &cloud,
		              why, sizeof(why));
		snprintf(text, sizeof(text),
		         "{\"RefreshToken\":{\"k\":{\"secret\":\"r\","
		         "\"home_account_id\":\"u." MSA
		         "\",\"environment\":\"%s\",\"client_id\":\"c\"}}}",
		         cases[i].environment);
		check_row("%s", cases[i].environment);
		CHECK_EQ(msal_parse(text, strlen(text), &cloud, NULL, NOW, &f,
		                    why, sizeof(why)),
		         cases[i].fits ? 0 : -ENOENT);
		msal_found_done(&f);
	}
}

static void test_nothing_to_import(void)
{
	static const struct {
		const char *text;
		int rc;
	} cases[] = {
		{ "", -EBADMSG },
		{ "\x01\x02encrypted", -EBADMSG },
		{ "[]", -EBADMSG },
		{ "{}", -ENOENT },
		{ "{\"RefreshToken\":{}}", -ENOENT },
		{ "{\"RefreshToken\":[]}", -ENOENT },
		{ "{\"RefreshToken\":null,\"AccessToken\":{}}", -ENOENT },
		{ "{\"RefreshToken\":{" REFRESH("w", "u", WORK, HOST, "app", "",
		                                "5") "}}",
		  -ENOENT }, /* a work account, --account personal */
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct msal_found f;

		check_row("%s", cases[i].text);
		CHECK_EQ(parse(cases[i].text, "personal", NULL, &f),
		         cases[i].rc);
	}
}

static void test_cut_short(void)
{
	for (size_t len = 0; len < sizeof(example) - 1; len++) {
		struct cloud cloud;
		struct msal_found f;
		char why[256], *part = malloc(len + 1);

		cloud_resolve("personal", NULL, NULL, &cloud, why, sizeof(why));
		memcpy(part, example, len);
		check_row("%zu bytes", len);
		CHECK_EQ(msal_parse(part, len, &cloud, NULL, NOW, &f, why,
		                    sizeof(why)),
		         -EBADMSG);
		free(part);
	}
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	RUN(test_example);
	RUN(test_account_kinds);
	RUN(test_which_refresh_token);
	RUN(test_which_access_token);
	RUN(test_scope_that_was_consented_to);
	RUN(test_replaced_login_host);
	RUN(test_nothing_to_import);
	RUN(test_cut_short);
	return check_report();
}
