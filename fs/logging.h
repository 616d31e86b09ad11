/* fs/logging.h -- where log lines go: standard error, a file, or syslog when a
 * process in the background has neither.
 *
 * Set up once at the start; the file is opened for appending, 0600. */
#ifndef NMB_LOGGING_H
#define NMB_LOGGING_H

struct config;

/* 0, or -Exxx if the file can't be opened. `background`: no terminal. */
int logging_start(const struct config *c, int background);

#endif
