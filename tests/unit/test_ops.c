#include "fs/ops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fs/content.h"
#include "net/clock.h"
#include "net/log.h"
#include "tests/unit/check.h"
#include "tests/unit/ops_fixture.h"

#define MOUNT(deadline_ms)                                                     \
	do {                                                                   \
		if (!rig_mount(deadline_ms))                                   \
			SKIP("no /dev/fuse");                                  \
	} while (0)

/* -errno, or the number of bytes. */
static ssize_t slurp(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	buf[0] = '\0';
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0)
		n = -errno;
	else
		buf[n] = '\0';
	close(fd);
	return n;
}

static int spill(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	return close(fd) < 0 ? -errno : rc;
}

/* ---- reads that need the service
 * --------------------------------------------------- */

static void test_read_brings_what_is_absent(void)
{
	char buf[64];

	MOUNT(5000);
	rig_add_remote("f", 5);
	rig.remote = "hello";
	CHECK_EQ(slurp(at("f"), buf, sizeof(buf)), 5);
	CHECK_STR(buf, "hello");
	CHECK_EQ(atomic_load(&rig.fetches), 1);
	CHECK_EQ(slurp(at("f"), buf, sizeof(buf)), 5);
	CHECK_EQ(atomic_load(&rig.fetches), 1);
	CHECK_EQ(atomic_load(&rig.hydrations), 0);
	rig_unmount();
}

