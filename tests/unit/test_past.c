#include "fs/past.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fs/ledger.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

/* A ledger and a listing as rows, and what they make of a moment as text:
 * "path" folders end with '/', files with "=SIZE"; then its doubts in letters,
 * '-' if it is gone, '?' if the ledger does not say which content it had. */

struct row {
	int64_t time;
	enum ledger_what what;
	const char *id, *parent, *path;
	uint64_t size; /* 0: a folder */
};

struct now {
	const char *id, *parent, *path;
	uint64_t size;
	int64_t created;
};

#define MADE  LEDGER_CREATED
#define WROTE LEDGER_CONTENT
#define MOVED LEDGER_MOVED
#define GONE  LEDGER_DELETED

static void note(struct past *p, const struct row *r)
{
	struct ledger_entry *e = calloc(1, sizeof(*e));

	e->time = r->time;
	e->what = r->what;
	snprintf(e->id, sizeof(e->id), "%s", r->id);
	snprintf(e->parent_id, sizeof(e->parent_id), "%s", r->parent);
	snprintf(e->path, sizeof(e->path), "%s", r->path);
	e->size = e->plain_size = r->size;
	e->mode = r->size ? S_IFREG | 0600 : S_IFDIR | 0700;
	e->has_hash = r->size > 0;
	memset(e->hash, (int)r->size, sizeof(e->hash));
	CHECK_EQ(past_note(p, e), 0);
	free(e);
}

static void see(struct past *p, const struct now *n)
{
	struct past_seen s = { .id = n->id,
		               .parent_id = n->parent,
		               .path = n->path,
		               .alias = "alias",
		               .mode = n->size ? S_IFREG | 0644
		                               : S_IFDIR | 0755,
		               .size = n->size,
		               .has_hash = n->size > 0,
		               .created = n->created };

	memset(s.hash, (int)n->size, sizeof(s.hash));
	CHECK_EQ(past_see(p, &s), 0);
}

static char text[2048];

