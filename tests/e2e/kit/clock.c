/* tests/e2e/kit/clock.c -- a wall clock that a test may set, for one process:
 * LD_PRELOAD. The file NMB_TEST_CLOCK holds how many seconds it is ahead, and
 * how many the machine has slept, as two int64_t. CLOCK_MONOTONIC is left
 * alone; CLOCK_BOOTTIME has the sleep in it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead;

__attribute__((constructor)) static void find(void)
{
	const char *path = getenv("NMB_TEST_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *map;

	if (fd < 0)
		return;
	map = mmap(NULL, 2 * sizeof(*ahead), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		ahead = map;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = (int)syscall(SYS_clock_gettime, id, t);

	if (rc == 0 && ahead &&
	    (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		t->tv_sec += ahead[0];
	if (rc == 0 && ahead && id == CLOCK_BOOTTIME)
		t->tv_sec += ahead[1];
	return rc;
}

/* Timers of CLOCK_BOOTTIME are told by the clock above. */
int timerfd_settime(int fd, int flags, const struct itimerspec *in,
                    struct itimerspec *old)
{
	struct itimerspec t = *in;

	if (ahead && (flags & TFD_TIMER_ABSTIME) &&
	    !(flags & TFD_TIMER_CANCEL_ON_SET) &&
	    (t.it_value.tv_sec || t.it_value.tv_nsec)) {
		t.it_value.tv_sec -= ahead[1];
		if (t.it_value.tv_sec < 0)
			t.it_value = (struct timespec){ .tv_nsec = 1 };
	}
	return (int)syscall(SYS_timerfd_settime, fd, flags, &t, old);
}

time_t time(time_t *out)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (out)
		*out = t.tv_sec;
	return t.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
	struct timespec t;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &t);
	out->tv_sec = t.tv_sec;
	out->tv_usec = t.tv_nsec / 1000;
	return 0;
}
