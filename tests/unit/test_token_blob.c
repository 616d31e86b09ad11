#include "auth/token_blob.h"

#include <errno.h>
#include <stdlib.h>

#include <sodium.h>

#include "auth/secret.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

static void test_there_and_back(void)
{
	struct token_blob a = {
		.client_id = "6f1c2a5e-8d34",
		.tenant = "consumers",
		.login_url = "https://login.microsoftonline.com",
		.graph_url = "https://graph.microsoft.com/v1.0",
		.scope = "Files.ReadWrite offline_access",
		.drive_id = "b!x\"\\y",
		.obtained_s = 1795342445,
		.expires_s = 1795346044,
	};
	struct token_blob b;
	size_t len;
	char *text;

	a.refresh = secret_strdup("M.C5!*$\"\\");
	a.access = secret_strdup("EwB4A8l6+/=");
	CHECK_EQ(token_blob_format(&a, &text, &len), 0);
	CHECK_EQ(token_blob_parse(text, len, &b), 0);
	CHECK_STR(b.client_id, a.client_id);
	CHECK_STR(b.tenant, a.tenant);
	CHECK_STR(b.login_url, a.login_url);
	CHECK_STR(b.graph_url, a.graph_url);
	CHECK_STR(b.scope, a.scope);
	CHECK_STR(b.drive_id, a.drive_id);
	CHECK_STR(b.refresh, a.refresh);
	CHECK_STR(b.access, a.access);
	CHECK_EQ(b.obtained_s, a.obtained_s);
	CHECK_EQ(b.expires_s, a.expires_s);
	sodium_free(text);
	token_blob_done(&b);
	token_blob_done(&a);
	CHECK(!a.refresh && !a.access);
}

/* faults 49 */
static void test_parse(void)
{
	static const struct {
		const char *text;
		int rc;
	} cases[] = {
		{ "{\"v\":1,\"client_id\":\"c\",\"tenant\":\"t\","
		  "\"refresh_token\":\"r\"}",
		  0 },
		{ "{\"v\":1,\"client_id\":\"c\",\"tenant\":\"t\","
		  "\"access_token\":\"a\",\"later\":[1]}",
		  0 },
		{ "{\"v\":1,\"client_id\":\"c\",\"tenant\":\"t\"}", -EBADMSG },
		{ "{\"v\":1,\"client_id\":\"c\",\"refresh_token\":\"r\"}",
		  -EBADMSG },
		{ "{\"v\":1,\"tenant\":\"t\",\"refresh_token\":\"r\"}",
		  -EBADMSG },
		{ "{\"client_id\":\"c\",\"tenant\":\"t\",\"refresh_token\":"
		  "\"r\"}",
		  -EBADMSG },
		{ "{\"v\":2,\"client_id\":\"c\",\"tenant\":\"t\"}", -ENOTSUP },
		{ "{\"v\":1,\"client_id\":\"c\",\"tenant\":\"t\","
		  "\"refresh_token\":\"r\\nX\"}",
		  -EBADMSG },
		{ "{\"v\":1,\"client_id\":\"c\",\"tenant\":\"t\","
		  "\"refresh_token\":\"r\",\"access_token\":\"\"}",
		  -EBADMSG },
		{ "{\"v\":1,\"client_id\":\"c\",\"tenant\":\"t\","
		  "\"refresh_tok",
		  -EBADMSG },
		{ "", -EBADMSG },
		{ "[]", -EBADMSG },
		{ "null", -EBADMSG },
		{ "M.C512_BL2.0.U.-raw", -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct token_blob b = { 0 };

		check_row("%s", cases[i].text);
		CHECK_EQ(token_blob_parse(cases[i].text, strlen(cases[i].text),
		                          &b),
		         cases[i].rc);
		token_blob_done(&b);
	}
}

static void test_too_long_members(void)
{
	char *text = malloc(1000);
	struct token_blob b = { 0 };

	snprintf(text, 1000,
	         "{\"v\":1,\"client_id\":\"%0300d\",\"tenant\":\"t\","
	         "\"refresh_token\":\"r\"}",
	         1);
	CHECK_EQ(token_blob_parse(text, strlen(text), &b), -EBADMSG);
	free(text);
}

/* Every flipped bit of a good blob: parsed or refused, nothing else (ASan). */
static void test_flipped_bits(void)
{
	static const char good[] =
		"{\"v\":1,\"client_id\":\"c\",\"tenant\":\"t\","
		"\"refresh_token\":\"r\",\"expires_at\":1795346044}";
	char text[sizeof(good)];

	for (size_t bit = 0; bit < (sizeof(good) - 1) * 8; bit++) {
		struct token_blob b = { 0 };
		int rc;

		memcpy(text, good, sizeof(good));
		text[bit / 8] ^= (char)(1u << bit % 8);
		check_row("bit %zu", bit);
		rc = token_blob_parse(text, sizeof(good) - 1, &b);
		CHECK(rc == 0 || rc == -EBADMSG || rc == -ENOTSUP);
		token_blob_done(&b);
	}
}

static void test_no_memory(void)
{
	static const char good[] =
		"{\"v\":1,\"client_id\":\"c\",\"tenant\":\"t\","
		"\"refresh_token\":\"r\"}";

	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct token_blob b = { 0 };
		int rc = token_blob_parse(good, sizeof(good) - 1, &b);

		check_row("allocation %u", n);
		CHECK(rc == 0 || rc == -ENOMEM || rc == -EBADMSG);
		token_blob_done(&b);
	}
	alloc_fail_off();
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	RUN(test_there_and_back);
	RUN(test_parse);
	RUN(test_too_long_members);
	RUN(test_flipped_bits);
	RUN(test_no_memory);
	return check_report();
}
