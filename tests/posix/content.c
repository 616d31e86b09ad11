/* Bytes of a file: reading, writing, truncating, descriptors of all kinds. */
#include "tests/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

/* Around pages, our chunks (64 KiB) and their ends. */
static const off_t sizes[] = { 0,     1,     511,     512,
	                       4095,  4096,  4097,    8192,
	                       65535, 65536, 65537,   131072,
	                       98304, 65552, 1 << 20, (1 << 20) + 1 };

static char byte_at(off_t at)
{
	return (char)('a' + at % 23);
}

static void fill(const char *name, off_t size)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);
	char *buf = malloc((size_t)size + 1);

	NEED(fd);
	need(buf != NULL, "malloc");
	for (off_t i = 0; i < size; i++)
		buf[i] = byte_at(i);
	need(size == 0 || pwrite(fd, buf, (size_t)size, 0) == size, "write");
	free(buf);
	close(fd);
}

/* The first `filled` bytes as fill() made them, then zeros. */
static bool holds(const char *name, off_t size, off_t filled)
{
	int fd = open(name, O_RDONLY);
	char *buf = malloc((size_t)size + 16);
	bool ok;

	NEED(fd);
	need(buf != NULL, "malloc");
	ok = read(fd, buf, (size_t)size + 16) == size;
	for (off_t i = 0; ok && i < size; i++)
		ok = buf[i] == (i < filled ? byte_at(i) : 0);
	free(buf);
	close(fd);
	return ok;
}

static int truncate_by_fd(const char *name, off_t size)
{
	int fd = open(name, O_RDWR), rc = CODE(ftruncate(fd, size));

	close(fd);
	return rc;
}

static void truncations(bool by_fd)
{
	for (size_t f = 0; f < ARRAY_LEN(sizes); f++)
		for (size_t t = 0; t < ARRAY_LEN(sizes); t++) {
			off_t from = sizes[f], to = sizes[t];
			off_t kept = from < to ? from : to;

			if (from + to > 200000 && (f + t) % 3)
				continue;
			fill("x", from);
			row("%struncate %lld to %lld", by_fd ? "f" : "",
			    (long long)from, (long long)to);
			is_code(by_fd ? truncate_by_fd("x", to)
			              : CODE(truncate("x", to)),
			        0);
			is_num(size_of("x"), to);
			is_true(holds("x", to, kept), "its bytes");
			/* What was cut off does not come back. */
			NEED(truncate("x", from + 10));
			is_true(holds("x", from + 10, kept), "zeros behind");
		}
	clear();
}

static int unlimited(off_t size)
{
	return CODE(truncate("x", size));
}

static void bad_sizes(void)
{
	struct rlimit old, low = { .rlim_cur = 100000 };

	make(REG, "x");
	row("truncate to less than nothing");
	is_code(unlimited(-1), EINVAL);
	is_code(unlimited(INT64_MIN), EINVAL);
	row("over RLIMIT_FSIZE");
	NEED(getrlimit(RLIMIT_FSIZE, &old));
	low.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	NEED(setrlimit(RLIMIT_FSIZE, &low));
	is_code(unlimited(100001), EFBIG);
	is_code(unlimited(100000), 0);
	NEED(setrlimit(RLIMIT_FSIZE, &old));
	signal(SIGXFSZ, SIG_DFL);
	EACH_KIND(k)
	{
		static const int want[NKINDS] = {
			[REG] = 0,       [DIRECTORY] = EISDIR, [LNK] = ENOENT,
			[FIFO] = EINVAL, [SOCK] = EINVAL,      [CHR] = EINVAL,
			[BLK] = EINVAL,
		};

		clear();
		make(k, "x");
		row("truncate of a %s", kind_name(k));
		is_code(unlimited(3), want[k]);
	}
	clear();
}

/* ---- descriptors
 * ---------------------------------------------------------------- */

