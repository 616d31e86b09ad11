#include "auth/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/clock.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

#define LIMIT_MS 20000

static int run(const char *line, const char *in, char *out, size_t size,
               size_t *len)
{
	const struct command c = {
		.line = line,
		.in = in,
		.in_len = in ? strlen(in) : 0,
		.limit_ms = LIMIT_MS,
	};

	return command_run(&c, out, size, len);
}

static const struct {
	const char *line, *in, *out;
	int rc;
} cases[] = {
	{ "true", NULL, "", 0 },
	{ "false", NULL, "", 1 },
	{ "exit 66", NULL, "", 66 },
	{ "/nonexistent/program", NULL, "", 127 },
	{ "printf abc", NULL, "abc", 0 },
	{ "printf '%s' \"a  b;c\"", NULL, "a  b;c", 0 },
	{ "cat", "secret\n", "secret\n", 0 },
	{ "cat", NULL, "", 0 }, /* end of file, not our standard input */
	{ "true", "not read", "", 0 },
	{ "exec 0<&- 1>&-; sleep 0.1", "x", "", 0 },
	{ "kill -9 $$", NULL, "", -ECHILD },
	{ "printf 12345678", NULL, "12345678", 0 },
	{ "printf 123456789", NULL, "", -EFBIG },
	{ "yes", NULL, "", -EFBIG },
	{ "sleep 5 & printf left", NULL, "left", 0 },
	{ "echo x >&9", NULL, "", 2 }, /* no descriptor of ours gets there */
};

static void test_commands(void)
{
	char out[9];
	size_t len;

	CHECK_EQ(dup2(STDERR_FILENO, 9), 9);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int rc = run(cases[i].line, cases[i].in, out, 8, &len);

		check_row("%s", cases[i].line);
		CHECK_EQ(rc, cases[i].rc);
		if (rc < 0)
			continue;
		out[len] = '\0';
		CHECK_STR(out, cases[i].out);
	}
	close(9);
}

/* More than a pipe holds, in both directions at a time. */
static void test_much(void)
{
	enum { SIZE = 1 << 20 };
	char *in = malloc(SIZE + 1), *out = malloc(SIZE);
	size_t len = 0;

	memset(in, 'x', SIZE);
	in[SIZE] = '\0';
	CHECK_EQ(run("cat", in, out, SIZE, &len), 0);
	CHECK_EQ(len, SIZE);
	CHECK_MEM(out, in, SIZE);
	CHECK_EQ(run("head -c 1", in, out, SIZE, &len), 0);
	CHECK_EQ(len, 1);
	CHECK_EQ(run("cat", in, NULL, 0, &len), 0);
	CHECK_EQ(len, 0);
	free(in);
	free(out);
}

static void test_environment(void)
{
	static const char *const env[] = { "NMB_A=ours", "NMB_B=a b;c", NULL };
	const struct command c = {
		.line = "printf '%s/' \"$NMB_A\" \"$NMB_B\" \"$NMB_C\"",
		.env = env,
		.limit_ms = LIMIT_MS,
	};
	char out[64] = "";
	size_t len;

	setenv("NMB_A", "theirs", 1);
	setenv("NMB_C", "inherited", 1);
	CHECK_EQ(command_run(&c, out, sizeof(out) - 1, &len), 0);
	CHECK_STR(out, "ours/a b;c/inherited/");
	unsetenv("NMB_A");
	unsetenv("NMB_C");
}

/* Time is up: it and what it started end (without a terminal). */
static void test_time_is_up(void)
{
	static const char *const lines[] = {
		"exec sleep 60",
		"sleep 60; true",
		"trap '' TERM; sleep 60; sleep 60",
		"exec 1>&-; sleep 60",
	};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		const struct command c = { .line = lines[i], .limit_ms = 100 };
		int64_t before = clock_mono_ms();
		char out[8];
		size_t len;

		check_row("%s", lines[i]);
		CHECK_EQ(command_run(&c, out, sizeof(out), &len), -ETIMEDOUT);
		CHECK(clock_mono_ms() - before < 10000);
		CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1); /* reaped */
	}
}

/* Neither our blocked signals nor an ignored SIGPIPE are handed on, and a pipe
 * that breaks does not end us. */
static void test_signals(void)
{
	char out[64], big[1 << 17];
	sigset_t all, old, now;
	size_t len;

	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	CHECK_EQ(run("exec 0<&-; true", big, out, sizeof(out), &len), 0);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	signal(SIGPIPE, SIG_IGN);
	CHECK_EQ(run("grep -E '^Sig(Blk|Ign)' /proc/self/status | "
	             "grep -vc '000$'",
	             NULL, out, sizeof(out), &len),
	         1);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, NULL, &now);
	CHECK(sigismember(&now, SIGTERM) == 1);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void test_closed_descriptors(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		char out[8];
		size_t len = 0;
		int rc;

		close(STDIN_FILENO);
		close(STDOUT_FILENO);
		rc = run("cat", "abc", out, sizeof(out), &len);
		_exit(rc == 0 && len == 3 && !memcmp(out, "abc", 3) ? 0 : 1);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void test_no_memory(void)
{
	for (unsigned n = 1; alloc_fail_at(n); n++) {
		char out[8];
		size_t len;
		int rc = run("true", NULL, out, sizeof(out), &len);

		check_row("allocation %u", n);
		CHECK(rc == 0 || rc == -ENOMEM);
	}
	alloc_fail_off();
}

int main(void)
{
	int null = open("/dev/null", O_RDWR);

	/* No terminal, also where a person runs this. */
	if (null < 0 || dup2(null, STDIN_FILENO) < 0)
		return 1;
	close(null);
	RUN(test_commands);
	RUN(test_much);
	RUN(test_environment);
	RUN(test_time_is_up);
	RUN(test_signals);
	RUN(test_closed_descriptors);
	RUN(test_no_memory);
	return check_report();
}
