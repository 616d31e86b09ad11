#include "fs/ledger.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/db.h"
#include "fs/store.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

static struct store *store;
static struct db *db;

static void set_up(void)
{
	struct store_found found;

	CHECK_EQ(store_open(NULL, &store, &found), 0);
	CHECK_EQ(store_begin(store, &db), 0);
}

static void tear_down(void)
{
	CHECK_EQ(store_commit(store), 0);
	store_close(store, true);
}

static struct ledger_entry entry(enum ledger_what what, const char *id,
                                 const char *path, const char *etag)
{
	struct ledger_entry e = { .what = what, .time = 1000 };

	snprintf(e.id, sizeof(e.id), "%s", id);
	snprintf(e.path, sizeof(e.path), "%s", path);
	snprintf(e.etag, sizeof(e.etag), "%s", etag);
	return e;
}

static void add(enum ledger_what what, const char *id, const char *path,
                const char *etag)
{
	struct ledger_entry e = entry(what, id, path, etag);

	CHECK_EQ(ledger_add(db, &e), 0);
	CHECK(e.seq > 0);
}

static void test_add_and_get(void)
{
	struct ledger_entry e = entry(LEDGER_CREATED, "I1", "/a\xff", "T1"),
			    got;

	set_up();
	CHECK_EQ(ledger_get(db, "I1", &got), -ENOENT);
	e.size = 300;
	e.plain_size = 200;
	e.has_hash = true;
	memset(e.hash, 7, sizeof(e.hash));
	strcpy(e.parent_id, "P");
	strcpy(e.target, "to/\xfe");
	e.mode = 0120777;
	e.mtime = -5;
	CHECK_EQ(ledger_add(db, &e), 0);
	CHECK_EQ(ledger_get(db, "I1", &got), 0);
	CHECK_MEM(&got, &e, sizeof(e));
	CHECK_EQ(ledger_get(db, "i1", &got), -ENOENT);

	/* Another name: the content is what it was. */
	add(LEDGER_MOVED, "I1", "/b", "T2");
	CHECK_EQ(ledger_get(db, "I1", &got), 0);
	CHECK_EQ(got.what, LEDGER_MOVED);
	CHECK_STR(got.path, "/b");
	CHECK_STR(got.etag, "T2");
	CHECK_EQ(got.size, 300);
	CHECK_EQ(got.plain_size, 200);
	CHECK(got.has_hash && got.hash[19] == 7);

	/* New content while it was unlinked: it has no path any more. */
	add(LEDGER_CONTENT, "I1", "", "T3");
	CHECK_EQ(ledger_get(db, "I1", &got), 0);
	CHECK_STR(got.path, "/b");
	CHECK_EQ(got.size, 0);
	CHECK(!got.has_hash);
	tear_down();
}

static void test_tags(void)
{
	set_up();
	add(LEDGER_CREATED, "I1", "/a", "T1");
	add(LEDGER_CONTENT, "I1", "/a", "T2");
	add(LEDGER_CREATED, "I2", "/b", "T3");
	CHECK_EQ(ledger_had_tag(db, "I1", "T1"), 1);
	CHECK_EQ(ledger_had_tag(db, "I1", "T2"), 1);
	CHECK_EQ(ledger_had_tag(db, "I1", "T3"), 0);
	CHECK_EQ(ledger_had_tag(db, "I3", "T1"), 0);
	tear_down();
}

static int count(void *arg, const struct ledger_entry *e)
{
	unsigned *n = arg;

	(void)e;
	++*n;
	return 0;
}

static void test_keeps_the_newest(void)
{
	unsigned n = 0;
	char tag[16];

	set_up();
	add(LEDGER_CREATED, "other", "/o", "T0");
	for (int i = 0; i < LEDGER_KEEP + 10; i++) {
		snprintf(tag, sizeof(tag), "T%d", i);
		add(LEDGER_CONTENT, "I1", "/a", tag);
	}
	CHECK_EQ(ledger_each(db, "I1", count, &n), 0);
	CHECK_EQ(n, LEDGER_KEEP);
	CHECK_EQ(ledger_had_tag(db, "I1", "T9"), 0);
	CHECK_EQ(ledger_had_tag(db, "I1", "T10"), 1);
	CHECK_EQ(ledger_had_tag(db, "other", "T0"), 1);
	tear_down();
}

