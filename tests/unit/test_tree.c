#include "fs/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/codec.h"
#include "fs/content.h"
#include "fs/db.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/log.h"
#include "net/names.h"
#include "tests/unit/check.h"

/* ---- a tree in a directory of its own
 * ---------------------------------------- */

static struct fixture {
	char dir[64];
	struct store *store;
	struct contents *contents;
	struct tree *tree;
	atomic_uint dirty, settled, unsynced, entries, attrs;
	atomic_uint_fast64_t last_settled;
	uint64_t entry_parent;
	char entry_name[64];
} f;

static int seal(const struct codec *c, const struct node *n, const char *target,
                char *out, const char **out_why)
{
	int rc = names_to_remote(n->name, out, NODE_REMOTE_MAX + 1);

	(void)c;
	(void)target;
	return rc < 0 ? rc : names_check(out, false, node_is_dir(n), out_why);
}

static int units(const struct codec *c, const struct node *n,
                 const char *target, unsigned *out_units)
{
	char remote[NODE_REMOTE_MAX + 1];
	const char *why;
	int rc = seal(c, n, target, remote, &why);

	if (rc == 0)
		*out_units = (unsigned)names_utf16_len(remote);
	return rc;
}

static char *fold(const struct codec *c, const char *plain, int *out_rc)
{
	char *key = names_fold(plain);

	(void)c;
	*out_rc = key ? 0 : -ENOMEM;
	return key;
}

static const struct codec_ops ops = { .name = "test",
	                              .seal_name = seal,
	                              .name_units = units,
	                              .fold = fold,
	                              .folds_names = true };
static const struct codec codec = { .ops = &ops };

static void on_dirty(void *arg, uint64_t ino)
{
	(void)arg;
	(void)ino;
	f.dirty++;
}

static void on_settled(void *arg, uint64_t ino)
{
	(void)arg;
	f.settled++;
	f.last_settled = ino;
}

static void on_entry(void *arg, uint64_t parent, const char *name)
{
	(void)arg;
	f.entries++;
	f.entry_parent = parent;
	snprintf(f.entry_name, sizeof(f.entry_name), "%s", name);
}

static void on_attr(void *arg, uint64_t nodeid)
{
	(void)arg;
	(void)nodeid;
	f.attrs++;
}

static void on_unsynced(void *arg)
{
	(void)arg;
	f.unsynced++;
}

static void open_tree(bool rebooted)
{
	struct tree_options opt = {
		.codec = &codec,
		.path_units = 11,
		.uid = 1000,
		.gid = 100,
		.events = { .dirty = on_dirty,
		            .settled = on_settled,
		            .stale_entry = on_entry,
		            .stale_attr = on_attr,
		            .unsynced = on_unsynced },
	};
	struct content_recovery rec;
	struct store_found found;

	CHECK_EQ(store_open(f.dir, &f.store, &found), 0);
	CHECK_EQ(contents_new(f.dir, f.store, &f.contents), 0);
	CHECK_EQ(contents_recover(f.contents, rebooted, &rec), 0);
	opt.store = f.store;
	opt.contents = f.contents;
	CHECK_EQ(tree_new(&opt, &f.tree), 0);
	tree_set_service_units(f.tree, 0);
}

static void close_tree(void)
{
	tree_free(f.tree);
	contents_free(f.contents);
	store_close(f.store, false);
}

static void set_flags(uint64_t ino, uint32_t set, uint32_t clear)
{
	struct db *db;

	CHECK_EQ(store_begin(f.store, &db), 0);
	CHECK_EQ(node_set_flags(db, ino, set, clear), 0);
	CHECK_EQ(store_commit(f.store), 0);
}

static void begin(void)
{
	f = (struct fixture){ .dir = "/tmp/nmb-tree-XXXXXX" };
	CHECK(mkdtemp(f.dir) != NULL);
	open_tree(false);
	set_flags(NODE_ROOT, 0, NODE_UNLISTED);
}

static void end(void)
{
	char cmd[128];

	close_tree();
	snprintf(cmd, sizeof(cmd), "rm -rf %s", f.dir);
	CHECK_EQ(system(cmd), 0);
}

/* ---- shorthands
 * ---------------------------------------------------------------- */

static uint64_t no_list;

static uint64_t mk(uint64_t parent, const char *name, mode_t mode)
{
	struct tree_entry e = { 0 };

	CHECK_EQ(tree_make(f.tree, parent, name, mode, 0, 5, 6, &e), 0);
	return e.nodeid;
}

static uint64_t mkfile(uint64_t parent, const char *name)
{
	return mk(parent, name, S_IFREG | 0644);
}

static uint64_t mkdir_(uint64_t parent, const char *name)
{
	return mk(parent, name, S_IFDIR | 0755);
}

static int look(uint64_t parent, const char *name, struct tree_entry *e)
{
	return tree_lookup(f.tree, parent, name, e, &no_list);
}

static uint64_t ino_of(uint64_t parent, const char *name)
{
	struct tree_entry e;

	if (look(parent, name, &e) < 0)
		return 0;
	tree_forget(f.tree, e.nodeid, 1);
	return e.st.st_ino;
}

static struct node row(uint64_t ino)
{
	struct node n = { 0 };
	struct db *db;

	CHECK_EQ(store_reader(f.store, &db), 0);
	CHECK_EQ(node_get(db, ino, &n), 0);
	store_reader_done(f.store, db);
	return n;
}

