/* fs/paths.h -- where things lie: XDG directories, one per profile.
 *
 * Threads: any. Errors: 0 or -Exxx; `why` gets one line for people. */
#ifndef NMB_PATHS_H
#define NMB_PATHS_H

#include <stddef.h>

struct config;

/* $XDG_STATE_HOME/nmbackupfs/<profile>, or --state-dir. -ENAMETOOLONG,
 * -ENOENT (no home directory). Makes nothing. */
int paths_state_dir(const struct config *c, char *out, size_t size);

/* $XDG_CONFIG_HOME/nmbackupfs. */
int paths_config_dir(char *out, size_t size);

/* Makes all directories above `path`, 0700, where they are missing. */
int paths_make_parents(const char *path);

/* Makes `dir` with all above it, 0700. -EPERM if it is there and somebody
 * else's, or open to others: then nothing was changed. */
int paths_make_private(const char *dir, char *why, size_t why_size);

#endif
