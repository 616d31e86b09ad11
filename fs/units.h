/* fs/units.h -- numbers with units, as people write them in options.
 *
 * Pure. 0, or -EINVAL: not one, or too large for an int64_t. */
#ifndef NMB_UNITS_H
#define NMB_UNITS_H

#include <stdint.h>

/* Bytes: "500", "512k", "20G", "1TiB"; of 1024. */
int units_parse_size(const char *s, uint64_t *out);

/* Milliseconds: "2" (seconds), "500ms", "5m", "1d". */
int units_parse_time(const char *s, uint64_t *out);

#endif
