/* What a file is made of: fallocate, holes, copy_file_range. */
#include "tests/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NO_MOVING "files are stored as chunks at fixed places"

#define SIZE  200000
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

static int make_long(int flags)
{
	int fd = open("x", O_CREAT | O_TRUNC | O_RDWR | flags, 0644);
	char *buf = malloc(SIZE);

	NEED(fd);
	need(buf != NULL, "malloc");
	memset(buf, 'x', SIZE);
	need(pwrite(fd, buf, SIZE, 0) == SIZE, "write");
	free(buf);
	return fd;
}

/* 'x' all over, but zeros in [from, to) and behind SIZE. */
static bool holds(int fd, off_t size, off_t from, off_t to)
{
	char *buf = malloc((size_t)size + 1);
	bool ok;

	need(buf != NULL, "malloc");
	ok = pread(fd, buf, (size_t)size + 1, 0) == size;
	for (off_t i = 0; ok && i < size; i++)
		ok = buf[i] == ((i >= from && i < to) || i >= SIZE ? 0 : 'x');
	free(buf);
	return ok;
}

/* ---- fallocate
 * ------------------------------------------------------------------- */

static const struct range {
	off_t off, len;
} ranges[] = {
	{ 0, 1 },
	{ 0, 4096 },
	{ 1, 4096 },
	{ 0, SIZE },
	{ 4096, 65536 },
	{ 65536, 65536 },
	{ 65535, 2 },
	{ 100, 150000 },
	{ SIZE - 1, 1 },
	{ SIZE - 1, 2 },
	{ SIZE, 1 },
	{ SIZE, 70000 },
	{ SIZE - 100, 1000 },
	{ SIZE + 100, 100 },
	{ 131072, 68928 },
	{ 3, 5 },
};

static const struct {
	const char *name;
	int mode;
	bool zeros, extends;
} modes[] = {
	{ "fallocate", 0, false, true },
	{ "fallocate, keeping the size", FALLOC_FL_KEEP_SIZE, false, false },
	{ "punching a hole", PUNCH, true, false },
	{ "zeroing", FALLOC_FL_ZERO_RANGE, true, true },
	{ "zeroing, keeping the size",
	  FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, true, false },
};

static bool knows(int mode)
{
	int fd = make_long(0);
	bool yes = fallocate(fd, mode, 0, 4096) == 0 || on_mount();

	close(fd);
	return yes;
}

static void each_range(size_t m)
{
	if (!knows(modes[m].mode))
		return; /* tmpfs does not zero */
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		off_t off = ranges[i].off, end = off + ranges[i].len;
		off_t size = modes[m].extends && end > SIZE ? end : SIZE;
		int fd = make_long(0);
		struct stat st;

		row("%s at %lld, %lld bytes", modes[m].name, (long long)off,
		    (long long)ranges[i].len);
		is_code(CODE(fallocate(fd, modes[m].mode, off, ranges[i].len)),
		        0);
		NEED(fstat(fd, &st));
		is_num(st.st_size, size);
		is_true(holds(fd, size, modes[m].zeros ? off : 0,
		              modes[m].zeros ? end : 0),
		        "its bytes");
		close(fd);
		fd = open("x", O_RDONLY);
		is_true(holds(fd, size, modes[m].zeros ? off : 0,
		              modes[m].zeros ? end : 0),
		        "its bytes when opened anew");
		close(fd);
	}
	clear();
}

static void refused(void)
{
	static const int unknown[] = { FALLOC_FL_PUNCH_HOLE, 1 << 20,
		                       PUNCH | FALLOC_FL_ZERO_RANGE };
	int fd = make_long(0);

	row("fallocate, odd ranges");
	for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
		is_code(CODE(fallocate(fd, modes[m].mode, 0, 0)), EINVAL);
		is_code(CODE(fallocate(fd, modes[m].mode, -1, 1)), EINVAL);
		is_code(CODE(fallocate(fd, modes[m].mode, 0, -1)), EINVAL);
		is_code(CODE(fallocate(fd, modes[m].mode, INT64_MAX, 1)),
		        EFBIG);
	}
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
		row("fallocate, mode %#x", unknown[i]);
		is_code(CODE(fallocate(fd, unknown[i], 0, 4096)), EOPNOTSUPP);
	}
	if (on_mount()) {
		row("fallocate that moves bytes");
		is_code(CODE(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096)),
		        differs(0, EOPNOTSUPP, NO_MOVING));
		is_code(CODE(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 4096)),
		        differs(0, EOPNOTSUPP, NO_MOVING));
	}
	is_true(holds(fd, SIZE, 0, 0), "nothing changed");
	close(fd);
	clear();
	make(DIRECTORY, "d");
	fd = open("d", O_RDONLY);
	row("fallocate of a directory");
	is_code(CODE(fallocate(fd, 0, 0, 10)), EBADF);
	close(fd);
	make(FIFO, "p");
	fd = open("p", O_RDWR);
	row("fallocate of a fifo");
	is_code(CODE(fallocate(fd, 0, 0, 10)), ESPIPE);
	close(fd);
	clear();
}

/* ---- holes
 * --------------------------------------------------------------------------
 */

