#include "net/pace.h"

#include <stdlib.h>

#include "tests/unit/check.h"

#define T0 INT64_C(1000000) /* the clock at the start of each test */

static const struct pace_result ok_result = {
	.status = 200,
	.retry_after_ms = -1,
	.limit = -1,
	.remaining = -1,
	.reset_ms = -1,
};

static struct pace_result result(long status, int64_t after_ms)
{
	struct pace_result r = ok_result;

	r.status = status;
	r.retry_after_ms = after_ms;
	return r;
}

static void one(struct pace *p, int64_t now_ms, const struct pace_result *res)
{
	struct pace_ticket t;

	pace_start(p, PACE_USER, 1, now_ms, &t);
	pace_done(p, &t, res, now_ms + 1);
}

static unsigned fill(struct pace *p, enum pace_class class, int64_t now_ms,
                     struct pace_ticket *tickets, unsigned max)
{
	unsigned n = 0;

	while (n < max && pace_ask(p, class, 1, now_ms) == 0)
		pace_start(p, class, 1, now_ms, &tickets[n++]);
	return n;
}

static void test_shares(void)
{
	static const unsigned want[PACE_CLASSES] = { 8, 7, 6, 7 };
	struct pace_ticket t[64];
	struct pace p;

	for (int class = 0; class < PACE_CLASSES; class ++) {
		check_row("class %d", class);
		pace_init(&p);
		CHECK_EQ(fill(&p, (enum pace_class) class, T0, t, 64),
		         want[class]);
		CHECK_EQ(pace_ask(&p, (enum pace_class) class, 1, T0),
		         PACE_ON_DONE);
	}
	/* Uploads have less while something is read. */
	pace_init(&p);
	pace_start(&p, PACE_READ_AHEAD, 1, T0, &t[0]);
	CHECK_EQ(fill(&p, PACE_UPLOAD, T0, t + 1, 63), 4);
	/* Reads leave room for one upload, uploads for those who wait. */
	pace_init(&p);
	fill(&p, PACE_READ_AHEAD, T0, t, 64);
	CHECK_EQ(fill(&p, PACE_UPLOAD, T0, t, 64), 1);
	CHECK_EQ(fill(&p, PACE_USER, T0, t, 64), 1);
	CHECK_EQ(pace_ask(&p, PACE_USER, 1, T0), PACE_ON_DONE);
}

static void test_pick(void)
{
	static const unsigned all[PACE_CLASSES] = { 1, 1, 1, 2 };
	static const unsigned no_user[PACE_CLASSES] = { 0, 1, 1, 2 };
	static const unsigned reads[PACE_CLASSES] = { 0, 0, 1, 2 };
	static const unsigned nobody[PACE_CLASSES] = { 0 };
	struct pace_ticket t[64], last;
	struct pace_result throttled = result(429, 5000);
	int64_t again = 0;
	struct pace p;

	pace_init(&p);
	CHECK_EQ(pace_pick(&p, all, T0, &again), PACE_USER);
	CHECK_EQ(pace_pick(&p, no_user, T0, &again), PACE_META);
	CHECK_EQ(pace_pick(&p, reads, T0, &again), PACE_READ_AHEAD);
	CHECK_EQ(pace_pick(&p, nobody, T0, &again), -1);
	CHECK_EQ(again, PACE_ON_DONE);

	/* Reads that take all they may don't stop uploads for good. */
	fill(&p, PACE_READ_AHEAD, T0, t, 64);
	CHECK_EQ(pace_pick(&p, reads, T0, &again), PACE_UPLOAD);
	pace_start(&p, PACE_UPLOAD, 2, T0, &last);
	CHECK_EQ(pace_pick(&p, reads, T0, &again), -1);
	CHECK_EQ(again, PACE_ON_DONE);

	pace_done(&p, &last, &throttled, T0 + 1);
	CHECK_EQ(pace_pick(&p, all, T0 + 2, &again), -1);
	CHECK_EQ(again, T0 + 5001);
}

