#include "fs/ops_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/history.h"

#define ABSENT_S 1

/* So that making a file does not ask three times. What another device makes
 * is told by fs/notify; a second heals what crosses that on its way. */
static bool answer_absent(struct call *c)
{
	struct fuse_entry_param none = { .entry_timeout = ABSENT_S };

	fuse_reply_entry(c->req, &none);
	return false;
}

static bool run_lookup(struct call *c)
{
	struct tree_entry e;
	uint64_t list;
	int rc = tree_lookup(c->nmb->tree, c->ino, c->name, &e, &list);

	if (rc == -EAGAIN)
		return ops_wait_list(c, list);
	if (rc == -ENOENT)
		return ops_history_is_top(c) ? ops_history_top(c)
		                             : answer_absent(c);
	if (rc == 0 && ops_history_is_top(c))
		history_note_taken(c->nmb->history);
	return rc < 0 ? ops_answer(c, rc) : ops_answer_entry(c, &e);
}

/* Valid replies: entry, err. */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (!ops_history_lookup(req, parent, name))
		ops_start(ops_new(req, run_lookup, parent, name, NULL));
}

static bool run_make(struct call *c)
{
	const struct fuse_ctx *who = fuse_req_ctx(c->req);
	struct tree_entry e;
	int rc = tree_make(c->nmb->tree, c->ino, c->name, c->mode, c->rdev,
	                   who->uid, who->gid, &e);

	return rc < 0 ? ops_answer(c, rc) : ops_answer_entry(c, &e);
}

/* Valid replies: entry, err. */
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
              dev_t rdev)
{
	struct call *c;

	if (ops_history_refuse(req, parent))
		return;
	c = ops_new(req, run_make, parent, name, NULL);
	if (c) {
		c->mode = mode;
		c->rdev = rdev;
	}
	ops_start(c);
}

/* Valid replies: entry, err. */
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	op_mknod(req, parent, name, S_IFDIR | (mode & 07777), 0);
}

static bool run_symlink(struct call *c)
{
	const struct fuse_ctx *who = fuse_req_ctx(c->req);
	struct tree_entry e;
	int rc = tree_symlink(c->nmb->tree, c->ino, c->name, c->name2, who->uid,
	                      who->gid, &e);

	return rc < 0 ? ops_answer(c, rc) : ops_answer_entry(c, &e);
}

static struct call *with_name2(struct call *c, const char *name2)
{
	if (!c)
		return NULL;
	c->name2 = strdup(name2);
	if (c->name2)
		return c;
	reply_error(c->req, -ENOMEM);
	ops_free(c);
	return NULL;
}

/* Valid replies: entry, err. */
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
                const char *name)
{
	if (ops_history_refuse(req, parent))
		return;
	ops_start(with_name2(ops_new(req, run_symlink, parent, name, NULL),
	                     target));
}

/* Valid replies: readlink, err. */
void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct nmb *nmb = fuse_req_userdata(req);
	char target[4097];
	ssize_t n = tree_read_link(nmb->tree, ino, target, sizeof(target));

	if (n < 0)
		reply_error(req, (int)n);
	else
		fuse_reply_readlink(req, target);
}

/* Valid replies: err. */
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct nmb *nmb = fuse_req_userdata(req);

	if (!ops_history_refuse(req, parent))
		reply_error(req, tree_unlink(nmb->tree, parent, name));
}

static bool run_rmdir(struct call *c)
{
	uint64_t list;
	int rc = tree_rmdir(c->nmb->tree, c->ino, c->name, &list);

	if (rc == -ENOENT && ops_history_is_top(c))
		rc = -EROFS;

	return rc == -EAGAIN ? ops_wait_list(c, list) : ops_answer(c, rc);
}

/* Valid replies: err. */
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (!ops_history_refuse(req, parent))
		ops_start(ops_new(req, run_rmdir, parent, name, NULL));
}

static bool run_rename(struct call *c)
{
	uint64_t list;
	int rc = tree_rename(c->nmb->tree, c->ino, c->name, c->ino2, c->name2,
	                     (unsigned)c->flags, &list);

	if (rc == -ENOENT && ops_history_is_top(c))
		rc = -EROFS;
	return rc == -EAGAIN ? ops_wait_list(c, list) : ops_answer(c, rc);
}

/* Valid replies: err. */
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
               fuse_ino_t new_parent, const char *new_name, unsigned flags)
{
	struct call *c;

	if (ops_history_refuse(req, parent) ||
	    ops_history_refuse(req, new_parent))
		return;
	c = with_name2(ops_new(req, run_rename, parent, name, NULL), new_name);
	if (c) {
		c->ino2 = new_parent;
		c->flags = (int)flags;
	}
	ops_start(c);
}

/* No hard links: the service has none. Valid replies: entry, err. */
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
             const char *name)
{
	(void)ino;
	(void)parent;
	(void)name;
	reply_error(req, -EPERM);
}
