#include "fs/bwlimit.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "fs/lock.h"
#include "fs/timetable.h"
#include "net/clock.h"
#include "net/http.h"
#include "net/log.h"

#define LOOK_MS (60 * 60 * 1000)

struct bwlimit {
	struct http *http;
	struct timetable up, down;
	pthread_mutex_t lock;     /* LOCK_LEAF: below */
	struct http_timer *timer; /* NULL: it runs, or none could be had */
	uint64_t up_rate, down_rate;
};

static int64_t now_s(void)
{
	return clock_real_ns() / NS_PER_SEC;
}

int bwlimit_now(const char *limit, uint64_t *out_bytes_per_s)
{
	struct timetable t;
	int64_t until;
	int rc = timetable_parse(limit, &t);

	tzset();
	if (rc == 0)
		*out_bytes_per_s = timetable_at(&t, now_s(), &until);
	return rc;
}

static void on_timer(void *arg)
{
	struct bwlimit *b = arg;

	lock_take(&b->lock, LOCK_LEAF);
	b->timer = NULL;
	lock_drop(&b->lock, LOCK_LEAF);
	bwlimit_look(b);
}

/* The clock may have been set back: never more than so long from now. */
static int64_t delay_ms(int64_t until_s)
{
	int64_t real_ms = clock_real_ns() / 1000000;

	if (until_s > real_ms / 1000 + LOOK_MS / 1000)
		return LOOK_MS;
	return until_s * 1000 > real_ms ? until_s * 1000 - real_ms : 1;
}

static void arm(struct bwlimit *b, int64_t until_s)
{
	lock_take(&b->lock, LOCK_LEAF);
	if (!b->timer || http_cancel_timer(b->timer)) {
		b->timer = NULL;
		/* Without one (no memory, or the end) it stays as it is. */
		http_call_later(b->http, delay_ms(until_s), on_timer, b,
		                &b->timer);
	}
	lock_drop(&b->lock, LOCK_LEAF);
}

void bwlimit_look(struct bwlimit *b)
{
	int64_t up_until, down_until, now = now_s();
	uint64_t up, down;
	bool changed;

	if (!b)
		return;
	tzset(); /* it may be another one by now */
	up = timetable_at(&b->up, now, &up_until);
	down = timetable_at(&b->down, now, &down_until);
	lock_take(&b->lock, LOCK_LEAF);
	changed = up != b->up_rate || down != b->down_rate;
	b->up_rate = up;
	b->down_rate = down;
	lock_drop(&b->lock, LOCK_LEAF);
	if (changed) {
		log_info("bwlimit up=%" PRIu64 " down=%" PRIu64
		         " bytes a second; 0: no limit",
		         up, down);
		http_set_limits(b->http, up, down);
	}
	arm(b, up_until < down_until ? up_until : down_until);
}

int bwlimit_new(struct http *http, const char *up, const char *down,
                struct bwlimit **out_b)
{
	struct bwlimit *b = calloc(1, sizeof(*b));
	int rc = b ? timetable_parse(up, &b->up) : -ENOMEM;

	if (rc == 0)
		rc = timetable_parse(down, &b->down);
	*out_b = NULL;
	if (rc < 0 || (!b->up.n && !b->down.n)) {
		free(b);
		return rc;
	}
	b->http = http;
	b->up_rate = b->down_rate = UINT64_MAX; /* told in any case */
	pthread_mutex_init(&b->lock, NULL);
	*out_b = b;
	bwlimit_look(b);
	return 0;
}

void bwlimit_free(struct bwlimit *b)
{
	if (!b)
		return;
	pthread_mutex_destroy(&b->lock);
	free(b);
}
