/* Passphrases from a terminal (a pseudo terminal, with a child that asks) and
 * from a command. */
#include "auth/passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <sodium.h>

#include "tests/unit/check.h"

/* ---- a terminal ---------------------------------------------------------- */

struct answer {
	int rc;
	size_t len;
	char text[64], why[160];
	bool echo_left; /* as it was before */
};

static void ask_in_child(const char *tty, bool twice, int to_parent)
{
	struct answer a = { 0 };
	struct termios t;
	char *out = sodium_malloc(PASSPHRASE_MAX);
	int fd;

	setsid();
	fd = open(tty, O_RDWR);
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDERR_FILENO);
	a.rc = passphrase_get(NULL, "a thing", twice, out, &a.len, a.why,
	                      sizeof(a.why));
	if (a.rc == 0 && a.len < sizeof(a.text))
		memcpy(a.text, out, a.len);
	a.echo_left = tcgetattr(STDIN_FILENO, &t) == 0 && (t.c_lflag & ECHO) &&
	              (t.c_lflag & ISIG);
	if (write(to_parent, &a, sizeof(a)) != (ssize_t)sizeof(a))
		_exit(1);
	_exit(0);
}

/* Reads what is shown up to the next question. */
static void read_until(int master, const char *end, char *shown, size_t size)
{
	size_t len = strlen(shown);

	while (len + 1 < size && !strstr(shown, end)) {
		ssize_t n = read(master, shown + len, 1);

		if (n <= 0)
			break;
		len += (size_t)n;
		shown[len] = '\0';
	}
	CHECK(strstr(shown, end) != NULL);
}

/* Types one line per question. */
static void converse(bool twice, const char *first, const char *second,
                     struct answer *out)
{
	char shown[4096] = "";
	int master = posix_openpt(O_RDWR | O_NOCTTY), fds[2], status;
	pid_t pid;

	CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	CHECK_EQ(pipe(fds), 0);
	pid = fork();
	if (pid == 0)
		ask_in_child(ptsname(master), twice, fds[1]);
	close(fds[1]);
	read_until(master, "a thing: ", shown, sizeof(shown));
	CHECK_EQ(write(master, first, strlen(first)), strlen(first));
	if (second) {
		read_until(master, "once more: ", shown, sizeof(shown));
		CHECK_EQ(write(master, second, strlen(second)), strlen(second));
	}
	CHECK_EQ(read(fds[0], out, sizeof(*out)), sizeof(*out));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK(!strstr(shown, "hunter"));
	close(fds[0]);
	close(master);
}

static const struct {
	bool twice;
	const char *first, *second;
	int rc;
	const char *text;
} cases[] = {
	{ false, "hunter2\n", NULL, 0, "hunter2" },
	{ false, "hunter  2 \n", NULL, 0, "hunter  2 " },
	{ false, "hunt\303\244r\n", NULL, 0, "hunt\303\244r" },
	{ false, "\n", NULL, -EINVAL, "" },
	{ false, "hunter\003", NULL, -ECANCELED, "" },
	{ false, "\004", NULL, -ECANCELED, "" },
	{ true, "hunter2\n", "hunter2\n", 0, "hunter2" },
	{ true, "hunter2\n", "hunter3\n", -EINVAL, "" },
	{ true, "hunter2\n", "hunter\n", -EINVAL, "" },
	{ true, "hunter2\n", "\003", -ECANCELED, "" },
	{ true, "\n", NULL, -EINVAL, "" },
};

static void test_terminal(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct answer a = { 0 };

		check_row("%zu", i);
		converse(cases[i].twice, cases[i].first, cases[i].second, &a);
		CHECK_EQ(a.rc, cases[i].rc);
		CHECK_STR(a.text, cases[i].text);
		CHECK(a.echo_left);
		CHECK_EQ(a.why[0] != '\0', a.rc < 0);
	}
}

/* ---- a command ----------------------------------------------------------- */

static void test_command(void)
{
	static const struct {
		const char *line, *text;
		int rc;
	} rows[] = {
		{ "echo hunter2", "hunter2", 0 },
		{ "printf hunter2", "hunter2", 0 },
		{ "printf 'one\\ntwo\\n'", "one", 0 },
		{ "printf ' a b '", " a b ", 0 },
		{ "true", "", -EINVAL },
		{ "echo", "", -EINVAL },
		{ "echo hunter2; exit 3", "", -EINVAL },
		{ "kill -9 $$", "", -EINVAL },
		{ "yes", "", -EFBIG },
	};
	char *out = sodium_malloc(PASSPHRASE_MAX);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char why[160] = "";
		size_t len = 0;
		int rc = passphrase_get(rows[i].line, "a thing", true, out,
		                        &len, why, sizeof(why));

		check_row("%s", rows[i].line);
		CHECK_EQ(rc, rows[i].rc);
		CHECK_EQ(len, strlen(rows[i].text));
		if (rc == 0 && len == strlen(rows[i].text))
			CHECK_MEM(out, rows[i].text, len);
		CHECK_EQ(why[0] != '\0', rc < 0);
		CHECK(!strstr(why, "hunter"));
	}
	sodium_free(out);
}

static void test_nobody_there(void)
{
	char *out = sodium_malloc(PASSPHRASE_MAX), why[160] = "";
	size_t len;

	CHECK_EQ(passphrase_get(NULL, "a thing", false, out, &len, why,
	                        sizeof(why)),
	         -ENOTTY);
	CHECK(strstr(why, "passphrase_command") != NULL);
	sodium_free(out);
}

int main(void)
{
	int null = open("/dev/null", O_RDWR);

	/* No terminal, also where a person runs this. */
	if (sodium_init() < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0)
		return 1;
	close(null);
	RUN(test_terminal);
	RUN(test_command);
	RUN(test_nobody_there);
	return check_report();
}
