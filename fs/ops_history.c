#include "fs/ops_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/history.h"
#include "fs/lock.h"
#include "fs/park.h"
#include "net/log.h"

/* The operations on .versions (fs/history.h): those of the same name in other
 * files come here for its nodeids. */

#define NAME_S    1    /* names come and go with those of the tree */
#define VERSION_S 3600 /* a version never changes */

/* Offsets, as in ops_dir.c. */
#define OFF_DOT    1
#define OFF_DOTDOT 2

static struct history_file *file_in(const struct fuse_file_info *fi)
{
	return (struct history_file *)(uintptr_t)fi->fh; /* NOLINT: op_open */
}

bool ops_history_refuse(fuse_req_t req, fuse_ino_t ino)
{
	if (!history_owns(ino))
		return false;
	reply_error(req, -EROFS);
	return true;
}

/* ---- waiting ------------------------------------------------------------- */

typedef int wait_fn(struct call *c, struct parked *p);

static bool wait_for(struct call *c, wait_fn *start)
{
	struct parked *p;
	int rc = ops_park(c, &p);

	if (rc < 0)
		return ops_answer(c, rc);
	rc = start(c, p);
	return ops_parked(c, p, rc);
}

static int start_list(struct call *c, struct parked *p)
{
	return history_wait_list(c->nmb->history, c->ino, park_wake, p);
}

static int start_read(struct call *c, struct parked *p)
{
	return history_wait_read(c->nmb->history, file_in(&c->fi),
	                         (uint64_t)c->off, c->size, park_wake, p);
}

/* ---- names --------------------------------------------------------------- */

static bool answer_entry(struct call *c, const struct history_entry *e)
{
	bool version = S_ISREG(e->st.st_mode);
	struct fuse_entry_param p = {
		.ino = e->nodeid,
		.attr = e->st,
		.attr_timeout = version ? VERSION_S : NAME_S,
		.entry_timeout = NAME_S,
	};

	lock_assert_none();
	if (fuse_reply_entry(c->req, &p) == -ENOENT) /* nobody waits any more */
		history_forget(c->nmb->history, e->nodeid, 1);
	return false;
}

/* What exists wins: a file of the user's of that name is never hidden. As long
 * as there is none he can't make one, unless he says --no-versions-dir. */
bool ops_history_is_top(const struct call *c)
{
	return c->nmb->history && c->ino == FUSE_ROOT_ID &&
	       !strcmp(c->name, HISTORY_NAME);
}

bool ops_history_top(struct call *c)
{
	struct history_entry e;
	int rc = history_get_top(c->nmb->history, &e);

	return rc < 0 ? ops_answer(c, rc) : answer_entry(c, &e);
}

static bool run_lookup(struct call *c)
{
	struct history_entry e;
	uint64_t list;
	int rc = history_lookup(c->nmb->history, c->ino, c->name, &e, &list);

	if (rc == -EAGAIN)
		return list ? ops_wait_list(c, list) : wait_for(c, start_list);
	return rc < 0 ? ops_answer(c, rc) : answer_entry(c, &e);
}

bool ops_history_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (!history_owns(parent))
		return false;
	ops_start(ops_new(req, run_lookup, parent, name, NULL));
	return true;
}

bool ops_history_getattr(fuse_req_t req, fuse_ino_t ino)
{
	struct nmb *nmb = fuse_req_userdata(req);
	struct stat st;
	int rc;

	if (!history_owns(ino))
		return false;
	rc = history_get_attr(nmb->history, ino, &st);
	if (rc < 0)
		reply_error(req, rc);
	else
		fuse_reply_attr(req, &st, NAME_S);
	return true;
}

/* ---- directories --------------------------------------------------------- */

struct page {
	struct call *call;
	char *data;
	size_t len;
};

/* A "plus" entry of nodeid 0 is one whose attributes are asked when they are
 * wanted. */
