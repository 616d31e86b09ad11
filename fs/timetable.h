/* fs/timetable.h -- a rate that depends on the time of the week:
 * "08:00,512k 12:00,10M 13:00,512k 23:00,off", as rclone writes it.
 *
 * Entries are divided by blanks. Each holds from its time on, by the clock on
 * the wall, until the next one; before the first of the week the last one
 * holds. "Mon-08:00,1M" is for that day alone, the others are for every day.
 * When summer time begins, an entry within the hour that is left out holds from
 * its end on; when it ends, one within the hour that comes twice begins twice.
 *
 * Pure but for the time zone. Times in seconds since 1970. Threads: any. */
#ifndef NMB_TIMETABLE_H
#define NMB_TIMETABLE_H

#include <stdint.h>

#define TIMETABLE_MAX   64 /* entries */
#define TIMETABLE_NEVER INT64_MAX

struct timetable {
	unsigned n; /* 0: `always` */
	uint64_t always;
	struct timetable_entry {
		int day;       /* 0 is Sunday; -1: every */
		int minute;    /* of the day */
		uint64_t rate; /* bytes a second; 0: no limit */
	} entry[TIMETABLE_MAX];
};

/* One rate ("500K", "0", "off") or a table. 0 or -EINVAL. */
int timetable_parse(const char *text, struct timetable *out);

/* What holds at `now_s`, and until when something else does: at most eight days
 * are looked at, then it is TIMETABLE_NEVER. */
uint64_t timetable_at(const struct timetable *t, int64_t now_s,
                      int64_t *out_until_s);

#endif
