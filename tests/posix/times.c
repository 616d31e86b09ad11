/* Which times of what move with which call, and which do not. */
#include "tests/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define NO_ATIME "access times stay as they were set, as with noatime"

/* A letter for each time that moves: of the node, then of the directory. */
struct moves {
	const char *node, *dir;
};

static int64_t ns_of(struct timespec t)
{
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void moved(const struct stat *a, const struct stat *b, char out[4])
{
	int n = 0;

	if (ns_of(a->st_atim) != ns_of(b->st_atim))
		out[n++] = 'a';
	if (ns_of(a->st_mtim) != ns_of(b->st_mtim))
		out[n++] = 'm';
	if (ns_of(a->st_ctim) != ns_of(b->st_ctim))
		out[n++] = 'c';
	out[n] = 0;
}

static bool went_back(const struct stat *a, const struct stat *b)
{
	return ns_of(b->st_ctim) < ns_of(a->st_ctim);
}

static void judge(const char *what, const struct stat *a, const struct stat *b,
                  const char *want)
{
	char got[4], text[64];

	moved(a, b, got);
	snprintf(text, sizeof(text), "%s moves \"%s\", should be \"%s\"", what,
	         got, want);
	is_true(!strcmp(got, want), text);
	is_true(!went_back(a, b), "ctime does not go back");
}

/* ---- a call on a path
 * ------------------------------------------------------------ */

static int do_chmod(const char *p)
{
	return CODE(chmod(p, 0600));
}

static int do_chmod_same(const char *p)
{
	return CODE(chmod(p, 0644));
}

static int do_lchown(const char *p)
{
	return CODE(lchown(p, geteuid(), getegid()));
}

static int do_utimens(const char *p)
{
	struct timespec t[2] = { { 1000, 1 }, { 2000, 999999999 } };

	return CODE(utimensat(AT_FDCWD, p, t, AT_SYMLINK_NOFOLLOW));
}

static int do_utimens_now(const char *p)
{
	return CODE(utimensat(AT_FDCWD, p, NULL, AT_SYMLINK_NOFOLLOW));
}

static int do_utimens_omit(const char *p)
{
	struct timespec t[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };

	return CODE(utimensat(AT_FDCWD, p, t, AT_SYMLINK_NOFOLLOW));
}

static int do_utimens_a(const char *p)
{
	struct timespec t[2] = { { 0, UTIME_NOW }, { 0, UTIME_OMIT } };

	return CODE(utimensat(AT_FDCWD, p, t, AT_SYMLINK_NOFOLLOW));
}

static int do_utimens_m(const char *p)
{
	struct timespec t[2] = { { 0, UTIME_OMIT }, { 0, UTIME_NOW } };

	return CODE(utimensat(AT_FDCWD, p, t, AT_SYMLINK_NOFOLLOW));
}

static int do_rename(const char *p)
{
	return CODE(rename(p, p)); /* to itself: nothing */
}

static int do_stat(const char *p)
{
	struct stat st;

	return CODE(lstat(p, &st));
}

static int do_failing(const char *p)
{
	struct stat st;

	NEED(lstat(p, &st));
	/* None of it works, so nothing moves. */
	if (mkdir(p, 0755) == 0 || symlink("x", p) == 0 ||
	    (S_ISDIR(st.st_mode) ? unlink(p) : rmdir(p)) == 0 ||
	    rename(p, "none/x") == 0 || rename("none", p) == 0)
		return EEXIST;
	return 0;
}

#define NO_LINK (1u << LNK) /* follows it */

static const struct path_row {
	const char *name;
	int (*run)(const char *path);
	unsigned except; /* kinds */
	struct moves want;
} path_rows[] = {
	{ "chmod", do_chmod, NO_LINK, { "c", "" } },
	{ "chmod to the same", do_chmod_same, NO_LINK, { "c", "" } },
	{ "chown to the same", do_lchown, 0, { "c", "" } },
	{ "utimensat", do_utimens, 0, { "amc", "" } },
	{ "utimensat, now", do_utimens_now, 0, { "amc", "" } },
	{ "utimensat, nothing", do_utimens_omit, 0, { "", "" } },
	{ "utimensat, access now", do_utimens_a, 0, { "ac", "" } },
	{ "utimensat, change now", do_utimens_m, 0, { "mc", "" } },
	{ "rename to itself", do_rename, 0, { "", "" } },
	{ "stat", do_stat, 0, { "", "" } },
	{ "calls that fail", do_failing, 0, { "", "" } },
};

static void on_path(const struct path_row *r, enum kind k)
{
	struct stat node[2], dir[2];

	make_dir("d");
	make(k, "d/x");
	NEED(lstat("d/x", &node[0]));
	NEED(stat("d", &dir[0]));
	tick();
	row("%s of a %s", r->name, kind_name(k));
	is_code(r->run("d/x"), 0);
	NEED(lstat("d/x", &node[1]));
	NEED(stat("d", &dir[1]));
	judge("node", &node[0], &node[1], r->want.node);
	judge("directory", &dir[0], &dir[1], r->want.dir);
	clear();
}

/* ---- a call on an open file
 * -------------------------------------------------------- */

static int do_write(int fd)
{
	return CODE(pwrite(fd, "x", 1, 2));
}

static int do_append(int fd)
{
	return CODE(pwrite(fd, "x", 1, 10));
}

static int do_write_none(int fd)
{
	return CODE(pwrite(fd, "x", 0, 2));
}

static int do_shrink(int fd)
{
	return CODE(ftruncate(fd, 5));
}

static int do_grow(int fd)
{
	return CODE(ftruncate(fd, 50));
}

static int do_empty(int fd)
{
	return CODE(ftruncate(fd, 0));
}

static int do_punch(int fd)
{
	return CODE(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2,
	                      4));
}