static void seeking(void)
{
	int fd = make_long(0);

	row("a file without holes");
	is_num(lseek(fd, 0, SEEK_DATA), 0);
	is_num(lseek(fd, 0, SEEK_HOLE), SIZE);
	is_num(lseek(fd, 1234, SEEK_DATA), 1234);
	is_num(lseek(fd, SIZE - 1, SEEK_DATA), SIZE - 1);
	is_num(lseek(fd, SIZE - 1, SEEK_HOLE), SIZE);
	is_code(CODE(lseek(fd, SIZE, SEEK_DATA)), ENXIO);
	is_code(CODE(lseek(fd, SIZE, SEEK_HOLE)), ENXIO);
	is_code(CODE(lseek(fd, -1, SEEK_DATA)), ENXIO);
	is_code(CODE(lseek(fd, SIZE + 10, SEEK_HOLE)), ENXIO);
	close(fd);
	fd = open("x", O_CREAT | O_TRUNC | O_RDWR, 0644);
	row("a file that is a hole");
	NEED(ftruncate(fd, 4 << 20));
	is_num(lseek(fd, 0, SEEK_HOLE), 0);
	is_code(CODE(lseek(fd, 0, SEEK_DATA)), ENXIO);
	row("data that was just written, behind a hole");
	is_num(pwrite(fd, "data", 4, 3 << 20), 4);
	is_true(lseek(fd, 0, SEEK_DATA) <= 3 << 20 &&
	                lseek(fd, 0, SEEK_DATA) > 0,
	        "found, and the hole too");
	is_num(lseek(fd, 3 << 20, SEEK_DATA), 3 << 20);
	is_true(lseek(fd, 3 << 20, SEEK_HOLE) >= (3 << 20) + 4,
	        "no hole before its end");
	row("an empty file");
	NEED(ftruncate(fd, 0));
	is_code(CODE(lseek(fd, 0, SEEK_DATA)), ENXIO);
	is_code(CODE(lseek(fd, 0, SEEK_HOLE)), ENXIO);
	close(fd);
	clear();
}

/* ---- copy_file_range
 * ---------------------------------------------------------------- */

static int copy_code(int in, loff_t from, int out, loff_t to, size_t len)
{
	return CODE(copy_file_range(in, &from, out, &to, len, 0));
}

static void copying(void)
{
	static const struct {
		off_t from, to;
		size_t len;
		ssize_t want;
	} rows[] = {
		{ 0, 0, SIZE, SIZE },       { 0, 0, 1, 1 },
		{ 0, 0, 10 * SIZE, SIZE },  { 1, 3, 100000, 100000 },
		{ 65536, 1, 70000, 70000 }, { SIZE, 0, 10, 0 },
		{ SIZE + 9, 0, 10, 0 },     { SIZE - 5, 500000, 10, 5 },
		{ 4096, 4096, 4096, 4096 }, { 0, 0, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int in = make_long(0);
		int out = open("y", O_CREAT | O_TRUNC | O_RDWR, 0644);
		loff_t from = rows[i].from, to = rows[i].to;
		struct stat st;
		char *buf = calloc(1, SIZE + 1);
		bool ok = true;

		need(buf != NULL, "calloc");
		row("copy_file_range %lld to %lld, %zu bytes", (long long)from,
		    (long long)to, rows[i].len);
		is_num(copy_file_range(in, &from, out, &to, rows[i].len, 0),
		       rows[i].want);
		is_num(from, rows[i].from + rows[i].want);
		is_num(to, rows[i].to + rows[i].want);
		NEED(fstat(out, &st));
		is_num(st.st_size,
		       rows[i].want ? rows[i].to + rows[i].want : 0);
		is_num(pread(out, buf, SIZE, rows[i].to), rows[i].want);
		for (ssize_t n = 0; n < rows[i].want; n++)
			ok = ok && buf[n] == 'x';
		is_true(ok, "its bytes");
		free(buf);
		close(in);
		close(out);
	}
	clear();
}

static void copying_refused(void)
{
	int both = make_long(0), r = open("x", O_RDONLY);
	int w = open("y", O_CREAT | O_WRONLY, 0644);
	int a = open("z", O_CREAT | O_RDWR | O_APPEND, 0644);
	int dir = open(".", O_RDONLY);

	row("copy_file_range that overlaps");
	is_code(copy_code(both, 0, both, 10, 100), EINVAL);
	is_code(copy_code(both, 50, both, 0, 100), EINVAL);
	is_code(copy_code(both, 0, both, 0, 1), EINVAL);
	row("copy_file_range within a file");
	is_code(copy_code(both, 0, both, 1000, 1000), 0);
	row("copy_file_range, descriptors");
	is_code(copy_code(w, 0, both, 0, 1), EBADF);
	is_code(copy_code(both, 0, r, 100000, 1), EBADF);
	is_code(copy_code(both, 0, a, 0, 1), EBADF);
	is_code(copy_code(dir, 0, both, 0, 1), EISDIR);
	is_code(copy_code(both, 0, dir, 0, 1), EISDIR);
	close(both);
	close(r);
	close(w);
	close(a);
	close(dir);
	clear();
}

void group_extents(void)
{
	for (size_t m = 0; m < ARRAY_LEN(modes); m++)
		each_range(m);
	refused();
	seeking();
	copying();
	copying_refused();
}
