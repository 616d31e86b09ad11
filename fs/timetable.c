#include "fs/timetable.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "fs/units.h"

#define DAY_MINUTES  (24 * 60)
#define WEEK_MINUTES (7 * DAY_MINUTES)
#define LOOK_MINUTES (8 * DAY_MINUTES)
#define ENTRY_SIZE   64

/* ---- the text ------------------------------------------------------------ */

static int parse_rate(const char *s, uint64_t *out)
{
	if (!strcasecmp(s, "off")) {
		*out = 0;
		return 0;
	}
	return units_parse_size(s, out);
}

/* "Mon" or "Monday"; -EINVAL. */
static int parse_day(const char *s, size_t len)
{
	static const char *const days[] = { "sunday",    "monday",   "tuesday",
		                            "wednesday", "thursday", "friday",
		                            "saturday" };

	for (int d = 0; d < 7; d++) {
		if ((len == 3 || len == strlen(days[d])) &&
		    !strncasecmp(s, days[d], len))
			return d;
	}
	return -EINVAL;
}

/* "08:00", "8:00". */
static int parse_minute(const char *s)
{
	int hour, minute, end = 0;

	if (!isdigit((unsigned char)s[0]) ||
	    sscanf(s, "%2d:%n%2d", &hour, &end, &minute) != 2 ||
	    !isdigit((unsigned char)s[end]) || strlen(s + end) != 2 ||
	    !isdigit((unsigned char)s[end + 1]) || hour > 23 || minute > 59)
		return -EINVAL;
	return hour * 60 + minute;
}

static int parse_entry(char *s, struct timetable_entry *e)
{
	char *comma = strchr(s, ','), *dash;

	if (!comma)
		return -EINVAL;
	*comma = '\0';
	dash = strchr(s, '-');
	e->day = dash ? parse_day(s, (size_t)(dash - s)) : -1;
	if (dash && e->day < 0)
		return -EINVAL;
	e->minute = parse_minute(dash ? dash + 1 : s);
	return e->minute < 0 ? -EINVAL : parse_rate(comma + 1, &e->rate);
}

int timetable_parse(const char *text, struct timetable *out)
{
	struct timetable t = { .n = 0 };
	char entry[ENTRY_SIZE];

	if (!strchr(text, ',')) {
		if (parse_rate(text, &t.always) < 0)
			return -EINVAL;
		*out = t;
		return 0;
	}
	for (;;) {
		size_t len;

		text += strspn(text, " \t");
		len = strcspn(text, " \t");
		if (!len)
			break;
		if (len >= sizeof(entry) || t.n == TIMETABLE_MAX)
			return -EINVAL;
		memcpy(entry, text, len);
		entry[len] = '\0';
		if (parse_entry(entry, &t.entry[t.n++]) < 0)
			return -EINVAL;
		text += len;
	}
	*out = t;
	return 0;
}

/* ---- the time ------------------------------------------------------------ */

/* How many minutes before `minute` of the week an entry began to hold. Of two
 * that say the same time the later one counts. */
static int began_before(const struct timetable_entry *e, int minute)
{
	int begin = e->minute;

	if (e->day >= 0)
		return (minute - e->day * DAY_MINUTES - begin + WEEK_MINUTES) %
		       WEEK_MINUTES;
	return (minute % DAY_MINUTES - begin + DAY_MINUTES) % DAY_MINUTES;
}

static uint64_t rate_at(const struct timetable *t, time_t when)
{
	int minute, least = WEEK_MINUTES;
	uint64_t rate = t->always;
	struct tm tm;

	if (!t->n || !localtime_r(&when, &tm))
		return rate;
	minute = (tm.tm_wday * 24 + tm.tm_hour) * 60 + tm.tm_min;
	for (unsigned i = 0; i < t->n; i++) {
		int before = began_before(&t->entry[i], minute);

		if (before <= least) {
			least = before;
			rate = t->entry[i].rate;
		}
	}
	return rate;
}

/* Minute by minute: whatever the zone does meanwhile is right by itself, and
 * ten thousand looks are nothing for a few switches a day. */
uint64_t timetable_at(const struct timetable *t, int64_t now_s,
                      int64_t *out_until_s)
{
	uint64_t rate = rate_at(t, (time_t)now_s);
	int64_t when = now_s - now_s % 60;

	*out_until_s = TIMETABLE_NEVER;
	for (int i = 0; t->n && i < LOOK_MINUTES; i++) {
		when += 60;
		if (rate_at(t, (time_t)when) != rate) {
			*out_until_s = when;
			break;
		}
	}
	return rate;
}
