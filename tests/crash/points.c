/* tests/crash/points.c -- the death of the program at a place with a name
 * (net/crashpoint.h), by what the environment says:
 *
 *	NMB_CRASH=FILE       what to do; looked for at each pass until it is
 *	                     there, so that a running program can be told
 *	NMB_CRASH_MARK=FILE  the name is appended to it before the death
 *	NMB_CRASH_SEEN=FILE  each name is appended to it at its first pass
 *	NMB_CRASH_LIST=1     print all names, and end
 *
 * What to do is a line: NAME N, kill -9 at the N-th pass of that place from
 * now on; NAME N abort, abort() there instead. NAME * is any place.
 *
 * Threads: passes are counted with a mutex held, so the N-th is one. */
#include "net/crashpoint.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_POINTS 512

/* Of the linker: all that CRASH_POINT() made. */
extern const char __start_crash_points[], __stop_crash_points[];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char wanted[CRASH_NAME_SIZE];
static long left; /* passes until death; 0: nobody asked for it yet */
static bool aborts;
static bool seen[MAX_POINTS];

static void note(const char *variable, const char *name)
{
	const char *path = getenv(variable);
	char line[CRASH_NAME_SIZE + 1];
	int fd, n;

	if (!path)
		return;
	n = snprintf(line, sizeof(line), "%s\n", name);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		abort();
	close(fd);
}

static void note_seen(const char *name)
{
	size_t i = (size_t)(name - __start_crash_points) / CRASH_NAME_SIZE;

	if (i < MAX_POINTS && !seen[i]) {
		seen[i] = true;
		note("NMB_CRASH_SEEN", name);
	}
}

static void read_wish(void)
{
	const char *path = getenv("NMB_CRASH");
	char line[64] = "", how[8] = "";
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	if (read(fd, line, sizeof(line) - 1) < 0 ||
	    sscanf(line, "%31s %ld %7s", wanted, &left, how) < 2)
		abort();
	close(fd);
	aborts = !strcmp(how, "abort");
}

static bool is_wanted(const char *name)
{
	return wanted[0] == '*' || !strcmp(wanted, name);
}

void crash_pass(const char *name)
{
	pthread_mutex_lock(&lock);
	note_seen(name);
	if (!left)
		read_wish();
	if (left > 0 && is_wanted(name) && --left == 0) {
		note("NMB_CRASH_MARK", name);
		if (aborts)
			abort();
		kill(getpid(), SIGKILL);
	}
	pthread_mutex_unlock(&lock);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void list_all(void)
{
	const char *names[MAX_POINTS], *last = "";
	size_t n = 0;

	/* Both are ends of one section. */
	/* cppcheck-suppress comparePointers */
	for (const char *p = __start_crash_points; p < __stop_crash_points;
	     p += CRASH_NAME_SIZE) {
		if (*p && n < MAX_POINTS)
			names[n++] = p;
	}
	qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(last, names[i]) != 0)
			puts(names[i]);
		last = names[i];
	}
}

__attribute__((constructor)) static void answer_list(void)
{
	if (!getenv("NMB_CRASH_LIST"))
		return;
	list_all();
	fflush(stdout);
	_exit(0);
}
