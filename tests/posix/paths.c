/* Every call that takes a path, with every path that can't be right. */
#include "tests/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

static int by_open(const char *p)
{
	return make_open(p, O_RDONLY, 0);
}

static int by_create(const char *p)
{
	return make_open(p, O_CREAT | O_WRONLY, 0644);
}

static int by_opendir(const char *p)
{
	return make_open(p, O_RDONLY | O_DIRECTORY, 0);
}

static int by_stat(const char *p)
{
	struct stat st;

	return CODE(stat(p, &st));
}

static int by_lstat(const char *p)
{
	struct stat st;

	return CODE(lstat(p, &st));
}

static int by_statx(const char *p)
{
	struct statx stx;

	return CODE(statx(AT_FDCWD, p, 0, STATX_BASIC_STATS, &stx));
}

static int by_access(const char *p)
{
	return CODE(faccessat(AT_FDCWD, p, F_OK, AT_EACCESS));
}

static int by_chmod(const char *p)
{
	return CODE(chmod(p, 0644));
}

static int by_chown(const char *p)
{
	return CODE(chown(p, geteuid(), getegid()));
}

static int by_lchown(const char *p)
{
	return CODE(lchown(p, geteuid(), getegid()));
}

static int by_truncate(const char *p)
{
	return CODE(truncate(p, 5));
}

static int by_utimens(const char *p)
{
	return CODE(utimensat(AT_FDCWD, p, NULL, 0));
}

static int by_lutimens(const char *p)
{
	return CODE(utimensat(AT_FDCWD, p, NULL, AT_SYMLINK_NOFOLLOW));
}

static int by_mkdir(const char *p)
{
	return CODE(mkdir(p, 0755));
}

static int by_rmdir(const char *p)
{
	return CODE(rmdir(p));
}

static int by_unlink(const char *p)
{
	return CODE(unlink(p));
}

static int by_symlink(const char *p)
{
	return CODE(symlink("target", p));
}

static int by_readlink(const char *p)
{
	char buf[16];

	return CODE(readlink(p, buf, sizeof(buf)));
}

static int by_link_from(const char *p)
{
	return CODE(link(p, "new"));
}

static int by_link_to(const char *p)
{
	return CODE(link("file", p));
}

static int by_mknod(const char *p)
{
	return CODE(mknod(p, S_IFREG | 0644, 0));
}

static int by_mkfifo(const char *p)
{
	return CODE(mkfifo(p, 0644));
}

static int by_rename_from(const char *p)
{
	return CODE(rename(p, "new"));
}

static int by_rename_to(const char *p)
{
	return CODE(rename("file", p));
}

static int by_statfs(const char *p)
{
	struct statfs st;

	return CODE(statfs(p, &st));
}

static int by_getxattr(const char *p)
{
	char buf[16];

	return CODE(getxattr(p, "user.none", buf, sizeof(buf)));
}

static int by_listxattr(const char *p)
{
	char buf[512];

	return CODE(listxattr(p, buf, sizeof(buf)));
}

static int by_setxattr(const char *p)
{
	return CODE(setxattr(p, "user.none", "", 0, XATTR_REPLACE));
}

static int by_removexattr(const char *p)
{
	return CODE(removexattr(p, "user.none"));
}

static int by_chdir(const char *p)
{
	return CODE(chdir(p));
}

static int by_execve(const char *p)
{
	char *args[] = { NULL };

	return CODE(execve(p, args, args));
}

/* MAKES: takes a name that is not there yet. LINK: acts on a link itself. */
enum { MAKES = 1, LINK = 2 };

static const struct call {
	const char *name;
	int (*run)(const char *path);
	int traits;
} calls[] = {
	{ "open", by_open, 0 },
	{ "open to create", by_create, MAKES },
	{ "opendir", by_opendir, 0 },
	{ "stat", by_stat, 0 },
	{ "lstat", by_lstat, LINK },
	{ "statx", by_statx, 0 },
	{ "access", by_access, 0 },
	{ "chmod", by_chmod, 0 },
	{ "chown", by_chown, 0 },
	{ "lchown", by_lchown, LINK },
	{ "truncate", by_truncate, 0 },
	{ "utimensat", by_utimens, 0 },
	{ "utimensat of the link", by_lutimens, LINK },
	{ "mkdir", by_mkdir, MAKES | LINK },
	{ "rmdir", by_rmdir, LINK },
	{ "unlink", by_unlink, LINK },
	{ "symlink", by_symlink, MAKES | LINK },
	{ "readlink", by_readlink, LINK },
	{ "link from", by_link_from, LINK },
	{ "link to", by_link_to, MAKES | LINK },
	{ "mknod", by_mknod, MAKES | LINK },
	{ "mkfifo", by_mkfifo, MAKES | LINK },
	{ "rename from", by_rename_from, LINK },
	{ "rename to", by_rename_to, MAKES | LINK },
	{ "statfs", by_statfs, 0 },
	{ "getxattr", by_getxattr, 0 },
	{ "setxattr", by_setxattr, 0 },
	{ "removexattr", by_removexattr, 0 },
	{ "listxattr", by_listxattr, 0 },
	{ "chdir", by_chdir, 0 },
	{ "execve", by_execve, 0 },
};

