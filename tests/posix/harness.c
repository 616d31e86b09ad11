#include "tests/posix/posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tests/posix/harness.h"

#define MAX_REASONS 64

static struct {
	bool mount;
	const char *group;
	char row[400];
	long passed, failed;
	struct {
		const char *why;
		long rows;
	} reasons[MAX_REASONS];
} state;

/* ---- judging
 * ----------------------------------------------------------------- */

void harness_init(bool mount)
{
	state.mount = mount;
}

void harness_group(const char *name, void (*group)(void))
{
	struct timespec from, to;
	long before = state.passed + state.failed;
	char dir[64];

	snprintf(dir, sizeof(dir), "%s", name);
	state.group = name;
	NEED(mkdir(dir, 0755));
	NEED(chdir(dir));
	clock_gettime(CLOCK_MONOTONIC, &from);
	group();
	clock_gettime(CLOCK_MONOTONIC, &to);
	clear();
	NEED(chdir(".."));
	NEED(rmdir(dir));
	printf("%-8s %5ld rows %5ld ms\n", name,
	       state.passed + state.failed - before,
	       (to.tv_sec - from.tv_sec) * 1000 +
	               (to.tv_nsec - from.tv_nsec) / 1000000);
}

int harness_report(void)
{
	for (int i = 0; state.reasons[i].why; i++)
		printf("differs by design, %ld rows: %s\n",
		       state.reasons[i].rows, state.reasons[i].why);
	printf("%ld passed, %ld failed\n", state.passed, state.failed);
	return state.failed || !state.passed;
}

void row(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(state.row, sizeof(state.row), fmt, ap);
	va_end(ap);
}

static void count(bool ok)
{
	if (ok)
		state.passed++;
	else
		state.failed++;
}

void is_code(int got, int want)
{
	count(got == want);
	if (got != want)
		printf("FAIL %s: %s: %s, should be %s\n", state.group,
		       state.row, got ? strerrorname_np(got) : "0",
		       want ? strerrorname_np(want) : "0");
}

void is_num(int64_t got, int64_t want)
{
	count(got == want);
	if (got != want)
		printf("FAIL %s: %s: %lld, should be %lld\n", state.group,
		       state.row, (long long)got, (long long)want);
}

void is_true(bool cond, const char *what)
{
	count(cond);
	if (!cond)
		printf("FAIL %s: %s: not true: %s\n", state.group, state.row,
		       what);
}

bool on_mount(void)
{
	return state.mount;
}

int differs(int reference, int ours, const char *why)
{
	int i = 0;

	if (!state.mount)
		return reference;
	/* The last one stays free, for harness_report(). */
	while (i < MAX_REASONS - 1 && state.reasons[i].why &&
	       strcmp(state.reasons[i].why, why))
		i++;
	need(i < MAX_REASONS - 1, "MAX_REASONS");
	state.reasons[i].why = why;
	state.reasons[i].rows++;
	return ours;
}

void need(bool cond, const char *what)
{
	if (cond)
		return;
	printf("FAIL %s: %s: can't go on without %s: %s\n",
	       state.group ? state.group : "", state.row, what,
	       strerror(errno));
	exit(2);
}

/* ---- nodes
 * -------------------------------------------------------------------
 */

static const struct {
	const char *name;
	mode_t fmt;
} kinds[NKINDS] = {
	[REG] = { "file", S_IFREG },
	[DIRECTORY] = { "directory", S_IFDIR },
	[LNK] = { "link", S_IFLNK },
	[FIFO] = { "fifo", S_IFIFO },
	[SOCK] = { "socket", S_IFSOCK },
	[CHR] = { "char device", S_IFCHR },
	[BLK] = { "block device", S_IFBLK },
};

const char *kind_name(enum kind k)
{
	return kinds[k].name;
}

mode_t kind_fmt(enum kind k)
{
	return kinds[k].fmt;
}

bool can_make(enum kind k)
{
	return is_root() || (k != CHR && k != BLK);
}

