/* fs/report.h -- tells of a mount where nobody looks: on the desktop
 * (--notify), and in a file for Prometheus (--prometheus-file).
 *
 * One thread, if either is asked for. It wakes when something happens or a
 * round of changes ended, and once more when it is time to tell of it: an idle
 * mount does not wake it. What it waits for (a file system, notify-send) keeps
 * nobody else waiting. Errors: 0 or -Exxx. */
#ifndef NMB_REPORT_H
#define NMB_REPORT_H

#include <stddef.h>

struct config;
struct nmb;
struct report;

#define REPORT_FILE_MS 15000 /* between two files */

/* Before anything is mounted: can that file be written? -EINVAL and one line
 * for people in `why`. */
int report_check(const struct config *cfg, const char *mountpoint, char *why,
                 size_t size);

/* *out_r: NULL if nothing is asked for; the others take that. */
int report_new(struct nmb *nmb, struct report **out_r);
int report_start(struct report *r);

/* Writes the file a last time and ends the thread: before the engine goes. */
void report_stop(struct report *r);
/* After the engine and the network have stopped: they may still wake it. */
void report_free(struct report *r);

#endif