static void directions(void)
{
	char buf[20] = "";
	int r, w;

	make(REG, "x");
	r = open("x", O_RDONLY);
	w = open("x", O_WRONLY);
	row("a descriptor for reading");
	is_code(CODE(write(r, "x", 1)), EBADF);
	is_code(CODE(ftruncate(r, 1)), EINVAL);
	is_code(CODE(fallocate(r, 0, 0, 10)), EBADF);
	is_code(CODE(fsync(r)), 0);
	is_code(CODE(fdatasync(r)), 0);
	is_code(CODE(fchmod(r, 0600)), 0);
	is_code(CODE(futimens(r, NULL)), 0);
	is_num(read(r, buf, 20), 10);
	is_num(read(r, buf, 20), 0);
	row("a descriptor for writing");
	is_code(CODE(read(w, buf, 1)), EBADF);
	is_code(CODE(pread(w, buf, 1, 0)), EBADF);
	is_num(write(w, "ab", 2), 2);
	is_num(write(w, "", 0), 0);
	is_num(pread(r, buf, 20, 0), 10);
	is_true(!memcmp(buf, "ab23456789", 10), "seen by the other");
	row("offsets");
	is_code(CODE(pread(r, buf, 1, -1)), EINVAL);
	is_code(CODE(pwrite(w, buf, 1, -1)), EINVAL);
	is_num(pread(r, buf, 1, 1000), 0);
	is_num(pread(r, buf, 20, 8), 2);
	is_num(lseek(r, 0, SEEK_END), 10);
	is_num(lseek(r, -4, SEEK_CUR), 6);
	is_num(lseek(r, 100, SEEK_SET), 100);
	is_code(CODE(lseek(r, -1, SEEK_SET)), EINVAL);
	is_code(CODE(lseek(r, -11, SEEK_END)), EINVAL);
	is_code(CODE(lseek(r, 0, 99)), EINVAL);
	close(r);
	close(w);
	clear();
}

static void appending(void)
{
	int a = open("x", O_CREAT | O_RDWR | O_APPEND, 0644);
	int b = open("x", O_WRONLY | O_APPEND);
	char buf[20];

	row("two that append");
	is_num(write(a, "one", 3), 3);
	is_num(write(b, "two", 3), 3);
	is_num(write(a, "three", 5), 5);
	is_num(lseek(a, 0, SEEK_CUR), 11);
	is_num(lseek(b, 0, SEEK_CUR), 6);
	/* Linux appends whatever the offset says. */
	is_num(pwrite(a, "x", 1, 0), 1);
	is_num(pread(a, buf, 20, 0), 12);
	is_true(!memcmp(buf, "onetwothreex", 12), "in order");
	row("append after a truncation");
	NEED(ftruncate(a, 2));
	is_num(write(b, "!", 1), 1);
	is_num(pread(a, buf, 20, 0), 3);
	row("append taken away by fcntl");
	NEED(fcntl(b, F_SETFL, 0));
	is_num(pwrite(b, "0", 1, 0), 1);
	is_num(size_of("x"), 3);
	close(a);
	close(b);
	clear();
}

static void vectors(void)
{
	char left[4] = "", right[8] = "";
	struct iovec out[] = { { (char[]){ "abc" }, 3 },
		               { NULL, 0 },
		               { (char[]){ "defgh" }, 5 } };
	struct iovec in[] = { { left, 3 }, { right, 8 } };
	int fd = open("x", O_CREAT | O_RDWR, 0644);

	row("vectors");
	is_num(writev(fd, out, 3), 8);
	is_num(preadv(fd, in, 2, 0), 8);
	is_true(!strcmp(left, "abc") && !memcmp(right, "defgh", 5), "bytes");
	is_num(pwritev(fd, out, 3, 65530), 8);
	is_num(size_of("x"), 65538);
	is_num(preadv(fd, in, 2, 65530), 8);
	is_true(!strcmp(left, "abc") && !memcmp(right, "defgh", 5), "bytes");
	is_code(CODE(preadv(fd, in, 2, -1)), EINVAL);
	close(fd);
	clear();
}

/* Holes of every size around our chunks, then a read of all of it. */
static void holes(void)
{
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		int fd = open("x", O_CREAT | O_TRUNC | O_RDWR, 0644);
		char *buf = calloc(1, (size_t)sizes[i] + 2);
		bool zeros = true;

		need(buf != NULL, "calloc");
		row("one byte behind %lld", (long long)sizes[i]);
		is_num(pwrite(fd, "z", 1, sizes[i]), 1);
		is_num(size_of("x"), sizes[i] + 1);
		is_num(pread(fd, buf, (size_t)sizes[i] + 2, 0), sizes[i] + 1);
		for (off_t at = 0; at < sizes[i]; at++)
			zeros = zeros && !buf[at];
		is_true(zeros && buf[sizes[i]] == 'z', "zeros before it");
		free(buf);
		close(fd);
	}
	clear();
}

