/* net/work.h -- a few threads that run short jobs: ciphers, disk, SQLite.
 *
 * The network thread and the FUSE threads hand over here whatever could block
 * on this machine's disk or burn CPU. Jobs start in the order of submission;
 * nothing is said of the order in which they end.
 * Threads: any thread may submit, jobs included. */
#ifndef NMB_WORK_H
#define NMB_WORK_H

struct work;

typedef void work_fn(void *arg);

/* `threads` of them, started at once, named `name` (15 bytes at most). */
int work_new(const char *name, unsigned threads, struct work **out_w);

/* Waits until everything submitted, also by jobs meanwhile, is done. */
void work_free(struct work *w);

/* 0 or -ENOMEM: then `fn` does not run. */
int work_submit(struct work *w, work_fn *fn, void *arg);

#endif
