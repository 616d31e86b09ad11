#include "net/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MAX_SEC (INT64_MAX / NS_PER_SEC - 1)

static int64_t read_clock(clockid_t id)
{
	struct timespec ts = { 0, 0 };

	clock_gettime(id, &ts);
	return clock_timespec_to_ns(ts);
}

int64_t clock_mono_ms(void)
{
	return read_clock(CLOCK_BOOTTIME) / 1000000;
}

int64_t clock_real_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

struct timespec clock_ns_to_timespec(int64_t ns)
{
	struct timespec ts = { ns / NS_PER_SEC, ns % NS_PER_SEC };

	if (ts.tv_nsec < 0) {
		ts.tv_nsec += NS_PER_SEC;
		ts.tv_sec--;
	}
	return ts;
}

int64_t clock_timespec_to_ns(struct timespec ts)
{
	if (ts.tv_sec > MAX_SEC)
		return INT64_MAX;
	if (ts.tv_sec < -MAX_SEC)
		return INT64_MIN;
	return (int64_t)ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

/* Days since 1970-01-01 of a proleptic Gregorian date. */
static int64_t days_from_civil(int64_t y, int m, int d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool take_digits(const char **s, int n, int *out)
{
	int v = 0;

	for (; n > 0; n--, (*s)++) {
		if (!isdigit((unsigned char)**s))
			return false;
		v = v * 10 + (**s - '0');
	}
	*out = v;
	return true;
}

static bool take_char(const char **s, const char *any_of)
{
	if (!**s || !strchr(any_of, **s))
		return false;
	(*s)++;
	return true;
}

static int64_t take_fraction(const char **s)
{
	int64_t ns = 0, unit = NS_PER_SEC / 10;

	for (; isdigit((unsigned char)**s); (*s)++, unit /= 10)
		ns += (**s - '0') * unit;
	return ns;
}

int clock_parse_rfc3339(const char *s, int64_t *out_ns)
{
	int y, mo, d, h, mi, sec, oh = 0, om = 0;
	int64_t ns = 0, t;
	char sign;

	if (!take_digits(&s, 4, &y) || !take_char(&s, "-") ||
	    !take_digits(&s, 2, &mo) || !take_char(&s, "-") ||
	    !take_digits(&s, 2, &d) || !take_char(&s, "Tt ") ||
	    !take_digits(&s, 2, &h) || !take_char(&s, ":") ||
	    !take_digits(&s, 2, &mi) || !take_char(&s, ":") ||
	    !take_digits(&s, 2, &sec))
		return -EINVAL;
	if (mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 ||
	    sec > 60)
		return -EINVAL;
	if (*s == '.') {
		s++;
		if (!isdigit((unsigned char)*s))
			return -EINVAL;
		ns = take_fraction(&s);
	}
	sign = *s;
	if (!take_char(&s, "Zz+-"))
		return -EINVAL;
	if (sign == '+' || sign == '-') {
		if (!take_digits(&s, 2, &oh) || !take_char(&s, ":") ||
		    !take_digits(&s, 2, &om) || oh > 23 || om > 59)
			return -EINVAL;
	}
	if (*s)
		return -EINVAL;
	t = days_from_civil(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec;
	t -= (sign == '-' ? -1 : 1) * (oh * 3600 + om * 60);
	if (t > MAX_SEC || t < -MAX_SEC)
		return -EINVAL;
	*out_ns = t * NS_PER_SEC + ns;
	return 0;
}

void clock_format_rfc3339(int64_t ns, int digits, char *out)
{
	struct timespec ts = clock_ns_to_timespec(ns);
	struct tm tm = { 0 };
	size_t n;

	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(out, CLOCK_RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	if (digits > 7)
		n += (size_t)sprintf(out + n, ".%09ld", ts.tv_nsec);
	else if (digits > 3)
		n += (size_t)sprintf(out + n, ".%07ld", ts.tv_nsec / 100);
	else if (digits > 0)
		n += (size_t)sprintf(out + n, ".%03ld", ts.tv_nsec / 1000000);
	strcpy(out + n, "Z");
}
