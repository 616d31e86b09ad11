#include "fs/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "net/clock.h"
#include "net/fdio.h"

#define TEMPORARY ".nmbackupfs-"

/* A name from the drive must stay in its directory. */
static bool is_safe(const char *name)
{
	return name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

static int fail(int rc)
{
	return rc < 0 ? -errno : 0;
}

static bool is_root(void)
{
	return geteuid() == 0;
}

static bool has_owner(const struct restore_item *it)
{
	return is_root() && (it->uid != RESTORE_NOBODY || it->gid != (gid_t)-1);
}

/* ---- what is there already ----------------------------------------------- */

static bool same_target(int parent, const struct restore_item *it)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(parent, it->name, target, sizeof(target));

	return n >= 0 && it->target && (size_t)n == strlen(it->target) &&
	       !memcmp(target, it->target, (size_t)n);
}

static bool is_same(int parent, const struct restore_item *it,
                    const struct stat *st)
{
	if ((st->st_mode & S_IFMT) != (it->mode & S_IFMT))
		return false;
	if (S_ISLNK(it->mode))
		return same_target(parent, it);
	if (S_ISCHR(it->mode) || S_ISBLK(it->mode))
		return st->st_rdev == it->rdev;
	if (!S_ISREG(it->mode))
		return true;
	return (uint64_t)st->st_size == it->size &&
	       clock_timespec_to_ns(st->st_mtim) == it->mtime;
}

/* 0: the way is free. */
static int look(int parent, const struct restore_item *it)
{
	struct stat st;

	if (!is_safe(it->name))
		return -EINVAL;
	if (fstatat(parent, it->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	return is_same(parent, it, &st) ? -EALREADY : -EEXIST;
}

/* ---- attributes ---------------------------------------------------------- */

static void make_times(const struct restore_item *it, struct timespec ts[2])
{
	int64_t s = it->mtime / 1000000000, ns = it->mtime % 1000000000;

	if (ns < 0) {
		ns += 1000000000;
		s--;
	}
	ts[0] = (struct timespec){ .tv_nsec = UTIME_OMIT };
	ts[1] = (struct timespec){ .tv_sec = (time_t)s, .tv_nsec = (long)ns };
}

/* The owner first: a change of it takes set-user-id away. */
static int set_attributes(int fd, const struct restore_item *it)
{
	struct timespec ts[2];
	int rc = 0;

	if (has_owner(it))
		rc = fail(fchown(fd, it->uid, it->gid));
	if (rc == 0)
		rc = fail(fchmod(fd, it->mode & 07777));
	if (rc == 0 && !S_ISDIR(it->mode)) {
		make_times(it, ts);
		rc = fail(futimens(fd, ts));
	}
	return rc;
}

/* ---- directories --------------------------------------------------------- */

int restore_enter(int parent, const struct restore_item *it, int *out_fd)
{
	int fd;

	if (!is_safe(it->name))
		return -EINVAL;
	if (mkdirat(parent, it->name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(parent, it->name,
	            O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOTDIR || errno == ELOOP ? -EEXIST : -errno;
	/* One that an earlier run has left may be read-only. */
	fchmod(fd, (it->mode & 07777) | 0700);
	*out_fd = fd;
	return 0;
}

int restore_leave(int fd, const struct restore_item *it)
{
	int rc = set_attributes(fd, it);

	close(fd);
	return rc;
}

/* ---- without content ----------------------------------------------------- */

int restore_node(int parent, const struct restore_item *it)
{
	struct timespec ts[2];
	int rc = look(parent, it);

	if (rc < 0)
		return rc;
	if (S_ISLNK(it->mode))
		rc = fail(symlinkat(it->target, parent, it->name));
	else
		rc = fail(mknodat(parent, it->name, it->mode, it->rdev));
	if (rc == 0 && has_owner(it))
		rc = fail(fchownat(parent, it->name, it->uid, it->gid,
		                   AT_SYMLINK_NOFOLLOW));
	/* It was made just now, and is no link. */
	if (rc == 0 && !S_ISLNK(it->mode))
		rc = fail(fchmodat(parent, it->name, it->mode & 07777, 0));
	make_times(it, ts);
	if (rc == 0)
		rc = fail(utimensat(parent, it->name, ts, AT_SYMLINK_NOFOLLOW));
	return rc;
}

/* ---- regular files ------------------------------------------------------- */

int restore_begin(int parent, const struct restore_item *it,
                  struct restore_file *out)
{
	uint8_t random[8];
	char hex[sizeof(random) * 2 + 1];
	int rc = look(parent, it);

	if (rc < 0)
		return rc;
	randombytes_buf(random, sizeof(random));
	sodium_bin2hex(hex, sizeof(hex), random, sizeof(random));
	out->parent = parent;
	snprintf(out->temporary, sizeof(out->temporary), TEMPORARY "%s", hex);
	out->fd = openat(parent, out->temporary,
	                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	                 0600);
	return out->fd < 0 ? -errno : 0;
}

int restore_write(void *file, const void *data, size_t len)
{
	struct restore_file *f = file;

	return fdio_write_all(f->fd, data, len);
}

/* Not every file system can rename without replacing. */
static int move_there(const struct restore_file *f, const char *name)
{
	if (renameat2(f->parent, f->temporary, f->parent, name,
	              RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (linkat(f->parent, f->temporary, f->parent, name, 0) < 0)
		return -errno;
	unlinkat(f->parent, f->temporary, 0);
	return 0;
}

int restore_end(struct restore_file *f, const struct restore_item *it, int rc)
{
	if (rc == 0)
		rc = set_attributes(f->fd, it);
	if (close(f->fd) < 0 && rc == 0)
		rc = -errno;
	if (rc == 0)
		rc = move_there(f, it->name);
	if (rc < 0)
		unlinkat(f->parent, f->temporary, 0);
	return rc;
}
