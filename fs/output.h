/* fs/output.h -- a local file that appears whole or not at all.
 *
 * Bytes go into a temporary file beside the target, which is synced and
 * renamed at the end; what is no regular file (a pipe, /dev/null, standard
 * output) is written as it comes. Threads: one. Errors: 0 or -Exxx. */
#ifndef NMB_OUTPUT_H
#define NMB_OUTPUT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct output {
	int fd;
	mode_t mode; /* of a new file */
	bool close, replace;
	char target[PATH_MAX];
	char temporary[PATH_MAX]; /* "": written as it comes */
};

/* A new file gets `mode`. `path` "-": standard output. A directory: `name` in
 * it, which must not be there yet (-EEXIST); anything else is replaced, and
 * keeps its mode. */
int output_open(const char *path, const char *name, mode_t mode,
                struct output *out);

int output_write(void *output, const void *data, size_t len);

/* Makes it appear, with that mtime (0: now), or after an error (rc < 0) takes
 * everything away. Returns rc, or what went wrong. */
int output_end(struct output *o, int rc, int64_t mtime_ns);

#endif
