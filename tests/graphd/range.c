#include "tests/graphd/range.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Decimal digits only, as many as fit. */
static bool take_number(const char **s, uint64_t *out)
{
	char *end;

	if (!isdigit((unsigned char)**s))
		return false;
	errno = 0;
	*out = strtoull(*s, &end, 10);
	*s = end;
	return errno == 0;
}

static bool take_char(const char **s, char c)
{
	if (**s != c)
		return false;
	++*s;
	return true;
}

int range_parse_content(const char *s, struct range_content *out)
{
	struct range_content r;

	if (strncasecmp(s, "bytes ", 6))
		return -EINVAL;
	s += 6;
	if (!take_number(&s, &r.first) || !take_char(&s, '-') ||
	    !take_number(&s, &r.last) || !take_char(&s, '/') ||
	    !take_number(&s, &r.total) || *s)
		return -EINVAL;
	if (r.first > r.last || r.last >= r.total)
		return -EINVAL;
	*out = r;
	return 0;
}

int range_parse(const char *s, uint64_t size, uint64_t *out_off,
                uint64_t *out_len)
{
	uint64_t first, last;

	if (strncasecmp(s, "bytes=", 6))
		return -ENOENT;
	s += 6;
	if (strchr(s, ','))
		return -E2BIG;
	if (take_char(&s, '-')) {
		if (!take_number(&s, &last) || *s)
			return -ENOENT;
		if (!last || !size)
			return -ERANGE;
		*out_len = last < size ? last : size;
		*out_off = size - *out_len;
		return 0;
	}
	if (!take_number(&s, &first) || !take_char(&s, '-'))
		return -ENOENT;
	last = UINT64_MAX;
	if (*s && (!take_number(&s, &last) || *s || last < first))
		return -ENOENT;
	if (first >= size)
		return -ERANGE;
	*out_off = first;
	*out_len = (last < size ? last : size - 1) - first + 1;
	return 0;
}
