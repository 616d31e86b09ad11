/* What processes share: maps, locks. */
#include "tests/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

/* In a child, whose exit status it is. */
static int in_child(int (*run)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	NEED(pid);
	if (pid == 0)
		_exit(run());
	NEED(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

/* ---- maps
 * ----------------------------------------------------------------------- */

static void *map_of(int fd, size_t len, int prot, int flags)
{
	return mmap(NULL, len, prot, flags, fd, 0);
}

static void maps(void)
{
	char *shared, *private, buf[12] = "";
	int fd;

	make(REG, "x");
	fd = open("x", O_RDWR);
	shared = map_of(fd, 10, PROT_READ | PROT_WRITE, MAP_SHARED);
	private = map_of(fd, 10, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	row("maps of a file");
	is_true(shared != MAP_FAILED && private != MAP_FAILED, "both map");
	is_true(!memcmp(shared, "0123456789", 10), "its bytes");
	is_true(shared[10] == 0 && shared[PAGE - 1] == 0, "zeros behind");
	row("a write seen by a map");
	is_num(pwrite(fd, "ab", 2, 0), 2);
	is_true(!memcmp(shared, "ab23", 4), "seen");
	row("a store seen by a read");
	memcpy(shared + 4, "cd", 2);
	is_num(pread(fd, buf, 10, 0), 10);
	is_true(!memcmp(buf, "ab23cd6789", 10), "seen");
	row("a private store");
	private[0] = 'P';
	is_num(pread(fd, buf, 10, 0), 10);
	is_true(buf[0] == 'a' && shared[0] == 'a', "not seen");
	row("a store behind the end");
	shared[20] = 'z';
	is_code(CODE(msync(shared, 10, MS_SYNC)), 0);
	NEED(ftruncate(fd, 30));
	is_num(pread(fd, buf, 10, 18), 10);
	is_true(buf[2] == 0, "not in the file");
	close(fd);
	row("a store after the close");
	memcpy(shared + 6, "ef", 2);
	NEED(munmap(shared, 10));
	munmap(private, 10);
	fd = open("x", O_RDONLY);
	is_num(pread(fd, buf, 10, 0), 10);
	is_true(!memcmp(buf, "ab23cdef89", 10), "in the file");
	close(fd);
	clear();
}

static int map_code(int fd, int prot, int flags)
{
	void *p = map_of(fd, 10, prot, flags);

	if (p == MAP_FAILED)
		return errno;
	munmap(p, 10);
	return 0;
}

static void maps_refused(void)
{
	int r, w, dir;

	make(REG, "x");
	r = open("x", O_RDONLY);
	w = open("x", O_WRONLY);
	dir = open(".", O_RDONLY);
	row("maps and descriptors");
	is_code(map_code(r, PROT_READ | PROT_WRITE, MAP_SHARED), EACCES);
	is_code(map_code(w, PROT_READ, MAP_SHARED), EACCES);
	is_code(map_code(r, PROT_READ, MAP_SHARED), 0);
	is_code(map_code(r, PROT_READ | PROT_WRITE, MAP_PRIVATE), 0);
	is_code(map_code(dir, PROT_READ, MAP_PRIVATE), ENODEV);
	close(r);
	close(w);
	close(dir);
	clear();
}

static sigjmp_buf escape;

static void on_bus(int sig)
{
	(void)sig;
	siglongjmp(escape, 1);
}

static int touch_behind(void)
{
	int fd = open("x", O_RDWR);
	volatile char *p = map_of(fd, (size_t)3 * PAGE, PROT_READ | PROT_WRITE,
	                          MAP_SHARED);

	signal(SIGBUS, on_bus);
	if (sigsetjmp(escape, 1))
		return 42;
	p[2 * PAGE] = 1;
	return 0;
}

static int touch_truncated(void)
{
	int fd = open("x", O_RDWR);
	volatile char *p;

	if (ftruncate(fd, (off_t)3 * PAGE) < 0)
		return 1;
	p = map_of(fd, (size_t)3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	p[2 * PAGE] = 1;
	if (ftruncate(fd, PAGE) < 0)
		return 1;
	signal(SIGBUS, on_bus);
	if (sigsetjmp(escape, 1))
		return 42;
	p[2 * PAGE] = 1;
	return 0;
}

static void maps_behind_the_end(void)
{
	make(REG, "x");
	row("a map behind the end");
	is_num(in_child(touch_behind), 42);
	row("a map of what was cut off");
	is_num(in_child(touch_truncated), 42);
	is_num(size_of("x"), PAGE);
	clear();
}

/* ---- flock
 * -------------------------------------------------------------------- */

static void whole_locks(void)
{
	/* Held, asked for, by another opening: granted? */
	static const struct {
		int held, asked, want;
	} rows[] = {
		{ LOCK_SH, LOCK_SH, 0 },      { LOCK_SH, LOCK_EX, EAGAIN },
		{ LOCK_EX, LOCK_SH, EAGAIN }, { LOCK_EX, LOCK_EX, EAGAIN },
		{ LOCK_UN, LOCK_EX, 0 },      { LOCK_UN, LOCK_SH, 0 },
	};

	EACH_KIND(k)
	{
		if (k != REG && k != DIRECTORY && k != FIFO)
			continue;
		make(k, "x");
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			int how = k == FIFO ? O_RDWR : O_RDONLY;
			int a = open("x", how), b = open("x", how);
			int c = dup(a);

			row("flock of a %s, %d asked over %d", kind_name(k),
			    rows[i].asked, rows[i].held);
			is_code(CODE(flock(a, rows[i].held)), 0);
			is_code(CODE(flock(b, rows[i].asked | LOCK_NB)),
			        rows[i].want);
			is_code(CODE(flock(b, LOCK_UN)), 0);
			is_code(CODE(flock(c, LOCK_EX | LOCK_NB)), 0);
			close(a);
			is_code(CODE(flock(b, LOCK_EX | LOCK_NB)), EAGAIN);
			close(c);
			is_code(CODE(flock(b, LOCK_EX | LOCK_NB)), 0);
			close(b);
		}
		clear();
	}
}

/* ---- fcntl
 * -------------------------------------------------------------------- */

static struct flock range_of(short type, off_t from, off_t len)
{
	return (struct flock){ .l_type = type, .l_start = from, .l_len = len };
}

static struct {
	short type;
	off_t from, len;
	int how;
} asked;

/* What another process gets. */
static int ask(void)
{
	struct flock l = range_of(asked.type, asked.from, asked.len);
	int fd = open("x", O_RDWR);

	return CODE(fcntl(fd, asked.how, &l));
}

static void range_locks(int set)
{
	static const struct {
		short held;
		off_t from, len;
		short asked;
		off_t asked_from, asked_len;
		int want;
	} rows[] = {
		{ F_WRLCK, 0, 0, F_WRLCK, 0, 0, EAGAIN },
		{ F_WRLCK, 0, 0, F_RDLCK, 5, 1, EAGAIN },
		{ F_RDLCK, 0, 0, F_RDLCK, 0, 0, 0 },
		{ F_RDLCK, 0, 0, F_WRLCK, 0, 0, EAGAIN },
		{ F_WRLCK, 0, 10, F_WRLCK, 10, 10, 0 },
		{ F_WRLCK, 0, 10, F_WRLCK, 9, 1, EAGAIN },
		{ F_WRLCK, 10, 0, F_WRLCK, 0, 10, 0 },
		{ F_WRLCK, 10, 0, F_WRLCK, 1000000, 1, EAGAIN },
		{ F_UNLCK, 0, 0, F_WRLCK, 0, 0, 0 },
	};

	make(REG, "x");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct flock l =
			range_of(rows[i].held, rows[i].from, rows[i].len);
		int fd = open("x", O_RDWR);

		asked.type = rows[i].asked;
		asked.from = rows[i].asked_from;
		asked.len = rows[i].asked_len;
		asked.how = F_SETLK;
		row("%s lock %zu", set == F_SETLK ? "fcntl" : "open file", i);
		is_code(CODE(fcntl(fd, set, &l)), 0);
		is_code(in_child(ask), rows[i].want);
		close(fd);
		row("%s lock %zu, closed",
		    set == F_SETLK ? "fcntl" : "open file", i);
		is_code(in_child(ask), 0);
	}
	clear();
}

static void asking_for_locks(void)
{
	struct flock l = range_of(F_WRLCK, 3, 4);
	int r, fd;

	make(REG, "x");
	fd = open("x", O_RDWR);
	r = open("x", O_RDONLY);
	row("fcntl, odd requests");
	is_code(CODE(fcntl(r, F_SETLK, &l)), EBADF);
	l = range_of(F_RDLCK, -1, 4);
	is_code(CODE(fcntl(fd, F_SETLK, &l)), EINVAL);
	l = range_of(99, 0, 4);
	is_code(CODE(fcntl(fd, F_SETLK, &l)), EINVAL);
	row("F_GETLK where nothing is");
	l = range_of(F_WRLCK, 0, 0);
	is_code(CODE(fcntl(fd, F_GETLK, &l)), 0);
	is_num(l.l_type, F_UNLCK);
	row("a lock goes when any descriptor of the process is closed");
	l = range_of(F_WRLCK, 0, 0);
	is_code(CODE(fcntl(fd, F_SETLK, &l)), 0);
	asked.type = F_WRLCK;
	asked.from = asked.len = 0;
	asked.how = F_SETLK;
	is_code(in_child(ask), EAGAIN);
	close(r);
	is_code(in_child(ask), 0);
	close(fd);
	clear();
}

void group_shared(void)
{
	maps();
	maps_refused();
	maps_behind_the_end();
	whole_locks();
	range_locks(F_SETLK);
	range_locks(F_OFD_SETLK);
	asking_for_locks();
}