static void test_open_for_writing_hydrates(void)
{
	char buf[64];
	int fd;

	MOUNT(5000);
	rig_add_remote("f", 5);
	rig.remote = "hello";
	fd = open(at("f"), O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_EQ(atomic_load(&rig.hydrations), 1);
	CHECK_EQ(pwrite(fd, "J", 1, 0), 1);
	CHECK_EQ(close(fd), 0);
	CHECK_EQ(slurp(at("f"), buf, sizeof(buf)), 5);
	CHECK_STR(buf, "Jello");
	rig_unmount();
}

static void test_read_ends_at_the_deadline(void)
{
	char buf[64];
	int64_t from;

	MOUNT(200);
	rig_add_remote("f", 5);
	rig.remote = "hello";
	atomic_store(&rig.stuck, true);
	from = clock_mono_ms();
	CHECK_EQ(slurp(at("f"), buf, sizeof(buf)), -EIO);
	CHECK(clock_mono_ms() - from >= 150);
	atomic_store(&rig.stuck, false);
	CHECK_EQ(slurp(at("f"), buf, sizeof(buf)), 5);
	rig_unmount();
}

static pid_t start_reader(const char *path)
{
	pid_t pid = rig_fork();

	if (pid == 0) {
		char buf[16];
		ssize_t n = slurp(path, buf, sizeof(buf));

		_exit(n < 0 ? (int)-n : 0);
	}
	return pid;
}

static int wait_status(pid_t pid)
{
	int status = 0;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_stuck_readers_block_nobody(void)
{
	enum { READERS = 100 };
	pid_t pids[READERS];
	struct statvfs vfs;
	struct stat st;
	char name[16], buf[64];
	int64_t from;

	MOUNT(60000);
	CHECK_EQ(spill(at("local"), "here"), 0);
	atomic_store(&rig.stuck, true);
	for (int i = 0; i < READERS; i++) {
		snprintf(name, sizeof(name), "r%d", i);
		rig_add_remote(name, 5);
		pids[i] = start_reader(at(name));
	}
	CHECK(rig_wait(&rig.fetches, READERS));

	from = clock_mono_ms();
	CHECK_EQ(stat(at("local"), &st), 0);
	CHECK_EQ(slurp(at("local"), buf, sizeof(buf)), 4);
	CHECK_EQ(spill(at("copy"), buf), 0);
	CHECK_EQ(statvfs(rig.mnt, &vfs), 0);
	CHECK_EQ(unlink(at("copy")), 0);
	CHECK_EQ(stat(at("r7"), &st), 0);
	CHECK(clock_mono_ms() - from < 1000);

	/* each dies of Ctrl-C */
	for (int i = 0; i < READERS; i++)
		kill(pids[i], SIGINT);
	for (int i = 0; i < READERS; i++) {
		int status = wait_status(pids[i]);

		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
	}
	CHECK(clock_mono_ms() - from < 5000);
	rig_unmount();
}

static void handle(int sig)
{
	(void)sig;
}

/* A timer signal does not make a read fail. */
static void test_handled_signal_does_not_end_a_read(void)
{
	pid_t pid;
	int status;

	MOUNT(60000);
	rig_add_remote("f", 5);
	rig.remote = "hello";
	atomic_store(&rig.stuck, true);
	signal(SIGUSR1, handle);
	pid = start_reader(at("f"));
	signal(SIGUSR1, SIG_DFL);
	CHECK(rig_wait(&rig.fetches, 1));
	kill(pid, SIGUSR1);
	usleep(50000);
	CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
	atomic_store(&rig.stuck, false);
	status = wait_status(pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);

	/* and after one, a fatal one still works */
	rig_add_remote("g", 5);
	atomic_store(&rig.stuck, true);
	signal(SIGUSR1, handle);
	pid = start_reader(at("g"));
	signal(SIGUSR1, SIG_DFL);
	CHECK(rig_wait(&rig.fetches, 2));
	kill(pid, SIGUSR1);
	kill(pid, SIGKILL);
	CHECK(WIFSIGNALED(wait_status(pid)));
	rig_unmount();
}

static void test_unmount_with_stuck_readers(void)
{
	int64_t from;
	pid_t pid;

	MOUNT(60000);
	rig_add_remote("f", 5);
	atomic_store(&rig.stuck, true);
	pid = start_reader(at("f"));
	CHECK(rig_wait(&rig.fetches, 1));
	from = clock_mono_ms();
	rig_unmount();
	CHECK(clock_mono_ms() - from < 5000);
	CHECK(WIFEXITED(wait_status(pid)));
}

/* ---- folders not listed yet
 * ----------------------------------------------------------- */

static void test_folder_is_listed_on_first_look(void)
{
	struct stat st;

	MOUNT(300);
	CHECK_EQ(mkdir(at("d"), 0755), 0);
	CHECK_EQ(stat(at("d"), &st), 0);
	rig_set_flags(st.st_ino, NODE_UNLISTED, 0);

	atomic_store(&rig.list_rc, -EIO);
	CHECK(stat(at("d/x"), &st) < 0 && errno == EIO);
	CHECK(rmdir(at("d")) < 0 && errno == EIO);
	CHECK_EQ(atomic_load(&rig.lists), 2);
	atomic_store(&rig.stuck, true);
	CHECK(stat(at("d/x"), &st) < 0 && errno == EIO);
	atomic_store(&rig.stuck, false);
	atomic_store(&rig.list_rc, 0);
	CHECK(stat(at("d/x"), &st) < 0 && errno == ENOENT);
	CHECK_EQ(atomic_load(&rig.lists), 4);
	CHECK(stat(at("d/y"), &st) < 0 && errno == ENOENT);
	CHECK_EQ(atomic_load(&rig.lists), 4);
	CHECK_EQ(rmdir(at("d")), 0);
	rig_unmount();
}

static unsigned count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	CHECK(dir != NULL);
	while (dir && readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void test_readdir(void)
{
	char name[32];

	MOUNT(5000);
	CHECK_EQ(mkdir(at("d"), 0755), 0);
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "d/%d", i);
		CHECK_EQ(spill(at(name), ""), 0);
	}
	CHECK_EQ(count_entries(at("d")), 502);
	rig_unmount();
}

/* ---- changes from elsewhere
 * ------------------------------------------------------------ */

/* Notifications arrive when they arrive. */
static bool becomes(const char *path, const char *text)
{
	char buf[64];

	for (int i = 0; i < 2000; i++) {
		if (slurp(path, buf, sizeof(buf)) >= 0 && !strcmp(buf, text))
			return true;
		usleep(1000);
	}
	check_fail(__FILE__, __LINE__, "\"%s\" never became \"%s\"", buf, text);
	return false;
}

static void test_new_version_beside_an_open_file(void)
{
	char buf[64] = "";
	uint64_t ino;
	struct stat st;
	int fd;

	MOUNT(5000);
	CHECK(stat(at("f"), &st) < 0); /* and now the kernel knows that */
	ino = rig_add_remote("f", 5);
	rig.remote = "first";
	CHECK(becomes(at("f"), "first"));
	fd = open(at("f"), O_RDONLY | O_CLOEXEC);
	CHECK_EQ(pread(fd, buf, 2, 0), 2);
	rig.remote = "second one";
	rig_new_version(ino, 10);
	CHECK(becomes(at("f"), "second one"));
	CHECK_EQ(stat(at("f"), &st), 0);
	CHECK_EQ(st.st_ino, ino);
	CHECK_EQ(st.st_size, 10);
	CHECK_EQ(pread(fd, buf, sizeof(buf), 0), 5);
	CHECK_MEM(buf, "first", 5);
	close(fd);
	rig_unmount();
}

/* The size was a claim: what is missing must not become zeros. */
static void test_short_version_gives_no_zeros(void)
{
	char buf[64] = "";
	uint64_t ino;
	int fd;

	MOUNT(5000);
	ino = rig_add_remote("f", 9000);
	fd = open(at("f"), O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	{
		struct tree_edit *e;
		struct content *c;
		struct node n;
		struct db *db;

		CHECK_EQ(tree_edit_begin(rig.nmb.tree, &e, &db), 0);
		CHECK_EQ(node_get(db, ino, &n), 0);
		CHECK_EQ(tree_edit_end(e, 0), 0);
		CHECK_EQ(content_get(rig.nmb.contents, n.cid, false, &c), 0);
		CHECK_EQ(content_set_base_size(c, 5), 0);
		content_put(c);
		CHECK_EQ(tree_edit_begin(rig.nmb.tree, &e, &db), 0);
		CHECK_EQ(node_get(db, ino, &n), 0);
		n.size = 5;
		CHECK_EQ(node_update(db, &n), 0);
		tree_edit_version(e, ino);
		CHECK_EQ(tree_edit_end(e, 0), 0);
	}
	rig.remote = "small";
	CHECK(pread(fd, buf, sizeof(buf), 8192) < 0 && errno == EIO);
	CHECK(becomes(at("f"), "small"));
	close(fd);
	rig_unmount();
}

/* ---- room
 * -------------------------------------------------------------------------------
 */

static void *make_room(void *arg)
{
	(void)arg;
	rig_wait(&rig.waiting, 1);
	usleep(20000);
	atomic_store(&rig.full, false);
	return NULL;
}

static void test_writers_wait_for_room(void)
{
	char buf[16];
	pthread_t t;

	MOUNT(300);
	CHECK_EQ(spill(at("f"), "x"), 0);
	atomic_store(&rig.full, true);
	CHECK_EQ(spill(at("g"), "x"), -ENOSPC);
	CHECK_EQ(spill(at("f"), "x"), -ENOSPC);
	CHECK(truncate(at("f"), 1 << 20) < 0 && errno == ENOSPC);
	CHECK_EQ(slurp(at("f"), buf, sizeof(buf)), 1);
	CHECK_EQ(unlink(at("f")), 0); /* what makes room needs none */
	CHECK_EQ(pthread_create(&t, NULL, make_room, NULL), 0);
	CHECK_EQ(spill(at("g"), "x"), 0);
	pthread_join(t, NULL);
	rig_unmount();
}

/* ---- the rest
 * -----------------------------------------------------------------------------
 */

static void test_extended_attributes(void)
{
	char buf[256];
	uint64_t ino;

	MOUNT(5000);
	ino = rig_add_remote("f", 5);
	CHECK_EQ(getxattr(at("f"), "user.nmbackupfs.state", buf, 256), 5);
	CHECK_MEM(buf, "cloud", 5);
	CHECK(getxattr(at("f"), "user.nmbackupfs.id", buf, sizeof(buf)) > 3);
	CHECK_MEM(buf, "ID!", 3);
	CHECK(getxattr(at("f"), "user.other", buf, 256) < 0 &&
	      errno == ENODATA);
	CHECK(getxattr(at("f"), "user.nmbackupfs.error", buf, 256) < 0 &&
	      errno == ENODATA);
	CHECK(getxattr(at("f"), "system.posix_acl_access", buf, 256) < 0 &&
	      errno == EOPNOTSUPP);
	CHECK(getxattr(at("f"), "user.nmbackupfs.state", buf, 2) < 0 &&
	      errno == ERANGE);
	CHECK_EQ(listxattr(at("f"), buf, sizeof(buf)), 0);
	rig_set_flags(ino, NODE_DIRTY, 0);
	CHECK_EQ(getxattr(at("f"), "user.nmbackupfs.state", buf, 256), 7);
	CHECK_MEM(buf, "pending", 7);
	rig_unmount();
}

static void test_statfs(void)
{
	struct statvfs v;

	MOUNT(5000);
	CHECK_EQ(statvfs(rig.mnt, &v), 0);
	CHECK_EQ(v.f_blocks * v.f_frsize, 5 << 20);
	CHECK_EQ(v.f_bavail * v.f_frsize, 1 << 20);
	CHECK_EQ(v.f_namemax, 255);
	rig_unmount();
}

static void test_times_are_exact(void)
{
	struct timespec t[2] = { { 1000000001, 123456789 },
		                 { -86400, 987654321 } };
	struct stat st;
	int fd;

	MOUNT(5000);
	fd = open(at("f"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK_EQ(write(fd, "data", 4), 4);
	CHECK_EQ(futimens(fd, t), 0);
	close(fd);
	CHECK_EQ(tree_sync(rig.nmb.tree), 0);
	CHECK_EQ(stat(at("f"), &st), 0);
	CHECK_EQ(st.st_atim.tv_nsec, 123456789);
	CHECK_EQ(st.st_mtim.tv_sec, -86400);
	CHECK_EQ(st.st_mtim.tv_nsec, 987654321);
	rig_unmount();
}

/* In a child: a page fault holds the address space, which the server of this
 * process may want too. */
static int write_mapped(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char *map;

	if (fd < 0 || ftruncate(fd, 10000) < 0)
		return 1;
	map = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return 2;
	memcpy(map, "mapped", 6);
	map[9999] = '!';
	return munmap(map, 10000) < 0 ? 3 : 0;
}

static void test_mmap(void)
{
	struct stat st;
	char buf[16];
	pid_t pid;

	MOUNT(5000);
	pid = rig_fork();
	if (pid == 0)
		_exit(write_mapped(at("f")));
	CHECK_EQ(wait_status(pid), 0);
	CHECK_EQ(slurp(at("f"), buf, 7), 6);
	CHECK_STR(buf, "mapped");
	CHECK_EQ(stat(at("f"), &st), 0);
	CHECK_EQ(st.st_size, 10000);
	rig_unmount();
}

static void test_refused(void)
{
	MOUNT(5000);
	CHECK_EQ(spill(at("f"), "x"), 0);
	CHECK(link(at("f"), at("g")) < 0 && errno == EPERM);
	CHECK(mkdir(at("f/d"), 0700) < 0 && errno == ENOTDIR);
	CHECK(rmdir(at("f")) < 0 && errno == ENOTDIR);
	CHECK_EQ(spill(at("F"), "x"), -EEXIST);
	rig_unmount();
}

static void quiet(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

int main(void)
{
	log_set_sink(quiet, NULL);
	RUN(test_read_brings_what_is_absent);
	RUN(test_open_for_writing_hydrates);
	RUN(test_read_ends_at_the_deadline);
	RUN(test_stuck_readers_block_nobody);
	RUN(test_handled_signal_does_not_end_a_read);
	RUN(test_unmount_with_stuck_readers);
	RUN(test_folder_is_listed_on_first_look);
	RUN(test_readdir);
	RUN(test_new_version_beside_an_open_file);
	RUN(test_short_version_gives_no_zeros);
	RUN(test_writers_wait_for_room);
	RUN(test_extended_attributes);
	RUN(test_statfs);
	RUN(test_times_are_exact);
	RUN(test_mmap);
	RUN(test_refused);
	return check_report();
}