static void test_window(void)
{
	struct pace_ticket t[64];
	struct pace_result throttled = result(429, 5000);
	int64_t now = T0;
	struct pace p;
	unsigned n = 0;

	pace_init(&p);
	for (int i = 0; i < 200; i++, now += 10) {
		n = fill(&p, PACE_USER, now, t, 64);
		for (unsigned j = 0; j < n; j++)
			pace_done(&p, &t[j], &ok_result, now + 5);
	}
	CHECK_EQ(n, PACE_MAX_WINDOW);

	/* All of a window throttled is one event, and halves it once. */
	n = fill(&p, PACE_USER, now, t, 64);
	for (unsigned j = 0; j < n; j++)
		pace_done(&p, &t[j], &throttled, now + 10 + j);
	CHECK_EQ(pace_ask(&p, PACE_USER, 1, now + 100),
	         now + 10 + n - 1 + 5000);
	CHECK_EQ(pace_frozen_until(&p, now + 100), now + 10 + n - 1 + 5000);
	now += 6000;
	CHECK_EQ(pace_frozen_until(&p, now), 0);

	/* One goes ahead; when it is back, half of the window follows. */
	CHECK_EQ(fill(&p, PACE_USER, now, t, 64), 1);
	pace_done(&p, &t[0], &ok_result, now + 5);
	CHECK_EQ(fill(&p, PACE_USER, now + 5, t, 64), PACE_MAX_WINDOW / 2);

	/* Never less than four. */
	pace_init(&p);
	for (int i = 0; i < 10; i++, now += 100000)
		one(&p, now, &throttled);
	one(&p, now, &ok_result);
	CHECK_EQ(fill(&p, PACE_USER, now + 1, t, 64), PACE_MIN_WINDOW);
}

static void test_idle_does_not_grow(void)
{
	struct pace p;

	pace_init(&p);
	for (int i = 0; i < 1000; i++)
		one(&p, T0 + i * 1000, &ok_result);
	CHECK_EQ(p.window_milli, 8000);
}

static void test_freezes(void)
{
	static const struct {
		long status;
		int64_t after_ms, reset_ms;
		uint32_t random;
		int64_t frozen_ms;
	} rows[] = {
		{ 429, 17000, -1, 9, 17000 },
		{ 429, 17000, 40000, 9, 40000 },
		{ 429, 60000, 40000, 9, 60000 },
		{ 429, 3360000, -1, 9, 3360000 },
		{ 429, -1, 30000, 9, 30000 },
		{ 429, -1, -1, 0, 4000 },
		{ 429, -1, -1, UINT32_MAX, 2000 },
		{ 429, 0, -1, 0, 1000 },
		{ 503, 12000, -1, 0, 12000 },
		{ 503, -1, -1, 0, 0 },
		{ 509, -1, -1, 0, 120000 },
		{ 509, 200000, -1, 0, 200000 },
		{ 500, 9000, -1, 0, 0 },
		{ 404, -1, -1, 0, 0 },
		{ 0, -1, -1, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pace_result r = result(rows[i].status, rows[i].after_ms);
		struct pace p;

		check_row("%ld #%zu", rows[i].status, i);
		r.reset_ms = rows[i].reset_ms;
		r.random = rows[i].random;
		pace_init(&p);
		one(&p, T0, &r);
		CHECK_EQ(pace_frozen_until(&p, T0 + 1),
		         rows[i].frozen_ms ? T0 + 1 + rows[i].frozen_ms : 0);
		CHECK_EQ(pace_ask(&p, PACE_USER, 1, T0 + 1),
		         rows[i].frozen_ms ? T0 + 1 + rows[i].frozen_ms : 0);
		CHECK_EQ(pace_ask(&p, PACE_UPLOAD, 1,
		                  T0 + 2000 + rows[i].frozen_ms),
		         0);
	}
}

static void test_repeated_freezes_grow(void)
{
	static const int64_t want[] = { 4000,  8000,   16000, 32000,
		                        64000, 120000, 120000 };
	struct pace_result bare = result(429, -1);
	int64_t now = T0;
	struct pace p;

	pace_init(&p);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		one(&p, now, &bare);
		CHECK_EQ(pace_frozen_until(&p, now + 1) - now - 1, want[i]);
		now = pace_frozen_until(&p, now + 1) + 1;
	}
	one(&p, now, &ok_result);
	one(&p, now + 10, &bare);
	CHECK_EQ(pace_frozen_until(&p, now + 11) - now - 11, want[0]);
}

