#include "auth/token_times.h"

#define EARLY_MS      INT64_C(300000)
#define FIRST_WAIT_MS INT64_C(2000)
#define MAX_WAIT_MS   INT64_C(60000)
#define FIRST_GAP_MS  INT64_C(1000)
#define MAX_GAP_MS    INT64_C(30000)

static int64_t min_i64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

struct token_life token_life_fresh(int64_t expires_in_s, int64_t mono_ms,
                                   int64_t real_s)
{
	int64_t life_ms = expires_in_s * 1000;

	return (struct token_life){
		.issued_ms = mono_ms,
		/* Short lives (tests, odd tenants) are not spent refreshing. */
		.early_ms = mono_ms + life_ms - min_i64(EARLY_MS, life_ms / 4),
		.end_ms = mono_ms + life_ms,
		.end_real_s = real_s + expires_in_s,
	};
}

struct token_life token_life_loaded(int64_t obtained_s, int64_t expires_s,
                                    int64_t mono_ms, int64_t real_s)
{
	int64_t left_s = expires_s - real_s;

	if (real_s < obtained_s || left_s < 0)
		left_s = 0;
	return token_life_fresh(left_s, mono_ms, real_s);
}

bool token_life_usable(const struct token_life *l, int64_t mono_ms)
{
	return mono_ms < l->end_ms;
}

bool token_life_due(const struct token_life *l, int64_t mono_ms, int64_t real_s)
{
	return mono_ms >= l->early_ms || real_s >= l->end_real_s;
}

/* first, twice that, four times that, ... up to max */
static int64_t grow(int64_t first, unsigned n, int64_t max)
{
	return n > 16 ? max : min_i64(first << n, max);
}

void token_pace_failed(struct token_pace *p, int64_t mono_ms,
                       int64_t retry_after_ms, uint32_t random)
{
	int64_t wait = grow(FIRST_WAIT_MS, p->failures, MAX_WAIT_MS);

	if (p->failures < UINT32_MAX)
		p->failures++;
	wait = wait * 3 / 4 + random % (wait / 2 + 1);
	p->told = retry_after_ms > 0;
	p->not_before_ms = mono_ms + (p->told ? retry_after_ms : wait);
}

void token_pace_succeeded(struct token_pace *p, int64_t mono_ms,
                          bool refused_young)
{
	unsigned useless = refused_young ? p->useless + 1 : 0;

	/* The first one may be chance (a revoked session, a moved account). */
	*p = (struct token_pace){ .useless = useless };
	if (useless > 1)
		p->not_before_ms =
			mono_ms + grow(FIRST_GAP_MS, useless - 2, MAX_GAP_MS);
}

void token_pace_kick(struct token_pace *p)
{
	if (p->told || !p->failures)
		return;
	p->failures = 0;
	p->not_before_ms = 0;
}