static int write_to(struct handle *h, const char *text, uint64_t off)
{
	struct content *c;
	int rc = tree_handle_content(f.tree, h, &c);

	if (rc < 0)
		return rc;
	rc = content_write(c, text, strlen(text), off);
	tree_wrote(f.tree, h, c, true);
	content_put(c);
	return rc;
}

static const char *read_from(struct handle *h)
{
	static char buf[256];
	struct content *c;
	ssize_t n;

	CHECK_EQ(tree_handle_content(f.tree, h, &c), 0);
	n = content_pread(c, buf, sizeof(buf) - 1, 0);
	CHECK(n >= 0);
	buf[n < 0 ? 0 : n] = '\0';
	content_put(c);
	return buf;
}

/* The whole life of a small file; its nodeid. */
static uint64_t put(uint64_t parent, const char *name, const char *text)
{
	struct tree_entry e;
	struct handle *h;

	CHECK_EQ(
		tree_create(f.tree, parent, name, 0600, O_WRONLY, 5, 6, &e, &h),
		0);
	CHECK_EQ(write_to(h, text, 0), 0);
	CHECK_EQ(tree_flush(f.tree, h), 0);
	tree_release(f.tree, h);
	return e.nodeid;
}

static const char *get(uint64_t parent, const char *name)
{
	struct tree_entry e;
	struct handle *h;
	const char *text;

	if (look(parent, name, &e) < 0)
		return "(none)";
	CHECK_EQ(tree_open(f.tree, e.nodeid, O_RDONLY, &h), 0);
	text = read_from(h);
	tree_release(f.tree, h);
	tree_forget(f.tree, e.nodeid, 1);
	return text;
}

/* ---- names
 * ----------------------------------------------------------------------- */

static void test_make_and_lookup(void)
{
	struct tree_entry e;
	uint64_t d;
	char target[64];

	begin();
	CHECK_EQ(look(NODE_ROOT, "a", &e), -ENOENT);
	d = mkdir_(NODE_ROOT, "a");
	CHECK_EQ(look(NODE_ROOT, "a", &e), 0);
	CHECK_EQ(e.nodeid, d);
	CHECK_EQ(e.st.st_mode, S_IFDIR | 0755);
	CHECK_EQ(e.st.st_uid, 5);
	CHECK_EQ(tree_make(f.tree, NODE_ROOT, "a", S_IFREG, 0, 0, 0, &e),
	         -EEXIST);
	mk(d, "pipe", S_IFIFO | 0600);
	CHECK_EQ(look(d, "pipe", &e), 0);
	CHECK(S_ISFIFO(e.st.st_mode));
	CHECK_EQ(tree_symlink(f.tree, d, "l", "../x", 1, 2, &e), 0);
	CHECK_EQ(e.st.st_size, 4);
	CHECK_EQ(tree_read_link(f.tree, e.nodeid, target, sizeof(target)), 4);
	CHECK_STR(target, "../x");
	CHECK_EQ(tree_read_link(f.tree, d, target, sizeof(target)), -EINVAL);
	CHECK_EQ(look(e.nodeid, "x", &e), -ENOENT);
	CHECK_EQ(look(123456, "x", &e), -ESTALE);
	CHECK_EQ(tree_make(f.tree, e.nodeid, "x", S_IFREG, 0, 0, 0, &e),
	         -ENOTDIR);
	CHECK(f.dirty > 0);
	CHECK(row(d).flags & NODE_DIRTY);
	end();
}

static void test_set_group_id_directory(void)
{
	struct tree_entry e;
	uint64_t d;

	begin();
	d = mk(NODE_ROOT, "d", S_IFDIR | 02775);
	mkdir_(d, "sub");
	CHECK_EQ(look(d, "sub", &e), 0);
	CHECK_EQ(e.st.st_mode, S_IFDIR | 02755);
	mkfile(d, "f");
	CHECK_EQ(look(d, "f", &e), 0);
	CHECK_EQ(e.st.st_gid, 6);
	end();
}

static void test_names_the_service_refuses(void)
{
	char x255[256], x256[257], wide[300];
	struct tree_entry e;
	const struct {
		const char *name;
		int rc;
	} cases[] = {
		{ "fine", 0 },           { "Fine", -EEXIST },
		{ "FINE", -EEXIST },     { x255, 0 },
		{ x256, -ENAMETOOLONG }, { "a:b*c?", 0 },
		{ "_vti_x", -EINVAL },
	};

	begin();
	memset(x255, 'x', 255);
	memset(x256, 'x', 256);
	x255[255] = x256[256] = '\0';
	memset(wide, 0, sizeof(wide));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		check_row("%.20s", cases[i].name);
		CHECK_EQ(tree_make(f.tree, NODE_ROOT, cases[i].name,
		                   S_IFREG | 0644, 0, 0, 0, &e),
		         cases[i].rc);
	}
	end();
}

