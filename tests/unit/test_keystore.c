/* The keystore and its file backend, with every system call of the write
 * sequence cut short by an error or by the death of the process: the calls
 * below stand in for the C library's. */
#include "auth/keystore.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sodium.h>

#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

/* ---- system calls that fail ---------------------------------------------- */

enum harm { HARM_NONE, HARM_ERROR, HARM_DIE_BEFORE, HARM_DIE_AFTER };

static struct {
	enum harm harm;
	unsigned at, count; /* the at-th call, counted from 1 */
	bool short_writes;
} fault;

static bool strikes(enum harm harm)
{
	return fault.harm == harm && fault.count == fault.at;
}

static bool fails_before(int error)
{
	if (fault.harm == HARM_NONE)
		return false;
	fault.count++;
	if (strikes(HARM_DIE_BEFORE))
		_exit(9);
	if (!strikes(HARM_ERROR))
		return false;
	errno = error;
	return true;
}

static void die_after(void)
{
	if (strikes(HARM_DIE_AFTER))
		_exit(9);
}

ssize_t write(int fd, const void *buf, size_t len)
{
	bool ours = fault.harm != HARM_NONE && fd > 2;
	ssize_t n;

	if (ours && fails_before(ENOSPC))
		return -1;
	if (ours && fault.short_writes && len > 1)
		len /= 2;
	n = syscall(SYS_write, fd, buf, len);
	if (ours)
		die_after();
	return n;
}

int fsync(int fd)
{
	int rc;

	if (fails_before(EIO))
		return -1;
	rc = (int)syscall(SYS_fsync, fd);
	die_after();
	return rc;
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	int rc;

	if (fails_before(EIO))
		return -1;
	rc = (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
	die_after();
	return rc;
}

int unlinkat(int fd, const char *path, int flags)
{
	int rc;

	if (fails_before(EIO))
		return -1;
	rc = (int)syscall(SYS_unlinkat, fd, path, flags);
	die_after();
	return rc;
}

/* ---- helpers ------------------------------------------------------------- */

static char base[64], dir[128];

static void make_base(void)
{
	strcpy(base, "/tmp/nmb-keystore-XXXXXX");
	CHECK(mkdtemp(base) != NULL);
	snprintf(dir, sizeof(dir), "%s/a/keys", base);
}

static void remove_base(void)
{
	char cmd[160];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", base);
	CHECK_EQ(system(cmd), 0);
}

static struct keystore *open_store(void)
{
	struct keystore_options opt = { .backend = "file", .dir = dir };
	struct keystore *k = NULL;
	char why[200] = "";

	CHECK_EQ(keystore_open(&opt, &k, why, sizeof(why)), 0);
	CHECK_STR(why, "");
	return k;
}

static void check_blob(struct keystore *k, const char *name, const char *want)
{
	void *p = NULL;
	size_t len = 0;

	CHECK_EQ(keystore_get(k, name, &p, &len), 0);
	if (!p)
		return;
	CHECK_EQ(len, strlen(want));
	if (len == strlen(want))
		CHECK_MEM(p, want, len);
	sodium_free(p);
}

static int get_rc(struct keystore *k, const char *name)
{
	void *p = NULL;
	size_t len;
	int rc = keystore_get(k, name, &p, &len);

	if (rc == 0)
		sodium_free(p);
	return rc;
}

static mode_t mode_of(const char *name)
{
	char path[200];
	struct stat st = { 0 };

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	CHECK_EQ(stat(path, &st), 0);
	return st.st_mode & 07777;
}

/* ---- tests --------------------------------------------------------------- */

static void test_put_get_delete(void)
{
	struct keystore *k;

	make_base();
	umask(0);
	k = open_store();
	CHECK_EQ(mode_of("."), 0700);
	CHECK_EQ(get_rc(k, "token"), -ENOENT);
	CHECK_EQ(keystore_put(k, "token", "one", 3), 0);
	check_blob(k, "token", "one");
	CHECK_EQ(mode_of("token"), 0600);
	CHECK_EQ(keystore_put(k, "token", "two, longer", 11), 0);
	check_blob(k, "token", "two, longer");
	CHECK_EQ(keystore_put(k, "identity", "", 0), 0);
	check_blob(k, "identity", "");
	keystore_close(k);

	k = open_store(); /* another process */
	check_blob(k, "token", "two, longer");
	CHECK_EQ(keystore_delete(k, "token"), 0);
	CHECK_EQ(keystore_delete(k, "token"), 0);
	CHECK_EQ(get_rc(k, "token"), -ENOENT);
	check_blob(k, "identity", "");
	keystore_close(k);
	umask(022);
	remove_base();
}

static void test_names_and_sizes(void)
{
	static const char *const bad[] = {
		"",    "Token",    "a/b",
		"..",  ".new",     "a_b",
		"a b", "\xc3\xa4", "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddx",
	};
	char *big = calloc(1, KEYSTORE_MAX_BLOB + 1);
	struct keystore *k;

	make_base();
	k = open_store();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		check_row("%s", bad[i]);
		CHECK_EQ(keystore_put(k, bad[i], "x", 1), -EINVAL);
		CHECK_EQ(get_rc(k, bad[i]), -EINVAL);
		CHECK_EQ(keystore_delete(k, bad[i]), -EINVAL);
	}
	check_row("%s", "");
	CHECK_EQ(keystore_put(k, "big", big, KEYSTORE_MAX_BLOB + 1), -EFBIG);
	CHECK_EQ(get_rc(k, "big"), -ENOENT);
	CHECK_EQ(keystore_put(k, "big", big, KEYSTORE_MAX_BLOB), 0);
	CHECK_EQ(get_rc(k, "big"), 0);
	keystore_close(k);
	free(big);
	remove_base();
}

