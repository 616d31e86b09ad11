#include "fs/statelock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "fs/control.h"
#include "net/clock.h"

#define HOLDER_BYTES 4300
#define TRY_MS       50

static int open_lock(const char *state_dir, int flags)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/lock", state_dir) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, flags | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

static void pause_a_moment(void)
{
	struct timespec ts = { .tv_nsec = TRY_MS * 1000000L };

	nanosleep(&ts, NULL);
}

/* "PID MOUNTPOINT", or "PID -" while draining. */
static void read_holder(int fd, char out[HOLDER_BYTES])
{
	ssize_t n = pread(fd, out, HOLDER_BYTES - 1, 0);

	out[n < 0 ? 0 : n] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

static void ask_to_stop(const char *state_dir)
{
	cJSON *req = cJSON_CreateObject();
	char why[128];

	cJSON_AddStringToObject(req, "do", "stop");
	control_call(state_dir, req, 1000, NULL, NULL, why, sizeof(why));
	cJSON_Delete(req);
}

int statelock_note(int fd, const char *mountpoint)
{
	char line[HOLDER_BYTES];
	int n = snprintf(line, sizeof(line), "%ld %s\n", (long)getpid(),
	                 mountpoint[0] ? mountpoint : "-");

	if (n < 0 || n >= (int)sizeof(line))
		return -ENAMETOOLONG;
	if (ftruncate(fd, 0) < 0 || pwrite(fd, line, (size_t)n, 0) != n)
		return -EIO;
	return 0;
}

int statelock_take(const char *state_dir, const char *mountpoint, int wait_ms,
                   int *out_fd, char *why, size_t why_size)
{
	int64_t until = clock_mono_ms() + wait_ms;
	char holder[HOLDER_BYTES] = "";
	bool asked = false;
	int rc, fd = open_lock(state_dir, O_RDWR | O_CREAT);

	if (fd < 0) {
		snprintf(why, why_size, "%s/lock: %s", state_dir,
		         strerror(-fd));
		return fd;
	}
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		read_holder(fd, holder);
		if (!asked && strstr(holder, " -"))
			ask_to_stop(state_dir);
		asked = true;
		if (!strstr(holder, " -") || clock_mono_ms() >= until) {
			snprintf(why, why_size,
			         "%s is in use by process %s; unmount that "
			         "first, or use another --profile",
			         state_dir, holder);
			close(fd);
			return -EBUSY;
		}
		pause_a_moment();
	}
	rc = statelock_note(fd, mountpoint);
	if (rc < 0) {
		snprintf(why, why_size, "%s/lock: %s", state_dir,
		         strerror(-rc));
		close(fd);
		return rc;
	}
	*out_fd = fd;
	return 0;
}

int statelock_read(const char *state_dir, long *out_pid, char *out_mountpoint,
                   size_t size)
{
	char holder[HOLDER_BYTES], *rest;
	int fd = open_lock(state_dir, O_RDONLY);
	bool held;
	long pid;

	if (fd < 0)
		return fd;
	held = flock(fd, LOCK_SH | LOCK_NB) < 0;
	read_holder(fd, holder);
	close(fd);
	pid = strtol(holder, &rest, 10);
	if (!held || pid <= 0 || *rest++ != ' ')
		return -ENOENT;
	if (!strcmp(rest, "-"))
		rest += 1;
	if (strlen(rest) >= size)
		return -ENAMETOOLONG;
	*out_pid = pid;
	strcpy(out_mountpoint, rest);
	return 0;
}

int statelock_wait_free(const char *state_dir, int wait_ms)
{
	int64_t until = clock_mono_ms() + wait_ms;
	int fd = open_lock(state_dir, O_RDONLY), rc = 0;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	while (rc == 0 && flock(fd, LOCK_SH | LOCK_NB) < 0) {
		if (wait_ms >= 0 && clock_mono_ms() >= until)
			rc = -ETIMEDOUT;
		else
			pause_a_moment();
	}
	close(fd);
	return rc;
}
