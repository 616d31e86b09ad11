/* Directories: what they list, in which order, from where. */
#include "tests/posix/posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NO_COUNT "a directory's link count is 1, \"not counted\", as on btrfs"

static int type_of(mode_t fmt)
{
	return (int)IFTODT(fmt);
}

static void listed(enum kind k)
{
	struct dirent *e;
	int found = 0, dots = 0;
	DIR *d;

	make_dir("d");
	make(k, "d/x");
	d = opendir("d");
	row("a directory with a %s", kind_name(k));
	while ((e = readdir(d))) {
		if (!strcmp(e->d_name, ".")) {
			dots++;
			is_true(e->d_ino == ino_of("d"), ". is itself");
		} else if (!strcmp(e->d_name, "..")) {
			dots++;
			is_true(e->d_ino == ino_of("."), ".. is its parent");
		} else {
			found++;
			is_true(!strcmp(e->d_name, "x"), "the name");
			is_true(e->d_ino == ino_of("d/x"), "the inode");
			is_num(e->d_type, type_of(kind_fmt(k)));
		}
	}
	is_num(found, 1);
	is_num(dots, 2);
	closedir(d);
	clear();
}

static void numbered(int i, char out[16])
{
	snprintf(out, 16, "entry%05d", i);
}

static void make_many(int n)
{
	char name[16];

	for (int i = 0; i < n; i++) {
		numbered(i, name);
		make_file(name, "");
	}
}

/* How many of the `n` are listed just once; others are counted in *out_more. */
static int count_once(DIR *d, int n, int *out_more)
{
	char *seen = calloc(1, (size_t)n);
	struct dirent *e;
	int once = 0, more = 0;

	need(seen, "calloc");
	while ((e = readdir(d))) {
		int i = -1;

		if (sscanf(e->d_name, "entry%d", &i) == 1 && i < n &&
		    !seen[i]++)
			once++;
		else if (e->d_name[0] != '.')
			more++;
	}
	free(seen);
	*out_more = more;
	return once;
}

#define MANY 700 /* some pages of entries */

static void many(void)
{
	long places[MANY + 2];
	char names[MANY + 2][256], name[16];
	struct dirent *e;
	int n = 0, more;
	DIR *d;

	make_many(MANY);
	d = opendir(".");
	row("a large directory");
	is_num(count_once(d, MANY, &more), MANY);
	is_num(more, 0);
	row("a large directory, rewound");
	rewinddir(d);
	is_num(count_once(d, MANY, &more), MANY);
	row("places in it");
	rewinddir(d);
	for (places[n] = telldir(d); (e = readdir(d)); places[n] = telldir(d)) {
		snprintf(names[n], sizeof(names[n]), "%s", e->d_name);
		if (++n == MANY + 2)
			break;
	}
	is_num(n, MANY + 2);
	for (int i = 0; i < n; i += 7) {
		int at = (i * 331) % n;

		seekdir(d, places[at]);
		e = readdir(d);
		is_true(e && !strcmp(e->d_name, names[at]), "the same entry");
	}
	row("every other entry removed while it is read");
	rewinddir(d);
	need(readdir(d), "readdir");
	for (int i = 0; i < MANY; i += 2) {
		numbered(i, name);
		NEED(unlink(name));
	}
	make_file("late", "");
	rewinddir(d);
	is_num(count_once(d, MANY, &more), MANY / 2);
	is_num(more, 1);
	closedir(d);
	clear();
}

/* What is there all the time is listed once, whatever comes and goes. */
static void changing(void)
{
	bool seen[300] = { 0 };
	struct dirent *e;
	int once = 0, i, n = 0;
	char name[32];
	DIR *d;

	make_many(300);
	d = opendir(".");
	row("a directory that changes while it is read");
	while ((e = readdir(d))) {
		snprintf(name, sizeof(name), "new%d", n++);
		if (n % 3 == 0)
			make_file(name, "");
		if (sscanf(e->d_name, "entry%d", &i) != 1)
			continue;
		if (!seen[i]) {
			seen[i] = true;
			once++;
		} else {
			once = -1000;
		}
		NEED(unlink(e->d_name)); /* as rm -r does */
	}
	is_num(once, 300);
	closedir(d);
	clear();
}

