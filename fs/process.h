/* fs/process.h -- what the whole process is like: private.
 *
 * Once, from main, before anything secret is in memory or any file is made.
 * Threads: before any is started. */
#ifndef NMB_PROCESS_H
#define NMB_PROCESS_H

#include <sys/types.h>

/* No core file, no look into our memory or environment by other programs of
 * the same user (ptrace, /proc/PID), new files for us alone. Returns the umask
 * as the user has it, for files that are the user's (config_umask()). */
mode_t process_be_private(void);

#endif
