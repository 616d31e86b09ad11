/* Making and removing names: every call on a name that every kind has. */
#include "tests/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#define NO_LINKS "the service has no hard links"

/* ---- calls that make a name
 * -------------------------------------------------- */

static int by_mkdir(const char *name)
{
	return CODE(mkdir(name, 0755));
}

static int by_symlink(const char *name)
{
	return CODE(symlink("target", name));
}

static int by_mkfifo(const char *name)
{
	return CODE(mkfifo(name, 0644));
}

static int by_mknod_file(const char *name)
{
	return CODE(mknod(name, S_IFREG | 0644, 0));
}

static int by_mknod_socket(const char *name)
{
	return CODE(mknod(name, S_IFSOCK | 0644, 0));
}

static int by_mknod_char(const char *name)
{
	return CODE(mknod(name, S_IFCHR | 0644, makedev(5, 300)));
}

static int by_mknod_block(const char *name)
{
	return CODE(mknod(name, S_IFBLK | 0644, makedev(259, 70000)));
}

static int by_create(const char *name)
{
	return make_open(name, O_CREAT | O_EXCL | O_RDWR, 0644);
}

static int by_bind(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int rc, fd = socket(AF_UNIX, SOCK_STREAM, 0);

	NEED(fd);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", name);
	rc = CODE(bind(fd, (struct sockaddr *)&at, sizeof(at)));
	close(fd);
	return rc == EADDRINUSE ? EEXIST : rc; /* its own word for it */
}

static int by_rename(const char *name)
{
	make_file("other", "");
	return CODE(
		renameat2(AT_FDCWD, "other", AT_FDCWD, name, RENAME_NOREPLACE));
}

static int by_link(const char *name)
{
	make_file("other", "");
	return CODE(link("other", name));
}

static const struct maker {
	const char *name;
	int (*call)(const char *name);
	mode_t fmt; /* of what it makes; 0: rename and link */
	bool root;
} makers[] = {
	{ "mkdir", by_mkdir, S_IFDIR, false },
	{ "symlink", by_symlink, S_IFLNK, false },
	{ "mkfifo", by_mkfifo, S_IFIFO, false },
	{ "mknod of a file", by_mknod_file, S_IFREG, false },
	{ "mknod of a socket", by_mknod_socket, S_IFSOCK, false },
	{ "mknod of a char device", by_mknod_char, S_IFCHR, true },
	{ "mknod of a block device", by_mknod_block, S_IFBLK, true },
	{ "open to create", by_create, S_IFREG, false },
	{ "bind", by_bind, S_IFSOCK, false },
	{ "rename, not replacing", by_rename, 0, false },
	{ "link", by_link, 0, false },
};

static bool may_call(const struct maker *m)
{
	return is_root() || !m->root;
}

static void over_each_kind(const struct maker *m)
{
	EACH_KIND(k)
	{
		ino_t ino;

		make(k, "taken");
		ino = ino_of("taken");
		row("%s where a %s is", m->name, kind_name(k));
		is_code(m->call("taken"), EEXIST);
		is_true(ino_of("taken") == ino, "it stays");
		clear();
		/* Below what is no directory. */
		make(k, "above");
		if (k != DIRECTORY) {
			row("%s below a %s", m->name, kind_name(k));
			is_code(m->call("above/x"),
			        k == LNK ? ENOENT : ENOTDIR);
		}
		clear();
	}
	make_dir("d");
	for (int i = 0; i < 4; i++) {
		static const char *const dots[] = { ".", "..", "d/.", "d/.." };

		row("%s of %s", m->name, dots[i]);
		is_code(m->call(dots[i]), EEXIST);
		unlink("other");
	}
	clear();
}

/* What it looks like afterwards, with each umask. */
static void makes(const struct maker *m)
{
	static const mode_t masks[] = { 0, 022, 027, 077, 0777 };

	for (size_t i = 0; i < ARRAY_LEN(masks); i++) {
		mode_t asked = m->fmt == S_IFDIR ? 0755 : 0644;
		mode_t want = asked & ~masks[i];
		struct stat st;
		int code;

		if (m->call == by_bind)
			want = 0777 & ~masks[i];
		if (m->fmt == S_IFLNK)
			want = 0777;
		row("%s, umask %o", m->name, masks[i]);
		umask(masks[i]);
		code = m->call("new");
		umask(022);
		is_code(code, 0);
		if (code == 0 && lstat("new", &st) == 0) {
			is_num(st.st_mode & S_IFMT, m->fmt);
			is_num(st.st_mode & 07777, want);
			is_num(st.st_uid, geteuid());
			is_num(st.st_gid, getegid());
			if (m->fmt != S_IFDIR)
				is_num(st.st_nlink, 1);
		}
		if (m->fmt == S_IFCHR)
			is_num((int64_t)st.st_rdev, (int64_t)makedev(5, 300));
		if (m->fmt == S_IFBLK)
			is_num((int64_t)st.st_rdev,
			       (int64_t)makedev(259, 70000));
		clear();
	}
}