static void test_path_limit(void)
{
	char x100[101], x255[256];
	uint64_t a, b, c, tail;
	struct tree_entry e;

	begin();
	memset(x100, 'x', 100);
	memset(x255, 'y', 255);
	x100[100] = x255[255] = '\0';
	a = mkdir_(NODE_ROOT, x100);
	b = mkdir_(a, x100);
	c = mkdir_(b, x100); /* 11 + 3 * 101 = 314 */
	CHECK_EQ(tree_make(f.tree, c, x100, S_IFREG, 0, 0, 0, &e),
	         -ENAMETOOLONG);
	x255[85] = '\0';
	mkfile(c, x255); /* 400 */
	x255[85] = 'y';
	x255[86] = '\0';
	CHECK_EQ(tree_make(f.tree, c, x255, S_IFREG, 0, 0, 0, &e),
	         -ENAMETOOLONG);

	/* a directory takes its deepest descendant along */
	tail = mkdir_(NODE_ROOT, "tail");
	x255[86] = 'y';
	x255[200] = '\0';
	mkfile(tail, x255);
	CHECK_EQ(tree_rename(f.tree, NODE_ROOT, "tail", a, "t", 0, &no_list),
	         0); /* 11 + 101 + 2 + 201 */
	CHECK_EQ(tree_rename(f.tree, a, "t", b, "t", 0, &no_list),
	         -ENAMETOOLONG);
	CHECK_EQ(tree_rename(f.tree, a, "t", NODE_ROOT, "tail", 0, &no_list),
	         0);
	/* and its path is counted anew after a move above it */
	CHECK_EQ(tree_rename(f.tree, a, x100, NODE_ROOT, "b", 0, &no_list), 0);
	x100[90] = '\0';
	mkfile(c, x100);
	end();
}

static int step(void *arg, const char *name, uint64_t ino,
                const struct tree_entry *e)
{
	struct {
		unsigned left, seen[32];
		uint64_t after;
	} *l = arg;

	(void)e;
	if (!l->left)
		return 1;
	l->left--;
	if (name[0] == 'n')
		l->seen[atoi(name + 1)]++;
	l->after = ino;
	return 0;
}

static void test_listing_while_it_changes(void)
{
	struct {
		unsigned left, seen[32];
		uint64_t after;
	} l = { 0 };
	uint64_t last = 1;
	char name[16];

	begin();
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		mkfile(NODE_ROOT, name);
	}
	for (int round = 0; last != l.after; round++) {
		last = l.after;
		l.left = 3;
		CHECK_EQ(tree_each_entry(f.tree, NODE_ROOT, l.after, round % 2,
		                         step, &l, &no_list),
		         0);
		snprintf(name, sizeof(name), "n%d", round * 3);
		tree_unlink(f.tree, NODE_ROOT, name); /* behind the cursor */
		snprintf(name, sizeof(name), "x%d", round);
		if (round < 5)
			mkfile(NODE_ROOT, name); /* may or may not be seen */
		tree_rename(f.tree, NODE_ROOT, "n19", NODE_ROOT, "n20", 0,
		            &no_list);
		tree_rename(f.tree, NODE_ROOT, "n20", NODE_ROOT, "n19", 0,
		            &no_list);
	}
	for (int i = 0; i < 20; i++) {
		check_row("n%d", i);
		CHECK_EQ(l.seen[i], 1);
	}
	end();
}

static void test_folder_not_listed(void)
{
	struct tree_entry e;
	uint64_t d, list = 0;

	begin();
	d = mkdir_(NODE_ROOT, "d");
	mkfile(d, "known");
	set_flags(d, NODE_UNLISTED, 0);
	CHECK_EQ(tree_lookup(f.tree, d, "known", &e, &list), 0);
	CHECK_EQ(tree_lookup(f.tree, d, "what", &e, &list), -EAGAIN);
	CHECK_EQ(list, d);
	list = 0;
	CHECK_EQ(tree_each_entry(f.tree, d, 0, false, step, NULL, &list),
	         -EAGAIN);
	CHECK_EQ(list, d);
	list = 0;
	CHECK_EQ(tree_rmdir(f.tree, NODE_ROOT, "d", &list), -EAGAIN);
	CHECK_EQ(list, d);
	list = 0;
	mkdir_(NODE_ROOT, "e");
	CHECK_EQ(tree_rename(f.tree, NODE_ROOT, "e", NODE_ROOT, "d", 0, &list),
	         -EAGAIN);
	CHECK_EQ(list, d);
	set_flags(d, 0, NODE_UNLISTED);
	CHECK_EQ(tree_lookup(f.tree, d, "what", &e, &list), -ENOENT);
	CHECK_EQ(tree_rmdir(f.tree, NODE_ROOT, "d", &list), -ENOTEMPTY);
	end();
}

/* ---- rename
 * ------------------------------------------------------------------------ */

