/* net/clock.h -- time: monotonic milliseconds, nanoseconds since 1970 and
 * RFC 3339 text.
 *
 * Deadlines and retry times use clock_mono_ms(), which no clock jump moves
 * and which goes on while the machine sleeps. Threads: any. */
#ifndef NMB_CLOCK_H
#define NMB_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_SEC INT64_C(1000000000)

/* Milliseconds since boot, sleep included (CLOCK_BOOTTIME). */
int64_t clock_mono_ms(void);

/* Nanoseconds since 1970 (CLOCK_REALTIME): for users, never for deadlines. */
int64_t clock_real_ns(void);

struct timespec clock_ns_to_timespec(int64_t ns);
int64_t clock_timespec_to_ns(struct timespec ts); /* saturates */

/* Parses "2026-11-22T10:01:07[.fraction](Z|+hh:mm|-hh:mm)", 0 to 9 digits of
 * fraction; more digits are cut. Graph sends all of these (facts 2.3).
 * Returns 0 or -EINVAL. */
int clock_parse_rfc3339(const char *s, int64_t *out_ns);

/* Writes UTC with `digits` (0, 3, 7 or 9; others are rounded up) of fraction.
 * `out` takes CLOCK_RFC3339_SIZE bytes. Years outside 0..9999 are clamped. */
#define CLOCK_RFC3339_SIZE 40
void clock_format_rfc3339(int64_t ns, int digits, char *out);

#endif