/* ---- calls that remove
 * -------------------------------------------------------- */

static void removing(enum kind k)
{
	bool dir = k == DIRECTORY;

	make(k, "x");
	row("rmdir of a %s", kind_name(k));
	is_code(CODE(rmdir("x")), dir ? 0 : ENOTDIR);
	if (dir)
		make(k, "x");
	row("unlink of a %s", kind_name(k));
	is_code(CODE(unlink("x")), dir ? EISDIR : 0);
	if (dir)
		NEED(rmdir("x"));
	is_true(ino_of("x") == 0, "it is gone");
	row("the %s again", kind_name(k));
	is_code(CODE(unlink("x")), ENOENT);
	is_code(CODE(rmdir("x")), ENOENT);
	make(k, "x");
	is_true(ino_of("x") != 0, "the name can be taken again");
	clear();
}

static void removing_directories(void)
{
	EACH_KIND(k)
	{
		make_dir("d");
		make(k, "d/x");
		row("rmdir of a directory with a %s", kind_name(k));
		is_code(CODE(rmdir("d")), ENOTEMPTY);
		clear();
	}
	make_dir("d");
	row("rmdir of dots");
	is_code(CODE(rmdir(".")), EINVAL);
	is_code(CODE(rmdir("d/.")), EINVAL);
	is_code(CODE(rmdir("..")), ENOTEMPTY);
	is_code(CODE(rmdir("d/..")), ENOTEMPTY);
	row("unlink of dots");
	is_code(CODE(unlink(".")), EISDIR);
	is_code(CODE(unlink("d/..")), EISDIR);
	row("rmdir through a link");
	NEED(symlink("d", "l"));
	is_code(CODE(rmdir("l")), ENOTDIR);
	is_code(CODE(rmdir("l/")), ENOTDIR);
	is_code(CODE(unlink("l")), 0);
	is_true(ino_of("d") != 0, "the directory stays");
	clear();
}

/* ---- links
 * -------------------------------------------------------------------- */

static void hard_links(enum kind k)
{
	ino_t ino;

	make(k, "x");
	ino = ino_of("x");
	row("link to a %s", kind_name(k));
	is_code(CODE(link("x", "y")),
	        k == DIRECTORY ? EPERM : differs(0, EPERM, NO_LINKS));
	if (on_mount() || k == DIRECTORY)
		is_true(ino_of("y") == 0, "nothing was made");
	is_true(ino_of("x") == ino, "it stays");
	clear();
}

static void one_target(const char *target, const char *what)
{
	char got[5000];
	ssize_t n;

	row("symlink with %s", what);
	is_code(CODE(symlink(target, "l")), 0);
	n = readlink("l", got, sizeof(got));
	is_num(n, (int64_t)strlen(target));
	is_true(n > 0 && !memcmp(got, target, (size_t)n), "read as written");
	is_num(size_of("l"), (int64_t)strlen(target));
	NEED(unlink("l"));
}

static void targets(void)
{
	char target[4097], got[8];

	one_target("x", "one byte");
	one_target("/", "the root");
	one_target("../../../../..", "dots");
	one_target("a//b///c/", "slashes");
	one_target("spa ce\ttab\nline", "white space");
	one_target("\xc3\xbc\xff\x01", "bytes that are no text");
	for (size_t len = 250; len < 4096; len += 769) {
		memset(target, 't', len);
		target[len] = 0;
		one_target(target, "a long target");
	}
	memset(target, 't', 4095);
	target[4095] = 0;
	one_target(target, "4095 bytes");
	row("symlink with no target");
	is_code(CODE(symlink("", "l")), ENOENT);
	strcat(target, "t");
	row("symlink with 4096 bytes");
	is_code(CODE(symlink(target, "l")), ENAMETOOLONG);
	NEED(symlink("0123456789", "l"));
	row("readlink into less");
	is_num(readlink("l", got, 4), 4);
	is_true(!memcmp(got, "0123", 4), "its beginning");
	EACH_KIND(k)
	{
		if (k == LNK)
			continue;
		make(k, "x");
		row("readlink of a %s", kind_name(k));
		is_code(CODE(readlink("x", got, 4)), EINVAL);
		clear();
	}
	clear();
}

void group_make(void)
{
	for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
		if (!may_call(&makers[i]))
			continue;
		over_each_kind(&makers[i]);
		if (makers[i].fmt)
			makes(&makers[i]);
	}
	EACH_KIND(k)
	{
		removing(k);
		hard_links(k);
	}
	removing_directories();
	targets();
}
