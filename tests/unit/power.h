/* tests/unit/power.h -- a disk that forgets what was not flushed.
 *
 * power.c has fsync(), fdatasync() and syncfs() in place of the C library's;
 * they do the same until power_watch() names a directory made of
 * content/XX/FILES and state.db. Then a power cut can be built, drawn by
 * `random`:
 *  - content files have, per 4 KiB block, what was flushed or what was written
 *    since; a file that grew may end anywhere in between, on a block;
 *  - names that were not flushed with their directory may be missing, removed
 *    ones may be back;
 *  - the database is as of its last flush, or as of now.
 *
 * POWER_BREAK=content, names or log in the environment: flushes of these are
 * answered and not done, as if the program had left them out: a mistake that
 * the tests must find.
 * Threads: one while watching. */
#ifndef NMB_TESTS_POWER_H
#define NMB_TESTS_POWER_H

#include <stdbool.h>
#include <stdint.h>

#define POWER_BLOCK 4096

/* From now on; what is there counts as flushed. NULL: stops. */
void power_watch(const char *dir);

/* Flushes of the database's log seen so far. */
unsigned power_count_log_flushes(void);

/* Fills the empty directory `to`. */
void power_cut(uint64_t *random, const char *to);

/* fdatasync() gives EIO. */
void power_fail_flushes(bool on);

uint32_t power_draw(uint64_t *random, uint32_t below);

#endif
