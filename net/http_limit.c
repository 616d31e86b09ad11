#include "net/http_limit.h"

#define MAX_RATE    (UINT64_C(1) << 40) /* as good as none */
#define SMALL_BYTES (16 * 1024)

static int64_t clamp(int64_t v, int64_t low, int64_t high)
{
	return v < low ? low : v > high ? high : v;
}

/* Less than this isn't worth a wake-up: 20 ms of traffic. */
static int64_t quantum(const struct http_bucket *b)
{
	return clamp((int64_t)(b->rate / 50), 1, SMALL_BYTES);
}

/* Thousandths, so that no part of a byte is lost or counted twice however often
 * it is asked. */
static void refill(struct http_bucket *b, int64_t now_ms)
{
	int64_t rate = (int64_t)b->rate, burst = rate / 4;
	int64_t passed = now_ms - b->last_ms;

	if (burst < quantum(b))
		burst = quantum(b);
	burst *= 1000;
	if (passed > (burst - b->level) / rate)
		b->level = burst;
	else
		b->level += rate * passed; /* no overflow: less than burst */
	b->last_ms = now_ms;
}

void http_bucket_set(struct http_bucket *b, uint64_t rate, int64_t now_ms)
{
	b->rate = rate > MAX_RATE ? 0 : rate;
	b->level = 1000 * quantum(b);
	b->last_ms = now_ms;
}

size_t http_bucket_grant(struct http_bucket *b, size_t want, int64_t now_ms)
{
	int64_t bytes;

	if (!b->rate)
		return want;
	refill(b, now_ms);
	bytes = b->level / 1000;
	if (bytes < quantum(b))
		return 0;
	return want < (size_t)bytes ? want : (size_t)bytes;
}

void http_bucket_take(struct http_bucket *b, size_t bytes)
{
	if (b->rate)
		b->level -= 1000 * (int64_t)bytes;
}

int64_t http_bucket_due_ms(struct http_bucket *b, int64_t now_ms)
{
	int64_t lack;

	if (!b->rate)
		return now_ms;
	refill(b, now_ms);
	lack = 1000 * quantum(b) - b->level;
	if (lack <= 0)
		return now_ms;
	return now_ms + (lack + (int64_t)b->rate - 1) / (int64_t)b->rate;
}
