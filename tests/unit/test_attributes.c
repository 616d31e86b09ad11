#include "auth/attributes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <sodium.h>

#include "auth/seal_names.h"
#include "tests/unit/check.h"

#define SIZE (ATTRIBUTES_MAX + 1)

#define T INT64_C(0x18f2c4a1d3e5b700)

/* Texts and what they say; all are canonical, so formatting gives them back.
 * NONE: the field is absent. */
#define NONE INT64_MAX
static const struct {
	const char *text;
	bool dir;
	mode_t mode;
	int64_t uid, gid, mtime;
	const char *target, *kept;
} good[] = {
	{ "", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "" },
	{ "", true, S_IFDIR | 0755, NONE, NONE, NONE, NULL, "" },
	{ "m755,t18f2c4a1d3e5b700", false, S_IFREG | 0755, NONE, NONE, T, NULL,
	  "" },
	{ "m700", true, S_IFDIR | 0700, NONE, NONE, NONE, NULL, "" },
	{ "m644", true, S_IFDIR | 0644, NONE, NONE, NONE, NULL, "" },
	{ "m0", false, S_IFREG, NONE, NONE, NONE, NULL, "" },
	{ "m7777", false, S_IFREG | 07777, NONE, NONE, NONE, NULL, "" },
	{ "g0,u0", false, S_IFREG | 0644, 0, 0, NONE, NULL, "" },
	{ "g100,m1777,u4294967294", true, S_IFDIR | 01777, 4294967294, 100,
	  NONE, NULL, "" },
	{ "t0", false, S_IFREG | 0644, NONE, NONE, 0, NULL, "" },
	{ "t-1", false, S_IFREG | 0644, NONE, NONE, -1, NULL, "" },
	{ "t7ffffffffffffffe", false, S_IFREG | 0644, NONE, NONE, INT64_MAX - 1,
	  NULL, "" },
	{ "t-8000000000000000", false, S_IFREG | 0644, NONE, NONE, INT64_MIN,
	  NULL, "" },
	{ "kp", false, S_IFIFO | 0644, NONE, NONE, NONE, NULL, "" },
	{ "ks,m755", false, S_IFSOCK | 0755, NONE, NONE, NONE, NULL, "" },
	{ "kl,t1", false, S_IFLNK | 0777, NONE, NONE, 1, NULL, "" },
	{ "z../2024/12", false, S_IFLNK | 0777, NONE, NONE, NONE, "../2024/12",
	  "" },
	{ "u7,za,b=c,m600", false, S_IFLNK | 0777, 7, NONE, NONE, "a,b=c,m600",
	  "" },
	{ "z\xff,\n", false, S_IFLNK | 0777, NONE, NONE, NONE, "\xff,\n", "" },
	/* unknown letters */
	{ "x", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "x" },
	{ "l../2024/12", false, S_IFREG | 0644, NONE, NONE, NONE, NULL,
	  "l../2024/12" },
	{ "A\x80 1,g5,h=,m600,y", false, S_IFREG | 0600, NONE, 5, NONE, NULL,
	  "A\x80 1,h=,y" },
	{ "Z1,azz,zt", false, S_IFLNK | 0777, NONE, NONE, NONE, "t", "Z1,azz" },
	/* known letters with a value that is none */
	{ "m", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "m" },
	{ "m644", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "m644" },
	{ "m755", true, S_IFDIR | 0755, NONE, NONE, NONE, NULL, "m755" },
	{ "m0755", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "m0755" },
	{ "m10000", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "m10000" },
	{ "m758", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "m758" },
	{ "m-1", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "m-1" },
	{ "m600 ", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "m600 " },
	{ "m600,zx", false, S_IFLNK | 0777, NONE, NONE, NONE, "x", "m600" },
	{ "g-1,u+1", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "g-1,u+1" },
	{ "g4294967295,u", false, S_IFREG | 0644, NONE, NONE, NONE, NULL,
	  "g4294967295,u" },
	{ "g18446744073709551616", false, S_IFREG | 0644, NONE, NONE, NONE,
	  NULL, "g18446744073709551616" },
	{ "g01,u00", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "g01,u00" },
	{ "g1f", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "g1f" },
	{ "t", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "t" },
	{ "t-", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "t-" },
	{ "t-0", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "t-0" },
	{ "t01", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "t01" },
	{ "t--1", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "t--1" },
	{ "tA", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "tA" },
	{ "t0x1", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "t0x1" },
	{ "t8000000000000000", false, S_IFREG | 0644, NONE, NONE, NONE, NULL,
	  "t8000000000000000" },
	{ "t-8000000000000001", false, S_IFREG | 0644, NONE, NONE, NONE, NULL,
	  "t-8000000000000001" },
	{ "t10000000000000000", false, S_IFREG | 0644, NONE, NONE, NONE, NULL,
	  "t10000000000000000" },
	{ "k", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "k" },
	{ "kw", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "kw" },
	{ "kpp", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "kpp" },
	{ "kc", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "kc" },
	{ "kc1", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "kc1" },
	{ "kc1:", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "kc1:" },
	{ "kc:1", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "kc:1" },
	{ "kb1:2:3", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "kb1:2:3" },
	{ "kb01:2", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "kb01:2" },
	{ "kc4096:0", false, S_IFREG | 0644, NONE, NONE, NONE, NULL,
	  "kc4096:0" },
	{ "kc0:1048576", false, S_IFREG | 0644, NONE, NONE, NONE, NULL,
	  "kc0:1048576" },
	{ "z", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "z" },
	{ "kl,zx", false, S_IFLNK | 0777, NONE, NONE, NONE, NULL, "zx" },
	{ "kw,zx", false, S_IFREG | 0644, NONE, NONE, NONE, NULL, "kw,zx" },
	{ "kp,zx,y", false, S_IFIFO | 0644, NONE, NONE, NONE, NULL, "zx,y" },
	{ "kp,m700,t1,zx", true, S_IFDIR | 0700, NONE, NONE, NONE, NULL,
	  "kp,t1,zx" },
};

