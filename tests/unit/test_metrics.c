#include "fs/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/buf.h"
#include "tests/unit/check.h"

static char *format(const struct metrics *m)
{
	struct buf b = BUF_INIT;

	metrics_format(m, &b);
	buf_add_char(&b, '\0');
	return b.data;
}

static void test_values(void)
{
	static const char *const lines[] = {
		"# TYPE nmbackupfs_pending_files gauge\n"
		"nmbackupfs_pending_files{profile=\"default\"} 7\n",
		"# TYPE nmbackupfs_uploaded_bytes_total counter\n"
		"nmbackupfs_uploaded_bytes_total{profile=\"default\"} "
		"18446744073709551615\n",
		"nmbackupfs_state{profile=\"default\",state=\"throttled\"} 1\n",
		"nmbackupfs_state{profile=\"default\",state=\"idle\"} 0\n",
		"nmbackupfs_up{profile=\"default\"} 1\n",
		"nmbackupfs_quota_free_bytes{profile=\"default\"} 5\n",
		"nmbackupfs_last_sync_timestamp_seconds{profile=\"default\"} "
		"1700000000\n",
	};
	struct metrics m = {
		.profile = "default",
		.mountpoint = "/m",
		.version = "1",
		.up = true,
		.status = { .state = ENGINE_THROTTLED,
		            .pending_files = 7,
		            .uploaded_bytes = UINT64_MAX,
		            .quota_total = -1,
		            .quota_used = -1,
		            .quota_remaining = 5,
		            .last_sync_ns = INT64_C(1700000000999999999) },
	};
	char *text = format(&m);

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		check_row("%s", lines[i]);
		CHECK(strstr(text, lines[i]));
	}
	CHECK(!strstr(text, "quota_used"));
	free(text);
	m.up = false;
	text = format(&m);
	CHECK(strstr(text, "nmbackupfs_up{profile=\"default\"} 0\n"));
	CHECK(strstr(text, "state=\"throttled\"} 0\n"));
	free(text);
}

static void test_labels(void)
{
	static const struct {
		const char *path, *label;
	} rows[] = {
		{ "/a b", "/a b" },     { "/a\"b\\c", "/a\\\"b\\\\c" },
		{ "/a\nb", "/a\\nb" },  { "/\xc3\xa4", "/\xc3\xa4" },
		{ "/\xff\x01", "/??" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct metrics m = { .profile = "p",
			             .mountpoint = rows[i].path,
			             .version = "1" };
		char *text = format(&m), want[128];

		snprintf(want, sizeof(want), "mountpoint=\"%s\",version",
		         rows[i].label);
		check_row("%s", want);
		CHECK(strstr(text, want));
		free(text);
	}
}

static void test_writes(void)
{
	char dir[] = "/tmp/nmb-metrics.XXXXXX", path[64], beside[64];
	struct buf b = BUF_INIT;
	struct stat st;

	CHECK(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a.prom", dir);
	snprintf(beside, sizeof(beside), "%s/a.prom.new", dir);
	buf_add_str(&b, "text\n");
	/* Not what a link leads to. */
	CHECK_EQ(symlink(path, beside), 0);
	CHECK_EQ(metrics_write(path, &b, 0644), 0);
	CHECK_EQ(lstat(path, &st), 0);
	CHECK(S_ISREG(st.st_mode));
	CHECK_EQ(st.st_mode & 07777, 0644);
	CHECK_EQ(st.st_size, 5);
	CHECK_EQ(access(beside, F_OK), -1);
	CHECK_EQ(metrics_write(path, &b, 0640), 0);
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(mkdir(path, 0700), 0);
	CHECK_EQ(metrics_write(path, &b, 0644), -EISDIR);
	CHECK_EQ(access(beside, F_OK), -1);
	CHECK_EQ(rmdir(path), 0);
	CHECK_EQ(rmdir(dir), 0);
	CHECK_EQ(metrics_write(path, &b, 0644), -ENOENT);
	buf_done(&b);
}

int main(void)
{
	RUN(test_values);
	RUN(test_labels);
	RUN(test_writes);
	return check_report();
}
