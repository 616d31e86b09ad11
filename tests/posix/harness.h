/* tests/posix/harness.h -- what main needs to run groups of rows. */
#ifndef NMB_TESTS_POSIX_HARNESS_H
#define NMB_TESTS_POSIX_HARNESS_H

#include <stdbool.h>

void harness_init(bool mount);
/* In a directory of its own, which is gone afterwards; prints one line. */
void harness_group(const char *name, void (*group)(void));
/* The last lines; the exit status. */
int harness_report(void);

#endif