static void check_good(size_t i, const struct attributes *a)
{
	CHECK_EQ(a->mode, good[i].mode);
	CHECK_EQ(a->has_uid ? (int64_t)a->uid : NONE, good[i].uid);
	CHECK_EQ(a->has_gid ? (int64_t)a->gid : NONE, good[i].gid);
	CHECK_EQ(a->has_mtime ? a->mtime : NONE, good[i].mtime);
	CHECK_STR(a->target ? a->target : "none",
	          good[i].target ? good[i].target : "none");
	CHECK_STR(a->kept, good[i].kept);
}

static void test_good(void)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct attributes a;
		char out[SIZE];

		check_row("%s '%s'", good[i].dir ? "folder" : "file",
		          good[i].text);
		CHECK_EQ(attributes_parse(&a, good[i].dir, good[i].text), 0);
		check_good(i, &a);
		CHECK_EQ(attributes_format(&a, out, sizeof(out)), 0);
		CHECK_STR(out, good[i].text);
	}
}

/* Texts without the shape: the item is shown as if there were none. */
static void test_bad_shape(void)
{
	static const char *const texts[] = {
		",",         ",m600",  "m600,",      "m600,,t1", "1",
		"m600,1",    "m600,-", " m600",      "t1,m600",  "m600,m600",
		"m600,m700", "u1,g1",  "m600, t1",   "a,B",      "\xc3\xa4",
		"m600,A",    "{",      "m600,t1,\n", "=",
	};
	char longest[ATTRIBUTES_MAX + 2] = "";
	struct attributes a, usual;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		check_row("'%s'", texts[i]);
		CHECK_EQ(attributes_parse(&a, i % 2, texts[i]), -EINVAL);
		attributes_init(&usual, i % 2);
		CHECK_MEM(&a, &usual, sizeof(a));
	}
	check_row("%s", "length");
	memset(longest, 'z', ATTRIBUTES_MAX);
	CHECK_EQ(attributes_parse(&a, false, longest), 0);
	CHECK_EQ(strlen(a.target), ATTRIBUTES_MAX - 1);
	longest[ATTRIBUTES_MAX] = 'z';
	CHECK_EQ(attributes_parse(&a, false, longest), -EINVAL);
}

