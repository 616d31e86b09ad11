#include "fs/ops_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/ahead.h"
#include "fs/codec.h"
#include "fs/content.h"
#include "fs/fetch.h"
#include "fs/history.h"
#include "fs/lock.h"
#include "fs/space.h"

/* ---- reading
 * ----------------------------------------------------------------- */

/* Less than the kernel knows to be there would become zeros in its cache. A
 * handle of an outdated version may know a size that was only claimed. */
static int check_full(struct call *c, struct handle *h,
                      const struct content_span *span)
{
	uint64_t told, end = (uint64_t)c->off + span->len;

	if (!tree_handle_outdated(c->nmb->tree, h, &told))
		return 0;
	return end >= told || span->len == c->size ? 0 : -EIO;
}

static bool reply_span(struct call *c, const struct content_span *span)
{
	struct fuse_bufvec v = FUSE_BUFVEC_INIT(span->len);

	lock_assert_none();
	if (!span->len) {
		fuse_reply_buf(c->req, NULL, 0);
		return false;
	}
	v.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK | FUSE_BUF_FD_RETRY;
	v.buf[0].fd = span->fd;
	v.buf[0].pos = (off_t)span->off;
	fuse_reply_data(c->req, &v, 0);
	return false;
}

static bool run_read(struct call *c)
{
	struct file *f = file_of(&c->fi);
	struct nmb *nmb = c->nmb;
	uint64_t off = (uint64_t)c->off;
	bool sequential = atomic_load(&f->next_off) == off, parked;
	struct content_span span;
	struct content *content;
	int rc = tree_handle_content(nmb->tree, f->handle, &content);

	if (rc < 0)
		return ops_answer(c, rc);
	rc = content_read(content, off, c->size, &span);
	if (rc == 0)
		rc = check_full(c, f->handle, &span);
	if (rc == -EAGAIN && ops_is_refused(c))
		rc = -EIO;
	if (!off && !c->missed && (rc == 0 || rc == -EAGAIN)) {
		c->missed = rc == -EAGAIN;
		ahead_note(nmb->ahead, content_ino(content), c->missed);
	}
	if (rc == -EAGAIN) {
		parked = ops_wait_chunk(c, content, off, c->size, sequential);
	} else if (rc < 0) {
		parked = ops_answer(c, rc);
	} else {
		atomic_store(&f->next_off, off + span.len);
		parked = reply_span(c, &span);
		if (span.partial && sequential)
			fetch_read_on(nmb->fetch, content_cid(content), off,
			              span.len);
	}
	content_put(content);
	return parked;
}

/* Valid replies: buf, iov, data, err. */
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
             struct fuse_file_info *fi)
{
	struct call *c;

	if (ops_history_read(req, ino, size, off, fi))
		return;
	c = ops_new(req, run_read, ino, NULL, fi);
	if (c) {
		c->size = size;
		c->off = off;
	}
	ops_start(c);
}

/* ---- writing
 * ----------------------------------------------------------------- */

/* Bytes from the request, usually a pipe, into the content file. */
static ssize_t put_bytes(struct content *c, struct fuse_bufvec *bufv, off_t off)
{
	size_t len = fuse_buf_size(bufv);
	struct fuse_bufvec to = FUSE_BUFVEC_INIT(len);
	ssize_t n;
	int fd, rc = content_write_begin(c, (uint64_t)off, len, &fd);

	if (rc < 0)
		return rc;
	to.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	to.buf[0].fd = fd;
	to.buf[0].pos = off;
	n = fuse_buf_copy(&to, bufv, 0);
	rc = content_write_end(c, (uint64_t)off, n);
	return rc < 0 ? rc : n;
}

