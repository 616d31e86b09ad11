#include "auth/token_times.h"

#include "tests/unit/check.h"

#define YEAR_S (INT64_C(365) * 86400)
#define NOW_S  INT64_C(1795342445)
#define MONO   INT64_C(1000000)

/* Minutes after the issue of a token that lives an hour; the wall clock may be
 * somewhere else (faults 48, 76, 77). */
static void test_fresh(void)
{
	static const struct {
		const char *what;
		int64_t minutes, jump_s;
		bool usable, due;
	} cases[] = {
		{ "at once", 0, 0, true, false },
		{ "half an hour later", 30, 0, true, false },
		{ "five minutes before the end", 55, 0, true, true },
		{ "at the end", 60, 0, false, true },
		{ "woken up the day after", 1440, 0, false, true },
		{ "clock a year ahead", 1, YEAR_S, true, true },
		{ "clock a year back", 1, -YEAR_S, true, false },
		{ "clock a year back, an hour later", 60, -YEAR_S, false,
		  true },
	};
	struct token_life l = token_life_fresh(3600, MONO, NOW_S);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t mono = MONO + cases[i].minutes * 60000;
		int64_t real = NOW_S + cases[i].minutes * 60 + cases[i].jump_s;

		check_row("%s", cases[i].what);
		CHECK_EQ(token_life_usable(&l, mono), cases[i].usable);
		CHECK_EQ(token_life_due(&l, mono, real), cases[i].due);
	}
}

/* One refresh per jump, not a loop. */
static void test_clock_jump_ends_with_one_refresh(void)
{
	struct token_life l = token_life_fresh(3600, MONO, NOW_S);

	CHECK(token_life_due(&l, MONO, NOW_S + YEAR_S));
	l = token_life_fresh(3600, MONO, NOW_S + YEAR_S);
	CHECK(!token_life_due(&l, MONO + 1, NOW_S + YEAR_S));
	CHECK(!token_life_due(&l, MONO + 1, NOW_S));
	CHECK(token_life_usable(&l, MONO + 1));
}

static void test_short_life(void)
{
	struct token_life l = token_life_fresh(4, MONO, NOW_S);

	CHECK(!token_life_due(&l, MONO + 2999, NOW_S));
	CHECK(token_life_due(&l, MONO + 3000, NOW_S));
	CHECK(token_life_usable(&l, MONO + 3999));
	CHECK(!token_life_usable(&l, MONO + 4000));
}

static void test_loaded(void)
{
	static const struct {
		const char *what;
		int64_t now_s;
		int64_t left_s;
	} cases[] = {
		{ "just stored", NOW_S, 3600 },
		{ "later", NOW_S + 600, 3000 },
		{ "at its end", NOW_S + 3600, 0 },
		{ "long after", NOW_S + YEAR_S, 0 },
		{ "before it was issued", NOW_S - 1, 0 },
		{ "in 1970", 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct token_life l = token_life_loaded(NOW_S, NOW_S + 3600,
		                                        MONO, cases[i].now_s);

		check_row("%s", cases[i].what);
		CHECK_EQ(l.end_ms - MONO, cases[i].left_s * 1000);
		CHECK_EQ(token_life_usable(&l, MONO), cases[i].left_s > 0);
	}
}

static void test_back_off(void)
{
	static const int64_t want[] = { 2000,  4000,  8000,  16000,
		                        32000, 60000, 60000, 60000 };
	struct token_pace p = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct token_pace low = p, high = p;

		check_row("failure %zu", i + 1);
		token_pace_failed(&low, MONO, 0, 0);
		CHECK_EQ(low.not_before_ms - MONO, want[i] * 3 / 4);
		token_pace_failed(&high, MONO, 0, (uint32_t)want[i] / 2);
		CHECK_EQ(high.not_before_ms - MONO, want[i] * 5 / 4);
		CHECK(!low.told);
		p = low;
	}
	for (int i = 0; i < 100; i++)
		token_pace_failed(&p, MONO, 0, UINT32_MAX);
	CHECK(p.not_before_ms - MONO <= 75000);
	token_pace_kick(&p);
	CHECK_EQ(p.not_before_ms, 0);
	CHECK_EQ(p.failures, 0);
}

static void test_service_says_when(void)
{
	struct token_pace p = { 0 };

	token_pace_failed(&p, MONO, 3600000, 0);
	CHECK_EQ(p.not_before_ms - MONO, 3600000);
	token_pace_kick(&p); /* a new network doesn't change that */
	CHECK_EQ(p.not_before_ms - MONO, 3600000);
	token_pace_succeeded(&p, MONO, false);
	CHECK_EQ(p.not_before_ms, 0);
}

/* Graph refuses each new token at once: slower and slower. */
static void test_useless_tokens(void)
{
	static const int64_t want[] = { 0,    1000,  2000,  4000,
		                        8000, 16000, 30000, 30000 };
	struct token_pace p = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		check_row("token %zu", i + 1);
		token_pace_succeeded(&p, MONO, true);
		CHECK_EQ(p.not_before_ms ? p.not_before_ms - MONO : 0, want[i]);
	}
	token_pace_kick(&p);
	CHECK(p.not_before_ms > 0);
	token_pace_succeeded(&p, MONO, false);
	CHECK_EQ(p.not_before_ms, 0);
	CHECK_EQ(p.useless, 0);
}

int main(void)
{
	RUN(test_fresh);
	RUN(test_clock_jump_ends_with_one_refresh);
	RUN(test_short_life);
	RUN(test_loaded);
	RUN(test_back_off);
	RUN(test_service_says_when);
	RUN(test_useless_tokens);
	return check_report();
}
