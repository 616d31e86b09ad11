/* fs/bwlimit.h -- bandwidth limits by a timetable (fs/timetable.h), kept up to
 * date with the time of the day.
 *
 * Wakes at the next change, and once an hour in case somebody set the clock
 * meanwhile; not at all without a table. Threads: any; NULL does nothing.
 * Errors: 0 or -Exxx. */
#ifndef NMB_BWLIMIT_H
#define NMB_BWLIMIT_H

#include <stdint.h>

struct bwlimit;
struct http;

/* What holds now, for http_options. -EINVAL: no rate and no table. */
int bwlimit_now(const char *limit, uint64_t *out_bytes_per_s);

/* *out_b: NULL if neither is a table. */
int bwlimit_new(struct http *http, const char *up, const char *down,
                struct bwlimit **out_b);
/* After http_free(), which ends its timer. */
void bwlimit_free(struct bwlimit *b);

/* The clock was set, or the machine slept. */
void bwlimit_look(struct bwlimit *b);

#endif
