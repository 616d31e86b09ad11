/* fs/records.h -- a profile's database, to be read by a command, whether or
 * not something is mounted from it.
 *
 * Nothing is changed, no process is disturbed; what is committed when
 * records_open() returns is what is seen until records_close(). Threads: one.
 * Errors: 0 or -Exxx with one line for people in `why`. */
#ifndef NMB_RECORDS_H
#define NMB_RECORDS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct db;

struct records {
	struct db *db;
	char state_dir[PATH_MAX];
	char mountpoint[PATH_MAX]; /* "": not mounted now */
	bool sealed;               /* it is a vault */
	uint64_t ino;              /* of the path that was asked for */
};

/* `path`: of something in a mount of ours (of whatever profile), else within
 * the folder of the config's profile; NULL: all of it. -ENOENT: no such path,
 * or nothing was mounted for the profile yet. */
int records_open(const struct config *cfg, const char *path,
                 struct records *out, char *why, size_t why_size);
void records_close(struct records *r);

/* What is committed now is what is seen from here on. */
int records_refresh(struct records *r);

#endif