static int add(void *arg, const char *name, uint64_t off, mode_t mode)
{
	struct page *p = arg;
	struct call *c = p->call;
	size_t room = c->size - p->len, need;
	struct fuse_entry_param e = { .attr = { .st_ino = off,
		                                .st_mode = mode } };

	need = c->flags ? fuse_add_direntry_plus(c->req, p->data + p->len, room,
	                                         name, &e, (off_t)off)
	                : fuse_add_direntry(c->req, p->data + p->len, room,
	                                    name, &e.attr, (off_t)off);
	if (need > room)
		return 1;
	p->len += need;
	return 0;
}

static bool run_readdir(struct call *c)
{
	uint64_t list = 0;
	uint64_t after = c->off < OFF_DOTDOT ? 0 : (uint64_t)c->off;
	struct page p = { .call = c, .data = malloc(c->size) };
	int rc = p.data ? 0 : -ENOMEM;

	if (rc == 0 && c->off < OFF_DOT)
		rc = add(&p, ".", OFF_DOT, S_IFDIR);
	if (rc == 0 && c->off < OFF_DOTDOT)
		rc = add(&p, "..", OFF_DOTDOT, S_IFDIR);
	if (rc == 0)
		rc = history_each(c->nmb->history, c->ino, after, add, &p,
		                  &list);
	lock_assert_none();
	if (rc >= 0)
		fuse_reply_buf(c->req, p.data, p.len);
	else if (rc != -EAGAIN)
		reply_error(c->req, rc);
	free(p.data);
	if (rc != -EAGAIN)
		return false;
	return list ? ops_wait_list(c, list) : wait_for(c, start_list);
}

bool ops_history_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                         bool plus)
{
	struct call *c;

	if (!history_owns(ino))
		return false;
	c = ops_new(req, run_readdir, ino, NULL, NULL);
	if (c) {
		c->size = size;
		c->off = off;
		c->flags = plus;
	}
	ops_start(c);
	return true;
}

/* ---- files --------------------------------------------------------------- */

bool ops_history_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct nmb *nmb = fuse_req_userdata(req);
	struct history_file *f;
	struct stat st;
	int rc;

	if (!history_owns(ino))
		return false;
	rc = (fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC
	             ? -EROFS
	             : history_get_attr(nmb->history, ino, &st);
	if (rc == 0)
		rc = history_open(nmb->history, ino, &f);
	if (rc < 0) {
		reply_error(req, rc);
		return true;
	}
	fi->fh = (uint64_t)(uintptr_t)f;
	fi->keep_cache = 1;
	/* That it is empty is looked at, which a cached read would not do. */
	fi->direct_io = !st.st_size;
	if (fuse_reply_open(req, fi) == -ENOENT)
		history_close(nmb->history, f);
	return true;
}

static bool run_read(struct call *c)
{
	char *data = malloc(c->size);
	ssize_t n = data ? history_read(c->nmb->history, file_in(&c->fi),
	                                (uint64_t)c->off, data, c->size)
	                 : -ENOMEM;

	lock_assert_none();
	if (n >= 0)
		fuse_reply_buf(c->req, data, (size_t)n);
	free(data);
	if (n == -EAGAIN)
		return wait_for(c, start_read);
	return n < 0 ? ops_answer(c, (int)n) : false;
}

bool ops_history_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                      struct fuse_file_info *fi)
{
	struct call *c;

	if (!history_owns(ino))
		return false;
	c = ops_new(req, run_read, ino, NULL, fi);
	if (c) {
		c->size = size;
		c->off = off;
	}
	ops_start(c);
	return true;
}

/* No holes. */
bool ops_history_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence)
{
	struct nmb *nmb = fuse_req_userdata(req);
	struct stat st;
	int rc;

	if (!history_owns(ino))
		return false;
	rc = history_get_attr(nmb->history, ino, &st);
	if (rc == 0 && off >= st.st_size)
		rc = -ENXIO;
	if (rc < 0)
		reply_error(req, rc);
	else
		fuse_reply_lseek(req, whence == SEEK_HOLE ? st.st_size : off);
	return true;
}

bool ops_history_release(fuse_req_t req, fuse_ino_t ino,
                         struct fuse_file_info *fi)
{
	struct nmb *nmb = fuse_req_userdata(req);

	if (!history_owns(ino))
		return false;
	history_close(nmb->history, file_in(fi));
	reply_error(req, 0);
	return true;
}
