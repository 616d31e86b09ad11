/* fs/ops_internal.h -- shared by the ops*.c files only: one request as a
 * value, so that it can be run again when it had to wait; replies. */
#ifndef NMB_OPS_INTERNAL_H
#define NMB_OPS_INTERNAL_H

#include <stdatomic.h>

#include <fuse_lowlevel.h>

#include "fs/nmb.h"
#include "fs/tree.h"

struct call;

/* False: answered. True: parked, `c` is not ours any more. */
typedef bool call_run_fn(struct call *c);

/* The arguments that an operation has; strings are the call's. */
struct call {
	struct nmb *nmb;
	fuse_req_t req;
	call_run_fn *run;
	int64_t deadline_ms;  /* clock_mono_ms(); 0 until it first waits */
	int timeout_rc;       /* what a wait that took too long ends with */
	bool missed;          /* a read that had to wait for the network */
	bool asked, admitted; /* waits for room, was let in (ops_admit()) */

	fuse_ino_t ino, ino2;
	char *name, *name2;
	void *data; /* of a write that waits */
	struct fuse_file_info fi, fi2;
	struct stat st;
	size_t size;
	off_t off, off2;
	int flags; /* of open, setattr, rename, fallocate, lseek */
	mode_t mode;
	dev_t rdev;
};

/* One open file, in fi->fh. */
struct file {
	struct file *prev, *next; /* nmb->files */
	struct handle *handle;
	uint64_t ino;
	atomic_uint_fast64_t next_off; /* where a sequential read goes on */
	bool direct;                   /* opened past the kernel's pages */
	atomic_bool late;              /* made without room: a write waits */
	atomic_bool unseen;            /* and written so */
};

static inline struct file *file_of(const struct fuse_file_info *fi)
{
	return (struct file *)(uintptr_t)fi->fh; /* NOLINT: set in op_open */
}

/* ---- ops_call.c ---------------------------------------------------------- */

/* Makes a call and runs it; frees it unless it got parked. Without memory the
 * request is answered so. `fi`, `name` may be NULL. */
struct call *ops_new(fuse_req_t req, call_run_fn *run, fuse_ino_t ino,
                     const char *name, const struct fuse_file_info *fi);
void ops_start(struct call *c); /* NULL is fine */
void ops_free(struct call *c);

/* Return what the run function returns. */
/* Runs again at once, on a worker, where it may block on the kernel. */
bool ops_on_worker(struct call *c);
bool ops_wait_list(struct call *c, uint64_t ino);
/* May it start to write? 0; -EAGAIN: ops_wait_room(); -ENOSPC. Who waited may.
 */
int ops_admit(struct call *c);
bool ops_wait_room(struct call *c);
struct content;
bool ops_wait_chunk(struct call *c, struct content *content, uint64_t off,
                    size_t len, bool sequential);
/* Is it of a program that gets nothing from the network (fs/readers.h)? */
bool ops_is_refused(const struct call *c);

/* For other waits: a ticket for c, within the deadline; and afterwards, `rc`
 * being whether somebody will wake it. */
struct parked;
int ops_park(struct call *c, struct parked **out_p);
bool ops_parked(struct call *c, struct parked *p, int rc);

/* Replies; the call is done. */
bool ops_answer(struct call *c, int rc);
bool ops_answer_entry(struct call *c, const struct tree_entry *e);

/* The only caller of fuse_reply_err(). rc 0 or -Exxx. */
void reply_error(fuse_req_t req, int rc);

/* How long the kernel may believe it, in seconds: not at all while somebody
 * writes, since st_blocks follows when the bytes have come. */
double ops_attr_timeout(const struct nmb *nmb, const struct stat *st);

struct fuse_entry_param ops_entry_param(const struct nmb *nmb,
                                        const struct tree_entry *e);

/* ---- ops_history.c: .versions ---------------------------------------------
 */

/* False: it is none of its nodeids. Else answered, or on the way. */
bool ops_history_refuse(fuse_req_t req, fuse_ino_t ino); /* changes: EROFS */
bool ops_history_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
bool ops_history_getattr(fuse_req_t req, fuse_ino_t ino);
bool ops_history_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                         bool plus);
bool ops_history_open(fuse_req_t req, fuse_ino_t ino,
                      struct fuse_file_info *fi);
bool ops_history_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                      struct fuse_file_info *fi);
bool ops_history_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence);
bool ops_history_release(fuse_req_t req, fuse_ino_t ino,
                         struct fuse_file_info *fi);

/* A lookup of .versions itself: the tree has nothing of that name. */
bool ops_history_is_top(const struct call *c);
bool ops_history_top(struct call *c);

/* ---- the operations, by file ----------------------------------------------
 */

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
              dev_t rdev);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
                const char *name);
void op_readlink(fuse_req_t req, fuse_ino_t ino);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
               fuse_ino_t new_parent, const char *new_name, unsigned flags);
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
             const char *name);

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
                 struct fuse_file_info *fi);

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
               struct fuse_file_info *fi);
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
              struct fuse_file_info *fi);

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
             struct fuse_file_info *fi);
void op_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *bufv,
                  off_t off, struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
                  off_t len, struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
              struct fuse_file_info *fi);
void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
                        struct fuse_file_info *fi_in, fuse_ino_t ino_out,
                        off_t off_out, struct fuse_file_info *fi_out,
                        size_t len, int flags);

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);

#endif