static int do_extend(int fd)
{
	return CODE(fallocate(fd, 0, 0, 100));
}

static int do_fsync(int fd)
{
	return CODE(fsync(fd));
}

static int do_map(int fd)
{
	char *p = mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	need(p != MAP_FAILED, "mmap");
	p[3] = 'x';
	NEED(msync(p, 10, MS_SYNC));
	return CODE(munmap(p, 10));
}

static int do_copy(int fd)
{
	loff_t in = 0, out = 20;

	return CODE(copy_file_range(fd, &in, fd, &out, 5, 0));
}

static int do_fchmod(int fd)
{
	return CODE(fchmod(fd, 0640));
}

static int do_futimens(int fd)
{
	struct timespec t[2] = { { 11, 1 }, { 12, 2 } };

	return CODE(futimens(fd, t));
}

static const struct {
	const char *name;
	int (*run)(int fd);
	const char *want;
} fd_rows[] = {
	{ "write", do_write, "mc" },
	{ "write at the end", do_append, "mc" },
	{ "write of nothing", do_write_none, "" },
	{ "ftruncate to less", do_shrink, "mc" },
	{ "ftruncate to more", do_grow, "mc" },
	{ "ftruncate to nothing", do_empty, "mc" },
	{ "punching a hole", do_punch, "mc" },
	{ "fallocate", do_extend, "mc" },
	{ "fsync", do_fsync, "" },
	{ "a store into a map", do_map, "mc" },
	{ "copy_file_range", do_copy, "mc" },
	{ "fchmod", do_fchmod, "c" },
	{ "futimens", do_futimens, "amc" },
};

/* `gone`: it has lost its name already. Its access time is ahead, so that
 * relatime does not move it where bytes are read by the way. */
static void on_fd(size_t i, bool gone)
{
	struct timespec ahead[2] = { { time(NULL) + 1000, 0 },
		                     { 0, UTIME_OMIT } };
	struct stat a, b, late;
	int fd;

	make(REG, "x");
	fd = open("x", O_RDWR);
	NEED(fd);
	NEED(futimens(fd, ahead));
	if (gone)
		NEED(unlink("x"));
	NEED(fstat(fd, &a));
	tick();
	row("%s%s", fd_rows[i].name, gone ? " without a name" : "");
	is_code(fd_rows[i].run(fd), 0);
	NEED(fstat(fd, &b));
	judge("file", &a, &b, fd_rows[i].want);
	if (!gone) { /* the same, once it is written back */
		NEED(fsync(fd));
		close(fd);
		NEED(stat("x", &late));
		row("%s, then fsync and close", fd_rows[i].name);
		judge("file", &b, &late, "");
	} else {
		close(fd);
	}
	clear();
}

/* ---- a directory whose names change
 * ------------------------------------------------- */

static void entries(enum kind k)
{
	struct stat before[2], after[2], node;

	make_dir("d");
	make_dir("e");
	NEED(stat("d", &before[0]));
	tick();
	row("making a %s", kind_name(k));
	make(k, "d/x");
	NEED(stat("d", &after[0]));
	judge("directory", &before[0], &after[0], "mc");
	NEED(lstat("d/x", &node));
	is_true(ns_of(node.st_mtim) > ns_of(before[0].st_mtim) &&
	                ns_of(node.st_atim) > ns_of(before[0].st_mtim) &&
	                ns_of(node.st_ctim) > ns_of(before[0].st_mtim),
	        "all its times are now");
	before[0] = after[0];
	NEED(stat("e", &before[1]));
	tick();
	row("renaming a %s", kind_name(k));
	NEED(rename("d/x", "e/y"));
	NEED(stat("d", &after[0]));
	NEED(stat("e", &after[1]));
	judge("old directory", &before[0], &after[0], "mc");
	judge("new directory", &before[1], &after[1], "mc");
	NEED(lstat("e/y", &after[0]));
	judge("node", &node, &after[0], "c");
	before[1] = after[1];
	tick();
	row("removing a %s", kind_name(k));
	NEED(k == DIRECTORY ? rmdir("e/y") : unlink("e/y"));
	NEED(stat("e", &after[1]));
	judge("directory", &before[1], &after[1], "mc");
	clear();
}

