/* fs/readers.h -- programs that read everything they see, and must not bring
 * the whole cloud here: thumbnailers, indexers (--deny-readers).
 *
 * Asked only when a read would have to wait for the network. Who is on the list
 * gets EIO then: an EAGAIN makes some of them ask again without a pause. A
 * name is compared with that of the thread that reads and that of its process
 * (comm: 15 bytes, so the rest of longer names does not count).
 *
 * Threads: made by one, asked by any. Errors: 0 or -Exxx. */
#ifndef NMB_READERS_H
#define NMB_READERS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct readers;

/* Names divided by blanks or commas. "default" stands for the list of this
 * program, "off" or "" for none. A '*' at the end: whatever follows. NAME/WORD:
 * only if an argument of the process begins with WORD, or its last part does:
 * one program serves many purposes. */
int readers_new(const char *list, struct readers **out_r);
void readers_free(struct readers *r);

/* Is the list one? 0 or -EINVAL. */
int readers_check(const char *list);

/* Is the thread `tid` to be refused? Logs it, each name once an hour. NULL, or
 * a thread that can't be seen (another pid namespace, gone): no. */
bool readers_refuse(struct readers *r, pid_t tid);

/* Pure: is a process of that name and those arguments (each ended by a NUL) on
 * the list? */
bool readers_match(const struct readers *r, const char *comm, const char *args,
                   size_t args_len);

#endif
