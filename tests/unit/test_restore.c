/* fs/restore: nothing is overwritten, nothing leaves its directory, nothing
 * half done stays. */

#include "fs/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/check.h"

static char dir[64];
static int top;

static void begin(void)
{
	strcpy(dir, "/tmp/nmb-restore.XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(top >= 0);
}

static void end(void)
{
	close(top);
	CHECK_EQ(rmdir(dir), 0); /* all is gone, temporary files too */
}

static struct restore_item item(const char *name, mode_t mode)
{
	struct restore_item it = { .mode = mode,
		                   .uid = RESTORE_NOBODY,
		                   .gid = (gid_t)RESTORE_NOBODY,
		                   .mtime = INT64_C(-1500000000) };

	snprintf(it.name, sizeof(it.name), "%s", name);
	return it;
}

static int restore_text(const struct restore_item *it, const char *text, int rc)
{
	struct restore_file f;
	int begun = restore_begin(top, it, &f);

	if (begun < 0)
		return begun;
	CHECK_EQ(restore_write(&f, text, strlen(text)), 0);
	return restore_end(&f, it, rc);
}

static void test_file(void)
{
	struct restore_item it = item("f", S_IFREG | 04750);
	struct stat st;

	begin();
	it.size = 3;
	CHECK_EQ(restore_text(&it, "abc", 0), 0);
	CHECK_EQ(fstatat(top, "f", &st, 0), 0);
	CHECK_EQ(st.st_mode & 07777, 04750);
	CHECK_EQ(st.st_mtim.tv_sec, -2);
	CHECK_EQ(st.st_mtim.tv_nsec, 500000000);
	/* The same again, and another one. */
	CHECK_EQ(restore_text(&it, "abc", 0), -EALREADY);
	it.size = 4;
	CHECK_EQ(restore_text(&it, "abcd", 0), -EEXIST);
	CHECK_EQ(fstatat(top, "f", &st, 0), 0);
	CHECK_EQ(st.st_size, 3);
	unlinkat(top, "f", 0);
	end();
}

static void test_failed_file_leaves_nothing(void)
{
	struct restore_item it = item("f", S_IFREG | 0644);

	begin();
	CHECK_EQ(restore_text(&it, "half", -EBADMSG), -EBADMSG);
	end();
}

/* Somebody else makes the name while the content comes. */
static void test_race(void)
{
	struct restore_item it = item("f", S_IFREG | 0644);
	struct restore_file f;
	struct stat st;

	begin();
	CHECK_EQ(restore_begin(top, &it, &f), 0);
	CHECK_EQ(symlinkat("/nowhere", top, "f"), 0);
	CHECK_EQ(restore_end(&f, &it, 0), -EEXIST);
	CHECK_EQ(fstatat(top, "f", &st, AT_SYMLINK_NOFOLLOW), 0);
	CHECK(S_ISLNK(st.st_mode));
	unlinkat(top, "f", 0);
	end();
}

static void test_names(void)
{
	static const char *const bad[] = { "",    ".",    "..", "/",
		                           "a/b", "../x", "/x", "x/../" };

	begin();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct restore_item it = item(bad[i], S_IFREG | 0644);
		int fd;

		check_row("%s", bad[i]);
		CHECK_EQ(restore_text(&it, "x", 0), -EINVAL);
		it.mode = S_IFDIR | 0755;
		CHECK_EQ(restore_enter(top, &it, &fd), -EINVAL);
		it.mode = S_IFIFO | 0644;
		CHECK_EQ(restore_node(top, &it), -EINVAL);
	}
	end();
}

static void test_directory(void)
{
	struct restore_item it = item("d", S_IFDIR | 02550);
	struct stat st;
	int fd;

	begin();
	for (int i = 0; i < 2; i++) { /* also one that is there already */
		CHECK_EQ(restore_enter(top, &it, &fd), 0);
		CHECK_EQ(fstat(fd, &st), 0);
		CHECK_EQ(st.st_mode & 0700, 0700);
		CHECK_EQ(restore_leave(fd, &it), 0);
		CHECK_EQ(fstatat(top, "d", &st, 0), 0);
		CHECK_EQ(st.st_mode & 07777, 02550);
	}
	unlinkat(top, "d", AT_REMOVEDIR);
	/* A link in its place is not followed. */
	CHECK_EQ(symlinkat("/tmp", top, "d"), 0);
	CHECK_EQ(restore_enter(top, &it, &fd), -EEXIST);
	unlinkat(top, "d", 0);
	end();
}

static void test_nodes(void)
{
	struct restore_item link = item("l", S_IFLNK | 0777);
	struct restore_item fifo = item("p", S_IFIFO | 0620);
	struct stat st;

	begin();
	link.target = "../some/where";
	CHECK_EQ(restore_node(top, &link), 0);
	CHECK_EQ(restore_node(top, &link), -EALREADY);
	link.target = "elsewhere";
	CHECK_EQ(restore_node(top, &link), -EEXIST);
	CHECK_EQ(restore_node(top, &fifo), 0);
	CHECK_EQ(fstatat(top, "p", &st, 0), 0);
	CHECK(S_ISFIFO(st.st_mode));
	CHECK_EQ(st.st_mode & 07777, 0620);
	CHECK_EQ(st.st_mtim.tv_sec, -2);
	unlinkat(top, "l", 0);
	unlinkat(top, "p", 0);
	end();
}

int main(void)
{
	RUN(test_file);
	RUN(test_failed_file_leaves_nothing);
	RUN(test_race);
	RUN(test_names);
	RUN(test_directory);
	RUN(test_nodes);
	return check_report();
}
