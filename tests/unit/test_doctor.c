#include "fs/doctor.h"

#include <string.h>

#include "tests/unit/check.h"

#define MIB (UINT64_C(1) << 20)

static void test_clock(void)
{
	static const struct {
		int64_t ahead;
		enum doctor_level want;
	} rows[] = {
		{ 0, DOCTOR_OK },           { 60, DOCTOR_OK },
		{ -60, DOCTOR_OK },         { 61, DOCTOR_WARN },
		{ -61, DOCTOR_WARN },       { 300, DOCTOR_WARN },
		{ 301, DOCTOR_FAIL },       { -301, DOCTOR_FAIL },
		{ INT64_MIN, DOCTOR_FAIL }, { INT64_MAX, DOCTOR_FAIL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK_EQ(doctor_judge_clock(rows[i].ahead), rows[i].want);
}

static void test_space(void)
{
	CHECK_EQ(doctor_judge_space(0, 0), DOCTOR_FAIL);
	CHECK_EQ(doctor_judge_space(64 * MIB, 0), DOCTOR_WARN);
	CHECK_EQ(doctor_judge_space(1024 * MIB, 0), DOCTOR_OK);
	CHECK_EQ(doctor_judge_space(1024 * MIB, 1), DOCTOR_WARN);
	CHECK_EQ(doctor_judge_space(1024 * MIB, UINT64_MAX), DOCTOR_FAIL);
}

static void test_fs(void)
{
	const char *name, *next;

	CHECK_EQ(doctor_judge_fs(0xef53, &name, &next), DOCTOR_OK); /* ext4 */
	CHECK(!name && !next[0]);
	CHECK_EQ(doctor_judge_fs(0x01021994, &name, &next), DOCTOR_FAIL);
	CHECK_STR(name, "tmpfs");
	CHECK(strstr(next, "--state-dir") != NULL);
	CHECK_EQ(doctor_judge_fs(0x6969, &name, &next), DOCTOR_WARN);
	CHECK_EQ(doctor_judge_fs(0x4d44, &name, &next), DOCTOR_FAIL);
}

static void test_mode(void)
{
	CHECK_EQ(doctor_judge_mode(true, 0700), DOCTOR_OK);
	CHECK_EQ(doctor_judge_mode(true, 0500), DOCTOR_OK);
	CHECK_EQ(doctor_judge_mode(true, 0710), DOCTOR_FAIL);
	CHECK_EQ(doctor_judge_mode(true, 0701), DOCTOR_FAIL);
	CHECK_EQ(doctor_judge_mode(false, 0700), DOCTOR_FAIL);
}

static void keep(void *arg, enum doctor_level level, const char *check,
                 const char *text, const char *next)
{
	CHECK_EQ(level, DOCTOR_OK);
	CHECK_STR(check, "c");
	CHECK_STR(text, "t 5");
	*(const char **)arg = next;
}

static void test_say(void)
{
	const char *next = NULL;
	struct doctor d = { .report = keep, .arg = &next };

	/* What is well needs no step. */
	doctor_say(&d, DOCTOR_OK, "c", "do this", "t %d", 5);
	CHECK_STR(next, "");
}

int main(void)
{
	RUN(test_clock);
	RUN(test_space);
	RUN(test_fs);
	RUN(test_mode);
	RUN(test_say);
	return check_report();
}
