/* fs/cmd_watch.h -- `status --watch`: a picture of the running mount that
 * follows it.
 *
 * The mount tells what happens (control.h, "events"); its numbers are asked for
 * after that, and once a second while something is under way. An idle mount is
 * left alone but for a look every half a minute. Threads: the main one. */
#ifndef NMB_CMD_WATCH_H
#define NMB_CMD_WATCH_H

struct running;

/* Until the mount ends (EXIT_OK), a key or a signal asks for it (EXIT_OK), or
 * the mount dies (EXIT_FAILED, said). */
int cmd_watch(const struct running *r);

#endif
