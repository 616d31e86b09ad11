/* Who may do what: every mode, for every class of people. */
#include "tests/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { R = 4, W = 2, X = 1 };

/* The bits that count for that person on a file of OWNER. */
static int shift_of(enum who w)
{
	return w == OWNER ? 6 : w == STRANGER ? 0 : 3;
}

/* The person's own class has `bits`, the other classes what it lacks, so that
 * the wrong class shows. */
static mode_t mode_for(enum who w, int bits)
{
	int shift = shift_of(w);
	mode_t mode = 0;

	for (int s = 0; s <= 6; s += 3)
		mode |= (mode_t)(s == shift ? bits : ~bits & 7) << s;
	return mode;
}

static int want(int bits, int need_bits)
{
	return (bits & need_bits) == need_bits ? 0 : EACCES;
}

static int access_code(const char *p, int how)
{
	return CODE(faccessat(AT_FDCWD, p, how, AT_EACCESS));
}

static void prepare(enum kind k, enum who w, int bits)
{
	make(k, "x");
	NEED(chown("x", uid_of(OWNER), gid_of(OWNER)));
	NEED(chmod("x", mode_for(w, bits)));
	row("%s with mode %o by %s", kind_name(k), mode_for(w, bits),
	    who_name(w));
}

static void by_access(int bits)
{
	for (int how = 0; how < 8; how++)
		is_code(access_code("x", how), want(bits, how));
}

static void with_file(enum who w, int bits)
{
	prepare(REG, w, bits);
	become(w);
	by_access(bits);
	is_code(make_open("x", O_RDONLY, 0), want(bits, R));
	is_code(make_open("x", O_WRONLY, 0), want(bits, W));
	is_code(make_open("x", O_WRONLY | O_APPEND, 0), want(bits, W));
	is_code(make_open("x", O_RDWR, 0), want(bits, R | W));
	is_code(make_open("x", O_RDWR | O_CREAT, 0), want(bits, R | W));
	is_code(CODE(truncate("x", 4)), want(bits, W));
	is_code(make_open("x", O_WRONLY | O_TRUNC, 0), want(bits, W));
	become(ROOT);
	is_num(size_of("x"), bits & W ? 0 : 10);
	clear();
}

static void with_fifo(enum who w, int bits)
{
	prepare(FIFO, w, bits);
	become(w);
	by_access(bits);
	is_code(make_open("x", O_RDONLY | O_NONBLOCK, 0), want(bits, R));
	is_code(make_open("x", O_RDWR | O_NONBLOCK, 0), want(bits, R | W));
	become(ROOT);
	clear();
}

static void with_directory(enum who w, int bits)
{
	struct stat st;

	prepare(DIRECTORY, w, bits);
	make_file("x/old", "");
	make_file("x/target", "");
	make_dir("x/dir");
	NEED(chmod("x/dir", 0777));
	become(w);
	by_access(bits);
	is_code(make_open("x", O_RDONLY | O_DIRECTORY, 0), want(bits, R));
	is_code(make_open("x", O_PATH | O_DIRECTORY, 0), 0);
	is_code(CODE(stat("x/old", &st)), want(bits, X));
	is_code(CODE(stat("x/none", &st)), bits & X ? ENOENT : EACCES);
	is_code(CODE(mkdir("x/new dir", 0755)), want(bits, W | X));
	is_code(CODE(symlink("x", "x/new link")), want(bits, W | X));
	is_code(CODE(mkfifo("x/new fifo", 0644)), want(bits, W | X));
	is_code(make_open("x/new", O_CREAT | O_WRONLY, 0644),
	        want(bits, W | X));
	is_code(CODE(rename("x/old", "x/renamed")), want(bits, W | X));
	is_code(CODE(unlink("x/target")), want(bits, W | X));
	is_code(CODE(rmdir("x/dir")), want(bits, W | X));
	is_code(CODE(chdir("x")), want(bits, X));
	if (bits & X)
		NEED(chdir(".."));
	become(ROOT);
	clear();
}

/* Only root passes by without bits, and runs what nobody may run neither. */
static void as_root(void)
{
	for (mode_t mode = 0; mode < 02; mode++) {
		make(REG, "x");
		NEED(chmod("x", mode));
		row("file with mode %o by root", mode);
		is_code(access_code("x", R_OK | W_OK), 0);
		is_code(access_code("x", X_OK), mode & 0111 ? 0 : EACCES);
		is_code(make_open("x", O_RDWR, 0), 0);
		clear();
	}
}

void group_modes(void)
{
	if (!is_root())
		return;
	NEED(chmod(".", 0777));
	for (enum who w = OWNER; w < NWHO; w++)
		for (int bits = 0; bits < 8; bits++) {
			with_file(w, bits);
			with_fifo(w, bits);
			with_directory(w, bits);
		}
	as_root();
	NEED(chmod(".", 0755));
}