static void write_now(fuse_req_t req, struct fuse_bufvec *bufv, off_t off,
                      const struct fuse_file_info *fi)
{
	struct nmb *nmb = fuse_req_userdata(req);
	struct handle *h = file_of(fi)->handle;
	struct content *c;
	ssize_t n;
	size_t len = fuse_buf_size(bufv);
	int rc = codec_is_too_big(nmb->codec, (uint64_t)off + len)
	                 ? -EFBIG
	                 : space_take(nmb->space, len);

	if (rc == 0)
		rc = tree_handle_content(nmb->tree, h, &c);
	if (rc < 0) {
		reply_error(req, rc);
		return;
	}
	n = put_bytes(c, bufv, off);
	if (n >= 0) {
		if (file_of(fi)->direct)
			atomic_store(&file_of(fi)->unseen, true);
		tree_wrote(nmb->tree, h, c, fi->writepage);
	}
	content_put(c);
	lock_assert_none();
	if (n < 0)
		reply_error(req, (int)n);
	else
		fuse_reply_write(req, (size_t)n);
}

static bool run_late_write(struct call *c)
{
	struct fuse_bufvec from = FUSE_BUFVEC_INIT(c->size);
	int rc = ops_admit(c);

	if (rc == -EAGAIN)
		return ops_wait_room(c);
	if (rc < 0)
		return ops_answer(c, rc);
	atomic_store(&file_of(&c->fi)->late, false);
	from.buf[0].mem = c->data;
	write_now(c->req, &from, c->off, &c->fi);
	return false;
}

static void write_late(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *bufv,
                       off_t off, struct fuse_file_info *fi)
{
	struct call *c = ops_new(req, run_late_write, ino, NULL, fi);
	struct fuse_bufvec to = FUSE_BUFVEC_INIT(fuse_buf_size(bufv));
	ssize_t n;

	if (!c)
		return;
	c->off = off;
	c->data = malloc(to.buf[0].size);
	to.buf[0].mem = c->data;
	n = c->data ? fuse_buf_copy(&to, bufv, 0) : -ENOMEM;
	if (n < 0) {
		reply_error(req, (int)n);
		ops_free(c);
		return;
	}
	c->size = (size_t)n;
	ops_start(c);
}

/* Valid replies: write, err. What writes pages out is never parked, for it
 * can't be killed. */
void op_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *bufv,
                  off_t off, struct fuse_file_info *fi)
{
	if (atomic_load(&file_of(fi)->late) && !fi->writepage)
		write_late(req, ino, bufv, off, fi);
	else
		write_now(req, bufv, off, fi);
}

static bool run_fallocate(struct call *c)
{
	struct handle *h = file_of(&c->fi)->handle;
	struct nmb *nmb = c->nmb;
	struct content *content;
	uint64_t end = (uint64_t)c->off + (uint64_t)c->off2;
	int rc = 0;

	if (!(c->flags & FALLOC_FL_PUNCH_HOLE))
		rc = codec_is_too_big(nmb->codec, end) ? -EFBIG : ops_admit(c);
	if (rc == -EAGAIN)
		return ops_wait_room(c);
	if (rc == 0 && !(c->flags & FALLOC_FL_PUNCH_HOLE))
		rc = space_take(nmb->space, (uint64_t)c->off2);
	if (rc == 0)
		rc = tree_handle_content(nmb->tree, h, &content);
	if (rc < 0)
		return ops_answer(c, rc);
	rc = content_fallocate(content, c->flags, (uint64_t)c->off,
	                       (uint64_t)c->off2);
	if (rc == 0)
		tree_wrote(nmb->tree, h, content, false);
	content_put(content);
	return ops_answer(c, rc);
}

/* Valid replies: err. */
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
                  off_t len, struct fuse_file_info *fi)
{
	struct call *c = ops_new(req, run_fallocate, ino, NULL, fi);

	if (c) {
		c->flags = mode;
		c->off = off;
		c->off2 = len;
	}
	ops_start(c);
}

/* The kernel asks without writing its dirty pages back first: what a program
 * just wrote would look like a hole, and `cp` would lose it. Being told to
 * forget its pages makes it write them; it waits for our answer meanwhile with
 * the inode locked, which write-out does not need. */