/* Before each: files f g, empty dirs d e, dir full/x, dir d/sub. */
static void test_rename_matrix(void)
{
	static const struct {
		const char *from, *to;
		unsigned flags;
		int rc;
	} cases[] = {
		{ "f", "new", 0, 0 },
		{ "f", "g", 0, 0 },
		{ "f", "f", 0, 0 },
		{ "f", "F", 0, 0 },
		{ "f", "G", 0, -EEXIST },
		{ "none", "g", 0, -ENOENT },
		{ "f", "e", 0, -EISDIR },
		{ "e", "f", 0, -ENOTDIR },
		{ "d", "e", 0, 0 },
		{ "e", "full", 0, -ENOTEMPTY },
		{ "f", "g", RENAME_NOREPLACE, -EEXIST },
		{ "f", "f", RENAME_NOREPLACE, -EEXIST },
		{ "f", "new", RENAME_NOREPLACE, 0 },
		{ "f", "new", RENAME_EXCHANGE, -ENOENT },
		{ "f", "g", RENAME_EXCHANGE, 0 },
		{ "f", "full", RENAME_EXCHANGE, 0 },
		{ "d", "d/new", 0, -EINVAL },
		{ "d", "d/sub", 0, -EINVAL },
		{ "d", "d/sub", RENAME_EXCHANGE, -EINVAL },
		{ "d/sub", "d", RENAME_EXCHANGE, -EINVAL },
		{ "d/sub", "d", 0, -ENOTEMPTY },
		{ "f", "d/sub/deep", 0, 0 },
		{ "f", "new", RENAME_WHITEOUT, -EINVAL },
		{ "f", "_vti_", 0, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *from = cases[i].from, *to = cases[i].to;
		uint64_t d, sub, p = NODE_ROOT, q = NODE_ROOT, src, dst;
		struct node n;

		check_row("%s -> %s flags %u", from, to, cases[i].flags);
		begin();
		put(NODE_ROOT, "f", "F");
		put(NODE_ROOT, "g", "G");
		d = mkdir_(NODE_ROOT, "d");
		sub = mkdir_(d, "sub");
		mkdir_(NODE_ROOT, "e");
		mkfile(mkdir_(NODE_ROOT, "full"), "x");
		if (!strncmp(from, "d/", 2))
			p = d, from += 2;
		if (!strncmp(to, "d/", 2))
			q = d, to += 2;
		if (!strncmp(to, "sub/", 4))
			q = sub, to += 4;
		src = ino_of(p, from);
		dst = ino_of(q, to);
		CHECK_EQ(tree_rename(f.tree, p, from, q, to, cases[i].flags,
		                     &no_list),
		         cases[i].rc);
		if (cases[i].rc < 0 || src == dst) {
			CHECK_EQ(ino_of(p, from), src);
			CHECK_EQ(ino_of(q, to), dst);
		} else if (cases[i].flags & RENAME_EXCHANGE) {
			CHECK_EQ(ino_of(p, from), dst);
			CHECK_EQ(ino_of(q, to), src);
		} else {
			CHECK_EQ(ino_of(p, from), 0);
			CHECK_EQ(ino_of(q, to), src);
			CHECK(row(src).flags & NODE_DIRTY);
		}
		if (cases[i].rc == 0 && dst && dst != src &&
		    !(cases[i].flags & RENAME_EXCHANGE)) {
			n = row(dst);
			CHECK_EQ(n.parent, 0);
			CHECK_EQ(n.replaced_by, src);
		}
		end();
	}
	check_row("%s", "");
}

static void test_rename_clears_alias(void)
{
	uint64_t ino;

	begin();
	ino = mkfile(NODE_ROOT, "a (item 1234)");
	set_flags(ino, NODE_ALIAS, NODE_DIRTY);
	CHECK_EQ(tree_rename(f.tree, NODE_ROOT, "a (item 1234)", NODE_ROOT, "a",
	                     0, &no_list),
	         0);
	CHECK(!(row(ino).flags & NODE_ALIAS));
	CHECK(row(ino).flags & NODE_DIRTY);
	end();
}

/* ---- open files
 * ---------------------------------------------------------------------- */

static void test_write_and_read_back(void)
{
	struct tree_entry e;
	struct tree_use use;
	struct handle *h;
	struct stat st;
	struct node n;

	begin();
	CHECK_EQ(
		tree_create(f.tree, NODE_ROOT, "f", 0640, O_RDWR, 5, 6, &e, &h),
		0);
	CHECK_EQ(tree_create(f.tree, NODE_ROOT, "f", 0640, O_RDWR | O_EXCL, 5,
	                     6, &e, &h),
	         -EEXIST);
	CHECK_EQ(write_to(h, "hello", 0), 0);
	CHECK_EQ(tree_get_attr(f.tree, e.nodeid, &st), 0);
	CHECK_EQ(st.st_size, 5); /* before anything is saved */
	CHECK_EQ(row(e.st.st_ino).size, 0);
	tree_get_use(f.tree, e.st.st_ino, &use);
	CHECK_EQ(use.writers, 1);
	CHECK(use.dirty_ms > 0);

	/* times the kernel keeps come by setattr and are saved along */
	st.st_mtim = clock_ns_to_timespec(1234567890123456789);
	CHECK_EQ(tree_set_attr(f.tree, e.nodeid, &st, TREE_SET_MTIME, &st), 0);
	CHECK_EQ(clock_timespec_to_ns(st.st_mtim), 1234567890123456789);
	CHECK_EQ(tree_flush(f.tree, h), 0);
	n = row(e.st.st_ino);
	CHECK_EQ(n.size, 5);
	CHECK_EQ(n.mtime, 1234567890123456789);
	CHECK_EQ(n.gen, 1);
	CHECK_STR(read_from(h), "hello");
	CHECK_EQ(f.settled, 0);
	tree_release(f.tree, h);
	CHECK_EQ(f.settled, 1);
	CHECK_EQ(f.last_settled, e.st.st_ino);
	tree_get_use(f.tree, e.st.st_ino, &use);
	CHECK_EQ(use.writers, 0);
	CHECK_EQ(use.dirty_ms, 0);
	CHECK_STR(get(NODE_ROOT, "f"), "hello");

	/* appended to after a snapshot was taken: another generation */
	CHECK_EQ(tree_open(f.tree, e.nodeid, O_WRONLY | O_APPEND, &h), 0);
	CHECK_EQ(write_to(h, " world", 5), 0);
	tree_release(f.tree, h);
	CHECK_STR(get(NODE_ROOT, "f"), "hello world");
	CHECK_EQ(row(e.st.st_ino).size, 11);
	end();
}

/* close() returns after the FLUSH, RELEASE comes when the kernel likes: what is
 * changed in between is in the row before it is answered. */
static void test_attributes_after_a_flush(void)
{
	struct stat st = { .st_mode = S_IFREG | 0640 };
	struct handle *h, *other;
	struct tree_entry e;

	begin();
	CHECK_EQ(tree_create(f.tree, NODE_ROOT, "f", 0644, O_WRONLY, 5, 6, &e,
	                     &h),
	         0);
	CHECK_EQ(write_to(h, "hello", 0), 0);
	CHECK_EQ(tree_open(f.tree, e.nodeid, O_WRONLY, &other), 0);
	CHECK_EQ(tree_flush(f.tree, h), 0);

	/* the other's flush is to come */
	st.st_mtim = clock_ns_to_timespec(1234567890123456789);
	CHECK_EQ(tree_set_attr(f.tree, e.nodeid, &st, TREE_SET_MODE, &st), 0);
	CHECK_EQ(row(e.st.st_ino).mode, S_IFREG | 0644);
	CHECK_EQ(tree_flush(f.tree, other), 0);
	CHECK_EQ(row(e.st.st_ino).mode, S_IFREG | 0640);

	/* none is */
	st.st_mode = S_IFREG | 0600;
	st.st_mtim = clock_ns_to_timespec(1234567890123456789);
	CHECK_EQ(tree_set_attr(f.tree, e.nodeid, &st,
	                       TREE_SET_MODE | TREE_SET_MTIME, &st),
	         0);
	CHECK_EQ(row(e.st.st_ino).mode, S_IFREG | 0600);
	CHECK_EQ(row(e.st.st_ino).mtime, 1234567890123456789);
	st.st_size = 3;
	CHECK_EQ(tree_set_attr(f.tree, e.nodeid, &st, TREE_SET_SIZE, &st), 0);
	CHECK_EQ(row(e.st.st_ino).size, 3);
	tree_release(f.tree, other);
	tree_release(f.tree, h);
	CHECK_EQ(row(e.st.st_ino).mode, S_IFREG | 0600);
	end();
}

/* A log that stays open: after a snapshot the engine must hear of it again. */
static void test_write_after_a_snapshot(void)
{
	struct tree_use use;
	struct tree_entry e;
	struct content *c;
	struct handle *h;

	begin();
	CHECK_EQ(tree_create(f.tree, NODE_ROOT, "log", 0644, O_WRONLY, 5, 6, &e,
	                     &h),
	         0);
	CHECK_EQ(write_to(h, "one", 0), 0);
	CHECK_EQ(tree_handle_content(f.tree, h, &c), 0);
	CHECK_EQ(content_freeze(c), 1);
	tree_note_snapshot(f.tree, e.st.st_ino);
	content_put(c);
	tree_get_use(f.tree, e.st.st_ino, &use);
	CHECK_EQ(use.dirty_ms, 0);
	f.dirty = 0;
	CHECK_EQ(write_to(h, "two", 3), 0);
	CHECK_EQ(f.dirty, 1);
	tree_get_use(f.tree, e.st.st_ino, &use);
	CHECK(use.dirty_ms > 0);
	CHECK_EQ(row(e.st.st_ino).gen, 2);
	tree_release(f.tree, h);
	end();
}

static void test_sync(void)
{
	struct content *c;
	struct node n;

	begin();
	n = row(put(NODE_ROOT, "f", "text"));
	mkfile(NODE_ROOT, "empty");
	CHECK(f.unsynced > 0);
	CHECK_EQ(content_get(f.contents, n.cid, false, &c), 0);
	CHECK(content_is_soft(c));
	CHECK_EQ(tree_sync(f.tree), 0);
	CHECK(!content_is_soft(c));
	content_put(c);
	f.unsynced = 0;
	CHECK_EQ(tree_sync(f.tree), 0);
	CHECK_EQ(f.unsynced, 0);

	/* a power cut keeps both */
	close_tree();
	open_tree(true);
	CHECK_STR(get(NODE_ROOT, "f"), "text");
	CHECK_STR(get(NODE_ROOT, "empty"), "");
	end();
}

static void test_power_cut_right_after_close(void)
{
	struct handle *h;
	uint64_t a;

	begin();
	put(NODE_ROOT, "gone", "x");
	a = put(NODE_ROOT, "a", "old a");
	put(NODE_ROOT, "b", "old b");
	CHECK_EQ(tree_sync(f.tree), 0);
	put(NODE_ROOT, "new", "x");
	CHECK_EQ(tree_open(f.tree, a, O_WRONLY | O_TRUNC, &h), 0);
	CHECK_EQ(write_to(h, "new a", 0), 0);
	tree_release(f.tree, h);
	put(NODE_ROOT, "tmp", "new b");
	CHECK_EQ(tree_rename(f.tree, NODE_ROOT, "tmp", NODE_ROOT, "b", 0,
	                     &no_list),
	         0);
	CHECK_STR(get(NODE_ROOT, "a"), "new a");
	CHECK_STR(get(NODE_ROOT, "b"), "new b");
	close_tree();
	open_tree(true);
	CHECK_STR(get(NODE_ROOT, "a"), "old a");
	CHECK_STR(get(NODE_ROOT, "b"), "old b");
	CHECK_STR(get(NODE_ROOT, "new"), "(none)");
	end();
}

static void test_truncate(void)
{
	struct handle *reader, *writer, *other;
	uint64_t id, cid, gen;
	struct stat st = { .st_size = 3 };
	struct node n;

	begin();
	id = put(NODE_ROOT, "f", "hello");
	n = row(id);
	cid = n.cid;
	gen = n.gen;
	CHECK_EQ(tree_open(f.tree, id, O_RDONLY, &reader), 0);
	CHECK_EQ(tree_set_attr(f.tree, id, &st, TREE_SET_SIZE, &st), 0);
	CHECK_STR(read_from(reader), "hel");
	CHECK_EQ(row(id).cid, cid);
	CHECK_EQ(row(id).size, 3);

	/* to nothing: a new content, the same nodeid, all see it */
	CHECK_EQ(tree_open(f.tree, id, O_WRONLY, &other), 0);
	CHECK_EQ(tree_open(f.tree, id, O_WRONLY | O_TRUNC, &writer), 0);
	n = row(id);
	CHECK(n.cid != cid);
	CHECK(n.gen > gen);
	CHECK(n.flags & NODE_FRESH);
	CHECK_STR(read_from(reader), "");
	CHECK_EQ(write_to(other, "X", 0), 0);
	CHECK_EQ(write_to(writer, "Y", 1), 0);
	CHECK_STR(read_from(reader), "XY");
	tree_release(f.tree, other);
	CHECK(row(id).flags & NODE_FRESH);
	tree_release(f.tree, writer);
	CHECK(!(row(id).flags & NODE_FRESH));
	CHECK_STR(read_from(reader), "XY");
	tree_release(f.tree, reader);
	CHECK_STR(get(NODE_ROOT, "f"), "XY");

	/* an empty file stays what it is */
	st.st_size = 0;
	CHECK_EQ(tree_set_attr(f.tree, id, &st, TREE_SET_SIZE, &st), 0);
	cid = row(id).cid;
	CHECK_EQ(tree_set_attr(f.tree, id, &st, TREE_SET_SIZE, &st), 0);
	CHECK_EQ(row(id).cid, cid);
	CHECK(!(row(id).flags & NODE_FRESH));
	st.st_size = 100000;
	CHECK_EQ(tree_set_attr(f.tree, id, &st, TREE_SET_SIZE, &st), 0);
	CHECK_EQ(st.st_size, 100000);
	CHECK_EQ(tree_set_attr(f.tree, NODE_ROOT, &st, TREE_SET_SIZE, &st),
	         -EISDIR);
	CHECK_EQ(tree_sync(f.tree), 0);
	end();
}

static void test_unlinked_while_open(void)
{
	uint64_t id, d;
	struct handle *h;
	struct db *db;
	struct stat st;

	begin();
	CHECK_EQ(store_begin(f.store, &db), 0);
	CHECK_EQ(store_set_int(db, "round", 7), 0);
	CHECK_EQ(store_commit(f.store), 0);
	id = put(NODE_ROOT, "f", "still here");
	CHECK_EQ(tree_open(f.tree, id, O_RDWR, &h), 0);
	CHECK_EQ(tree_unlink(f.tree, NODE_ROOT, "f"), 0);
	CHECK_EQ(tree_unlink(f.tree, NODE_ROOT, "f"), -ENOENT);
	put(NODE_ROOT, "f", "another");
	CHECK_EQ(row(id).parent, 0);
	CHECK_EQ(row(id).gone_round, 7);
	CHECK_STR(read_from(h), "still here");
	CHECK_EQ(write_to(h, "!", 10), 0);
	CHECK_STR(read_from(h), "still here!");
	CHECK_EQ(tree_get_attr(f.tree, id, &st), 0);
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(st.st_size, 11);
	f.dirty = 0;
	tree_release(f.tree, h);
	CHECK(f.dirty > 0); /* the engine may drop it now */

	d = mkdir_(NODE_ROOT, "d");
	CHECK_EQ(tree_rmdir(f.tree, NODE_ROOT, "d", &no_list), 0);
	CHECK_EQ(tree_make(f.tree, d, "x", S_IFREG, 0, 0, 0,
	                   &(struct tree_entry){ 0 }),
	         -ENOENT);
	CHECK_EQ(tree_each_entry(f.tree, d, 0, false, step, NULL, &no_list), 0);
	CHECK_EQ(tree_unlink(f.tree, NODE_ROOT, "nope"), -ENOENT);
	CHECK_EQ(tree_rmdir(f.tree, NODE_ROOT, "f", &no_list), -ENOTDIR);
	mkdir_(NODE_ROOT, "e");
	CHECK_EQ(tree_unlink(f.tree, NODE_ROOT, "e"), -EISDIR);
	end();
}

static void test_fsync(void)
{
	struct tree_use use;
	struct handle *h;
	uint64_t id;

	begin();
	id = put(NODE_ROOT, "f", "old");
	CHECK_EQ(tree_sync(f.tree), 0);
	CHECK_EQ(tree_open(f.tree, id, O_WRONLY | O_TRUNC, &h), 0);
	CHECK_EQ(write_to(h, "new", 0), 0);
	CHECK_EQ(tree_fsync(f.tree, h), 0);
	tree_get_use(f.tree, id, &use);
	CHECK(use.fsync_ms > 0);
	CHECK_EQ(f.last_settled, id);
	tree_release(f.tree, h);
	CHECK_EQ(tree_fsync(f.tree, NULL), 0);
	close_tree();
	open_tree(true);
	CHECK_STR(get(NODE_ROOT, "f"), "new");
	end();
}

/* ---- changes from the server
 * ----------------------------------------------------------- */

/* A row as the merger makes it: on the server, nothing here. */
static uint64_t add_remote(const char *name, uint64_t size)
{
	struct node n = {
		.ino = store_next_ino(f.store),
		.parent = NODE_ROOT,
		.mode = S_IFREG | 0644,
		.gen = 1,
		.s_gen = 1,
		.size = size,
		.s_len = size,
		.s_size = size,
		.s_id = "ID",
		.s_etag = "tag 1",
		.s_parent = NODE_ROOT,
	};
	struct tree_edit *e;
	struct db *db;

	strcpy(n.name, name);
	strcpy(n.s_name, name);
	CHECK_EQ(tree_edit_begin(f.tree, &e, &db), 0);
	CHECK_EQ(node_insert(db, &n, NULL), 0);
	tree_edit_entry(e, NODE_ROOT, name);
	tree_edit_version(e, n.ino); /* nothing to do for a new one */
	CHECK_EQ(tree_edit_end(e, 0), 0);
	return n.ino;
}

static void fill(struct handle *h, const char *etag, const char *text)
{
	struct content *c;

	CHECK_EQ(tree_handle_content(f.tree, h, &c), 0);
	CHECK_EQ(content_store_chunk(c, etag, 0, text, strlen(text)), 0);
	content_put(c);
}

static void test_new_version(void)
{
	struct handle *old, *h;
	struct tree_entry e1, e2;
	struct tree_edit *e;
	struct stat st;
	uint64_t size, cid;
	struct node n;
	struct db *db;

	begin();
	add_remote("f", 5);
	CHECK_EQ(f.entries, 1);
	CHECK_EQ(look(NODE_ROOT, "f", &e1), 0);
	CHECK_EQ(tree_open(f.tree, e1.nodeid, O_RDONLY, &old), 0);
	fill(old, "tag 1", "first");

	n = row(e1.st.st_ino);
	cid = n.cid;
	CHECK(cid != 0);
	CHECK_EQ(tree_edit_begin(f.tree, &e, &db), 0);
	n.cid = 0;
	n.gen = n.s_gen = 2;
	n.size = n.s_len = n.s_size = 6;
	strcpy(n.s_etag, "tag 2");
	CHECK_EQ(node_update(db, &n), 0);
	tree_edit_version(e, n.ino);
	tree_edit_drop(e, cid);
	tree_edit_dirty(e, n.ino);
	CHECK_EQ(tree_edit_end(e, 0), 0);
	CHECK_EQ(f.entries, 2);
	CHECK_EQ(f.entry_parent, NODE_ROOT);
	CHECK_STR(f.entry_name, "f");

	/* the old one goes on for who has it, and is not given to others */
	CHECK_EQ(tree_open(f.tree, e1.nodeid, O_RDONLY, &h), -ESTALE);
	CHECK(tree_handle_outdated(f.tree, old, &size));
	CHECK_EQ(size, 5);
	CHECK_EQ(tree_get_attr(f.tree, e1.nodeid, &st), 0);
	CHECK_EQ(st.st_size, 5);
	CHECK_EQ(tree_set_attr(f.tree, e1.nodeid, &st, TREE_SET_MODE, &st),
	         -ESTALE);
	/* times the kernel writes out late are nobody's error */
	CHECK_EQ(tree_set_attr(f.tree, e1.nodeid, &st,
	                       TREE_SET_MTIME | TREE_SET_CTIME, &st),
	         0);
	CHECK_EQ(st.st_size, 5);
	CHECK_EQ(look(NODE_ROOT, "f", &e2), 0);
	CHECK(e2.nodeid >= TREE_NODEID_FIRST);
	CHECK_EQ(e2.st.st_ino, e1.st.st_ino);
	CHECK_EQ(e2.st.st_size, 6);
	CHECK_EQ(tree_open(f.tree, e2.nodeid, O_RDONLY, &h), 0);
	CHECK(!tree_handle_outdated(f.tree, h, &size));
	fill(h, "tag 2", "second");
	CHECK_STR(read_from(h), "second");
	CHECK_STR(read_from(old), "first");
	tree_release(f.tree, old);
	tree_forget(f.tree, e1.nodeid, 1);
	CHECK_EQ(tree_get_attr(f.tree, e1.nodeid, &st), -ESTALE);
	CHECK_STR(read_from(h), "second");
	tree_release(f.tree, h);
	tree_forget(f.tree, e2.nodeid, 1);
	/* the old content went with its last user */
	CHECK_EQ(tree_sync(f.tree), 0);
	CHECK_EQ(store_reader(f.store, &db), 0);
	CHECK_EQ(cfile_get(db, cid, &(struct cfile){ 0 }), -ENOENT);
	store_reader_done(f.store, db);
	end();
}

static void test_edit_rolled_back(void)
{
	struct tree_entry e1, e2;
	struct tree_edit *e;
	struct db *db;
	uint64_t ino;

	begin();
	ino = add_remote("f", 5);
	CHECK_EQ(look(NODE_ROOT, "f", &e1), 0);
	f.entries = 0;
	CHECK_EQ(tree_edit_begin(f.tree, &e, &db), 0);
	CHECK_EQ(node_delete(db, ino), 0);
	tree_edit_entry(e, NODE_ROOT, "f");
	tree_edit_version(e, ino);
	CHECK_EQ(tree_edit_end(e, -EIO), -EIO);
	CHECK_EQ(f.entries, 0);
	CHECK_EQ(look(NODE_ROOT, "f", &e2), 0);
	CHECK_EQ(e2.nodeid, e1.nodeid);
	end();
}

static void test_edit_attributes(void)
{
	struct tree_entry e1, e2;
	struct tree_edit *e;
	struct handle *h;
	struct db *db;
	uint64_t ino;

	begin();
	ino = add_remote("f", 5);
	CHECK_EQ(look(NODE_ROOT, "f", &e1), 0);
	CHECK_EQ(tree_open(f.tree, e1.nodeid, O_RDONLY, &h), 0);
	CHECK_EQ(tree_edit_begin(f.tree, &e, &db), 0);
	tree_edit_attr(e, ino);
	CHECK_EQ(tree_edit_end(e, 0), 0);
	CHECK_EQ(f.attrs, 1);
	tree_release(f.tree, h);
	f.entries = 0;
	CHECK_EQ(tree_edit_begin(f.tree, &e, &db), 0);
	tree_edit_attr(e, ino);
	CHECK_EQ(tree_edit_end(e, 0), 0);
	CHECK_EQ(f.entries, 1);
	CHECK_EQ(look(NODE_ROOT, "f", &e2), 0);
	CHECK(e2.nodeid != e1.nodeid);
	end();
}

static void test_read_only(void)
{
	struct tree_options opt = { .codec = &codec, .read_only = true };
	struct tree_entry e;
	struct handle *h;
	struct tree *t;
	struct stat st = { 0 };
	uint64_t id;

	begin();
	id = put(NODE_ROOT, "f", "x");
	opt.store = f.store;
	opt.contents = f.contents;
	CHECK_EQ(tree_new(&opt, &t), 0);
	CHECK_EQ(tree_lookup(t, NODE_ROOT, "f", &e, &no_list), 0);
	CHECK_EQ(tree_open(t, id, O_WRONLY, &h), -EROFS);
	CHECK_EQ(tree_open(t, id, O_RDONLY, &h), 0);
	tree_release(t, h);
	CHECK_EQ(tree_make(t, NODE_ROOT, "g", S_IFREG, 0, 0, 0, &e), -EROFS);
	CHECK_EQ(tree_unlink(t, NODE_ROOT, "f"), -EROFS);
	CHECK_EQ(tree_rename(t, NODE_ROOT, "f", NODE_ROOT, "g", 0, &no_list),
	         -EROFS);
	CHECK_EQ(tree_set_attr(t, id, &st, TREE_SET_MODE, &st), -EROFS);
	tree_free(t);
	end();
}

/* ---- many threads
 * ------------------------------------------------------------------------ */

static atomic_bool stop;

static void *churn(void *arg)
{
	unsigned id = *(const unsigned *)arg;
	char name[16], other[16];

	for (int i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "t%u-%d", id, i % 5);
		snprintf(other, sizeof(other), "r%d", i % 7);
		tree_forget(f.tree, put(NODE_ROOT, name, "data"), 1);
		tree_rename(f.tree, NODE_ROOT, name, NODE_ROOT, other, 0,
		            &no_list);
		tree_unlink(f.tree, NODE_ROOT, name);
	}
	return NULL;
}

