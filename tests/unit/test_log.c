#include "net/log.h"

#include "tests/unit/check.h"

static void test_sanitize(void)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "path=a/b size=7", "path=a/b size=7" },
		{ "Authorization: Bearer eyJ0.x.y next",
		  "Authorization: Bearer [redacted] next" },
		{ "{\"refresh_token\": \"M.C5\",\"x\":1}",
		  "{\"refresh_token\":[redacted]\",\"x\":1}" },
		{ "url=https://h.example/a/b?tempauth=v1&x=2 rc=0",
		  "url=https://h.example/a/b?[redacted] rc=0" },
		{ "what? yes", "what? yes" },
		{ "AGE-SECRET-KEY-1QQQ", "AGE-SECRET-KEY-[redacted]" },
		{ "name=a\nforged=1", "name=a\\x0aforged=1" },
		{ "esc=\x1b[31m", "esc=\\x1b[31m" },
		{ "bad=\xff\xfe", "bad=\\xff\\xfe" },
		{ "ok=Zürich", "ok=Zürich" },
		{ "rtl=\xe2\x80\xae", "rtl=\\xe2\\x80\\xae" },
	};
	char out[256];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		check_row("%zu", i);
		log_sanitize(cases[i].in, out, sizeof(out));
		CHECK_STR(out, cases[i].out);
	}
}

static void test_cut_to_fit(void)
{
	char out[8];

	log_sanitize("aaaaaaaaaaaaaaaa", out, sizeof(out));
	CHECK_STR(out, "aaaaaaa");
	log_sanitize("aaaaa\xc3\xbc\xc3\xbc", out, sizeof(out));
	CHECK_STR(out, "aaaaa\xc3\xbc");
}

static char seen[256];

static void keep(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	snprintf(seen, sizeof(seen), "%d %s", (int)level, line);
}

static void test_level_and_sink(void)
{
	enum log_level level;

	log_set_sink(keep, NULL);
	log_set_level(LOG_LEVEL_WARN);
	log_info("not shown");
	CHECK_STR(seen, "");
	log_warn("n=%d", 7);
	CHECK_STR(seen, "1 n=7");
	CHECK_EQ(log_parse_level("debug", &level), 0);
	CHECK_EQ(level, LOG_LEVEL_DEBUG);
	CHECK(log_parse_level("loud", &level) < 0);
	log_set_sink(NULL, NULL);
}

int main(void)
{
	RUN(test_sanitize);
	RUN(test_cut_to_fit);
	RUN(test_level_and_sink);
	return check_report();
}