static void add(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void add(const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list args;

	va_start(args, fmt);
	vsnprintf(text + len, sizeof(text) - len, fmt, args);
	va_end(args);
}

static int show(void *arg, const struct past_item *it)
{
	(void)arg;
	add("%s", it->path);
	if (S_ISDIR(it->mode))
		add("/");
	else if (it->known)
		add("=%" PRIu64, it->size);
	else
		add("?");
	if (it->doubts)
		add("!");
	add("%s%s%s%s%s", it->doubts & PAST_FOREIGN ? "F" : "",
	    it->doubts & PAST_MOVED ? "M" : "",
	    it->doubts & PAST_EARLY ? "E" : "",
	    it->doubts & PAST_BACK ? "B" : "",
	    it->doubts & PAST_VANISHED ? "V" : "");
	if (!it->present)
		add("-");
	add(" ");
	return 0;
}

static const char *at(int64_t time, const struct row *rows, size_t n,
                      const struct now *now, size_t n_now)
{
	struct past *p;

	text[0] = '\0';
	CHECK_EQ(past_new(time, "R", &p), 0);
	for (size_t i = 0; i < n; i++)
		note(p, &rows[i]);
	for (size_t i = 0; i < n_now; i++)
		see(p, &now[i]);
	CHECK_EQ(past_each(p, show, NULL), 0);
	past_free(p);
	return text;
}

#define AT(time) at(time, rows, ARRAY_LEN(rows), now, ARRAY_LEN(now))

static void test_edits_and_names(void)
{
	static const struct row rows[] = {
		{ 10, MADE, "d", "R", "/d", 0 },
		{ 20, MADE, "f", "d", "/d/f", 1 },
		{ 30, WROTE, "f", "d", "/d/f", 2 },
		{ 40, MOVED, "f", "R", "/g", 2 },
		{ 50, MADE, "f2", "d", "/d/f", 3 },
		{ 60, MOVED, "d", "R", "/e", 0 },
		{ 70, WROTE, "f2", "d", "/e/f", 4 },
		{ 80, GONE, "f", "R", "/g", 2 },
	};
	static const struct now now[] = {
		{ "d", "R", "e", 0, 10 },
		{ "f2", "d", "e/f", 4, 50 },
	};

	CHECK_STR(AT(9), "");
	CHECK_STR(AT(10), "d/ ");
	CHECK_STR(AT(29), "d/ d/f=1- ");
	CHECK_STR(AT(30), "d/ d/f=2- ");
	CHECK_STR(AT(40), "d/ g=2- ");
	CHECK_STR(AT(50), "d/ d/f=3 g=2- ");
	CHECK_STR(AT(60), "e/ e/f=3 g=2- ");
	CHECK_STR(AT(79), "e/ e/f=4 g=2- ");
	CHECK_STR(AT(80), "e/ e/f=4 ");
}

/* Paths are those of this machine, which may be ahead of the service. */
static void test_ids_tell_the_folder(void)
{
	static const struct row rows[] = {
		{ 10, MADE, "a", "R", "/a", 0 },
		{ 10, MADE, "b", "R", "/b", 0 },
		{ 20, MADE, "x", "a", "/b/x", 1 }, /* exchanged here already */
		{ 30, MOVED, "a", "R", "/b", 0 },
		{ 31, MOVED, "b", "R", "/a", 0 },
		{ 40, MADE, "y", "b", "/a/y", 2 },
	};
	static const struct now now[] = {
		{ "a", "R", "b", 0, 10 },
		{ "b", "R", "a", 0, 10 },
		{ "x", "a", "b/x", 1, 20 },
		{ "y", "b", "a/y", 2, 40 },
	};

	CHECK_STR(AT(20), "a/ a/x=1 b/ ");
	CHECK_STR(AT(31), "a/ b/ b/x=1 ");
	CHECK_STR(AT(40), "a/ a/y=2 b/ b/x=1 ");
}

/* A folder of another device: it is known by what lay in it, then by itself. */
static void test_folder_by_path(void)
{
	static const struct row rows[] = {
		{ 20, MADE, "x", "o", "/o/p/x", 1 },
		{ 30, MADE, "y", "o", "/o/p/y", 2 },
		{ 40, GONE, "y", "o", "/o/p/y", 2 },
	};
	static const struct now now[] = {
		{ "oo", "R", "o", 0, 5 },
		{ "o", "oo", "o/p", 0, 5 },
		{ "x", "o", "o/p/x", 1, 20 },
	};

	CHECK_STR(at(35, rows, 3, NULL, 0), "o/- o/p/- o/p/x=1!V- o/p/y=2- ");
	CHECK_STR(AT(35), "o/ o/p/ o/p/x=1 o/p/y=2- ");
	CHECK_STR(AT(4), "");
	CHECK_STR(AT(6), "o/ o/p/ ");
}

static void test_other_devices(void)
{
	static const struct row rows[] = {
		{ 10, MADE, "a", "R", "/a", 1 },
		{ 10, MADE, "b", "R", "/b", 2 },
		{ 10, MADE, "c", "R", "/c", 3 },
		{ 10, MADE, "d", "R", "/d", 4 },
		{ 40, WROTE, "e", "R", "/e", 6 },
		{ 50, GONE, "g", "R", "/g", 8 },
	};
	static const struct now now[] = {
		{ "a", "R", "a", 9, 10 },     /* written by another one */
		{ "b", "R", "moved", 2, 10 }, /* moved */
		{ "d", "R", "d", 4, 10 },
		{ "e", "R", "e", 6, 5 }, /* made there, written here later */
		{ "n", "R", "new", 7, 20 },
		{ "q", "R", "quite new", 7, 60 },
	};

	CHECK_STR(AT(15), "a=1!F b=2!M c=3!V- d=4 e?!E g=8!E- ");
	CHECK_STR(AT(30), "a=1!F b=2!M c=3!V- d=4 e?!E g=8!E- new?!F ");
	CHECK_STR(AT(4), "g=8!E- ");
	CHECK_STR(AT(55), "a=1!F b=2!M c=3!V- d=4 e=6 new?!F ");
}

static void test_back_from_the_bin(void)
{
	static const struct row rows[] = {
		{ 10, MADE, "a", "R", "/a", 1 },
		{ 20, GONE, "a", "R", "/a", 1 },
	};
	static const struct now now[] = { { "a", "R", "a", 1, 10 } };

	CHECK_STR(AT(15), "a=1 ");
	CHECK_STR(AT(25), "a=1!B ");
}

/* In a vault names may come twice; nobody is left out for that. */
static void test_twins(void)
{
	static const struct row rows[] = {
		{ 10, MADE, "a", "R", "/a", 1 },
	};
	static const struct now now[] = {
		{ "a", "R", "a", 1, 10 },
		{ "b", "R", "a", 2, 11 },
		{ "c", "R", "c", 3, 11 },
		{ "d", "R", "c", 4, 12 },
	};

	CHECK_STR(AT(11), "a=1 alias?!F c?!F ");
}

/* When this machine saw it again is known, if it did. */
static void test_seen_again(void)
{
	static const struct row rows[] = {
		{ 10, MADE, "a", "R", "/a", 1 },
		{ 20, GONE, "a", "R", "/a", 1 },
		{ 30, LEDGER_BACK, "a", "R", "/b", 1 },
	};
	static const struct now now[] = { { "a", "R", "b", 1, 10 } };

	CHECK_STR(AT(15), "a=1 ");
	CHECK_STR(AT(25), "");
	CHECK_STR(AT(35), "b=1 ");
}

/* Written by a release that noted less. */
static void test_old_entries(void)
{
	static const struct row rows[] = {
		{ 10, MADE, "d", "", "/d", 0 },
		{ 20, MADE, "f", "", "/d/f", 1 },
		{ 30, MOVED, "d", "", "/e", 0 },
	};
	struct ledger_entry *e = calloc(1, sizeof(*e));
	struct past *p;

	text[0] = '\0';
	CHECK_EQ(past_new(100, "", &p), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		memset(e, 0, sizeof(*e));
		e->time = rows[i].time;
		e->what = rows[i].what;
		strcpy(e->id, rows[i].id);
		strcpy(e->path, rows[i].path);
		e->size = rows[i].size;
		CHECK_EQ(past_note(p, e), 0);
	}
	CHECK_EQ(past_each(p, show, NULL), 0);
	CHECK_STR(text, "e/- e/f=1!V- ");
	past_free(p);
	free(e);
}

/* A folder can't get into itself, whatever a ledger says. */
static void test_loops(void)
{
	static const struct row rows[] = {
		{ 10, MADE, "a", "R", "/a", 0 },
		{ 10, MADE, "b", "a", "/a/b", 0 },
		{ 20, MOVED, "a", "b", "/a/b/a", 0 },
		{ 30, MADE, "c", "c", "/c/c", 0 },
		{ 40, MADE, "f", "b", "/a/b/f", 3 },
	};

	CHECK(strlen(at(50, rows, ARRAY_LEN(rows), NULL, 0)) < 100);
}

static void test_no_memory(void)
{
	static const struct row rows[] = {
		{ 10, MADE, "a", "", "/o/a", 1 },
		{ 20, MOVED, "a", "", "/o/p/b", 1 },
	};

	struct ledger_entry *e = calloc(1, sizeof(*e));

	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct past *p = NULL;
		int rc = past_new(100, "R", &p);

		for (size_t i = 0; rc == 0 && i < ARRAY_LEN(rows); i++) {
			e->time = rows[i].time;
			e->what = rows[i].what;
			strcpy(e->id, rows[i].id);
			strcpy(e->path, rows[i].path);
			rc = past_note(p, e);
		}
		text[0] = '\0';
		if (rc == 0)
			rc = past_each(p, show, NULL);
		CHECK(rc == 0 || rc == -ENOMEM);
		past_free(p);
	}
	free(e);
}

int main(void)
{
	RUN(test_edits_and_names);
	RUN(test_ids_tell_the_folder);
	RUN(test_folder_by_path);
	RUN(test_other_devices);
	RUN(test_back_from_the_bin);
	RUN(test_twins);
	RUN(test_seen_again);
	RUN(test_old_entries);
	RUN(test_loops);
	RUN(test_no_memory);
	return check_report();
}
