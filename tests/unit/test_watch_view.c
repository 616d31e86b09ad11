#include "fs/watch_view.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "fs/term_text.h"
#include "net/buf.h"
#include "tests/unit/check.h"

static void test_fits(void)
{
	static const struct {
		const char *text;
		unsigned cols;
		enum term_cut cut;
		const char *out;
	} rows[] = {
		{ "abc", 3, TERM_CUT_END, "abc" },
		{ "abcdefgh", 7, TERM_CUT_END, "abcd..." },
		{ "abcdefgh", 7, TERM_CUT_START, "...efgh" },
		{ "abcdefgh", 5, TERM_CUT_END, "abcde" },
		{ "abcdefgh", 5, TERM_CUT_START, "defgh" },
		{ "abc", 0, TERM_CUT_END, "" },
		{ "abc", 0, TERM_CUT_START, "" },
		{ "\x1b[2J", 9, TERM_CUT_END, "\\x1b[2J" },
		{ "\xff", 9, TERM_CUT_END, "\\xff" },
		{ "\xe2\x80\xae", 20, TERM_CUT_END, "\\xe2\\x80\\xae" },
		/* Two columns each. */
		{ "漢字", 4, TERM_CUT_END, "漢字" },
		{ "漢字", 3, TERM_CUT_END, "漢" },
		{ "漢字漢字漢字", 8, TERM_CUT_START, "...漢字" },
		/* Nothing to stand on after a cut. */
		{ "ae\xcc\x81z", 1, TERM_CUT_START, "z" },
		{ "ae\xcc\x81z", 2, TERM_CUT_START, "e\xcc\x81z" },
		{ "e\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81z", 2, TERM_CUT_END,
		  "e\xcc\x81\xcc\x81\xcc\x81\xcc\x81z" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = BUF_INIT;
		unsigned used;

		check_row("%s in %u", rows[i].out, rows[i].cols);
		used = term_add(&b, rows[i].text, rows[i].cols, rows[i].cut);
		buf_add_char(&b, '\0');
		CHECK_STR(b.data, rows[i].out);
		CHECK_EQ(used, term_width(rows[i].out));
		buf_done(&b);
	}
}

static const char busy[] =
	"{\"state\":\"syncing\",\"mountpoint\":\"/home/me/cloud\","
	"\"pending_changes\":5,\"pending_files\":4,\"pending_bytes\":90000000,"
	"\"uploading\":[{\"path\":\"/photos/a.jpg\",\"sent\":30000000,"
	"\"total\":60000000},{\"path\":\"/b\",\"sent\":9,\"total\":-1},"
	"{\"path\":\"/c\",\"sent\":5,\"total\":1}],"
	"\"waiting\":[{\"path\":\"/\\u001b[2J\",\"size\":7}],"
	"\"blocked\":[{\"path\":\"/x\",\"reason\":\"no\"},{\"path\":\"/y\","
	"\"reason\":\"no\"},{\"path\":\"/z\",\"reason\":\"no\"},{}],"
	"\"held\":[{\"direction\":\"outgoing\",\"deletes\":30,"
	"\"overwrites\":0,\"examples\":[\"/g\"]}],\"listed\":true,"
	"\"quota\":{\"remaining\":5000000000},\"uploaded_files\":1,"
	"\"last_sync\":null}";

static char *draw(const struct watch_view *v, unsigned cols, unsigned rows)
{
	struct buf b = BUF_INIT;

	watch_draw(v, cols, rows, &b);
	buf_add_char(&b, '\0');
	return b.data;
}

/* Whatever the size: so many lines, so many columns, nothing that is obeyed. */
static void check_size(const struct watch_view *v, unsigned cols, unsigned rows)
{
	char *text = draw(v, cols, rows), *line = text, *end;
	unsigned n = 0;

	check_row("%u x %u", cols, rows);
	for (; (end = strchr(line, '\n')); line = end + 1, n++) {
		*end = '\0';
		CHECK(term_width(line) <= cols);
		CHECK(!strpbrk(line, "\033\r\t"));
	}
	CHECK(!*line);
	CHECK(n > 0 && n <= rows);
	free(text);
}

static void test_any_size(void)
{
	static const char *const texts[] = {
		busy, "{}", "{\"state\":7,\"uploading\":{},\"held\":[1,null]}"
	};
	char recent[] = "12:00:00 uploaded /\xff";

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		cJSON *o = cJSON_Parse(texts[i]);
		struct watch_view v = { .status = o,
			                .recent = { recent, recent },
			                .nrecent = 2 };

		for (unsigned cols = 1; cols < 120; cols += 7) {
			for (unsigned rows = 1; rows < 40; rows += 3)
				check_size(&v, cols, rows);
		}
		cJSON_Delete(o);
	}
	check_size(&(struct watch_view){ .silent = true }, 80, 24);
}

static void test_says(void)
{
	static const char *const words[] = {
		"/home/me/cloud",
		"4 files, 60.0 MB, about 60 s",
		"up 1.0 MB/s, down 0 B/s",
		"[##########..........]  50 % of 60.0 MB   /photos/a.jpg",
		"100 % of 1 B       /c",
		"7 B  /\\x1b[2J",
		"/x: no",
		"30 deletes",

		"5.0 GB",
		"never",
		"10:00:00 uploaded /f"
	};
	cJSON *o = cJSON_Parse(busy);
	char recent[] = "10:00:00 uploaded /f";
	struct watch_view v = {
		.status = o, .up = 1e6, .recent = { recent }, .nrecent = 1
	};
	struct buf b = BUF_INIT;
	char *text = draw(&v, 100, 30);

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		check_row("%s", words[i]);
		CHECK(strstr(text, words[i]));
	}
	free(text);
	text = draw(&v, 100, 14);
	CHECK(strstr(text, "/x: no"));
	CHECK(strstr(text, "... and 3 more"));
	CHECK(!strstr(text, "/y: no"));
	watch_summary(&v, &b);
	buf_add_char(&b, '\0');
	CHECK_STR(b.data, "syncing; 4 files, 60.0 MB, about 60 s; up 1.0 MB/s, "
	                  "down 0 B/s");
	buf_done(&b);
	free(text);
	cJSON_Delete(o);
}

static void test_events(void)
{
	static const struct {
		const char *event, *says; /* after the time */
	} rows[] = {
		{ "{\"event\":\"uploaded\",\"path\":\"/f\",\"id\":\"I\"}",
		  "uploaded /f" },
		{ "{\"event\":\"remote\",\"path\":\"/f\",\"change\":"
		  "\"removed\"}",
		  "removed  /f" },
		{ "{\"event\":\"blocked\",\"path\":\"/f\",\"reason\":\"no\"}",
		  "blocked  /f: no" },
		{ "{\"event\":\"queued\",\"path\":\"/f\"}", NULL },
		{ "{\"event\":7}", NULL },
		{ "[]", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cJSON *o = cJSON_Parse(rows[i].event);
		char *text = watch_describe(o);

		check_row("%s", rows[i].event);
		CHECK(rows[i].says ? text && strstr(text, rows[i].says)
		                   : !text);
		free(text);
		cJSON_Delete(o);
	}
}

int main(void)
{
	RUN(test_fits);
	RUN(test_any_size);
	RUN(test_says);
	RUN(test_events);
	return check_report();
}
