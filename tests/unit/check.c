#include "tests/unit/check.h"

#include <stdarg.h>
#include <stdlib.h>

static struct {
	int passed, failed, skipped; /* tests */
	int failures;                /* CHECKs of the running test */
	bool skip;
	char row[160];
} state;

void check_row(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(state.row, sizeof(state.row), fmt, ap);
	va_end(ap);
}

void check_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	state.failures++;
	printf("  %s:%d: ", file, line);
	if (state.row[0])
		printf("[%s] ", state.row);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void check_i64(const char *file, int line, const char *expr, int64_t got,
               int64_t want)
{
	if (got != want)
		check_fail(file, line, "%s is %" PRId64 ", should be %" PRId64,
		           expr, got, want);
}

void check_str(const char *file, int line, const char *expr, const char *got,
               const char *want)
{
	if (!got != !want || (got && strcmp(got, want)))
		check_fail(file, line, "%s is \"%s\", should be \"%s\"", expr,
		           got ? got : "(null)", want ? want : "(null)");
}

void check_mem(const char *file, int line, const char *expr, const void *got,
               const void *want, size_t len)
{
	const unsigned char *g = got, *w = want;

	for (size_t i = 0; i < len; i++) {
		if (g[i] != w[i]) {
			check_fail(file, line,
			           "%s differs at byte %zu of %zu: "
			           "%02x, should be %02x",
			           expr, i, len, g[i], w[i]);
			return;
		}
	}
}

void check_skip(const char *why)
{
	state.skip = true;
	printf("  skipped: %s\n", why);
}

void check_run(const char *name, void (*test)(void))
{
	state.failures = 0;
	state.skip = false;
	state.row[0] = '\0';
	test();
	if (state.failures)
		state.failed++;
	else if (state.skip)
		state.skipped++;
	else
		state.passed++;
	printf("%s %s\n",
	       state.failures ? "FAIL"
	       : state.skip   ? "skip"
	                      : "ok  ",
	       name);
	fflush(stdout);
}

int check_report(void)
{
	if (state.skipped)
		printf("%d skipped\n", state.skipped);
	printf("%d passed, %d failed\n", state.passed, state.failed);
	if (state.failed)
		return EXIT_FAILURE;
	return state.skipped && !state.passed ? 77 : EXIT_SUCCESS;
}
