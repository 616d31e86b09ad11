#include "tests/graphd/drive.h"

#include <stdlib.h>

#include "tests/graphd/must.h"
#include "tests/unit/check.h"

#define T0 INT64_C(1700000000000000000)

struct rig {
	struct blob_store *blobs;
	struct drive *d;
};

static struct rig rig_new(enum drive_kind kind, int64_t quota)
{
	struct rig r;

	CHECK_EQ(blob_store_open(NULL, false, &r.blobs), 0);
	r.d = drive_new(kind, r.blobs, quota, T0);
	return r;
}

static void rig_free(struct rig *r)
{
	drive_free(r->d);
	blob_store_close(r->blobs);
}

static struct item *add_file(struct rig *r, struct item *parent,
                             const char *name, const char *text)
{
	struct item *f = drive_add(r->d, parent, name, ITEM_FILE, T0);

	drive_set_content(r->d, f, blob_from(r->blobs, text, strlen(text)), T0);
	return f;
}

static void check_path(const struct item *item, const char *want)
{
	struct buf b = BUF_INIT;

	drive_path(item, true, &b);
	CHECK_STR(must_text(&b), want);
	buf_done(&b);
}

static void test_names(void)
{
	struct rig r = rig_new(DRIVE_PERSONAL, 0);
	struct item *a = drive_add(r.d, r.d->root, "A", ITEM_FOLDER, T0);
	struct item *f = add_file(&r, a, "b c#", "x"), *parent;
	const char *rest;
	char *free_name;

	CHECK(drive_child(r.d, r.d->root, "a") == a);
	CHECK(!drive_child(r.d, r.d->root, "b"));
	CHECK(drive_resolve(r.d, r.d->root, "/a//B C#/", &parent, &rest) == f);
	CHECK(drive_resolve(r.d, r.d->root, "", &parent, &rest) == r.d->root);
	CHECK(!drive_resolve(r.d, r.d->root, "a/x/y", &parent, &rest));
	CHECK(parent == a);
	CHECK_STR(rest, "x/y");
	check_path(f, "/A/b%20c%23");
	CHECK(drive_find(r.d, "root") == r.d->root);
	CHECK(drive_find(r.d, f->id) == f);
	CHECK(!drive_find(r.d, "nonsense"));
	add_file(&r, a, "f.txt", "");
	add_file(&r, a, "f 1.txt", "");
	free_name = drive_free_name(r.d, a, "f.txt");
	CHECK_STR(free_name, "f 2.txt");
	free(free_name);
	rig_free(&r);
}

static void test_sizes(void)
{
	struct rig r = rig_new(DRIVE_BUSINESS, 100);
	struct item *a = drive_add(r.d, r.d->root, "a", ITEM_FOLDER, T0);
	struct item *b = drive_add(r.d, a, "b", ITEM_FOLDER, T0);
	struct item *f = add_file(&r, b, "f", "12345");

	CHECK_EQ(r.d->root->size, 5);
	CHECK_EQ(a->size, 5);
	drive_set_content(r.d, f, blob_from(r.blobs, "123", 3), T0);
	CHECK_EQ(a->size, 3);
	CHECK_EQ(r.d->used_bytes, 8); /* the old content is a version */
	CHECK_EQ(f->nversions, 1);
	drive_move(r.d, f, r.d->root, "g", T0);
	CHECK_EQ(a->size, 0);
	CHECK_EQ(r.d->root->size, 3);
	drive_move(r.d, f, b, "f", T0);
	drive_bin(r.d, a, T0);
	CHECK_EQ(r.d->root->size, 0);
	CHECK_EQ(r.d->used_bytes, 0);
	CHECK_EQ(r.d->binned_bytes, 8);
	CHECK(drive_is_full(r.d, 93));
	CHECK(!drive_is_full(r.d, 92));
	CHECK(!drive_find(r.d, f->id));
	CHECK(drive_find_any(r.d, f->id) == f);
	drive_restore(r.d, a, r.d->root, "a2", T0);
	CHECK_EQ(r.d->root->size, 3);
	CHECK_EQ(r.d->used_bytes, 8);
	CHECK_EQ(r.d->binned_bytes, 0);
	CHECK(drive_find(r.d, f->id) == f);
	check_path(f, "/a2/b/f");
	drive_destroy(r.d, a, T0);
	CHECK_EQ(r.d->used_bytes, 0);
	CHECK_EQ(r.d->binned_bytes, 0);
	CHECK(!f->blob);
	CHECK_EQ(r.d->nlive, 1);
	rig_free(&r);
}

/* Each change moves its item to the end, once. */
static void test_order(void)
{
	struct rig r = rig_new(DRIVE_BUSINESS, 0);
	struct item *a = add_file(&r, r.d->root, "a", "");
	struct item *b = add_file(&r, r.d->root, "b", "");
	uint64_t seq = b->seq;
	unsigned n = 0;

	CHECK(r.d->newest == b);
	drive_touch(r.d, a, T0);
	CHECK(r.d->newest == a);
	CHECK(a->seq > seq);
	CHECK_EQ(a->etag_n, 2);
	drive_bump_tag(r.d, b);
	CHECK_EQ(b->seq, seq);
	for (struct item *i = r.d->oldest; i; i = i->newer)
		n++;
	CHECK_EQ(n, 3);
	rig_free(&r);
}

/* Deepest first, so that a folder's tombstone comes after those below. */
static void test_tombstones(void)
{
	struct rig r = rig_new(DRIVE_BUSINESS, 0);
	struct item *a = drive_add(r.d, r.d->root, "a", ITEM_FOLDER, T0);
	struct item *f = add_file(&r, a, "f", "x"), *g;

	drive_bin(r.d, f, T0);
	g = add_file(&r, a, "f", "y"); /* another item under the old name */
	CHECK(g != f);
	drive_bin(r.d, a, T0);
	CHECK(g->seq < a->seq);
	CHECK_EQ(g->binned_with, a->num);
	CHECK_EQ(f->binned_with, f->num);
	drive_restore(r.d, a, r.d->root, "a", T0);
	CHECK(drive_child(r.d, a, "f") == g);
	CHECK_EQ(f->state, ITEM_BINNED);
	rig_free(&r);
}

static void test_versions(void)
{
	struct rig r = rig_new(DRIVE_PERSONAL, 0);
	struct item *f = add_file(&r, r.d->root, "f", "0");

	for (int i = 1; i < 40; i++)
		drive_set_content(r.d, f, blob_from(r.blobs, "12", 2), T0 + i);
	CHECK_EQ(f->nversions, 24); /* 25 with the current one */
	CHECK_EQ(f->version_n, 40);
	CHECK_EQ(f->versions[23].n, 39);
	CHECK_EQ(r.d->used_bytes, 50);
	drive_drop_version(r.d, f, 0);
	CHECK_EQ(f->versions[0].n, 17);
	CHECK_EQ(r.d->used_bytes, 48);
	rig_free(&r);
}

int main(void)
{
	RUN(test_names);
	RUN(test_sizes);
	RUN(test_order);
	RUN(test_tombstones);
	RUN(test_versions);
	return check_report();
}