static bool run_lseek(struct call *c)
{
	struct handle *h = file_of(&c->fi)->handle;
	struct content *content;
	struct tree_use use;
	uint64_t at;
	int rc;

	tree_get_use(c->nmb->tree, handle_ino(h), &use);
	if (use.writers && !c->size) {
		c->size = 1; /* the next time it runs, on a worker */
		return ops_on_worker(c);
	}
	if (c->size)
		fuse_lowlevel_notify_inval_inode(c->nmb->fuse, c->ino, 0, 0);
	rc = tree_handle_content(c->nmb->tree, h, &content);
	if (rc == 0) {
		rc = content_seek(content, (uint64_t)c->off, c->flags, &at);
		content_put(content);
	}
	if (rc < 0)
		return ops_answer(c, rc);
	fuse_reply_lseek(c->req, (off_t)at);
	return false;
}

/* Valid replies: lseek, err. */
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
              struct fuse_file_info *fi)
{
	struct call *c;

	if (ops_history_lseek(req, ino, off, whence))
		return;
	c = ops_new(req, run_lseek, ino, NULL, fi);
	if (c) {
		c->off = off;
		c->flags = whence;
	}
	ops_start(c);
}

/* ---- copying
 * ----------------------------------------------------------------- */

#define COPY_MAX (1u << 20) /* per request; the kernel asks for the rest */

/* `n` bytes, all here, from one file into the other. */
static ssize_t copy_bytes(struct content *from, uint64_t off_from,
                          struct content *to, uint64_t off_to, size_t n)
{
	char *buf = malloc(n);
	ssize_t got;
	int rc;

	if (!buf)
		return -ENOMEM;
	got = content_pread(from, buf, n, off_from);
	rc = got > 0 ? content_write(to, buf, (size_t)got, off_to) : 0;
	free(buf);
	return rc < 0 ? rc : got;
}

static bool run_copy(struct call *c)
{
	struct handle *in = file_of(&c->fi)->handle;
	struct handle *out = file_of(&c->fi2)->handle;
	struct content *from, *to = NULL;
	struct nmb *nmb = c->nmb;
	struct content_span span;
	bool parked = false;
	ssize_t n = 0;
	int rc = tree_handle_content(nmb->tree, in, &from);

	if (rc < 0)
		return ops_answer(c, rc);
	rc = content_read(from, (uint64_t)c->off, c->size, &span);
	if (rc == -EAGAIN && ops_is_refused(c))
		rc = -EIO;
	if (rc == 0 &&
	    codec_is_too_big(nmb->codec, (uint64_t)c->off2 + span.len))
		rc = -EFBIG;
	if (rc == 0)
		rc = space_take(nmb->space, span.len);
	if (rc == 0)
		rc = tree_handle_content(nmb->tree, out, &to);
	if (rc == 0 && span.len)
		n = copy_bytes(from, span.off, to, (uint64_t)c->off2, span.len);
	if (rc == 0 && n > 0)
		tree_wrote(nmb->tree, out, to, false);
	if (rc == -EAGAIN && !to)
		parked = ops_wait_chunk(c, from, (uint64_t)c->off, c->size,
		                        true);
	else if (rc < 0 || n < 0)
		parked = ops_answer(c, rc < 0 ? rc : (int)n);
	else
		fuse_reply_write(c->req, (size_t)n);
	content_put(from);
	content_put(to);
	return parked;
}

/* Valid replies: write, err. */
void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
                        struct fuse_file_info *fi_in, fuse_ino_t ino_out,
                        off_t off_out, struct fuse_file_info *fi_out,
                        size_t len, int flags)
{
	struct call *c;

	(void)flags;
	if (history_owns(ino_in)) { /* by read and write, then */
		reply_error(req, -EXDEV);
		return;
	}
	c = ops_new(req, run_copy, ino_in, NULL, fi_in);
	if (c) {
		c->ino2 = ino_out;
		c->fi2 = *fi_out;
		c->off = off_in;
		c->off2 = off_out;
		c->size = len < COPY_MAX ? len : COPY_MAX;
	}
	ops_start(c);
}
