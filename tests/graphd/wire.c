#include "tests/graphd/wire.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <stdlib.h>

#include "net/clock.h"
#include "tests/graphd/must.h"

#define STALL_STEP_MS 20
#define BURST_NS      (20 * INT64_C(1000000)) /* of idle line that counts */

struct wire {
	pthread_mutex_t lock;
	int64_t latency_ms[CLASS_COUNT]; /* -1: as `other_ms` */
	int64_t other_ms, connect_ms;
	struct line {
		int64_t bytes_per_s;
		int64_t free_ns; /* when the line is free again */
	} lines[2];
	unsigned releases; /* of stalls, so far */
	int stop_fd;
};

int wire_new(struct wire **out_w)
{
	struct wire *w = must_alloc(sizeof(*w));

	w->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (w->stop_fd < 0) {
		free(w);
		return -errno;
	}
	pthread_mutex_init(&w->lock, NULL);
	wire_reset(w);
	*out_w = w;
	return 0;
}

void wire_reset(struct wire *w)
{
	pthread_mutex_lock(&w->lock);
	for (int i = 0; i < CLASS_COUNT; i++)
		w->latency_ms[i] = -1;
	w->other_ms = w->connect_ms = 0;
	memset(w->lines, 0, sizeof(w->lines));
	pthread_mutex_unlock(&w->lock);
}

void wire_free(struct wire *w)
{
	if (!w)
		return;
	close(w->stop_fd);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void wire_stop(struct wire *w)
{
	uint64_t one = 1;
	ssize_t n = write(w->stop_fd, &one, sizeof(one));

	(void)n;
}

static int set_one(struct wire *w, const cJSON *m)
{
	enum route_class class = route_class_of(m->string);
	int64_t ms = (int64_t)m->valuedouble;

	if (!cJSON_IsNumber(m))
		return -EINVAL;
	if (!strcmp(m->string, "*"))
		w->other_ms = ms;
	else if (!strcmp(m->string, "connect"))
		w->connect_ms = ms;
	else if (class != CLASS_COUNT)
		w->latency_ms[class] = ms;
	else
		return -EINVAL;
	return 0;
}

int wire_set_latency(struct wire *w, const cJSON *latency)
{
	const cJSON *m;
	int rc = cJSON_IsObject(latency) ? 0 : -EINVAL;

	pthread_mutex_lock(&w->lock);
	cJSON_ArrayForEach (m, latency) {
		if (rc == 0)
			rc = set_one(w, m);
	}
	pthread_mutex_unlock(&w->lock);
	return rc;
}

int wire_set_bandwidth(struct wire *w, const cJSON *bandwidth)
{
	const cJSON *m;
	int rc = cJSON_IsObject(bandwidth) ? 0 : -EINVAL;

	pthread_mutex_lock(&w->lock);
	cJSON_ArrayForEach (m, bandwidth) {
		int dir = !strcmp(m->string, "up")     ? WIRE_UP
		          : !strcmp(m->string, "down") ? WIRE_DOWN
		                                       : -1;

		if (dir < 0 || !cJSON_IsNumber(m))
			rc = -EINVAL;
		else
			w->lines[dir].bytes_per_s = (int64_t)m->valuedouble;
	}
	pthread_mutex_unlock(&w->lock);
	return rc;
}

int64_t wire_latency_ms(struct wire *w, enum route_class class)
{
	int64_t ms;

	pthread_mutex_lock(&w->lock);
	ms = w->latency_ms[class] < 0 ? w->other_ms : w->latency_ms[class];
	pthread_mutex_unlock(&w->lock);
	return ms;
}

int64_t wire_connect_ms(struct wire *w)
{
	int64_t ms;

	pthread_mutex_lock(&w->lock);
	ms = w->connect_ms;
	pthread_mutex_unlock(&w->lock);
	return ms;
}

static bool sleep_ns(struct wire *w, int fd, int64_t ns)
{
	struct timespec ts = clock_ns_to_timespec(ns);
	struct pollfd p[2] = {
		{ .fd = w->stop_fd, .events = POLLIN },
		{ .fd = fd, .events = POLLRDHUP },
	};

	return ppoll(p, 2, &ts, NULL) == 0;
}

bool wire_sleep(struct wire *w, int fd, int64_t ms)
{
	return ms <= 0 || sleep_ns(w, fd, ms * 1000000);
}

unsigned wire_releases(struct wire *w)
{
	unsigned n;

	pthread_mutex_lock(&w->lock);
	n = w->releases;
	pthread_mutex_unlock(&w->lock);
	return n;
}

bool wire_stall(struct wire *w, int fd, int64_t ms)
{
	return wire_stall_since(w, fd, ms, wire_releases(w));
}

bool wire_stall_since(struct wire *w, int fd, int64_t ms, unsigned releases)
{
	int64_t end = clock_mono_ms() + ms, left;

	while ((left = end - clock_mono_ms()) > 0 &&
	       wire_releases(w) == releases) {
		if (!wire_sleep(w, fd,
		                left < STALL_STEP_MS ? left : STALL_STEP_MS))
			return false;
	}
	return true;
}

void wire_release(struct wire *w)
{
	pthread_mutex_lock(&w->lock);
	w->releases++;
	pthread_mutex_unlock(&w->lock);
}

bool wire_is_limited(struct wire *w, enum wire_dir dir)
{
	bool limited;

	pthread_mutex_lock(&w->lock);
	limited = w->lines[dir].bytes_per_s > 0;
	pthread_mutex_unlock(&w->lock);
	return limited;
}

static int64_t mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return clock_timespec_to_ns(ts);
}

bool wire_pass(struct wire *w, int fd, enum wire_dir dir, uint64_t bytes)
{
	struct line *line = &w->lines[dir];
	int64_t now, wait_ns = 0;

	pthread_mutex_lock(&w->lock);
	if (line->bytes_per_s > 0) {
		now = mono_ns();
		if (line->free_ns < now - BURST_NS)
			line->free_ns = now - BURST_NS;
		line->free_ns += (int64_t)((double)bytes * 1e9 /
		                           (double)line->bytes_per_s);
		wait_ns = line->free_ns - now;
	}
	pthread_mutex_unlock(&w->lock);
	return wait_ns <= 0 || sleep_ns(w, fd, wait_ns);
}
