/* fs/logging.h -- where log lines go: standard error, a file, or syslog when a
 * process in the background has neither.
 *
 * Standard error that leads into systemd's journal gets the level in front of
 * each line, as "<N>" (sd-daemon(3)); it does if $JOURNAL_STREAM names its
 * device and inode (systemd.exec(5)).
 *
 * Set up once at the start; the file is opened for appending, 0600. */
#ifndef NMB_LOGGING_H
#define NMB_LOGGING_H

struct config;

/* Before that: what is logged already has its level in the journal. */
void logging_prepare(void);

/* 0, or -Exxx if the file can't be opened. `background`: no terminal. */
int logging_start(const struct config *c, int background);

/* What a line for standard error that does not come from the log begins with: a
 * "<3>" where the journal takes it, or "". */
const char *logging_error_mark(void);

#endif
