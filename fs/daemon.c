#include "fs/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/exit.h"

/* What goes through the pipe: one byte of status, then the line. */

static void wait_for_child(int fd, pid_t pid) __attribute__((noreturn));

static void wait_for_child(int fd, pid_t pid)
{
	unsigned char status = EXIT_FAILED;
	char line[1024];
	ssize_t n;
	int end = 0;

	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	do {
		n = read(fd, &status, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 1 && status == EXIT_OK)
		_exit(EXIT_OK);
	while (n > 0 && (n = read(fd, line, sizeof(line))) > 0) {
		if (fwrite(line, 1, (size_t)n, stderr) != (size_t)n)
			break;
	}
	waitpid(pid, &end, 0);
	if (WIFSIGNALED(end)) {
		signal(WTERMSIG(end), SIG_DFL);
		raise(WTERMSIG(end));
	}
	if (n < 0 || status == EXIT_OK)
		status = EXIT_FAILED;
	_exit(status);
}

int daemon_start(struct daemon_link *out_l)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	fflush(stdout);
	fflush(stderr);
	pid = fork();
	if (pid < 0) {
		int rc = -errno;

		close(fds[0]);
		close(fds[1]);
		return rc;
	}
	if (pid) {
		close(fds[1]);
		wait_for_child(fds[0], pid);
	}
	close(fds[0]);
	out_l->fd = fds[1];
	return 0;
}

static void leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	if (chdir("/") < 0 || null < 0)
		return;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	if (null > STDERR_FILENO)
		close(null);
}

static void say(struct daemon_link *l, int status, const char *line)
{
	unsigned char s = (unsigned char)status;
	size_t len = strlen(line);

	if (write(l->fd, &s, 1) == 1 && len &&
	    write(l->fd, line, len) != (ssize_t)len)
		fprintf(stderr, "%s", line);
	close(l->fd);
	l->fd = -1;
}

void daemon_ready(struct daemon_link *l)
{
	if (l->fd < 0)
		return;
	say(l, EXIT_OK, "");
	leave_terminal();
}

void daemon_failed(struct daemon_link *l, int status, const char *line)
{
	if (l->fd >= 0)
		say(l, status, line);
	else
		fputs(line, stderr);
}