static void test_unknown_backend(void)
{
	struct keystore_options opt = { .backend = "tape", .dir = "/nowhere" };
	char why[100] = "";
	struct keystore *k;

	CHECK_EQ(keystore_open(&opt, &k, why, sizeof(why)), -EINVAL);
	CHECK_STR(why, "unknown keystore \"tape\"");
}

static void test_open_to_others(void)
{
	static const mode_t dir_modes[] = { 0755, 0770, 0701, 0702 };
	static const mode_t file_modes[] = { 0644, 0640, 0606, 0620, 0660 };
	struct keystore_options opt = { .backend = "file", .dir = dir };
	char path[200], why[300] = "";
	struct keystore *k;

	make_base();
	k = open_store();
	CHECK_EQ(keystore_put(k, "token", "one", 3), 0);
	snprintf(path, sizeof(path), "%s/token", dir);
	for (size_t i = 0; i < ARRAY_LEN(file_modes); i++) {
		check_row("file %o", file_modes[i]);
		CHECK_EQ(chmod(path, file_modes[i]), 0);
		CHECK_EQ(get_rc(k, "token"), -EPERM);
		CHECK_EQ(mode_of("token"), file_modes[i]);
	}
	/* A new secret takes its place, closed. */
	CHECK_EQ(keystore_put(k, "token", "two", 3), 0);
	CHECK_EQ(mode_of("token"), 0600);
	check_blob(k, "token", "two");
	keystore_close(k);

	for (size_t i = 0; i < ARRAY_LEN(dir_modes); i++) {
		check_row("directory %o", dir_modes[i]);
		CHECK_EQ(chmod(dir, dir_modes[i]), 0);
		CHECK_EQ(keystore_open(&opt, &k, why, sizeof(why)), -EPERM);
		CHECK(strstr(why, "chmod 700") != NULL);
	}
	remove_base();
}

static void test_not_a_plain_file(void)
{
	char path[200], other[200];
	struct keystore *k;
	int fd;

	make_base();
	k = open_store();
	snprintf(path, sizeof(path), "%s/token", dir);
	snprintf(other, sizeof(other), "%s/other", base);
	fd = open(other, O_WRONLY | O_CREAT, 0600);
	close(fd);
	CHECK_EQ(symlink(other, path), 0);
	CHECK_EQ(get_rc(k, "token"), -EPERM);
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(mkfifo(path, 0600), 0);
	CHECK_EQ(get_rc(k, "token"), -EPERM);
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(truncate(other, KEYSTORE_MAX_BLOB + 1), 0);
	CHECK_EQ(rename(other, path), 0);
	CHECK_EQ(get_rc(k, "token"), -EFBIG);
	keystore_close(k);
	remove_base();
}

/* An error at any step leaves the old blob, or (directory not synced) the new
 * one, and nothing else. */
