/* LD_PRELOAD: calls of one process that fail, below one directory.
 *
 * NMB_INJECT names a file that kit/inject.py maps too: what is armed can change
 * while the process runs, and what was hit is counted. Only calls that change
 * or read files whose path begins with `prefix` are counted; the lock never. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum what {
	MAKE = 1, /* open that may create, mkdir */
	OPEN = 2, /* any other open */
	READ = 4,
	WRITE = 8, /* bytes or size */
	SYNC = 16,
	NAME = 32, /* rename, unlink */
};

/* As struct.pack("IiIIII") has it, then the texts. */
struct control {
	uint32_t armed; /* enum what */
	int32_t error;  /* < 0: the process dies there */
	uint32_t skip;  /* so many of them work first */
	uint32_t times; /* then so many fail */
	atomic_uint count;
	atomic_uint fired;
	char prefix[256];
	char part[64]; /* must be in the path, too */
};

static struct control *control;

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("NMB_INJECT");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p;

	if (fd < 0)
		return;
	p = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	         0);
	close(fd);
	if (p != MAP_FAILED)
		control = p;
}

static int hits_path(enum what what, const char *path)
{
	unsigned n;

	if (!control || !(control->armed & what) ||
	    strncmp(path, control->prefix, strlen(control->prefix)) != 0 ||
	    !strstr(path, control->part) || strstr(path, "/lock"))
		return 0;
	n = atomic_fetch_add(&control->count, 1);
	if (n < control->skip || n - control->skip >= control->times)
		return 0;
	atomic_fetch_add(&control->fired, 1);
	if (control->error < 0)
		kill(getpid(), SIGKILL);
	errno = control->error;
	return 1;
}

static int hits_fd(enum what what, int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t n;

	if (!control || !(control->armed & what))
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return 0;
	path[n] = '\0';
	return hits_path(what, path);
}

static int hits_at(enum what what, int dirfd, const char *name)
{
	char link[64], path[PATH_MAX];
	ssize_t n = 0;

	if (!control || !(control->armed & what))
		return 0;
	if (name[0] != '/' && dirfd != AT_FDCWD) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
		n = readlink(link, path, sizeof(path) - 1);
		if (n < 0)
			return 0;
		path[n++] = '/';
	}
	snprintf(path + n, sizeof(path) - (size_t)n, "%s", name);
	return hits_path(what, path);
}

/* NOLINTBEGIN(bugprone-macro-parentheses): names and types */
#define REAL(name)                                                             \
	static __typeof__(&name) real;                                         \
	if (!real)                                                             \
	real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define ON_FD(type, name, what, fd, params, args)                              \
	type name params                                                       \
	{                                                                      \
		REAL(name);                                                    \
		if (hits_fd(what, fd))                                         \
			return -1;                                             \
		return real args;                                              \
	}

ON_FD(ssize_t, read, READ, fd, (int fd, void *b, size_t n), (fd, b, n))
ON_FD(ssize_t, pread, READ, fd, (int fd, void *b, size_t n, off_t o),
      (fd, b, n, o))
ON_FD(ssize_t, pread64, READ, fd, (int fd, void *b, size_t n, off64_t o),
      (fd, b, n, o))
ON_FD(ssize_t, write, WRITE, fd, (int fd, const void *b, size_t n), (fd, b, n))
ON_FD(ssize_t, pwrite, WRITE, fd, (int fd, const void *b, size_t n, off_t o),
      (fd, b, n, o))
ON_FD(ssize_t, pwrite64, WRITE, fd,
      (int fd, const void *b, size_t n, off64_t o), (fd, b, n, o))
ON_FD(int, ftruncate, WRITE, fd, (int fd, off_t n), (fd, n))
ON_FD(int, ftruncate64, WRITE, fd, (int fd, off64_t n), (fd, n))
ON_FD(int, fallocate, WRITE, fd, (int fd, int m, off_t o, off_t n),
      (fd, m, o, n))
ON_FD(int, fallocate64, WRITE, fd, (int fd, int m, off64_t o, off64_t n),
      (fd, m, o, n))
ON_FD(int, fsync, SYNC, fd, (int fd), (fd))
ON_FD(int, fdatasync, SYNC, fd, (int fd), (fd))
ON_FD(int, syncfs, SYNC, fd, (int fd), (fd))

ssize_t splice(int in, off64_t *oin, int out, off64_t *oout, size_t n,
               unsigned flags)
{
	REAL(splice);
	if (hits_fd(WRITE, out) || hits_fd(READ, in))
		return -1;
	return real(in, oin, out, oout, n, flags);
}

#define ON_OPEN(name)                                                          \
	int name(const char *path, int flags, ...)                             \
	{                                                                      \
		mode_t mode;                                                   \
		va_list a;                                                     \
		REAL(name);                                                    \
		va_start(a, flags);                                            \
		mode = va_arg(a, mode_t);                                      \
		va_end(a);                                                     \
		if (hits_at(flags & O_CREAT ? MAKE : OPEN, AT_FDCWD, path))    \
			return -1;                                             \
		return real(path, flags, mode);                                \
	}
#define ON_OPENAT(name)                                                        \
	int name(int dirfd, const char *path, int flags, ...)                  \
	{                                                                      \
		mode_t mode;                                                   \
		va_list a;                                                     \
		REAL(name);                                                    \
		va_start(a, flags);                                            \
		mode = va_arg(a, mode_t);                                      \
		va_end(a);                                                     \
		if (hits_at(flags & O_CREAT ? MAKE : OPEN, dirfd, path))       \
			return -1;                                             \
		return real(dirfd, path, flags, mode);                         \
	}

ON_OPEN(open)
ON_OPEN(open64)
ON_OPENAT(openat)
ON_OPENAT(openat64)

/* NOLINTEND(bugprone-macro-parentheses) */

int mkdirat(int dirfd, const char *path, mode_t mode)
{
	REAL(mkdirat);
	if (hits_at(MAKE, dirfd, path))
		return -1;
	return real(dirfd, path, mode);
}

int unlinkat(int dirfd, const char *path, int flags)
{
	REAL(unlinkat);
	if (hits_at(NAME, dirfd, path))
		return -1;
	return real(dirfd, path, flags);
}

int rename(const char *from, const char *to)
{
	REAL(rename);
	if (hits_at(NAME, AT_FDCWD, from))
		return -1;
	return real(from, to);
}

int renameat2(int d1, const char *from, int d2, const char *to, unsigned flags)
{
	REAL(renameat2);
	if (hits_at(NAME, d1, from))
		return -1;
	return real(d1, from, d2, to, flags);
}
