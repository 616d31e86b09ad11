#include "fs/ops_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "fs/codec.h"
#include "fs/content.h"
#include "fs/fetch.h"
#include "fs/history.h"
#include "fs/lock.h"
#include "fs/ops.h"
#include "fs/space.h"

static bool wants_write(const struct fuse_file_info *fi)
{
	return (fi->flags & O_ACCMODE) != O_RDONLY;
}

/* What a writer leaves as it is has to come from the server before the file
 * can be sent: it is fetched from now on. */
static void hydrate(struct nmb *nmb, struct handle *h)
{
	struct content *c;

	if (!handle_can_write(h) || tree_handle_content(nmb->tree, h, &c) < 0)
		return;
	if (content_is_whole(c) == 0)
		fetch_hydrate(nmb->fetch, c, NULL, NULL);
	content_put(c);
}

static void link_file(struct nmb *nmb, struct file *f)
{
	lock_take(&nmb->files_lock, LOCK_LEAF);
	f->next = nmb->files;
	if (f->next)
		f->next->prev = f;
	nmb->files = f;
	lock_drop(&nmb->files_lock, LOCK_LEAF);
}

static struct file *find_other(const struct nmb *nmb, const struct file *f)
{
	struct file *other = nmb->files;

	while (other && (other == f || other->ino != f->ino))
		other = other->next;
	return other;
}

/* True: the kernel has not seen that it was written, and nobody else who has
 * it open will come by here. */
static bool unlink_file(struct nmb *nmb, struct file *f)
{
	struct file *heir;
	bool unseen;

	lock_take(&nmb->files_lock, LOCK_LEAF);
	unseen = atomic_load(&f->unseen);
	heir = unseen ? find_other(nmb, f) : NULL;
	if (heir)
		atomic_store(&heir->unseen, true);
	if (f->prev)
		f->prev->next = f->next;
	else
		nmb->files = f->next;
	if (f->next)
		f->next->prev = f->prev;
	lock_drop(&nmb->files_lock, LOCK_LEAF);
	return unseen && !heir;
}

static int set_up(struct call *c, struct handle *h)
{
	struct file *f = calloc(1, sizeof(*f));

	if (!f) {
		tree_release(c->nmb->tree, h);
		return -ENOMEM;
	}
	f->handle = h;
	f->ino = handle_ino(h);
	link_file(c->nmb, f);
	c->fi.fh = (uint64_t)(uintptr_t)f;
	/* Other bytes get another nodeid: what is cached for this one holds. */
	c->fi.keep_cache = 1;
	if (handle_can_write(h))
		c->fi.direct_io = f->direct = space_is_tight(c->nmb->space);
	hydrate(c->nmb, h);
	return 0;
}

static bool tear_down(struct nmb *nmb, struct file *f)
{
	bool unseen;

	tree_release(nmb->tree, f->handle);
	unseen = unlink_file(nmb, f);
	/* The kernel has ordered this after the last read; the load says so to
	 * checkers that don't see the kernel. */
	atomic_load(&f->next_off);
	free(f);
	return unseen;
}

void ops_close_all(struct nmb *nmb)
{
	while (nmb->files)
		tear_down(nmb, nmb->files);
}

/* An empty file of a vault, not looked at yet: its content, to be waited for.
 */
static bool is_claim(const struct call *c, struct handle *h,
                     struct content **out_c)
{
	if (!c->nmb->codec->ops->authenticates ||
	    (c->fi.flags & O_ACCMODE) == O_WRONLY || c->fi.flags & O_TRUNC ||
	    tree_handle_content(c->nmb->tree, h, out_c) < 0)
		return false;
	if (content_is_claim(*out_c))
		return true;
	content_put(*out_c);
	return false;
}

/* The open comes again when it is known what the file is. */
static bool wait_for_proof(struct call *c, struct handle *h,
                           struct content *content)
{
	bool waits;

	tree_release(c->nmb->tree, h);
	waits = ops_wait_chunk(c, content, 0, 1, false);
	content_put(content);
	return waits;
}

/* With O_TRUNC the kernel leaves it to us: who changes a program without being
 * root takes its set-ID bits away. */
