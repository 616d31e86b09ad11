#include "fs/logging.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/config.h"
#include "net/log.h"
#include "tests/unit/check.h"

static int keep; /* the real standard error */

/* Standard error into a pipe; *out_read its other end. */
static void catch_stderr(int *out_read)
{
	int fds[2];

	CHECK_EQ(pipe(fds), 0);
	fflush(stderr);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	*out_read = fds[0];
}

static void release_stderr(int fd, char *out, size_t size)
{
	ssize_t n;

	fflush(stderr);
	dup2(keep, STDERR_FILENO);
	n = read(fd, out, size - 1);
	out[n > 0 ? n : 0] = '\0';
	close(fd);
}

/* Lines of all levels, with standard error being `dev` and `ino` off by so
 * much, and something behind it. */
static void write_lines(int dev_off, int ino_off, const char *behind, int back,
                        char *out, size_t size)
{
	struct config *c;
	char stream[64];
	struct stat st;
	int fd;

	CHECK_EQ(config_new(&c), 0);
	catch_stderr(&fd);
	CHECK_EQ(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju%s",
	         (uintmax_t)st.st_dev + (uintmax_t)dev_off,
	         (uintmax_t)st.st_ino + (uintmax_t)ino_off, behind);
	setenv("JOURNAL_STREAM", stream, 1);
	CHECK_EQ(logging_start(c, back), 0);
	log_error("e");
	log_warn("w refresh_token=abc");
	log_info("i\n<0>forged");
	fprintf(stderr, "%sof its own\n", logging_error_mark());
	release_stderr(fd, out, size);
	log_set_sink(NULL, NULL);
	config_free(c);
}

static void test_journal(void)
{
	char out[512];

	write_lines(0, 0, "", 0, out, sizeof(out));
	CHECK_STR(out, "<3>e\n<4>w refresh_token=[redacted]\n"
	               "<6>i\\x0a<0>forged\n<3>of its own\n");
}

static void test_no_journal(void)
{
	static const char plain[] =
		"nmbackupfs: error: e\n"
		"nmbackupfs: warn: w refresh_token=[redacted]\n"
		"nmbackupfs: info: i\\x0a<0>forged\nof its own\n";
	char out[512];

	write_lines(1, 0, "", 0, out, sizeof(out));
	CHECK_STR(out, plain);
	write_lines(0, 1, "", 0, out, sizeof(out));
	CHECK_STR(out, plain);
	write_lines(0, 0, "x", 0, out, sizeof(out));
	CHECK_STR(out, plain);
}

int main(void)
{
	keep = dup(STDERR_FILENO);
	RUN(test_journal);
	RUN(test_no_journal);
	return check_report();
}
