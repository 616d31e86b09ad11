/* fs/netwatch.h -- notices that this machine's network has changed: a link, an
 * address or a route came or went (rtnetlink(7)).
 *
 * Waiting requests are tried at once then, and connections of the old network
 * are not waited for. Threads: one. */
#ifndef NMB_NETWATCH_H
#define NMB_NETWATCH_H

#include <stdbool.h>

/* Readable when it is to be asked; -1: nothing is noticed, for poll(). */
int netwatch_open(void);
void netwatch_close(int fd);

/* The fd was readable: takes what there is. True: something changed. */
bool netwatch_changed(int fd);

#endif
