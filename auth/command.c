#include "auth/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/clock.h"

#define KILL_AFTER_MS 500 /* from "please" to "now" */

struct child {
	pid_t pid;
	int pid_fd; /* readable once it has ended */
	bool leads; /* a session of its own */
	int to, from;
};

/* ---- environment --------------------------------------------------------- */

static bool is_replaced(const char *entry, const char *const *env)
{
	for (size_t i = 0; env[i]; i++) {
		size_t len = strcspn(env[i], "=") + 1;

		if (!strncmp(entry, env[i], len))
			return true;
	}
	return false;
}

/* Pointers only; free() the array. */
static char **merge_env(const char *const *env)
{
	size_t n = 0, more = 0, out = 0;
	char **all;

	while (environ[n])
		n++;
	while (env[more])
		more++;
	all = calloc(n + more + 1, sizeof(*all));
	if (!all)
		return NULL;
	for (size_t i = 0; i < more; i++)
		memcpy(&all[out++], &env[i], sizeof(*all));
	for (size_t i = 0; i < n; i++) {
		if (!is_replaced(environ[i], env))
			all[out++] = environ[i];
	}
	return all;
}

/* ---- starting ------------------------------------------------------------ */

static int add_actions(posix_spawn_file_actions_t *fa, int in, int out)
{
	int rc = posix_spawn_file_actions_adddup2(fa, in, STDIN_FILENO);

	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(fa, out, STDOUT_FILENO);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
	if (rc == 0)
		rc = posix_spawn_file_actions_addclosefrom_np(fa, 3);
#endif
	return -rc;
}

static int set_attributes(posix_spawnattr_t *at, bool leads)
{
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	sigset_t none, pipe;
	int rc;

	sigemptyset(&none);
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	if (leads)
		flags |= POSIX_SPAWN_SETSID;
	rc = posix_spawnattr_setflags(at, flags);
	if (rc == 0)
		rc = posix_spawnattr_setsigmask(at, &none);
	if (rc == 0)
		rc = posix_spawnattr_setsigdefault(at, &pipe);
	return -rc;
}

