/* What is said about a node: stat, access, extended attributes, space. */
#include "tests/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NO_XATTRS "extended attributes are not kept; a copy tool is told so"

/* All ways to ask say the same. */
static void asked(enum kind k)
{
	struct stat l, at, fd_st;
	struct statx x;
	int fd;

	make(k, "x");
	row("stat of a %s", kind_name(k));
	NEED(lstat("x", &l));
	is_code(CODE(fstatat(AT_FDCWD, "x", &at, AT_SYMLINK_NOFOLLOW)), 0);
	fd = open("x", O_PATH | O_NOFOLLOW);
	is_code(CODE(fstat(fd, &fd_st)), 0);
	is_true(l.st_ino == at.st_ino && l.st_ino == fd_st.st_ino, "inode");
	is_true(l.st_dev == at.st_dev && l.st_dev == fd_st.st_dev, "device");
	is_num(l.st_mode & S_IFMT, kind_fmt(k));
	is_code(CODE(statx(AT_FDCWD, "x", AT_SYMLINK_NOFOLLOW,
	                   STATX_BASIC_STATS, &x)),
	        0);
	is_num((int64_t)x.stx_ino, (int64_t)l.st_ino);
	is_num(x.stx_mode, l.st_mode);
	is_num((int64_t)x.stx_size, l.st_size);
	is_num(x.stx_mtime.tv_sec, l.st_mtim.tv_sec);
	is_num(x.stx_mtime.tv_nsec, l.st_mtim.tv_nsec);
	is_num(l.st_size, k == REG         ? 10
	                  : k == LNK       ? 6
	                  : k == DIRECTORY ? l.st_size
	                                   : 0);
	close(fd);
	clear();
}

static void blocks(void)
{
	struct stat st;
	char buf[8192];
	int fd = open("x", O_CREAT | O_RDWR, 0644);

	memset(buf, 'b', sizeof(buf));
	row("blocks of a file");
	NEED(fstat(fd, &st));
	is_num(st.st_blocks, 0);
	is_num(write(fd, buf, sizeof(buf)), sizeof(buf));
	NEED(fsync(fd));
	NEED(fstat(fd, &st));
	is_true(st.st_blocks >= 16, "as many as its bytes take");
	is_true(st.st_blksize >= 512, "a block size");
	close(fd);
	clear();
}

static void access_of(enum kind k)
{
	make(k, "x");
	for (int how = 0; how < 8; how++) {
		int want = 0;

		if (k == LNK)
			want = ENOENT;
		else if (how & X_OK && k != DIRECTORY)
			want = EACCES;
		row("access(%d) of a %s", how, kind_name(k));
		is_code(CODE(access("x", how)), want);
	}
	row("access of a %s, no such mode", kind_name(k));
	is_code(CODE(access("x", 8)), EINVAL);
	clear();
}

static void space(enum kind k)
{
	struct statvfs st;

	make(k, "x");
	if (k == LNK)
		make_file("target", "");
	row("statvfs of a %s", kind_name(k));
	is_code(CODE(statvfs("x", &st)), 0);
	is_num((int64_t)st.f_namemax, 255);
	is_true(st.f_blocks > 0 && st.f_bavail <= st.f_bfree &&
	                st.f_bfree <= st.f_blocks,
	        "blocks");
	is_true(st.f_frsize >= 512 && st.f_bsize >= 512, "sizes");
	is_true(st.f_ffree <= st.f_files, "files");
	clear();
}

/* ---- extended attributes
 * ------------------------------------------------------------- */

static void xattrs(enum kind k)
{
	char buf[256];
	bool user = k == REG || k == DIRECTORY;

	make(k, "x");
	row("xattrs of a %s", kind_name(k));
	is_code(CODE(lgetxattr("x", "user.none", buf, sizeof(buf))), ENODATA);
	is_code(CODE(lgetxattr("x", "", buf, sizeof(buf))), ERANGE);
	is_code(CODE(llistxattr("x", buf, sizeof(buf))), 0);
	is_code(CODE(lsetxattr("x", "user.none", "", 0, 8)), EINVAL);
	if (on_mount()) {
		is_code(CODE(lsetxattr("x", "user.mine", "v", 1, 0)),
		        user ? differs(0, EOPNOTSUPP, NO_XATTRS) : EPERM);
		is_code(CODE(lremovexattr("x", "user.mine")),
		        user ? differs(ENODATA, EOPNOTSUPP, NO_XATTRS) : EPERM);
		is_num(llistxattr("x", buf, sizeof(buf)), 0);
	}
	clear();
}

static void odd_requests(void)
{
	int flags, fd;

	make(REG, "x");
	fd = open("x", O_RDWR);
	row("ioctl that nobody knows");
	is_code(CODE(ioctl(fd, _IO('n', 99))), ENOTTY);
	if (on_mount()) {
		is_code(CODE(ioctl(fd, FS_IOC_GETFLAGS, &flags)),
		        differs(0, ENOTTY,
		                "no ext4 flags (chattr) on the service"));
	}
	row("advice");
	is_num(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	is_num(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL), 0);
	is_code(CODE(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE)), 0);
	is_code(CODE(syncfs(fd)), 0);
	is_code(CODE(readahead(fd, 0, 10)), 0);
	close(fd);
	clear();
}

void group_attrs(void)
{
	EACH_KIND(k)
	{
		asked(k);
		access_of(k);
		space(k);
		xattrs(k);
	}
	blocks();
	odd_requests();
}