static void removed(void)
{
	struct stat st;
	char buf[1024];
	int fd, made;

	make_dir("d");
	fd = open("d", O_RDONLY | O_DIRECTORY);
	NEED(rmdir("d"));
	row("fstat of a directory that was removed");
	is_code(CODE(fstat(fd, &st)), 0);
	is_num(st.st_nlink, 0);
	row("making names in a directory that was removed");
	made = openat(fd, "x", O_CREAT | O_WRONLY, 0644);
	is_code(CODE(made), ENOENT);
	is_code(CODE(mkdirat(fd, "x", 0755)), ENOENT);
	is_code(CODE(symlinkat("x", fd, "x")), ENOENT);
	row("fsync of a directory that was removed");
	is_code(CODE(fsync(fd)), 0);
	row("fchmod of a directory that was removed");
	is_code(CODE(fchmod(fd, 0700)), 0);
	row("entries of a directory that was removed");
	is_true(syscall(SYS_getdents64, fd, buf, sizeof(buf)) <= 0 ||
	                on_mount(),
	        "nothing is listed");
	make_dir("d");
	is_true(ino_of("d") != st.st_ino, "a new one is another");
	close(fd);
	clear();
}

static void counts(void)
{
	struct stat st;

	make_dir("d");
	row("links of a directory");
	NEED(stat("d", &st));
	is_num((int)st.st_nlink, differs(2, 1, NO_COUNT));
	make_dir("d/a");
	make_dir("d/b");
	make_file("d/f", "");
	NEED(stat("d", &st));
	is_num((int)st.st_nlink, differs(4, 1, NO_COUNT));
	make_dir("e");
	NEED(rename("d/a", "e/a"));
	NEED(stat("e", &st));
	is_num((int)st.st_nlink, differs(3, 1, NO_COUNT));
	clear();
}

static void descriptors(void)
{
	char buf[1024];
	int fd;

	make_dir("d");
	fd = open("d", O_RDONLY);
	row("a directory's descriptor");
	is_code(CODE(read(fd, buf, 10)), EISDIR);
	is_code(CODE(pread(fd, buf, 10, 0)), EISDIR);
	is_code(CODE(write(fd, buf, 10)), EBADF);
	is_code(CODE(ftruncate(fd, 0)), EINVAL);
	is_code(CODE(fsync(fd)), 0);
	is_code(CODE(fdatasync(fd)), 0);
	is_code(CODE(lseek(fd, 0, SEEK_SET)), 0);
	is_code(CODE((int)syscall(SYS_getdents64, fd, buf, 1)), EINVAL);
	is_true(syscall(SYS_getdents64, fd, buf, sizeof(buf)) > 0, "entries");
	is_num(syscall(SYS_getdents64, fd, buf, sizeof(buf)), 0);
	close(fd);
	make_file("f", "");
	fd = open("f", O_RDONLY);
	row("entries of a file");
	is_code(CODE((int)syscall(SYS_getdents64, fd, buf, sizeof(buf))),
	        ENOTDIR);
	close(fd);
	clear();
}

/* Deeper and deeper, and up again. */
static void deep(void)
{
	ino_t inos[20];

	row("20 levels down and up");
	for (int i = 0; i < 20; i++) {
		make_dir("l");
		inos[i] = ino_of("l");
		NEED(chdir("l"));
	}
	for (int i = 19; i > 0; i--) {
		is_true(ino_of(".") == inos[i] && ino_of("..") == inos[i - 1],
		        "dots");
		NEED(chdir(".."));
	}
	NEED(chdir(".."));
	clear();
}

void group_dirs(void)
{
	EACH_KIND(k)
	listed(k);
	many();
	changing();
	removed();
	counts();
	descriptors();
	deep();
}