/* ---- times that are set
 * -------------------------------------------------------------- */

static void set_exactly(enum kind k)
{
	static const struct timespec odd[] = {
		{ 0, 0 },
		{ 0, 1 },
		{ 1, 999999999 },
		{ -1, 0 },
		{ -2, 999999999 },
		{ 2147483647, 5 },
		{ 2147483648, 6 },
		{ 4102444800, 99 },
		{ 1234567890, 123456789 },
	};
	struct stat st;

	make(k, "x");
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		struct timespec t[2] = { odd[i], odd[ARRAY_LEN(odd) - 1 - i] };

		row("times of a %s set to %lld.%09ld", kind_name(k),
		    (long long)odd[i].tv_sec, odd[i].tv_nsec);
		is_code(CODE(utimensat(AT_FDCWD, "x", t, AT_SYMLINK_NOFOLLOW)),
		        0);
		NEED(lstat("x", &st));
		is_num(ns_of(st.st_atim), ns_of(t[0]));
		is_num(ns_of(st.st_mtim), ns_of(t[1]));
	}
	row("times of a %s set to what is no time", kind_name(k));
	is_code(CODE(utimensat(
			AT_FDCWD, "x",
			(struct timespec[]){ { 1, 1000000000 }, { 1, 1 } },
			AT_SYMLINK_NOFOLLOW)),
	        EINVAL);
	is_code(CODE(utimensat(AT_FDCWD, "x",
	                       (struct timespec[]){ { 1, 1 }, { 1, -1 } },
	                       AT_SYMLINK_NOFOLLOW)),
	        EINVAL);
	clear();
}

/* What was set while a file is open for writing stays when it is closed. */
static void set_while_open(void)
{
	struct timespec t[2] = { { 100, 1 }, { 200, 2 } };
	struct stat st;
	int fd;

	fd = open("x", O_CREAT | O_RDWR, 0644);
	NEED(fd);
	NEED(write(fd, "abc", 3));
	NEED(futimens(fd, t));
	row("times set before a close");
	close(fd);
	NEED(stat("x", &st));
	is_num(ns_of(st.st_mtim), ns_of(t[1]));
	is_num(ns_of(st.st_atim), ns_of(t[0]));
	row("times after a truncation that changes nothing else");
	tick();
	is_code(CODE(truncate("x", 1)), 0);
	NEED(stat("x", &st));
	is_true(ns_of(st.st_mtim) != ns_of(t[1]), "mtime is now");
	clear();
}

static void truncated(const char *text, const char *what)
{
	struct stat a, b;

	make_file("x", text);
	NEED(stat("x", &a));
	tick();
	row("O_TRUNC of %s", what);
	NEED(make_open("x", O_WRONLY | O_TRUNC, 0));
	NEED(stat("x", &b));
	judge("file", &a, &b, "mc");
	clear();
}

/* By calls that read. The times are set so that relatime would move them. */
static void reading(void)
{
	struct timespec t[2] = { { 100, 1 }, { 200, 2 } };
	const char *want = on_mount() ? "" : "a";
	struct stat a, b;
	char buf[16];
	int fd;

	make(REG, "x");
	NEED(utimensat(AT_FDCWD, "x", t, 0));
	NEED(stat("x", &a));
	fd = open("x", O_RDONLY);
	NEED(read(fd, buf, sizeof(buf)));
	close(fd);
	NEED(stat("x", &b));
	row("read of a file");
	differs(0, 0, NO_ATIME);
	judge("file", &a, &b, want);
	clear();
}

void group_times(void)
{
	EACH_KIND(k)
	{
		for (size_t i = 0; i < ARRAY_LEN(path_rows); i++)
			if (!(path_rows[i].except & 1u << k))
				on_path(&path_rows[i], k);
		entries(k);
		set_exactly(k);
	}
	for (size_t i = 0; i < ARRAY_LEN(fd_rows); i++) {
		on_fd(i, false);
		on_fd(i, true);
	}
	set_while_open();
	truncated("abc", "a file");
	truncated("", "an empty file");
	reading();
}
