/* fs/doctor.h -- what a mount needs, tried one by one: each gets a line that
 * says how it is and what to do.
 *
 * Nothing here is changed but by the write test, which removes what it made;
 * no line holds a secret. Threads: one. */
#ifndef NMB_DOCTOR_H
#define NMB_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>

struct config;
struct keystore;

enum doctor_level {
	DOCTOR_OK,
	DOCTOR_WARN, /* it works, or may; but look */
	DOCTOR_FAIL, /* a mount won't work, or loses something */
};

/* `check`: which one, for scripts. `next`: what to do, "" if nothing. */
typedef void doctor_report_fn(void *arg, enum doctor_level level,
                              const char *check, const char *text,
                              const char *next);

struct doctor {
	const struct config *config;
	doctor_report_fn *report;
	void *arg;
};

void doctor_say(const struct doctor *d, enum doctor_level level,
                const char *check, const char *next, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* doctor_local.c: config, FUSE, libraries. */
void doctor_look_local(const struct doctor *d);

/* doctor_disk.c: the state directory, where content is cached. */
void doctor_look_disk(const struct doctor *d);

/* doctor_service.c: hosts, clock, keystore, sign-in, the folder, a file there
 * and back. */
void doctor_look_service(const struct doctor *d);

/* ---- pure ---------------------------------------------------------------- */

/* `ahead`: seconds by which the clock here is ahead of the service's. */
enum doctor_level doctor_judge_clock(int64_t ahead);

/* `free_bytes` of the file system, against what is to be kept free there. */
enum doctor_level doctor_judge_space(uint64_t free_bytes, uint64_t min_free);

/* By the magic number of statfs(2). *out_name: NULL for an ordinary one. */
enum doctor_level doctor_judge_fs(uint64_t magic, const char **out_name,
                                  const char **out_next);

/* Of a directory with unsent data and keys of the cache in it. */
enum doctor_level doctor_judge_mode(bool ours, unsigned mode);

#endif