/* ---- deletions --------------------------------------------------------- */

static void add_node(uint64_t ino, uint64_t s_parent, const char *id,
                     bool hashed)
{
	struct node n = { .ino = ino,
		          .mode = 0100644,
		          .s_parent = s_parent,
		          .s_size = ino,
		          .flags = hashed ? NODE_HASHED : 0 };

	snprintf(n.name, sizeof(n.name), "%" PRIu64, ino);
	snprintf(n.s_id, sizeof(n.s_id), "%s", id);
	snprintf(n.s_etag, sizeof(n.s_etag), "E%s", id);
	CHECK_EQ(node_insert(db, &n, NULL), 0);
}

struct names {
	char text[64];
	unsigned max;
	uint64_t last;
};

static int collect(void *arg, const struct ledger_entry *e)
{
	struct names *l = arg;
	size_t len = strlen(l->text);

	snprintf(l->text + len, sizeof(l->text) - len, "%s=%s ", e->id,
	         e->path);
	l->last = e->seq;
	return --l->max == 0;
}

static void test_deleted(void)
{
	struct names all = { .max = 9 }, some = { .max = 2 },
		     rest = { .max = 9 };
	struct ledger_entry got;

	set_up();
	add_node(20, NODE_ROOT, "dir", false);
	add_node(21, 20, "f1", true);
	add_node(22, 20, "sub", false);
	add_node(23, 22, "f2", false); /* another device's */
	add_node(24, NODE_ROOT, "stays", false);
	add_node(25, 20, "", false); /* never was there */
	add(LEDGER_CREATED, "dir", "/dir", "T1");
	add(LEDGER_CREATED, "f1", "/dir/f1", "T2");
	add(LEDGER_CREATED, "sub", "/dir/sub", "T3");
	add(LEDGER_CREATED, "stays", "/stays", "T4");
	CHECK_EQ(ledger_add_deleted(db, 20, 77), 0);
	CHECK_EQ(ledger_get(db, "f1", &got), 0);
	CHECK_EQ(got.what, LEDGER_DELETED);
	CHECK_EQ(got.time, 77);
	CHECK_EQ(got.size, 21);
	CHECK_STR(got.path, "/dir/f1");
	CHECK_STR(got.etag, "Ef1");
	CHECK(got.has_hash);
	CHECK_STR(got.parent_id, "dir");
	CHECK_EQ(got.mode, 0100644);
	CHECK_EQ(ledger_get(db, "f2", &got), 0);
	CHECK_STR(got.path, "");
	CHECK(!got.has_hash);
	CHECK_EQ(ledger_get(db, "stays", &got), 0);
	CHECK_EQ(got.what, LEDGER_CREATED);

	CHECK_EQ(ledger_each_deleted(db, 0, collect, &some), 0);
	CHECK_EQ(ledger_each_deleted(db, some.last, collect, &rest), 0);
	CHECK_EQ(ledger_each_deleted(db, 0, collect, &all), 0);
	strcat(some.text, rest.text);
	CHECK_STR(some.text, all.text);
	CHECK(strstr(all.text, "f1=/dir/f1 ") && strstr(all.text, "f2= "));
	CHECK_EQ(all.max, 9 - 4);

	/* Back from the recycle bin. */
	add(LEDGER_MOVED, "f1", "/dir/f1", "T9");
	memset(&all, 0, sizeof(all));
	all.max = 9;
	CHECK_EQ(ledger_each_deleted(db, 0, collect, &all), 0);
	CHECK_EQ(all.max, 9 - 3);
	CHECK(!strstr(all.text, "f1="));
	tear_down();
}

