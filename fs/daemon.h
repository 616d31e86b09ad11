/* fs/daemon.h -- goes into the background once there is something to show.
 *
 * The parent waits for the child's word: ready, or why not; so that errors
 * reach the caller's standard error and exit status, and `mount` returns when
 * the mount is usable. Until then the child has the terminal and may ask there;
 * Ctrl-C is the child's to answer. Threads: before any is started. */
#ifndef NMB_DAEMON_H
#define NMB_DAEMON_H

struct daemon_link {
	int fd; /* child: to the parent; -1 in the foreground */
};

/* Forks. In the parent it never returns: it exits with the child's status, or
 * with 0 once the child is ready; it dies of the signal the child died of. In
 * the child 0, or -Exxx with no fork done. */
int daemon_start(struct daemon_link *out_l);

/* Child: usable from now on; leaves the terminal. */
void daemon_ready(struct daemon_link *l);

/* Child: it comes to nothing; `line` is printed by the parent ("": nothing
 * is, it was said). */
void daemon_failed(struct daemon_link *l, int status, const char *line);

#endif
