#include "fs/resume.h"

#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "net/clock.h"
#include "net/log.h"

#define MIN_SLEEP_MS 5000

static int64_t read_ms(clockid_t id)
{
	struct timespec ts = { 0, 0 };

	clock_gettime(id, &ts);
	return clock_timespec_to_ns(ts) / 1000000;
}

/* Far ahead, and cancelled before. */
static void arm(struct resume *r)
{
	struct itimerspec at = { .it_value.tv_sec = INT32_MAX };
	struct timespec now = { 0, 0 };

	clock_gettime(CLOCK_REALTIME, &now);
	at.it_value.tv_sec = now.tv_sec + INT32_MAX;
	if (timerfd_settime(r->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
	                    &at, NULL) < 0) {
		close(r->fd);
		r->fd = -1;
	}
}

void resume_init(struct resume *r)
{
	r->asleep_ms = 0;
	resume_note(r, read_ms(CLOCK_BOOTTIME), read_ms(CLOCK_MONOTONIC));
	r->fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (r->fd >= 0)
		arm(r);
}

void resume_done(struct resume *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

bool resume_note(struct resume *r, int64_t boot_ms, int64_t mono_ms)
{
	int64_t before_ms = r->asleep_ms;

	r->asleep_ms = boot_ms - mono_ms;
	return r->asleep_ms - before_ms > MIN_SLEEP_MS;
}

bool resume_has_slept(struct resume *r)
{
	int64_t before_ms = r->asleep_ms;
	uint64_t ticks;
	bool slept;

	if (read(r->fd, &ticks, sizeof(ticks)) >= 0)
		return false; /* 68 years have passed */
	arm(r);
	slept = resume_note(r, read_ms(CLOCK_BOOTTIME),
	                    read_ms(CLOCK_MONOTONIC));
	if (slept)
		log_info("resume slept_ms=%lld",
		         (long long)(r->asleep_ms - before_ms));
	return slept;
}
