/* fs/survey.h -- what the drive holds below our folder, by one enumeration, to
 * be held against the rows.
 *
 * Kept in a private database of SQLite's own, which goes to disk when it gets
 * large and leaves none of it behind: ten million items need no memory.
 * Threads: one. Errors: 0 or -Exxx; of survey_take() with a line in the
 * direct's `why`. */
#ifndef NMB_SURVEY_H
#define NMB_SURVEY_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/item.h"

struct direct;
struct survey;

/* `n` items came so far. */
typedef void survey_progress_fn(void *arg, uint64_t n);

/* -ENOENT: the folder itself is not there. */
int survey_take(struct direct *d, const char *folder_id, bool personal,
                survey_progress_fn *progress, void *arg, struct survey **out_s);
void survey_free(struct survey *s);

/* One item that lies below the folder, at whatever depth. -ENOENT: none of that
 * id does. */
int survey_get(struct survey *s, const char *id, struct item *out);

/* Does that folder lie below ours, or is it ours? 1, 0, -Exxx. */
int survey_has_folder(struct survey *s, const char *id);

/* All items of which survey_get() would say 0. `each` ends it with anything but
 * 0, which comes back; it may call the two above. */
typedef int survey_each_fn(void *arg, const struct item *it);
int survey_each(struct survey *s, survey_each_fn *each, void *arg);

#endif