static int drop_set_ids(struct call *c)
{
	const struct fuse_ctx *who = fuse_req_ctx(c->req);
	struct stat st;
	mode_t drop = S_ISUID;
	int rc;

	if (!(c->fi.flags & O_TRUNC) || !wants_write(&c->fi) || !who->uid)
		return 0;
	rc = tree_get_attr(c->nmb->tree, c->ino, &st);
	if (rc < 0)
		return rc;
	if (st.st_mode & S_IXGRP)
		drop |= S_ISGID;
	if (!(st.st_mode & drop))
		return 0;
	st.st_mode &= ~drop;
	return tree_set_attr(c->nmb->tree, c->ino, &st, TREE_SET_MODE, &st);
}

static bool run_open(struct call *c)
{
	struct content *content;
	struct handle *h;
	int rc = wants_write(&c->fi) ? ops_admit(c) : 0;

	if (rc == -EAGAIN)
		return ops_wait_room(c);
	if (rc == 0)
		rc = drop_set_ids(c);
	if (rc == 0)
		rc = tree_open(c->nmb->tree, c->ino, c->fi.flags, &h);
	if (rc == 0 && is_claim(c, h, &content))
		return wait_for_proof(c, h, content);
	if (rc == 0)
		rc = set_up(c, h);
	if (rc < 0)
		return ops_answer(c, rc);
	if (fuse_reply_open(c->req, &c->fi) == -ENOENT)
		tear_down(c->nmb, file_of(&c->fi));
	return false;
}

/* Valid replies: open, err. */
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (!ops_history_open(req, ino, fi))
		ops_start(ops_new(req, run_open, ino, NULL, fi));
}

/* Waits for no room: the kernel holds the directory's lock, and who lists it
 * would wait, too. The first write does. */
static bool run_create(struct call *c)
{
	const struct fuse_ctx *who = fuse_req_ctx(c->req);
	struct fuse_entry_param p;
	struct tree_entry e;
	struct handle *h;
	int rc = ops_admit(c);
	bool late = rc == -EAGAIN;

	if (rc == 0 || late)
		rc = tree_create(c->nmb->tree, c->ino, c->name, c->mode,
		                 c->fi.flags, who->uid, who->gid, &e, &h);
	if (rc < 0)
		return ops_answer(c, rc);
	rc = set_up(c, h);
	if (rc < 0) {
		tree_forget(c->nmb->tree, e.nodeid, 1);
		return ops_answer(c, rc);
	}
	if (late) {
		atomic_store(&file_of(&c->fi)->late, true);
		c->fi.direct_io = file_of(&c->fi)->direct = true;
	}
	p = ops_entry_param(c->nmb, &e);
	if (fuse_reply_create(c->req, &p, &c->fi) == -ENOENT) {
		tear_down(c->nmb, file_of(&c->fi));
		tree_forget(c->nmb->tree, e.nodeid, 1);
	}
	return false;
}

/* Valid replies: create, err. */
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
               struct fuse_file_info *fi)
{
	struct call *c;

	if (ops_history_refuse(req, parent))
		return;
	c = ops_new(req, run_create, parent, name, fi);
	if (c)
		c->mode = mode;
	ops_start(c);
}

/* Valid replies: err. */
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct nmb *nmb = fuse_req_userdata(req);

	reply_error(req, history_owns(ino)
	                         ? 0
	                         : tree_flush(nmb->tree, file_of(fi)->handle));
}

/* Past its pages the kernel does not see that a file changes, and believes the
 * times that it knows: the node is shown anew. */
static void renew_times(struct nmb *nmb, uint64_t ino)
{
	struct tree_edit *e;
	struct db *db;

	if (tree_edit_begin(nmb->tree, &e, &db) < 0)
		return;
	tree_edit_renew(e, ino);
	tree_edit_end(e, 0);
}

/* Valid replies: err. */
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct nmb *nmb = fuse_req_userdata(req);
	uint64_t real_ino;

	if (ops_history_release(req, ino, fi))
		return;
	real_ino = file_of(fi)->ino;
	if (tear_down(nmb, file_of(fi)))
		renew_times(nmb, real_ino);
	space_check(nmb->space);
	reply_error(req, 0);
}

/* Valid replies: err. */
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
              struct fuse_file_info *fi)
{
	struct nmb *nmb = fuse_req_userdata(req);

	(void)datasync;
	reply_error(req, history_owns(ino)
	                         ? 0
	                         : tree_fsync(nmb->tree, file_of(fi)->handle));
}
