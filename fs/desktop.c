#include "fs/desktop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM  "notify-send"
#define LIMIT_MS 10000
#define OPTIONS  "NMBACKUPFS_"

int desktop_find(char out[PATH_MAX])
{
	const char *at = getenv("PATH");

	while (at && *at) {
		size_t len = strcspn(at, ":");

		if (len && *at == '/' &&
		    snprintf(out, PATH_MAX, "%.*s/" PROGRAM, (int)len, at) <
		            PATH_MAX &&
		    access(out, X_OK) == 0)
			return 0;
		at += len + (at[len] == ':');
	}
	return -ENOENT;
}

/* Pointers only; free() the array. */
static char **other_env(void)
{
	size_t n = 0, out = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 1, sizeof(*env));
	for (size_t i = 0; env && i < n; i++) {
		if (strncmp(environ[i], OPTIONS, sizeof(OPTIONS) - 1) != 0)
			env[out++] = environ[i];
	}
	return env;
}

static int add_actions(posix_spawn_file_actions_t *fa)
{
	int rc = 0;

	for (int fd = 0; fd <= STDERR_FILENO && rc == 0; fd++)
		rc = posix_spawn_file_actions_addopen(fa, fd, "/dev/null",
		                                      O_RDWR, 0);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
	if (rc == 0)
		rc = posix_spawn_file_actions_addclosefrom_np(fa, 3);
#endif
	return -rc;
}

/* Our signals are blocked, or ignored; a session of its own has no terminal. */
static int set_attributes(posix_spawnattr_t *at)
{
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	rc = posix_spawnattr_setflags(at, POSIX_SPAWN_SETSIGMASK |
	                                          POSIX_SPAWN_SETSIGDEF |
	                                          POSIX_SPAWN_SETSID);
	if (rc == 0)
		rc = posix_spawnattr_setsigmask(at, &none);
	if (rc == 0)
		rc = posix_spawnattr_setsigdefault(at, &all);
	return -rc;
}

static int spawn(char *const argv[], pid_t *out_pid)
{
	char **env = other_env();
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	int rc = env ? 0 : -ENOMEM;

	posix_spawn_file_actions_init(&fa);
	posix_spawnattr_init(&at);
	if (rc == 0)
		rc = add_actions(&fa);
	if (rc == 0)
		rc = set_attributes(&at);
	if (rc == 0)
		rc = -posix_spawn(out_pid, argv[0], &fa, &at, argv, env);
	posix_spawnattr_destroy(&at);
	posix_spawn_file_actions_destroy(&fa);
	free(env);
	return rc;
}

static int reap(pid_t pid, int stop_fd)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0), status;
	struct pollfd p[] = { { .fd = fd, .events = POLLIN },
		              { .fd = stop_fd, .events = POLLIN } };
	bool ended = fd >= 0 && poll(p, 2, LIMIT_MS) > 0 && p[0].revents;

	if (!ended)
		kill(-pid, SIGKILL);
	if (fd >= 0)
		close(fd);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	if (!ended)
		return -ETIMEDOUT;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EIO;
}

int desktop_notify(const char *program, const char *title, const char *text,
                   int stop_fd)
{
	const char *words[] = { program, "--app-name=nmbackupfs",
		                "--",    title,
		                text,    NULL };
	char *argv[6];
	pid_t pid;
	int rc;

	memcpy(argv, words, sizeof(argv));
	rc = spawn(argv, &pid);
	return rc < 0 ? rc : reap(pid, stop_fd);
}
