#include "fs/service.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/config.h"
#include "fs/engine.h"
#include "fs/events.h"
#include "fs/lock.h"
#include "fs/nmb.h"
#include "fs/pulse.h"
#include "fs/sdnotify.h"
#include "net/clock.h"
#include "net/log.h"

#define STATUS_MS   1000 /* between two lines of status */
#define STATUS_SIZE 256
#define SIGNS       3 /* of life that fit into what is allowed */

struct service {
	struct nmb *nmb;
	struct sdnotify to;
	char told[STATUS_SIZE]; /* the thread's */
	int64_t sign_ms;        /* the thread's: the next one is due */
	bool failed;            /* and that was said */

	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* LOCK_LEAF: below */
	pthread_cond_t turn;
	bool touched, ready, stop;
};

/* ---- telling ------------------------------------------------------------- */

static void tell(struct service *s, const char *state)
{
	int rc = sdnotify_send(&s->to, state);
	bool said;

	lock_take(&s->lock, LOCK_LEAF);
	said = s->failed;
	s->failed = rc < 0;
	lock_drop(&s->lock, LOCK_LEAF);
	if (rc < 0 && !said)
		log_warn("the service manager can't be told: %s",
		         strerror(-rc));
}

static void tell_status(struct service *s)
{
	char words[STATUS_SIZE], line[STATUS_SIZE + 16];
	struct engine_status st;

	engine_get_status(s->nmb->engine, &st);
	service_words(&st, words, sizeof(words));
	if (!strcmp(words, s->told))
		return;
	strcpy(s->told, words);
	snprintf(line, sizeof(line), "STATUS=%s", words);
	tell(s, line);
}

/* ---- signs of life ------------------------------------------------------- */

static int64_t sign_every_ms(const struct service *s)
{
	return s->to.watchdog_ms / SIGNS > 0 ? s->to.watchdog_ms / SIGNS : 1;
}

static void give_sign(struct service *s)
{
	struct engine *e = s->nmb->engine;
	struct pulse *p = s->nmb->pulse;
	bool loop = pulse_answered(p), engine = engine_answered(e);

	s->sign_ms = clock_mono_ms() + sign_every_ms(s);
	if (!loop || !engine) {
		log_warn("watchdog: no answer for %" PRId64 " ms engine=%s "
		         "fuse=%s",
		         sign_every_ms(s), engine ? "ok" : "stuck",
		         loop ? "ok" : "stuck");
		return;
	}
	tell(s, "WATCHDOG=1");
	pulse_ask(p);
	engine_ask(e);
}

/* ---- the thread ---------------------------------------------------------- */

static void look(struct service *s, bool touched)
{
	if (touched)
		tell_status(s);
	if (s->to.watchdog_ms && clock_mono_ms() >= s->sign_ms)
		give_sign(s);
}

/* False: the end. */
static bool wait_turn(struct service *s, int64_t rest_ms, bool *out_touched)
{
	int64_t sign_ms = s->to.watchdog_ms ? s->sign_ms : -1;
	bool stop;

	lock_take(&s->lock, LOCK_LEAF);
	while (!s->stop) {
		int64_t now = clock_mono_ms(), until = sign_ms;

		if (s->ready && sign_ms >= 0 && now >= sign_ms)
			break;
		if (s->ready && s->touched && now >= rest_ms)
			break;
		if (s->touched && (until < 0 || rest_ms < until))
			until = rest_ms;
		lock_wait_until(&s->turn, &s->lock, s->ready ? until : -1);
	}
	*out_touched = s->touched && clock_mono_ms() >= rest_ms;
	if (*out_touched)
		s->touched = false;
	stop = s->stop;
	lock_drop(&s->lock, LOCK_LEAF);
	return !stop;
}

static void *service_run(void *arg)
{
	struct service *s = arg;
	int64_t rest_ms = 0;
	bool touched;

	while (wait_turn(s, rest_ms, &touched)) {
		look(s, touched);
		if (touched)
			rest_ms = clock_mono_ms() + STATUS_MS;
	}
	return NULL;
}

/* events_wake_fn: of many touches before a look only the first signals. */
static void on_touch(void *arg)
{
	struct service *s = arg;

	lock_take(&s->lock, LOCK_LEAF);
	if (!s->touched)
		pthread_cond_broadcast(&s->turn);
	s->touched = true;
	lock_drop(&s->lock, LOCK_LEAF);
}

/* ---- what the mount says ------------------------------------------------- */

void service_ready(struct service *s)
{
	if (!s)
		return;
	tell(s, "READY=1\nSTATUS=mounted");
	lock_take(&s->lock, LOCK_LEAF);
	s->ready = s->touched = true;
	pthread_cond_broadcast(&s->turn);
	lock_drop(&s->lock, LOCK_LEAF);
}

void service_stopping(struct service *s)
{
	if (s)
		tell(s, "STOPPING=1\nSTATUS=ending; what is unsent is kept");
}

/* ---- life ---------------------------------------------------------------- */

int service_new(struct nmb *nmb, struct service **out_s)
{
	struct service *s;
	int rc;

	*out_s = NULL;
	/* In the background it would speak for whoever has started it. */
	if (!config_bool(nmb->config, CONFIG_FOREGROUND))
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	rc = sdnotify_init(&s->to);
	if (rc < 0) {
		if (rc != -ENOENT)
			log_warn("NOTIFY_SOCKET: %s", strerror(-rc));
		free(s);
		return 0;
	}
	s->nmb = nmb;
	pthread_mutex_init(&s->lock, NULL);
	lock_cond_init(&s->turn);
	events_listen(nmb->events, on_touch, s);
	*out_s = s;
	return 0;
}

int service_start(struct service *s)
{
	int rc = s ? -pthread_create(&s->thread, NULL, service_run, s) : 0;

	if (s)
		s->started = rc == 0;
	return rc;
}

void service_stop(struct service *s)
{
	if (!s || !s->started)
		return;
	lock_take(&s->lock, LOCK_LEAF);
	s->stop = true;
	pthread_cond_broadcast(&s->turn);
	lock_drop(&s->lock, LOCK_LEAF);
	pthread_join(s->thread, NULL);
	s->started = false;
}

void service_free(struct service *s)
{
	if (!s)
		return;
	sdnotify_done(&s->to);
	pthread_cond_destroy(&s->turn);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
