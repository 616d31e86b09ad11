/* fs/cmd_item.h -- what a PATH on a command line means on the drive.
 *
 * Threads: one. */
#ifndef NMB_CMD_ITEM_H
#define NMB_CMD_ITEM_H

#include <stdbool.h>

struct cJSON;
struct direct;
struct direct_file;
struct running;

/* `what`, below the mount point or relative to the folder, as a path in the
 * folder: no slash in front. Borrowed from `what`. */
const char *cmd_path_in_folder(const char *what, const struct running *r);

/* By path (NULL: not that way), and what that does not find may be an id,
 * `what`. -ENOENT, and what else direct_find(), direct_look() and
 * direct_look_id() say; the line for people is in d->why. */
int cmd_find_item(struct direct *d, const char *path, const char *what,
                  struct direct_file *out);

/* A name into an answer, escaped as on a terminal: it need not be UTF-8. */
bool cmd_add_name(struct cJSON *o, const char *key, const char *name);

#endif
