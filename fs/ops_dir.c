#include "fs/ops_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/history.h"

/* Offsets: "." has 1, ".." has 2, an entry its ino (NODE_FIRST and up). */
#define OFF_DOT    1
#define OFF_DOTDOT 2

/* Listed when it is read, not before: an open without a read costs nothing.
 * Valid replies: open, err. */
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->keep_cache = 0;
	fuse_reply_open(req, fi);
}

/* Valid replies: err. */
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	reply_error(req, 0);
}

/* Valid replies: err. */
void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
                 struct fuse_file_info *fi)
{
	struct nmb *nmb = fuse_req_userdata(req);

	(void)ino;
	(void)datasync;
	(void)fi;
	reply_error(req, tree_fsync(nmb->tree, NULL));
}

struct page {
	struct call *call;
	char *data;
	size_t len;
	bool plus;
	uint64_t *given; /* nodeids the kernel gets a reference to */
	size_t n;
};

/* A "plus" entry takes at least that many bytes. */
#define PLUS_MIN 152

static int page_init(struct page *p, struct call *c, bool plus)
{
	*p = (struct page){ .call = c, .plus = plus };
	p->data = malloc(c->size);
	p->given =
		plus ? calloc(c->size / PLUS_MIN + 1, sizeof(uint64_t)) : NULL;
	return p->data && (p->given || !plus) ? 0 : -ENOMEM;
}

static void page_done(struct page *p)
{
	free(p->data);
	free(p->given);
}

/* The kernel did not get the page. */
static void page_forget(struct page *p)
{
	for (size_t i = 0; i < p->n; i++)
		tree_forget(p->call->nmb->tree, p->given[i], 1);
}

/* 1: no room left. */
static int add_entry(struct page *p, const char *name,
                     const struct tree_entry *e, off_t off)
{
	size_t room = p->call->size - p->len, need;

	if (p->plus) {
		struct fuse_entry_param ep = ops_entry_param(p->call->nmb, e);

		need = fuse_add_direntry_plus(p->call->req, p->data + p->len,
		                              room, name, &ep, off);
	} else {
		need = fuse_add_direntry(p->call->req, p->data + p->len, room,
		                         name, &e->st, off);
	}
	if (need > room)
		return 1;
	p->len += need;
	if (p->plus && e->nodeid)
		p->given[p->n++] = e->nodeid;
	return 0;
}

static int add_child(void *arg, const char *name, uint64_t ino,
                     const struct tree_entry *e)
{
	const struct page *p = arg;

	if (p->call->ino == FUSE_ROOT_ID && !strcmp(name, HISTORY_NAME))
		history_note_taken(p->call->nmb->history);
	return add_entry(arg, name, e, (off_t)ino);
}

/* nodeid 0 in a "plus" entry: the kernel takes no reference to these two. */
static int add_dots(struct page *p)
{
	struct tree_entry e = { .nodeid = 0,
		                .st = { .st_mode = S_IFDIR,
		                        .st_ino = p->call->ino } };
	uint64_t parent;
	int rc = 0;

	if (p->call->off < OFF_DOT)
		rc = add_entry(p, ".", &e, OFF_DOT);
	if (rc == 0 && p->call->off < OFF_DOTDOT) {
		rc = tree_get_parent(p->call->nmb->tree, p->call->ino, &parent);
		e.st.st_ino = parent;
		if (rc == 0)
			rc = add_entry(p, "..", &e, OFF_DOTDOT);
	}
	return rc;
}

static bool list(struct call *c, bool plus)
{
	uint64_t after =
		c->off < NODE_FIRST ? NODE_FIRST - 1 : (uint64_t)c->off;
	uint64_t unlisted = 0;
	struct page p;
	int rc = page_init(&p, c, plus);

	if (rc == 0)
		rc = add_dots(&p);
	if (rc == 0)
		rc = tree_each_entry(c->nmb->tree, c->ino, after, plus,
		                     add_child, &p, &unlisted);
	if (rc >= 0)
		rc = fuse_reply_buf(c->req, p.data, p.len);
	else if (!unlisted) /* removed while it is open: as others say it */
		reply_error(c->req, rc == -ESTALE ? -ENOENT : rc);
	if (rc < 0)
		page_forget(&p);
	page_done(&p);
	return unlisted ? ops_wait_list(c, unlisted) : false;
}

static bool run_readdir(struct call *c)
{
	return list(c, false);
}

static bool run_readdirplus(struct call *c)
{
	return list(c, true);
}

static void start_list(fuse_req_t req, call_run_fn *run, fuse_ino_t ino,
                       size_t size, off_t off)
{
	struct call *c = ops_new(req, run, ino, NULL, NULL);

	if (c) {
		c->size = size;
		c->off = off;
	}
	ops_start(c);
}

/* Valid replies: buf, data, err. */
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                struct fuse_file_info *fi)
{
	(void)fi;
	if (!ops_history_readdir(req, ino, size, off, false))
		start_list(req, run_readdir, ino, size, off);
}

/* Valid replies: buf, data, err. */
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
	(void)fi;
	if (!ops_history_readdir(req, ino, size, off, true))
		start_list(req, run_readdirplus, ino, size, off);
}
