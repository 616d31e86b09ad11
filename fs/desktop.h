/* fs/desktop.h -- a notification on the desktop, by the program notify-send.
 *
 * Run without a shell; what it prints goes nowhere, and of our environment it
 * gets all but our own options. Threads: any; blocks for seconds at most. */
#ifndef NMB_DESKTOP_H
#define NMB_DESKTOP_H

#include <limits.h>

/* Looks for it in PATH. 0 or -ENOENT. */
int desktop_find(char out[PATH_MAX]);

/* Plain text without markup. It is ended when `stop_fd` can be read. 0; -EIO:
 * it failed (no desktop, perhaps); -ETIMEDOUT: it was ended; -Exxx. */
int desktop_notify(const char *program, const char *title, const char *text,
                   int stop_fd);

#endif
