#include "net/pace.h"

#include <assert.h>
#include <ctype.h>
#include <stddef.h>
#include <string.h>

#define START_WINDOW 8
#define MINUTE_MS    INT64_C(60000)
#define SLACK_US     INT64_C(500000) /* catching up after a late wake-up */

/* RateLimit-Reset is in whole seconds: the minute may end a second later. */
#define RESET_MARGIN_MS 1000

/* Units per minute: a quarter of the lowest published limit (facts 10.1). Less
 * is never guessed: a 429 early in a burst says little about the minute. */
#define MIN_RATE  300
#define MAX_LIMIT 1000000000

void pace_init(struct pace *p)
{
	memset(p, 0, sizeof(*p));
	p->window_milli = START_WINDOW * 1000;
	p->event_ms = -1;
	p->full_ms = -1;
}

static int64_t max_i64(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* ---- units spent in the last minute ------------------------------------ */

static void roll_spent(struct pace *p, int64_t now_ms)
{
	int64_t now_s = now_ms / 1000, n = now_s - p->spent_s;

	if (n >= 60)
		n = 60;
	for (; n > 0; n--)
		p->spent[(now_s - n + 1) % 60] = 0;
	p->spent_s = max_i64(p->spent_s, now_s);
}

static int64_t spent_in_minute(struct pace *p, int64_t now_ms)
{
	int64_t sum = 0;

	roll_spent(p, now_ms);
	for (size_t i = 0; i < 60; i++)
		sum += p->spent[i];
	return sum;
}

/* ---- asking ------------------------------------------------------------ */

/* The last of the budget is for somebody who waits. */
static int64_t reserve(const struct pace *p, enum pace_class class)
{
	return class == PACE_USER ? 0 : max_i64(p->limit / 64, 1);
}

static void roll_budget(struct pace *p, int64_t now_ms)
{
	if (!p->limit || now_ms < p->end_ms)
		return;
	p->begin_ms = now_ms;
	p->end_ms += ((now_ms - p->end_ms) / MINUTE_MS + 1) * MINUTE_MS;
	p->left = p->limit - p->units_in_flight;
	p->told_left = INT64_MAX;
	p->next_us = 0;
}

static bool reads_now(const struct pace *p)
{
	return p->in_flight_of[PACE_USER] || p->in_flight_of[PACE_READ_AHEAD];
}

static unsigned share(const struct pace *p, enum pace_class class)
{
	unsigned slots = (unsigned)p->window_milli / 1000;

	if (p->probing)
		return 1;
	/* Whoever has nothing under way must not starve. */
	if (!p->in_flight_of[class])
		return slots;
	switch (class) {
	case PACE_USER:
		return slots;
	case PACE_META:
		return slots - slots / 8;
	case PACE_READ_AHEAD:
		return slots - slots / 4;
	case PACE_UPLOAD:
		/* While nothing is read, room for the first reads is enough. */
		return reads_now(p) ? slots - slots / 4 - slots / 8
		                    : slots - slots / 8;
	case PACE_CLASSES:
		break;
	}
	assert(!"class");
	return 0;
}

static int64_t budget_due_ms(const struct pace *p, enum pace_class class,
                             unsigned units, int64_t now_ms)
{
	int64_t left = p->left - reserve(p, class);

	/* More units than a minute has go at its begin, by themselves. */
	if (p->limit && left < units &&
	    (units < p->limit || p->left < p->limit))
		return p->end_ms;
	if (class == PACE_USER)
		return now_ms;
	return (p->next_us + 999) / 1000;
}

int64_t pace_ask(struct pace *p, enum pace_class class, unsigned units,
                 int64_t now_ms)
{
	int64_t due_ms;

	roll_budget(p, now_ms);
	if (now_ms < p->frozen_until_ms)
		return p->frozen_until_ms;
	if (p->in_flight >= share(p, class))
		return PACE_ON_DONE;
	due_ms = budget_due_ms(p, class, units, now_ms);
	return due_ms <= now_ms ? 0 : due_ms;
}

int pace_pick(struct pace *p, const unsigned units[PACE_CLASSES],
              int64_t now_ms, int64_t *out_again_ms)
{
	int64_t again_ms = PACE_ON_DONE;

	for (int i = 0; i < PACE_CLASSES; i++) {
		int64_t at;

		if (!units[i])
			continue;
		at = pace_ask(p, (enum pace_class)i, units[i], now_ms);
		if (at == 0)
			return i;
		if (at < again_ms)
			again_ms = at;
	}
	*out_again_ms = again_ms;
	return -1;
}

/* How long one unit takes, by what is left of the minute: at half of the
 * budget four times as fast as an even spread, at its end as fast. */
static int64_t budget_unit_us(const struct pace *p, int64_t now_ms)
{
	int64_t left = p->left - reserve(p, PACE_UPLOAD);
	int64_t time_us = (p->end_ms - now_ms) * 1000;

	if (!p->limit || p->left > p->limit / 2)
		return 0;
	if (left < 1)
		left = 1;
	return time_us / left * p->limit / (p->limit + 6 * left);
}

void pace_start(struct pace *p, enum pace_class class, unsigned units,
                int64_t now_ms, struct pace_ticket *out_t)
{
	int64_t unit_us, rate_us = 0;

	if (p->in_flight + 1 >= share(p, class))
		p->full_ms = now_ms;
	roll_budget(p, now_ms);
	roll_spent(p, now_ms);
	unit_us = budget_unit_us(p, now_ms);
	if (p->rate)
		rate_us = MINUTE_MS * 1000 / p->rate;
	p->next_us = max_i64(p->next_us, now_ms * 1000 - SLACK_US) +
	             units * max_i64(unit_us, rate_us);
	p->spent[now_ms / 1000 % 60] += units;
	p->left -= units;
	p->units_in_flight += units;
	p->in_flight++;
	p->in_flight_of[class]++;
	*out_t = (struct pace_ticket){
		.class = class,
		.units = units,
		.started_ms = now_ms,
	};
}

/* ---- learning ---------------------------------------------------------- */

static void learn_budget(struct pace *p, const struct pace_ticket *t,
                         const struct pace_result *res, int64_t now_ms)
{
	int64_t end_ms = now_ms + res->reset_ms + RESET_MARGIN_MS;
	int64_t differs = end_ms - p->end_ms;

	if (res->limit <= 0 || res->limit > MAX_LIMIT || res->remaining < 0 ||
	    res->reset_ms < 0 || (p->limit && t->started_ms < p->begin_ms))
		return; /* not told, or told about an earlier minute */
	if (p->limit != res->limit || differs > 2000 || differs < -2000) {
		p->limit = res->limit;
		p->begin_ms = t->started_ms;
		p->end_ms = end_ms;
		p->told_left = INT64_MAX;
	}
	p->end_ms = max_i64(p->end_ms, end_ms);
	/* Answers overtake each other: the lowest number is the newest. What
	 * is in flight may not have been counted there yet. */
	if (res->remaining <= p->told_left) {
		p->told_left = res->remaining;
		p->left = res->remaining - p->units_in_flight;
	}
}

static int64_t back_off(unsigned n, int64_t first_ms, int64_t max_ms,
                        uint32_t random)
{
	int64_t ms = first_ms;

	for (; n > 1 && ms < max_ms; n--)
		ms *= 2;
	if (ms > max_ms)
		ms = max_ms;
	return ms - (int64_t)((uint64_t)(ms / 2) * random / UINT32_MAX);
}

static int64_t freeze_time(const struct pace *p, const struct pace_result *res)
{
	int64_t told_ms = max_i64(res->retry_after_ms, res->reset_ms);

	if (told_ms >= 0)
		return max_i64(told_ms, 1000);
	if (res->status == 509)
		return back_off(p->events_in_row, 120000, 900000, res->random);
	return back_off(p->events_in_row, 4000, 120000, res->random);
}

/* No RateLimit-* explains it: what went in the last minute was too much. */
static void guess_rate(struct pace *p, int64_t now_ms)
{
	int64_t spent = spent_in_minute(p, now_ms);

	if (p->rate && p->rate < spent)
		spent = p->rate;
	p->rate = max_i64(spent * 4 / 5, MIN_RATE);
	p->rate_grown_ms = now_ms;
}

/* Of all requests that were under way when it happened, one counts. */
static bool is_new_event(const struct pace *p, const struct pace_ticket *t)
{
	return t->started_ms > p->event_ms;
}

static void halve_window(struct pace *p, int64_t now_ms)
{
	p->event_ms = now_ms;
	p->window_milli /= 2;
	if (p->window_milli < PACE_MIN_WINDOW * 1000)
		p->window_milli = PACE_MIN_WINDOW * 1000;
}

void pace_throttled(struct pace *p, const struct pace_ticket *t,
                    const struct pace_result *res, int64_t now_ms)
{
	bool explained = res->limit > 0 && res->remaining >= 0 &&
	                 res->remaining <= res->limit / 50;

	if (is_new_event(p, t)) {
		halve_window(p, now_ms);
		p->events_in_row++;
		p->probing = true;
		if (!explained)
			guess_rate(p, now_ms);
	}
	p->frozen_until_ms =
		max_i64(p->frozen_until_ms, now_ms + freeze_time(p, res));
}

static void on_success(struct pace *p, const struct pace_ticket *t,
                       int64_t now_ms)
{
	p->events_in_row = 0;
	if (p->full_ms >= t->started_ms &&
	    p->window_milli < PACE_MAX_WINDOW * 1000)
		p->window_milli +=
			p->event_ms < 0 ? 1000 : 1000 * 1000 / p->window_milli;
	if (p->rate && now_ms - p->rate_grown_ms >= 10000) {
		p->rate += p->rate / 100 + 1;
		p->rate_grown_ms = now_ms;
	}
}

static bool is_throttle(const struct pace_result *res)
{
	return res->status == 429 || res->status == 509 ||
	       (res->status == 503 && res->retry_after_ms >= 0);
}

void pace_done(struct pace *p, const struct pace_ticket *t,
               const struct pace_result *res, int64_t now_ms)
{
	assert(p->in_flight > 0 && p->in_flight_of[t->class] > 0);
	p->in_flight--;
	p->in_flight_of[t->class]--;
	p->units_in_flight -= t->units;
	roll_budget(p, now_ms);
	learn_budget(p, t, res, now_ms);
	if (is_throttle(res)) {
		pace_throttled(p, t, res, now_ms);
		return;
	}
	if (res->status == 0 || !is_new_event(p, t))
		return; /* says nothing about the time since */
	p->probing = false;
	if (res->status == 503)
		halve_window(p, now_ms);
	else if (res->status < 500)
		on_success(p, t, now_ms);
}

int64_t pace_frozen_until(const struct pace *p, int64_t now_ms)
{
	return p->frozen_until_ms > now_ms ? p->frozen_until_ms : 0;
}

int64_t pace_parse_units(const char *header)
{
	int64_t n = 0;

	if (!header)
		return -1;
	header += strspn(header, " \t");
	if (!isdigit((unsigned char)*header))
		return -1;
	for (; isdigit((unsigned char)*header); header++) {
		if (n < INT64_C(1000000000000))
			n = n * 10 + (*header - '0');
	}
	return n;
}