static void without_a_name(void)
{
	struct stat st;
	char buf[20] = "";
	int fd, again;

	make(REG, "x");
	fd = open("x", O_RDWR);
	NEED(unlink("x"));
	row("a file that was removed while open");
	is_code(CODE(fstat(fd, &st)), 0);
	is_num(st.st_nlink, 0);
	is_num(st.st_size, 10);
	is_num(pread(fd, buf, 20, 0), 10);
	is_num(pwrite(fd, "abc", 3, 100000), 3);
	is_code(CODE(fsync(fd)), 0);
	is_code(CODE(fchmod(fd, 0640)), 0);
	is_code(CODE(ftruncate(fd, 5)), 0);
	is_code(CODE(fstat(fd, &st)), 0);
	is_num(st.st_size, 5);
	is_num(st.st_mode & 07777, 0640);
	make_file("x", "other");
	is_true(ino_of("x") != st.st_ino, "the new one is another");
	is_num(pread(fd, buf, 20, 0), 5);
	is_true(!memcmp(buf, "01234", 5), "its bytes stay");
	snprintf(buf, sizeof(buf), "/proc/self/fd/%d", fd);
	again = open(buf, O_RDONLY);
	row("opened again by /proc");
	is_true(again >= 0, "opens");
	is_num(pread(again, buf, 20, 0), 5);
	close(again);
	close(fd);
	clear();
}

/* Emptied and written anew under a reader and a map. */
static void truncated_under_readers(void)
{
	char buf[20] = "";
	int r, w;

	make(REG, "x");
	r = open("x", O_RDONLY);
	row("O_TRUNC under a reader");
	is_num(read(r, buf, 4), 4);
	w = open("x", O_WRONLY | O_TRUNC);
	is_true(w >= 0, "opens");
	is_num(read(r, buf, 20), 0);
	is_num(pread(r, buf, 20, 0), 0);
	is_num(write(w, "anew and longer", 15), 15);
	is_num(read(r, buf, 20), 11);
	is_true(!memcmp(buf, " and longer", 11), "the new bytes");
	row("O_TRUNC under a reader, closed by the writer");
	close(w);
	is_num(pread(r, buf, 4, 0), 4);
	is_true(!memcmp(buf, "anew", 4), "the new bytes");
	row("ftruncate under a reader");
	w = open("x", O_RDWR);
	is_code(CODE(ftruncate(w, 3)), 0);
	is_num(pread(r, buf, 20, 0), 3);
	is_code(CODE(ftruncate(w, 5)), 0);
	is_num(pread(r, buf, 20, 0), 5);
	is_true(!memcmp(buf, "ane\0\0", 5), "zeros behind");
	close(w);
	close(r);
	clear();
}

static void copies(void)
{
	int in, out;
	off_t at = 0;

	fill("from", 100000);
	in = open("from", O_RDONLY);
	out = open("to", O_CREAT | O_RDWR, 0644);
	row("sendfile");
	is_num(sendfile(out, in, &at, 100000), 100000);
	is_true(holds("to", 100000, 100000), "its bytes");
	close(in);
	close(out);
	clear();
}

static void direct(void)
{
	int fd = open("x", O_CREAT | O_RDWR | O_DIRECT, 0644);
	char *buf = aligned_alloc(4096, 131072);

	row("O_DIRECT");
	is_true(fd >= 0, "opens");
	need(buf != NULL, "memory");
	memset(buf, 'd', 131072);
	is_num(pwrite(fd, buf, 131072, 0), 131072);
	is_num(size_of("x"), 131072);
	memset(buf, 0, 131072);
	is_num(pread(fd, buf, 131072, 65536), 65536);
	is_true(buf[0] == 'd' && buf[65535] == 'd' && !buf[65536], "bytes");
	free(buf);
	close(fd);
	clear();
}

void group_content(void)
{
	truncations(false);
	truncations(true);
	bad_sizes();
	directions();
	appending();
	vectors();
	holes();
	without_a_name();
	truncated_under_readers();
	copies();
	direct();
}
