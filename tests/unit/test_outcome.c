/* What a request did on the server, noted while programs look at the file. */
#include "fs/outcome.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/codec.h"
#include "fs/content.h"
#include "fs/db.h"
#include "fs/store.h"
#include "fs/told.h"
#include "fs/tree.h"
#include "net/log.h"
#include "tests/unit/check.h"

#define OLD_SIZE 40000
#define NEW_SIZE 300

static struct fixture {
	char dir[64];
	struct store *store;
	struct contents *contents;
	struct tree *tree;
	struct outcome o;
	struct attempt *a;
} f;

static int plain_size(const struct codec *c, uint64_t size, uint64_t *out)
{
	(void)c;
	*out = size;
	return 0;
}

static const struct codec_ops ops = { .name = "test",
	                              .plain_size = plain_size };
static const struct codec codec = { .ops = &ops };

static void begin(void)
{
	struct tree_options opt = { .codec = &codec };
	struct content_recovery rec;
	struct store_found found;
	struct db *db;

	f = (struct fixture){ .dir = "/tmp/nmb-outcome-XXXXXX" };
	CHECK(mkdtemp(f.dir) != NULL);
	CHECK_EQ(store_open(f.dir, &f.store, &found), 0);
	CHECK_EQ(contents_new(f.dir, f.store, &f.contents), 0);
	CHECK_EQ(contents_recover(f.contents, false, &rec), 0);
	opt.store = f.store;
	opt.contents = f.contents;
	CHECK_EQ(tree_new(&opt, &f.tree), 0);
	CHECK_EQ(store_begin(f.store, &db), 0);
	CHECK_EQ(node_set_flags(db, NODE_ROOT, 0, NODE_UNLISTED), 0);
	CHECK_EQ(store_commit(f.store), 0);
	f.o = (struct outcome){ .store = f.store,
		                .tree = f.tree,
		                .contents = f.contents,
		                .gather = { .codec = &codec },
		                .told = told_new() };
	f.a = attempt_alloc();
}

static void end(void)
{
	char cmd[128];

	attempt_free(f.a);
	told_free(f.o.told);
	tree_free(f.tree);
	contents_free(f.contents);
	store_close(f.store, false);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", f.dir);
	CHECK_EQ(system(cmd), 0);
}

/* As a start after a power cut leaves a file whose new content was on its way
 * (generation 2) and never got to the disk: as the server had it. */
static uint64_t add_gone_back(void)
{
	struct node n = { .ino = store_next_ino(f.store),
		          .mode = 0100644,
		          .parent = NODE_ROOT,
		          .name = "a",
		          .flags = NODE_DIRTY,
		          .gen = 3,
		          .size = OLD_SIZE,
		          .s_id = "ID",
		          .s_etag = "E1",
		          .s_name = "a",
		          .s_parent = NODE_ROOT,
		          .s_gen = 3,
		          .s_size = OLD_SIZE,
		          .s_len = OLD_SIZE };
	struct db *db;

	f.a->ino = n.ino;
	f.a->op = ATTEMPT_REPLACE;
	f.a->state = ATTEMPT_LOOK;
	f.a->gen = 2;
	f.a->cid = 12345; /* that is nowhere any more */
	f.a->size = f.a->plain_size = NEW_SIZE;
	strcpy(f.a->item_id, "ID");
	CHECK_EQ(store_begin(f.store, &db), 0);
	CHECK_EQ(node_insert(db, &n, NULL), 0);
	CHECK_EQ(attempt_insert(db, f.a), 0);
	CHECK_EQ(store_commit(f.store), 0);
	return n.ino;
}

static struct tree_entry look(void)
{
	struct tree_entry e = { 0 };
	uint64_t list;

	CHECK_EQ(tree_lookup(f.tree, NODE_ROOT, "a", &e, &list), 0);
	return e;
}

static struct node node_now(uint64_t ino)
{
	struct node n = { 0 };
	struct db *db;

	CHECK_EQ(store_reader(f.store, &db), 0);
	CHECK_EQ(node_get(db, ino, &n), 0);
	store_reader_done(f.store, db);
	return n;
}

/* It turns out that the new content had arrived. */
static void arrived(void)
{
	struct item *it = calloc(1, sizeof(*it));

	strcpy(it->id, "ID");
	strcpy(it->name, "a");
	strcpy(it->etag, "E2");
	it->size = NEW_SIZE;
	CHECK_EQ(outcome_sent(&f.o, f.a, it, true), 0);
	free(it);
}

static void check_taken(uint64_t ino, const struct tree_entry *before)
{
	struct node n = node_now(ino);
	struct tree_entry after = look();

	CHECK_EQ(n.gen, 2);
	CHECK_EQ(n.s_gen, 2);
	CHECK_EQ(n.cid, 0);
	CHECK_EQ(n.size, NEW_SIZE);
	CHECK_STR(n.s_etag, "E2");
	/* The kernel believes its own size of a nodeid that it knows. */
	CHECK(after.nodeid != before->nodeid);
	CHECK_EQ(after.st.st_size, NEW_SIZE);
	CHECK_EQ(after.st.st_ino, before->st.st_ino);
	tree_forget(f.tree, after.nodeid, 1);
	tree_forget(f.tree, before->nodeid, 1);
}

static void test_arrived_looked_up(void)
{
	struct tree_entry before;
	struct handle *h;
	uint64_t ino;

	begin();
	ino = add_gone_back();
	before = look();
	CHECK_EQ(before.st.st_size, OLD_SIZE);
	arrived();
	CHECK_EQ(tree_open(f.tree, before.nodeid, O_RDONLY, &h), -ESTALE);
	check_taken(ino, &before);
	end();
}

/* Read already: none of the former version mixes with what is there now. */
static void test_arrived_read(void)
{
	struct tree_entry before;
	struct content *c;
	struct handle *h;
	uint64_t ino;

	begin();
	ino = add_gone_back();
	before = look();
	CHECK_EQ(tree_open(f.tree, before.nodeid, O_RDONLY, &h), 0);
	CHECK_EQ(tree_handle_content(f.tree, h, &c), 0);
	CHECK(node_now(ino).cid != 0);
	arrived();
	CHECK_EQ(content_size(c), OLD_SIZE); /* who has it open goes on */
	content_put(c);
	check_taken(ino, &before);
	tree_release(f.tree, h);
	end();
}

/* Written meanwhile: the program's content counts, and is sent over it. */
static void test_arrived_written(void)
{
	struct tree_entry before;
	struct content *c;
	struct handle *h;
	struct node n;
	uint64_t ino;

	begin();
	ino = add_gone_back();
	before = look();
	CHECK_EQ(tree_open(f.tree, before.nodeid, O_WRONLY, &h), 0);
	CHECK_EQ(tree_handle_content(f.tree, h, &c), 0);
	CHECK_EQ(content_write(c, "new", 3, 0), 0);
	arrived();
	n = node_now(ino);
	CHECK_EQ(n.cid, content_cid(c));
	CHECK_EQ(n.s_gen, 2);
	CHECK(n.gen > 2);
	CHECK_EQ(content_size(c), OLD_SIZE);
	content_put(c);
	tree_release(f.tree, h);
	tree_forget(f.tree, before.nodeid, 1);
	end();
}

static void drop_line(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

int main(void)
{
	log_set_sink(drop_line, NULL);
	RUN(test_arrived_looked_up);
	RUN(test_arrived_read);
	RUN(test_arrived_written);
	return check_report();
}