/* One of each kind, and what paths go wrong with. */
static void set_up(void)
{
	EACH_KIND(k)
	make(k, kind_name(k));
	NEED(symlink("loop", "loop"));
	NEED(symlink("loop2", "loop1"));
	NEED(symlink("loop1", "loop2"));
	NEED(symlink("file", "to file"));
	make_full_dir("closed");
	NEED(chmod("closed", 0));
}

/* ---- what is wrong with any call
 * ----------------------------------------------- */

static void with_each_call(const char *path, int want, const char *what)
{
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		row("%s of %s", calls[i].name, what);
		is_code(calls[i].run(path), want);
	}
}

static void absent_names(void)
{
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		if (calls[i].traits & MAKES)
			continue;
		row("%s of an absent name", calls[i].name);
		is_code(calls[i].run("none"), ENOENT);
		if (!(calls[i].traits & LINK)) {
			row("%s of a link to nothing", calls[i].name);
			is_code(calls[i].run("link"), ENOENT);
			row("%s of a link to itself", calls[i].name);
			is_code(calls[i].run("loop"), ELOOP);
		}
	}
}

static void long_names(void)
{
	char name[600], path[5000];

	memset(name, 'n', 256);
	name[256] = 0;
	with_each_call(name, ENAMETOOLONG, "a name of 256 bytes");
	strcpy(name + 256, "/x");
	with_each_call(name, ENAMETOOLONG, "a path through 256 bytes");
	snprintf(path, sizeof(path), "directory/%.256s", name);
	with_each_call(path, ENAMETOOLONG, "256 bytes in a directory");
	for (size_t i = 0; i < 4096; i += 2)
		memcpy(path + i, "./", 3);
	strcpy(path + 4096 - 5, "/none");
	with_each_call(path, ENAMETOOLONG, "a path of 4096 bytes");
	memset(path, 'p', 4999);
	path[4999] = 0;
	with_each_call(path, ENAMETOOLONG, "a path of 4999 bytes");
}

static void closed_ways(void)
{
	if (!is_root())
		return;
	NEED(chmod(".", 0777));
	NEED(chown("file", uid_of(OWNER), gid_of(OWNER)));
	become(OWNER);
	with_each_call("closed/child", EACCES, "a name in a closed directory");
	with_each_call("closed/none", EACCES, "none in a closed directory");
	become(ROOT);
	NEED(chmod(".", 0755));
}

/* ---- what must work
 * ------------------------------------------------------------ */

static void limits(void)
{
	char name[256], path[4097], target[64];
	int fd;

	memset(name, 'n', 255);
	name[255] = 0;
	row("a name of 255 bytes");
	is_code(by_create(name), 0);
	is_code(by_stat(name), 0);
	is_code(CODE(rename(name, "short")), 0);
	is_code(CODE(rename("short", name)), 0);
	is_code(by_unlink(name), 0);
	is_code(by_mkdir(name), 0);
	is_code(by_rmdir(name), 0);
	is_code(by_symlink(name), 0);
	is_code(by_unlink(name), 0);
	row("a path of 4095 bytes");
	for (size_t i = 0; i < 4090; i += 2)
		memcpy(path + i, "./", 3);
	strcpy(path + 4095 - 4, "file");
	path[4095 - 5] = '/';
	is_code(by_stat(path), 0);
	is_code(by_open(path), 0);
	NEED(symlink("file", "chain 0"));
	for (int i = 1; i < 42; i++) {
		snprintf(target, sizeof(target), "chain %d", i - 1);
		snprintf(name, sizeof(name), "chain %d", i);
		NEED(symlink(target, name));
	}
	row("40 links after each other");
	is_code(by_stat("chain 39"), 0);
	row("41 links after each other");
	is_code(by_stat("chain 40"), ELOOP);
	row("dots and slashes");
	is_code(by_stat("directory/../directory/.././file"), 0);
	is_code(by_stat(".//directory///..////file"), 0);
	is_code(by_stat("file/."), ENOTDIR);
	is_code(by_stat("file/.."), ENOTDIR);
	is_code(by_stat("none/.."), ENOENT);
	row("relative to a descriptor");
	fd = open("directory", O_RDONLY | O_DIRECTORY);
	is_code(CODE(mkdirat(fd, "at", 0755)), 0);
	is_code(CODE(unlinkat(fd, "at", 0)), EISDIR);
	is_code(CODE(unlinkat(fd, "at", AT_REMOVEDIR)), 0);
	is_code(CODE(faccessat(fd, "../file", F_OK, 0)), 0);
	close(fd);
	fd = open("file", O_RDONLY);
	is_code(CODE(mkdirat(fd, "at", 0755)), ENOTDIR);
	is_code(CODE(mkdirat(-1, "at", 0755)), EBADF);
	close(fd);
}

