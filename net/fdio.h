/* net/fdio.h -- all of it to a descriptor.
 *
 * Threads: any, one at a time per descriptor. */
#ifndef NMB_FDIO_H
#define NMB_FDIO_H

#include <stddef.h>

/* Goes on after short writes and signals. 0 or -Exxx: some may be written. */
int fdio_write_all(int fd, const void *data, size_t len);

#endif
