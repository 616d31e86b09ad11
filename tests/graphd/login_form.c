#include "tests/graphd/login_internal.h"

#include <stdlib.h>
#include <string.h>

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static char *decode(const char *s, size_t len)
{
	char *out = malloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; out && i < len; i++) {
		int high = i + 2 < len ? hex_value(s[i + 1]) : -1;
		int low = high >= 0 ? hex_value(s[i + 2]) : -1;

		if (s[i] == '%' && low >= 0) {
			out[n++] = (char)(high * 16 + low);
			i += 2;
		} else {
			out[n++] = s[i] == '+' ? ' ' : s[i];
		}
	}
	if (out)
		out[n] = '\0';
	return out;
}

char *login_form_get(const char *form, size_t len, const char *name)
{
	size_t name_len = strlen(name);
	const char *p = form, *end = form ? form + len : NULL;

	while (p < end) {
		const char *amp = memchr(p, '&', (size_t)(end - p));
		const char *stop = amp ? amp : end;
		const char *eq = memchr(p, '=', (size_t)(stop - p));

		if (eq && (size_t)(eq - p) == name_len &&
		    memcmp(p, name, name_len) == 0)
			return decode(eq + 1, (size_t)(stop - eq - 1));
		p = stop + 1;
	}
	return NULL;
}