static int spawn(const struct command *c, int in, int out, struct child *ch)
{
	static const char *const no_env[] = { NULL };
	char sh[] = "sh", dash_c[] = "-c", *line = strdup(c->line);
	char *argv[] = { sh, dash_c, line, NULL };
	char **env = merge_env(c->env ? c->env : no_env);
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	int rc = line && env ? 0 : -ENOMEM;

	posix_spawn_file_actions_init(&fa);
	posix_spawnattr_init(&at);
	if (rc == 0)
		rc = add_actions(&fa, in, out);
	if (rc == 0)
		rc = set_attributes(&at, ch->leads);
	if (rc == 0)
		rc = -posix_spawn(&ch->pid, "/bin/sh", &fa, &at, argv, env);
	posix_spawnattr_destroy(&at);
	posix_spawn_file_actions_destroy(&fa);
	free(env);
	free(line);
	return rc;
}

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* With our ends above the standard descriptors, which may be closed. */
static int make_pipe(int fds[2])
{
	int raw[2], rc = 0;

	if (pipe2(raw, O_CLOEXEC) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		fds[i] = fcntl(raw[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		if (fds[i] < 0)
			rc = -errno;
		close(raw[i]);
	}
	for (int i = 0; rc < 0 && i < 2; i++)
		shut(&fds[i]);
	return rc;
}

static int start(const struct command *c, struct child *ch)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, rc;

	ch->leads = !isatty(STDIN_FILENO);
	rc = make_pipe(in);
	if (rc < 0)
		return rc;
	rc = make_pipe(out);
	if (rc == 0) {
		rc = spawn(c, in[0], out[1], ch);
		close(out[1]);
		if (rc < 0)
			close(out[0]);
	}
	close(in[0]);
	if (rc < 0) {
		close(in[1]);
		return rc;
	}
	ch->to = in[1];
	ch->from = out[0];
	fcntl(ch->to, F_SETFL, O_NONBLOCK);
	fcntl(ch->from, F_SETFL, O_NONBLOCK);
	ch->pid_fd = (int)syscall(SYS_pidfd_open, ch->pid, 0);
	return ch->pid_fd < 0 ? -errno : 0;
}

/* ---- talking ------------------------------------------------------------- */

struct talk {
	const char *in;
	size_t in_left;
	char *out;
	size_t size, len;
	bool full; /* it printed more than `size`, which is not 0 */
};

/* A command need not read what it is told: not an error. */
static void feed(struct child *ch, struct talk *t)
{
	ssize_t n = t->in_left ? write(ch->to, t->in, t->in_left) : 0;

	if (n > 0) {
		t->in += n;
		t->in_left -= (size_t)n;
	}
	if (!t->in_left || (n < 0 && errno != EAGAIN && errno != EINTR))
		shut(&ch->to);
}

/* -1 with EAGAIN: nothing more for now. */
static ssize_t take(const struct child *ch, struct talk *t)
{
	char rest[512];
	ssize_t n;

	if (t->len < t->size) {
		n = read(ch->from, t->out + t->len, t->size - t->len);
		t->len += n > 0 ? (size_t)n : 0;
	} else {
		n = read(ch->from, rest, sizeof(rest));
		t->full = t->full || (n > 0 && t->size);
	}
	return n;
}

static void drain(struct child *ch, struct talk *t)
{
	ssize_t n;

	do {
		n = take(ch, t);
	} while (!t->full && (n > 0 || (n < 0 && errno == EINTR)));
	if (n >= 0 || errno != EAGAIN)
		shut(&ch->from);
}

/* Until the command has ended: a process it left behind may keep the pipe
 * open. */
static int converse(struct child *ch, struct talk *t, int64_t until_ms)
{
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = ch->pid_fd, .events = POLLIN },
			{ .fd = ch->to, .events = POLLOUT },
			{ .fd = ch->from, .events = POLLIN },
		};
		int64_t left = until_ms - clock_mono_ms();
		int n = left > 0 ? poll(fds, 3, (int)left) : 0;

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -ETIMEDOUT;
		if (n < 0)
			continue;
		if (fds[1].revents)
			feed(ch, t);
		if (fds[2].revents || (fds[0].revents && ch->from >= 0))
			drain(ch, t);
		if (t->full)
			return -EFBIG;
		if (fds[0].revents)
			return 0;
	}
}

/* ---- the end ------------------------------------------------------------- */

static void tell(const struct child *ch, int sig)
{
	kill(ch->leads ? -ch->pid : ch->pid, sig);
}

/* Reaps it, by force if need be. Its exit status or -ECHILD. */
static int finish(struct child *ch, bool ended)
{
	struct pollfd fd = { .fd = ch->pid_fd, .events = POLLIN };
	int status;

	shut(&ch->to);
	shut(&ch->from);
	if (!ended) {
		tell(ch, SIGTERM);
		if (ch->pid_fd < 0 || poll(&fd, 1, KILL_AFTER_MS) <= 0)
			tell(ch, SIGKILL);
	}
	shut(&ch->pid_fd);
	while (waitpid(ch->pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -ECHILD;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
}

/* Writing to a command that has ended must not end us. */
static void block_sigpipe(sigset_t *old)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, old);
}

static void restore_sigpipe(const sigset_t *old)
{
	const struct timespec now = { 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	if (!sigismember(old, SIGPIPE))
		sigtimedwait(&set, NULL, &now);
	pthread_sigmask(SIG_SETMASK, old, NULL);
}

int command_run(const struct command *c, void *out, size_t size,
                size_t *out_len)
{
	struct talk t = {
		.in = c->in, .in_left = c->in_len, .out = out, .size = size
	};
	struct child ch = { .pid = -1, .pid_fd = -1, .to = -1, .from = -1 };
	sigset_t old;
	int rc, status = 0;

	rc = start(c, &ch);
	block_sigpipe(&old);
	if (rc == 0)
		rc = converse(&ch, &t, clock_mono_ms() + c->limit_ms);
	restore_sigpipe(&old);
	if (ch.pid > 0)
		status = finish(&ch, rc == 0);
	if (rc < 0)
		return rc;
	*out_len = t.len;
	return status;
}
