/* fs/cmd_copy.h -- a file into a mount, whole.
 *
 * Threads: one; signals are the caller's (fs/interrupt.h ends it). */
#ifndef NMB_CMD_COPY_H
#define NMB_CMD_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct cmd_copy {
	char *target; /* absolute; changed and put right meanwhile */
	size_t top;   /* bytes of it that are there for sure: directories
	               * behind them are made */
	uint64_t size;
	mode_t mode;
	mode_t mask; /* of the user, for those directories */
	struct timespec mtime;
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

/* Nothing is under the name until all is there; what is there is replaced and
 * is a version of it then. -EINTR; -Exxx. */
int cmd_copy_in(int from, const struct cmd_copy *c);

#endif
