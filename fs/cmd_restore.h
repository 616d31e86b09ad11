/* fs/cmd_restore.h -- shared by the cmd_restore*.c files only.
 *
 *	cmd_restore.c        the command, a tree
 *	cmd_restore_file.c   one file: found, fetched, put where it belongs */
#ifndef NMB_CMD_RESTORE_H
#define NMB_CMD_RESTORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/direct.h"
#include "fs/running.h"

struct past;
struct past_deletes;

struct restoring {
	const struct config *config;
	const char *what; /* as given */
	const char *dest; /* NULL: where it was */
	const char *version;
	bool has_time, force, leave_bin;
	int64_t at;
	mode_t umask;

	struct running running;
	struct direct direct;
	char path[DIRECT_PATH]; /* in the folder, no slash at either end */
	char why[DIRECT_WHY];
};

/* The exit status of an error whose line is in r->why. */
int restore_failed(const struct restoring *r);

/* One version by its id. */
int restore_version(struct restoring *r);

/* `id`: of the item that had the path then. Exit status. */
int restore_file(struct restoring *r, struct past *p,
                 const struct past_deletes *deletes, const char *id);

#endif
