#include "tests/graphd/blob.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/graphd/must.h"
#include "tests/unit/check.h"

static void check_content(struct blob_store *s, const struct blob *b,
                          const char *want)
{
	char text[64] = "";
	int fd = blob_open(s, b);

	CHECK(fd >= 0);
	if (fd < 0)
		return;
	CHECK_EQ(read(fd, text, sizeof(text)), strlen(want));
	CHECK_STR(text, want);
	close(fd);
}

/* What was not kept is dropped by the next writer. */
static void test_draft(void)
{
	struct blob_store *s;
	struct draft *d;
	struct blob *b;
	unsigned t1, t2;

	CHECK_EQ(blob_store_open(NULL, true, &s), 0);
	CHECK_EQ(draft_new(s, &d), 0);
	t1 = draft_claim(d);
	CHECK_EQ(draft_write(d, t1, "hello ", 6), 0);
	CHECK_EQ(draft_keep(d, t1), 0);
	t1 = draft_claim(d);
	CHECK_EQ(draft_write(d, t1, "nonsense", 8), 0);
	CHECK_EQ(draft_size(d), 14);
	t2 = draft_claim(d);
	CHECK_EQ(draft_size(d), 6);
	CHECK_EQ(draft_write(d, t1, "late", 4), -ECANCELED);
	CHECK_EQ(draft_keep(d, t1), -ECANCELED);
	CHECK_EQ(draft_write(d, t2, "world\n", 6), 0);
	CHECK_EQ(draft_keep(d, t2), 0);
	b = draft_take(d);
	draft_free(d);
	CHECK_EQ(b->size, 12);
	CHECK_STR(b->quickxor, "aCgDG9jwBhDc4Q1ybAMZFAAAAAA=");
	CHECK_STR(b->sha1, "22596363B3DE40B06F981FB85D82312E8C0ED511");
	check_content(s, b, "hello world\n");
	blob_unref(s, b);
	blob_store_close(s);
}

/* Back after a restart: the hash goes on from the kept bytes. */
static void test_adopt(void)
{
	char dir[] = "/tmp/test_blob.XXXXXX";
	struct blob_store *s;
	struct draft *d;
	struct blob *b;
	uint64_t num;
	unsigned t;

	CHECK(mkdtemp(dir) != NULL);
	CHECK_EQ(blob_store_open(dir, false, &s), 0);
	CHECK_EQ(draft_new(s, &d), 0);
	t = draft_claim(d);
	draft_write(d, t, "hello ...", 9);
	num = draft_num(d);
	blob_store_freeze(s); /* the process dies */
	draft_free(d);
	blob_store_close(s);

	CHECK_EQ(blob_store_open(dir, false, &s), 0);
	CHECK_EQ(draft_adopt(s, num + 1, 0, &d), -ENOENT);
	CHECK_EQ(draft_adopt(s, num, 6, &d), 0);
	t = draft_claim(d);
	draft_write(d, t, "world\n", 6);
	draft_keep(d, t);
	b = draft_take(d);
	CHECK_STR(b->quickxor, "aCgDG9jwBhDc4Q1ybAMZFAAAAAA=");
	check_content(s, b, "hello world\n");
	draft_free(d);
	blob_unref(s, b);
	blob_store_close(s);
	CHECK_EQ(rmdir(dir), 0);
}

int main(void)
{
	RUN(test_draft);
	RUN(test_adopt);
	return check_report();
}
