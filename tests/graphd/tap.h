/* tests/graphd/tap.h -- writes down what went over the wire, for tests that
 * look for it where it must not be: per request its target, Authorization and
 * form; per answer its Location and its body, unless that is file content.
 *
 * Threads: any; one write() each. */
#ifndef NMB_TESTS_GRAPHD_TAP_H
#define NMB_TESTS_GRAPHD_TAP_H

struct exchange;

/* A descriptor that is appended to, or -Exxx. */
int tap_open(const char *path);

/* Before the answer is handed on. fd < 0: nothing happens. */
void tap_note(int fd, const struct exchange *x);

#endif
