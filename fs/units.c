#include "fs/units.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <strings.h>

static int parse_unit(const char *s, const char *const *names,
                      const uint64_t *factors, size_t n, uint64_t *out)
{
	unsigned long long v;
	char *end;

	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(end, names[i]) != 0)
			continue;
		if (v > (uint64_t)INT64_MAX / factors[i])
			return -EINVAL;
		*out = v * factors[i];
		return 0;
	}
	return -EINVAL;
}

int units_parse_size(const char *s, uint64_t *out)
{
	static const char *const names[] = { "",    "B", "K",   "KiB", "M",
		                             "MiB", "G", "GiB", "T",   "TiB" };
	static const uint64_t factors[] = {
		1,       1,       1 << 10, 1 << 10,           1 << 20,
		1 << 20, 1 << 30, 1 << 30, UINT64_C(1) << 40, UINT64_C(1) << 40,
	};

	return parse_unit(s, names, factors, 10, out);
}

int units_parse_time(const char *s, uint64_t *out)
{
	static const char *const names[] = { "", "ms", "s", "m", "h", "d" };
	static const uint64_t factors[] = { 1000,  1,       1000,
		                            60000, 3600000, 86400000 };

	return parse_unit(s, names, factors, 6, out);
}
