/* fs/ops.h -- the FUSE operations: each unpacks, calls one function of tree,
 * content or fetch, and replies once.
 *
 * The user data of the session is the struct nmb. What can't be answered yet
 * is parked (fs/park.h) and run again; no thread of FUSE ever waits for the
 * network.
 *
 * Kernel side, and why:
 *  - write-back cache: sizes and times of a cached file are the kernel's; so a
 *    new version of a file gets a new nodeid (fs/tree.h);
 *  - entries and attributes are believed for long: fs/notify tells what
 *    changed elsewhere;
 *  - max_background is high: reads that wait for the network count against
 *    it, and with the default of 12 they would block local files;
 *  - a READ is answered in full or with an error: the kernel turns what is
 *    missing into zeros. */
#ifndef NMB_OPS_H
#define NMB_OPS_H

struct fuse_lowlevel_ops;
struct nmb;

extern const struct fuse_lowlevel_ops ops_table;

/* Closes what is still open, as RELEASE would: the kernel sends that some time
 * after the close, and never once the connection is gone. After the session's
 * end, before the tree's. */
void ops_close_all(struct nmb *nmb);

#endif
