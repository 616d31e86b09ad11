#include "fs/when.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/clock.h"

static int64_t seconds_of(int64_t ns)
{
	int64_t s = ns / NS_PER_SEC;

	return ns % NS_PER_SEC < 0 ? s - 1 : s;
}

/* ---- so long ago --------------------------------------------------------- */

static int64_t unit_seconds(char unit)
{
	switch (unit) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return 86400;
	case 'w':
		return 604800;
	default:
		return 0;
	}
}

static int parse_ago(const char *text, int64_t now, int64_t *out)
{
	int64_t n = 0, unit;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++) {
		n = n * 10 + (*p - '0');
		if (n > INT32_MAX)
			return -ERANGE;
	}
	unit = unit_seconds(*p);
	if (p == text || !unit)
		return -EINVAL;
	p++;
	if (strcmp(p, "") != 0 && strcmp(p, " ago") != 0)
		return -EINVAL;
	if (n > seconds_of(now) / unit)
		return -ERANGE;
	*out = now - n * unit * NS_PER_SEC;
	return 0;
}

/* ---- local --------------------------------------------------------------- */

/* `digits` of them, nothing else. */
static bool number(const char **p, int digits, int *out)
{
	*out = 0;
	for (int i = 0; i < digits; i++, ++*p) {
		if (**p < '0' || **p > '9')
			return false;
		*out = *out * 10 + (**p - '0');
	}
	return true;
}

static bool skip(const char **p, const char *any)
{
	if (!**p || !strchr(any, **p))
		return false;
	++*p;
	return true;
}

static bool split(const char *p, struct tm *tm)
{
	if (!number(&p, 4, &tm->tm_year) || !skip(&p, "-") ||
	    !number(&p, 2, &tm->tm_mon) || !skip(&p, "-") ||
	    !number(&p, 2, &tm->tm_mday))
		return false;
	if (!*p)
		return true;
	if (!skip(&p, " Tt") || !number(&p, 2, &tm->tm_hour) ||
	    !skip(&p, ":") || !number(&p, 2, &tm->tm_min))
		return false;
	if (!*p)
		return true;
	return skip(&p, ":") && number(&p, 2, &tm->tm_sec) && !*p;
}

/* mktime() makes the 3rd of March out of the 31st of February. */
static int parse_local(const char *text, int64_t *out)
{
	struct tm want = { 0 }, tm;
	time_t t;

	if (!split(text, &want))
		return -EINVAL;
	want.tm_year -= 1900;
	want.tm_mon -= 1;
	want.tm_isdst = -1;
	tm = want;
	t = mktime(&tm);
	if (t < 0 || t > INT64_MAX / NS_PER_SEC || tm.tm_mday != want.tm_mday ||
	    tm.tm_mon != want.tm_mon || want.tm_hour > 23 || want.tm_min > 59 ||
	    want.tm_sec > 59)
		return -ERANGE;
	*out = (int64_t)t * NS_PER_SEC;
	return 0;
}

int when_parse(const char *text, int64_t now, int64_t *out)
{
	int64_t t = now;
	int rc = 0;

	if (strcmp(text, "now") != 0 && clock_parse_rfc3339(text, &t) < 0) {
		rc = parse_ago(text, now, &t);
		if (rc == -EINVAL)
			rc = parse_local(text, &t);
	}
	if (rc == 0 && t > now)
		rc = -ERANGE;
	if (rc == 0)
		*out = t;
	return rc;
}

/* ---- to text ------------------------------------------------------------- */

void when_format_local(int64_t time, char out[WHEN_TEXT])
{
	time_t t = (time_t)seconds_of(time);
	char zone[8];
	struct tm tm;
	size_t n;

	if (!localtime_r(&t, &tm)) {
		clock_format_rfc3339(time, 0, out);
		return;
	}
	n = strftime(out, WHEN_TEXT - sizeof(zone), "%Y-%m-%dT%H:%M:%S", &tm);
	out[n] = '\0';
	if (strftime(zone, sizeof(zone), "%z", &tm) == 5)
		snprintf(out + n, WHEN_TEXT - n, "%.3s:%.2s", zone, zone + 3);
	else
		snprintf(out + n, WHEN_TEXT - n, "Z");
}

void when_format_name(int64_t time, char out[WHEN_TEXT])
{
	char text[CLOCK_RFC3339_SIZE];

	clock_format_rfc3339(time, 0, text);
	for (char *p = text; *p; p++) {
		if (*p == ':')
			*p = '-';
	}
	snprintf(out, WHEN_TEXT, "%s", text);
}
