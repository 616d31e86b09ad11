/* fs/aside.h -- files moved out of the way, never over another one.
 *
 * Threads: any, but nobody else moves things to the same place. Errors: 0 or
 * -Exxx, -EEXIST: the place is taken, nothing was moved. */
#ifndef NMB_ASIDE_H
#define NMB_ASIDE_H

int aside_move(int from_fd, const char *from, int to_fd, const char *to);

/* Moves `name` (its last part counts) into the directory `quarantine_fd` as
 * "WHY-NAME", or "WHY-NAME.N" if that is taken. Logs where to. */
int aside_quarantine(int from_fd, const char *name, int quarantine_fd,
                     const char *why);

#endif
