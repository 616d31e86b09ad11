#include "tests/graphd/must.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *check(void *p)
{
	if (!p) {
		fputs("graphd: out of memory\n", stderr);
		_exit(70);
	}
	return p;
}

void *must_alloc(size_t size)
{
	return check(calloc(1, size ? size : 1));
}

void *must_grow(void *p, size_t size)
{
	return check(realloc(p, size ? size : 1));
}

char *must_copy_n(const char *s, size_t len)
{
	char *copy = must_alloc(len + 1);

	memcpy(copy, s, len);
	return copy;
}

char *must_copy(const char *s)
{
	return s ? must_copy_n(s, strlen(s)) : NULL;
}

char *must_printf(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return check(n < 0 ? NULL : s);
}

const char *must_text(const struct buf *b)
{
	if (b->failed)
		check(NULL);
	return b->data ? b->data : "";
}

_Noreturn void must_die(int rc, const char *what)
{
	fprintf(stderr, "graphd: %s: %s\n", what, strerror(-rc));
	_exit(70);
}
