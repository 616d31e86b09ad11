/* fs/config_file.h -- the INI file: `key = value`, [sections], '#' and ';'
 * comments; values end with the line, without quotes.
 *
 * Threads: any. */
#ifndef NMB_CONFIG_FILE_H
#define NMB_CONFIG_FILE_H

#include <stddef.h>

/* `section` is "" before the first one; `line` counts from 1. Returns 0, or
 * -Exxx to stop. */
typedef int config_entry_fn(void *arg, const char *section, const char *key,
                            const char *value, unsigned line);

/* -ENOENT: no such file. -EINVAL: a line that is none of the above (`why` says
 * which), or what `each` returned. */
int config_file_read(const char *path, config_entry_fn *each, void *arg,
                     char *why, size_t why_size);

/* Sets one key in one section, leaving every other line as it is; makes file,
 * directories (0700) and section if need be. Durable. -EINVAL: a value with a
 * line feed, or a file we could not read whole: nothing was changed. */
int config_file_write(const char *path, const char *section, const char *key,
                      const char *value);

#endif
