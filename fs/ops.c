#include "fs/ops.h"

#include <errno.h>
#include <string.h>

#include "fs/codec.h"
#include "fs/engine.h"
#include "fs/history.h"
#include "fs/ops_internal.h"
#include "fs/space.h"
#include "net/clock.h"
#include "net/log.h"

/* With the default of 12 a stalled network blocks even local files. */
#define MAX_BACKGROUND 4096

static void want(struct fuse_conn_info *conn, unsigned flag, bool yes)
{
	if (yes)
		conn->want |= conn->capable & flag;
	else
		conn->want &= ~flag;
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	want(conn, FUSE_CAP_WRITEBACK_CACHE, true);
	want(conn, FUSE_CAP_ATOMIC_O_TRUNC, true);
	want(conn, FUSE_CAP_PARALLEL_DIROPS, true);
	want(conn, FUSE_CAP_READDIRPLUS, true);
	want(conn, FUSE_CAP_READDIRPLUS_AUTO, true);
	want(conn, FUSE_CAP_CACHE_SYMLINKS, true);
	/* Cached bytes go from their file to the kernel without a copy. The
	 * other way copies: splicing a WRITE page by page into ext4 takes
	 * three times as long. */
	want(conn, FUSE_CAP_SPLICE_WRITE, true);
	want(conn, FUSE_CAP_SPLICE_READ, false);
	/* The bytes behind a nodeid never change elsewhere. */
	want(conn, FUSE_CAP_AUTO_INVAL_DATA, false);
	/* The kernel takes set-user-ID bits away itself, by setattr. */
	want(conn, FUSE_CAP_HANDLE_KILLPRIV, false);
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = MAX_BACKGROUND;
	conn->time_gran = 1;
	if (!(conn->want & FUSE_CAP_WRITEBACK_CACHE))
		log_warn("fuse: no write-back cache in this kernel");
}

static void forget(struct nmb *nmb, fuse_ino_t ino, uint64_t count)
{
	if (history_owns(ino))
		history_forget(nmb->history, ino, count);
	else
		tree_forget(nmb->tree, ino, count);
}

/* Valid replies: none. */
static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	struct nmb *nmb = fuse_req_userdata(req);

	forget(nmb, ino, nlookup);
	fuse_reply_none(req);
}

/* Valid replies: none. */
static void op_forget_multi(fuse_req_t req, size_t count,
                            struct fuse_forget_data *forgets)
{
	struct nmb *nmb = fuse_req_userdata(req);

	for (size_t i = 0; i < count; i++)
		forget(nmb, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void reply_attr(fuse_req_t req, int rc, const struct stat *st)
{
	struct nmb *nmb = fuse_req_userdata(req);

	if (rc < 0)
		reply_error(req, rc);
	else
		fuse_reply_attr(req, st, ops_attr_timeout(nmb, st));
}

/* Valid replies: attr, err. */
static void op_getattr(fuse_req_t req, fuse_ino_t ino,
                       struct fuse_file_info *fi)
{
	struct nmb *nmb = fuse_req_userdata(req);
	struct stat st;
	int rc;

	(void)fi;
	if (ops_history_getattr(req, ino))
		return;
	rc = tree_get_attr(nmb->tree, ino, &st);
	reply_attr(req, rc, &st);
}

/* libfuse's bits as ours, and "now" as a time. */
static unsigned to_tree_set(int to_set, struct stat *st)
{
	static const struct {
		int fuse;
		unsigned tree;
	} bits[] = {
		{ FUSE_SET_ATTR_MODE, TREE_SET_MODE },
		{ FUSE_SET_ATTR_UID, TREE_SET_UID },
		{ FUSE_SET_ATTR_GID, TREE_SET_GID },
		{ FUSE_SET_ATTR_SIZE, TREE_SET_SIZE },
		{ FUSE_SET_ATTR_ATIME, TREE_SET_ATIME },
		{ FUSE_SET_ATTR_MTIME, TREE_SET_MTIME },
		{ FUSE_SET_ATTR_CTIME, TREE_SET_CTIME },
	};
	struct timespec now = clock_ns_to_timespec(clock_real_ns());
	unsigned what = 0;

	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		if (to_set & bits[i].fuse)
			what |= bits[i].tree;
	}
	if (to_set & FUSE_SET_ATTR_ATIME_NOW) {
		what |= TREE_SET_ATIME;
		st->st_atim = now;
	}
	if (to_set & FUSE_SET_ATTR_MTIME_NOW) {
		what |= TREE_SET_MTIME;
		st->st_mtim = now;
	}
	return what;
}

/* A file that gets longer needs room; a hole takes none, what is written into
 * it later does. */
static bool run_setattr(struct call *c)
{
	unsigned what = to_tree_set(c->flags, &c->st);
	struct stat st;
	int rc = 0;

	if (what & TREE_SET_SIZE &&
	    codec_is_too_big(c->nmb->codec, (uint64_t)c->st.st_size))
		rc = -EFBIG;
	else if (what & TREE_SET_SIZE && c->st.st_size)
		rc = ops_admit(c);
	if (rc == -EAGAIN)
		return ops_wait_room(c);
	if (rc == 0)
		rc = tree_set_attr(c->nmb->tree, c->ino, &c->st, what, &st);
	if (rc == -ENOENT && !(what & TREE_SET_SIZE)) {
		/* The kernel brings the last times of a file that is removed
		 * and closed. An error would be syncfs()'s, and somebody
		 * else's trouble. */
		st = (struct stat){ .st_ino = c->ino, .st_mode = S_IFREG };
		rc = 0;
	}
	reply_attr(c->req, rc, &st);
	return false;
}

/* Valid replies: attr, err. */
static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr,
                       int to_set, struct fuse_file_info *fi)
{
	struct call *c;

	if (ops_history_refuse(req, ino))
		return;
	c = ops_new(req, run_setattr, ino, NULL, fi);
	if (c) {
		c->st = *attr;
		c->flags = to_set;
	}
	ops_start(c);
}

#define BLOCK   4096
#define UNKNOWN (INT64_C(1) << 50) /* as if a pebibyte were free */
#define NFILES  (UINT64_C(1) << 32)

/* Valid replies: statfs, err. */
static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct nmb *nmb = fuse_req_userdata(req);
	struct engine_status s;
	int64_t total, left;

	(void)ino;
	engine_get_status(nmb->engine, &s);
	total = s.quota_total < 0 ? UNKNOWN : s.quota_total;
	left = s.quota_remaining < 0 ? total : s.quota_remaining;
	if (total < left)
		total = left;
	fuse_reply_statfs(req, &(struct statvfs){
				       .f_bsize = BLOCK,
				       .f_frsize = BLOCK,
				       .f_blocks = (fsblkcnt_t)total / BLOCK,
				       .f_bfree = (fsblkcnt_t)left / BLOCK,
				       .f_bavail = (fsblkcnt_t)left / BLOCK,
				       .f_files = NFILES,
				       .f_ffree = NFILES,
				       .f_favail = NFILES,
				       .f_namemax = NODE_NAME_MAX,
			       });
}

const struct fuse_lowlevel_ops ops_table = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.read = op_read,
	.write_buf = op_write_buf,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.fsyncdir = op_fsyncdir,
	.statfs = op_statfs,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.create = op_create,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.copy_file_range = op_copy_file_range,
};
