/* tests/unit/check.h -- what a unit test needs.
 *
 * A test program has static test_xxx() functions, lists them in main with
 * RUN() and ends with `return check_report();`. A failed CHECK is printed with
 * its place and counts against its test, which goes on. The last line is
 * "N passed, N failed"; the exit status is 1 if a test failed, 77 if SKIP()
 * was the only thing that happened. */
#ifndef NMB_TESTS_CHECK_H
#define NMB_TESTS_CHECK_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

void check_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void check_i64(const char *file, int line, const char *expr, int64_t got,
               int64_t want);
void check_str(const char *file, int line, const char *expr, const char *got,
               const char *want);
void check_mem(const char *file, int line, const char *expr, const void *got,
               const void *want, size_t len);
void check_run(const char *name, void (*test)(void));
void check_skip(const char *why);
int check_report(void);

/* Names the row of a table; printed with every failure until changed. */
void check_row(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond))                                                   \
			check_fail(__FILE__, __LINE__, "%s", #cond);           \
	} while (0)
#define CHECK_EQ(got, want)                                                    \
	check_i64(__FILE__, __LINE__, #got, (int64_t)(got), (int64_t)(want))
#define CHECK_STR(got, want) check_str(__FILE__, __LINE__, #got, got, want)
#define CHECK_MEM(got, want, len)                                              \
	check_mem(__FILE__, __LINE__, #got, got, want, len)
#define RUN(test) check_run(#test, test)
#define SKIP(why)                                                              \
	do {                                                                   \
		check_skip(why);                                               \
		return;                                                        \
	} while (0)

#endif