void make_file(const char *name, const char *text)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);
	size_t len = strlen(text);

	NEED(fd);
	need(write(fd, text, len) == (ssize_t)len, "write");
	NEED(close(fd));
}

void make_dir(const char *name)
{
	NEED(mkdir(name, 0755));
}

void make_full_dir(const char *name)
{
	char child[300];

	make_dir(name);
	snprintf(child, sizeof(child), "%s/child", name);
	make_file(child, "child");
}

static void make_socket(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	NEED(fd);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", name);
	NEED(bind(fd, (struct sockaddr *)&at, sizeof(at)));
	NEED(close(fd));
	NEED(chmod(name, 0644));
}

void make(enum kind k, const char *name)
{
	switch (k) {
	case REG:
		make_file(name, "0123456789");
		break;
	case DIRECTORY:
		make_dir(name);
		break;
	case LNK:
		NEED(symlink("target", name));
		break;
	case FIFO:
		NEED(mkfifo(name, 0644));
		break;
	case SOCK:
		make_socket(name);
		break;
	case CHR:
	case BLK: /* null, and a number that no driver has */
		NEED(mknod(name, kind_fmt(k) | 0644,
		           k == CHR ? makedev(1, 3) : makedev(252, 77)));
		break;
	case NKINDS:
		break;
	}
}

static void remove_below(int dirfd)
{
	DIR *d = fdopendir(dirfd);
	struct dirent *e;

	need(d, "fdopendir");
	rewinddir(d);
	while ((e = readdir(d))) {
		int fd;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (unlinkat(dirfd, e->d_name, 0) == 0)
			continue;
		fd = openat(dirfd, e->d_name,
		            O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
		if (fd < 0) { /* not root, and closed */
			NEED(fchmodat(dirfd, e->d_name, 0700, 0));
			fd = openat(dirfd, e->d_name,
			            O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
		}
		NEED(fd);
		NEED(fchmod(fd, 0700));
		remove_below(fd);
		NEED(unlinkat(dirfd, e->d_name, AT_REMOVEDIR));
	}
	closedir(d);
}

void clear(void)
{
	int fd = open(".", O_RDONLY | O_DIRECTORY);

	NEED(fd);
	remove_below(fd);
}

ino_t ino_of(const char *name)
{
	struct stat st;

	return lstat(name, &st) == 0 ? st.st_ino : 0;
}

off_t size_of(const char *name)
{
	struct stat st;

	return lstat(name, &st) == 0 ? st.st_size : -1;
}

mode_t perm_of(const char *name)
{
	struct stat st;

	NEED(lstat(name, &st));
	return st.st_mode & 07777;
}

int make_open(const char *path, int flags, mode_t mode)
{
	int fd = open(path, flags, mode);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

/* ---- somebody else
 * ----------------------------------------------------------- */

static const struct {
	const char *name;
	uid_t uid;
	gid_t gid;
	gid_t other_group; /* 0: none */
} people[NWHO] = {
	[ROOT] = { "root", 0, 0, 0 },
	[OWNER] = { "owner", 60001, 60001, 0 },
	[MEMBER] = { "member", 60002, 60001, 0 },
	[MATE] = { "mate", 60003, 60003, 60001 },
	[STRANGER] = { "stranger", 60004, 60004, 0 },
};

uid_t uid_of(enum who w)
{
	return people[w].uid;
}

gid_t gid_of(enum who w)
{
	return people[w].gid;
}

const char *who_name(enum who w)
{
	return people[w].name;
}

bool is_root(void)
{
	return getuid() == 0;
}

void become(enum who w)
{
	NEED(seteuid(0));
	NEED(setgroups(people[w].other_group ? 1 : 0, &people[w].other_group));
	NEED(setegid(people[w].gid));
	NEED(seteuid(people[w].uid));
}

/* ---- time
 * --------------------------------------------------------------------
 */

void tick(void)
{
	struct timespec from, now;

	clock_gettime(CLOCK_REALTIME, &from);
	do {
		nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
	} while (now.tv_sec < from.tv_sec ||
	         (now.tv_sec == from.tv_sec && now.tv_nsec <= from.tv_nsec));
}