/* A part of a batch is throttled while the batch itself went well. */
static void test_batch_part(void)
{
	struct pace_result part = result(429, 8000);
	struct pace_ticket t;
	struct pace p;

	pace_init(&p);
	pace_start(&p, PACE_META, 40, T0, &t);
	pace_done(&p, &t, &ok_result, T0 + 50);
	pace_throttled(&p, &t, &part, T0 + 50);
	CHECK_EQ(pace_ask(&p, PACE_USER, 1, T0 + 60), T0 + 8050);
}

static void test_parse_units(void)
{
	static const struct {
		const char *header;
		int64_t units;
	} rows[] = {
		{ "1250", 1250 },
		{ "0", 0 },
		{ " 12", 12 },
		{ "1250;w=60", 1250 },
		{ "100, 100;w=60", 100 },
		{ "", -1 },
		{ NULL, -1 },
		{ "-5", -1 },
		{ "many", -1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK_EQ(pace_parse_units(rows[i].header), rows[i].units);
}

/* ---- a simulated service ----------------------------------------------- */

struct sim {
	const char *name;
	int64_t limit;      /* units per minute */
	int64_t latency_ms; /* of each answer, give or take half */
	bool headers;       /* RateLimit-*, once 80 % are used */
	bool by_request;    /* a minute begins with its first request */
	int others_percent; /* of the limit, used by somebody else */
	unsigned units;     /* of each request */

	/* At least so much of what could have gone did go, per mille, and at
	 * most so many requests were refused, in ten minutes. */
	int64_t min_permille;
	unsigned max_refused;
};

struct flying {
	bool used;
	struct pace_ticket ticket;
	struct pace_result result;
	int64_t due_ms;
};

struct service {
	int64_t begin_ms, used, blocked_until_ms;
	int64_t served;
	unsigned refused, early;
};

static struct pace_result serve(const struct sim *sim, struct service *s,
                                int64_t now)
{
	struct pace_result r = ok_result;
	int64_t others, left_ms;

	if (now >= s->begin_ms + 60000) {
		s->begin_ms = sim->by_request ? now : now - now % 60000;
		s->used = 0;
	}
	left_ms = s->begin_ms + 60000 - now;
	others = sim->limit * sim->others_percent / 100 * (60000 - left_ms) /
	         60000;
	if (now < s->blocked_until_ms)
		s->early++;
	if (now < s->blocked_until_ms ||
	    s->used + others + sim->units > sim->limit) {
		s->refused++;
		s->blocked_until_ms = s->begin_ms + 60000;
		r.status = 429;
		r.retry_after_ms = (left_ms + 999) / 1000 * 1000;
	} else {
		s->used += sim->units;
		s->served += sim->units;
	}
	if (sim->headers && (s->used + others) * 10 >= sim->limit * 8) {
		r.limit = sim->limit;
		r.remaining = sim->limit - s->used - others;
		r.reset_ms = left_ms / 1000 * 1000;
	}
	return r;
}

static void land(struct pace *p, struct flying *fly, size_t n, int64_t now)
{
	for (size_t i = 0; i < n; i++) {
		if (!fly[i].used || fly[i].due_ms > now)
			continue;
		fly[i].used = false;
		pace_done(p, &fly[i].ticket, &fly[i].result, now);
	}
}

static void take_off(const struct sim *sim, struct pace *p, struct service *s,
                     struct flying *fly, size_t n, int64_t now)
{
	for (size_t i = 0; i < n; i++) {
		if (fly[i].used)
			continue;
		if (pace_ask(p, PACE_UPLOAD, sim->units, now) != 0)
			return;
		pace_start(p, PACE_UPLOAD, sim->units, now, &fly[i].ticket);
		fly[i].used = true;
		fly[i].result = serve(sim, s, now);
		fly[i].due_ms = now + sim->latency_ms / 2 +
		                rand() % (sim->latency_ms + 1);
	}
}

static void run_sim(const struct sim *sim)
{
	const int64_t minutes = 10;
	struct service s = { .begin_ms = -60000 };
	struct flying fly[64] = { { .used = false } };
	int64_t possible, permille, per_minute;
	struct pace p;

	srand(1);
	pace_init(&p);
	for (int64_t now = 0; now < minutes * 60000; now++) {
		land(&p, fly, ARRAY_LEN(fly), now);
		take_off(sim, &p, &s, fly, ARRAY_LEN(fly), now);
	}
	/* What the limit allows, or 20 in flight all the time can do. */
	possible = minutes * sim->limit;
	per_minute = 60000 / sim->latency_ms * 20 * sim->units;
	if (possible > minutes * per_minute)
		possible = minutes * per_minute;
	permille = s.served * 1000 / possible;
	printf("  %-28s %4" PRId64 " per mille of the budget, %u refused, "
	       "%u too early, window %d\n",
	       sim->name, permille, s.refused, s.early, p.window_milli / 1000);
	check_row("%s", sim->name);
	CHECK(permille >= sim->min_permille);
	CHECK(s.refused <= sim->max_refused);
}

static void test_simulated_budgets(void)
{
	static const struct sim sims[] = {
		{ "small tenant", 1250, 100, true, false, 0, 2, 950, 0 },
		{ "single units", 1250, 100, true, false, 0, 1, 950, 0 },
		{ "slow answers", 1250, 900, true, false, 0, 2, 950, 0 },
		{ "large tenant", 6250, 100, true, false, 0, 2, 950, 0 },
		{ "large tenant, quick", 6250, 20, true, false, 0, 2, 950, 0 },
		{ "minute by request", 1250, 100, true, true, 0, 2, 950, 0 },
		{ "others use a third", 1250, 100, true, false, 33, 2, 650, 6 },
		{ "tiny", 60, 100, true, false, 0, 1, 900, 12 },
		{ "not limiting", 100000, 100, true, false, 0, 2, 800, 0 },
		{ "no headers", 1250, 100, false, false, 0, 2, 800, 150 },
		{ "no headers, quick", 6250, 20, false, false, 0, 2, 800, 150 },
	};

	for (size_t i = 0; i < ARRAY_LEN(sims); i++)
		run_sim(&sims[i]);
}

/* In a minute whose budget is nearly gone, somebody who waits still goes. */
static void test_reserve(void)
{
	struct pace_result r = ok_result;
	struct pace p;

	r.limit = 1280;
	r.remaining = 20;
	r.reset_ms = 30000;
	pace_init(&p);
	one(&p, T0, &r);
	CHECK_EQ(pace_ask(&p, PACE_UPLOAD, 2, T0 + 1), T0 + 1 + 31000);
	CHECK_EQ(pace_ask(&p, PACE_USER, 2, T0 + 1), 0);
	r.remaining = 0;
	one(&p, T0 + 2, &r);
	CHECK_EQ(pace_ask(&p, PACE_USER, 1, T0 + 10), T0 + 1 + 31000 + 2);
	/* The next minute is whole again. */
	CHECK_EQ(pace_ask(&p, PACE_UPLOAD, 40, T0 + 40000), 0);
}

int main(void)
{
	RUN(test_shares);
	RUN(test_pick);
	RUN(test_window);
	RUN(test_idle_does_not_grow);
	RUN(test_freezes);
	RUN(test_repeated_freezes_grow);
	RUN(test_batch_part);
	RUN(test_parse_units);
	RUN(test_reserve);
	RUN(test_simulated_budgets);
	return check_report();
}
