#include "fs/plainhash.h"

#include <string.h>

#include "tests/unit/check.h"

/* printf abc | b2sum -l 256 */
static const char abc[] =
	"bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319";

static void test_known(void)
{
	char text[PLAINHASH_TEXT];
	uint8_t hash[PLAINHASH_SIZE];

	plainhash_of("abc", 3, hash);
	plainhash_to_text(hash, text);
	CHECK_STR(text, abc);
}

static const struct row {
	const char *pieces; /* "a-b" read one after the other */
	bool whole;
} rows[] = {
	{ "0-3", true },         { "0-1 1-3", true },
	{ "0-2 0-2 2-3", true }, /* taken again */
	{ "0-2 1-3", true },     /* cut anew */
	{ "0-3 1-2", true },     { "0-1", false },
	{ "1-3", false },        { "1-3 0-3", false }, /* a gap stays one */
	{ "0-1 2-3", false },    { "", false },
};

static void test_pieces(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct plainhash *h = plainhash_new();
		const char *p = rows[i].pieces;
		uint8_t want[PLAINHASH_SIZE], hash[PLAINHASH_SIZE];
		unsigned from, to;
		int n;

		check_row("%s", p);
		CHECK(h != NULL);
		while (sscanf(p, "%u-%u%n", &from, &to, &n) == 2) {
			plainhash_update(h, "abc" + from, to - from, from);
			p += n;
		}
		CHECK_EQ(plainhash_final(h, 3, hash), rows[i].whole);
		plainhash_of("abc", 3, want);
		if (rows[i].whole)
			CHECK_MEM(hash, want, sizeof(want));
		CHECK(!plainhash_final(h, 3, hash)); /* only once */
		plainhash_free(h);
	}
	CHECK(!plainhash_final(NULL, 0, (uint8_t[PLAINHASH_SIZE]){ 0 }));
	plainhash_free(NULL);
}

int main(void)
{
	RUN(test_known);
	RUN(test_pieces);
	return check_report();
}
