/* fs/rescue_work.h -- the files of a rescue, several at a time.
 *
 * A directory's mode comes when the last one who works in it is done: it may be
 * read-only. Threads: any, but for workers_new() and workers_end(). */
#ifndef NMB_RESCUE_WORK_H
#define NMB_RESCUE_WORK_H

#include "fs/rescue.h"

struct rescue_dir; /* counted */
struct rescue_work;

int rescue_work_new(struct rescue_source *s, struct rescue_work **out_w);

/* Waits until all is done, then frees. */
void rescue_work_end(struct rescue_work *w, struct rescue_counts *out);

/* `fd` is dir's from now on; `it` NULL: its attributes are left alone. `parent`
 * NULL: the top. NULL: no memory, fd is closed. */
struct rescue_dir *rescue_dir_new(struct rescue_work *w,
                                  const struct rescue_dir *parent,
                                  const struct restore_item *it, int fd);
void rescue_dir_unref(struct rescue_work *w, struct rescue_dir *d);
int rescue_dir_fd(const struct rescue_dir *d);

/* Takes over `e`; waits while there is much to do already. */
void rescue_work_add(struct rescue_work *w, struct rescue_dir *d,
                     struct rescue_entry *e);

/* Says what became of an item that no worker had: 0, -EALREADY, -Exxx; `why`
 * may be NULL. */
void rescue_note(struct rescue_work *w, const struct rescue_dir *d,
                 const struct restore_item *it, int rc, const char *why);
void rescue_note_foreign(struct rescue_work *w, const struct rescue_dir *d,
                         size_t n);

/* The disk is full, or a person ended it: there is no use in going on. */
bool rescue_stopped(struct rescue_work *w);

#endif