static int count(void *arg, const char *name, uint64_t ino,
                 const struct tree_entry *e)
{
	unsigned *n = arg;

	(void)name;
	(void)ino;
	(void)e;
	(*n)++;
	return 0;
}

static void *watch(void *arg)
{
	struct tree_entry e;
	struct handle *h;
	uint64_t list;
	unsigned n = 0;

	(void)arg;
	while (!atomic_load(&stop)) {
		tree_each_entry(f.tree, NODE_ROOT, 0, false, count, &n, &list);
		if (tree_lookup(f.tree, NODE_ROOT, "r1", &e, &list) == 0) {
			if (tree_open(f.tree, e.nodeid, O_RDONLY, &h) == 0)
				tree_release(f.tree, h);
			tree_forget(f.tree, e.nodeid, 1);
		}
		tree_sync(f.tree);
	}
	return NULL;
}

static void test_threads(void)
{
	unsigned ids[3] = { 0, 1, 2 };
	pthread_t makers[3], watcher;

	begin();
	atomic_store(&stop, false);
	CHECK_EQ(pthread_create(&watcher, NULL, watch, NULL), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&makers[i], NULL, churn, &ids[i]), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(makers[i], NULL);
	atomic_store(&stop, true);
	pthread_join(watcher, NULL);
	CHECK_EQ(tree_sync(f.tree), 0);
	for (int i = 0; i < 7; i++) {
		char name[8];

		snprintf(name, sizeof(name), "r%d", i);
		CHECK_STR(get(NODE_ROOT, name), "data");
	}
	end();
}

static void quiet(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

int main(void)
{
	log_set_sink(quiet, NULL);
	RUN(test_make_and_lookup);
	RUN(test_set_group_id_directory);
	RUN(test_names_the_service_refuses);
	RUN(test_path_limit);
	RUN(test_listing_while_it_changes);
	RUN(test_folder_not_listed);
	RUN(test_rename_matrix);
	RUN(test_rename_clears_alias);
	RUN(test_write_and_read_back);
	RUN(test_attributes_after_a_flush);
	RUN(test_write_after_a_snapshot);
	RUN(test_sync);
	RUN(test_power_cut_right_after_close);
	RUN(test_truncate);
	RUN(test_unlinked_while_open);
	RUN(test_fsync);
	RUN(test_new_version);
	RUN(test_edit_rolled_back);
	RUN(test_edit_attributes);
	RUN(test_read_only);
	RUN(test_threads);
	return check_report();
}