/* A slash at the end means a directory. */
static void slashes(void)
{
	static const struct {
		const char *call, *path;
		int want;
	} rows[] = {
		{ "stat", "file/", ENOTDIR },
		{ "lstat", "file/", ENOTDIR },
		{ "lstat", "directory/", 0 },
		{ "stat", "fifo/", ENOTDIR },
		{ "stat", "to file/", ENOTDIR },
		{ "lstat", "to dir/", 0 },
		{ "lstat", "link/", ENOENT },
		{ "open", "file/", ENOTDIR },
		{ "open", "directory/", 0 },
		{ "open to create", "new/", EISDIR },
		{ "open to create", "file/", EISDIR },
		{ "opendir", "to dir/", 0 },
		{ "mkdir", "file/", EEXIST },
		{ "mkdir", "directory/", EEXIST },
		{ "mkdir", "made/", 0 },
		{ "rename from", "made/", 0 },
		{ "rmdir", "new/", 0 },
		{ "rmdir", "file/", ENOTDIR },
		{ "rmdir", "to dir/", ENOTDIR },
		{ "unlink", "file/", ENOTDIR },
		{ "unlink", "directory/", EISDIR },
		{ "unlink", "none/", ENOENT },
		{ "symlink", "none/", ENOENT },
		{ "symlink", "file/", EEXIST },
		{ "mknod", "none/", ENOENT },
		{ "mkfifo", "none/", ENOENT },
		{ "link to", "none/", ENOENT },
		{ "link from", "file/", ENOTDIR },
		{ "rename from", "file/", ENOTDIR },
		{ "rename to", "none/", ENOTDIR },
		{ "readlink", "to dir/", EINVAL },
		{ "readlink", "to file/", ENOTDIR },
		{ "truncate", "file/", ENOTDIR },
		{ "chmod", "file/", ENOTDIR },
		{ "chmod", "directory/", 0 },
		{ "access", "file/", ENOTDIR },
		{ "utimensat", "file/", ENOTDIR },
		{ "chdir", "file/", ENOTDIR },
	};

	NEED(symlink("directory", "to dir"));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t c = 0; c < ARRAY_LEN(calls); c++)
			if (!strcmp(rows[i].call, calls[c].name)) {
				row("%s of %s", rows[i].call, rows[i].path);
				is_code(calls[c].run(rows[i].path),
				        rows[i].want);
			}
}

/* ---- a directory that is gone
 * ---------------------------------------------------- */

static void removed_directory(void)
{
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		const struct call *c = &calls[i];

		if (c->run == by_link_to || c->run == by_rename_to)
			continue; /* their first name decides */
		NEED(mkdir("going", 0755));
		NEED(chdir("going"));
		NEED(rmdir("../going"));
		row("%s in a directory that is gone", c->name);
		is_code(c->run("x"), ENOENT);
		NEED(chdir(".."));
	}
}

void group_paths(void)
{
	set_up();
	with_each_call("", ENOENT, "nothing");
	with_each_call("none/x", ENOENT, "a name below nothing");
	with_each_call("link/x", ENOENT, "a name below a link to nothing");
	with_each_call("loop/x", ELOOP, "a name below a link to itself");
	with_each_call("loop1/x", ELOOP, "a name below two links");
	with_each_call("to file/x", ENOTDIR, "a name below a link to a file");
	EACH_KIND(k)
	{
		char path[64], what[64];

		if (k == DIRECTORY || k == LNK)
			continue;
		snprintf(path, sizeof(path), "%s/x", kind_name(k));
		snprintf(what, sizeof(what), "a name below a %s", kind_name(k));
		with_each_call(path, ENOTDIR, what);
	}
	absent_names();
	long_names();
	closed_ways();
	limits();
	slashes();
	removed_directory();
}
