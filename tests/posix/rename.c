/* rename(2) and renameat2(2): every kind onto every kind. */
#include "tests/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What a new name may be taken by. */
enum { ABSENT = NKINDS, FULL, NTARGETS };

static const char *target_name(int t)
{
	if (t == ABSENT)
		return "nothing";
	return t == FULL ? "full directory" : kind_name((enum kind)t);
}

static bool can_make_target(int t)
{
	return t >= NKINDS || can_make((enum kind)t);
}

static void make_target(int t, const char *name)
{
	if (t == FULL)
		make_full_dir(name);
	else if (t != ABSENT)
		make((enum kind)t, name);
}

static int renameat2_code(const char *old, const char *new, unsigned flags)
{
	return CODE(renameat2(AT_FDCWD, old, AT_FDCWD, new, flags));
}

static int plain_code(int src, int dst)
{
	bool dst_dir = dst == DIRECTORY || dst == FULL;
	bool src_dir = src == DIRECTORY || src == FULL;

	if (dst == ABSENT)
		return 0;
	if (src_dir != dst_dir)
		return src_dir ? ENOTDIR : EISDIR;
	return dst == FULL ? ENOTEMPTY : 0;
}

static int flags_code(int src, int dst, unsigned flags)
{
	switch (flags) {
	case RENAME_NOREPLACE:
		return dst == ABSENT ? 0 : EEXIST;
	case RENAME_EXCHANGE:
		return dst == ABSENT ? ENOENT : 0;
	default:
		return plain_code(src, dst);
	}
}

/* Both stay what they were, or move as they should. */
static void judge(int code, unsigned flags, ino_t src, ino_t dst)
{
	ino_t now_src = ino_of("a"), now_dst = ino_of("d/b");

	if (code) {
		is_true(now_src == src && now_dst == dst, "nothing changed");
	} else if (flags == RENAME_EXCHANGE) {
		is_true(now_src == dst && now_dst == src, "they changed");
	} else {
		is_true(now_src == 0, "the old name is gone");
		is_true(now_dst == src, "the new name is the same inode");
	}
}

static void one(int src, int dst, unsigned flags)
{
	int code, want = flags_code(src, dst, flags);
	ino_t src_ino, dst_ino;

	make_target(src, "a");
	make_dir("d");
	make_target(dst, "d/b");
	src_ino = ino_of("a");
	dst_ino = ino_of("d/b");
	row("rename %s over %s, flags %u", target_name(src), target_name(dst),
	    flags);
	code = flags ? renameat2_code("a", "d/b", flags)
	             : CODE(rename("a", "d/b"));
	is_code(code, want);
	judge(code, flags, src_ino, dst_ino);
	clear();
}

static void to_itself(enum kind k)
{
	ino_t ino;

	make(k, "a");
	ino = ino_of("a");
	row("rename %s to itself", kind_name(k));
	is_code(CODE(rename("a", "a")), 0);
	row("rename %s to itself by another path", kind_name(k));
	is_code(CODE(rename("a", "./a")), 0);
	row("rename %s to itself, exchanging", kind_name(k));
	is_code(renameat2_code("a", "a", RENAME_EXCHANGE), 0);
	row("rename %s to itself, not replacing", kind_name(k));
	is_code(renameat2_code("a", "a", RENAME_NOREPLACE), EEXIST);
	is_true(ino_of("a") == ino, "it stays");
	clear();
}

static void with_odd_flags(enum kind k)
{
	static const unsigned odd[] = {
		RENAME_NOREPLACE | RENAME_EXCHANGE,
		RENAME_WHITEOUT | RENAME_EXCHANGE,
		1u << 3,
		1u << 31,
	};

	make(k, "a");
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		row("rename %s, flags %#x", kind_name(k), odd[i]);
		is_code(renameat2_code("a", "b", odd[i]), EINVAL);
	}
	if (is_root()) {
		row("rename %s, leaving a whiteout", kind_name(k));
		is_code(renameat2_code("a", "b", RENAME_WHITEOUT),
		        differs(0, EINVAL,
		                "RENAME_WHITEOUT is for layers of an overlay "
		                "file system; a backup is none"));
	}
	clear();
}

static void into_itself(void)
{
	make_dir("a");
	make_dir("a/b");
	make_dir("a/b/c");
	row("rename a directory into itself");
	is_code(CODE(rename("a", "a/x")), EINVAL);
	is_code(CODE(rename("a", "a/b/x")), EINVAL);
	is_code(CODE(rename("a", "a/b/c")), EINVAL);
	row("rename a directory over its parent");
	is_code(CODE(rename("a/b", "a")), ENOTEMPTY);
	is_code(CODE(rename("a/b/c", "a")), ENOTEMPTY);
	row("exchange a directory with one above it");
	is_code(renameat2_code("a/b", "a", RENAME_EXCHANGE), EINVAL);
	is_code(renameat2_code("a", "a/b/c", RENAME_EXCHANGE), EINVAL);
	make_file("a/b/f", "");
	row("exchange a directory with a file in it");
	is_code(renameat2_code("a", "a/b/f", RENAME_EXCHANGE), EINVAL);
	clear();
}

static void dots(void)
{
	static const char *const names[] = { ".", "..", "d/.", "d/.." };

	make_dir("d");
	make_file("f", "");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		row("rename from %s", names[i]);
		is_code(CODE(rename(names[i], "x")), EBUSY);
		row("rename a directory to %s", names[i]);
		is_code(CODE(rename("d", names[i])), EBUSY);
		row("rename a file to %s", names[i]);
		is_code(CODE(rename("f", names[i])), EBUSY);
	}
	clear();
}

/* What is open stays what it was; what is below a directory goes along. */
static void what_goes_along(void)
{
	char text[16] = "";
	struct stat st;
	int fd;

	make_file("a", "first");
	make_file("b", "second");
	fd = open("b", O_RDONLY);
	NEED(fd);
	row("an open file that is renamed over");
	is_code(CODE(rename("a", "b")), 0);
	is_num(pread(fd, text, sizeof(text), 0), 6);
	is_true(!memcmp(text, "second", 6), "its bytes stay");
	NEED(fstat(fd, &st));
	is_num(st.st_nlink, 0);
	close(fd);
	make_full_dir("d");
	make_dir("e");
	fd = open("d", O_RDONLY | O_DIRECTORY);
	NEED(fd);
	row("an open directory that is moved");
	is_code(CODE(rename("d", "e/d")), 0);
	is_code(CODE(faccessat(fd, "child", F_OK, 0)), 0);
	NEED(fstatat(fd, "..", &st, 0));
	is_true(st.st_ino == ino_of("e"), ".. is the new parent");
	close(fd);
	clear();
}

void group_rename(void)
{
	static const unsigned flags[] = { 0, RENAME_NOREPLACE,
		                          RENAME_EXCHANGE };

	for (size_t f = 0; f < ARRAY_LEN(flags); f++)
		for (int src = 0; src < NTARGETS; src++)
			for (int dst = 0; dst < NTARGETS; dst++)
				if (src != ABSENT && can_make_target(src) &&
				    can_make_target(dst))
					one(src, dst, flags[f]);
	EACH_KIND(k)
	{
		to_itself(k);
		with_odd_flags(k);
	}
	into_itself();
	dots();
	what_goes_along();
}
