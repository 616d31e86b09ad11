#include "fs/timetable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/check.h"

#define K 1024

static void test_parse(void)
{
	static const struct {
		const char *text;
		int rc;
		unsigned n;
		uint64_t always;
	} rows[] = {
		{ "0", 0, 0, 0 },
		{ "off", 0, 0, 0 },
		{ "512k", 0, 0, 512 * K },
		{ "2M", 0, 0, 2 * K * K },
		{ "08:00,512k", 0, 1, 0 },
		{ "08:00,512k 12:00,10M 13:00,512k 18:00,30M 23:00,off", 0, 5,
		  0 },
		{ "  Mon-08:00,1M\tsunday-9:30,off ", 0, 2, 0 },
		{ "", -EINVAL, 0, 0 },
		{ "fast", -EINVAL, 0, 0 },
		{ "-1", -EINVAL, 0, 0 },
		{ "08:00", -EINVAL, 0, 0 },
		{ "08:00,", -EINVAL, 0, 0 },
		{ ",512k", -EINVAL, 0, 0 },
		{ "24:00,1M", -EINVAL, 0, 0 },
		{ "08:60,1M", -EINVAL, 0, 0 },
		{ "8:0,1M", -EINVAL, 0, 0 },
		{ "08:000,1M", -EINVAL, 0, 0 },
		{ "-8:00,1M", -EINVAL, 0, 0 },
		{ "+8:00,1M", -EINVAL, 0, 0 },
		{ "08:+1,1M", -EINVAL, 0, 0 },
		{ "08: 1,1M", -EINVAL, 0, 0 },
		{ "Mo-08:00,1M", -EINVAL, 0, 0 },
		{ "Mon08:00,1M", -EINVAL, 0, 0 },
		{ "08:00,1M:2M", -EINVAL, 0, 0 },
		{ "08:00,1M 09:00", -EINVAL, 0, 0 },
		{ "08:00,1M;09:00,2M", -EINVAL, 0, 0 },
		{ "08:00,1,2", -EINVAL, 0, 0 },
	};
	char many[TIMETABLE_MAX * 8 + 16] = "";
	struct timetable t;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		check_row("\"%s\"", rows[i].text);
		CHECK_EQ(timetable_parse(rows[i].text, &t), rows[i].rc);
		if (rows[i].rc < 0)
			continue;
		CHECK_EQ(t.n, rows[i].n);
		CHECK_EQ(t.always, rows[i].always);
	}
	check_row("many");
	for (int i = 0; i < TIMETABLE_MAX; i++)
		strcat(many, "08:00,1 ");
	CHECK_EQ(timetable_parse(many, &t), 0);
	strcat(many, "08:00,1");
	CHECK_EQ(timetable_parse(many, &t), -EINVAL);
}

static void set_zone(const char *zone)
{
	setenv("TZ", zone, 1);
	tzset();
}

/* Of "2026-11-25 08:00", by the clock in UTC. */
static int64_t utc(const char *s)
{
	struct tm tm = { 0 };
	const char *end = strptime(s, "%Y-%m-%d %H:%M:%S", &tm);

	CHECK(end && !*end);
	return timegm(&tm);
}

struct moment {
	const char *now; /* UTC */
	uint64_t rate;
	const char *until; /* UTC; NULL: never */
};

static void check_moments(const char *text, const char *zone,
                          const struct moment *m, size_t n)
{
	struct timetable t;
	int64_t until;

	set_zone(zone);
	CHECK_EQ(timetable_parse(text, &t), 0);
	for (size_t i = 0; i < n; i++) {
		check_row("%s at %s", text, m[i].now);
		CHECK_EQ(timetable_at(&t, utc(m[i].now), &until), m[i].rate);
		CHECK_EQ(until, m[i].until ? utc(m[i].until) : TIMETABLE_NEVER);
	}
}

static void test_days(void)
{
	static const struct moment daily[] = {
		{ "2026-11-25 08:00:00", 512, "2026-11-25 12:00:00" },
		{ "2026-11-25 11:59:59", 512, "2026-11-25 12:00:00" },
		{ "2026-11-25 12:00:00", 10, "2026-11-25 23:00:00" },
		{ "2026-11-25 23:00:01", 0, "2026-11-26 08:00:00" },
		{ "2026-11-26 07:59:59", 0, "2026-11-26 08:00:00" },
	};
	/* The 25th is a Wednesday. */
	static const struct moment weekly[] = {
		{ "2026-11-25 08:00:00", 5, "2026-11-28 00:00:00" },
		{ "2026-11-28 00:00:00", 7, "2026-11-30 09:00:00" },
		{ "2026-11-29 23:59:59", 7, "2026-11-30 09:00:00" },
	};
	static const struct moment mixed[] = {
		{ "2026-11-25 08:30:00", 1, "2026-11-25 20:00:00" },
		{ "2026-11-27 21:00:00", 2, "2026-11-28 08:00:00" },
		{ "2026-11-28 08:00:00", 3, "2026-11-28 20:00:00" },
	};
	static const struct moment always[] = {
		{ "2026-11-25 08:30:00", 5, NULL },
	};

	check_moments("08:00,512 12:00,10 23:00,off", "UTC", daily,
	              ARRAY_LEN(daily));
	check_moments("23:00,off 12:00,10 08:00,512", "UTC", daily,
	              ARRAY_LEN(daily));
	check_moments("Mon-09:00,5 Sat-00:00,7", "UTC", weekly,
	              ARRAY_LEN(weekly));
	check_moments("08:00,1 20:00,2 Sat-08:00,3", "UTC", mixed,
	              ARRAY_LEN(mixed));
	check_moments("5", "UTC", always, 1);
	check_moments("08:00,5 12:00,5", "UTC", always, 1);
}

/* Europe/Berlin, without needing its file: the 29th of March and the 25th of
 * October of 2026 are the Sundays. */
static void test_summer_time(void)
{
	static const char zone[] = "CET-1CEST,M3.5.0,M10.5.0/3";
	static const struct moment begins[] = {
		{ "2026-03-28 07:00:00", 9, "2026-03-29 01:00:00" },
		/* 01:59:59, then 03:00: the entry of 02:30 holds. */
		{ "2026-03-29 00:59:59", 9, "2026-03-29 01:00:00" },
		{ "2026-03-29 01:00:00", 4, "2026-03-29 06:00:00" },
		{ "2026-03-29 06:00:00", 9, "2026-03-30 00:30:00" },
	};
	static const struct moment ends[] = {
		{ "2026-10-24 07:00:00", 9, "2026-10-25 00:30:00" },
		{ "2026-10-25 00:30:00", 4, "2026-10-25 01:00:00" },
		{ "2026-10-25 01:00:00", 9, "2026-10-25 01:30:00" },
		{ "2026-10-25 01:30:00", 4, "2026-10-25 07:00:00" },
	};

	check_moments("02:30,4 08:00,9", zone, begins, ARRAY_LEN(begins));
	check_moments("02:30,4 08:00,9", zone, ends, ARRAY_LEN(ends));
}

int main(void)
{
	RUN(test_parse);
	RUN(test_days);
	RUN(test_summer_time);
	return check_report();
}
