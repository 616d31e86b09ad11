#include "fs/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/check.h"

static char dir[64];
static char path[128], other[128];

static void begin(void)
{
	strcpy(dir, "/tmp/nmb-output.XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/file", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
}

static void end(void)
{
	unlink(path);
	unlink(other);
	/* fails if a temporary file was left */
	CHECK_EQ(rmdir(dir), 0);
}

static void write_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void check_file(const char *name, const char *want)
{
	char text[64] = "";
	int fd = open(name, O_RDONLY);

	CHECK(fd >= 0);
	CHECK_EQ(read(fd, text, sizeof(text) - 1), (ssize_t)strlen(want));
	CHECK_STR(text, want);
	close(fd);
}

static void test_appears_whole(void)
{
	struct output o;
	struct stat st;

	begin();
	CHECK_EQ(output_open(path, "n", 0644, &o), 0);
	CHECK_EQ(output_write(&o, "whole", 5), 0);
	CHECK_EQ(access(path, F_OK), -1);
	CHECK_EQ(output_end(&o, 0, INT64_C(1600000000000000000)), 0);
	check_file(path, "whole");
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_mtime, 1600000000);
	CHECK_EQ(st.st_mode & 07777, 0644);
	end();
}

static void test_error_leaves_the_old_one(void)
{
	struct output o;

	begin();
	write_file(path, "old");
	CHECK_EQ(output_open(path, "n", 0644, &o), 0);
	CHECK_EQ(output_write(&o, "new", 3), 0);
	check_file(path, "old");
	CHECK_EQ(output_end(&o, -EIO, 0), -EIO);
	check_file(path, "old");
	end();
}

static void test_directory(void)
{
	struct output o;

	begin();
	CHECK_EQ(output_open(dir, "file", 0644, &o), 0);
	CHECK_EQ(output_write(&o, "x", 1), 0);
	CHECK_EQ(output_end(&o, 0, 0), 0);
	check_file(path, "x");
	CHECK_EQ(output_open(dir, "file", 0644, &o), -EEXIST);
	/* one that appears meanwhile is not replaced either */
	CHECK_EQ(output_open(dir, "other", 0644, &o), 0);
	write_file(other, "mine");
	CHECK_EQ(output_end(&o, 0, 0), -EEXIST);
	check_file(other, "mine");
	end();
}

static void test_link_and_mode(void)
{
	struct output o;
	struct stat st;

	begin();
	write_file(path, "old");
	CHECK_EQ(chmod(path, 0640), 0);
	CHECK_EQ(symlink("file", other), 0);
	CHECK_EQ(output_open(other, "n", 0644, &o), 0);
	CHECK_EQ(output_write(&o, "new", 3), 0);
	CHECK_EQ(output_end(&o, 0, 0), 0);
	check_file(path, "new");
	CHECK_EQ(lstat(other, &st), 0);
	CHECK(S_ISLNK(st.st_mode));
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_mode & 07777, 0640);
	end();
}

static void test_special(void)
{
	struct output o;
	struct stat st;

	begin();
	CHECK_EQ(output_open("/dev/null", "n", 0644, &o), 0);
	CHECK_EQ(output_write(&o, "new", 3), 0);
	CHECK_EQ(output_end(&o, 0, 0), 0);
	CHECK_EQ(stat("/dev/null", &st), 0);
	CHECK(S_ISCHR(st.st_mode));
	CHECK_EQ(output_open("", "n", 0644, &o), -ENOENT);
	snprintf(other, sizeof(other), "%s/no/such", dir);
	CHECK_EQ(output_open(other, "n", 0644, &o), -ENOENT);
	end();
}

int main(void)
{
	RUN(test_appears_whole);
	RUN(test_error_leaves_the_old_one);
	RUN(test_directory);
	RUN(test_link_and_mode);
	RUN(test_special);
	return check_report();
}
