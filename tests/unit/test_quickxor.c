#include "net/quickxor.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "tests/unit/check.h"

/* What a vector's input looks like: `text` if set, else `len` bytes made by
 * `byte` (constant) or `mod` (byte i is i mod that). */
struct vector {
	const char *text;
	size_t len;
	uint8_t byte;
	unsigned mod;
	const char *hash;
};

/* facts/graph.md 12.3; the line with CR LF came from a real server. */
static const struct vector vectors[] = {
	{ "", 0, 0, 0, "AAAAAAAAAAAAAAAAAAAAAAAAAAA=" },
	{ NULL, 1, 0x00, 0, "AAAAAAAAAAAAAAAAAQAAAAAAAAA=" },
	{ NULL, 1, 0xff, 0, "/wAAAAAAAAAAAAAAAQAAAAAAAAA=" },
	{ "a", 0, 0, 0, "YQAAAAAAAAAAAAAAAQAAAAAAAAA=" },
	{ "J", 0, 0, 0, "SgAAAAAAAAAAAAAAAQAAAAAAAAA=" },
	{ "abc", 0, 0, 0, "YRDDGAAAAAAAAAAAAwAAAAAAAAA=" },
	{ "hello world", 0, 0, 0, "aCgDG9jwBhDc4Q1yawMZAAAAAAA=" },
	{ "hello world\n", 0, 0, 0, "aCgDG9jwBhDc4Q1ybAMZFAAAAAA=" },
	{ "hello world\r\n", 0, 0, 0, "aCgDG9jwBhDc4Q1ybQMZGqAAAAA=" },
	{ "The quick brown fox jumps over the lazy dog", 0, 0, 0,
	  "bMSlbysmxJL6S75XwfMcQZOpcr4=" },
	{ NULL, 15, 0xff, 0, "/PjHP/7xj3/84x//98c//vGPf/w=" },
	{ NULL, 16, 0xff, 0, "HOfHP/7xj3/84x//6Mc//vGPf/w=" },
	{ NULL, 20, 0, 256, "4AmQiIZEpgIY4AAIXIACFsCABjg=" },
	{ NULL, 256, 0, 256, "QkGEfSisZcA7k+FCh71r2dbCayY=" },
	{ NULL, 159, 'A', 0, "AAAAAAAAAAAAAAAAnwAAAAAAIAg=" },
	{ NULL, 160, 'A', 0, "AAAAAAAAAAAAAAAAoAAAAAAAAAA=" },
	{ NULL, 161, 'A', 0, "QQAAAAAAAAAAAAAAoQAAAAAAAAA=" },
	{ NULL, 320, 'A', 0, "AAAAAAAAAAAAAAAAQAEAAAAAAAA=" },
	{ NULL, 65536, 0x00, 0, "AAAAAAAAAAAAAAAAAAABAAAAAAA=" },
	{ NULL, 327680, 0x5a, 0, "AAAAAAAAAAAAAAAAAAAFAAAAAAA=" },
	{ NULL, 1 << 20, 0, 251, "pVcWCkWK/HTa4DMyE2B1A1Y9XyM=" },
	{ NULL, 10 << 20, 0, 251, "HzHa6uC4H1eGHsvneyLLI+WiCqw=" },
};

static uint8_t *make_input(const struct vector *v, size_t *out_len)
{
	size_t len = v->text ? strlen(v->text) : v->len;
	uint8_t *data = malloc(len + 1);

	if (v->text)
		memcpy(data, v->text, len);
	for (size_t i = 0; i < len && !v->text; i++)
		data[i] = v->mod ? (uint8_t)(i % v->mod) : v->byte;
	*out_len = len;
	return data;
}

static void test_vectors(void)
{
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		uint8_t hash[QUICKXOR_SIZE], back[QUICKXOR_SIZE];
		char text[QUICKXOR_TEXT];
		struct quickxor q;
		size_t len;
		uint8_t *data = make_input(&vectors[i], &len);

		check_row("vector %zu", i);
		quickxor_init(&q);
		quickxor_update(&q, data, len);
		quickxor_final(&q, hash);
		quickxor_to_text(hash, text);
		CHECK_STR(text, vectors[i].hash);
		CHECK_EQ(quickxor_from_text(text, back), 0);
		CHECK_MEM(back, hash, QUICKXOR_SIZE);
		free(data);
	}
}

