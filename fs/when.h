/* fs/when.h -- points in time as people write them, and as they read them.
 *
 * Times are ns since 1970. What is local goes by the time zone of the process.
 * Pure but for that; any thread. */
#ifndef NMB_WHEN_H
#define NMB_WHEN_H

#include <stdint.h>

/* Understands, `now` being the present:
 *
 *	2026-11-24T21:14:02.5Z, ...+01:00     RFC 3339, to the ns
 *	2026-11-24 21:14:02, 2026-11-24 21:14, 2026-11-24
 *	                                      local ('T' may stand between); a
 *	                                      day alone is its beginning
 *	90s, 30m, 2h, 3d, 1w, "3d ago"        so long ago
 *	now
 *
 * -EINVAL: none of these; -ERANGE: no such day or time, or not in the past. */
int when_parse(const char *text, int64_t now, int64_t *out);

#define WHEN_TEXT 40
/* RFC 3339 in local time, whole seconds: "2026-11-24T22:14:02+01:00". */
void when_format_local(int64_t time, char out[WHEN_TEXT]);

/* UTC, made for file names: "2026-11-24T21-14-02Z". */
void when_format_name(int64_t time, char out[WHEN_TEXT]);

#endif