static void test_back(void)
{
	struct ledger_entry got;
	struct node n;

	set_up();
	add_node(20, NODE_ROOT, "f", true);
	CHECK_EQ(node_get(db, 20, &n), 0);
	n.flags |= NODE_HASHED;
	CHECK_EQ(ledger_add_back(db, &n, "P", 50), 0);
	CHECK_EQ(ledger_get(db, "f", &got), -ENOENT); /* nobody's delete */
	add(LEDGER_CREATED, "f", "/20", "T1");
	CHECK_EQ(ledger_add_back(db, &n, "P", 50), 0);
	CHECK_EQ(ledger_get(db, "f", &got), 0);
	CHECK_EQ(got.what, LEDGER_CREATED);
	CHECK_EQ(ledger_add_deleted(db, 20, 60), 0);
	CHECK_EQ(ledger_add_back(db, &n, "P", 70), 0);
	CHECK_EQ(ledger_get(db, "f", &got), 0);
	CHECK_EQ(got.what, LEDGER_BACK);
	CHECK_EQ(got.time, 70);
	CHECK_STR(got.parent_id, "P");
	CHECK_EQ(got.size, 20);
	CHECK(got.has_hash);
	CHECK_EQ(got.mode, 0100644);
	tear_down();
}

static void test_all_in_order(void)
{
	struct names all = { .max = 9 }, some = { .max = 2 };

	set_up();
	add(LEDGER_CREATED, "a", "/a", "T1");
	add(LEDGER_CREATED, "b", "/b", "T2");
	add(LEDGER_MOVED, "a", "/c", "T3");
	CHECK_EQ(ledger_each_entry(db, collect, &all), 0);
	CHECK_STR(all.text, "a=/a b=/b a=/c ");
	CHECK_EQ(ledger_each_entry(db, collect, &some), 0);
	CHECK_STR(some.text, "a=/a b=/b ");
	tear_down();
}

static void test_content(void)
{
	struct ledger_entry e = entry(LEDGER_CREATED, "I1", "/a", "T1"), got;

	set_up();
	CHECK_EQ(ledger_get_content(db, "I1", &got), -ENOENT);
	e.time = 500;
	e.has_plain_hash = true;
	memset(e.plain_hash, 9, sizeof(e.plain_hash));
	CHECK_EQ(ledger_add(db, &e), 0);
	add(LEDGER_MOVED, "I1", "/b", "T2");
	CHECK_EQ(ledger_get_content(db, "I1", &got), 0);
	CHECK_MEM(&got, &e, sizeof(e));
	for (int i = 0; i < LEDGER_KEEP; i++)
		add(LEDGER_MOVED, "I1", "/c", "T3");
	CHECK_EQ(ledger_get_content(db, "I1", &got), 0);
	CHECK_EQ(got.what, LEDGER_MOVED);
	CHECK(got.has_plain_hash && got.plain_hash[31] == 9);
	/* What is new there is another matter. */
	add(LEDGER_CONTENT, "I1", "/c", "T4");
	CHECK_EQ(ledger_get_content(db, "I1", &got), 0);
	CHECK_EQ(got.what, LEDGER_CONTENT);
	CHECK(!got.has_plain_hash);
	tear_down();
}

static void test_no_memory(void)
{
	struct ledger_entry got;
	unsigned rounds = 0;

	set_up();
	for (unsigned n = 1; alloc_fail_at(n); n++, rounds++) {
		struct ledger_entry e = entry(LEDGER_CREATED, "I", "/a", "T");
		int rc = ledger_add(db, &e);

		CHECK(rc == 0 || rc == -ENOMEM);
		CHECK_EQ(ledger_get(db, "I", &got), rc == 0 ? 0 : -ENOENT);
	}
	CHECK_EQ(rounds, 2); /* one failed, one did not */
	tear_down();
}

int main(void)
{
	RUN(test_add_and_get);
	RUN(test_tags);
	RUN(test_keeps_the_newest);
	RUN(test_deleted);
	RUN(test_back);
	RUN(test_all_in_order);
	RUN(test_content);
	RUN(test_no_memory);
	return check_report();
}