static void test_devices(void)
{
	static const struct {
		const char *text;
		mode_t type;
		unsigned major, minor;
	} cases[] = {
		{ "kc1:3", S_IFCHR, 1, 3 },
		{ "kb8:0", S_IFBLK, 8, 0 },
		{ "kc0:0", S_IFCHR, 0, 0 },
		{ "kb4095:1048575", S_IFBLK, 4095, 1048575 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct attributes a;
		char out[SIZE];

		check_row("%s", cases[i].text);
		CHECK_EQ(attributes_parse(&a, false, cases[i].text), 0);
		CHECK_EQ(a.mode, cases[i].type | 0644);
		CHECK_EQ(major(a.rdev), cases[i].major);
		CHECK_EQ(minor(a.rdev), cases[i].minor);
		CHECK_EQ(attributes_format(&a, out, sizeof(out)), 0);
		CHECK_STR(out, cases[i].text);
	}
}

/* What a local change does to a text of another version of the program. */
static void test_changes(void)
{
	static const struct {
		const char *before, *after; /* chmod 700 */
	} cases[] = {
		{ "", "m700" },
		{ "m0600", "m700" }, /* replaces what was not understood */
		{ "a,n,x1", "a,m700,n,x1" },
		{ "Q,m600,z", "Q,m700,z" },
	};
	struct attributes a;
	char out[SIZE];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		check_row("'%s'", cases[i].before);
		CHECK_EQ(attributes_parse(&a, false, cases[i].before), 0);
		a.mode = (a.mode & S_IFMT) | 0700;
		CHECK_EQ(attributes_format(&a, out, sizeof(out)), 0);
		CHECK_STR(out, cases[i].after);
	}
	/* back to what is usual: the field goes */
	CHECK_EQ(attributes_parse(&a, false, "m600,x"), 0);
	a.mode = S_IFREG | 0644;
	CHECK_EQ(attributes_format(&a, out, sizeof(out)), 0);
	CHECK_STR(out, "x");
	/* a target that moves from the content into the name */
	CHECK_EQ(attributes_parse(&a, false, "kl,x"), 0);
	a.target = "there";
	CHECK_EQ(attributes_format(&a, out, sizeof(out)), 0);
	CHECK_STR(out, "x,zthere");
}

static void test_not_held(void)
{
	char target[4096] = "", out[SIZE];
	struct attributes a;

	for (unsigned size = 0; size <= 6; size++) { /* "m755" and a NUL */
		memset(out, '#', sizeof(out));
		attributes_init(&a, false);
		a.mode = S_IFREG | 0755;
		CHECK_EQ(attributes_format(&a, out, size),
		         size < 5 ? -ENAMETOOLONG : 0);
		CHECK_EQ(out[size], '#');
	}
	memset(target, 't', 4095);
	a.mode = S_IFLNK | 0777;
	a.target = target;
	CHECK_EQ(attributes_format(&a, out, sizeof(out)), -ENAMETOOLONG);
	target[ATTRIBUTES_MAX - 1] = '\0';
	CHECK_EQ(attributes_format(&a, out, sizeof(out)), 0);
	CHECK_EQ(strlen(out), ATTRIBUTES_MAX);
	a.target = "";
	CHECK_EQ(attributes_format(&a, out, sizeof(out)), -EINVAL);
	a.mode = S_IFCHR | 0600;
	a.rdev = makedev(4096, 0);
	CHECK_EQ(attributes_format(&a, out, sizeof(out)), -EINVAL);
	a.mode = 0600; /* no type */
	CHECK_EQ(attributes_format(&a, out, sizeof(out)), -EINVAL);
}

/* Whatever parses comes out as it went in. */
static void test_random_texts(void)
{
	static const char chars[] = "gkmtuzAxlpscb0127-:f,,,,";
	unsigned parsed = 0;

	for (unsigned i = 0; i < 200000; i++) {
		char text[24] = "", out[SIZE];
		size_t len = randombytes_uniform(sizeof(text));
		struct attributes a;

		for (size_t k = 0; k < len; k++)
			text[k] = chars[randombytes_uniform(ARRAY_LEN(chars) -
			                                    1)];
		if (attributes_parse(&a, i % 2, text) < 0)
			continue;
		parsed++;
		check_row("'%s'", text);
		CHECK_EQ(attributes_format(&a, out, sizeof(out)), 0);
		CHECK_STR(out, text);
	}
	CHECK(parsed > 1000);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	static_assert(ATTRIBUTES_MAX == SEAL_NAMES_ATTR_MAX, "one limit");
	RUN(test_good);
	RUN(test_bad_shape);
	RUN(test_devices);
	RUN(test_changes);
	RUN(test_not_held);
	RUN(test_random_texts);
	return check_report();
}