static void test_error_at_every_step(void)
{
	struct keystore *k;
	unsigned n;

	make_base();
	k = open_store();
	for (n = 1;; n++) {
		char tmp[200];
		int rc;

		CHECK_EQ(keystore_put(k, "token", "old", 3), 0);
		fault = (typeof(fault)){ HARM_ERROR, n, 0, false };
		rc = keystore_put(k, "token", "newer", 5);
		fault = (typeof(fault)){ 0 };
		check_row("call %u", n);
		if (rc == 0)
			break;
		CHECK(rc == -EIO || rc == -ENOSPC);
		check_blob(k, "token", n < 5 ? "old" : "newer");
		snprintf(tmp, sizeof(tmp), "%s/.new", dir);
		CHECK_EQ(access(tmp, F_OK), -1);
	}
	/* unlink, write, fsync, rename, fsync */
	CHECK_EQ(n, 6);
	check_blob(k, "token", "newer");
	keystore_close(k);
	remove_base();
}

static void put_and_die(enum harm harm, unsigned at)
{
	struct keystore *k = open_store();

	fault = (typeof(fault)){ harm, at, 0, true };
	keystore_put(k, "token", "newer", 5);
	_exit(0);
}

/* kill -9 before or after any step: the old or the new one, whole; and the
 * next put works. */
static void die_at_every_step(enum harm harm)
{
	int status = -1;
	bool was_new = false;

	for (unsigned n = 1; n < 50 && status != 0; n++) {
		struct keystore *k = open_store();
		void *p = NULL;
		size_t len = 0;
		pid_t pid;

		check_row("harm %d call %u", harm, n);
		CHECK_EQ(keystore_put(k, "token", "old", 3), 0);
		pid = fork();
		if (pid == 0)
			put_and_die(harm, n);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(status == 0 || WEXITSTATUS(status) == 9);
		CHECK_EQ(keystore_get(k, "token", &p, &len), 0);
		if (p) {
			bool is_new = len == 5 && !memcmp(p, "newer", 5);

			CHECK(is_new || (len == 3 && !memcmp(p, "old", 3)));
			CHECK(is_new || !was_new); /* one turning point */
			was_new = is_new;
			sodium_free(p);
		}
		keystore_close(k);
	}
	CHECK_EQ(status, 0);
	CHECK(was_new);
}

static void test_death_at_every_step(void)
{
	make_base();
	die_at_every_step(HARM_DIE_BEFORE);
	die_at_every_step(HARM_DIE_AFTER);
	remove_base();
}

static void *put_many(void *arg)
{
	struct keystore *k = open_store();

	for (int i = 0; i < 50; i++) {
		CHECK_EQ(keystore_put(k, "token", arg, strlen(arg)), 0);
		CHECK_EQ(get_rc(k, "token"), 0);
	}
	keystore_close(k);
	return NULL;
}

/* Two programs on one profile: always a whole blob. */
static void test_two_writers(void)
{
	static char one[] = "one", two[] = "two two two";
	pthread_t a, b;
	struct keystore *k;

	make_base();
	k = open_store();
	CHECK_EQ(keystore_put(k, "token", "start", 5), 0);
	CHECK_EQ(pthread_create(&a, NULL, put_many, one), 0);
	CHECK_EQ(pthread_create(&b, NULL, put_many, two), 0);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	CHECK_EQ(get_rc(k, "token"), 0);
	keystore_close(k);
	remove_base();
}

static void test_no_memory(void)
{
	struct keystore_options opt = { .backend = "file", .dir = dir };

	make_base();
	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct keystore *k = NULL;
		char why[200];
		int rc = keystore_open(&opt, &k, why, sizeof(why));

		check_row("allocation %u", n);
		CHECK(rc == 0 || rc == -ENOMEM);
		if (rc == 0) {
			rc = keystore_put(k, "token", "x", 1);
			CHECK(rc == 0 || rc == -ENOMEM);
			rc = get_rc(k, "token");
			CHECK(rc == 0 || rc == -ENOMEM);
		}
		keystore_close(k);
	}
	alloc_fail_off();
	remove_base();
}

int main(void)
{
	RUN(test_put_get_delete);
	RUN(test_names_and_sizes);
	RUN(test_unknown_backend);
	RUN(test_open_to_others);
	RUN(test_not_a_plain_file);
	RUN(test_error_at_every_step);
	RUN(test_death_at_every_step);
	RUN(test_two_writers);
	RUN(test_no_memory);
	return check_report();
}