/* Bit by bit from the definition in 12.2, sharing nothing with the lanes. */
static void slow_hash(const uint8_t *data, size_t len,
                      uint8_t out[QUICKXOR_SIZE])
{
	memset(out, 0, QUICKXOR_SIZE);
	for (size_t i = 0; i < len; i++)
		for (unsigned b = 0; b < 8; b++) {
			size_t at = (11 * i + b) % 160;

			if (data[i] >> b & 1)
				out[at / 8] ^= (uint8_t)(1u << at % 8);
		}
	for (unsigned i = 0; i < 8; i++)
		out[12 + i] ^= (uint8_t)((uint64_t)len >> 8 * i);
}

/* However the input is cut, and wherever the state is saved: one hash. */
static void test_any_cut_gives_the_same(void)
{
	uint8_t data[2000], want[QUICKXOR_SIZE], got[QUICKXOR_SIZE];

	srand(1);
	for (unsigned round = 0; round < 2000; round++) {
		size_t len = (size_t)rand() % sizeof(data), at = 0;
		struct quickxor q, saved;

		for (size_t i = 0; i < len; i++)
			data[i] = (uint8_t)rand();
		slow_hash(data, len, want);
		quickxor_init(&q);
		while (at < len) {
			size_t piece = (size_t)rand() % 400;

			if (piece > len - at)
				piece = len - at;
			quickxor_update(&q, data + at, piece);
			at += piece;
			memcpy(&saved, &q, sizeof(q));
			memset(&q, 0xee, sizeof(q));
			memcpy(&q, &saved, sizeof(q));
		}
		quickxor_final(&q, got);
		check_row("round %u length %zu", round, len);
		CHECK_MEM(got, want, QUICKXOR_SIZE);
	}
}

/* Pieces in any order: each goes by its place. */
static void test_pieces_by_their_place(void)
{
	uint8_t data[2000], want[QUICKXOR_SIZE], got[QUICKXOR_SIZE];
	struct quickxor q;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 256);
	slow_hash(data, sizeof(data), want);
	quickxor_init(&q);
	quickxor_update_at(&q, 1501, data + 1501, 499);
	quickxor_update_at(&q, 0, data, 333);
	quickxor_update_at(&q, 1200, data + 1200, 301);
	quickxor_update_at(&q, 333, data + 333, 867);
	quickxor_final(&q, got);
	CHECK_MEM(got, want, QUICKXOR_SIZE);
}

static void test_from_text_refuses(void)
{
	static const char *const bad[] = {
		"",
		"AAAA",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAA",    /* no padding */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAA",   /* 21 bytes */
		"AAAAAAAAAAAAAAAAAAAAAAAAAA==",   /* 19 bytes */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAB=",   /* stray bits at the end */
		"AAAAAAAAAAAAA AAAAAAAAAAAAA=",   /* a blank */
		"AAAAAAAAAAAAAAAAAAAAAAAAA-_=",   /* the URL alphabet */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", /* one more */
	};
	uint8_t out[QUICKXOR_SIZE], untouched[QUICKXOR_SIZE];

	memset(out, 7, sizeof(out));
	memset(untouched, 7, sizeof(untouched));
	CHECK_EQ(quickxor_from_text(NULL, out), -EINVAL);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		check_row("%s", bad[i]);
		CHECK_EQ(quickxor_from_text(bad[i], out), -EINVAL);
	}
	CHECK_MEM(out, untouched, sizeof(out));
}

/* Far below what it does (tens of GB/s), far above what a loop over bytes
 * does: hashing must not be what an upload waits for. */
static void test_speed(void)
{
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) &&                 \
	!defined(__SANITIZE_THREAD__)
	static uint8_t data[1 << 20];
	struct timespec a, b;
	double best = 0;

	for (unsigned round = 0; round < 20; round++) {
		struct quickxor q;
		double s;

		quickxor_init(&q);
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
		for (unsigned i = 0; i < 16; i++)
			quickxor_update(&q, data, sizeof(data));
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
		s = (double)(b.tv_sec - a.tv_sec) +
		    (double)(b.tv_nsec - a.tv_nsec) / 1e9;
		if (16 * sizeof(data) / s / 1e9 > best)
			best = 16 * sizeof(data) / s / 1e9;
	}
	check_row("%.1f GB/s", best);
	CHECK(best > 2);
#else
	SKIP("not an optimised build");
#endif
}

int main(void)
{
	RUN(test_vectors);
	RUN(test_any_cut_gives_the_same);
	RUN(test_pieces_by_their_place);
	RUN(test_from_text_refuses);
	RUN(test_speed);
	return check_report();
}
