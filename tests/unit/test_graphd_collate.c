#include "tests/graphd/collate.h"

#include <errno.h>

#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

static const struct collate_rules personal = { .personal = true };
static const struct collate_rules business = { .personal = false };
static const struct collate_rules weightless = { .weightless = true };

static bool equal(const struct collate_rules *r, const char *a, const char *b)
{
	struct buf ka = BUF_INIT, kb = BUF_INIT;
	bool same;

	CHECK_EQ(collate_key(r, a, &ka), 0);
	CHECK_EQ(collate_key(r, b, &kb), 0);
	same = ka.len == kb.len && memcmp(ka.data ? ka.data : "",
	                                  kb.data ? kb.data : "", ka.len) == 0;
	buf_done(&ka);
	buf_done(&kb);
	return same;
}

static void test_equal(void)
{
	static const struct {
		const char *a, *b;
		bool on_personal, on_business, if_weightless;
	} cases[] = {
		{ "a", "A", 1, 1, 1 },
		{ "a", "b", 0, 0, 0 },
		{ "", "a", 0, 0, 0 },
		{ "\303\204rger", "\303\244RGER", 1, 1, 1 },
		/* NFC and NFD (api#351, rclone#8634) */
		{ "caf\303\251", "cafe\314\201", 1, 1, 1 },
		{ "caf\303\251", "cafe", 0, 0, 0 },
		{ "\342\204\253", "\303\245", 1, 1, 1 }, /* angstrom sign */
		/* api#856, and the capital one */
		{ "\303\246ther", "aether", 1, 0, 0 },
		{ "\303\206ther", "AETHER", 1, 0, 0 },
		{ "\307\243", "ae\314\204", 1, 0, 0 }, /* U+01E3 */
		/* rclone's full-width forms are names of their own */
		{ "a\357\274\232b", "a:b", 0, 0, 0 },
		{ "\317\203", "\317\202", 1, 1, 1 }, /* final sigma */
		/* api#1198: U+3D08 twice and three times */
		{ "\343\264\210\343\264\210",
		  "\343\264\210\343\264\210\343\264"
		  "\210",
		  0, 0, 1 },
		{ "x\360\237\230\200", "x\360\237\230\201", 0, 0, 1 },
		{ "\360\237\230\200", "", 0, 0, 1 },
		{ "\344\270\200", "\344\270\201", 0, 0, 0 }, /* U+4E00, 4E01 */
		/* not UTF-8: byte for byte */
		{ "a\377", "a\377", 1, 1, 1 },
		{ "a\377", "A\377", 0, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		check_row("%s | %s", cases[i].a, cases[i].b);
		CHECK_EQ(equal(&personal, cases[i].a, cases[i].b),
		         cases[i].on_personal);
		CHECK_EQ(equal(&business, cases[i].a, cases[i].b),
		         cases[i].on_business);
		CHECK_EQ(equal(&weightless, cases[i].a, cases[i].b),
		         cases[i].if_weightless);
	}
}

/* 'y': may be, 'n': may not; for file, folder, folder in the root. */
static void test_names(void)
{
	static const struct {
		const char *name, *on_personal, *on_business;
	} cases[] = {
		{ "report.txt", "yyy", "yyy" },
		{ "#%&+;=@!$'()[]{}^`~", "yyy", "yyy" },
		{ ".hidden", "yyy", "yyy" },
		{ "a.b.c", "yyy", "yyy" },
		{ "", "nnn", "nnn" },
		{ ".", "nnn", "nnn" },
		{ "..", "nnn", "nnn" },
		{ "...", "nnn", "nnn" },
		{ "a\"b", "nnn", "nnn" },
		{ "a*b", "nnn", "nnn" },
		{ "a:b", "nnn", "nnn" },
		{ "a<b", "nnn", "nnn" },
		{ "a>b", "nnn", "nnn" },
		{ "a?b", "nnn", "nnn" },
		{ "a/b", "nnn", "nnn" },
		{ "a\\b", "nnn", "nnn" },
		{ "a|b", "nnn", "nnn" },
		{ "a\nb", "nnn", "nnn" },
		{ "a\177b", "nnn", "nnn" },
		{ "a\377b", "nnn", "nnn" },
		{ " a", "nnn", "nnn" },
		{ "a ", "nnn", "nnn" },
		{ "a.", "nnn", "nnn" },
		{ "a . ", "nnn", "nnn" },
		{ "con", "nnn", "nnn" },
		{ "CON.txt", "yyy", "yyy" },
		{ "CONsole", "yyy", "yyy" },
		{ "Nul", "nnn", "nnn" },
		{ "COM0", "nnn", "nnn" },
		{ "lpt9", "nnn", "nnn" },
		{ "COM10", "yyy", "yyy" },
		{ "COMx", "yyy", "yyy" },
		{ ".LOCK", "nnn", "nnn" },
		{ "Desktop.ini", "nnn", "nnn" },
		{ "x_VTI_y", "nnn", "nnn" },
		{ "~$doc", "nnn", "nnn" },
		{ "~doc", "yyy", "ynn" },
		{ "Forms", "yyy", "yyn" },
		{ "\357\274\232", "yyy", "yyy" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (int how = 0; how < 3; how++) {
			check_row("%s how=%d", cases[i].name, how);
			CHECK_EQ(!collate_check_name(&personal, cases[i].name,
			                             how > 0, how > 1),
			         cases[i].on_personal[how] == 'y');
			CHECK_EQ(!collate_check_name(&business, cases[i].name,
			                             how > 0, how > 1),
			         cases[i].on_business[how] == 'y');
		}
	}
}

static void test_switches(void)
{
	static const struct collate_rules strict = { .reserved_with_extension =
		                                             true };
	static const struct collate_rules strips = { .strip_trailing = true };

	CHECK(collate_check_name(&strict, "con.txt", false, false));
	CHECK(collate_check_name(&strict, "COM1.tar.gz", false, false));
	CHECK(!collate_check_name(&strict, "console.txt", false, false));
	CHECK(!collate_check_name(&strips, "a. .", false, false));
	CHECK(collate_check_name(&strips, ". .", false, false));
	CHECK_EQ(collate_strip("a. ."), 1);
	CHECK_EQ(collate_strip("a.b"), 3);
	CHECK_EQ(collate_strip("..."), 0);
}

static void test_lengths(void)
{
	static const struct collate_rules prefixed = { .prefix_units = 300 };
	const struct collate_refusal *no;
	char name[4 * 256 + 1] = "";

	for (int i = 0; i < 255; i++)
		strcat(name, "\344\270\200"); /* three bytes, one unit */
	CHECK_EQ(collate_units(name), 255);
	CHECK(!collate_check_name(&personal, name, false, false));
	strcat(name, "x");
	no = collate_check_name(&personal, name, false, false);
	CHECK_STR(no ? no->inner : "", "pathIsTooLong");

	name[0] = '\0';
	for (int i = 0; i < 128; i++)
		strcat(name, "\360\237\230\200"); /* two units */
	CHECK_EQ(collate_units(name), 256);
	CHECK(collate_check_name(&personal, name, false, false));

	memset(name, 'a', 401);
	name[400] = '\0';
	CHECK(!collate_check_path(&personal, name));
	name[100] = '\0';
	CHECK(!collate_check_path(&prefixed, name));
	name[100] = 'a';
	name[101] = '\0';
	CHECK(collate_check_path(&prefixed, name));
	name[0] = '/'; /* a leading slash is none of the path */
	CHECK(!collate_check_path(&prefixed, name));
	CHECK_EQ(collate_units("a\377\303b"), 4);
}

static void test_out_of_memory(void)
{
	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct buf b = BUF_INIT;
		int rc = collate_key(&personal, "Some Name", &b);

		CHECK(rc == 0 || rc == -ENOMEM);
		buf_done(&b);
	}
	alloc_fail_off();
}

int main(void)
{
	RUN(test_equal);
	RUN(test_names);
	RUN(test_switches);
	RUN(test_lengths);
	RUN(test_out_of_memory);
	return check_report();
}
